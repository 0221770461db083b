# SPDX-License-Identifier: Apache-2.0
"""A package index on loopback, of small wheels that stand for the real ones."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path


class Index(http.server.BaseHTTPRequestHandler):
    """A package index: /simple/ and /cpu/ list ``root``'s wheels; /files/ serves them, and can be cut off or slowed."""

    root: Path
    address: str
    asked: list[str]
    cut = 0  # so many answers end in the middle
    slow = 0.0  # seconds for each 10 kB

    def do_GET(self) -> None:
        self.asked.append(f"{self.path} {self.headers.get('Range', '')}".strip())
        _, place, name = self.path.split("/")[:3]
        if place != "files":
            wheels = sorted(self.root.glob(f"{name.replace('-', '_')}-*.whl"))
            body = "".join(f'<a href="/files/{wheel.name}">{wheel.name}</a>' for wheel in wheels).encode()
            self._answer(200 if wheels else 404, body, "text/html")
            return
        path = self.root / name
        if not path.is_file():
            self._answer(404, b"", "text/plain")
            return
        data, start = path.read_bytes(), 0
        if given := self.headers.get("Range"):
            start = int(given.removeprefix("bytes=").rstrip("-"))
        if self.slow:
            self.send_response(200)
            self.end_headers()
            for at in range(0, len(data), 10_000):
                self.wfile.write(data[at : at + 10_000])
                time.sleep(self.slow)
            return
        end = len(data)
        if type(self).cut:
            type(self).cut -= 1
            end = start + (len(data) - start) // 2
        self.send_response(206 if given else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:end])

    def _answer(self, code: int, body: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serve(root: Path) -> Iterator[type[Index]]:
    """The index at work, over the wheels that are laid into ``root``; it knows its ``address``."""
    handler = type("Handler", (Index,), {"root": root, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    handler.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
