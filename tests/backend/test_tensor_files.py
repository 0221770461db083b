# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from backend.tensor_files import write_tensors


def test_a_file_is_readable_by_whoever_may_read_new_files(tmp_path: Path):
    other, path = tmp_path / "other", tmp_path / "weights.safetensors"
    other.touch()
    leftover = path.with_name("weights.safetensors.part")
    leftover.touch()
    leftover.chmod(0o600)
    for value in (1.0, 2.0):  # anew, and over the one before
        write_tensors(path, {"a": torch.full((2, 3), value).T}, {"format": "x"})
        assert path.stat().st_mode == other.stat().st_mode
        torch.testing.assert_close(load_file(path)["a"], torch.full((3, 2), value))
    assert {file.name for file in tmp_path.iterdir()} == {"other", "weights.safetensors"}


def test_what_cannot_be_written_is_an_os_error_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(OSError, match="nowhere"):
        write_tensors(tmp_path / "nowhere" / "weights.safetensors", {"a": torch.zeros(1)})
    assert not list(tmp_path.iterdir())
