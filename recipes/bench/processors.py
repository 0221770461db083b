# SPDX-License-Identifier: Apache-2.0
"""Measures by how much the default's finals differ between kinds of processors.

python recipes/bench/processors.py

This processor imitates lesser ones: environment variables tell PyTorch, oneDNN, MKL and OpenBLAS not to use the
instructions that those lack. Each kind paints 24 people in four poses, twice, in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effigy.faces import DEFAULT_BUNDLE, load_face_model

AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}
OLDEST = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Nehalem",
}
KINDS: dict[str, dict[str, str]] = {
    "this one": {},
    "this one, one thread": {"OMP_NUM_THREADS": "1"},
    "this one, three threads": {"OMP_NUM_THREADS": "3"},
    "oneDNN with AVX-512 alone": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "oneDNN with AVX2 alone": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "PyTorch with AVX2 alone": {"ATEN_CPU_CAPABILITY": "avx2"},
    "PyTorch without either": {"ATEN_CPU_CAPABILITY": "default"},
    "all with AVX2 alone": AVX2,
    "all without either": OLDEST,
}
PEOPLE = 24
Pose = tuple[float, float, dict[str, float]]
POSES: tuple[Pose, ...] = (
    (0.0, 0.0, {}),
    (25.0, -8.0, {}),
    (-30.0, 10.0, {"jawOpen": 0.7}),
    (12.0, 5.0, {"mouthSmile": 1.0}),
)


def finals(people: int) -> NDArray[np.uint8]:
    """Paints the default's finals [people · POSES, H, W, 3] in this process."""
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    anchors = [model.open_seed(seed) for seed in range(people)]
    return np.concatenate([model.paint(model.edit(anchor, *pose).ws[None]) for anchor in anchors for pose in POSES])


def finals_of(environment: dict[str, str], people: int) -> NDArray[np.uint8]:
    """Paints the same in a process with that environment."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "finals.npy"
        subprocess.run([sys.executable, __file__, out, str(people)], env=os.environ | environment, check=True)
        return np.load(out)


def main() -> None:
    made = {}
    for kind, environment in KINDS.items():
        once, again = (finals_of(environment, PEOPLE) for _ in range(2))
        assert np.array_equal(once, again), f"{kind}: other bits the second time"
        made[kind] = once.astype(int)
    for kind, pictures in made.items():
        apart = np.abs(pictures - made["this one"])
        print(
            f"{kind:28} {(apart > 0).any(axis=(1, 2, 3)).sum():3} of {len(apart)} pictures differ, "
            f"in {100 * (apart > 0).mean():.4f} % of their values, by at most {apart.max()} of 255"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        np.save(sys.argv[1], finals(int(sys.argv[2])))
    else:
        main()
