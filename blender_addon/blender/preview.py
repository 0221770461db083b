# SPDX-License-Identifier: GPL-3.0-or-later
"""The live preview: a timer on the main thread asks when the scene changed and writes what came back."""

from __future__ import annotations

import time

import bpy

from ..core.client import Phase, Preview, RequestError
from ..protocol.messages import Synthesize
from . import plate, session
from .properties import face_of, faces
from .scene_reader import FaceState, UnreadableError, read_face
from .session import FaceRun, state

_ACTIVE_S = 1 / 60
_IDLE_S = 0.1

# A request that a newer one or a restart took the place of: the next tick asks again.
_RETRY = {"superseded", "cancelled", "unknown-identity", "loading"}


def tick() -> float:
    """One look at connection, answers and scene; returns the seconds until the next. Main thread only."""
    session.reap()
    scene = bpy.context.scene
    if state.is_rendering or state.is_baking or scene is None:
        return _IDLE_S
    live = [proxy for proxy in faces(scene) if face_of(proxy).source == "LIVE"]
    if not session.is_ready():
        _show_outage(live)
        return _IDLE_S
    assert state.client is not None
    by_stream = {session.run_of(proxy).stream: proxy for proxy in live}
    for preview in state.client.previews():
        if proxy := by_stream.get(preview.stream):
            _receive(proxy, session.run_of(proxy), preview)
    for proxy in live:
        _open(proxy, session.run_of(proxy))
    if state.dirty and live:
        state.dirty = False
        depsgraph = bpy.context.evaluated_depsgraph_get()
        for proxy in live:
            _ask(proxy, session.run_of(proxy), scene, depsgraph)
    busy = state.client.is_busy or state.dirty or any(session.run_of(p).opening for p in live)
    return _ACTIVE_S if busy else _IDLE_S


def _show_outage(live: list[bpy.types.Object]) -> None:
    """A lost backend must not leave an old picture standing as if it were a new one."""
    link = session.link()
    state.dirty = True  # look at the scene as soon as the backend is back
    lost = link is not None and link.phase in (Phase.LOST, Phase.REFUSED)
    for proxy in live:
        run = session.run_of(proxy)
        run.reopen()
        if lost and link is not None:
            _fail(proxy, run, link.detail)


def _fail(proxy: bpy.types.Object, run: FaceRun, problem: str) -> None:
    if run.problem != problem:
        run.problem = problem
        run.shown = None
        plate.show_error(proxy)


def _open(proxy: bpy.types.Object, run: FaceRun) -> None:
    """Opens the face's identity without waiting; the answer is looked at in a later tick.

    What was refused is not asked again until it changes.
    """
    anchor = session.anchor_of(proxy)
    if run.opening is None and run.opened != anchor:
        assert state.client is not None
        run.opened, run.identity = anchor, ""
        run.opening = state.client.ask(session.open_request(proxy), timeout=30.0)
    if run.opening is not None and run.opening.done():
        opening, run.opening = run.opening, None
        try:
            run.identity = opening.result().identity
            run.problem, run.wanted, state.dirty = "", None, True
        except RequestError as error:
            _fail(proxy, run, str(error))


def _ask(proxy: bpy.types.Object, run: FaceRun, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    try:
        wanted = read_face(proxy, scene, depsgraph)
    except UnreadableError as error:
        _fail(proxy, run, str(error))
        return
    if wanted.parameters == run.shown:
        plate.place(proxy, wanted.plate)
    if run.identity and wanted.parameters != run.wanted:
        assert state.client is not None
        run.wanted = wanted.parameters
        controls = dict(wanted.controls)
        request = Synthesize(run.identity, wanted.yaw, wanted.pitch, controls, "preview", "rgba8", run.stream)
        state.client.preview(request, tag=wanted)


def _receive(proxy: bpy.types.Object, run: FaceRun, preview: Preview) -> None:
    if preview.error is not None:
        run.wanted = None
        if preview.error.code in _RETRY:
            state.dirty = True
            if preview.error.code == "unknown-identity":
                run.reopen()
        else:
            _fail(proxy, run, str(preview.error))
        return
    assert preview.pixels is not None
    assert isinstance(preview.tag, FaceState)
    plate.show(proxy, preview.pixels)
    plate.place(proxy, preview.tag.plate)
    run.shown, run.problem = preview.tag.parameters, ""
    run.milliseconds = 1e3 * (time.monotonic() - preview.asked)


def start() -> None:
    """Starts the timer; it survives loading files. Called when something connects."""
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=0.0, persistent=True)


def register() -> None:
    pass  # the timer starts with the first connection


def unregister() -> None:
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
