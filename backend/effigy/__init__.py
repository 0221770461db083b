# SPDX-License-Identifier: Apache-2.0
"""Effigy's backend: from a camera and an expression to a picture, by a latent edit of a pretrained StyleGAN.

``import effigy`` offers what the command line does with pictures: ``load``, ``person``, ``photo``, ``paint``,
``paste``, ``paste_frames``, ``sheet``, ``film``, ``interpolate`` and ``bake`` (docs/api.md). PyTorch is imported when
the first of them is used.
"""

from importlib import import_module
from typing import Any

from effigy_protocol.version import VERSION

__version__ = VERSION

# By name, not by an import statement: whoever imports effigy must not import all of it.
_API = "effigy.api"
_VERBS = (
    "Layers", "PaintingError", "bake", "film", "interpolate", "load", "paint", "paste", "paste_frames", "person",
    "photo", "sheet",
)  # fmt: skip

__all__ = [
    "Layers", "PaintingError", "__version__", "bake", "film", "interpolate", "load", "paint", "paste",
    "paste_frames", "person", "photo", "sheet",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return getattr(import_module(_API), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_VERBS})
