# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser, which make page-test runs; make test does not, since it needs Gradio and Chromium.

The page's program and its browser are both watched: whatever either asks beyond this machine fails the test.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from effigy.faces import FIRST_BUNDLE

collect_ignore_glob = [] if os.environ.get("EFFIGY_PAGE") else ["test_*.py"]

SHOTS = Path(__file__).resolve().parents[2] / "out" / "page"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SWITCHES = [  # without them Chromium itself calls home
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]  # fmt: skip
# Runs the command line, and notes each address beyond loopback that it looks up or connects to.
_WATCHED = """
import sys
def watch(event, arguments):
    if event == "socket.connect":
        host = str(arguments[1][0]) if isinstance(arguments[1], tuple) else "unix"
    elif event == "socket.getaddrinfo":
        host = str(arguments[0])
    else:
        return
    if host not in ("127.0.0.1", "localhost", "::1", "unix", "None"):
        print("BEYOND", host, flush=True)
sys.addaudithook(watch)
from effigy.cli import app
app()
"""


@dataclass
class Page:
    """The page's program at work."""

    address: str
    log: Path
    process: subprocess.Popen[bytes]
    first: tuple[float, float]  # seconds from its start to its first picture, and of processor time

    def beyond(self) -> list[str]:
        return [line for line in self.log.read_text(encoding="utf-8").splitlines() if "BEYOND" in line]


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Iterator[Page]:
    """``effigy page`` of the first default."""
    log, temporary = tmp_path_factory.mktemp("page") / "log", tmp_path_factory.mktemp("temporary")
    settings = os.environ | {
        "TMPDIR": str(temporary),
        "GRADIO_SHARE": "True",
        "GRADIO_ANALYTICS_ENABLED": "True",
        "GRADIO_SERVER_NAME": "0.0.0.0",
    }
    started = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", _WATCHED, "page", "--model", str(FIRST_BUNDLE), "--port", "0", "--no-browser"],
            stdout=file, stderr=subprocess.STDOUT, env=settings,
        )  # fmt: skip
    try:
        while "http://" not in log.read_text(encoding="utf-8"):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < started + 300, "the page does not start"
            time.sleep(0.1)
        address = log.read_text(encoding="utf-8").split()[0]
        while not ask(f"{address}/opening").get("src"):
            time.sleep(0.02)
        first = time.monotonic() - started, sum(psutil.Process(process.pid).cpu_times()[:2])
        while not ask(f"{address}/opening")["ready"]:
            time.sleep(0.1)
        yield Page(address, log, process, first)
    finally:
        process.terminate()
        assert process.wait(60) is not None
        assert not list(temporary.glob("effigy-page-*")), "photographs stay behind"


def ask(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(address, timeout=120) as answer:
        return json.load(answer)


@pytest.fixture(scope="session")
def browser():
    """The system's Chromium."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("EFFIGY_CHROMIUM") or next(filter(None, map(shutil.which, _BROWSERS)), None)
    assert path, "these tests need Chromium: apt-get install chromium, or set EFFIGY_CHROMIUM"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=_SWITCHES)
        yield opened
        opened.close()


@pytest.fixture()
def view(program, browser, request):
    """The page in a new window, of the size and colours that a test names: desktop or phone, light or dark."""
    width, height, colours = getattr(request, "param", (1280, 900, "light"))
    SHOTS.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=colours)
    context.set_default_timeout(120_000)
    page, asked, wrong = context.new_page(), [], []
    page.on("request", lambda each: asked.append(each.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.goto(program.address)
    page.locator("[data-painted]").wait_for(state="attached")
    yield page
    context.close()
    assert not [url for url in asked if not url.startswith((program.address, "data:", "blob:"))]
    assert not wrong
    assert not program.beyond()
