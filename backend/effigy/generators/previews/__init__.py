# SPDX-License-Identifier: Apache-2.0
"""Painting previews faster than finals: compiled on the CPU, recorded as a graph on CUDA."""

from .painter import PreviewPainter

__all__ = ["PreviewPainter"]
