# SPDX-License-Identifier: Apache-2.0
"""Translates the controls of one face model to those of another, which may name or divide them differently.

A control's name is an action, in ARKit's word if it has one, and the side that it moves, if any. The model that is
there announces its sides; of the other one only the names are known.
"""

from __future__ import annotations

from collections.abc import Mapping

from .mirror import Twin, side_by_name, sides_of

# Different names of one action; if a model has several of them, the first one counts.
_ALIKE = (("browUp", "browOuterUp", "browInnerUp"),)


def equivalents(name: str, known: Mapping[str, Twin]) -> tuple[str, ...]:
    """Returns the controls among ``known`` that together do what another model's control ``name`` does, if any."""
    side, base = side_by_name(name)
    every = sides_of(known)
    alike = next((group for group in _ALIKE if base in group), ())
    for action in (base, *(other for other in alike if other != base)):
        sides = every.get(action, {})
        if side in sides:
            return (sides[side],)
        if action in known:
            return (action,)
        if not side and sides:
            return tuple(sides.values())
    return ()


def translate(values: Mapping[str, float], known: Mapping[str, Twin]) -> dict[str, float]:
    """Translates another model's ``values`` to the controls ``known``; where several become one, it gets their mean."""
    found: dict[str, list[float]] = {}
    for name, value in values.items():
        for equivalent in (name,) if name in known else equivalents(name, known):
            found.setdefault(equivalent, []).append(value)
    # A control of the same name gets its own value alone, and no mean with related ones.
    return {
        equivalent: values[equivalent] if equivalent in values else sum(given) / len(given)
        for equivalent, given in found.items()
    }
