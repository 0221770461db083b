# SPDX-License-Identifier: Apache-2.0
"""A toy head, its renderer, and data in the format of renders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from recipes.demo_face import surroundings, train_generator
from recipes.demo_face.__main__ import app
from recipes.demo_face.bake import load_assets
from recipes.demo_face.dataset import pair_vectors
from recipes.demo_face.planes import PLANES
from recipes.demo_face.renderer import LANDMARKS, Renderer

from .toy_head import write_toy_head


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bakes a toy head with the command that a user types."""
    folder = tmp_path_factory.mktemp("head")
    write_toy_head(folder / "FaceXModel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surroundings, "TURNS", 1)
        result = CliRunner().invoke(app, ["bake", str(folder / "FaceXModel"), str(folder / "head.npz")])
    assert result.exit_code == 0, result.output
    return folder / "head.npz"


@pytest.fixture(scope="session")
def renderer(head: Path) -> Renderer:
    return Renderer(load_assets(head), 64)


@pytest.fixture()
def data(tmp_path: Path) -> Path:
    """Writes noise in place of renders, which is enough to test training."""
    folder = tmp_path / "noise"
    folder.mkdir()
    random = np.random.default_rng(0)
    count = train_generator.HELD_OUT + 24
    np.save(folder / "pictures.npy", random.integers(0, 255, (count, 16, 16, PLANES), np.uint8))
    np.save(folder / "vectors.npy", pair_vectors(count // 2, 0))
    np.save(folder / "landmarks.npy", random.uniform(2, 14, (count, LANDMARKS, 2)).astype(np.float32))
    return folder
