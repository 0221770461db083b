# SPDX-License-Identifier: Apache-2.0
"""Archives of arrays that are damaged, too large or not what they say are refused, and before they take memory."""

from __future__ import annotations

import contextlib
import json
import random
import struct
import tracemalloc
import zipfile
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from effigy.array_files import read_arrays
from effigy.commands import nrsfm
from effigy.faces.header import write_header
from effigy.fitting import samples
from effigy.fitting.samples import Recipe, SamplesError, sample


def test_a_small_archive_that_inflates_to_gigabytes_is_refused(tmp_path):
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (200000000,), }"
    bomb = zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED)
    with bomb as archive, archive.open("W.npy", "w", force_zip64=True) as member:
        member.write(b"\x93NUMPY\x01\x00v\x00" + text.ljust(117) + b"\n")
        for _ in range(200):
            member.write(bytes(1_000_000))
    assert (tmp_path / "bomb.npz").stat().st_size < 300_000
    with pytest.raises(ValueError, match="would take 2.* bytes of memory"):
        read_arrays(tmp_path / "bomb.npz")


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_arrays_that_numpy_would_not_have_packed_so_are_refused(tmp_path, packed):
    with zipfile.ZipFile(tmp_path / "odd.npz", "w", packed) as archive:
        archive.writestr("W.npy", bytes(1000))
    content = bytearray((tmp_path / "odd.npz").read_bytes())
    for cut in (content, content[:39] + bytes(9) + content[48:]):  # intact, and with damage in the packed bytes
        (tmp_path / "odd.npz").write_bytes(cut)
        with pytest.raises(ValueError, match="packed as numpy.savez never does"):
            read_arrays(tmp_path / "odd.npz")


def test_an_array_is_as_large_as_its_header_says(tmp_path):
    for shape in ("(1000000000000,)", "(3,)", "()", "(2, 10000000000000000000000)"):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
        with zipfile.ZipFile(tmp_path / "lies.npz", "w") as archive:
            archive.writestr("W.npy", b"\x93NUMPY\x01\x00v\x00" + header + bytes(16))
        with pytest.raises(ValueError):
            read_arrays(tmp_path / "lies.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_and_cut_ones_are_refused(tmp_path, save):
    dice = random.Random(0)
    arrays = {
        "W": np.random.default_rng(0).normal(size=(3, 2, 68)),
        "F": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.zeros((0, 3), np.float32),
        "one": np.array(3, np.uint8),
        "text": np.array(["a", "bc"]),
    }
    path = tmp_path / "arrays.npz"
    save(path, **arrays)
    found = read_arrays(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable
    good = path.read_bytes()
    for _ in range(300):
        bad = bytearray(good[: dice.choice((len(good), dice.randrange(len(good))))])
        for _ in range(dice.choice((1, 3))):
            bad[dice.randrange(len(bad))] ^= dice.randrange(1, 256)
        path.write_bytes(bad)
        try:
            read_arrays(path)
        except ValueError as error:
            assert str(path) in str(error) or ".npy" in str(error)  # noqa: PT017  it may be read as well


def test_damaged_bytes_of_every_way_to_pack_are_refused(tmp_path):
    np.savez(tmp_path / "good.npz", W=np.random.default_rng(0).normal(size=(3, 2, 8)))
    with zipfile.ZipFile(tmp_path / "good.npz") as archive:
        array = archive.read("W.npy")
    for way in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = tmp_path / "packed.npz"
        with zipfile.ZipFile(path, "w", way) as archive:
            archive.writestr("W.npy", array)
        assert read_arrays(path)["W"].shape == (3, 2, 8)
        good = path.read_bytes()
        for place in range(0, len(good), 3):
            path.write_bytes(good[:place] + bytes([good[place] ^ 255]) + good[place + 1 :])
            with contextlib.suppress(ValueError):
                read_arrays(path)


def test_an_archive_of_many_files_is_refused_before_its_directory_is_read(tmp_path):
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, *(0,) * 7, 5, *(0,) * 6) + b"W.npy"
    directory = 60_000 * entry
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 60_000, 60_000, len(directory), 4, 0)
    (tmp_path / "many.npz").write_bytes(b"PK\x03\x04" + directory + end)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="many.npz holds more files"):
            read_arrays(tmp_path / "many.npz")
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_objects_in_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", W=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="W.npy"):
        read_arrays(tmp_path / "objects.npz")


def test_damaged_samples_are_named(tmp_path, default_model):
    recipe = Recipe("sha", "detector", 0)
    (tmp_path / "samples.json").write_text(json.dumps(asdict(recipe)))
    (tmp_path / "shard_00000.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(SamplesError, match=r"shard_00000.npz are damaged"):
        sample(default_model.generator, None, None, recipe, 10, tmp_path, lambda *_: None)


@pytest.mark.parametrize("write", ["nrsfm", "samples", "bundle"])
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch, write):
    def full(target, *_, **__):
        path = target if isinstance(target, Path) else Path(getattr(target, "name", target))
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    monkeypatch.setattr(np, "savez_compressed", full)
    monkeypatch.setattr(Path, "write_text", full)
    model = SimpleNamespace(mean=0, basis=0, noise=0, shape=lambda alpha: alpha)
    camera = SimpleNamespace(R=np.eye(3), s=1, t=np.zeros((1, 2)))
    calls = {
        "nrsfm": lambda: nrsfm._write(
            tmp_path / "o.npz", model, camera, np.zeros((1, 1)), np.zeros((1, 2, 1)), np.zeros((1, 2)), {}, np.eye(2)
        ),
        "samples": lambda: samples._write(tmp_path / "shard.npz", [np.zeros(1)] * len(samples._ARRAYS)),
        "bundle": lambda: write_header(tmp_path, {}),
    }
    with pytest.raises(OSError, match="No space"):
        calls[write]()
    assert not list(tmp_path.iterdir())
