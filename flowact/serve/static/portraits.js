// @ts-check
/** The picker of people: samples of the server and own pictures, which leave this device only after consent. */

import { ApiError } from "./api.js";
import { byId, label, make } from "./ui.js";

/** @typedef {import("./api.js").Api} Api */

/** Dispatches `chosen` when the person in the frame changes, and `failed` (detail: unknown error). Read `portrait`. */
export class Portraits extends EventTarget {
  /** @param {Api} api */
  constructor(api) {
    super();
    this.api = api;
    this.thumbs = byId("thumbs", HTMLDivElement);
    this.upload = byId("upload", HTMLLabelElement);
    this.file = byId("file", HTMLInputElement);
    this.consent = byId("consent", HTMLInputElement);
    this.consentLine = byId("consent-line", HTMLLabelElement);
    this.notes = byId("portrait-notes", HTMLParagraphElement);
    this.still = byId("still", HTMLImageElement);
    /** The id to start a session with, null while there is none. @type {string | null} */
    this.portrait = null;
    /** @type {File | null} */
    this.pending = null;
    /** Largest file that the server takes. */
    this.mostBytes = Infinity;
    this.file.addEventListener("change", () => {
      const file = this.file.files?.[0];
      this.file.value = "";
      if (file) this.offer(file);
    });
    this.consent.addEventListener("change", () => this.consent.checked && this.send());
    this.acceptDrops();
  }

  /** Show the samples and choose the first. */
  async load() {
    const samples = await this.api.portraits();
    const pictures = await Promise.all(samples.map((sample) => this.api.objectUrl(sample.url)));
    for (const old of this.thumbs.querySelectorAll(".thumb:not(.upload)")) old.remove();
    samples.forEach((sample, i) => this.add(sample.id, pictures[i], label(sample.id)));
    const first = this.thumbs.querySelector("input[type=radio]");
    if (first instanceof HTMLInputElement) first.click();
  }

  /** @param {string} id @param {string} url @param {string} name */
  add(id, url, name) {
    const input = make("input", { type: "radio", name: "portrait", value: id, class: "unseen" });
    input.addEventListener("change", () => this.choose(id, url, name));
    const thumb = make("label", { class: "thumb" }, input, make("img", { src: url, alt: name, title: name }));
    this.upload.before(thumb);
    return input;
  }

  /** @param {string} id @param {string} url @param {string} name */
  choose(id, url, name) {
    this.forget();
    this.portrait = id;
    this.show(url, `Portrait: ${name}`);
    this.dispatchEvent(new Event("chosen"));
  }

  /** @param {string} url @param {string} words */
  show(url, words) {
    this.still.src = url;
    this.still.alt = words;
    this.still.hidden = false;
  }

  /** A picture of one's own: shown here at once, sent when the consent is ticked. @param {File} file */
  offer(file) {
    this.forget();
    if (file.size > this.mostBytes) {
      const megabytes = (/** @type {number} */ bytes) => `${Math.round(bytes / (1 << 20))} MB`;
      const words = `It has ${megabytes(file.size)}; this server takes ${megabytes(this.mostBytes)}. Scale it down.`;
      this.dispatchEvent(new CustomEvent("failed", { detail: new ApiError(413, "too_large", words) }));
      return;
    }
    this.pending = file;
    this.portrait = null;
    for (const input of this.thumbs.querySelectorAll("input[type=radio]")) /** @type {HTMLInputElement} */ (input).checked = false;
    this.local = URL.createObjectURL(file);
    this.show(this.local, "Your picture");
    this.consentLine.hidden = false;
    this.notes.textContent = "Tick the box, then the picture is sent to this server and framed. It is kept in memory only.";
    this.consent.focus();
    this.dispatchEvent(new Event("chosen"));
  }

  async send() {
    const file = this.pending;
    if (!file) return;
    this.consent.disabled = true;
    this.notes.textContent = "Framing the picture";
    try {
      const { id, preview_url: preview, notes } = await this.api.upload(file);
      if (this.pending !== file) return;
      const input = this.add(id, await this.api.objectUrl(preview), "Your picture");
      input.click();
      input.focus();
      this.notes.textContent = notes?.length ? notes.join(" ") : "This is how the person will be framed.";
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.forget();
      this.still.hidden = true;
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
    }
  }

  /** Drop a picture that was not sent. */
  forget() {
    if (this.local) URL.revokeObjectURL(this.local);
    this.local = undefined;
    this.pending = null;
    this.consent.checked = false;
    this.consent.disabled = false;
    this.consentLine.hidden = true;
    this.notes.textContent = "";
  }

  acceptDrops() {
    const active = () => document.body.dataset.phase === "choose";
    addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.toggleAttribute("data-drop", active() && Boolean(event.dataTransfer?.types.includes("Files")));
    });
    addEventListener("dragleave", (event) => event.relatedTarget || document.body.removeAttribute("data-drop"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.removeAttribute("data-drop");
      const file = event.dataTransfer?.files[0];
      if (file && active()) this.offer(file);
    });
  }
}
