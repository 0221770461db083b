# SPDX-License-Identifier: Apache-2.0
"""Reads the values of options that say what to paint. Every function here raises typer.Exit, after saying why."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, get_args

from effigy_protocol.errors import SHOWN
from effigy_protocol.messages import MAX_POSE, MatteName, PassName

from .console import fail

if TYPE_CHECKING:
    from ..painting import Depth, Layers

_SEEDS = 1000  # of one list
_STEPS = 1000  # of one axis


def read_pairs(option: str, given: Iterable[str], form: str, example: str) -> dict[str, str]:
    """Reads NAME=VALUE as often as ``option`` was given; refuses a name that was given twice.

    ``form`` is how its help writes that, and ``example`` one of them.
    """
    found: dict[str, str] = {}
    for text in given:
        name, _, value = text.partition("=")
        if not name or not value:
            raise fail(f"{option} {text[:SHOWN]!r} is not {form}, for instance {example}")
        if name in found:
            both = f"{found[name][:SHOWN]} and {value[:SHOWN]}"
            raise fail(f"{option} gives {name[:SHOWN]} twice, {both}: give one of them")
        found[name] = value
    return found


def read_sets(given: list[str] | None) -> dict[str, float]:
    """Reads --set: the value of each control or attribute that it names."""
    return {name: _number(name, text) for name, text in _sets(given).items()}


def read_axes(yaw: str | None, pitch: str | None, given: list[str] | None) -> dict[str, list[float]]:
    """Reads the axes of a sheet, from --yaw, --pitch and --set: the values of each name.

    An axis is written as one value, as ``-30:30:5`` (from, to, how many) or as ``-10,0,20``.
    """
    turn = {"yaw": yaw, "pitch": pitch}
    sets = _sets([*(f"{name}={text}" for name, text in turn.items() if text is not None), *(given or [])])
    return {name: _axis(name, text) for name, text in sets.items()}


def read_seeds(text: str, *, once: bool = False) -> list[int]:
    """Reads --seeds: numbers and ranges, such as ``1,5,9`` or ``0-24``; each only ``once`` if that is asked for."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:-(\d{1,10}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 <= last - first < _SEEDS - len(found):
            shown = text[:SHOWN]
            raise fail(f"--seeds {shown!r}: name at most {_SEEDS} numbers and ranges, for instance 1,5,9 or 0-24")
        found += range(first, last + 1)
    if once and len(set(found)) < len(found):
        raise fail(f"--seeds {text[:SHOWN]!r} names {max(found, key=found.count)} twice: name everybody once")
    return found


def read_depth(bits: int) -> Depth:
    """Reads --depth: the bits of a channel."""
    if bits not in (8, 16):
        raise fail(f"--depth {bits}: a channel has 8 or 16 bits")
    return 16 if bits == 16 else 8


def read_matte(name: str) -> MatteName:
    """Reads --matte."""
    known: tuple[MatteName, ...] = get_args(MatteName)
    for each in known:
        if name == each:
            return each
    raise fail(f"--matte {name[:SHOWN]!r} is unknown: choose {' or '.join(known)}")


def read_layers(is_exr: bool, passes: str, distance: float) -> Layers | None:
    """Reads --passes and --distance (metres): the layers of OpenEXR files, or None for PNG files."""
    from ..painting import Layers

    names: Any = tuple(name.strip() for name in passes.split(",") if name.strip())
    if not is_exr:
        if names:
            raise fail("--passes are layers of OpenEXR files: end --out with .exr, or give --exr")
        return None
    if unknown := sorted(set(names) - set(get_args(PassName))):
        raise fail(f"--passes {unknown[0][:SHOWN]!r} is unknown: there are {', '.join(get_args(PassName))}")
    if len(set(names)) < len(names) or not abs(distance) <= MAX_POSE:
        raise fail(f"--passes {passes[:SHOWN]} --distance {distance}: name each pass once, and a distance in metres")
    return Layers(names, distance=distance)


def _sets(given: list[str] | None) -> dict[str, str]:
    return read_pairs("--set", given or (), "NAME=VALUE", "jawOpen=0.4")


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise fail(f"{name}: {text[:SHOWN]!r} is no number") from None


def _axis(name: str, text: str) -> list[float]:
    import numpy as np

    if ":" not in text:
        return [_number(name, each) for each in text.split(",")]
    parts = [_number(name, each) for each in text.split(":")]
    if len(parts) != 3 or not 1 <= parts[2] <= _STEPS or parts[2] != int(parts[2]):
        raise fail(f"{name}: {text[:SHOWN]!r} is not FROM:TO:COUNT, with a count of 1 to {_STEPS}")
    return [float(value) for value in np.linspace(parts[0], parts[1], int(parts[2]))]
