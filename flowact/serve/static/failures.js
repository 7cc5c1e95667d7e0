// @ts-check
/** What went wrong, said to a person: a title, what to do, and whether trying again can help. */

import { ApiError } from "./api.js";

/** @typedef {{code: string, title: string, text: string, retry: boolean}} Failure */

/** @type {Record<string, [title: string, text: string, retry: boolean]>} */
const WORDS = {
  unreachable: ["The server does not answer", "Check that it is running and that this device is on its network, then try again.", true],
  timeout: ["The server is too slow to answer", "It may be loading a model or be overloaded. Try again in a moment.", true],
  unauthorized: ["This server needs a token", "Reload the page and give the token that was printed when the server started.", false],
  ice: ["The picture cannot get through", "The network between you and the server blocks the media connection. Try another network, or ask for a TURN server to be set (--ice-server).", true],
  unsteady: ["The connection broke off", "No media arrived for a while. Check your network and start again.", true],
  no_picture: ["Connected, but no picture arrives", "The server may be overloaded. Wait, or end the session and start again.", false],
  not_sent: ["That was not sent", "The connection to the server is down for a moment. Try again when the page says Live.", false],
  lease: ["The session has ended", "The server did not hear from this page in time, as happens when a device sleeps. Start again.", true],
  gone: ["The server went away", "It stopped or the network broke off. The page tries to find it again when you start.", true],
  mic_denied: ["The microphone is blocked", "Allow it in the address bar of the browser, then press the microphone again. You can type meanwhile.", false],
  mic_missing: ["No microphone was found", "Plug one in or choose another device. You can type meanwhile.", false],
  mic_busy: ["The microphone is in use", "Another program holds it. Close that program, then press the microphone again.", false],
  mic_insecure: ["The browser gives no microphone here", "It does so on https pages and on localhost only. You can type meanwhile.", false],
};

/**
 * @param {string} code
 * @param {string} [detail] what the server said
 * @returns {Failure}
 */
export function failure(code, detail) {
  const [title, text, retry] = WORDS[code] ?? ["Something went wrong", detail ?? `The server reported "${code}".`, true];
  return { code, title, text, retry };
}

/** A failed request as a failure. @param {unknown} error @param {string} title for what the server explains itself @returns {Failure} */
export function failureOf(error, title) {
  if (!(error instanceof ApiError)) throw error;
  if (error.status === 401) return failure("unauthorized");
  if (error.status === 0) return failure(error.code);
  return { code: error.code, title, text: error.message, retry: error.status >= 500 };
}

/** Why a session ended, from `session.closed`. @param {string} reason @returns {Failure} */
export function closedBecause(reason) {
  if (/lease|not there/i.test(reason)) return failure("lease");
  return { code: "closed", title: "The session has ended", text: sentence(reason || "The server closed it."), retry: true };
}

/** @param {string} text */
function sentence(text) {
  const clean = text.trim().replace(/_/g, " ");
  return clean.charAt(0).toUpperCase() + clean.slice(1) + (/[.!?]$/.test(clean) ? "" : ".");
}
