# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist chooses for every captured performance, whether it comes live or from a file."""

from __future__ import annotations

from bpy.props import BoolProperty, FloatProperty


class CaptureSettings:
    """The properties of an operator that lets a face follow a capture."""

    gain: FloatProperty(
        name="Gain", description="Strength of the expressions; 1 spreads the capture over each control's range",
        default=1.0, min=0.0, max=4.0,
    )  # fmt: skip
    head: BoolProperty(name="Head", description="Turn the head as well", default=True)
    flip: BoolProperty(name="Mirrored", description="Swap left and right: the capture shows a mirror image")
