// @ts-check
/** The side panel, a drawer on small screens, and the question for the token. */

import { byId } from "./ui.js";

const KEY = "flowact.panel";

export class Panel {
  constructor() {
    this.panel = byId("panel", HTMLElement);
    this.toggle = byId("panel-toggle", HTMLButtonElement);
    this.wide = matchMedia("(min-width: 62rem)");
    this.toggle.addEventListener("click", () => this.wish(this.panel.hidden));
    byId("panel-close", HTMLButtonElement).addEventListener("click", () => {
      this.wish(false);
      this.toggle.focus();
    });
  }

  /** @param {boolean} open */
  wish(open) {
    if (this.wide.matches) localStorage.setItem(KEY, open ? "open" : "closed");
    this.show(open);
    if (open) this.panel.focus({ preventScroll: true });
  }

  openIfWide() {
    this.show(this.wide.matches && localStorage.getItem(KEY) !== "closed");
  }

  close() {
    this.show(false);
  }

  /** @param {boolean} open */
  show(open) {
    this.panel.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
    document.body.toggleAttribute("data-panel", open);
  }
}

/** Ask a person for the token of the server; null when they give up. @param {boolean} wrong whether one was refused @returns {Promise<string | null>} */
export function askToken(wrong) {
  const dialog = byId("token-dialog", HTMLDialogElement);
  const input = byId("token", HTMLInputElement);
  const form = byId("token-form", HTMLFormElement);
  const cancel = byId("token-cancel", HTMLButtonElement);
  byId("token-words", HTMLParagraphElement).textContent = wrong
    ? "The server refused that token. It was printed when the server started."
    : "It was printed when the server started. It stays in this tab only.";
  input.value = "";
  return new Promise((answer) => {
    const done = new AbortController();
    const finish = (/** @type {string | null} */ token) => {
      done.abort();
      dialog.close();
      answer(token);
    };
    const { signal } = done;
    form.addEventListener("submit", (event) => (event.preventDefault(), finish(input.value.trim())), { signal });
    cancel.addEventListener("click", () => finish(null), { signal });
    dialog.addEventListener("cancel", (event) => (event.preventDefault(), finish(null)), { signal });
    dialog.showModal();
  });
}
