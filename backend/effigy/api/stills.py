# SPDX-License-Identifier: Apache-2.0
"""Paints single pictures: one exact picture, and contact sheets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from effigy_protocol.files import whole_file
from effigy_protocol.messages import MatteName

from ..painting import Depth, Format, Layers, Moment, Shot, paint_shots
from ..painting.outputs import check_place, check_suffix
from ..painting.sheets import paint_sheet
from .opening import Model, Person, load, opened

Values: TypeAlias = float | Sequence[float]

_EXR = ".exr"


def paint(
    who: Person = 0,
    *,
    yaw: float | None = None,
    pitch: float | None = None,
    controls: Mapping[str, float] | None = None,
    keep: float = 1.0,
    depth: Depth = 8,
    matte: MatteName = "none",
    layers: Layers | None = None,
    out: str | Path | None = None,
    model: Model = "default",
) -> NDArray[Any]:
    """Paints one exact picture, [H, W, 3], or [H, W, 4] with a matte.

    Args:
        who: the person.
        yaw: degrees to the picture's right; None: the person's own.
        pitch: degrees up; None: the person's own.
        controls: offsets from the person's own expression, and values of attributes, by name.
        keep: the likeness, 0 … 1: how firmly looks are held while pose and expression change.
        depth: 8 gives uint8, 16 gives uint16.
        matte: "head" cuts the head out, with straight alpha.
        layers: what an .exr holds besides the picture.
        out: a file to write as well: a .png, with the same bytes as Blender's Bake gives, or an .exr.
        model: the face model.

    Returns:
        The picture, which is linear and float32 if ``out`` is an .exr or ``layers`` are given.
    """
    chosen = load(model)
    if layers is None and out is not None and Path(out).suffix.lower() == _EXR:
        layers = Layers()
    shot = Shot(opened(chosen, who), Moment(yaw, pitch, controls or {}, keep))
    painted = next(paint_shots(chosen, [shot], Format(depth, matte, layers)))
    if out is not None:
        check_suffix(Path(out), ".png" if layers is None else _EXR)
        with whole_file(Path(out)) as temporary:
            temporary.write_bytes(painted.file())
    return painted.picture


def sheet(
    people: Iterable[Person] | Mapping[str, Person] = (0,),
    *,
    yaw: Values | None = None,
    pitch: Values | None = None,
    controls: Mapping[str, Values] | None = None,
    tile: int | None = None,
    captions: bool = True,
    matte: MatteName = "none",
    out: str | Path | None = None,
    model: Model = "default",
) -> NDArray[np.uint8]:
    """Paints a contact sheet, uint8 [H, W, 3], with a row or block of rows for each person.

    At most two of yaw, pitch and controls may have several values, which give the other axes. ``people`` may be named,
    for captions. ``tile`` is the width of each picture in pixels, None its own. ``matte`` "head" puts heads on white.
    ``out`` is a PNG file to write as well.
    """
    if out is not None:  # checked before a thousand pictures are painted
        check_suffix(Path(out), ".png")
        check_place(out)
    chosen = load(model)
    asked = {"yaw": yaw, "pitch": pitch, **(controls or {})}
    axes = {
        name: [values] if isinstance(values, (int, float)) else list(values)
        for name, values in asked.items()
        if values is not None
    }
    named = people if isinstance(people, Mapping) else {_label(who): who for who in people}
    shown = {label: opened(chosen, who) for label, who in named.items()}
    picture = paint_sheet(chosen, shown, axes, tile, captions=captions, matte=matte)
    if out is not None:
        with whole_file(Path(out)) as temporary:
            iio.imwrite(temporary, picture, extension=".png")
    return picture


def _label(who: Person) -> str:
    return f"seed {who}" if isinstance(who, int) else who.key[:8]
