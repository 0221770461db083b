# SPDX-License-Identifier: Apache-2.0
"""Attributes of a face model: named directions of latents along which looks change, such as age.

At the value a the anchor w0 becomes w0 + a · direction; pose and controls are then asked of that latent as they are of
any other, so they hold (``FaceModel.edit``). One unit is a standard deviation of the model's latents along the
direction. ``attributes.safetensors`` has, for entry N of the header, ``direction.N`` [1 or num_ws, w_dim], ``seen.N``
[2, 2 + C] and ``shown.N`` [C]; without the last, which earlier versions did not write, all of it is 1.

Within a bundle, a name always means the same direction: a picture's record names its attributes and not their
directions. So names of attributes that were removed stay in the header as ``retired``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..geometry.camera import Array
from ..geometry.expressions import ASKED_BESIDES, REST
from ..tensor_files import read_tensors, write_tensors

FILE = "attributes.safetensors"
GROUP = "attributes"  # of the parameters that Welcome announces
MOST = 64  # of a model: a message announces them beside the controls
REACH = 3.0  # standard deviations to either side
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 _.-]{0,39}")
_LARGEST = 1e6  # of a number in the file


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """One look. ``direction`` [1 or num_ws, w_dim] is what a value of 1 adds to w+; values run from ``low`` to
    ``high``. ``source`` tells users where the direction comes from.

    ``seen`` [2, 2 + C] are the coefficients, of the value and of its square, by which yaw and pitch (degrees) and the C
    controls change in pictures although φ reads no change (see ``drift``). An edit's target is reduced by that.

    ``shown`` [C], 0 … 1: pictures show only this share of the movement of each control that φ reads along the
    direction and that differs between people. The rest is an error of φ, and edits do not compensate it.
    """

    name: str
    direction: Tensor
    seen: Array
    shown: Array
    low: float = -REACH
    high: float = REACH
    source: str = ""

    def drift(self, value: float) -> Array:
        """Returns [2 + C], how far pictures at ``value`` differ in yaw, pitch and controls from what φ reads."""
        return np.asarray(value * self.seen[0] + value**2 * self.seen[1])

    def entry(self) -> dict[str, Any]:
        """Returns the attribute's entry in the bundle's header."""
        return {"name": self.name, "low": self.low, "high": self.high, "source": self.source}


def check_name(name: str, taken: Iterable[str]) -> None:
    """Raises ValueError unless an attribute can have this ``name``, which sliders, columns and options have, too.

    ``taken``: the names of the model's controls and other attributes.
    """
    if not _NAME.fullmatch(name) or name != name.strip():
        raise ValueError(
            f"no attribute can be called {name[:60]!r}: a name begins with a letter, and has at most 40 letters, "
            "digits, spaces, points, - and _"
        )
    if name in {*ASKED_BESIDES, REST, *taken}:
        raise ValueError(f"{name!r} is the name of something that a face is asked for already: choose another")


def save_attributes(folder: Path, attributes: Sequence[Attribute]) -> None:
    """Writes FILE into ``folder``. Raises OSError."""
    tensors = {}
    for number, each in enumerate(attributes):
        tensors[f"direction.{number}"] = each.direction.float().clone()
        tensors[f"seen.{number}"] = torch.from_numpy(each.seen).float()
        tensors[f"shown.{number}"] = torch.from_numpy(each.shown).float()
    write_tensors(folder / FILE, tensors)


def listed(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the attributes that a header's ``entry`` lists. Raises KeyError, TypeError or ValueError for a damaged
    one.
    """
    found, retired = entry["attributes"], entry["retired"]
    if not isinstance(found, list) or len(found) > MOST:
        raise ValueError(f"its attributes are no list of at most {MOST}")
    if not all(isinstance(each, dict) and isinstance(each["name"], str) for each in found):
        raise ValueError("its attributes have no names")
    if not isinstance(retired, list) or not all(isinstance(name, str) for name in retired):
        raise ValueError("its retired attributes are no list of names")
    return found


def read_attributes(
    folder: Path, entry: dict[str, Any], num_ws: int, w_dim: int, controls: Sequence[str]
) -> list[Attribute]:
    """Reads the attributes in ``folder``, of a model with these ``controls``.

    Raises what damaged ones raise: KeyError, TypeError or ValueError.
    """
    arrays = read_tensors(folder / FILE)
    attributes: list[Attribute] = []
    for number, told in enumerate(listed(entry)):
        name, low, high = told["name"], float(told["low"]), float(told["high"])
        check_name(name, [*controls, *(each.name for each in attributes)])
        if not -_LARGEST <= low <= 0 <= high <= _LARGEST:
            raise ValueError(f"its attribute {name} runs from {low} to {high}")
        direction, seen = arrays[f"direction.{number}"], arrays[f"seen.{number}"]
        shown = arrays.get(f"shown.{number}", torch.ones(len(controls)))
        C = len(controls)
        if direction.shape not in ((1, w_dim), (num_ws, w_dim)) or (*seen.shape, *shown.shape) != (2, 2 + C, C):
            shapes = ", ".join(str(list(each.shape)) for each in (direction, seen, shown))
            raise ValueError(f"its attribute {name} is {shapes}")
        if max(float(direction.abs().max()), float(seen.abs().max())) > _LARGEST:
            raise ValueError(f"its attribute {name} leads beyond all bounds")
        if ((shown < 0) | (shown > 1)).any():
            raise ValueError(f"of its attribute {name} pictures show {shown.tolist()} of what is read, and no share")
        numbers = seen.double().numpy(), shown.double().numpy()
        attributes.append(Attribute(name, direction.float(), *numbers, low, high, str(told["source"])))
    return attributes
