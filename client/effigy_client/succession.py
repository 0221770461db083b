# SPDX-License-Identifier: Apache-2.0
"""Which controls of a face model carry on what another's do: names differ, and so does what has two sides.

A control's name is what it does, ARKit's word where there is one, and the side that it moves, if it has one. Of the
model that is there the sides are announced; of the other one, which is not, only the names are left.
"""

from __future__ import annotations

from collections.abc import Mapping

from .mirror import Twin, side_by_name, sides_of

# Names of one action, of which models have one or another; where one has several, the first of these is it.
_ALIKE = (("browUp", "browOuterUp", "browInnerUp"),)


def heirs(name: str, known: Mapping[str, Twin]) -> tuple[str, ...]:
    """The controls among ``known`` that do together what the control ``name`` of another model does; () for none."""
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


def succeed(values: Mapping[str, float], known: Mapping[str, Twin]) -> dict[str, float]:
    """Another model's ``values`` as values of the controls ``known``; where two become one, it takes their mean."""
    found: dict[str, list[float]] = {}
    for name, value in values.items():
        for heir in (name,) if name in known else heirs(name, known):
            found.setdefault(heir, []).append(value)
    # What has its own name takes that value: a relative of it is no second opinion.
    return {heir: values[heir] if heir in values else sum(given) / len(given) for heir, given in found.items()}
