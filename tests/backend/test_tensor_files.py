# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from effigy.tensor_files import read_tensors, write_tensors


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


def test_who_writes_into_a_file_does_not_change_what_was_read_from_it(tmp_path: Path):
    """safetensors maps files: after ``cp`` over a file in use, pictures changed silently or the process died."""
    path = tmp_path / "weights.safetensors"
    write_tensors(path, {"a": torch.ones(3, 100_000)})
    tensors = read_tensors(path)
    with path.open("r+b") as file:
        file.seek(-4000, 2)
        file.write(bytes(4000))
        file.truncate(10_000)
    torch.testing.assert_close(tensors["a"], torch.ones(3, 100_000))
