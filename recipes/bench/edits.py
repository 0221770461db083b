# SPDX-License-Identifier: Apache-2.0
"""Measures what it costs to keep looks: edits with the heads and without, in turns.

    python recipes/bench/edits.py [BUNDLE]

Prints processor milliseconds of the inverse: medians over 24 people, with a turn and every control for each.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from effigy.faces import FaceModel, Identity, load_face_model, resolve_bundle

PEOPLE, ROUNDS = 24, 3


def main(bundle: str) -> None:
    held = load_face_model(resolve_bundle(bundle), "cpu")
    free = held.with_regressor(held.regressor)
    asked = [(20.0, 5.0, {}), *((0.0, 0.0, {name: control.high}) for name, control in held.controls.items())]
    times: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(ROUNDS):
        for seed in range(PEOPLE):
            person = held.open_seed(seed)
            for each in asked:
                times["without"].append(milliseconds(free, person, *each))
                times["with"].append(milliseconds(held, person, *each))
    without, with_heads = (float(np.median(values)) for values in times.values())
    print(f"without {without:.2f} ms, with {with_heads:.2f} ms: {with_heads / without:.2f} times")


def milliseconds(model: FaceModel, person: Identity, yaw: float, pitch: float, controls: dict[str, float]) -> float:
    """Returns the processor time of one edit."""
    started = time.process_time()
    model.edit(person, yaw, pitch, controls)
    return 1e3 * (time.process_time() - started)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="default")
    main(parser.parse_args().bundle)
