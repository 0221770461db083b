# SPDX-License-Identifier: Apache-2.0
"""Reads faces in photographs and films: boxes, 478 points with irises, 52 expression scores, and mattes."""

from .crop import Crop, cut, doubled
from .detector import PhotoDetector
from .eyes import EYES
from .matte import Matte
from .photographed import Photographed, photographed
from .pose import Head, head, onto
from .reader import POINTS, SCORES, Face, Film, PhotoReader

__all__ = [
    "EYES",
    "POINTS",
    "SCORES",
    "Crop",
    "Face",
    "Film",
    "Head",
    "Matte",
    "PhotoDetector",
    "PhotoReader",
    "Photographed",
    "cut",
    "doubled",
    "head",
    "onto",
    "photographed",
]
