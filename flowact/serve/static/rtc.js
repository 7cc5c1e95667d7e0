// @ts-check
/** The media connection: picture and sound of the person in, the microphone out. */

/**
 * @typedef {{delayMs: number | null, lossShare: number | null}} NetworkFigures
 */

/** Dispatches `state` whenever the connection changes; read `state`. */
export class Peer extends EventTarget {
  /** @param {RTCIceServer[]} iceServers */
  constructor(iceServers) {
    super();
    this.connection = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.stream = new MediaStream();
    /** Network addresses that were found and not told. @type {RTCIceCandidateInit[]} */
    this.found = [];
    this.connection.addEventListener("icecandidate", ({ candidate }) => candidate?.candidate && this.found.push(candidate.toJSON()));
    this.connection.addTransceiver("video", { direction: "recvonly" });
    // Sending is agreed from the start, so that a microphone can join later without a second negotiation.
    this.voice = this.connection.addTransceiver("audio", { direction: "sendrecv" });
    this.connection.addEventListener("track", ({ track }) => this.stream.addTrack(track));
    this.connection.addEventListener("connectionstatechange", () => this.dispatchEvent(new Event("state")));
  }

  /** @returns {RTCPeerConnectionState} */
  get state() {
    return this.connection.connectionState;
  }

  /** An offer, at once: the network addresses follow, see `accept`. @returns {Promise<import("./api.js").Description>} */
  async offer() {
    await this.connection.setLocalDescription();
    const { sdp, type } = /** @type {RTCSessionDescription} */ (this.connection.localDescription);
    return { sdp, type };
  }

  /**
   * Take the answer. The server often learns addresses from the first packets; until then it is told of them.
   * @param {RTCSessionDescriptionInit} answer
   * @param {(found: RTCIceCandidateInit[]) => void} tell
   */
  async accept(answer, tell) {
    if (this.connection.signalingState === "closed") return;
    await this.connection.setRemoteDescription(answer);
    const pass = () => this.state !== "connected" && this.found.length && tell(this.found.splice(0));
    this.connection.addEventListener("icecandidate", pass);
    pass();
  }

  /** Let no sound out of here, or let it out again; pictures go on. @param {boolean} hushed */
  hush(hushed) {
    for (const track of this.stream.getAudioTracks()) track.enabled = !hushed;
  }

  /** @param {MediaStreamTrack | null} track */
  async setMicrophone(track) {
    await this.voice.sender.replaceTrack(track);
  }

  /** What the network and the jitter buffer add, and the share of packets lost. @returns {Promise<NetworkFigures>} */
  async figures() {
    let roundTripS = null;
    let bufferS = null;
    let lossShare = null;
    for (const row of (await this.connection.getStats()).values()) {
      if (row.type === "candidate-pair" && row.nominated && row.currentRoundTripTime !== undefined) {
        roundTripS = row.currentRoundTripTime;
      }
      if (row.type === "inbound-rtp" && row.kind === "video") {
        bufferS = this.recentBuffer(row.jitterBufferDelay ?? 0, row.jitterBufferEmittedCount ?? 0);
        const all = (row.packetsReceived ?? 0) + (row.packetsLost ?? 0);
        lossShare = all ? (row.packetsLost ?? 0) / all : null;
      }
    }
    const delayMs = roundTripS === null || bufferS === null ? null : 1000 * (roundTripS / 2 + bufferS);
    return { delayMs, lossShare };
  }

  /** Mean time in the jitter buffer since the last call. @param {number} delayS @param {number} count */
  recentBuffer(delayS, count) {
    const [before, counted] = this.buffered ?? [0, 0];
    this.buffered = [delayS, count];
    return count > counted ? (delayS - before) / (count - counted) : null;
  }

  close() {
    this.connection.close();
    for (const track of this.stream.getTracks()) track.stop();
  }
}
