# SPDX-License-Identifier: Apache-2.0
"""What a painted depth means in head units: read off where landmarks are, whose place the shape model knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..editing import Parameters, Regressor
from ..generators import Generator, check_pictures
from ..generators.planes import DEPTH, alpha
from ..geometry import ShapeModel, Topology, project
from ..geometry.camera import Array
from ..geometry.gauge import contour_visibility

_PICTURES, _BATCH = 96, 8  # thousands of landmarks for two numbers
_SOLID = 0.95  # alpha from which what is seen is the face's own
_ROUNDS, _FAR = 10, 2.5  # of looking for those that are farther from the line than so many deviations
_FEWEST, _ALIKE = 100, 0.5  # landmarks; correlation with the shape below which the plane shows something else
LARGEST = 1e3  # head units, which float16 holds


@dataclass(frozen=True, slots=True)
class DepthScale:
    """What a painted depth d in [−1, 1] means: scale · d + offset head units, towards the viewer from the origin."""

    scale: float
    offset: float

    def __post_init__(self) -> None:
        if not 0 < self.scale <= LARGEST or not abs(self.offset) <= LARGEST:
            raise ValueError(f"no depth has the scale {self.scale} and the offset {self.offset}")


def depth_of(entry: Any) -> DepthScale | None:
    """A bundle's entry as ``DepthScale``, None for none; raises ValueError or TypeError for what is no such entry."""
    return None if entry is None else DepthScale(float(entry["scale"]), float(entry["offset"]))


@torch.inference_mode()
def measure_depth(
    generator: Generator, regressor: Regressor, shape: ShapeModel, topology: Topology, seed: int
) -> DepthScale | None:
    """The scale by which the depth that ``generator`` paints agrees with the landmarks' own, in the camera frame.

    None where it paints none, or one that has nothing to do with them. Raises PictureError.
    """
    if DEPTH not in generator.planes:
        return None
    random = np.random.RandomState(seed)
    painted, known = [], []
    for _ in range(_PICTURES // _BATCH):
        z = torch.from_numpy(random.randn(_BATCH, generator.z_dim)).float().to(generator.device)
        ws = generator.map(z)
        images = generator.synthesize(ws)
        check_pictures(images, generator, ws)
        q = Parameters.from_vector(regressor.of_latents(ws.double().cpu()).numpy())
        X = shape.shape(q.alpha)
        grid = torch.from_numpy(2 * project(X, q.camera) - 1).float().permute(0, 2, 1)[:, None].to(images.device)
        index = generator.planes.index(DEPTH)
        planes = torch.cat([images[:, index : index + 1], alpha(images, generator.planes)], dim=1)
        d, opaque = F.grid_sample(planes, grid, align_corners=False)[:, :, 0].double().cpu().numpy().swapaxes(0, 1)
        seen = (opaque > _SOLID) & (np.abs(d) < 1) & (contour_visibility(q.camera, topology) > 0.5)
        painted.append(d[seen])
        known.append((q.camera.R[:, 2:] @ X)[:, 0][seen])
    return _line(np.concatenate(painted), np.concatenate(known))


def _line(d: Array, z: Array) -> DepthScale | None:
    """z = scale · d + offset through what most landmarks say: some are hidden, and depth has edges.

    Both are noisy, so the slope is the ratio of their deviations (the reduced major axis): neither variable's noise
    flattens it.
    """
    if len(d) < _FEWEST:
        return None
    rows, near = np.stack([z, np.ones(len(z))], axis=1), np.ones(len(z), bool)
    for _ in range(_ROUNDS):
        error = np.abs(rows @ np.linalg.lstsq(rows[near], d[near], rcond=None)[0] - d)
        near = error <= _FAR * 1.4826 * np.median(error)
    d, z = d[near], z[near]
    if d.std() == 0 or np.corrcoef(d, z)[0, 1] < _ALIKE:
        return None
    scale = float(z.std() / d.std())
    return DepthScale(scale, float(z.mean() - scale * d.mean()))
