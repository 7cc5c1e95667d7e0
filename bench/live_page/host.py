"""The two ends of a measurement: a server in a process of its own, and its page in a real browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
)
STAND_IN = ("-m", "bench.live_page.stand_in")
REAL = ("-c", "from flowact.cli import main; main()", "serve")
_ROOT = Path(__file__).resolve().parents[2]
_PROBE = Path(__file__).parent / "probe.js"
_PATIENCE_S = 600.0
_LOOK_S = 0.05


@contextmanager
def serve(command: tuple[str, ...]) -> Iterator[str]:
    """Run `python command --port N` until the end of the block; gives the address once sessions can be opened.

    Raises:
        RuntimeError: the server ended, or was not ready in time; with the end of what it wrote.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOWACT_")}
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [sys.executable, *command, "--port", str(port)], cwd=_ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            begin_s = time.monotonic()
            while not _is_ready(url):
                if server.poll() is not None or time.monotonic() - begin_s > _PATIENCE_S:
                    log.seek(0)
                    raise RuntimeError(f"The server did not start (exit code {server.poll()}):\n{log.read()[-2000:]}")
                time.sleep(_LOOK_S)
            yield url
        finally:
            server.terminate()
            server.wait(_PATIENCE_S)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def browse(url: str) -> Iterator[LivePage]:
    """Open the page of a server in Chromium, with the probe in it, until the end of the block."""
    with sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path=str(CHROMIUM), args=list(CHROMIUM_ARGUMENTS), timeout=1000 * _PATIENCE_S
        )
        page = browser.new_page(viewport={"width": 900, "height": 640}, reduced_motion="reduce")
        page.set_default_timeout(1000 * _PATIENCE_S)
        page.add_init_script(path=_PROBE)
        page.goto(url)
        page.wait_for_selector("#start:not([disabled])")
        try:
            yield LivePage(page, url)
        finally:
            browser.close()


class LivePage:
    """The page with the probe. Times are milliseconds on the clock of the browser."""

    def __init__(self, page: Page, url: str) -> None:
        self._page, self._url = page, url

    def press(self, id: str) -> float:
        """Press a button of the page; returns when."""
        return float(self._page.evaluate("id => flowactProbe.press(id)", id))

    def send(self, event: dict[str, Any]) -> float:
        """Send an event of a client on the page's own socket; returns when."""
        return float(self._page.evaluate("event => flowactProbe.send(event)", event))

    def keep_pictures(self, keeps: bool) -> None:
        """Keep the last eight seconds of pictures in full, or no more."""
        self._page.evaluate("keeps => { flowactProbe.keeps = keeps; }", keeps)

    def take_kept(self) -> list[tuple[float, str]]:
        """The pictures that were kept: when they were shown, and a JPEG in base64."""
        return [(shown, data) for shown, data in self._page.evaluate("flowactProbe.takeKept()")]

    def take(self) -> dict[str, Any]:
        """What the probe noted since the last call."""
        notes: dict[str, Any] = self._page.evaluate("flowactProbe.take()")
        return notes

    def wait_for_event(self, kind: str) -> None:
        """Wait until the server has sent such an event since the last `take`.

        Raises:
            TimeoutError: it did not come.
        """
        end_s = time.monotonic() + _PATIENCE_S
        while not self._page.evaluate("kind => flowactProbe.events.some(([, t]) => JSON.parse(t).type === kind)", kind):
            if time.monotonic() > end_s:
                raise TimeoutError(f"The server sent no {kind} within {_PATIENCE_S:.0f} s.")
            self.wait(_LOOK_S)

    def wait(self, seconds: float) -> None:
        """Let the page live on."""
        self._page.wait_for_timeout(1000 * seconds)

    def start(self) -> float:
        """Begin a session as a user does, and return when the button was pressed, once pictures flow."""
        pressed = self.press("start")
        self._page.wait_for_selector("#frame[data-live]")
        return pressed

    def end(self) -> None:
        """End the session as a user does."""
        self.press("end")
        self._page.wait_for_selector("body[data-phase=choose]")

    def metric(self, name: str) -> float:
        """A figure of the server's `/metrics`."""
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.split()[0] == name)
