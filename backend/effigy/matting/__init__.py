# SPDX-License-Identifier: Apache-2.0
"""Cutting a head out of its picture: alpha that follows the picture's edges, and the head's own colours at them."""

from .foreground import cut_out
from .guided import refine

__all__ = ["cut_out", "refine"]
