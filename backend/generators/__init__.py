# SPDX-License-Identifier: Apache-2.0
"""Pretrained generators: latents in, pictures out."""

from .checkpoints import GeneratorFileError
from .generator import Generator
from .load import convert_generator, load_generator, save_generator

__all__ = ["Generator", "GeneratorFileError", "convert_generator", "load_generator", "save_generator"]
