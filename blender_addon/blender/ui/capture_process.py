# SPDX-License-Identifier: GPL-3.0-or-later
"""The film or camera that is read now, at most one, for who starts it and for the panel. No picture is kept."""

from __future__ import annotations

from typing import Any

import bpy

from effigy_client.capture.process import CaptureProcess
from effigy_client.provision import BackendError

from .. import preferences
from ..pictures import redraw
from ..translation import iface_, rpt_
from .rows import Status
from .seen import Corner

_running: CaptureProcess | None = None
_corner: Corner | None = None
_told: Status | None = None


def is_running() -> bool:
    return _running is not None


def start(source: str, **options: Any) -> CaptureProcess:
    """Begins to read a film's file, or a camera by its number; see CaptureProcess. Raises BackendError."""
    global _running, _corner
    if _running is not None:
        raise BackendError(rpt_("Another film or camera is being read"))
    chosen = preferences.get()
    model = bpy.path.abspath(chosen.model) if chosen.source == "LOCAL" else ""
    _running = CaptureProcess(chosen.command, source, model=model, **options)
    _corner = Corner()
    return _running


def look() -> None:
    """Shows what is new; for the timer of whoever started it."""
    global _told
    if _running is None or _corner is None:
        return
    if _corner.show(_running.seen, _running.name):
        redraw.viewports()
    if _told != (now := status()):
        _told = now
        redraw.side_panels()


def end() -> None:
    """Ends what is being read, if anything, and forgets its picture."""
    global _running, _corner
    process, _running = _running, None
    corner, _corner = _corner, None
    if process is not None:
        process.end()
    if corner is not None:
        corner.close()
        redraw.viewports()
        redraw.side_panels()


def status() -> Status:
    """Returns the status of the film or camera for the panel; a camera is on as long as its name is shown."""
    if _running is None:
        return Status("HIDE_ON", iface_("No camera is on"))
    if not _running.name:
        return Status("SORTTIME", iface_("Starting"), iface_("The networks are loaded."))
    if _running.is_camera:
        return Status("HIDE_OFF", iface_("On: {}", _running.name), _running.said or iface_("No picture is kept."))
    return Status("FILE_MOVIE", _running.name, _running.said or iface_("No picture is kept."))


def register() -> None:
    pass


def unregister() -> None:
    end()
