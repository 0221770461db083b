# SPDX-License-Identifier: GPL-3.0-or-later
"""*Relief*: bends the plate to the head's depth, so that an object can cross the face.

A modifier moves its points along the rays of the scene's camera to where the proxy mesh is met; the camera sees the
same picture. Where no landmarks are, the plate stays flat, and between both it goes over smoothly.
"""

from __future__ import annotations

from typing import Any

import bpy

from . import own_modifiers, rays
from .properties import EffigyFace

NAME = "Effigy Relief"  # of the modifier
_MARK = "effigy_relief"  # on its node group
_LEVEL = 6  # times that the plate is divided: into 64 × 64
_SMOOTH = 8  # times that a point's depth is averaged with its neighbours'
_FAR = 100.0  # plates: longer than any ray


def put_on(face: EffigyFace, proxy: bpy.types.Object, eye: bpy.types.Object | None) -> None:
    """Bends the plate to ``proxy`` as ``eye`` sees it, straight without one; calling it again changes nothing."""
    found = own_modifiers.marked(face.plate, _MARK)
    if len(found) != 1 or rays.eye_of(found[0].node_group) != eye:
        take_off(face)
        modifier: Any = face.plate.modifiers.new(NAME, "NODES")
        modifier.node_group = _bent(face.plate, proxy, eye)


def take_off(face: EffigyFace) -> None:
    """Makes the plate flat again."""
    own_modifiers.remove(face.plate, _MARK)


def _bent(plate: bpy.types.Object, proxy: bpy.types.Object, eye: bpy.types.Object | None) -> Any:
    """Builds nodes that subdivide a plate and move its points to where their rays meet ``proxy``."""
    group = own_modifiers.new_group(f"{plate.name} Relief", _MARK)
    given, finer, head, cast, parts, met, smooth, move, result = (
        group.nodes.new(kind)
        for kind in (
            "NodeGroupInput",
            "GeometryNodeSubdivideMesh",
            "GeometryNodeObjectInfo",
            "GeometryNodeRaycast",
            "ShaderNodeSeparateXYZ",
            "ShaderNodeMath",
            "GeometryNodeBlurAttribute",
            "GeometryNodeSetPosition",
            "NodeGroupOutput",
        )
    )
    link = group.links.new
    finer.inputs["Level"].default_value = _LEVEL
    head.transform_space = "RELATIVE"
    head.inputs["Object"].default_value = proxy
    cast.inputs["Ray Length"].default_value = _FAR
    _aim(group, cast, eye)
    met.operation = "MULTIPLY"  # 0 where nothing is met
    smooth.inputs["Iterations"].default_value = _SMOOTH
    (value,) = (socket for socket in smooth.inputs if socket.name == "Value" and socket.enabled)
    (even,) = (socket for socket in smooth.outputs if socket.enabled)
    back = group.nodes.new("ShaderNodeMath")  # what is nearer to the camera is less far
    back.operation = "MULTIPLY"
    back.inputs[1].default_value = -1.0
    for start, end in (
        (given.outputs["Geometry"], finer.inputs[0]),
        (finer.outputs[0], move.inputs["Geometry"]),
        (head.outputs["Geometry"], cast.inputs["Target Geometry"]),
        (cast.outputs["Hit Position"], parts.inputs[0]),
        (parts.outputs["Z"], met.inputs[0]),
        (cast.outputs["Is Hit"], met.inputs[1]),
        (met.outputs[0], value),
        (even, back.inputs[0]),
        (rays.offset(group, eye, back.outputs[0]), move.inputs["Offset"]),
        (move.outputs["Geometry"], result.inputs["Geometry"]),
    ):
        link(start, end)
    for column, node in enumerate(group.nodes):
        node.location = (200 * column, 0)
    return group


def _aim(group: Any, cast: Any, eye: bpy.types.Object | None) -> None:
    """Sends each point's ray from the camera through it; without one, straight from before it."""
    start = group.nodes.new("ShaderNodeVectorMath")
    start.operation = "ADD" if eye is None else "SUBTRACT"
    place = group.nodes.new("GeometryNodeInputPosition").outputs[0]
    group.links.new(place, start.inputs[0])
    if eye is None:
        start.inputs[1].default_value = (0.0, 0.0, _FAR / 2)
        cast.inputs["Ray Direction"].default_value = (0.0, 0.0, -1.0)
    else:
        ray = rays.direction(group, eye)
        group.links.new(ray, start.inputs[1])  # p − (p − e)
        group.links.new(ray, cast.inputs["Ray Direction"])
    group.links.new(start.outputs[0], cast.inputs["Source Position"])
