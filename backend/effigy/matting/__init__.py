# SPDX-License-Identifier: Apache-2.0
"""Cutting a head out of its picture: alpha that follows the picture's edges, and the head's own colours at them."""

from .foreground import cut_out, multipliable
from .guided import refine
from .haze import without_haze
from .moving import cut_out_moving

__all__ = ["cut_out", "cut_out_moving", "multipliable", "refine", "without_haze"]
