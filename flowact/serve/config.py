"""Settings of a server: filled from the command line, whose options also read the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from flowact.core.errors import ConfigError

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@dataclass(frozen=True)
class IceServer:
    """A STUN or TURN server that both ends of a call are told of."""

    url: str
    username: str | None = None
    credential: str | None = None

    @staticmethod
    def parse(text: str) -> IceServer:
        """Read "stun:host:port" or "turn:host:port,username,credential".

        Raises:
            ConfigError: it is neither.
        """
        parts = [part.strip() for part in text.split(",")]
        scheme = parts[0].partition(":")[0]
        is_stun = scheme in ("stun", "stuns") and len(parts) == 1
        is_turn = scheme in ("turn", "turns") and len(parts) == 3 and all(parts)
        if not (is_stun or is_turn) or not parts[0].partition(":")[2]:
            raise ConfigError(
                f'--ice-server is "{text}"; expected "stun:host:port" or "turn:host:port,username,credential"'
            )
        return IceServer(parts[0], *parts[1:])

    def to_browser(self) -> dict[str, str]:
        """As the browser's `RTCIceServer` wants it."""
        answer = {"urls": self.url}
        if self.username is not None and self.credential is not None:
            answer |= {"username": self.username, "credential": self.credential}
        return answer


@dataclass(frozen=True)
class ServeConfig:
    """How a server behaves.

    Attributes:
        host: address it listens on; anything but loopback demands the token.
        port: TCP port.
        token: bearer token of `/v1` and `/metrics`; None only on loopback.
        ice_servers: STUN and TURN servers.
        max_sessions: hard limit of sessions at once, whatever the engine says; None for the engine's measure alone.
        lease_s: how long a session lives without a connection and without a heartbeat.
        longest_session_s: the end of every session; None for never.
        ice_timeout_s: how long a call may take to connect.
        upload_bytes: largest request body.
        portrait_ttl_s: how long an uploaded portrait is kept after its last use.
        most_portraits: uploaded portraits kept at once.
        longest_recording_s: a recording ends by itself after this.
        longest_render_s: longest film of one render.
        most_renders: renders waiting or running at once; finished ones are kept for `render_ttl_s`.
        render_ttl_s: how long a finished film can be fetched.
        drain_s: how long going down may take.
        samples: folder of the portraits that are offered, PNG.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    ice_servers: tuple[IceServer, ...] = ()
    max_sessions: int | None = None
    lease_s: float = 20.0
    longest_session_s: float | None = None
    ice_timeout_s: float = 20.0
    upload_bytes: int = 12 << 20
    portrait_ttl_s: float = 600.0
    most_portraits: int = 32
    longest_recording_s: float = 600.0
    longest_render_s: float = 120.0
    most_renders: int = 4
    render_ttl_s: float = 1800.0
    drain_s: float = 8.0
    samples: Path = field(default=SAMPLES)
