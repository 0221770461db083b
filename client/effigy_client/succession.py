# SPDX-License-Identifier: Apache-2.0
"""Which controls of a face model carry on what another's do: names differ, and so does what has two sides.

A control's name is what it does, ARKit's word where there is one, and the side that it moves, if it has one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

_SIDES = ("Left", "Right")
# Names of one action, of which models have one or another; where one has several, the first of these is it.
_ALIKE = (("browUp", "browOuterUp", "browInnerUp"),)


def heirs(name: str, known: Collection[str]) -> tuple[str, ...]:
    """The controls among ``known`` that do together what the control ``name`` of another model does; () for none."""
    side = next((side for side in _SIDES if name.endswith(side)), "")
    base = name.removesuffix(side)
    alike = next((group for group in _ALIKE if base in group), ())
    for action in (base, *(other for other in alike if other != base)):
        sides = tuple(action + each for each in _SIDES)
        if side and action + side in known:
            return (action + side,)
        if action in known:
            return (action,)
        if not side and all(each in known for each in sides):
            return sides
    return ()


def succeed(values: Mapping[str, float], known: Collection[str]) -> dict[str, float]:
    """Another model's ``values`` as values of the controls ``known``; where two become one, it takes their mean."""
    found: dict[str, list[float]] = {}
    for name, value in values.items():
        for heir in (name,) if name in known else heirs(name, known):
            found.setdefault(heir, []).append(value)
    # What has its own name takes that value: a relative of it is no second opinion.
    return {heir: values[heir] if heir in values else sum(given) / len(given) for heir, given in found.items()}
