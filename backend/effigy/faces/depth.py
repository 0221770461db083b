# SPDX-License-Identifier: Apache-2.0
"""The scale of a painted depth, measured at the landmarks, whose depth the shape model knows."""

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

_PICTURES, _BATCH = 96, 8  # which give thousands of landmarks
_SOLID = 0.95  # alpha above which a pixel shows the face alone
_ROUNDS, _FAR = 10, 2.5  # rounds of leaving out points farther from the line than so many standard deviations
_FEWEST, _ALIKE = 100, 0.5  # landmarks, and their correlation with the plane, below which it is no depth
LARGEST = 1e3  # head units, within float16's range


@dataclass(frozen=True, slots=True)
class DepthScale:
    """A painted depth d in [−1, 1] is scale · d + offset head units from the head's origin towards the viewer."""

    scale: float
    offset: float

    def __post_init__(self) -> None:
        if not 0 < self.scale <= LARGEST or not abs(self.offset) <= LARGEST:
            raise ValueError(f"no depth has the scale {self.scale} and the offset {self.offset}")


def depth_of(entry: Any) -> DepthScale | None:
    """Reads the entry of a bundle's header; None gives None. Raises ValueError or TypeError for any other value."""
    return None if entry is None else DepthScale(float(entry["scale"]), float(entry["offset"]))


@torch.inference_mode()
def measure_depth(
    generator: Generator, regressor: Regressor, shape: ShapeModel, topology: Topology, seed: int
) -> DepthScale | None:
    """Measures the scale of the depth that ``generator`` paints, on pictures of latents drawn with ``seed``.

    It compares the plane at the landmarks with their depth in the camera frame. Returns None if the generator paints no
    depth, or one that does not correlate with the landmarks'. Raises PictureError.
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
        q = Parameters.from_vector(regressor.of_latents(ws.cpu().double()).numpy())
        X = shape.shape(q.alpha)
        grid = torch.from_numpy(2 * project(X, q.camera) - 1).float().permute(0, 2, 1)[:, None].to(images.device)
        index = generator.planes.index(DEPTH)
        planes = torch.cat([images[:, index : index + 1], alpha(images, generator.planes)], dim=1)
        d, opaque = F.grid_sample(planes, grid, align_corners=False)[:, :, 0].cpu().double().numpy().swapaxes(0, 1)
        seen = (opaque > _SOLID) & (np.abs(d) < 1) & (contour_visibility(q.camera, topology) > 0.5)
        painted.append(d[seen])
        known.append((q.camera.R[:, 2:] @ X)[:, 0][seen])
    return _line(np.concatenate(painted), np.concatenate(known))


def _line(d: Array, z: Array) -> DepthScale | None:
    """Fits z = scale · d + offset to most landmarks; outliers, hidden or at edges of the depth, are left out.

    Both variables are noisy, so the slope is the ratio of their standard deviations (the reduced major axis), which the
    noise of neither flattens.
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
