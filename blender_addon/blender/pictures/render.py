# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for exact pictures in every frame of a render."""

from __future__ import annotations

import os
import sys
import time
from functools import partial

import bpy

from effigy_client.errors import RequestError
from effigy_client.follower import ScreenError
from effigy_client.limits import Limits
from effigy_client.memory import Remembered
from effigy_client.outbox import Painted
from effigy_client.provision import Provision
from effigy_client.restarts import Restarts
from effigy_protocol.messages import Frame

from .. import preferences
from ..preferences import PreferencesError
from ..scene.display import shows_its_picture
from ..scene.properties import face_of
from ..scene.queries import Name, carrier_of, faces, is_in_a_layer, name_of
from ..scene.reader import FaceState, UnreadableError, is_evaluated, read_face
from ..translation import differing, rpt_
from . import stale
from .activity import activity
from .main_thread import main_thread
from .runs import anchor_of, memory_key, run_of, runs
from .screen import PlateScreen
from .session import session

EXIT_CODE = 3  # of a background render that could not get its pictures
_DYING_S = 2.0  # of a process that was killed
_WINDOW_S = 10.0  # until the window's thread has done what a render asks of it


def paint(proxy: bpy.types.Object, wanted: FaceState) -> Remembered:
    """Returns the final picture of a face and waits for it. Raises RequestError.

    A picture is painted once, however often view layers, motion blur and stereo ask for the same moment.
    """
    key = memory_key(proxy, wanted)
    remembered = runs.memory.get(key)
    if remembered is None:
        painted = Painted.of(_painted(proxy, wanted), wanted.parameters.matte)
        frame = painted.frame
        limits = Limits.of(frame, wanted.parameters.controls)
        runs.memory.put(key, frame.data, frame.height, frame.width, limits, painted.surface)
        remembered = Remembered(painted.pixels, limits, painted.maps)
    return remembered


def _painted(proxy: bpy.types.Object, wanted: FaceState) -> Frame:
    if session.link is None and bpy.app.background and not preferences.get().autostart:
        raise PreferencesError(
            "no backend is connected, and the preferences forbid connecting when rendering in the background"
        )
    face, patience = run_of(proxy).follower.face, preferences.get().timeout
    while True:
        try:
            return face.paint(session.ensure_ready(), anchor_of(proxy), wanted.parameters, patience)
        except RequestError as error:
            lost = session.provision
            if lost is not None and error.is_transient:
                _wait_for_end(lost)
            why = lost.why_it_ended if lost is not None else ""
            if not _render.restarts.recover(error):
                raise  # nobody watches a render: it does not wait for a backend that lives
            _say(f"warning: the backend has ended ({why}), and is started again")
            face.forget()


def _wait_for_end(backend: Provision) -> None:
    """Waits a moment for the end of a backend that is lost, since one that hung was killed only just now."""
    end = time.monotonic() + _DYING_S
    while not backend.has_died and session.link is not None and not session.is_ready and time.monotonic() < end:
        time.sleep(0.05)


def render_frame(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Puts the exact picture of this frame on every plate that ``depsgraph``, of one view layer, renders.

    When that fails, a background render ends with EXIT_CODE; in a window the plate shows the error picture.
    """
    for proxy in faces(scene):
        if not _is_rendered(proxy, depsgraph):
            continue
        follower, screen = run_of(proxy).follower, PlateScreen(proxy)
        try:
            if not shows_its_picture(proxy):
                raise UnreadableError(rpt_("its plate has lost its picture: add the face again"))
            if face_of(proxy).source == "BAKED":
                _check_baked(proxy)
                _warn_if_stale(proxy, scene, depsgraph)
                continue
            wanted = read_face(proxy, scene, depsgraph)
            pixels, limits, maps = paint(proxy, wanted)
            screen.show(pixels, wanted.plate, maps)
        except (RequestError, UnreadableError, ScreenError, PreferencesError) as error:
            follower.begin_anew()
            follower.fail(str(error), screen)
            give_up(f"frame {scene.frame_current} of {proxy.name} cannot be painted: {error}")
            continue
        if limits.clamped and limits.clamped != follower.limits.clamped:
            asked = ", ".join(limits.clamped)
            _say(f"warning: frame {scene.frame_current} of {proxy.name} asks beyond the model's range: {asked}")
        follower.take_final(wanted.parameters, limits)


class _Render:
    """The render that runs."""

    def __init__(self) -> None:
        self.frame = 0  # the one that renders; shutters look beside it
        self.told: set[Name] = set()  # faces whose stale bake was told
        self.restarts = Restarts(session)
        self.kept: set[str] = set()  # scenes whose persistent data is off only while they render


_render = _Render()


def begin(scene: bpy.types.Scene) -> None:
    """Prepares a render: pictures that were asked for before it are not shown after it."""
    activity.begin_render()
    runs.followers.new_epoch()
    _render.told.clear()
    _render.restarts = Restarts(session)


def prepare(scene: bpy.types.Scene) -> None:
    """Checks the scene, and sets it up until ``end`` so that every frame gets its own picture.

    Persistent data would keep the first picture for the whole animation. It is switched off on the main thread, because
    Blender then frees what it kept, for which it waits until the window has drawn.
    """
    check_scene(scene)
    name = scene.name
    if not (scene.render.use_persistent_data or name in _render.kept):
        return
    if not any(face_of(proxy).source == "LIVE" for proxy in faces(scene)):
        return
    if not main_thread.run_and_wait(partial(_drop_data, name), _WINDOW_S):
        raise RuntimeError("Persistent Data keeps the first picture of a live face: switch it off")


def _drop_data(name: str) -> None:
    """Switches persistent data off, unless the render that asked for it has ended: nobody would switch it on again."""
    scene = bpy.data.scenes.get(name)
    if scene is not None and activity.is_rendering:
        _render.kept.add(name)
        scene.render.use_persistent_data = False


def _keep_data() -> None:
    """Switches persistent data on again, unless another render has begun."""
    for name in tuple(_render.kept):
        scene = bpy.data.scenes.get(name)
        if activity.is_rendering:
            return  # its end comes back to this
        if scene is not None:
            scene.render.use_persistent_data = True
        _render.kept.discard(name)  # last: a render that begins meanwhile takes it off again


def begin_frame(scene: bpy.types.Scene) -> None:
    _render.frame = scene.frame_current


def end() -> None:
    """Cleans up after a render, or after another file was loaded meanwhile."""
    activity.end_render()
    if _render.kept:
        main_thread.run(_keep_data)


def forget() -> None:
    """Drops what was to be restored, because another file was loaded."""
    activity.end_all()
    _render.kept.clear()


def check_scene(scene: bpy.types.Scene) -> None:
    """Ends the render if it has faces that no handler can animate, instead of showing a frozen picture."""
    for obj in frozen_instances(scene):
        give_up(f"{obj.name} instances a collection with a live face, which cannot move there: bake it first")


def frozen_instances(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """Returns the rendered objects that instance a collection with a live face in it."""
    instancers = [
        obj
        for obj in scene.objects
        if obj.instance_type == "COLLECTION"
        and obj.instance_collection
        and not obj.hide_render
        and is_in_a_layer(obj, scene)
    ]
    return [
        obj
        for obj in instancers
        if any(face_of(o).is_face and face_of(o).source == "LIVE" for o in obj.instance_collection.all_objects)
    ]


def _is_rendered(proxy: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bool:
    """Returns whether ``depsgraph`` shows what carries the face's picture."""
    shown = carrier_of(proxy)
    return shown is None or is_evaluated(shown, depsgraph)  # without a plate, reading the face says so


def _check_baked(proxy: bpy.types.Object) -> None:
    face = face_of(proxy)
    # Motion blur also looks before and after the frame; beyond the range Blender shows the first or last picture.
    if not face.baked_start <= _render.frame <= face.baked_end:
        raise UnreadableError(
            rpt_("only frames {} to {} are baked: bake again, or go back to live", face.baked_start, face.baked_end)
        )
    for file in stale.files_of(proxy, _render.frame):
        if not file.is_file():
            raise UnreadableError(rpt_("its picture {} is missing: bake again, or bring it back", file))


def _warn_if_stale(proxy: bpy.types.Object, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Warns of a stale bake. It is rendered all the same, because that may be meant."""
    if scene.frame_current != _render.frame:
        return  # where only a shutter looks
    found = stale.check(proxy, scene, depsgraph)
    if found and name_of(proxy) not in _render.told:
        _render.told.add(name_of(proxy))
        _say(
            f"warning: from frame {scene.frame_current} on, {proxy.name} shows pictures that were baked with "
            f"{differing(found)}: bake again"
        )


def give_up(message: str) -> None:
    """Says what is wrong and, in the background, ends the process.

    An exception in a handler would only be printed and the stale frame written; SystemExit crashes 4.2 on
    its way out when Blender runs as a module.
    """
    _say(f"error: {message}")
    if bpy.app.background:
        session.shut_down()
        sys.stdout.flush()
        os._exit(EXIT_CODE)


def _say(message: str) -> None:
    print(f"Effigy: {message}", file=sys.stderr, flush=True)
