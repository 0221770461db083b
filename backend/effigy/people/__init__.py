# SPDX-License-Identifier: Apache-2.0
"""Real people: makes a person, whom a face model can pose, of a photograph, and pastes the posed person back."""

from .alignment import ALIGNMENTS, UnfitModelError, pixels_of
from .inversion import Progress
from .making import Made, make_person
from .paste import NoPlaceError, Place, place_of
from .provenance import provenance_texts
from .steps import finish

__all__ = [
    "ALIGNMENTS",
    "Made",
    "NoPlaceError",
    "Place",
    "Progress",
    "UnfitModelError",
    "finish",
    "make_person",
    "pixels_of",
    "place_of",
    "provenance_texts",
]
