// @ts-check
/** The microphone button: open mic or hold to talk, device choice, level. */

import { Microphone, devices } from "./audio.js";
import { byId, chosen, make } from "./ui.js";

/** @typedef {import("./rtc.js").Peer} Peer */

/** Dispatches `failed` (detail: Failure). */
export class TalkButton extends EventTarget {
  constructor() {
    super();
    this.microphone = new Microphone();
    this.button = byId("mic", HTMLButtonElement);
    this.icon = byId("mic-icon", SVGUseElement);
    this.hint = byId("mic-hint", HTMLParagraphElement);
    this.meter = byId("level", HTMLDivElement);
    this.device = byId("mic-device", HTMLSelectElement);
    this.speaker = byId("speaker-device", HTMLSelectElement);
    /** @type {Peer | null} */
    this.peer = null;
    this.asking = false;
    /** Whether the button is held down, in hold mode. */
    this.held = false;
    this.listenToButton();
    for (const input of document.querySelectorAll('input[name="mic-mode"]')) input.addEventListener("change", () => this.close());
    this.device.addEventListener("change", () => this.renew());
  }

  get holds() {
    return chosen("mic-mode") === "hold";
  }

  listenToButton() {
    const { button } = this;
    button.addEventListener("click", () => {
      if (!this.holds) this.microphone.track ? this.close() : this.open();
    });
    button.addEventListener("pointerdown", (event) => {
      if (!this.holds || event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      this.hold(true);
    });
    for (const type of ["pointerup", "pointercancel"]) button.addEventListener(type, () => this.holds && this.hold(false));
    button.addEventListener("keydown", (event) => {
      if (this.holds && !event.repeat && (event.key === " " || event.key === "Enter")) this.hold(true);
    });
    button.addEventListener("keyup", (event) => this.holds && (event.key === " " || event.key === "Enter") && this.hold(false));
    button.addEventListener("blur", () => this.holds && this.hold(false));
    button.addEventListener("contextmenu", (event) => this.holds && event.preventDefault());
  }

  /** @param {boolean} down */
  async hold(down) {
    this.held = down;
    if (down && !this.microphone.track) await this.open();
    if (this.microphone.track) this.microphone.track.enabled = this.held;
    this.show();
  }

  async open() {
    const { peer } = this;
    if (!peer || this.asking) return;
    this.asking = true;
    this.show();
    // A puppet plays the voice as it is; cleaning is for a listener.
    const failure = await this.microphone.open(this.device.value, chosen("live-mode") !== "puppet");
    this.asking = false;
    if (this.peer !== peer) return this.microphone.close();
    if (failure) {
      this.show();
      this.dispatchEvent(new CustomEvent("failed", { detail: failure }));
      return;
    }
    const track = /** @type {MediaStreamTrack} */ (this.microphone.track);
    track.enabled = !this.holds || this.held;
    track.addEventListener("ended", () => this.close());
    await peer.setMicrophone(track);
    await this.listDevices();
    this.show();
    this.draw();
  }

  /** Open again, with other settings, what is open. */
  renew() {
    if (this.microphone.track) this.open();
  }

  close() {
    this.microphone.close();
    this.held = false;
    this.peer?.setMicrophone(null);
    this.show();
    this.draw();
  }

  /** @param {Peer | null} peer */
  attach(peer) {
    this.peer = null;
    this.close();
    this.peer = peer;
  }

  async listDevices() {
    for (const [select, kind] of /** @type {[HTMLSelectElement, MediaDeviceKind][]} */ ([[this.device, "audioinput"], [this.speaker, "audiooutput"]])) {
      const now = select.value;
      const list = await devices(kind);
      select.replaceChildren(make("option", { value: "" }, "Default"), ...list.map((d) => make("option", { value: d.deviceId }, d.label)));
      select.value = list.some((d) => d.deviceId === now) ? now : "";
    }
    byId("speaker-field", HTMLLabelElement).hidden = !("setSinkId" in HTMLMediaElement.prototype) || this.speaker.length < 2;
  }

  show() {
    const { button } = this;
    const heard = Boolean(this.microphone.track?.enabled);
    const [spoken, hint] = this.words(heard);
    button.setAttribute("aria-pressed", String(heard));
    button.setAttribute("aria-label", spoken);
    button.title = spoken;
    button.classList.toggle("asking", this.asking);
    this.icon.setAttribute("href", heard || this.holds ? "#i-mic" : "#i-mic-off");
    this.hint.textContent = hint;
    this.hint.hidden = !hint;
  }

  /** For screen readers, and under the dock. @param {boolean} heard @returns {[string, string]} */
  words(heard) {
    if (this.asking) return ["Waiting for the microphone", "The browser asks whether this page may use the microphone."];
    if (this.holds) return heard ? ["Talking. Release to stop", ""] : ["Hold to talk", "Hold the microphone button, or the space bar on it, while you talk."];
    return heard ? ["Microphone is on. Turn it off", ""] : ["Microphone is off. Turn it on", ""];
  }

  /** Follow the level while the microphone is open. */
  draw() {
    clearTimeout(this.drawing);
    const level = this.microphone.level();
    this.meter.style.setProperty("--level", level.toFixed(3));
    this.meter.setAttribute("aria-valuenow", String(Math.round(100 * level)));
    this.button.style.setProperty("--level", level.toFixed(3));
    if (this.microphone.track) this.drawing = setTimeout(() => this.draw(), 60);
  }
}
