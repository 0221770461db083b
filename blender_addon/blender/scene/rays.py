# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry nodes that move points of a plate along the rays on which a camera sees them, so that it sees no difference.

They name the camera themselves: how a modifier is given one differs between Blender's versions.
"""

from __future__ import annotations

from typing import Any

import bpy

_EYE = "Eye"  # the node that knows where the camera is; an orthographic one is everywhere


def offset(group: Any, eye: bpy.types.Object | None, farther: Any) -> Any:
    """Returns the socket of the offset that moves a point ``farther`` (a socket, in plate units) behind the plate.

    For an ``eye`` of None it is straight back. Otherwise it is along the ray from the eye e through the point p, so
    that the eye sees no difference: (p − e) · farther / eᶻ.
    """
    nodes, link = group.nodes, group.links.new
    far = nodes.new("ShaderNodeVectorMath")
    far.operation = "SCALE"
    if eye is None:
        far.inputs[0].default_value = (0.0, 0.0, -1.0)
        link(farther, far.inputs["Scale"])
        return far.outputs[0]
    parts, share = nodes.new("ShaderNodeSeparateXYZ"), nodes.new("ShaderNodeMath")
    share.operation = "DIVIDE"
    link(_place(group, eye), parts.inputs[0])
    link(farther, share.inputs[0])
    link(parts.outputs["Z"], share.inputs[1])
    link(direction(group, eye), far.inputs[0])
    link(share.outputs[0], far.inputs["Scale"])
    return far.outputs[0]


def direction(group: Any, eye: bpy.types.Object) -> Any:
    """Returns the socket of p − e, from the camera to a point."""
    ray = group.nodes.new("ShaderNodeVectorMath")
    ray.operation = "SUBTRACT"
    group.links.new(group.nodes.new("GeometryNodeInputPosition").outputs[0], ray.inputs[0])
    group.links.new(_place(group, eye), ray.inputs[1])
    return ray.outputs[0]


def eye_of(group: Any) -> bpy.types.Object | None:
    """Returns the camera that the node group refers to."""
    return group.nodes[_EYE].inputs["Object"].default_value if _EYE in group.nodes else None


def _place(group: Any, eye: bpy.types.Object) -> Any:
    """Returns the socket of the camera's place e, in the plate's frame."""
    if _EYE not in group.nodes:
        node = group.nodes.new("GeometryNodeObjectInfo")
        node.name, node.transform_space = _EYE, "RELATIVE"
        node.inputs["Object"].default_value = eye
    return group.nodes[_EYE].outputs["Location"]
