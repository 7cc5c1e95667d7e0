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

  /** Send now or not at all: what is said must not arrive late. @param {ServerEvent} event @returns {boolean} whether it was sent */
  send(event) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(event));
    return true;
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }
}
