# SPDX-License-Identifier: Apache-2.0
"""Estimates what relighting a picture needs: the surface that it shows, and the light on it."""

from .light import Light, estimate_light
from .relief import Relief, relief

__all__ = ["Light", "Relief", "estimate_light", "relief"]
