# SPDX-License-Identifier: GPL-3.0-or-later
"""Keyframes in bulk, in the actions of 4.2 and in the slotted ones of 4.4 and later."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

_LINEAR = 1  # of keyframe_points' interpolation


def curves_of(data: Any) -> Any:
    """The F-curves of a data-block's action, which is made if it has none."""
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


def write_keys(data: Any, path: str, index: int, start: float, values: np.ndarray) -> None:
    """Keys ``values`` [N] at every frame from ``start`` on; the curve's other keys stay where they are."""
    curves = curves_of(data)
    curve = curves.find(path, index=index) or curves.new(path, index=index)
    frames = start + np.arange(len(values))
    kept = [(p.co[0], p.co[1]) for p in curve.keyframe_points if not start <= p.co[0] <= frames[-1]]
    points = np.array(sorted([*kept, *zip(frames, values, strict=True)]), dtype=np.float32)
    curve.keyframe_points.clear()
    curve.keyframe_points.add(len(points))
    curve.keyframe_points.foreach_set("co", points.reshape(-1))
    curve.keyframe_points.foreach_set("interpolation", np.full(len(points), _LINEAR, dtype=np.int32))
    curve.update()
