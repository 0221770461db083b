# SPDX-License-Identifier: Apache-2.0
"""Weights that users bring, in files of torch.save that are odd or hostile."""

from __future__ import annotations

import os
import struct
import zipfile

import pytest
import torch
from torch import nn

from effigy.weight_files import read_weights


@pytest.fixture()
def path(tmp_path):
    return tmp_path / "weights.pth"


@pytest.mark.parametrize("is_zip", [True, False])
def test_parameters_are_read_as_published_files_hold_them(path, is_zip):
    wanted = torch.rand(3, 4)
    torch.save({"a": nn.Parameter(wanted.double()), "b": "else"}, path, _use_new_zipfile_serialization=is_zip)
    found = read_weights(path, ["a"])
    assert list(found) == ["a"]
    assert found["a"].dtype == torch.float32
    assert not found["a"].requires_grad
    assert torch.equal(found["a"], wanted)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("text", "its a is no tensor"),
        (torch.zeros(1).expand(1 << 40), "its a is no plain tensor"),
        (torch.zeros(4).to_sparse(), "its a is no plain tensor"),
        (torch.zeros(4, dtype=torch.complex64), "its a is no plain tensor"),
        (torch.full((1,), 1e300, dtype=torch.float64), "its a holds NaN or infinite"),
        (torch.zeros(4, device="meta"), "its a is no plain tensor"),
    ],
)
def test_what_is_no_tensor_of_numbers_is_named(path, value, problem):
    torch.save({"a": value}, path)
    with pytest.raises(ValueError, match=problem):
        read_weights(path, ["a"])


def test_what_is_no_file_of_tensors_is_named(path):
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="it holds a list"):
        read_weights(path)
    torch.save({"b": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="it holds no a"):
        read_weights(path, ["a"])
    with pytest.raises(ValueError, match="a folder: give the file of weights in it"):
        read_weights(path.parent)
    with path.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(ValueError, match="2048 MiB, more than"):
        read_weights(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(ValueError, match="a pipe or a device"):
        read_weights(path)


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(path):
    torch.save({"a": torch.zeros(1)}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    claimed = 1 << 22
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            if name.endswith("data.pkl"):
                data = data.replace(b"\x06K\x01t", b"\x06J" + struct.pack("<i", claimed) + b"t")  # its numbers
            archive.writestr(name, bytes(4 * claimed) if name.endswith("data/0") else data)
    assert torch.load(path, weights_only=True)["a"].untyped_storage().nbytes() == 4 * claimed, "PyTorch unpacks it"
    with pytest.raises(ValueError, match="compressed"):
        read_weights(path)
