// @ts-check
/** One live session: its lease, its events and its media. It ends once, with a failure or without. */

import { ApiError } from "./api.js";
import { EventChannel } from "./events.js";
import { failure, failureOf, closedBecause } from "./failures.js";

/**
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./api.js").Grant} Grant
 * @typedef {import("./failures.js").Failure} Failure
 * @typedef {import("./rtc.js").Peer} Peer
 */

const CONNECT_MS = 30000;
const UNSTEADY_MS = 12000;
/** After this no sound of a speech that the server has ended is on its way any more. */
const TAIL_MS = 500;

/** Dispatches `event` (detail: ServerEvent), `link` (detail: a tone and words) and `ended` (detail: Failure or null). */
export class LiveSession extends EventTarget {
  /** @param {Api} api @param {Grant} grant @param {Peer} peer whose offer was granted */
  constructor(api, grant, peer) {
    super();
    this.api = api;
    this.grant = grant;
    this.path = `v1/sessions/${grant.id}`;
    this.over = false;
    /** Whether a speech sounds. */
    this.speaking = false;
    this.peer = peer;
    this.peer.addEventListener("state", () => this.peerChanged());
    this.channel = this.openChannel();
    this.heart = setInterval(() => this.beat(), Math.max(1000, (grant.lease_s * 1000) / 3));
  }

  openChannel() {
    const url = this.api.url(`${this.path}/events`);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (this.grant.token) url.searchParams.set("token", this.grant.token);
    const channel = new EventChannel(url);
    channel.addEventListener("message", (event) => this.received(/** @type {CustomEvent} */ (event).detail));
    channel.addEventListener("down", () => {
      this.tell("warn", "Reconnecting");
      this.beat();
    });
    channel.addEventListener("up", () => this.peerChanged());
    channel.addEventListener("lost", () => this.end(failure("gone")));
    return channel;
  }

  /** Start the media with the answer that was granted. */
  async connect() {
    this.tell("busy", "Connecting");
    this.watch(CONNECT_MS, "ice");
    await this.peer.accept(this.grant.answer, (found) => this.tellAddresses(found));
  }

  /** Whether they help or not shows in the connection, which is watched. @param {RTCIceCandidateInit[]} candidates */
  async tellAddresses(candidates) {
    try {
      await this.api.request("POST", `${this.path}/candidates`, { json: { candidates } });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }

  /** Stop the speech that sounds, if any. It is not heard from now on, however long the way to the server is. @returns {boolean} whether the server was told */
  interrupt() {
    const isSent = this.send({ type: "response.cancel" });
    if (isSent && this.speaking) this.hush(true);
    return isSent;
  }

  /** @param {boolean} hushed */
  hush(hushed) {
    clearTimeout(this.tail);
    this.peer.hush(hushed);
  }

  /** Sound is let out again when that of the speech that was stopped is over. @param {import("./events.js").ServerEvent} event */
  hear(event) {
    if (event.type === "speech.done") {
      this.tail = setTimeout(() => this.hush(false), TAIL_MS);
    } else if (event.type === "speech.started" || event.type === "session.created") {
      this.hush(false);
    } else {
      return;
    }
    this.speaking = event.type === "speech.started";
  }

  /** @param {import("./events.js").ServerEvent} event @returns {boolean} whether it was sent */
  send(event) {
    return this.channel.send(event);
  }

  /** @param {import("./events.js").ServerEvent} event */
  received(event) {
    this.hear(event);
    if (event.type === "session.closed") this.end(closedBecause(String(event.reason ?? "")));
    else if (event.type === "error" && event.code === "ice_failed") this.end(failure("ice"));
    else this.dispatchEvent(new CustomEvent("event", { detail: event }));
  }

  peerChanged() {
    const { state } = this.peer;
    if (state === "connected") {
      clearTimeout(this.patience);
      this.tell("good", "Live");
    } else if (state === "disconnected") {
      this.tell("warn", "Connection unsteady");
      this.watch(UNSTEADY_MS, "unsteady");
    } else if (state === "failed") {
      this.end(failure("ice"));
    }
  }

  /** End with `code` unless the connection comes up in time. @param {number} ms @param {string} code */
  watch(ms, code) {
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.end(failure(code)), ms);
  }

  /** Keep the lease. A server that forgot the session ends it; one that is silent is left to the channel. */
  async beat() {
    try {
      await this.api.request("POST", `${this.path}/heartbeat`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 404 || error.status === 410) this.end(failure("lease"));
      else if (error.status !== 0) this.end(failureOf(error, "The session has ended"));
    }
  }

  /** @param {string} tone quiet, busy, good, warn @param {string} words */
  tell(tone, words) {
    if (!this.over) this.dispatchEvent(new CustomEvent("link", { detail: { tone, words } }));
  }

  /** End here and on the server. @param {Failure | null} why null when a person wished it */
  end(why) {
    if (this.over) return;
    this.over = true;
    clearInterval(this.heart);
    clearTimeout(this.patience);
    clearTimeout(this.tail);
    this.channel.close();
    this.peer.close();
    // keepalive lets the request outlive the page, with its token, which sendBeacon could not carry.
    this.api.request("DELETE", this.path, { keepalive: true }).catch((error) => {
      if (!(error instanceof ApiError)) throw error;
    });
    this.dispatchEvent(new CustomEvent("ended", { detail: why }));
  }
}
