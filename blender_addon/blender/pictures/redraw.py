# SPDX-License-Identifier: GPL-3.0-or-later
"""Redraws what shows the add-on's state: the side panels only when something that they show has changed."""

from __future__ import annotations

import bpy

from ..scene.viewing import viewpoint
from . import stale
from .activity import activity
from .runs import FaceRun, runs
from .session import session

_drawn: tuple[object, ...] = ()


def _shown() -> tuple[object, ...]:
    """Returns what panels show, to compare it."""
    return session.state, activity.is_painting_range, viewpoint.counts, stale.all_parts(), *map(_of, runs)


def _of(run: FaceRun) -> tuple[object, ...]:
    follower, cached = run.follower, run.cached
    milliseconds = round(follower.milliseconds)
    return follower.problem, follower.limits, milliseconds, follower.is_right, cached.state, *cached.differs


def is_due() -> bool:
    """Returns whether ``panels`` would redraw any."""
    return _shown() != _drawn


def panels() -> None:
    global _drawn
    shown = _shown()
    if shown == _drawn:
        return
    _drawn = shown
    side_panels()


def side_panels() -> None:
    """Redraws the side panels of all windows, because something that they show has changed."""
    _tag("VIEW_3D", "UI")


def viewports() -> None:
    """Redraws what is drawn over the scenes of all windows."""
    _tag("VIEW_3D", "WINDOW")


def preferences() -> None:
    """Redraws Blender's preferences where they are open."""
    _tag("PREFERENCES", "WINDOW")


def _tag(editor: str, kind: str) -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == editor:
                for region in area.regions:
                    if region.type == kind:
                        region.tag_redraw()
