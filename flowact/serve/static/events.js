// @ts-check
/** The event channel of a session: one JSON object a message, over a WebSocket that comes back after a hiccup. */

/** @typedef {{type: string, [field: string]: any}} ServerEvent */

const RETRIES_MS = [300, 800, 1500, 3000, 5000];

/** Dispatches `message` (detail: ServerEvent), `down`, `up` and `lost`. */
export class EventChannel extends EventTarget {
  /** @param {URL} url address of the socket, token included */
  constructor(url) {
    super();
    this.url = url;
    this.tries = 0;
    this.closed = false;
    this.wasOpen = false;
    /** @type {string[]} */
    this.waiting = [];
    this.open();
  }

  open() {
    this.socket = new WebSocket(this.url);
    this.socket.addEventListener("open", () => this.opened());
    this.socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.dispatchEvent(new CustomEvent("message", { detail: JSON.parse(data) }));
    });
    this.socket.addEventListener("close", () => this.dropped());
  }

  opened() {
    this.tries = 0;
    for (const text of this.waiting.splice(0)) this.socket?.send(text);
    if (this.wasOpen) this.dispatchEvent(new Event("up"));
    this.wasOpen = true;
  }

  dropped() {
    if (this.closed) return;
    const wait = RETRIES_MS[this.tries++];
    if (wait === undefined) {
      this.closed = true;
      this.dispatchEvent(new Event("lost"));
      return;
    }
    this.dispatchEvent(new Event("down"));
    this.timer = setTimeout(() => this.open(), wait);
  }

  /** Send now, or as soon as the socket is open. @param {ServerEvent} event */
  send(event) {
    const text = JSON.stringify(event);
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(text);
    else this.waiting.push(text);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }
}
