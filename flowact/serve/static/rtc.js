// @ts-check
/** The media connection: picture and sound of the person in, the microphone out. */

const GATHER_MS = 1500;

/**
 * @typedef {{delayMs: number | null, lossShare: number | null}} NetworkFigures
 */

/** Dispatches `state` whenever the connection changes; read `state`. */
export class Peer extends EventTarget {
  /** @param {RTCIceServer[]} iceServers */
  constructor(iceServers) {
    super();
    this.connection = new RTCPeerConnection({ iceServers });
    this.stream = new MediaStream();
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

  /**
   * Make an offer with its network addresses, hand it over, take the answer.
   * @param {(offer: import("./api.js").Description) => Promise<RTCSessionDescriptionInit>} exchange
   */
  async connect(exchange) {
    await this.connection.setLocalDescription(await this.connection.createOffer());
    await this.gathered();
    const { sdp, type } = /** @type {RTCSessionDescription} */ (this.connection.localDescription);
    const answer = await exchange({ sdp, type });
    if (this.connection.signalingState !== "closed") await this.connection.setRemoteDescription(answer);
  }

  /** All addresses, or those known after a short while: a slow STUN server must not hold up the start. */
  gathered() {
    const { connection } = this;
    return /** @type {Promise<void>} */ (
      new Promise((done) => {
        const look = () => connection.iceGatheringState === "complete" && done();
        connection.addEventListener("icegatheringstatechange", look);
        setTimeout(done, GATHER_MS);
        look();
      })
    );
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
