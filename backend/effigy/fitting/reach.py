# SPDX-License-Identifier: Apache-2.0
"""Ends the ranges of controls where a model's edits stop.

A fit takes the ranges from how far faces depart from their person's average. Where an action has one direction, as a
jaw that only opens, that average lies above rest, so faces at rest seem to lie below zero.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np

from ..faces.face import FaceModel
from ..faces.latent import LatentError
from ..geometry.camera import Array
from ..geometry.expressions import Expression, mirror_twins

_PEOPLE = 12
_FIRST_SEED = 4_000_000  # apart from the seeds of fits, learning and fitting.evaluation
_FOLLOWED = 0.5  # share of a lower end that edits must reach
_SHOWN = 0.1  # of a control: nobody sees less


def reachable(model: FaceModel) -> list[Expression]:
    """Returns the controls of ``model``, with lower ends that its edits reach.

    A lower end of which the edits of most people reach less than half becomes what they reach, or 0 where that shows
    nothing; left and right are counted together. Upper ends are 1 by definition. Whoever shows an expression at rest
    can still be asked for less of it (``faces.edit``).
    """
    found = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + _PEOPLE):
        with contextlib.suppress(LatentError):
            found.append(_lowest(model, seed))
    controls = list(model.controls.values())
    if not found:
        return controls
    places = {control.name: place for place, control in enumerate(controls)}
    twins = mirror_twins(model.topology, places)
    sides = [[places[name], places[twins[name].name]] for name in places]
    reached = np.array(found)
    return [_ended(control, reached[:, both]) for control, both in zip(controls, sides, strict=True)]


def _ended(control: Expression, reached: Array) -> Expression:
    """Returns ``control`` with a lower end that people ``reached`` [people, sides]."""
    end = float(np.median(reached))
    if end <= _FOLLOWED * control.low:
        return control
    return replace(control, low=end if end < -_SHOWN else 0.0)


def _lowest(model: FaceModel, seed: int) -> list[float]:
    """Returns what edits of a person reach of the lower end of each control, [C]. Raises LatentError."""
    person = model.open_seed(seed)
    yaw, pitch = person.pose.yaw, person.pose.pitch
    return [
        control.low - model.edit(person, yaw, pitch, {control.name: control.low}).residual.get(control.name, 0.0)
        for control in model.controls.values()
    ]
