// @ts-check
/** The HTTP side of the server: token, JSON, errors with a code. */

/**
 * @typedef {{id: string, url: string}} Sample
 * @typedef {{id: string, preview_url: string, notes?: string[]}} Upload
 * @typedef {{sdp: string, type: RTCSdpType}} Description
 * @typedef {{id: string, token?: string, lease_s: number, answer: Description}} Grant
 * @typedef {{json?: unknown, body?: BodyInit, keepalive?: boolean, patienceMs?: number}} Options
 */

const TOKEN_KEY = "flowact.token";
const PATIENCE_MS = 20000;
const PATIENCE_WITH_FILES_MS = 300000;

/** A request that did not give what was asked for. `status` is 0 when the server did not answer at all. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status, or 0
   * @param {string} code machine-readable reason
   * @param {string} message sentence for people
   * @param {number} [retryAfterS] when to ask again
   */
  constructor(status, code, message, retryAfterS) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** Take a token out of the address (`#token=...`), so that it neither stays visible nor is shared by accident. */
export function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  sessionStorage.setItem(TOKEN_KEY, token);
  history.replaceState(null, "", location.pathname + location.search);
}

export class Api {
  /** @param {(wrong: boolean) => Promise<string | null>} askToken asks a person; null when they give up */
  constructor(askToken) {
    this.askToken = askToken;
    /** @type {Promise<string | null> | null} */
    this.asking = null;
  }

  /** Address of a path on this server, also behind a prefix. @param {string} path */
  url(path) {
    return new URL(path.replace(/^\//, ""), document.baseURI);
  }

  /**
   * One request; a 401 asks for a token and tries again.
   * @param {string} method
   * @param {string} path
   * @param {Options} [options]
   * @returns {Promise<Response>}
   */
  async request(method, path, options = {}) {
    for (;;) {
      const token = sessionStorage.getItem(TOKEN_KEY);
      const response = await this.fetch(method, path, token, options);
      if (response.ok) return response;
      const error = await readError(response);
      if (response.status !== 401) throw error;
      if (sessionStorage.getItem(TOKEN_KEY) === token && !(await this.renewToken(token !== null))) throw error;
    }
  }

  /** Ask once, however many requests wait for the answer. @param {boolean} wrong */
  async renewToken(wrong) {
    this.asking ??= this.askToken(wrong).finally(() => (this.asking = null));
    const token = await this.asking;
    if (token) sessionStorage.setItem(TOKEN_KEY, token);
    return token !== null;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {string | null} token
   * @param {Options} options
   */
  async fetch(method, path, token, { json, body, keepalive = false, patienceMs = PATIENCE_MS }) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json" };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (json !== undefined) headers["Content-Type"] = "application/json";
    try {
      return await fetch(this.url(path), {
        method,
        headers,
        body: json === undefined ? body : JSON.stringify(json),
        keepalive,
        signal: keepalive ? undefined : AbortSignal.timeout(patienceMs),
        cache: "no-store",
      });
    } catch (error) {
      const slow = error instanceof DOMException && error.name === "TimeoutError";
      throw new ApiError(0, slow ? "timeout" : "unreachable", slow ? "The server took too long to answer." : "The server does not answer.");
    }
  }

  /** @param {string} method @param {string} path @param {unknown} [json] @returns {Promise<any>} */
  async json(method, path, json) {
    return (await this.request(method, path, { json })).json();
  }

  /** A file of the server as an object URL; pictures need it because `<img>` cannot send a token. @param {string} path */
  async objectUrl(path) {
    return URL.createObjectURL(await (await this.request("GET", path, { patienceMs: PATIENCE_WITH_FILES_MS })).blob());
  }

  /** @returns {Promise<Record<string, any>>} */
  info() {
    return this.json("GET", "v1/info");
  }

  /** @returns {Promise<Sample[]>} */
  async portraits() {
    return this.json("GET", "v1/portraits");
  }

  /** @param {File} file @returns {Promise<Upload>} */
  async upload(file) {
    const form = new FormData();
    form.append("image", file);
    return (await this.request("POST", "v1/portraits", { body: form, patienceMs: PATIENCE_WITH_FILES_MS })).json();
  }

  /** @param {{portrait: string, mode: string, offer: Description}} wish @returns {Promise<Grant>} */
  openSession(wish) {
    return this.json("POST", "v1/sessions", wish);
  }
}

/** @param {Response} response */
async function readError(response) {
  const text = await response.text();
  let code = `http_${response.status}`;
  let message = response.statusText || `The server answered ${response.status}.`;
  try {
    const answer = JSON.parse(text);
    code = answer.error?.code ?? code;
    message = answer.error?.message ?? (typeof answer.detail === "string" ? answer.detail : message);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const after = Number(response.headers.get("Retry-After"));
  return new ApiError(response.status, code, message, after > 0 ? after : undefined);
}
