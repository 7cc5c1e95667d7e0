"""Network addresses of the other end of a call: those in an offer, and those that follow it."""

from __future__ import annotations

from aiortc import RTCIceCandidate
from aiortc.sdp import candidate_from_sdp

from flowact.serve.errors import RequestError

_LINE = "a=candidate:"
_END = "a=end-of-candidates"
_ADDRESS = 4
"""Field of a candidate that holds its address."""
_PORTS = range(1, 1 << 16)


def take_hidden(sdp: str) -> tuple[str, list[RTCIceCandidate]]:
    """Take the addresses out of an offer that browsers hide behind an mDNS name (`x.local`).

    To look such a name up takes a second where nobody answers. The call does not need to wait for it: the browser's
    own checks tell its address. What is taken out is to be added beside.

    Returns:
        The offer without them, open for more if there were any; and the candidates.

    Raises:
        RequestError: one of them cannot be read.
    """
    lines, kept, hidden, section = sdp.splitlines(), list[str](), list[RTCIceCandidate](), -1
    for line in lines:
        section += line.startswith("m=")
        if line.startswith(_LINE) and _is_hidden(line):
            hidden.append(read_candidate(line.removeprefix("a="), None, section))
        else:
            kept.append(line)
    if not hidden:
        return sdp, []
    return "".join(f"{line}\r\n" for line in kept if line != _END), hidden


def read_candidate(text: str, mid: str | None, section: int | None) -> RTCIceCandidate:
    """A candidate as browsers write it, "candidate:...", of the media section with that id or index.

    Raises:
        RequestError: it cannot be read.
    """
    message = f'"{text[:80]}" is no ICE candidate; expected "candidate:..." as browsers write it'
    try:
        candidate = candidate_from_sdp(text.removeprefix("candidate:"))
    except (AssertionError, ValueError) as error:
        raise RequestError(400, "bad_candidate", message) from error
    if candidate.port not in _PORTS:
        raise RequestError(400, "bad_candidate", message)
    candidate.sdpMid, candidate.sdpMLineIndex = mid, section
    return candidate


def _is_hidden(line: str) -> bool:
    fields = line.split()
    return len(fields) > _ADDRESS and fields[_ADDRESS].endswith(".local")
