# SPDX-License-Identifier: GPL-3.0-or-later
"""The live preview: a timer on the main thread asks when the scene changed and shows what came back.

How a face is followed is in ``effigy_client.follower``; here are Blender's timer, its scene and its plates.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from typing import Any

import bpy

from effigy_client.face import Identities
from effigy_client.link import Link
from effigy_client.outbox import Painted

from ..scene import display, doubles, plate, rig
from ..scene.properties import face_of
from ..scene.queries import Name, known_faces, name_of
from ..scene.reader import UnreadableError, read_face
from ..scene.viewing import viewpoint
from . import cache, outage, redraw, runs, stale
from .activity import activity, changes
from .main_thread import main_thread
from .runs import anchor_of, run_of
from .screen import PlateScreen
from .session import on_connect, session

_ACTIVE_S = 1 / 60
_SOON_S = 1 / 250  # between two looks for a picture that is due
_LINK_S = 0.1  # a connection that comes or goes wakes nobody
_IDLE_S = 0.5  # what happens in the scene wakes the timer


class _Timer:
    """What this module remembers from one look to the next."""

    def __init__(self) -> None:
        self.is_asleep = False  # whether the next look is far away
        self.faces: set[Name] | None = None  # the names of those that the last look saw
        self.had_outage = True  # whether the last look found no backend


_timer = _Timer()


def tick() -> float:
    """Runs ``look`` as a timer; it catches exceptions, because Blender would remove the timer for good."""
    _timer.is_asleep = False
    try:
        main_thread.catch_up()
        wait = look()
    except Exception:  # noqa: BLE001 whatever a scene holds
        traceback.print_exc()
        wait = 1.0
    _timer.is_asleep = wait > _ACTIVE_S
    return wait


def wake() -> None:
    """Makes the timer look at once, as something happened in the scene. For the main thread, never a render's."""
    if _timer.is_asleep and threading.current_thread() is threading.main_thread() and is_running():
        _timer.is_asleep = False
        bpy.app.timers.unregister(tick)
        bpy.app.timers.register(tick, first_interval=0.0, persistent=True)


def look() -> float:
    """Looks once at connection, answers and scene; returns the seconds until the next look. Main thread only."""
    link = session.link
    busy = link is not None and link.is_busy  # before what has come: it may come in between
    if _nothing_new(link):
        if link is None:
            return _IDLE_S
        if not link.is_ready:
            return _LINK_S
        if busy:
            return _until_due(link)
        if not any(run.follower.may_refine for run in runs.runs):
            return _IDLE_S
    session.reap()
    redraw.panels()
    scene = bpy.context.scene
    if activity.is_at_work or scene is None:
        return _LINK_S
    every = _faces(scene)
    live = [proxy for proxy in every if face_of(proxy).source == "LIVE"]
    if changes.take_baked():
        _check_baked(scene, [proxy for proxy in every if proxy not in live])
    identities = session.identities
    if identities is None or not session.is_ready:
        outage.show(live, scene)
        _timer.had_outage = True
        changes.take_live()
        return _LINK_S
    if _timer.had_outage:
        _timer.had_outage = False
        changes.mark()
    _follow(live, scene, identities)
    return _ACTIVE_S if is_busy(live) else _IDLE_S


def _faces(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """Returns the scene's faces, after giving each what must be its own."""
    every = known_faces(scene)
    for proxy in every:
        doubles.mend(proxy, session.welcome)
    if _timer.faces != (names := {name_of(proxy) for proxy in every}):
        _timer.faces = names
        runs.forget_gone_faces()
        stale.keep_only(names)
        rig.hide_ownerless_plates(scene)
    return every


def _follow(live: list[bpy.types.Object], scene: bpy.types.Scene, identities: Identities) -> None:
    """Shows what has come for the live faces, and asks for what they want."""
    _receive(live, identities.link)
    for proxy in live:
        if run_of(proxy).follower.open(identities, anchor_of(proxy), PlateScreen(proxy)):
            changes.mark()
    runs.release_unused()
    if changes.take_live():
        for proxy in live:
            _ask(proxy, scene, bpy.context.evaluated_depsgraph_get(), identities.link)
    for proxy in live:
        if run_of(proxy).follower.refine(identities.link, anchor_of(proxy), PlateScreen(proxy)):
            changes.mark()


def _nothing_new(link: Link | None) -> bool:
    """Returns whether nothing can have happened since the last look, which is so in most ticks."""
    return (
        (link is None or not link.has_previews)
        and not redraw.is_due()
        and not (changes.are_live or changes.are_baked or session.is_leaving or activity.is_at_work)
        and not any(run.follower.is_waiting for run in runs.runs)
    )


def _until_due(link: Link) -> float:
    """Returns the seconds until the preview on its way can be expected.

    Every look costs the window's time, and a look too late the hand's. What happens before wakes the timer.
    """
    waiting = link.streams
    due = [run.follower.due for run in runs.runs if run.follower.stream in waiting]
    return min(max(min(due, default=0.0) - time.monotonic(), _SOON_S), _LINK_S)


def is_busy(live: list[bpy.types.Object]) -> bool:
    """Returns whether any picture is on its way, or about to be asked for."""
    if changes.are_live or (session.link is not None and session.link.is_busy):
        return True
    return any(run_of(proxy).follower.is_busy for proxy in live)


def _check_baked(scene: bpy.types.Scene, baked: list[bpy.types.Object]) -> None:
    """Checks whether baked pictures are still what the scene asks for; needs no backend."""
    for proxy in baked:
        stale.check(proxy, scene, bpy.context.evaluated_depsgraph_get())
        display.follow(proxy, scene)


def _ask(proxy: bpy.types.Object, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, link: Link) -> None:
    follower, screen = run_of(proxy).follower, PlateScreen(proxy)
    try:
        wanted = read_face(proxy, scene, depsgraph, viewpoint)
    except UnreadableError as error:
        follower.fail(str(error), screen)
        return
    if not viewpoint.counts:  # a cache is of what the camera sees
        cache.compare(proxy, scene.frame_current, wanted)
    display.follow(proxy, scene)
    if wanted.parameters == follower.shown:
        plate.place(proxy, wanted.plate)
    follower.want(link, anchor_of(proxy), wanted.parameters, wanted.plate, screen)


def recall_frame(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Shows the remembered picture of a frame at once, because a viewport render draws it before the timer looks."""
    for proxy in known_faces(scene) if not _timer.had_outage else ():
        if face_of(proxy).source == "LIVE":
            follower = run_of(proxy).follower
            with contextlib.suppress(UnreadableError):  # the next look says it
                wanted = read_face(proxy, scene, depsgraph, viewpoint)
                if wanted.parameters == follower.shown:
                    plate.place(proxy, wanted.plate)
                else:
                    follower.recall(anchor_of(proxy), wanted.parameters, wanted.plate, PlateScreen(proxy))


def _receive(live: list[bpy.types.Object], link: Link) -> None:
    by_stream = {run_of(proxy).follower.stream: proxy for proxy in live}
    for preview in link.previews():
        if proxy := by_stream.get(preview.stream):
            image = face_of(proxy).image
            height = image.size[1] if image is not None else None
            if run_of(proxy).follower.receive(preview, anchor_of(proxy), height, PlateScreen(proxy)):
                changes.mark()
        if isinstance(preview.outcome, Painted):  # Blender has its own copy by now
            link.buffers.give(preview.outcome.arrays)


_drawn: Any = None  # the handler that Follow View has added


def follow_view(view: bpy.types.RegionView3D) -> None:
    """Makes faces be seen from this 3D viewport, and later from the one that was moved last."""
    global _drawn
    viewpoint.begin(view)
    if _drawn is None:
        _drawn = bpy.types.SpaceView3D.draw_handler_add(_on_draw, (), "WINDOW", "PRE_VIEW")
    changes.mark()


def follow_camera() -> None:
    """Makes faces be seen by the scene's camera again."""
    global _drawn
    viewpoint.end()
    if _drawn is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_drawn, "WINDOW")
        _drawn = None
    changes.mark()


def _on_draw() -> None:
    """Notes that a viewport was moved, because orbiting changes nothing in the scene and triggers no handler."""
    view = bpy.context.region_data
    if view is not None and viewpoint.note(view):
        changes.mark()
        wake()


def forget_faces() -> None:
    """Forgets faces and viewport, because another file was loaded."""
    _timer.faces = None
    follow_camera()


def is_running() -> bool:
    return bpy.app.timers.is_registered(tick)


def start() -> None:
    """Starts the timer; it survives loading files."""
    if not is_running():
        bpy.app.timers.register(tick, first_interval=0.0, persistent=True)


def register() -> None:
    on_connect.append(start)  # the timer starts with the first connection


def unregister() -> None:
    on_connect.remove(start)
    follow_camera()
    if is_running():
        bpy.app.timers.unregister(tick)
