# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the pictures of a followed face on its plate."""

from __future__ import annotations

import bpy
import numpy as np

from effigy_client.pixels import Maps, Pixels

from ..scene import plate


class PlateScreen:
    """Shows the picture of ``proxy``; made anew for every look, because references do not survive undo."""

    def __init__(self, proxy: bpy.types.Object) -> None:
        self._proxy = proxy

    def show(self, pixels: Pixels, place: np.ndarray | None, maps: Maps | None) -> None:
        """Shows a picture on the plate, which moves to ``place`` [4, 4] if that is given. Raises ScreenError."""
        plate.show(self._proxy, pixels, maps)
        if place is not None:
            plate.place(self._proxy, place)

    def show_error(self) -> None:
        plate.show_error(self._proxy)
