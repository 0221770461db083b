# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry-nodes modifiers that Effigy puts on objects, each recognised by a mark on its node group."""

from __future__ import annotations

from typing import Any

import bpy


def new_group(name: str, mark: str) -> Any:
    """Makes a node group with geometry in and out, whose custom property ``mark`` tells that it is ours."""
    group: Any = bpy.data.node_groups.new(name, "GeometryNodeTree")
    group[mark] = ""
    group.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    return group


def marked(obj: bpy.types.Object | None, mark: str) -> list[Any]:
    """Returns the object's modifiers whose node group has the ``mark``."""
    modifiers: Any = obj.modifiers if obj is not None else ()
    return [m for m in modifiers if m.type == "NODES" and m.node_group is not None and mark in m.node_group]


def remove(obj: bpy.types.Object | None, mark: str) -> bool:
    """Removes the object's modifiers with the ``mark``, and their node groups; returns whether there were any."""
    found = marked(obj, mark)
    for modifier in found:
        group = modifier.node_group
        modifier.id_data.modifiers.remove(modifier)
        if group.users == 0:
            bpy.data.node_groups.remove(group)
    return bool(found)
