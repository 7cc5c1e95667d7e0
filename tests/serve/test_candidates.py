from __future__ import annotations

import pytest

from flowact.serve.candidates import read_candidate, take_hidden
from flowact.serve.errors import RequestError

HOST = "candidate:1 1 udp 2122260223 192.0.2.7 50000 typ host generation 0"
HIDDEN = "candidate:2 1 udp 2122260222 8d2c6a0e-5a0d.local 50001 typ host generation 0"
OFFER = ["v=0", "m=video 9 UDP/TLS/RTP/SAVPF 96", f"a={HOST}", f"a={HIDDEN}", "a=end-of-candidates", "a=mid:0"]
MORE = ["m=audio 9 UDP/TLS/RTP/SAVPF 111", f"a={HIDDEN}", "a=mid:1"]


def lines(*parts: list[str]) -> str:
    return "".join(f"{line}\r\n" for part in parts for line in part)


def test_hidden_addresses_are_taken_out_and_more_are_awaited() -> None:
    rest, hidden = take_hidden(lines(OFFER, MORE))
    assert rest == lines([line for line in OFFER + MORE if ".local" not in line and "end-of" not in line])
    assert [(c.ip, c.port, c.sdpMLineIndex) for c in hidden] == [
        ("8d2c6a0e-5a0d.local", 50001, 0),
        ("8d2c6a0e-5a0d.local", 50001, 1),
    ]


def test_an_offer_without_hidden_addresses_stays_as_it_is() -> None:
    offer = lines([line for line in OFFER if ".local" not in line])
    assert take_hidden(offer) == (offer, [])


def test_a_candidate_is_read() -> None:
    candidate = read_candidate(HOST, "0", None)
    assert (candidate.ip, candidate.port, candidate.sdpMid, candidate.sdpMLineIndex) == ("192.0.2.7", 50000, "0", None)


@pytest.mark.parametrize(
    "text", ["", "candidate:", "somewhere", HOST.replace("50000", "99999"), HOST.replace("50000", "x"), HOST[:30]]
)
def test_what_is_no_candidate_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_candidate(text, "0", None)
    assert (caught.value.status, caught.value.code) == (400, "bad_candidate")
