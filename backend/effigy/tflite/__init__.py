# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite networks of float numbers, run by PyTorch: read from the file, which is never executed."""

from .flatbuffer import TFLiteError
from .network import TFLiteNetwork

__all__ = ["TFLiteError", "TFLiteNetwork"]
