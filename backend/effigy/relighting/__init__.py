# SPDX-License-Identifier: Apache-2.0
"""What it takes to light a picture anew: the surface that it shows, and the light that was on it."""

from .light import Light, estimate_light
from .relief import Relief, relief

__all__ = ["Light", "Relief", "estimate_light", "relief"]
