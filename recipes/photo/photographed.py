# SPDX-License-Identifier: Apache-2.0
"""Makes ``photographed.npz``: what photographs show of an average person at rest, and how people differ from that.

    python recipes/photo/photographed.py FOLDER [--spare 3]

The file that comes with Effigy is of official portraits of members of the US Congress, which are in the public domain:
github.com/Hainish/congress-images-225x275, commit 20531e9, folder ``images``, a copy of
github.com/unitedstates/images. Every third picture is spared, to measure on; no picture and no one's reading is kept.

People in portraits smile, but are otherwise at rest on average, and look at the camera. So what is read depends
linearly on smile, open jaw and turn here, with what is left over as how people differ; rest is without these.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from effigy.faces.photo_map import Features
from effigy.geometry.camera import Array
from effigy.landmarks.photo import EYES, POINTS, SCORES, PhotoReader
from effigy.landmarks.photo.photographed import FILE
from effigy.picture_files import PictureFileError, read_picture

_DIRECTIONS = 110
_FEWEST = 100  # people
# Outer-eye distances that count as much as a score, or the contrast of a pixel, of 1, in choosing the directions.
_SCORE, _PIXEL = 0.1, 0.02


def statistics(people: list[Features]) -> dict[str, Array]:
    """Computes the file's arrays from what was read in one photograph of each person."""
    both = [*people, *(one.mirrored() for one in people)]
    read = np.stack([np.concatenate([one.scores, one.mesh, one.eyes]) for one in both])
    smiles = [SCORES.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]
    causes = np.stack(
        [
            np.concatenate([[1.0, one.scores[smiles].mean(), one.scores[SCORES.index("jawOpen")]], one.turn()])
            for one in both
        ]
    )
    weights = np.linalg.lstsq(causes, read, rcond=None)[0]
    size = np.repeat([_SCORE, 1.0, _PIXEL], [len(SCORES), 3 * POINTS, EYES])
    apart = (read - causes @ weights) / np.sqrt(len(both))
    _, strengths, directions = np.linalg.svd(apart * size, full_matrices=False)
    spread = strengths[:_DIRECTIONS, None] * directions[:_DIRECTIONS] / size
    alone = np.sqrt(np.maximum((apart**2).sum(axis=0) - (spread**2).sum(axis=0), 0.0))
    scores, mesh, eyes = np.split(weights[0], np.cumsum([len(SCORES), 3 * POINTS]))
    return {
        "scores": np.clip(scores, 0.0, 1.0).astype(np.float32),
        "mesh": mesh.astype(np.float32),
        "eyes": eyes.astype(np.float32),
        "spread": spread.astype(np.float16),
        "alone": alone.astype(np.float16),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--spare", type=int, default=3, help="each picture with a multiple of this number is left out")
    options = parser.parse_args()
    reader, people = PhotoReader(), []
    for number, file in enumerate(sorted(options.folder.glob("*.jpg")), start=1):
        if number % options.spare == 0:
            continue
        try:
            people += [Features.of(face) for face in reader.read(read_picture(file), most=1)]
        except PictureFileError as error:
            print(f"left out: {error}")
    if len(people) < _FEWEST:
        raise SystemExit(f"faces are seen in {len(people)} pictures of {options.folder}, which is too few")
    np.savez_compressed(FILE, **statistics(people))  # type: ignore[arg-type]  # its stub takes them for allow_pickle
    print(f"{FILE}: of {len(people)} people, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
