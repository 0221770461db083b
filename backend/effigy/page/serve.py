# SPDX-License-Identifier: Apache-2.0
"""Runs the page's server on a loopback address, until Ctrl-C. Only what takes no time is imported at once."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .loopback import Loopback
from .opening import Opening
from .uploads import LARGEST, Uploads

if TYPE_CHECKING:
    from .studio import Studio

_HOST = "127.0.0.1"
_LEAVE_S = 3  # for what browsers still wait for
_LOOK_S = 0.5


class PageError(Exception):
    """The page cannot be served; the message says why and what to do."""


def serve(load: Callable[[], Studio], port: int, *, open_browser: bool, announce: Callable[[str], None]) -> None:
    """Serves the page of what ``load`` loads at ``port``, 0 for any free one, and gives its address to ``announce``.

    Raises PageError, and what ``load`` raises.
    """
    listening = _listen(port)
    try:
        with tempfile.TemporaryDirectory(prefix="effigy-page-", ignore_cleanup_errors=True) as folder:
            _prepare(folder)
            _leave_in_order()
            _run(load, listening, Path(folder), open_browser, announce)
    finally:
        listening.close()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere it would let two programs share a port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise PageError(f"port {port} cannot be used ({error.strerror}): choose another with --port") from None
    return listening


def _prepare(folder: str) -> None:
    """Sets Gradio up before it is imported: it sends no telemetry, and photographs that it is given are deleted when
    the page ends.
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]  # settings for other pages: share, server name, root path, allowed paths
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder, "HF_HUB_OFFLINE": "1",
                   "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip


def _leave_in_order() -> None:
    """Makes signals that end the program unwind it, so that no photograph is left; the server raises them again."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))


def _run(
    load: Callable[[], Studio],
    listening: socket.socket,
    folder: Path,
    open_browser: bool,
    announce: Callable[[str], None],
) -> None:
    """Answers from the start, on a thread: what the page needs takes seconds to load, and the model comes first."""
    try:
        import uvicorn

        if find_spec("gradio") is None:
            raise ImportError("No module named 'gradio'")
    except ImportError as error:
        raise PageError(f"the page needs Gradio ({error}): install Effigy with its extra, '.[page]'") from None
    port = listening.getsockname()[1]
    opening = Opening()
    server = uvicorn.Server(
        uvicorn.Config(
            Loopback(opening, port), log_level="error", lifespan="on", access_log=False,
            timeout_graceful_shutdown=_LEAVE_S,
        )
    )  # fmt: skip
    ended = threading.Event()

    def answer() -> None:
        try:
            server.run(sockets=[listening])
        finally:
            ended.set()

    threading.Thread(target=answer, name="effigy-page").start()
    try:
        announce(address := f"http://{_HOST}:{port}")
        if open_browser:
            webbrowser.open(address)
        studio = load()
        first = studio.look({"seed": 0})
        if "src" in first:
            opening.show(first["src"], first["words"])
        page = _page(studio, first, port)
        opening.hand_over(Uploads(page, folder), page.router.lifespan_context(page))
        while not ended.wait(_LOOK_S):  # on Windows Ctrl-C does not end a wait without limit
            pass
    finally:
        server.should_exit = True
        ended.wait()  # an Event: a join that a signal has broken off takes the thread for ended (Python 3.11)


def _page(studio: Studio, first: dict[str, Any], port: int) -> Any:
    """Returns the page as an application of FastAPI, with a picture of seed 0 in it."""
    import fastapi
    import gradio as gr

    from .app import build, theme
    from .markup import static

    return gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None), build(studio, first), "/", theme=theme(), css=static("page.css"),
        footer_links=[], max_file_size=LARGEST, show_error=True, ssr_mode=False, pwa=False, mcp_server=False,
        enable_monitoring=False, run_history=False, server_name=_HOST, server_port=port,
    )  # fmt: skip
