# SPDX-License-Identifier: Apache-2.0
"""Paints the strips of docs/demo-model/gallery/: one for each turn and control of a face model.

``report`` moves the renderer's own parameters; this makes edits as a user does, through the inverse.
"""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from numpy.typing import NDArray

from effigy.faces.face import FaceModel

from .latents import TRUNCATION

STEPS = 7
PEOPLE = (8, 25)  # seeds; one row each


def gallery(model: FaceModel, out: Path) -> list[Path]:
    """Writes a JPEG for yaw, pitch, each control, an open mouth while turning, and people; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    yaw, pitch = (0.9 * limit for limit in model.pose_range)
    ramp = np.linspace(-1, 1, STEPS)
    asked: dict[str, list[tuple[float, float, dict[str, float]]]] = {
        "yaw": [(yaw * t, 0.0, {}) for t in ramp],
        "pitch": [(0.0, pitch * t, {}) for t in ramp],
    }
    for control in model.controls.values():
        values = np.linspace(control.low, control.high, STEPS)
        asked[control.name] = [(0.0, 0.0, {control.name: float(value)}) for value in values]
    mouth = next((control.name for control in model.controls.values() if control.group == "mouth"), None)
    if mouth is not None:  # both together, which shows the corners of the range
        asked["turn-and-mouth"] = [(0.8 * yaw * t, 0.0, {mouth: float(0.5 - 0.5 * np.cos(np.pi * t))}) for t in ramp]
    strips = {name: np.concatenate([_row(model, seed, moments) for seed in PEOPLE]) for name, moments in asked.items()}
    strips["people"] = np.concatenate(
        [_people(model, range(100 + STEPS * row, 100 + STEPS * (row + 1))) for row in (0, 1)]
    )
    paths = []
    for name, picture in strips.items():
        paths.append(out / f"{name}.jpg")
        iio.imwrite(paths[-1], picture, quality=85)
    return paths


def _row(model: FaceModel, seed: int, moments: list[tuple[float, float, dict[str, float]]]) -> NDArray[np.uint8]:
    identity = model.open_seed(seed, TRUNCATION)
    return _paint(model, [model.edit(identity, *moment).ws for moment in moments])


def _people(model: FaceModel, seeds: range) -> NDArray[np.uint8]:
    identities = [model.open_seed(seed, TRUNCATION) for seed in seeds]
    return _paint(model, [model.edit(who, who.pose.yaw, who.pose.pitch, {}).ws for who in identities])


def _paint(model: FaceModel, ws: list[torch.Tensor]) -> NDArray[np.uint8]:
    return np.concatenate([model.paint(each[None])[0, ..., :3] for each in ws], axis=1)
