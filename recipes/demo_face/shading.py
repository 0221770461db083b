# SPDX-License-Identifier: Apache-2.0
"""Measures on renders how expressions change colours.

An open jaw covers the neck, and moved skin is lit differently: ``effigy evaluate`` subtracts that from the drift that
it reports. Places, landmarks and readings are found on renders in the same way as on edited pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from effigy.editing.patches import patch_names
from effigy.faces.face import FaceModel
from effigy.fitting.drift import TURN, Shading, changes, full_strength
from effigy.geometry import infer
from effigy.geometry.camera import Array
from effigy.landmarks import Detector

from .latents import drawn
from .parameters import EXPRESSION, PITCH, ROWS, YAW, column
from .planes import RGB
from .renderer import Renderer

SEED = 777  # of people whom no training saw
PEOPLE = 48
SPREAD = 0.7  # of their parameters: edits start at people with the same truncation
# Standard deviations of what brings a control to about its full strength; what it came to is measured.
MOVES: Mapping[str, Mapping[str, float | tuple[float, float]]] = {
    "jawOpen": {"jaw": 2.2},
    "mouthSmile": {"smile": 1.8},
    "eyeBlinkLeft": {"lids": (0.0, 2.0)},
    "eyeBlinkRight": {"lids": (2.0, 0.0)},
    "browInnerUp": {"inner_brow": 1.6},
    "browUp": {"brows": (1.8, 1.8)},
    "browUpLeft": {"brows": (0.0, 1.8)},
    "browUpRight": {"brows": (1.8, 0.0)},
    "mouthPucker": {"pucker": 1.5},
    "eyeBlink": {"lids": (2.0, 2.0)},
    "gazeSide": {"gaze": (1.8, 0.0)},
    "gazeUp": {"gaze": (0.0, 1.8)},
}


def measure_shading(
    model: FaceModel,  # the bundle whose controls and places are used
    detector: Detector,
    renderer: Renderer,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Shading:
    """Returns the relative change of each place's colour by each full control, by least squares over people."""
    shares = []
    for number, pose in enumerate(((0.0, 0.0), TURN)):
        shares.append(
            _shares(model, detector, renderer, *pose, lambda done, n=number: progress(n * PEOPLE + done, 2 * PEOPLE))  # type: ignore[misc]
        )
    return Shading(*shares)


def _shares(
    model: FaceModel, detector: Detector, renderer: Renderer, yaw: float, pitch: float, progress: Callable[[int], None]
) -> dict[str, dict[str, float]]:
    moves = {name: MOVES[name] for name in full_strength(dict.fromkeys(model.controls, 1.0), model.topology)}
    products, squares, readings = [], [], []
    for number, person in enumerate(people(yaw, pitch)):
        vectors = [person, *(moved(person, move) for move in moves.values())]
        pictures = torch.from_numpy(np.stack([renderer(vector).picture[..., RGB] for vector in vectors]))
        pictures = pictures.permute(0, 3, 1, 2).float()
        views = infer(model.shape, detector.detect(pictures / 127.5 - 1).double().cpu().numpy())
        base, change = changes(pictures, views, model.topology, model.shape)
        products.append((change * base).sum(axis=2))
        squares.append(np.square(base).sum(axis=1))
        readings.append([_reading(model, name, views.alpha[1 + i] - views.alpha[0]) for i, name in enumerate(moves)])
        progress(number + 1)
    share = np.sum(products, axis=0) / np.sum(squares, axis=0) / np.mean(readings, axis=0)[:, None]
    places = patch_names(model.topology.patches)
    return {name: dict(zip(places, row, strict=True)) for name, row in zip(moves, share.round(4).tolist(), strict=True)}


def people(yaw: float, pitch: float) -> NDArray[np.float32]:
    """Returns [PEOPLE, COUNT]: people without expression, turned to (yaw, pitch) in degrees."""
    vectors = drawn(PEOPLE, SEED, SPREAD)
    vectors[:, EXPRESSION] = 0
    vectors[:, column("yaw")] = YAW.parameter(np.radians(yaw))
    vectors[:, column("pitch")] = PITCH.parameter(np.radians(-pitch))  # opposite in sign to a face model's pitch
    return vectors


def moved(vector: NDArray[np.float32], move: Mapping[str, float | tuple[float, float]]) -> NDArray[np.float32]:
    """Returns ``vector`` with these parameters replaced."""
    out = vector.copy()
    for name, value in move.items():
        out[ROWS[name]] = value
    return out


def _reading(model: FaceModel, name: str, alpha: Array) -> float:
    """Returns how far a change of shape moves a control; if there is one for each side, the left one."""
    control = model.controls.get(name) or model.controls[f"{name}Left"]
    return float(control.reading @ alpha) / control.high
