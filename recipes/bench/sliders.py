# SPDX-License-Identifier: Apache-2.0
"""Measures whether a face leaps while a slider moves, and whether it arrives.

    python recipes/bench/sliders.py [BUNDLE] [--yaw 25 --pitch -8]

Moves every control of 24 people from 0 to 1 in 33 steps. The size of a step is that of the latent, in standard
deviations; what is missing at the end is a share of the control's full strength, as the regressor reads it.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from effigy.faces import FaceModel, Identity, load_face_model, resolve_bundle

PEOPLE, STEPS, TRUNCATION = 24, 33, 0.8


def main(bundle: str, yaw: float, pitch: float) -> None:
    model = load_face_model(resolve_bundle(bundle), "cpu")
    people = [model.open_seed(seed, TRUNCATION) for seed in range(PEOPLE)]
    table = Table("control", "steps > 1", "> ½", "largest", "missing at the end", "at most")
    every = []
    for name in model.controls:
        ramps = [ramp(model, person, name, yaw, pitch) for person in people]
        table.add_row(name, *row(ramps))
        every += ramps
    table.add_row("all", *row(every))
    Console().print(table)


def ramp(model: FaceModel, person: Identity, name: str, yaw: float, pitch: float) -> tuple[float, float]:
    """Returns the largest step of the latent, and what is missing at the end."""
    values = np.linspace(0.0, model.controls[name].high, STEPS)
    edits = [model.edit(person, yaw, pitch, {name: float(value)}) for value in values]
    v = model.regressor.read(torch.stack([edit.ws for edit in edits]).double())
    return float(v.diff(dim=0).norm(dim=1).max()), edits[-1].residual[name]


def row(ramps: list[tuple[float, float]]) -> list[str]:
    steps, missing = np.array(ramps).T
    shares = [f"{100 * (steps > bound).mean():.1f} %" for bound in (1.0, 0.5)]
    return [*shares, f"{steps.max():.2f}", f"{np.abs(missing).mean():.2f}", f"{np.abs(missing).max():.2f}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="default")
    parser.add_argument("--yaw", type=float, default=0.0, help="degrees")
    parser.add_argument("--pitch", type=float, default=0.0, help="degrees")
    arguments = parser.parse_args()
    main(arguments.bundle, arguments.yaw, arguments.pitch)
