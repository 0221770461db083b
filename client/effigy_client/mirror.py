# SPDX-License-Identifier: Apache-2.0
"""Mirrors a face's controls: which control of the mirror image shows what another showed, and with which sign."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.arkit import SIDES, split_side
from effigy_protocol.messages import Parameter

V = TypeVar("V", float, NDArray[np.float64])  # a value, or one for every frame


@dataclass(frozen=True, slots=True)
class Twin:
    """The control ``name`` that shows in the mirror image what another showed, with opposite sign if ``is_odd``."""

    name: str
    is_odd: bool = False


def twins_of(parameters: Iterable[Parameter]) -> dict[str, Twin]:
    """Returns each control's twin by its name, as the model announces it."""
    return {parameter.name: Twin(parameter.mirror, parameter.is_odd) for parameter in parameters}


def twins_by_name(names: Collection[str]) -> dict[str, Twin]:
    """Guesses the twins of controls whose model is not there, from names that end in their side."""
    twins = {}
    for name in names:
        _, action = side_by_name(name)
        others = [action + side for side in SIDES if action + side in names and action + side != name]
        twins[name] = Twin(others[0]) if action != name and others else Twin(name)
    return twins


def side_by_name(name: str) -> tuple[str, str]:
    """Splits a control's name into side, "" for none, and action."""
    side = next((side for side in SIDES if name.endswith(side)), "")
    return side, name.removesuffix(side)


def sides_of(twins: Mapping[str, Twin]) -> dict[str, dict[str, str]]:
    """Returns the names of both sides of each action: {"eyeBlink": {"Left": "eyeBlinkLeft", …}, …}."""
    found: dict[str, dict[str, str]] = {}
    for name, twin in twins.items():
        if twin.name != name:
            action, side = split_side(name, twin.name)
            found.setdefault(action, {})[side] = name
    return found


def mirrored(values: Mapping[str, V], twins: Mapping[str, Twin]) -> dict[str, V]:
    """Returns the ``values`` of the mirror image; a control whose twin has no value keeps its own."""
    out = dict(values)
    for name, twin in twins.items():
        if name in values and twin.name in values:
            value = values[twin.name]
            out[name] = -value if twin.is_odd else value
    return out
