# SPDX-License-Identifier: Apache-2.0
"""Reads every supported format of StyleGAN weights without executing anything in the files."""

from .checkpoint import Checkpoint, Config, GeneratorFileError
from .matching import read_network
from .open import open_checkpoint
from .own import write_own

__all__ = ["Checkpoint", "Config", "GeneratorFileError", "open_checkpoint", "read_network", "write_own"]
