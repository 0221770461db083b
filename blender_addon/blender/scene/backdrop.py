# SPDX-License-Identifier: GPL-3.0-or-later
"""*Background*: draws the plate behind the head in viewports, at the same apparent size.

So objects at the head are in front of the picture, and objects behind the head are hidden by it. A modifier does this,
which is off in renders, which show the plate in its real place.
"""

from __future__ import annotations

from typing import Any

import bpy

from . import own_modifiers, rays
from .properties import EffigyFace

NAME = "Effigy Backdrop"  # of the modifier
_MARK = "effigy_backdrop"  # on its node group
_DEPTH = "Depth"  # the node that holds how far back the picture is drawn, in the plate's own units
_HEAD = 1.2  # head units from a head's pivot to its back, hair and all


def is_on(face: EffigyFace) -> bool:
    return bool(own_modifiers.marked(face.plate, _MARK))


def put_behind(face: EffigyFace, eye: bpy.types.Object | None) -> None:
    """Draws the plate behind the head, as large as ``eye`` sees it in its place; without one, straight behind.

    Calling it again changes nothing.
    """
    plate = face.plate
    found, depth = own_modifiers.marked(plate, _MARK), _HEAD / face.plate_size
    if len(found) != 1 or rays.eye_of(found[0].node_group) != eye:
        take_off(face)
        modifier: Any = plate.modifiers.new(NAME, "NODES")
        modifier.show_render = False
        modifier.node_group = _behind(plate, eye)
        found = [modifier]
    value = found[0].node_group.nodes[_DEPTH].outputs[0]
    if abs(value.default_value - depth) > 1e-5 * depth:
        value.default_value = depth


def take_off(face: EffigyFace) -> None:
    """Makes viewports draw the plate where it is."""
    own_modifiers.remove(face.plate, _MARK)


def take_off_cameras(face: EffigyFace) -> None:
    """Removes the picture from behind cameras' views, where files of earlier versions have it."""
    pictures = [image for image in (face.image, face.baked) if image is not None]
    for lens in bpy.data.cameras:
        for entry in [entry for entry in lens.background_images if entry.image in pictures]:
            lens.background_images.remove(entry)
            lens.update_tag()  # Blender would go on drawing it


def _behind(plate: bpy.types.Object, eye: bpy.types.Object | None) -> Any:
    """Builds nodes that move a plate back along the rays from ``eye``, or straight back.

    They name the camera themselves: how a modifier is given one differs between Blender's versions.
    """
    group = own_modifiers.new_group(f"{plate.name} Backdrop", _MARK)
    nodes, link = group.nodes, group.links.new
    given, depth = nodes.new("NodeGroupInput"), nodes.new("ShaderNodeValue")
    move, result = nodes.new("GeometryNodeSetPosition"), nodes.new("NodeGroupOutput")
    depth.name = _DEPTH
    link(rays.offset(group, eye, depth.outputs[0]), move.inputs["Offset"])
    link(given.outputs["Geometry"], move.inputs["Geometry"])
    link(move.outputs["Geometry"], result.inputs["Geometry"])
    for column, node in enumerate(nodes):
        node.location = (200 * column, 0)
    return group
