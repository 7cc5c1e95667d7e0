// @ts-check
/** Live figures: what this browser sees and what the server reports. */

import { make } from "./ui.js";

/** @typedef {Record<string, number | null | undefined>} Stats */

/** What the server leaves out of the pictures while its machine is too slow, by tier. */
export const QUALITY = ["full", "every second picture", "every second picture, plain lips"];

/** Counts the frames that reach the screen. */
export class FrameMeter {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
    this.count = 0;
    this.since = performance.now();
    /** When the last picture came, or null before the first. @type {number | null} */
    this.lastAt = null;
    this.running = true;
    this.wait();
  }

  wait() {
    this.video.requestVideoFrameCallback((now) => {
      if (!this.running) return;
      this.count++;
      this.lastAt = now;
      this.wait();
    });
  }

  /** Frames a second since the last call. */
  rate() {
    const now = performance.now();
    const rate = (1000 * this.count) / (now - this.since);
    this.count = 0;
    this.since = now;
    return rate;
  }

  stop() {
    this.running = false;
  }
}

export class Figures {
  /** @param {HTMLElement} place a description list */
  constructor(place) {
    this.place = place;
    /** @type {Map<string, HTMLElement>} */
    this.cells = new Map();
  }

  /** @param {string} name @param {string | null} value null leaves a dash */
  set(name, value) {
    let cell = this.cells.get(name);
    if (!cell) {
      cell = make("dd");
      this.cells.set(name, cell);
      this.place.append(make("div", {}, make("dt", {}, name), cell));
    }
    cell.textContent = value ?? "–";
  }

  clear() {
    this.cells.clear();
    this.place.replaceChildren();
  }
}

/** A number with its unit, or null. @param {number | null | undefined} value @param {string} unit @param {number} [digits] */
export function amount(value, unit, digits = 0) {
  return value === null || value === undefined || !Number.isFinite(value) ? null : `${value.toFixed(digits)} ${unit}`.trim();
}
