// Injected before the scripts of the page. It changes nothing that the page does: it notes when pictures are shown and
// when sound is played, all on the clock of performance.now(), in milliseconds.
(() => {
  const BLOCK_PEAKS = 10;
  const KEPT_PICTURES = 200;
  const Socket = window.WebSocket;
  const Peer = window.RTCPeerConnection;
  const request = window.fetch;

  const probe = {
    /** Steps of the start, by name: when each happened first since the click on the button that starts. */
    steps: {},
    /** Events of the server: [received, text]. */
    events: [],
    /** Pictures: [shown, called back, number of the picture in the browser, RTP timestamp, brightness 0..255]. */
    pictures: [],
    /** Blocks of 10 ms of sound: [left the jitter buffer, arrived here, peaks of its tenths 0..32767]. */
    sounds: [],
    keeps: false,
    /** Pictures in full: [shown, RGBA]. */
    kept: [],

    /** Let the page's own socket carry an event; returns when. */
    send(event) {
      const text = JSON.stringify(event);
      const now = performance.now();
      probe.socket.send(text);
      return now;
    },

    /** Press a button of the page; returns when. */
    press(id) {
      const now = performance.now();
      if (id === "start") probe.steps = { click: now };
      document.getElementById(id).click();
      return now;
    },

    /** All that was noted since the last call, and what WebRTC itself says. */
    async take() {
      const { events, pictures, sounds, steps } = probe;
      Object.assign(probe, { events: [], pictures: [], sounds: [] });
      const stats = probe.peer ? [...(await probe.peer.getStats()).values()] : [];
      return { events, pictures, sounds, steps, stats };
    },

    /** The pictures that were kept, as JPEG in base64: [shown, data]. */
    async takeKept() {
      const kept = probe.kept.splice(0);
      const canvas = new OffscreenCanvas(1, 1);
      const files = [];
      for (const [shown, { width, height, data }] of kept) {
        Object.assign(canvas, { width, height });
        canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
        const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 })).arrayBuffer());
        files.push([shown, bytes.toBase64()]);
      }
      return files;
    },
  };
  window.flowactProbe = probe;

  window.WebSocket = class extends Socket {
    constructor(...wishes) {
      super(...wishes);
      probe.socket = this;
      this.addEventListener("message", ({ data }) => typeof data === "string" && probe.events.push([performance.now(), data]));
    }
  };
  window.RTCPeerConnection = class extends Peer {
    constructor(...wishes) {
      super(...wishes);
      probe.peer = this;
      const follow = (type, read, states) => this.addEventListener(type, () => states[read()] && step(states[read()]));
      follow("icegatheringstatechange", () => this.iceGatheringState, { complete: "gathered" });
      follow("iceconnectionstatechange", () => this.iceConnectionState, { checking: "checking", connected: "ice", completed: "ice" });
      follow("connectionstatechange", () => this.connectionState, { connected: "dtls" });
    }
  };
  window.fetch = async (where, options) => {
    const opens = options?.method === "POST" && String(where).endsWith("/v1/sessions");
    if (opens) step("asked");
    const answer = await request(where, options);
    if (opens) step("answered");
    return answer;
  };

  function step(name) {
    probe.steps[name] ??= performance.now();
  }

  const small = new OffscreenCanvas(8, 8).getContext("2d", { willReadFrequently: true });
  const whole = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  function look(video) {
    video.requestVideoFrameCallback((now, facts) => {
      look(video);
      if (!probe.steps.shown) {
        Object.assign(probe.steps, { received: facts.receiveTime, decoded: facts.presentationTime, shown: facts.expectedDisplayTime });
      }
      small.drawImage(video, 0, 0, 8, 8);
      const { data } = small.getImageData(0, 0, 8, 8);
      const brightness = data.reduce((sum, value, i) => sum + (i % 4 === 3 ? 0 : value), 0) / 192;
      probe.pictures.push([facts.expectedDisplayTime, now, facts.presentedFrames, facts.rtpTimestamp ?? null, brightness]);
      if (probe.keeps) keep(video, facts);
    });
  }

  function keep(video, { width, height, expectedDisplayTime }) {
    if (whole.canvas.width !== width || whole.canvas.height !== height) Object.assign(whole.canvas, { width, height });
    whole.drawImage(video, 0, 0);
    probe.kept.push([expectedDisplayTime, whole.getImageData(0, 0, width, height)]);
    if (probe.kept.length > KEPT_PICTURES) probe.kept.shift();
  }

  async function listen(track) {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      const step = samples.length / BLOCK_PEAKS;
      const peaks = Array.from({ length: BLOCK_PEAKS }, (_, i) =>
        Math.round(32767 * samples.subarray(i * step, (i + 1) * step).reduce((most, x) => Math.max(most, Math.abs(x)), 0)),
      );
      probe.sounds.push([value.timestamp / 1000, performance.now(), peaks]);
      value.close();
    }
  }

  addEventListener("DOMContentLoaded", () => {
    const video = document.getElementById("video");
    look(video);
    video.addEventListener("loadedmetadata", () => {
      const [track] = video.srcObject?.getAudioTracks() ?? [];
      if (track) listen(track);
    });
  });
})();
