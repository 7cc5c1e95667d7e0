"""The page in a real browser, against the fake server."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
from bench.live_page.host import CHROMIUM, CHROMIUM_ARGUMENTS  # noqa: E402
from flowact.serve.app import create_app  # noqa: E402
from flowact.serve.config import ServeConfig  # noqa: E402
from tests.fake_avatar import FakeAvatar  # noqa: E402
from tests.serve.fake_engine import SIZE, FakeEngine  # noqa: E402
from tests.serve.fake_server import AppThread, Behaviour, FakeServer  # noqa: E402

ARGUMENTS = [*CHROMIUM_ARGUMENTS, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
PATIENCE_MS = 240_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"),
]

OpenPage = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS, timeout=PATIENCE_MS)
        yield chromium
        chromium.close()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer(Behaviour(speak_s=300.0))
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def open_page(browser: Any, server: FakeServer) -> Iterator[OpenPage]:
    contexts = []

    def open_page(
        until: str = "body[data-phase=choose]", fragment: str = "", url: str | None = None, **options: Any
    ) -> Any:
        size = {"width": 900, "height": 640}
        context = browser.new_context(**{"viewport": size, "reduced_motion": "reduce", **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda line: line.type in ("error", "warning") and page.complaints.append(line.text))
        page.goto((url or server.url) + fragment)
        page.wait_for_selector(until)
        return page

    yield open_page
    for context in contexts:
        context.close()


def go_live(page: Any) -> None:
    page.click("#start")
    page.wait_for_selector("#frame[data-live]")


def wait_for_notice(page: Any, code: str, words: str) -> None:
    page.wait_for_selector(f'.notice[data-code="{code}"]:has-text("{words}")')


def wait_until(page: Any, expression: str) -> None:
    """Wait for a truth in the page. (The policy of the page forbids the eval in `wait_for_function`.)"""
    for _ in range(1200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {expression}")


def wait_for_event(page: Any, server: FakeServer, kind: str) -> dict[str, Any]:
    for _ in range(1200):
        if server.sent(kind):
            return server.sent(kind)[-1]
        page.wait_for_timeout(100)
    raise AssertionError(f"no {kind} among {server.events}")


def picture_file(size: int = 300) -> dict[str, Any]:
    noise = np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8)
    Image.fromarray(noise).save(file := io.BytesIO(), "png")
    return {"name": "me.png", "mimeType": "image/png", "buffer": file.getvalue()}


def test_a_session_from_start_to_end(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page()
    go_live(page)
    before = page.evaluate("video.currentTime")
    wait_until(page, f"video.currentTime > {before} + 1")
    assert page.evaluate("video.getVideoPlaybackQuality().totalVideoFrames") > 5
    assert not page.evaluate("video.muted")

    page.fill("#text", "How are you?")
    page.keyboard.press("Enter")
    assert wait_for_event(page, server, "input_text.submit")["text"] == "How are you?"
    page.wait_for_selector("body[data-speaking]")
    assert page.inner_text("#state") == "Talking"
    page.keyboard.press("Escape")
    wait_for_event(page, server, "response.cancel")
    page.wait_for_selector("body:not([data-speaking])")
    assert "How are you?" in page.text_content("#talk")

    page.check("#exactly")
    page.fill("#text", "Good morning")
    page.click("button[aria-label=Send]")
    assert wait_for_event(page, server, "speech.say")["text"] == "Good morning"
    page.wait_for_selector("body[data-speaking]")
    page.click("#interrupt")
    page.wait_for_selector("body:not([data-speaking])")
    assert len(server.sent("response.cancel")) == 2

    page.click("#end")
    page.wait_for_selector("body[data-phase=choose]")
    page.wait_for_timeout(500)
    assert server.closed == ["session0"]
    assert page.complaints == []


def test_a_speech_that_is_stopped_is_not_heard_from_then_on(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page()
    go_live(page)
    is_heard = "video.srcObject.getAudioTracks()[0].enabled"
    page.keyboard.press("Escape")
    assert page.evaluate(is_heard), "nothing was spoken"
    page.fill("#text", "How are you?")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-speaking]")
    # All in one go, so that no answer of the server comes between.
    assert page.evaluate(f"[{is_heard}, interrupt.click(), {is_heard}]") == [True, None, False]
    page.wait_for_selector("body:not([data-speaking])")
    wait_until(page, is_heard)
    page.fill("#text", "And now?")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-speaking]")
    page.evaluate("interrupt.click()")
    page.fill("#text", "Go on")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-speaking]")
    wait_until(page, is_heard)
    assert page.complaints == []


def test_directing_recording_and_microphone(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(viewport={"width": 1200, "height": 760}, permissions=["microphone"])
    go_live(page)
    page.click('[data-wish="gesture wave"]')
    assert wait_for_event(page, server, "behaviour.set")["gesture"] == "wave"
    page.wait_for_selector("#behaviour-now:has-text('wave')")
    page.click('[data-wish="auto"]')
    wait_for_event(page, server, "behaviour.clear")
    page.fill("#prompt", "a person laughs")
    page.keyboard.press("Enter")
    page.wait_for_selector("#behaviour-now:has-text('Now: a person laughs')")
    page.click("#live-mode label:has-text('Puppet')")
    assert wait_for_event(page, server, "session.update")["mode"] == "puppet"

    page.click("#mic")
    page.wait_for_selector("#mic[aria-pressed=true]")
    page.wait_for_selector("#level:not([aria-valuenow='0'])", state="attached")
    assert page.locator("#mic-device option").count() > 1
    heard = server.persons["session0"].heard_blocks
    page.wait_for_timeout(1000)
    assert server.persons["session0"].heard_blocks > heard

    page.click("#record")
    page.wait_for_selector("#recording-mark", state="visible")
    with page.expect_download() as coming:
        page.click("#record")
    film = Path(coming.value.path()).read_bytes()
    assert coming.value.suggested_filename.endswith(".mp4")
    assert film[4:8] == b"ftyp"
    assert [event["on"] for event in server.sent("recording")] == [True, False]
    assert page.complaints == []


def test_a_wish_that_is_refused_does_not_stay_pressed(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(viewport={"width": 1200, "height": 760})
    assert page.inner_text('[data-wish="gesture beat"]') == "Talk with hands"
    go_live(page)
    page.click('[data-wish="gesture wave"]')
    page.wait_for_selector("#behaviour-now:has-text('wave')")
    server.behaviour.refuses = True
    page.click('[data-wish="gesture beat"]')
    wait_for_notice(page, "unusable", "cannot be done")
    page.wait_for_selector('[data-wish="gesture wave"][aria-pressed=true]')
    assert page.get_attribute('[data-wish="gesture beat"]', "aria-pressed") == "false"


def test_what_cannot_be_sent_now_is_said_and_never_sent_late(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page()
    go_live(page)
    server.behaviour.is_deaf = True
    server.runner.call(server.persons["session0"].hang_up)
    page.wait_for_selector("#link-text:has-text('Reconnecting')")
    page.fill("#text", "Are you there?")
    page.keyboard.press("Enter")
    wait_for_notice(page, "not_sent", "connection")
    assert page.input_value("#text") == "Are you there?"
    server.behaviour.is_deaf = False
    page.wait_for_selector("#link-text:has-text('Live')")
    page.wait_for_selector(".notice", state="detached")
    page.keyboard.press("Enter")
    assert wait_for_event(page, server, "input_text.submit")["text"] == "Are you there?"
    assert len(server.sent("input_text.submit")) == 1


def test_an_own_picture_is_sent_after_consent_only(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page()
    page.set_input_files("#file", picture_file())
    page.wait_for_selector("#consent-line", state="visible")
    assert page.is_disabled("#start")
    assert list(server.pictures) == ["portrait"]
    page.check("#consent")
    page.wait_for_selector("#start:not([disabled])")
    assert list(server.pictures) == ["portrait", "upload1"]
    assert page.evaluate("document.querySelector('input[name=portrait]:checked').value") == "upload1"

    page.set_input_files("#file", {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.check("#consent")
    wait_for_notice(page, "unusable", "not a picture that can be read")
    assert page.is_disabled("#start")


def test_keyboard_alone_is_enough(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page()
    for _ in range(12):
        page.keyboard.press("Tab")
        # Radio buttons and the file field are unseen; their labels carry the ring.
        assert page.evaluate(
            "[document.activeElement, document.activeElement.closest('label')].some("
            "e => e && getComputedStyle(e).outlineStyle !== 'none' && !e.matches('.unseen'))"
        )
        if page.evaluate("document.activeElement.id") == "start":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-phase=live]")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    assert wait_for_event(page, server, "input_text.submit")["text"] == "Hello"
    page.keyboard.press("Escape")
    wait_for_event(page, server, "response.cancel")


def test_a_phone_needs_no_sideways_scrolling(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("#start").bounding_box()["y"] < 740
    go_live(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.is_hidden("#panel")
    page.tap("#panel-toggle")
    page.wait_for_selector("#panel", state="visible")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    box = page.locator("#interrupt").bounding_box()
    assert box["y"] + box["height"] <= 740


def test_a_busy_server_is_tried_again(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page()
    server.behaviour.full_times = 1
    page.click("#start")
    wait_for_notice(page, "full", "All places are taken")
    page.wait_for_selector("#frame[data-live]")
    assert page.locator(".notice").count() == 0


def test_a_blocked_network_is_explained(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page()
    server.behaviour.blocks_media = True
    page.click("#start")
    wait_for_notice(page, "ice", "TURN")
    assert page.inner_text("#notices button >> nth=0") == "Start again"
    page.wait_for_selector("body[data-phase=choose]")


def test_a_lost_lease_is_explained(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page()
    go_live(page)
    server.behaviour.forgets = True
    wait_for_notice(page, "lease", "did not hear from this page")


def test_a_token_from_the_address_or_from_a_person(open_page: OpenPage, server: FakeServer) -> None:
    server.behaviour.token = "a-long-enough-token"
    page = open_page(fragment="#token=a-long-enough-token")
    assert "token" not in page.url
    asked = open_page(until="#token-dialog[open]")
    asked.fill("#token", "wrong")
    asked.keyboard.press("Enter")
    asked.wait_for_selector("#token-words:has-text('refused')")
    asked.fill("#token", "a-long-enough-token")
    asked.keyboard.press("Enter")
    asked.wait_for_selector("body[data-phase=choose]")


def test_a_server_that_goes_away_is_noticed(open_page: OpenPage, server: FakeServer) -> None:
    page = open_page()
    go_live(page)
    server.stop()
    page.wait_for_selector(".notice")
    page.wait_for_selector("body[data-phase=choose]")


def test_the_page_with_the_application_itself(open_page: OpenPage, samples: Path, quick_samples: None) -> None:
    engine = FakeEngine(slots=1)
    app = AppThread(create_app(engine, FakeAvatar(SIZE), ServeConfig(samples=samples)))  # type: ignore[arg-type]
    try:
        page = open_page(url=f"http://127.0.0.1:{app.port}/", viewport={"width": 1200, "height": 760})
        assert "no voice" in page.inner_text("#lacks")
        go_live(page)
        before = page.evaluate("video.currentTime")
        wait_until(page, f"video.currentTime > {before} + 1")
        page.wait_for_selector("#state:has-text('Idle')")
        page.click('[data-wish="gesture wave"]')
        page.wait_for_selector("#behaviour-now:has-text('waves hello')")
        assert [action.prompt for action in engine.living[0].actions] == ["a person waves hello"]
        page.fill("#text", "Hello")
        page.press("#text", "Enter")
        wait_for_notice(page, "no_voice", "no voice")
        page.press("#text", "Escape")
        wait_until(page, "document.querySelector('#figures').textContent.includes('Ready ahead')")

        page.click("#record")
        page.wait_for_selector("#recording-mark", state="visible")
        page.wait_for_timeout(1000)
        with page.expect_download() as coming:
            page.click("#record")
        assert Path(coming.value.path()).read_bytes()[4:8] == b"ftyp"
        page.click("#end")
        page.wait_for_selector("body[data-phase=choose]")
        for _ in range(100):
            page.wait_for_timeout(100)
            if not engine.living:
                break
        assert engine.living == []
        assert page.complaints == []
    finally:
        app.stop()
