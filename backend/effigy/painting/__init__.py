# SPDX-License-Identifier: Apache-2.0
"""Exact pictures without Blender and without a service: people, keyframes, contact sheets, sequences and films."""

from .errors import PaintingError
from .format import Depth, Format, Layers
from .keys import Keys, read_keys, turntable
from .people import open_person, read_latent
from .shots import Moment, Painted, Shot, paint_shots

__all__ = [
    "Depth",
    "Format",
    "Keys",
    "Layers",
    "Moment",
    "Painted",
    "PaintingError",
    "Shot",
    "open_person",
    "paint_shots",
    "read_keys",
    "read_latent",
    "turntable",
]
