# SPDX-License-Identifier: Apache-2.0
"""The Python interface, as ``import effigy`` offers it. Most functions are also commands of the command line.

A ``model`` is "default", the path of a bundle, or what ``load`` returned. A person is a seed, or what ``person``
returned. Functions raise PaintingError for what cannot be painted, BundleError for a model that cannot be read, and
OSError.
"""

from ..painting import Layers, PaintingError
from .films import bake, film, interpolate
from .opening import load, person
from .people import paste, paste_frames, photo
from .stills import paint, sheet

__all__ = [
    "Layers", "PaintingError", "bake", "film", "interpolate", "load", "paint", "paste", "paste_frames", "person",
    "photo", "sheet",
]  # fmt: skip
