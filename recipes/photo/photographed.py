# SPDX-License-Identifier: Apache-2.0
"""Makes ``photographed.npz``: what photographs show of an average person at rest, and how people differ from that.

    python recipes/photo/photographed.py FOLDER [--every 3]

The file that comes with Effigy is of official portraits of members of the US Congress, which are in the public domain:
github.com/Hainish/congress-images-225x275, commit 20531e9, folder ``images``, a copy of
github.com/unitedstates/images. Every third picture counts; no picture and no one's reading is kept.

People in portraits smile, but are otherwise at rest on average, and look at the camera. So what is read depends
linearly on smile, open jaw and turn here, with what is left over as how people differ; rest is without these.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from effigy.faces.photo_map import Features
from effigy.geometry.camera import Array
from effigy.landmarks.photo import SCORES, PhotoReader
from effigy.landmarks.photo.photographed import FILE

_DIRECTIONS = 80
_SCORE = 0.1  # outer-eye distances that count as much as a score of 1, in choosing the directions


def statistics(people: list[Features]) -> dict[str, Array]:
    """Computes the file's arrays from what was read in one photograph of each person."""
    both = [*people, *(one.mirrored() for one in people)]
    read = np.stack([np.concatenate([one.scores, one.mesh]) for one in both])
    smiles = [SCORES.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]
    causes = np.stack(
        [
            np.concatenate([[1.0, one.scores[smiles].mean(), one.scores[SCORES.index("jawOpen")]], one.turn()])
            for one in both
        ]
    )
    weights = np.linalg.lstsq(causes, read, rcond=None)[0]
    size = np.concatenate([np.full(len(SCORES), _SCORE), np.ones(read.shape[1] - len(SCORES))])
    _, strengths, directions = np.linalg.svd((read - causes @ weights) * size, full_matrices=False)
    spread = strengths[:_DIRECTIONS, None] * directions[:_DIRECTIONS] / size / np.sqrt(len(both))
    rest = weights[0]
    return {
        "scores": np.clip(rest[: len(SCORES)], 0.0, 1.0).astype(np.float32),
        "mesh": rest[len(SCORES) :].astype(np.float32),
        "spread": spread.astype(np.float16),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=3)
    options = parser.parse_args()
    reader, people = PhotoReader(), []
    for file in sorted(options.folder.glob("*.jpg"))[:: options.every]:
        faces = reader.read(np.asarray(Image.open(file).convert("RGB")), most=1)
        people += [Features.of(face) for face in faces]
    np.savez_compressed(FILE, **statistics(people))  # type: ignore[arg-type]  # its stub takes them for allow_pickle
    print(f"{FILE}: of {len(people)} people, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
