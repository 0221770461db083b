# SPDX-License-Identifier: Apache-2.0
"""Makes ``straightening.npz``: how far heads are turned whose points the network finds, and how it bends them then.

    python -m recipes.demo_face bake FaceXModel head.npz
    python -m recipes.demo_face render head.npz RENDERS --count 4400 --pairs --seed 41
    python -m recipes.photo.straightening RENDERS straightening.npz [--count 2200]

The renders' cameras are known exactly. Only the first picture of each pair is read. Every picture counts as its mirror
image too, so both sides of a face are treated alike. Put the file into ``backend/effigy/landmarks/photo/networks``, and
its checksum into ``weights.py`` there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from effigy.geometry.camera import Array
from effigy.landmarks.photo import PhotoReader, photographed
from effigy.landmarks.photo.pose import head, mirror
from effigy.landmarks.photo.straightening import MONOMIALS, Straightening, angles, monomials, rotation, settle
from effigy_protocol.files import whole_file

from ..demo_face.parameters import decode

_BATCH = 8
_FOLDS = 5
_RIDGE = 1e-3  # penalty of the mesh's weights, in its mean variance
_PEOPLE_RIDGE = 0.03  # penalty of how a reading differs between photographed people, in its variance


def read(folder: Path, count: int) -> tuple[Array, Array]:
    """Reads ``count`` renders in ``folder``; returns points [N, 478, 3], and yaw and pitch [N, 2] in radians.

    Those in which no face is seen are left out.
    """
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")[::2][:count, ..., :3]
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")[::2][:count]
    reader, points, turns = PhotoReader(), [], []
    for start in range(0, len(pictures), _BATCH):
        part = slice(start, start + _BATCH)
        faces = reader.read_each(torch.from_numpy(np.array(pictures[part])))
        for face, vector in zip(faces, vectors[part], strict=True):
            if face is not None:
                scene = decode(vector)
                points.append(face.points)
                turns.append((scene.yaw, -scene.pitch))  # the renderer's is positive downwards
    return np.array(points), np.array(turns)


def _with_mirrored(points: Array, turns: Array) -> tuple[Array, Array]:
    """Adds the mirror image of each picture behind all of them."""
    mirrored = points[:, mirror()] * [-1, 1, 1]
    return np.concatenate([points, mirrored]), np.concatenate([turns, turns * [-1, 1]])


def learn(points: Array, turns: Array) -> Straightening:
    """Learns from points [N, 478, 3] of heads that are turned by ``turns`` [N, 2], yaw and pitch in radians."""
    points, turns = _with_mirrored(points, turns)
    shown = np.stack([_shown_by(p) for p in points])
    return Straightening(_turn(shown, turns), _bend(points, shown[:, MONOMIALS:], turns))


def _shown_by(points: Array) -> Array:
    """Returns what ``Straightening.read`` is linear in, [6 + 3 · 478]."""
    found = head(points)
    yaw, pitch, _ = angles(found.R)
    return np.concatenate([monomials(yaw, pitch), settle(found.points).reshape(-1)])


def _turn(shown: Array, turns: Array) -> Array:
    """Solves ridge regression of ``turns`` [N, 2] on ``shown`` [N, F]; what it shrinks them by is taken back."""
    fold = np.arange(len(shown)) % (len(shown) // 2) % _FOLDS  # a mirror image is in its picture's
    read = np.zeros_like(turns)
    for number in range(_FOLDS):
        held = fold == number
        read[held] = shown[held] @ _ridge(shown[~held], turns[~held])
    shrunk = np.array([np.polyfit(turn, found, 1)[0] for turn, found in zip(turns.T, read.T, strict=True)])
    errors = np.degrees(np.abs(read / shrunk - turns).mean(axis=0))
    print(f"held out: yaw and pitch are read with slopes {shrunk.round(3)}; without these, within {errors.round(2)}°")
    return np.asarray(_ridge(shown, turns) / shrunk)


def _ridge(shown: Array, turns: Array) -> Array:
    """Penalises the weights of the mesh alone, and more where photographed people differ."""
    mesh = slice(MONOMIALS, None)
    people = photographed()
    meshes = people.spread[:, len(people.scores) :][:, : people.mesh.size]
    spread = [settle((people.mesh + one).reshape(3, -1)) for one in meshes]
    differ = (np.stack(spread) - settle(people.mesh.reshape(3, -1))).reshape(len(spread), -1)
    A = shown.T @ shown / len(shown)
    A[mesh, mesh] += _PEOPLE_RIDGE * differ.T @ differ
    A[mesh, mesh] += _RIDGE * shown[:, mesh].var(axis=0).mean() * np.eye(differ.shape[1])
    return np.asarray(np.linalg.solve(A, shown.T @ turns / len(shown)))


def _bend(points: Array, meshes: Array, turns: Array) -> Array:
    """Computes how meshes [N, 3 · 478] depend on the turn, beside the face that shows ``points`` best at all turns."""
    causes = np.stack([monomials(*turn) for turn in turns])
    bend = np.asarray(np.linalg.lstsq(causes, meshes, rcond=None)[0], dtype=np.float64)
    bend[0] -= _rigid(points, turns).reshape(-1)
    return bend


def _rigid(points: Array, turns: Array) -> Array:
    """Computes the face [3, 478] that, turned by ``turns``, lies nearest to ``points`` [N, 478, 3] in the picture.

    Its depth is what the points show of turns to the side, which they show nearly fully.
    """
    across, upwards, x, y = [], [], [], []
    for one, (yaw, pitch) in zip(points, turns, strict=True):
        found = head(one)
        upright = rotation(0.0, 0.0, -angles(found.R)[2])[:2, :2] @ (one[:, :2].T * [[1], [-1]]) / found.size
        R, (right, up) = rotation(yaw, pitch, 0.0), upright - upright.mean(axis=1, keepdims=True)
        across.append(R[0, [0, 2]])
        upwards.append(R[1])
        x.append(right)
        y.append(up)
    flat = np.linalg.lstsq(np.array(across), np.array(x), rcond=None)[0]
    rows = np.array(upwards)
    height = rows[:, 1] @ (np.array(y) - rows[:, [0, 2]] @ flat) / (rows[:, 1] ** 2).sum()
    return np.stack([flat[0], height, flat[1]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=2200)
    options = parser.parse_args()
    points, turns = read(options.folder, options.count)
    learnt = learn(points, turns)
    with whole_file(options.out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, turn=learnt.turn.astype(np.float32), bend=learnt.bend.astype(np.float16))
    print(f"{options.out}: of {len(points)} pictures, {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
