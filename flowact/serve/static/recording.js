// @ts-check
/** Recording on the server: start, stop, and the file. */

import { byId, clock } from "./ui.js";

/** @typedef {import("./session.js").LiveSession} LiveSession */

/** Dispatches `failed` (detail: unknown error). */
export class Recording extends EventTarget {
  constructor() {
    super();
    this.button = byId("record", HTMLButtonElement);
    this.link = byId("download", HTMLAnchorElement);
    this.words = byId("record-words", HTMLParagraphElement);
    this.mark = byId("recording-mark", HTMLParagraphElement);
    this.time = byId("recording-time", HTMLSpanElement);
    /** @type {LiveSession | null} */
    this.session = null;
    this.on = false;
    this.button.addEventListener("click", () => this.toggle());
  }

  /** @param {LiveSession | null} session */
  attach(session) {
    this.session = session;
    this.show(false);
    this.words.textContent = "";
    this.link.hidden = true;
  }

  async toggle() {
    const { session } = this;
    if (!session) return;
    this.button.disabled = true;
    try {
      await session.api.json("POST", `${session.path}/recording`, { on: !this.on });
      if (this.session !== session) return;
      this.show(!this.on);
      if (!this.on) await this.save(session);
    } catch (error) {
      this.show(false);
      this.words.textContent = "";
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
    } finally {
      this.button.disabled = false;
    }
  }

  /** @param {LiveSession} session */
  async save(session) {
    this.words.textContent = "Fetching the film";
    if (this.link.href) URL.revokeObjectURL(this.link.href);
    this.link.href = await session.api.objectUrl(`${session.path}/recording.mp4`);
    this.link.download = `flowact-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}.mp4`;
    this.link.hidden = false;
    this.link.click();
    this.words.textContent = "Saved. The film carries a mark that it is generated.";
  }

  /** @param {boolean} on */
  show(on) {
    this.on = on;
    this.button.setAttribute("aria-pressed", String(on));
    this.button.textContent = on ? "Stop and save" : "Record";
    this.mark.hidden = !on;
    clearInterval(this.timer);
    if (!on) return;
    this.link.hidden = true;
    this.words.textContent = "Recording";
    const since = performance.now();
    const tick = () => (this.time.textContent = clock((performance.now() - since) / 1000));
    this.timer = setInterval(tick, 500);
    tick();
  }
}
