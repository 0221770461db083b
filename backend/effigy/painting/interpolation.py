# SPDX-License-Identifier: Apache-2.0
"""Interpolates from person to person on a smooth curve through their latents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..faces import FaceModel, Identity
from ..faces.latent import latent_to_bytes
from .errors import PaintingError
from .people import open_person

_FRAMES = 20_000  # a quarter of an hour; each is a latent in memory


def between(model: FaceModel, people: Sequence[Identity], frames: int, *, loop: bool = False) -> Iterator[Identity]:
    """Returns ``frames`` people at equal steps on a cubic spline in w+ through ``people``, which it passes exactly.

    With ``loop`` the curve returns to the first person; the last frame is one step before it. Raises PaintingError.
    """
    from scipy.interpolate import CubicSpline  # takes a while

    if len(people) < 2:
        raise PaintingError("name at least two people to go from one to the other")
    if not len(people) <= frames <= _FRAMES:
        raise PaintingError(
            f"{frames} frames are out of range for {len(people)} people: ask for {len(people)} to {_FRAMES}"
        )
    anchors = np.stack([person.ws.numpy() for person in people])
    if loop:
        anchors = np.concatenate([anchors, anchors[:1]])
    knots = np.arange(len(anchors))
    curve = CubicSpline(knots, anchors.astype(np.float64), bc_type="periodic" if loop else "natural")
    for step in range(frames):
        time = step * (len(anchors) - 1) / (frames if loop else frames - 1)
        nearest = round(time)
        ws = anchors[nearest] if abs(time - nearest) < 1e-9 else curve(time).astype(np.float32)
        yield open_person(model, latent=latent_to_bytes(ws))
