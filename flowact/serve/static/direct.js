// @ts-check
/** The director's panel: behaviour in words, states and gestures; one wish at a time holds until it is given back. */

import { byId, label, make } from "./ui.js";

const AUTO = "auto";
/** Gestures whose names are not what a person would call them. @type {Record<string, string>} */
const GESTURE_WORDS = { beat: "Talk with hands", shake: "Shake head" };

export class Director {
  /** @param {(event: import("./events.js").ServerEvent) => boolean} send says whether it was sent */
  constructor(send) {
    this.send = send;
    this.holds = this.held = AUTO;
    this.states = byId("states", HTMLDivElement);
    this.gestures = byId("gestures", HTMLDivElement);
    this.prompt = byId("prompt", HTMLInputElement);
    this.now = byId("behaviour-now", HTMLParagraphElement);
    byId("behaviour", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const prompt = this.prompt.value.trim();
      if (prompt) this.wish("", { type: "behaviour.set", prompt });
    });
  }

  /** @param {string[]} states @param {string[]} gestures */
  load(states, gestures) {
    this.states.replaceChildren(
      this.chip(AUTO, "Let it choose", { type: "behaviour.clear" }),
      ...states.map((state) => this.chip(`state ${state}`, label(state), { type: "behaviour.set", state })),
    );
    this.gestures.replaceChildren(...gestures.map((gesture) => this.chip(`gesture ${gesture}`, GESTURE_WORDS[gesture] ?? label(gesture), { type: "behaviour.set", gesture })));
    this.reset();
  }

  /** @param {string} id @param {string} words @param {import("./events.js").ServerEvent} event */
  chip(id, words, event) {
    const button = make("button", { type: "button", class: "chip", "data-wish": id, "aria-pressed": "false" }, words);
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-pressed") === "true") this.wish(AUTO, { type: "behaviour.clear" });
      else this.wish(id, event);
    });
    return button;
  }

  /** @param {string} id @param {import("./events.js").ServerEvent} event */
  wish(id, event) {
    const before = this.holds;
    if (!this.send(event)) return;
    this.mark(id);
    this.held = before;
  }

  /** The server did not take the latest wish: the one before it still holds. */
  refused() {
    this.mark(this.held);
  }

  /** @param {string} id the wish that holds, "" for one in words */
  mark(id) {
    this.holds = id;
    for (const chip of document.querySelectorAll("[data-wish]")) chip.setAttribute("aria-pressed", String(chip.getAttribute("data-wish") === id));
  }

  /** What the server says the person does. @param {string} prompt */
  show(prompt) {
    this.now.textContent = prompt ? `Now: ${prompt}` : "The person chooses for itself.";
  }

  reset() {
    this.mark(AUTO);
    this.held = AUTO;
    this.show("");
    this.prompt.value = "";
  }
}
