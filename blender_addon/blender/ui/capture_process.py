# SPDX-License-Identifier: GPL-3.0-or-later
"""The film or camera that is read now, at most one, for who starts it and for the panel. No picture is kept."""

from __future__ import annotations

from typing import Any

import bpy
import bpy.utils.previews
import numpy as np

from effigy_client.capture.process import CaptureProcess, Seen
from effigy_client.provision import BackendError

from .. import preferences
from ..translation import iface_, rpt_
from .rows import Told

_POINT = (255, 200, 40)  # RGB of a point that was found in the picture
_NAME = "seen"

_running: CaptureProcess | None = None
_pictures: Any = None  # Blender's collection of the one small picture: outside every .blend
_shown: Seen | None = None


def is_running() -> bool:
    return _running is not None


def start(source: str, **options: Any) -> CaptureProcess:
    """Begins to read a film's file, or a camera by its number; see CaptureProcess. Raises BackendError."""
    global _running
    if _running is not None:
        raise BackendError(rpt_("Another film or camera is being read"))
    chosen = preferences.get()
    model = bpy.path.abspath(chosen.model) if chosen.source == "LOCAL" else ""
    _running = CaptureProcess(chosen.command, source, model=model, **options)
    return _running


def end() -> None:
    """Ends what is read, and forgets its picture; does nothing where nothing is."""
    global _running, _shown
    process, _running, _shown = _running, None, None
    if process is not None:
        process.end()
    _forget_picture()


def told() -> Told:
    """What is read, for the panel: a camera's light is on as long as its name stands there."""
    if _running is None:
        return Told("HIDE_ON", iface_("No camera is on"))
    if not _running.name:
        return Told("SORTTIME", iface_("Starting"), iface_("The networks are loaded."))
    if _running.is_camera:
        return Told("HIDE_OFF", iface_("On: {}", _running.name), _running.said or iface_("No picture is kept."))
    return Told("FILE_MOVIE", _running.name, _running.said or iface_("No picture is kept."))


def draw_picture(layout: Any) -> None:
    """What is seen, small, with the points that were found in it; nothing where nothing is read."""
    global _shown
    seen = _running.seen if _running is not None else None
    if seen is None:
        return
    if seen is not _shown:
        _write(with_points(seen))
        _shown = seen
    layout.template_icon(_pictures[_NAME].icon_id, scale=8.0)


def with_points(seen: Seen) -> np.ndarray:
    """The picture [H, W, 3] with a pixel for each point."""
    picture = seen.picture.copy()
    height, width = picture.shape[:2]
    places = (seen.points * (width, height)).astype(int)
    inside = ((places >= 0) & (places < (width, height))).all(axis=1)
    x, y = places[inside].T
    picture[y, x] = _POINT
    return picture


def _write(picture: np.ndarray) -> None:
    global _pictures
    if _pictures is None:
        _pictures = bpy.utils.previews.new()
        _pictures.new(_NAME)
    opaque = np.full((*picture.shape[:2], 4), 255, np.uint8)
    opaque[..., :3] = picture[::-1]
    preview = _pictures[_NAME]
    preview.image_size = picture.shape[1::-1]
    preview.image_pixels = opaque.view(np.int32).reshape(-1).tolist()


def _forget_picture() -> None:
    global _pictures
    if _pictures is not None:
        bpy.utils.previews.remove(_pictures)
    _pictures = None


def register() -> None:
    pass


def unregister() -> None:
    end()
