# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture on the proxy mesh itself: a material, and texture coordinates that follow the plate.

The plate always faces the camera and the generator's camera is a weak-perspective one, so a point's coordinates are
its place on the plate, whose middle is 0 and whose edges are ±0.5. A modifier finds them: solid viewports and
Workbench show a mesh's texture coordinates and no others.
"""

from __future__ import annotations

from typing import Any

import bpy

NAME = "Effigy Projection"  # of the modifier, its node group and the texture coordinates
_MARK = "effigy_projection"  # on materials and node groups that are ours


def put_on(proxy: bpy.types.Object, plate: bpy.types.Object, material: bpy.types.Material) -> None:
    """Lets ``proxy`` wear ``material``, whose texture node has no coordinates of its own yet."""
    material[_MARK] = True
    tree = material.node_tree
    coordinates = tree.nodes.new("ShaderNodeUVMap")
    coordinates.uv_map, coordinates.location = NAME, (-500, 0)
    texture = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeTexImage")
    tree.links.new(coordinates.outputs["UV"], texture.inputs["Vector"])
    proxy.data.materials.append(material)
    layers = proxy.data.uv_layers
    layers.active = layers.get(NAME) or layers.new(name=NAME)
    layers.active.active_render = True
    modifier: Any = proxy.modifiers.new(NAME, "NODES")
    modifier.show_in_editmode = modifier.show_on_cage = True
    modifier.node_group = group = _group()
    modifier[next(socket.identifier for socket in group.interface.items_tree if socket.name == "Plate")] = plate


def take_off(proxy: bpy.types.Object) -> bool:
    """Takes the projection off the proxy and leaves its other materials; says whether there was one."""
    slots = proxy.data.materials
    worn = [index for index, material in enumerate(slots) if material and material.get(_MARK)]
    for index in reversed(worn):
        material = slots.pop(index=index)
        if material is not None and material.users == 0:
            bpy.data.materials.remove(material)
    modifiers: Any = proxy.modifiers
    for modifier in [m for m in modifiers if m.type == "NODES" and m.node_group and m.node_group.get(_MARK)]:
        modifiers.remove(modifier)
    if worn and (layer := proxy.data.uv_layers.get(NAME)) is not None:
        proxy.data.uv_layers.remove(layer)
    return bool(worn)


def _group() -> Any:
    """The nodes that write texture coordinates, made when the file has none."""
    group: Any = next((g for g in bpy.data.node_groups if g.get(_MARK) and g.library is None), None)
    if group is not None:
        return group
    group = bpy.data.node_groups.new(NAME, "GeometryNodeTree")
    group[_MARK] = True
    group.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    group.interface.new_socket("Plate", in_out="INPUT", socket_type="NodeSocketObject")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    given, plate, inverse, position, local, middle, store, result = (
        group.nodes.new(kind)
        for kind in (
            "NodeGroupInput",
            "GeometryNodeObjectInfo",
            "FunctionNodeInvertMatrix",
            "GeometryNodeInputPosition",
            "FunctionNodeTransformPoint",
            "ShaderNodeVectorMath",
            "GeometryNodeStoreNamedAttribute",
            "NodeGroupOutput",
        )
    )
    plate.transform_space = "RELATIVE"
    middle.inputs[1].default_value = (0.5, 0.5, 0.0)
    store.data_type, store.domain = "FLOAT2", "CORNER"
    store.inputs["Name"].default_value = NAME
    for start, end in (
        (given.outputs["Plate"], plate.inputs["Object"]),
        (plate.outputs["Transform"], inverse.inputs[0]),
        (position.outputs[0], local.inputs["Vector"]),
        (inverse.outputs[0], local.inputs["Transform"]),
        (local.outputs[0], middle.inputs[0]),
        (middle.outputs[0], store.inputs["Value"]),
        (given.outputs["Geometry"], store.inputs["Geometry"]),
        (store.outputs["Geometry"], result.inputs["Geometry"]),
    ):
        group.links.new(start, end)
    for column, node in enumerate((given, plate, inverse, position, local, middle, store, result)):
        node.location = (200 * column, 0)
    return group
