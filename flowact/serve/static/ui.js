// @ts-check
/** Small helpers for the document, and the notices. */

/** @typedef {import("./failures.js").Failure} Failure */

/**
 * The element with this id; a missing one is a mistake in the page.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const element = document.getElementById(id) ?? document.querySelector(`#${id}`);
  if (!(element instanceof kind)) throw new Error(`#${id} is not a ${kind.name}`);
  return element;
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Partial<Record<string, string>>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** "hand_to_chin" -> "Hand to chin". @param {string} id */
export function label(id) {
  const words = id.replace(/[_-]/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The value of the checked radio button of a group. @param {string} name */
export function chosen(name) {
  return /** @type {HTMLInputElement | null} */ (document.querySelector(`input[name="${name}"]:checked`))?.value ?? "";
}

/** @param {string} name @param {string} value */
export function choose(name, value) {
  const input = /** @type {HTMLInputElement | null} */ (document.querySelector(`input[name="${name}"][value="${value}"]`));
  if (input) input.checked = true;
}

/** @param {number} seconds */
export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

/** Messages under the picture. One at a time: the latest is what matters. */
export class Notices {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
  }

  clear() {
    clearInterval(this.timer);
    this.place.replaceChildren();
  }

  /** Take a notice back if it is the one that is shown. @param {string} code */
  withdraw(code) {
    if (this.place.querySelector(`[data-code="${CSS.escape(code)}"]`)) this.clear();
  }

  /**
   * @param {Failure} failure
   * @param {{label: string, run: () => void}} [action]
   */
  show(failure, action) {
    this.clear();
    const box = make("div", { class: "notice", role: "alert", "data-code": failure.code }, make("div", {}, make("strong", {}, failure.title), make("p", {}, failure.text)));
    const row = make("div", { class: "row" });
    if (action) row.append(this.button(action.label, action.run, "primary"));
    row.append(this.button("Dismiss", () => {}, "quiet"));
    box.append(row);
    this.place.append(box);
    box.scrollIntoView({ block: "nearest" });
    return box;
  }

  /**
   * A notice that acts by itself when the time is over.
   * @param {Failure} failure
   * @param {number} seconds
   * @param {() => void} run
   * @param {() => void} cancel
   */
  countDown(failure, seconds, run, cancel) {
    this.clear();
    const left = make("span", { "aria-hidden": "true" });
    const box = make("div", { class: "notice", role: "alert", "data-code": failure.code }, make("div", {}, make("strong", {}, failure.title), make("p", {}, failure.text, " ", left)));
    box.append(make("div", { class: "row" }, this.button("Try now", run, "primary"), this.button("Cancel", cancel, "quiet")));
    this.place.append(box);
    const due = performance.now() + seconds * 1000;
    const tick = () => {
      const rest = Math.ceil((due - performance.now()) / 1000);
      left.textContent = `Next try in ${Math.max(0, rest)} s.`;
      if (rest > 0) return;
      this.clear();
      run();
    };
    this.timer = setInterval(tick, 250);
    tick();
  }

  /** @param {string} words @param {() => void} run @param {string} kind */
  button(words, run, kind) {
    const button = make("button", { type: "button", class: kind }, words);
    button.addEventListener("click", () => {
      this.clear();
      run();
    });
    return button;
  }
}
