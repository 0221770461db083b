# SPDX-License-Identifier: Apache-2.0
"""Writes a toy head in the publisher's format, to test the recipe with: an egg with eyes and teeth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from recipes.demo_face.head import EXPRESSIONS, IDENTITY_MODES

SIZE = np.array([7.5, 12.0, 9.0])  # cm, half axes of the egg
FACES = Path(__file__).parents[1] / "fixtures" / "faces_clean.npz"


def write_toy_head(folder: Path) -> None:
    """Writes the Wavefront files that ``read_head`` reads."""
    folder.mkdir(parents=True)
    egg, quads = sphere(64, 48)
    egg = egg * SIZE
    landmarks = landmark_vertices(egg)
    eyes = [egg[landmarks[i : i + 6]].mean(axis=0) - [0, 0, 1.0] for i in (36, 42)]
    ball, ball_quads = sphere(12, 8)
    meshes = [("M_Face", egg, quads), ("M_Teeth", 0.8 * ball + [0, -4.0, 6.0], ball_quads)]
    meshes += [
        (f"M_Sclera{side}", 1.2 * ball + eye, ball_quads) for side, eye in zip(("Right", "Left"), eyes, strict=True)
    ]
    vertices = np.concatenate([points for _, points, _ in meshes])
    faces = faces_of(meshes)
    write_mesh(folder / "generic_neutral_mesh.obj", vertices, faces)
    random = np.random.default_rng(0)
    for index, name in enumerate([*(f"identity{mode:03}" for mode in range(IDENTITY_MODES)), *EXPRESSIONS]):
        moved = vertices + 0.1 * np.sin(vertices @ random.standard_normal((3, 3)) / 4 + index)
        if name == "jawOpen":
            moved = vertices - np.array([0, 2.0, 0]) * (vertices[:, 1:2] < -3)
        write_mesh(folder / f"{name}.obj", moved, [])
    names = {"idx_to_landmark_verts": landmarks.tolist()}
    (folder / "vertex_indices.json").write_text(json.dumps(names), encoding="utf-8")


def sphere(around: int, up: int) -> tuple[np.ndarray, np.ndarray]:
    """Makes a unit sphere without its poles: vertices [around · up, 3] and quads facing outwards."""
    theta = np.linspace(0, 2 * np.pi, around, endpoint=False)
    phi = np.linspace(0.02, np.pi - 0.02, up)
    t, p = np.meshgrid(theta, phi)
    vertices = np.stack([np.sin(p) * np.sin(t), np.cos(p), np.sin(p) * np.cos(t)], axis=-1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(around), np.arange(up - 1))
    corner = lambda i, j: j * around + i % around  # noqa: E731
    quads = np.stack([corner(i, j), corner(i, j + 1), corner(i + 1, j + 1), corner(i + 1, j)], axis=-1)
    return vertices, quads.reshape(-1, 4)


def landmark_vertices(egg: np.ndarray) -> np.ndarray:
    """Moves 68 vertices of the egg to where landmarks are, and returns their indices."""
    shape = np.load(FACES)["X"].mean(axis=0).T
    shape = shape - shape.mean(axis=0)
    places = shape[:, :2] * np.array([1.0, -1.0 if shape[8, 1] > 0 else 1.0]) * (11.0 / np.ptp(shape[:, 0]))
    chosen: list[int] = []
    for place in places:
        gap = np.linalg.norm(egg[:, :2] - place, axis=1) + 100 * (egg[:, 2] < 0)
        gap[chosen] = np.inf
        index = int(gap.argmin())
        depth = SIZE[2] * np.sqrt(max(0.05, 1 - ((place / SIZE[:2]) ** 2).sum()))
        egg[index] = [*place, depth]
        chosen.append(index)
    return np.array(chosen)


def faces_of(meshes: list[tuple[str, np.ndarray, np.ndarray]]) -> list[str]:
    """Returns the Wavefront lines of all meshes in order; each vertex has its own texture vertex."""
    lines, start = [], 1
    for material, points, quads in meshes:
        lines.append(f"usemtl {material}")
        lines += ["f " + " ".join(f"{start + i}/{start + i}" for i in quad) for quad in quads]
        start += len(points)
    return lines


def write_mesh(path: Path, vertices: np.ndarray, faces: list[str]) -> None:
    flat = np.clip(0.5 + 0.45 * vertices[:, :2] / SIZE[:2], 0, 1)
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in flat] if faces else []
    path.write_text("\n".join(lines + faces) + "\n", encoding="utf-8")
