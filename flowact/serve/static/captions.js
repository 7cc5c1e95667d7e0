// @ts-check
/** What both say: two lines under the picture, the whole talk in the panel, and final lines for screen readers. */

import { byId, make } from "./ui.js";

const SHOWN_MS = 9000;
const KEPT = 200;

/** @typedef {{who: string, text: string, final: boolean}} Transcript */

export class Captions {
  constructor() {
    this.shown = byId("captions", HTMLDivElement);
    this.spoken = byId("captions-spoken", HTMLDivElement);
    this.talk = byId("talk", HTMLOListElement);
    /** @type {Map<string, {line: HTMLElement, entry: HTMLElement, timer: ReturnType<typeof setTimeout>}>} */
    this.open = new Map();
  }

  /** @param {Transcript} transcript */
  add({ who, text, final }) {
    const name = who === "user" ? "You" : "Person";
    const now = this.open.get(who) ?? this.begin(who, name);
    /** @type {HTMLElement} */ (now.line.lastElementChild).textContent = text;
    /** @type {HTMLElement} */ (now.entry.lastElementChild).textContent = text;
    if (!now.line.isConnected) this.shown.append(now.line);
    clearTimeout(now.timer);
    now.timer = setTimeout(() => now.line.remove(), SHOWN_MS);
    this.talk.scrollTop = this.talk.scrollHeight;
    if (!final) return;
    this.open.delete(who);
    this.spoken.textContent = `${name}: ${text}`;
  }

  /** @param {string} who @param {string} name */
  begin(who, name) {
    const row = () => make("p", { "data-who": who }, make("b", {}, name), " ", make("span"));
    const entry = make("li", { "data-who": who }, make("b", {}, name), " ", make("span"));
    const line = row();
    for (const old of this.shown.querySelectorAll(`[data-who="${CSS.escape(who)}"]`)) old.remove();
    this.shown.append(line);
    while (this.shown.childElementCount > 2) this.shown.firstElementChild?.remove();
    this.talk.append(entry);
    while (this.talk.childElementCount > KEPT) this.talk.firstElementChild?.remove();
    const now = { line, entry, timer: setTimeout(() => {}, 0) };
    this.open.set(who, now);
    return now;
  }

  clear() {
    for (const { timer } of this.open.values()) clearTimeout(timer);
    this.open.clear();
    this.shown.replaceChildren();
    this.spoken.textContent = "";
    this.talk.replaceChildren();
  }
}
