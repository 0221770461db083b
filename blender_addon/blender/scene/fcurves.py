# SPDX-License-Identifier: GPL-3.0-or-later
"""Keyframes in bulk, in the actions of 4.2 and in the slotted ones of 4.4 and later."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

_LINEAR = 1  # of keyframe_points' interpolation
# What a key is, and how many numbers of which type each part of it has.
_ATTRIBUTES = {
    "co": (2, np.float32),
    "handle_left": (2, np.float32),
    "handle_right": (2, np.float32),
    "interpolation": (1, np.int32),
    "handle_left_type": (1, np.int32),
    "handle_right_type": (1, np.int32),
    "easing": (1, np.int32),
}
_RARE = {
    "type": (1, np.int32),
    "amplitude": (1, np.float32),
    "back": (1, np.float32),
    "period": (1, np.float32),
}


def curves_of(data: Any) -> Any:
    """Returns the F-curves of a data-block's action, which is made if it has none."""
    animation = data.animation_data or data.animation_data_create()
    if animation.action is None:
        animation.action = bpy.data.actions.new(f"{data.name} Action")
    action = animation.action
    if bpy.app.version < (4, 4, 0):
        return action.fcurves
    if animation.action_slot is None:
        animation.action_slot = action.slots.new(id_type=data.id_type, name=data.name)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(animation.action_slot, ensure=True).fcurves


def slider_path(name: str) -> str:
    """Returns the data path of the value of the shape key ``name``."""
    return f'key_blocks["{bpy.utils.escape_identifier(name)}"].value'


def write_keys(data: Any, path: str, index: int, start: float, values: np.ndarray) -> None:
    """Keys ``values`` [N] at every frame from ``start`` on; the curve's other keys stay as they are."""
    curves = curves_of(data)
    curve = curves.find(path, index=index) or curves.new(path, index=index)
    points = curve.keyframe_points
    before = {name: _get(points, name, size, kind) for name, (size, kind) in _ATTRIBUTES.items()}
    frames = start + np.arange(len(values))
    kept = (before["co"][:, 0] < frames[0] - 0.5) | (before["co"][:, 0] > frames[-1] + 0.5)
    new = {name: np.zeros((len(values), size), kind) for name, (size, kind) in _ATTRIBUTES.items()}
    new["co"][:] = new["handle_left"][:] = new["handle_right"][:] = np.stack([frames, values], axis=1)
    new["interpolation"][:] = _LINEAR
    order = np.argsort(np.concatenate([before["co"][kept, 0], frames]), kind="stable")
    points.clear()
    points.add(len(order))
    for name in _ATTRIBUTES:
        points.foreach_set(name, np.concatenate([before[name][kept], new[name]])[order].reshape(-1))
    curve.update()


def bags_of(data: Any) -> list[Any]:
    """Returns the F-curves that animate ``data``: a collection for its own action, and one for each NLA strip's."""
    return [bag for player in players_of(data) for bag in _bags(player.action, player)]


def players_of(data: Any) -> list[Any]:
    """Returns what plays actions on ``data``: its own animation data, and its NLA strips."""
    animation = data.animation_data
    if animation is None:
        return []
    strips = [strip for track in animation.nla_tracks for strip in _leaves(track.strips)]
    return [player for player in (animation, *strips) if player.action is not None]


def bags_in(action: Any) -> list[Any]:
    """Returns all F-curves of an action, whatever they animate."""
    return _bags(action, None)


def _leaves(strips: Any) -> list[Any]:
    """Returns the strips that are no groups; of a group the strips in it, at any depth."""
    return [leaf for strip in strips for leaf in (_leaves(strip.strips) if strip.type == "META" else [strip])]


def _bags(action: Any, user: Any) -> list[Any]:
    if bpy.app.version < (4, 4, 0):
        return [action.fcurves]
    bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
    return [bag.fcurves for bag in bags if user is None or bag.slot == user.action_slot]


def copy_curve(curves: Any, curve: Any, path: str) -> None:
    """Adds a copy of ``curve`` for ``path`` to ``curves``, unless there is one."""
    if curves.find(path, index=curve.array_index) is not None:
        return
    new = curves.new(path, index=curve.array_index)
    new.extrapolation, new.mute = curve.extrapolation, curve.mute
    new.keyframe_points.add(len(curve.keyframe_points))
    for name, (size, kind) in {**_ATTRIBUTES, **_RARE}.items():
        new.keyframe_points.foreach_set(name, _get(curve.keyframe_points, name, size, kind).reshape(-1))
    for modifier in curve.modifiers:
        own = new.modifiers.new(modifier.type)
        for setting in modifier.bl_rna.properties:
            if not setting.is_readonly:
                setattr(own, setting.identifier, getattr(modifier, setting.identifier))
    new.update()


def _get(points: Any, name: str, size: int, kind: type) -> np.ndarray:
    values: np.ndarray = np.empty(len(points) * size, dtype=kind)
    points.foreach_get(name, values)
    return values.reshape(-1, size)
