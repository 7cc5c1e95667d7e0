// @ts-check
/** The page: choose a person, live with it, end. */

import { Api, ApiError, takeTokenFromAddress } from "./api.js";
import { Captions } from "./captions.js";
import { Director } from "./direct.js";
import { failure, failureOf } from "./failures.js";
import { Panel, askToken } from "./panel.js";
import { Picture } from "./picture.js";
import { Portraits } from "./portraits.js";
import { Recording } from "./recording.js";
import { Peer } from "./rtc.js";
import { LiveSession } from "./session.js";
import { TalkButton } from "./talk.js";
import { Notices, byId, choose, chosen, label } from "./ui.js";

/** @typedef {import("./events.js").ServerEvent} ServerEvent */
/** @typedef {import("./failures.js").Failure} Failure */

const BUSY_WAIT_S = 10;

/** @type {Record<string, string>} */
const STATE_WORDS = { idle: "Idle", listen: "Listening", think: "Thinking", react: "Reacting", talk: "Talking", gesture: "Gesturing" };

class Page {
  constructor() {
    this.api = new Api(askToken);
    this.notices = new Notices(byId("notices", HTMLDivElement));
    this.portraits = new Portraits(this.api);
    this.picture = new Picture();
    this.captions = new Captions();
    this.talk = new TalkButton();
    this.recording = new Recording();
    this.panel = new Panel();
    this.director = new Director((event) => this.send(event));
    this.text = byId("text", HTMLInputElement);
    this.exactly = byId("exactly", HTMLInputElement);
    this.startButton = byId("start", HTMLButtonElement);
    this.endButton = byId("end", HTMLButtonElement);
    this.setup = byId("setup-room", HTMLElement);
    this.badge = byId("state", HTMLSpanElement);
    /** @type {RTCIceServer[]} */
    this.iceServers = [];
    /** @type {LiveSession | null} */
    this.session = null;
    /** Number of the latest start; one that was given up finds another number. */
    this.attempt = 0;
    this.listen();
  }

  listen() {
    const on = (/** @type {string} */ id, /** @type {string} */ type, /** @type {(event: Event) => void} */ act) => document.getElementById(id)?.addEventListener(type, act);
    on("setup", "submit", (event) => (event.preventDefault(), this.start()));
    on("say", "submit", (event) => (event.preventDefault(), this.say()));
    on("end", "click", () => this.end());
    on("interrupt", "click", () => this.interrupt());
    on("live-mode", "change", () => this.changeMode());
    on("speaker-device", "change", () => this.picture.playOn(byId("speaker-device", HTMLSelectElement).value).catch((error) => this.explain(error, "The loudspeaker cannot be used")));
    addEventListener("keydown", (event) => event.key === "Escape" && !event.defaultPrevented && this.interrupt());
    addEventListener("pagehide", () => this.session?.end(null));
    this.portraits.addEventListener("chosen", () => (this.startButton.disabled = this.portraits.portrait === null));
    this.portraits.addEventListener("failed", (event) => this.explain(/** @type {CustomEvent} */ (event).detail, "This picture cannot be used"));
    this.recording.addEventListener("failed", (event) => this.explain(/** @type {CustomEvent} */ (event).detail, "The recording failed"));
    this.talk.addEventListener("failed", (event) => this.notices.show(/** @type {CustomEvent} */ (event).detail));
    this.picture.addEventListener("starving", () => this.notices.show(failure("no_picture")));
    this.picture.addEventListener("flowing", () => this.notices.withdraw("no_picture"));
  }

  /** Ask the server what it offers. */
  async load() {
    this.phase("loading");
    try {
      const [info] = await Promise.all([this.api.info(), this.portraits.load()]);
      this.director.load(info.states, info.gestures);
      this.offer(info);
      this.link("quiet", "Ready");
      this.phase("choose");
    } catch (error) {
      this.link("bad", "No connection");
      this.explain(error, "The page could not be set up", () => this.load());
    }
  }

  /** @param {Record<string, any>} info */
  offer(info) {
    byId("facts", HTMLParagraphElement).textContent = [info.model, `${info.size} × ${info.size}`, `${info.fps} fps`].join(" · ");
    byId("lacks", HTMLParagraphElement).textContent = lacks(info);
    this.portraits.mostBytes = info.upload_bytes;
    this.iceServers = info.ice_servers;
    this.text.placeholder = info.llm ? "Say something" : "Type what the person shall say";
    byId("exactly-field", HTMLLabelElement).hidden = !info.llm;
  }

  async start() {
    const { portrait } = this.portraits;
    if (!portrait || this.session) return;
    this.notices.clear();
    this.phase("starting");
    this.picture.wait("Waking up");
    this.link("busy", "Starting");
    const mode = chosen("mode");
    const attempt = ++this.attempt;
    const peer = new Peer(this.iceServers);
    try {
      const grant = await this.api.openSession({ portrait, mode, offer: await peer.offer() });
      const session = new LiveSession(this.api, grant, peer);
      if (attempt !== this.attempt) return session.end(null);
      this.begin(session, mode);
      await session.connect();
    } catch (error) {
      peer.close();
      if (attempt === this.attempt) this.startFailed(error);
    }
  }

  /** End the session, or give up a start. */
  end() {
    this.attempt++;
    if (this.session) this.session.end(null);
    else this.ended(null);
  }

  /** @param {unknown} error */
  startFailed(error) {
    if (error instanceof ApiError && error.status === 503 && error.code !== "ice_slow" && !this.session) {
      this.rest();
      const busy = { code: error.code, title: "All places are taken", text: "The page tries again by itself.", retry: true };
      this.notices.countDown(busy, error.retryAfterS ?? BUSY_WAIT_S, () => this.start(), () => {});
      return;
    }
    const why = failureOf(error, "The session could not start");
    if (this.session) this.session.end(why);
    else this.ended(why);
    if (error instanceof ApiError && error.status === 404) this.load();
  }

  /** @param {LiveSession} session @param {string} mode */
  begin(session, mode) {
    this.session = session;
    session.addEventListener("event", (event) => this.received(/** @type {CustomEvent} */ (event).detail));
    session.addEventListener("link", (event) => {
      const { tone, words } = /** @type {CustomEvent} */ (event).detail;
      this.link(tone, words);
      if (tone !== "good") return;
      this.notices.withdraw("not_sent");
      this.phase("live");
    });
    session.addEventListener("ended", (event) => this.ended(/** @type {CustomEvent} */ (event).detail));
    choose("live-mode", mode);
    this.captions.clear();
    this.director.reset();
    this.picture.attach(session.peer);
    this.talk.attach(session.peer);
    this.recording.attach(session);
  }

  /** @param {Failure | null} why */
  ended(why) {
    this.rest();
    if (why?.code === "gone" || why?.code === "unreachable") this.link("bad", "No connection");
    if (why) this.notices.show(why, why.retry ? { label: "Start again", run: () => this.start() } : undefined);
    else this.notices.clear();
  }

  /** Back to the choice of a person. */
  rest() {
    this.attempt++;
    this.session = null;
    this.picture.attach(null);
    this.talk.attach(null);
    this.recording.attach(null);
    this.panel.close();
    this.link("quiet", "Ready");
    this.phase("choose");
    this.startButton.focus({ preventScroll: true });
  }

  /** @param {ServerEvent} event */
  received(event) {
    switch (event.type) {
      case "session.state":
        this.badge.textContent = STATE_WORDS[event.state] ?? label(event.state);
        document.body.dataset.state = event.state;
        this.director.show(event.prompt);
        break;
      case "speech.started":
        document.body.dataset.speaking = "yes";
        break;
      case "speech.done":
        delete document.body.dataset.speaking;
        this.picture.stopped(event.interrupted);
        break;
      case "transcript":
        this.captions.add(/** @type {any} */ (event));
        break;
      case "stats":
        this.picture.report(event.stats);
        break;
      case "error":
        if (String(event.event ?? "").startsWith("behaviour.")) this.director.refused();
        this.notices.show({ code: event.code, title: "That did not work", text: event.message, retry: false });
        break;
    }
  }

  /** Tell the server now; a person learns it when that cannot be. @param {ServerEvent} event @returns {boolean} whether it was sent */
  send(event) {
    if (!this.session) return false;
    const isSent = this.session.send(event);
    if (!isSent) this.notices.show(failure("not_sent"));
    return isSent;
  }

  changeMode() {
    const mode = chosen("live-mode");
    if (this.send({ type: "session.update", mode })) this.talk.renew();
    else choose("live-mode", mode === "puppet" ? "conversation" : "puppet");
  }

  say() {
    const text = this.text.value.trim();
    if (text && this.send({ type: this.exactly.checked ? "speech.say" : "input_text.submit", text })) this.text.value = "";
  }

  interrupt() {
    if (!this.session) return;
    if (!this.session.interrupt()) this.notices.show(failure("not_sent"));
    else if (document.body.dataset.speaking) this.picture.stopping();
  }

  /** @param {unknown} error @param {string} title @param {() => void} [retry] */
  explain(error, title, retry) {
    this.notices.show(failureOf(error, title), retry && { label: "Try again", run: retry });
  }

  /** @param {"loading" | "choose" | "starting" | "live"} phase */
  phase(phase) {
    const before = document.body.dataset.phase;
    if (before === phase) return;
    document.body.dataset.phase = phase;
    this.setup.inert = phase !== "choose";
    this.endButton.textContent = phase === "live" ? "End" : "Cancel";
    if (phase === "starting" || phase === "live") scrollTo(0, 0);
    if (phase !== "live") {
      delete document.body.dataset.state;
      delete document.body.dataset.speaking;
      return;
    }
    this.panel.openIfWide();
    this.text.focus({ preventScroll: true });
  }

  /** @param {string} tone @param {string} words */
  link(tone, words) {
    byId("link", HTMLParagraphElement).dataset.tone = tone;
    byId("link-text", HTMLSpanElement).textContent = words;
  }
}

/** What a person should know before they wonder. @param {Record<string, any>} info */
function lacks(info) {
  if (!info.voice) return "This server has no voice of its own: the person moves, and speaks as a puppet only.";
  if (!info.asr && !info.llm) return "This server has no language model: the person notices that you speak, and says what you type.";
  if (!info.asr) return "This server does not understand speech: type to be answered.";
  return info.llm ? "" : "This server has no language model: the person says what you type.";
}

takeTokenFromAddress();
new Page().load();
