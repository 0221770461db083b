# SPDX-License-Identifier: Apache-2.0
"""Files are read within bounds, as JSON of finite numbers, and written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from effigy_protocol.files import (
    beside,
    parse_json,
    read_json,
    remove_older,
    whole_file,
    whole_folder,
    write_whole,
)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10**6,
        '{"a":' * 10**5,
        "NaN",
        "[1, Infinity]",
        "-Infinity",
        "1e400",
        "9" * 400,
        "9" * 5000,
        "{",
        "",
        '{"a": 1, "a": 2}',
    ],
)
def test_json_that_is_none_of_ours_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_json_of_finite_numbers_is_read(tmp_path):
    text, value = '{"a": [1, 2.5, -1e300, "NaN", null, true]}', {"a": [1, 2.5, -1e300, "NaN", None, True]}
    assert parse_json(text) == value
    (tmp_path / "a.json").write_text(text)
    assert read_json(tmp_path / "a.json") == value


def test_of_files_all_but_the_newest_are_removed_with_what_lies_beside_them(tmp_path):
    for age, name in enumerate(("c", "a", "b")):
        for suffix in (".txt", ".json"):
            (tmp_path / name).with_suffix(suffix).touch()
        os.utime(tmp_path / f"{name}.txt", (1e9 - age, 1e9 - age))
    remove_older(tmp_path.glob("*.txt"), 1, lambda path: path.with_suffix(".json"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json", "c.txt"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    """A full disk leaves what was there before, and nothing else."""
    path = tmp_path / "a.json"
    with whole_file(path) as part:
        part.write_text("first")

    def fail(error):
        with whole_file(path) as part:
            part.write_text("sec")
            raise error

    for error in (OSError(28, "No space left on device"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            fail(error)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes by name")
@pytest.mark.parametrize("name", ["a.json", "a.json.part"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_nothing_but_a_file_is_replaced_or_written_to(tmp_path, name, kind):
    other = tmp_path / "other"
    other.write_text("before")
    path = tmp_path / name
    make = {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir, "link": lambda: path.symlink_to(other)}
    make[kind]()
    if (name, kind) == ("a.json", "link"):
        write_whole(path, "new")
        assert path.read_text() == "new"
    else:
        mode = path.lstat().st_mode
        with pytest.raises(OSError, match=r"it is a|\.part is in its way"):
            write_whole(tmp_path / "a.json", "new")
        assert path.lstat().st_mode == mode
    assert other.read_text() == "before"


@pytest.mark.parametrize("name", ["a" * length for length in range(249, 256)] + ["ä" * 127 + ".", "/", "."])
def test_a_name_that_a_file_can_have_leaves_room_for_a_temporary_one(tmp_path, name):
    assert len(os.fsencode(beside(Path(name), ".unfinished").name)) <= 255
    if name.strip("./"):
        write_whole(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"
        (tmp_path / name).unlink()
        with whole_folder(tmp_path / name) as folder:
            folder.mkdir()
        assert [path.name for path in tmp_path.iterdir()] == [name]


def test_files_whose_names_begin_alike_have_temporary_files_of_their_own():
    assert beside(Path("a" * 254), ".part") != beside(Path("a" * 255), ".part")
    assert beside(Path("folder/a.json"), ".part") == Path("folder/a.json.part")


def test_after_a_success_what_another_writer_has_begun_stays(tmp_path, monkeypatch):
    def replace(source, target, rename=Path.replace):
        rename(source, target)
        source.write_text("another's")

    monkeypatch.setattr(Path, "replace", replace)
    with whole_file(tmp_path / "a.json") as part:
        part.write_text("mine")
    assert part.read_text() == "another's"
