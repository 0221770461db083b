# SPDX-License-Identifier: Apache-2.0
"""Converts the settings in a file to a network's configuration; checks each before anything is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from .errors import MalformedError

_NAME = 200  # characters
_LARGEST = 2**31  # of a setting

C = TypeVar("C")


def make_config(kind: type[C], values: Mapping[str, Any]) -> C:
    """Makes the configuration from ``values``, each of its field's type. Raises MalformedError for values that no
    network has.
    """
    hints, given = get_type_hints(kind), dict(values)
    for name, value in given.items():
        if name not in hints:
            raise MalformedError(f"it has a setting {name[:40]!r}, which no such network has")
        if hints[name] is int and isinstance(value, float) and value.is_integer():
            given[name] = int(value)  # as NumPy may have kept it
        if not _fits(hints[name], given[name]):
            raise MalformedError(f"its setting {name} cannot be {brief(value)}")
    try:
        return kind(**given)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise MalformedError(str(error)) from None


def _fits(hint: Any, value: Any) -> bool:
    if hint is int:
        return type(value) is int and abs(value) < _LARGEST
    if hint is bool:
        return type(value) is bool
    if hint is str:
        return type(value) is str and len(value) <= _NAME
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(get_args(hint)[0], item) for item in value)
    if value is None:
        return type(None) in get_args(hint)
    return type(value) in (int, float) and abs(value) < _LARGEST and (hint is float or float in get_args(hint))


def brief(value: Any) -> str:
    """Describes ``value`` in a few words: in hostile files numbers have millions of digits and containers are
    endless.
    """
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, bool | float | None) or (isinstance(value, int) and abs(value) < _LARGEST):
        return repr(value)
    return "so large a number" if isinstance(value, int) else f"a {type(value).__name__}"


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Removes values that cannot be settings: comparing or printing nested values of a hostile file might never end."""
    return {name: value for name, value in settings.items() if isinstance(value, str | int | float | None)}
