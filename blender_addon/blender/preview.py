# SPDX-License-Identifier: GPL-3.0-or-later
"""The live preview: a timer on the main thread asks when the scene changed and writes what came back."""

from __future__ import annotations

import time
import traceback

import bpy

from ..core.client import Phase, Preview, RequestError
from ..protocol.messages import Synthesize
from . import plate, rig, session
from .properties import face_of, faces, has_own_plate
from .scene_reader import FaceState, UnreadableError, read_face
from .session import FaceRun, state

_ACTIVE_S = 1 / 60
_IDLE_S = 0.1

# Answers after which asking the same again is right: the next tick does.
_RETRY = {"superseded", "cancelled", "unknown-identity", "loading"}
# Refusals of an identity that stay as long as the identity stays.
_FINAL = {"wrong-model", "bad-field"}


def tick() -> float:
    """The timer: one ``look``; an exception must not end it, since Blender then drops the timer for good."""
    try:
        return look()
    except Exception:  # noqa: BLE001 whatever a scene holds
        traceback.print_exc()
        return 1.0


def look() -> float:
    """One look at connection, answers and scene; returns the seconds until the next. Main thread only."""
    session.reap()
    _redraw_panels()
    scene = bpy.context.scene
    if state.is_rendering or state.is_baking or scene is None:
        return _IDLE_S
    live = [proxy for proxy in faces(scene) if face_of(proxy).source == "LIVE"]
    if not session.is_ready():
        _show_outage(live)
        return _IDLE_S
    client = state.client
    assert client is not None
    by_stream = {session.run_of(proxy).stream: proxy for proxy in live}
    for preview in client.previews():
        if proxy := by_stream.get(preview.stream):
            _receive(proxy, session.run_of(proxy), preview)
    for proxy in live:
        _open(proxy, session.run_of(proxy))
    if state.dirty and live:
        state.dirty = False
        for proxy in live:
            if not has_own_plate(proxy):
                rig.give_own_plate(proxy)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        for proxy in live:
            _ask(proxy, session.run_of(proxy), scene, depsgraph)
    busy = client.is_busy or state.dirty or any(session.run_of(p).opening for p in live)
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
    run.wanted = None
    if run.problem != problem:
        run.problem, run.shown = problem, None
        plate.show_error(proxy)


def _open(proxy: bpy.types.Object, run: FaceRun) -> None:
    """Opens the face's identity without waiting; the answer is looked at in a later tick.

    What was refused for good is not asked again until it changes.
    """
    anchor = session.anchor_of(proxy)
    if run.opening is None and run.opened != anchor:
        assert state.client is not None
        run.opened, run.identity = anchor, ""
        run.opening = state.client.ask(session.open_request(proxy), session.OPEN_S)
    if run.opening is not None and run.opening.done():
        opening, run.opening = run.opening, None
        try:
            run.identity = opening.result().identity
            run.problem, run.wanted, state.dirty = "", None, True
        except RequestError as error:
            if error.code not in _FINAL:
                run.opened = None
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
        state.client.preview(request, tag=(state.epoch, wanted))


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
    assert preview.frame is not None
    assert preview.pixels is not None
    epoch, wanted = preview.tag
    assert isinstance(wanted, FaceState)
    if epoch != state.epoch:
        run.wanted, state.dirty = None, True  # asked before a render or an undo: the scene is read again
        return
    try:
        plate.show(proxy, preview.pixels)
    except UnreadableError as error:
        _fail(proxy, run, str(error))
        return
    plate.place(proxy, wanted.plate)
    run.shown, run.problem, run.clamped = wanted.parameters, "", preview.frame.clamped
    run.milliseconds = 1e3 * (time.monotonic() - preview.asked)


_drawn: tuple[object, ...] = ()


def _redraw_panels() -> None:
    """Redraws the side panels when something that they show has changed, and only then."""
    global _drawn
    link = session.link()
    shown = (link, *((run.problem, run.clamped, round(run.milliseconds)) for run in state.runs.values()))
    if shown == _drawn:
        return
    _drawn = shown
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


def start() -> None:
    """Starts the timer; it survives loading files."""
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=0.0, persistent=True)


def register() -> None:
    session.on_connect.append(start)  # the timer starts with the first connection


def unregister() -> None:
    session.on_connect.remove(start)
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
