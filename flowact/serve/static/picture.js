// @ts-check
/** The frame: live video, sound, and the figures of both. */

import { Figures, FrameMeter, QUALITY, amount } from "./figures.js";
import { byId } from "./ui.js";

/** @typedef {import("./rtc.js").Peer} Peer */

const STARVING_MS = 8000;

/** Dispatches `starving` when no picture comes, `flowing` when it comes again. */
export class Picture extends EventTarget {
  constructor() {
    super();
    this.frame = byId("frame", HTMLDivElement);
    this.video = byId("video", HTMLVideoElement);
    this.veil = byId("veil", HTMLDivElement);
    this.soundButton = byId("sound", HTMLButtonElement);
    this.unmute = byId("unmute", HTMLButtonElement);
    this.figures = new Figures(byId("figures", HTMLElement));
    /** @type {Peer | null} */
    this.peer = null;
    this.soundButton.addEventListener("click", () => this.setMuted(!this.video.muted));
    this.unmute.addEventListener("click", () => {
      this.setMuted(false);
      this.tryToPlay();
    });
  }

  /** Cover the portrait while nothing is live. @param {string} words */
  wait(words) {
    byId("veil-text", HTMLSpanElement).textContent = words;
    this.veil.hidden = false;
  }

  /** @param {Peer | null} peer */
  attach(peer) {
    clearInterval(this.timer);
    this.meter?.stop();
    this.peer = peer;
    this.frame.removeAttribute("data-live");
    this.unmute.hidden = true;
    this.figures.clear();
    this.video.srcObject = peer ? peer.stream : null;
    if (!peer) {
      this.veil.hidden = true;
      return;
    }
    this.meter = new FrameMeter(this.video);
    this.attachedAt = performance.now();
    this.starving = false;
    this.timer = setInterval(() => this.look(), 1000);
    this.play();
    this.video.requestVideoFrameCallback(() => {
      if (this.peer !== peer) return;
      this.veil.hidden = true;
      this.frame.setAttribute("data-live", "");
    });
  }

  /** Play with sound where the browser allows it, else without and with a clear way to turn it on. */
  async play() {
    this.setMuted(false);
    if (await this.tryToPlay()) return;
    this.setMuted(true);
    this.unmute.hidden = false;
    await this.tryToPlay();
  }

  /** Whether the browser allows it; a stream that ends meanwhile is no refusal. */
  async tryToPlay() {
    try {
      await this.video.play();
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      return error.name !== "NotAllowedError";
    }
    return true;
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.video.muted = muted;
    this.unmute.hidden = true;
    this.soundButton.setAttribute("aria-pressed", String(muted));
    this.soundButton.title = muted ? "Turn the sound on" : "Mute the person";
    byId("sound-icon", SVGUseElement).setAttribute("href", muted ? "#i-sound-off" : "#i-sound");
  }

  /** @param {string} deviceId loudspeaker, "" for the default */
  async playOn(deviceId) {
    await /** @type {any} */ (this.video).setSinkId(deviceId);
  }

  /** Once a second: figures of this browser, and whether pictures come at all. */
  async look() {
    const { meter, peer } = this;
    if (!meter || !peer) return;
    this.figures.set("Picture", amount(meter.rate(), "fps", 1));
    this.figures.set("Dropped here", amount(this.video.getVideoPlaybackQuality().droppedVideoFrames, "frames"));
    const { delayMs, lossShare } = await peer.figures();
    if (this.peer !== peer) return;
    this.figures.set("Network and buffer", amount(delayMs, "ms"));
    this.figures.set("Packets lost", amount(lossShare === null ? null : 100 * lossShare, "%", 1));
    this.starve(performance.now() - (meter.lastAt ?? this.attachedAt ?? 0) > STARVING_MS && !document.hidden && peer.state === "connected");
  }

  /** @param {boolean} starving */
  starve(starving) {
    if (starving === this.starving) return;
    this.starving = starving;
    this.dispatchEvent(new Event(starving ? "starving" : "flowing"));
  }

  /** @param {Record<string, any>} stats of the server */
  report(stats) {
    this.figures.set("Chunk, median", amount(stats.chunk_ms_p50, "ms"));
    this.figures.set("Chunk, 99 of 100", amount(stats.chunk_ms_p99, "ms"));
    this.figures.set("Ready ahead", amount(stats.lead_ms, "ms"));
    this.figures.set("Speed", amount(stats.rtf ? 1 / stats.rtf : null, "× real time", 1));
    this.figures.set("Underruns", amount(stats.held_ticks, "ticks"));
    this.figures.set("Quality", QUALITY[stats.tier] ?? null);
    this.figures.set("Last reaction", amount(stats.last_reaction_ms, "ms"));
  }

  stopping() {
    this.stopAt = performance.now();
  }

  /** @param {boolean} interrupted */
  stopped(interrupted) {
    if (interrupted && this.stopAt !== undefined) this.figures.set("Last interruption", amount(performance.now() - this.stopAt, "ms"));
    this.stopAt = undefined;
  }
}
