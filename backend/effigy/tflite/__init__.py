# SPDX-License-Identifier: Apache-2.0
"""Runs floating-point TensorFlow Lite networks with PyTorch. The file is data: nothing in it is executed."""

from .flatbuffer import TFLiteError
from .network import TFLiteNetwork

__all__ = ["TFLiteError", "TFLiteNetwork"]
