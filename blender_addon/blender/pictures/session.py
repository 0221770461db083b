# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of this run of Blender: the connection, the child process, what each face last showed.

It lives in this module and never in a .blend; faces are remembered by name, since references do not
survive undo or loading a file.
"""

from __future__ import annotations

import atexit
import contextlib
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from effigy_client.client import Client
from effigy_client.link import GoneError, Link, Phase, RequestError
from effigy_client.memory import PictureMemory
from effigy_client.process import BackendError, LocalBackend, is_alive
from effigy_protocol.connection import Connection, ConnectionFileError, OtherVersionError, read_connection
from effigy_protocol.messages import OpenIdentity, Welcome

from .. import preferences
from ..preferences import PreferencesError
from ..scene.properties import Name, face_of, name_of
from ..translation import rpt_

_START_S = 60.0  # for a backend of our own to start and load its model, when something waits for it
_FIND_S = 15.0  # for a backend that is said to run already
OPEN_S = 30.0  # for an identity to open


@dataclass(slots=True)
class FaceRun:
    """What is known of a face in this run."""

    stream: int
    identity: str = ""  # the service's key, once open
    opening: Any = None  # (future, anchor) of an OpenIdentity on its way
    opened: tuple[str, str] | None = None  # (model, latent) that was last tried to open; None: try
    wanted: Any = None  # parameters last asked for
    shown: Any = None  # parameters of the picture on the plate; None: nothing valid
    problem: str = ""
    clamped: tuple[str, ...] = ()  # what was asked beyond the model's range
    asked: int = 0  # counts what was asked
    showing: int = 0  # which of them the plate shows: an answer that comes late must not replace a newer one
    exact: bool = False  # whether the plate shows what a final would
    changed: float = 0.0  # time.monotonic() of the last asking
    refining: Any = None  # (future, epoch, anchor, asked, state) of the exact picture on its way
    refused: int = -1  # the asking whose exact picture could not be had
    milliseconds: float = 0.0  # from asking to pixels, of the last preview
    painting: float = 0.0  # the backend's own milliseconds for a picture of full size
    rate: float = 0.0  # pictures per second while moving
    drawn: float = 0.0  # time.monotonic() of the last picture
    stale: list[str] = field(default_factory=list)  # what the baked picture of this frame has another of
    cached: dict[int, tuple[object, ...]] = field(default_factory=dict)  # by frame: what Cache painted it from
    failing: bool = False  # whether opening the identity failed for a reason that may pass
    took: float = 0.0  # milliseconds from asking to the answer, of the last preview
    cache: str = ""  # "fresh" or "stale": what the current frame's cached picture is
    cache_differs: list[str] = field(default_factory=list)  # what a stale one has another of
    looked: bool = False  # whether this session knows what the plate shows: a file says it for its own picture

    @property
    def is_right(self) -> bool:
        """Whether the plate shows what a final would of what is wanted now: it is exact, and not of a moment ago."""
        return self.exact and self.shown is not None and self.shown == self.wanted

    def ask_for(self, parameters: Any) -> None:
        """Another picture is wanted from now on."""
        self.wanted, self.changed, self.asked = parameters, time.monotonic(), self.asked + 1

    def reopen(self) -> None:
        """The service has forgotten the identity, or is another one: open it again."""
        self.identity, self.opening, self.opened = "", None, None
        self.wanted, self.refining, self.milliseconds, self.failing = None, None, 0.0, False


@dataclass(slots=True)
class Session:
    client: Client | None = None
    backend: LocalBackend | None = None
    leaving: list[LocalBackend] = field(default_factory=list)  # stopped, not yet gone
    runs: dict[Name, FaceRun] = field(default_factory=dict)  # by the proxy's name
    proxies: set[Name] | None = None  # the names of the faces that the last look saw
    outage: bool = True  # whether the last look found no backend
    is_rendering: bool = False
    is_baking: bool = False
    told: set[Name] = field(default_factory=set)  # faces whose stale bake this render has told
    frame: int = 0  # the one that renders; shutters look beside it
    epoch: int = 0  # counts renders, undos and loads: pictures asked before one are not shown after it
    dirty: bool = True  # the scene may have changed since the last look
    baked_dirty: bool = True  # the same, for the look at baked faces
    restore: tuple[str, bool, bool] | None = None  # the scene that renders, and its settings before
    problem: str = ""  # of the connection, for the panel
    streams: int = 0
    memory: PictureMemory = field(default_factory=PictureMemory)
    capture: Any = None  # the live_capture.LiveCapture that runs


state = Session()

# Called whenever a connection is made; the preview starts its timer here.
on_connect: list[Callable[[], None]] = []


def link() -> Link | None:
    """The connection's state, or None when nobody asked for one."""
    return state.client.link if state.client else None


def is_ready() -> bool:
    current = link()
    return current is not None and current.phase is Phase.READY


def run_of(proxy: bpy.types.Object) -> FaceRun:
    """The run-time state of a face, made on first use."""
    name = name_of(proxy)
    if name not in state.runs:
        state.streams += 1
        state.runs[name] = FaceRun(state.streams)
    return state.runs[name]


def connect() -> None:
    """Starts the backend or looks for a running one, as the preferences say; returns at once.

    Raises BackendError when the command cannot be started.
    """
    if state.client is not None:
        return
    chosen = preferences.get()
    state.problem = ""
    state.memory.resize(chosen.memory << 20)
    if chosen.source == "LOCAL":
        folder = Path(bpy.utils.extension_path_user(preferences.PACKAGE, path="backend", create=True))
        state.backend = LocalBackend(chosen.command, folder, bpy.path.abspath(chosen.model))
        path = state.backend.connection_file
    else:
        if not chosen.connection_file:
            raise BackendError(rpt_("no connection file is set: choose one in the add-on's preferences"))
        path = Path(bpy.path.abspath(chosen.connection_file))
    state.client = Client(_finder(path, state.backend), f"Blender {bpy.app.version_string}", _killer(state.backend))
    for start in on_connect:
        start()


def _finder(path: Path, backend: LocalBackend | None) -> Callable[[], Connection]:
    """A function that finds the service; it runs on the client's thread and so holds no bpy."""

    def find() -> Connection:
        if backend is not None and backend.exit_code is not None:
            words = backend.last_words() or f"its log is in {backend.folder}"
            raise GoneError(f"the backend ended with code {backend.exit_code}: {words}")
        if backend is not None and not path.is_file():
            raise ConnectionFileError(f"the backend is starting; its log is in {backend.folder}")
        try:
            connection = read_connection(path)
        except OtherVersionError as error:
            raise GoneError(str(error)) from None
        if connection.machine == platform.node() and not is_alive(connection.pid):
            raise GoneError(f"the backend that wrote {path} (process {connection.pid}) has ended")
        return connection

    return find


def _killer(backend: LocalBackend | None) -> Callable[[], None] | None:
    """A function that ends a backend of our own that hangs: it can be started again then, as one that died."""
    return None if backend is None else lambda: backend.kill("it answered nothing any more, and was ended")


def disconnect() -> None:
    """Closes the connection and stops the backend if this Blender started it; returns soon."""
    if state.client is not None:
        state.client.close()
        state.client = None
    if state.backend is not None:
        state.backend.stop()
        state.leaving.append(state.backend)
        state.backend = None
    for run in state.runs.values():
        run.reopen()


def ensure_ready() -> Client:
    """A connected client, waited for: for renders, bakes and scripts. Raises RequestError."""
    if state.client is None:
        try:
            connect()
        except (BackendError, PreferencesError) as error:
            raise RequestError("no-backend", str(error), "") from None
    client = state.client
    assert client is not None
    client.wait_ready(_START_S if state.backend else _FIND_S)
    return client


def welcome() -> Welcome | None:
    current = link()
    return current.welcome if current else None


def earlier_model(proxy: bpy.types.Object) -> str:
    """The name of the face's model where the backend paints it besides its own: of an earlier default; else ""."""
    described = welcome()
    known = {other.model: other.name for other in described.others} if described is not None else {}
    return known.get(face_of(proxy).model, "")


def open_request(proxy: bpy.types.Object) -> OpenIdentity:
    """The request that opens a face's own latent."""
    return OpenIdentity(latent=face_of(proxy).latent_bytes(), model=face_of(proxy).model)


def anchor_of(proxy: bpy.types.Object) -> tuple[str, str]:
    """What an opened identity stands for: (model, latent)."""
    return face_of(proxy).model, face_of(proxy).latent


def key_of(proxy: bpy.types.Object, parameters: Any) -> tuple[object, ...]:
    """What the exact picture of a face is remembered under."""
    return *anchor_of(proxy), parameters


def restart_backend() -> None:
    """Starts this Blender's own backend again when it has died. Raises RequestError when it cannot be started."""
    if state.backend is None or state.backend.exit_code is None:
        return
    disconnect()
    try:
        connect()
    except (BackendError, PreferencesError) as error:
        raise RequestError("no-backend", str(error), "") from None


def pause() -> None:
    """For scripts that wait for an answer: no longer than the shortest picture takes."""
    time.sleep(0.002)


def ensure_open(proxy: bpy.types.Object) -> str:
    """The service's key of a face's identity, opened if need be, waited for. Raises RequestError."""
    client, run = ensure_ready(), run_of(proxy)
    if not run.identity or run.opened != anchor_of(proxy):
        run.identity = client.call(open_request(proxy), OPEN_S).identity
        run.opened = anchor_of(proxy)
    return run.identity


def forget_gone_faces() -> None:
    """Drops what is known of faces that no scene holds any more."""
    for name in list(state.runs):
        proxy = bpy.data.objects.get(name)  # type: ignore[call-overload,unused-ignore]
        if proxy is None or not face_of(proxy).is_face or not proxy.users_scene:
            del state.runs[name]


def release_unused() -> None:
    """Has the backend forget the identities that no face has any more: of faces that changed, or are gone."""
    runs = state.runs.values()
    if state.client is not None and not any(run.opening for run in runs):
        state.client.release_all_but({run.identity for run in runs})


def reap() -> None:
    """Collects stopped backends that have left."""
    state.leaving = [backend for backend in state.leaving if not backend.reap()]


def shut_down() -> None:
    """Leaves nothing behind: for the end of Blender and for unregistering."""
    disconnect()
    for backend in state.leaving:
        with contextlib.suppress(OSError):
            backend.stop_and_wait()
    state.leaving.clear()
    state.runs.clear()


def register() -> None:
    atexit.register(shut_down)


def unregister() -> None:
    atexit.unregister(shut_down)
    shut_down()
