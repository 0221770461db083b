# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact pictures, waited for: what rendering and baking have in common."""

from __future__ import annotations

import os
import sys

import bpy

from ..core.client import RequestError
from ..core.pixels import from_rgba8
from ..protocol.messages import Encoding, Frame, Synthesize
from . import plate, preferences, session
from .properties import face_of, faces
from .scene_reader import FaceState, UnreadableError, read_face

EXIT_CODE = 3  # of a background render that could not get its pictures


def paint(proxy: bpy.types.Object, wanted: FaceState, encoding: Encoding) -> Frame:
    """The final picture of a face, waited for. Raises RequestError."""
    timeout = preferences.get().timeout
    for attempt in (1, 2):
        identity = session.ensure_open(proxy)
        request = Synthesize(identity, wanted.yaw, wanted.pitch, dict(wanted.controls), "final", encoding)
        try:
            frame: Frame = session.ensure_ready().call(request, timeout)
            return frame
        except RequestError as error:
            # A backend that was started again has forgotten the identity: open it once more.
            if error.code != "unknown-identity" or attempt == 2:
                raise
            session.run_of(proxy).reopen()
    raise AssertionError("unreachable")


def render_frame(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Puts the exact picture of this frame on every live plate of the scene.

    When that fails, a background render ends with EXIT_CODE; in a window the plate shows the error picture.
    """
    for proxy in faces(scene):
        if face_of(proxy).source != "LIVE":
            continue
        run = session.run_of(proxy)
        try:
            wanted = read_face(proxy, scene, depsgraph)
            frame = paint(proxy, wanted, "rgba8")
        except (RequestError, UnreadableError) as error:
            run.shown, run.wanted, run.problem = None, None, str(error)
            plate.show_error(proxy)
            give_up(f"frame {scene.frame_current} of {proxy.name} cannot be painted: {error}")
            continue
        plate.show(proxy, from_rgba8(frame.data, frame.height, frame.width))
        plate.place(proxy, wanted.plate)
        run.shown = run.wanted = wanted.parameters
        run.problem = ""


def give_up(message: str) -> None:
    """Says what is wrong and, in the background, ends the process.

    An exception in a handler would only be printed and the stale frame written; SystemExit crashes 4.2 on
    its way out when Blender runs as a module.
    """
    print(f"Effigy: error: {message}", file=sys.stderr, flush=True)
    if bpy.app.background:
        session.shut_down()
        sys.stdout.flush()
        os._exit(EXIT_CODE)
