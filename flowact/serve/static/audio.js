// @ts-check
/** The microphone: permission, devices, level. It captures only while it is wanted. */

import { failure } from "./failures.js";

/** @typedef {import("./failures.js").Failure} Failure */

/** @type {Record<string, string>} */
const REASONS = { NotAllowedError: "mic_denied", SecurityError: "mic_denied", NotFoundError: "mic_missing", OverconstrainedError: "mic_missing", NotReadableError: "mic_busy", AbortError: "mic_busy" };

export class Microphone {
  constructor() {
    /** @type {MediaStreamTrack | null} */
    this.track = null;
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {AnalyserNode | null} */
    this.analyser = null;
    this.samples = new Float32Array(1024);
  }

  /**
   * Ask for the microphone and begin to capture.
   * @param {string} deviceId "" for the default
   * @param {boolean} cleaned whether to take out echo and noise
   * @returns {Promise<Failure | null>} null when it runs
   */
  async open(deviceId, cleaned) {
    this.close();
    if (!navigator.mediaDevices) return failure("mic_insecure");
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          deviceId: deviceId ? { exact: deviceId } : undefined,
          channelCount: 1,
          echoCancellation: true,
          noiseSuppression: cleaned,
          autoGainControl: cleaned,
        },
      });
      this.track = stream.getAudioTracks()[0];
      this.context = new AudioContext();
      this.analyser = new AnalyserNode(this.context, { fftSize: this.samples.length });
      this.context.createMediaStreamSource(stream).connect(this.analyser);
      return null;
    } catch (error) {
      if (!(error instanceof DOMException) || !(error.name in REASONS)) throw error;
      return failure(REASONS[error.name]);
    }
  }

  close() {
    this.track?.stop();
    this.context?.close();
    this.track = this.context = this.analyser = null;
  }

  /** Loudness of this moment, 0 (below -60 dB or off) to 1 (full scale). */
  level() {
    if (!this.analyser || !this.track?.enabled) return 0;
    this.analyser.getFloatTimeDomainData(this.samples);
    let energy = 0;
    for (const sample of this.samples) energy += sample * sample;
    const decibels = 10 * Math.log10(energy / this.samples.length + 1e-9);
    return Math.min(1, Math.max(0, 1 + decibels / 60));
  }
}

/** Devices of a kind that have a name; none before the permission. @param {MediaDeviceKind} kind */
export async function devices(kind) {
  if (!navigator.mediaDevices) return [];
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== "default" && device.label);
}
