# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks outdated pictures while there is no backend. A picture saved in the .blend stays if it is still right."""

from __future__ import annotations

import bpy

from effigy_client.follower import Follower
from effigy_client.state import Phase

from ..scene.properties import face_of
from ..scene.reader import UnreadableError, read_face
from ..scene.viewing import viewpoint
from ..translation import rpt_
from .runs import run_of
from .screen import PlateScreen
from .session import session
from .stale import record_of


def show(live: list[bpy.types.Object], scene: bpy.types.Scene) -> None:
    """Shows the error picture, and why, on every live face whose picture is outdated."""
    state = session.state
    lost = state is not None and state.phase in (Phase.LOST, Phase.REFUSED)
    for proxy in live:
        follower = run_of(proxy).follower
        follower.lose()
        if lost and state is not None:
            follower.fail(state.detail, PlateScreen(proxy))
        elif proxy.library is None and not _is_of_this_pose(proxy, follower, scene):
            wait, start = rpt_("the backend is not ready yet"), rpt_("no backend paints this pose: press Start Backend")
            follower.fail(start if state is None else wait, PlateScreen(proxy))


def _is_of_this_pose(proxy: bpy.types.Object, follower: Follower, scene: bpy.types.Scene) -> bool:
    """Returns whether the plate shows the pose that the scene asks for, if need be by the file's own picture."""
    try:
        wanted = read_face(proxy, scene, bpy.context.evaluated_depsgraph_get(), viewpoint)
    except UnreadableError:
        return True  # as it was: what is wrong with the scene is told when there is a backend
    face, was_known = face_of(proxy), follower.is_known
    follower.take_over(None)
    if follower.shown == wanted.parameters:
        return True
    if face.shown and face.shown == record_of(proxy, wanted.parameters, "rgba8").digest:
        for image in (face.image, face.normal_map, face.light_map):
            if image is not None and image.packed_file is not None:
                image.reload()
        follower.take_over(wanted.parameters)
        return True
    if was_known or face.shown:
        return False
    follower.take_over(wanted.parameters)  # a file of an earlier version does not say what its picture shows
    return True
