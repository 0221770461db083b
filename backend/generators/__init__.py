# SPDX-License-Identifier: Apache-2.0
"""Pretrained generators: latents in, pictures out."""

from .generator import Generator
from .load import GeneratorFileError, load_generator, save_generator

__all__ = ["Generator", "GeneratorFileError", "load_generator", "save_generator"]
