# SPDX-License-Identifier: Apache-2.0
"""Compares the settings that layers in NVIDIA's files store beside their weights with what our network computes.

Otherwise a layer with another filter, activation, gain or size would silently be painted wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..errors import ForeignError
from ..registry import architecture_of, skeleton_of
from ..settings import brief
from .checkpoint import Config
from .tensors import TensorFile

_CLOSE = 1e-4  # relative: NumPy's numbers may have been kept in single precision
_LARGEST = 1e30  # integers may be larger than any float
_MOST = 8  # numbers in an attribute


def check_attributes(file: TensorFile, modules: Iterable[tuple[str, dict[str, Any]]], config: Config) -> None:
    """Raises ForeignError unless each attribute of ``modules`` (path → attributes) is what ``config`` makes it.

    Attributes that a module does not have are not checked: its code base then has only one behaviour.
    """
    expected = expected_attributes(config)
    for path, attributes in modules:
        for name, wanted in expected.get(path, {}).items():
            if name in attributes and not _same(found := _read(file, attributes[name]), wanted):
                place = f"{path}.{name}" if path else name
                raise ForeignError(f"its {place} is {_as_text(found)}, where Effigy's network has {_as_text(wanted)}")


def expected_attributes(config: Config) -> dict[str, dict[str, Any]]:
    """Returns the attributes of every module that its pictures depend on, by NVIDIA's names."""
    expected: dict[str, dict[str, Any]] = {}
    for path, attributes in architecture_of(config).attributes(skeleton_of(config)):
        expected.setdefault(path, {}).update(attributes)
    return expected


def _read(file: TensorFile, value: Any) -> Any:
    """Reads an attribute as numbers and lists of them."""
    stored = file.tensor(value)
    if stored is not None and math.prod(stored.shape) <= _MOST:
        return stored.stored().tolist()
    return list(value) if isinstance(value, tuple) else value


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        whole = isinstance(found, list) and len(found) == len(wanted)
        return whole and all(_same(one, other) for one, other in zip(found, wanted, strict=True))
    if isinstance(wanted, str) or wanted is None:
        return found is None if wanted is None else isinstance(found, str) and found == wanted
    return isinstance(found, int | float) and abs(found) < _LARGEST and abs(found - wanted) <= _CLOSE * abs(wanted)


def _as_text(value: Any) -> str:
    if isinstance(value, list) and len(value) <= _MOST:
        return f"[{', '.join(brief(item) for item in value)}]"
    return brief(value)
