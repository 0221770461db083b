# SPDX-License-Identifier: Apache-2.0
"""Pretrained generators: latents in, pictures out."""

from . import architectures as architectures  # which register themselves
from .checkpoints import GeneratorFileError
from .finite import PictureError, check_pictures
from .generator import Generator
from .load import convert_generator, load_generator, load_trainable, save_generator
from .previews import PreviewPainter

__all__ = [
    "Generator",
    "GeneratorFileError",
    "PictureError",
    "PreviewPainter",
    "check_pictures",
    "convert_generator",
    "load_generator",
    "load_trainable",
    "save_generator",
]
