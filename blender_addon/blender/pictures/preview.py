# SPDX-License-Identifier: GPL-3.0-or-later
"""The live preview: a timer on the main thread asks when the scene changed and writes what came back.

While something moves, pictures are the fastest that the backend has; at rest the exact one takes their place.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback

import bpy

from effigy_client.client import Client
from effigy_client.link import Phase, Preview, RequestError
from effigy_client.pixels import Pixels, from_rgba8
from effigy_protocol.messages import Frame

from ..scene import display, doubles, plate, rig
from ..scene.properties import face_of, name_of
from ..scene.queries import known_faces
from ..scene.reader import FaceState, UnreadableError, read_face
from ..translation import rpt_
from . import bake, cache, session
from .session import FaceRun, state

_ACTIVE_S = 1 / 60
_SOON_S = 1 / 250  # between two looks for a picture that is due
_EARLY_S = 0.005  # pictures may take a little less than the one before
_LINK_S = 0.1  # a connection that comes or goes wakes nobody
_IDLE_S = 0.5  # what happens in the scene wakes the timer
# Without a change or a new picture, until the exact one is asked for: after a slow preview the hand may go on at once.
_REST_S = 0.15
_SLOW_MS = 100.0  # painting that takes longer follows a hand at half the size
_SAME_MOVE_S = 0.5  # pictures farther apart are not of one movement

# Answers after which asking the same again is right: the next tick does.
_RETRY = {"superseded", "cancelled", "unknown-identity", "loading"}
# Refusals of an identity that stay as long as the identity stays.
_FINAL = {"wrong-model", "bad-field"}


_asleep = False  # whether the timer's next look is far away


def tick() -> float:
    """The timer: one ``look``; an exception must not end it, since Blender then drops the timer for good."""
    global _asleep
    _asleep = False
    try:
        wait = look()
    except Exception:  # noqa: BLE001 whatever a scene holds
        traceback.print_exc()
        wait = 1.0
    _asleep = wait > _ACTIVE_S
    return wait


def wake() -> None:
    """Has the timer look at once: something happened in the scene. From the main thread, never from a render's."""
    global _asleep
    if _asleep and threading.current_thread() is threading.main_thread() and bpy.app.timers.is_registered(tick):
        _asleep = False
        bpy.app.timers.unregister(tick)
        bpy.app.timers.register(tick, first_interval=0.0, persistent=True)


def look() -> float:
    """One look at connection, answers and scene; returns the seconds until the next. Main thread only."""
    client = state.client
    busy = client is not None and client.is_busy  # before what has come: it may come in between
    if _nothing_new(client):
        if client is None:
            return _IDLE_S
        if not session.is_ready():
            return _LINK_S
        if busy:
            return _until_due(client)
        if not any(_may_refine(run) for run in state.runs.values()):
            return _IDLE_S
    session.reap()
    _redraw_panels()
    scene = bpy.context.scene
    if state.is_rendering or state.is_baking or scene is None:
        return _LINK_S
    every = known_faces(scene)
    for proxy in every:
        doubles.mend(proxy, session.welcome())
    if state.proxies != (proxies := {name_of(proxy) for proxy in every}):
        state.proxies = proxies
        session.forget_gone_faces()
        rig.hide_ownerless_plates(scene)
    live = [proxy for proxy in every if face_of(proxy).source == "LIVE"]
    if state.baked_dirty:
        state.baked_dirty = False
        _check_baked(scene, [proxy for proxy in every if proxy not in live])
    if not session.is_ready():
        _show_outage(live, scene)
        return _LINK_S
    if state.outage:
        state.outage, state.dirty = False, True
    _answers(live)
    for proxy in live:
        _open(proxy, session.run_of(proxy))
    session.release_unused()
    if state.dirty:
        state.dirty = False
        for proxy in live:
            _ask(proxy, session.run_of(proxy), scene, bpy.context.evaluated_depsgraph_get())
    for proxy in live:
        _refine(proxy, session.run_of(proxy))
    return _ACTIVE_S if is_busy(live) else _IDLE_S


def _nothing_new(client: Client | None) -> bool:
    """Whether nothing can have happened since the last look: most ticks of a slow preview, and all at rest."""
    return (
        (client is None or not client.has_previews)
        and _drawn == _what_panels_show()
        and not (state.dirty or state.baked_dirty or state.leaving or state.is_rendering or state.is_baking)
        and not any(run.opening or run.refining or run.failing for run in state.runs.values())
    )


def _until_due(client: Client) -> float:
    """Seconds until the preview on its way can be expected, by what the one before took.

    Every look costs the window's time, and a look too late the hand's. What happens before wakes the timer.
    """
    waiting = client.waiting
    asked = [run.changed + 1e-3 * run.took for run in state.runs.values() if run.stream in waiting]
    left = min(asked, default=0.0) - _EARLY_S - time.monotonic()
    return min(max(left, _SOON_S), _LINK_S)


def is_busy(live: list[bpy.types.Object]) -> bool:
    """Whether any picture is on its way, or about to be asked for."""
    if state.dirty or (state.client is not None and state.client.is_busy):
        return True
    runs = [session.run_of(proxy) for proxy in live]
    return any(run.opening or run.refining or _may_refine(run) for run in runs)


def _may_refine(run: FaceRun) -> bool:
    return run.shown is not None and not run.exact and run.refused != run.asked


def _show_outage(live: list[bpy.types.Object], scene: bpy.types.Scene) -> None:
    """A lost backend must not leave an old picture standing as if it were a new one; nor one that never came."""
    link = session.link()
    state.outage, state.dirty = True, False
    lost = link is not None and link.phase in (Phase.LOST, Phase.REFUSED)
    for proxy in live:
        run = session.run_of(proxy)
        run.reopen()
        if lost and link is not None:
            _fail(proxy, run, link.detail)
        elif proxy.library is None and not _is_of_this_pose(proxy, run, scene):
            wait, start = rpt_("the backend is not ready yet"), rpt_("no backend paints this pose: press Start Backend")
            _fail(proxy, run, start if link is None else wait)


def _is_of_this_pose(proxy: bpy.types.Object, run: FaceRun, scene: bpy.types.Scene) -> bool:
    """Whether the plate shows the pose that the scene asks for; brings the file's own picture back where it does."""
    try:
        wanted = read_face(proxy, scene, bpy.context.evaluated_depsgraph_get())
    except UnreadableError:
        return True  # as it was: what is wrong with the scene is told when there is a backend
    face, known = face_of(proxy), run.looked
    run.looked = True
    if run.shown == wanted.parameters:
        return True
    if face.shown and face.shown == bake.record_of(proxy, wanted, "rgba8").digest:
        if face.image is not None and face.image.packed_file is not None:
            face.image.reload()
        run.shown, run.problem = wanted.parameters, ""
        return True
    if known or face.shown:
        return False
    run.shown = wanted.parameters  # a file of an earlier version does not say what its picture shows
    return True


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
    if run.opening is not None and run.opening[0].done():
        (answer, opened), run.opening, run.failing = run.opening, None, False
        if opened == anchor:  # else the face became somebody else meanwhile
            try:
                run.identity = answer.result().identity
                run.problem, run.wanted, state.dirty = "", None, True
            except RequestError as error:
                if error.code not in _FINAL:
                    run.opened, run.failing = None, True
                _fail(proxy, run, str(error))
    if run.opening is None and run.opened != anchor:
        assert state.client is not None
        run.opened, run.identity = anchor, ""
        run.opening = state.client.ask(session.open_request(proxy), session.OPEN_S), anchor


def _check_baked(scene: bpy.types.Scene, baked: list[bpy.types.Object]) -> None:
    """Whether the baked pictures are still what the scene asks for; no backend is needed for that."""
    for proxy in baked:
        session.run_of(proxy).stale = bake.stale_parts(proxy, scene, bpy.context.evaluated_depsgraph_get())
        display.follow(proxy, scene)


def _ask(proxy: bpy.types.Object, run: FaceRun, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    try:
        wanted = read_face(proxy, scene, depsgraph)
    except UnreadableError as error:
        _fail(proxy, run, str(error))
        return
    key = session.key_of(proxy, wanted.parameters)
    run.cache, run.cache_differs = cache.state_of(run, scene.frame_current, key)
    display.follow(proxy, scene)
    if wanted.parameters == run.shown:
        plate.place(proxy, wanted.plate)
    if not run.identity or wanted.parameters == run.wanted or _recall(proxy, run, wanted):
        return
    assert state.client is not None
    run.ask_for(wanted.parameters)
    request = wanted.request(run.identity, "preview", stream=run.stream, half=run.painting > _SLOW_MS)
    state.client.preview(request, tag=(state.epoch, session.anchor_of(proxy), run.asked, wanted))


def _recall(proxy: bpy.types.Object, run: FaceRun, wanted: FaceState) -> bool:
    """Shows the exact picture of this moment if it is remembered; says whether it is."""
    remembered = state.memory.get(session.key_of(proxy, wanted.parameters))
    if remembered is None:
        return False
    run.ask_for(wanted.parameters)
    pixels, run.clamped = remembered
    if _show(proxy, run, wanted, run.asked, pixels, exact=True):
        plate.place(proxy, wanted.plate)
    return True


def recall_frame(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Shows what is remembered of a frame within that frame: a viewport render draws it before the timer looks."""
    for proxy in known_faces(scene) if not state.outage else ():
        if face_of(proxy).source == "LIVE":
            run = session.run_of(proxy)
            with contextlib.suppress(UnreadableError):  # the next look says it
                wanted = read_face(proxy, scene, depsgraph)
                if wanted.parameters == run.shown:
                    plate.place(proxy, wanted.plate)
                else:
                    _recall(proxy, run, wanted)


def _answers(live: list[bpy.types.Object]) -> None:
    assert state.client is not None
    by_stream = {session.run_of(proxy).stream: proxy for proxy in live}
    for preview in state.client.previews():
        if proxy := by_stream.get(preview.stream):
            _receive(proxy, session.run_of(proxy), preview)
        if preview.pixels is not None:  # Blender has its own copy by now
            state.client.buffers.give(preview.pixels)


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
    epoch, anchor, asked, wanted = preview.tag
    assert isinstance(wanted, FaceState)
    frame = preview.frame
    _remember(anchor, wanted, frame)
    if epoch != state.epoch or anchor != session.anchor_of(proxy):
        # Asked before a render or an undo, or of somebody else: the scene is read again.
        run.wanted, state.dirty = None, True
        return
    if asked <= run.showing:
        return
    image, timings = face_of(proxy).image, frame.timings
    if image is not None and frame.height == image.size[1]:
        run.painting = timings.inverse_ms + timings.synthesis_ms + timings.encode_ms
    now = time.monotonic()
    run.milliseconds, run.took = 1e3 * (now - preview.asked), 1e3 * (preview.finished - preview.asked)
    if now - run.drawn < _SAME_MOVE_S:
        rate = 1 / max(now - run.drawn, 1e-3)
        run.rate = run.rate + 0.2 * (rate - run.rate) if run.rate else rate
    run.drawn = now
    if _show(proxy, run, wanted, asked, preview.pixels, exact=frame.exact):
        run.clamped = frame.clamped
        plate.place(proxy, wanted.plate)


def _remember(anchor: tuple[str, str], wanted: FaceState, frame: Frame) -> None:
    """Keeps an exact picture under what it was made from."""
    if frame.exact:
        state.memory.put((*anchor, wanted.parameters), frame.data, frame.height, frame.width, frame.clamped)


def _show(proxy: bpy.types.Object, run: FaceRun, wanted: FaceState, asked: int, pixels: Pixels, *, exact: bool) -> bool:
    try:
        plate.show(proxy, pixels)
    except UnreadableError as error:
        _fail(proxy, run, str(error))
        return False
    run.shown, run.showing, run.exact, run.problem = wanted.parameters, asked, exact, ""
    run.looked = True
    return True


def _refine(proxy: bpy.types.Object, run: FaceRun) -> None:
    """At rest, asks for the exact picture and shows it when it comes."""
    assert state.client is not None
    if run.refining is not None and run.refining[0].done():
        (answer, epoch, anchor, asked, wanted), run.refining = run.refining, None
        try:
            frame = answer.result()
        except RequestError as error:
            run.refused = asked  # not again before something changes
            if error.code in _RETRY:
                run.wanted, state.dirty = None, True
            else:
                run.problem = str(error)
            return
        _remember(anchor, wanted, frame)
        if (epoch, anchor, asked) == (state.epoch, session.anchor_of(proxy), run.asked):
            # The plate stays where it is: the head may have moved in its plane meanwhile.
            pixels = from_rgba8(frame.data, frame.height, frame.width)
            if _show(proxy, run, wanted, asked, pixels, exact=True):
                run.clamped, run.painting = frame.clamped, 0.0  # the next movement measures anew
    at_rest = run.shown == run.wanted and time.monotonic() - max(run.changed, run.drawn) > _REST_S
    if at_rest and _may_refine(run) and run.refining is None and run.identity:
        wanted = FaceState.of(run.shown, plate.matrix(proxy))
        answer = state.client.ask(wanted.request(run.identity, "final"), session.OPEN_S)
        run.refining = answer, state.epoch, session.anchor_of(proxy), run.asked, wanted


_drawn: tuple[object, ...] = ()


def _what_panels_show() -> tuple[object, ...]:
    runs = state.runs.values()
    shown = (
        (run.problem, run.clamped, round(run.milliseconds), run.is_right, *run.stale, run.cache, *run.cache_differs)
        for run in runs
    )
    return session.link(), state.is_baking, *shown


def _redraw_panels() -> None:
    """Redraws the side panels when something that they show has changed, and only then."""
    global _drawn
    shown = _what_panels_show()
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
