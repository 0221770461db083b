# SPDX-License-Identifier: Apache-2.0
"""What pictures are made from: records, the journal of a bake, texts in PNG files, pictures in memory."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from effigy_client.capture.tables import CaptureError, read_live_link, read_openface
from effigy_client.limits import Limits
from effigy_client.memory import PictureMemory
from effigy_client.pixels import Surface
from effigy_protocol.files import read_json
from effigy_protocol.png import annotate, read_texts
from effigy_protocol.record import Journal, Record, made_from, shows, what_differs

from ..closeness import assert_same


def record(**changes):
    values = {"yaw": 3.0, "pitch": 0.0, "controls": (("jawOpen", 0.5),), "encoding": "png"} | changes
    return Record.of("model", b"latent", **values)


@pytest.mark.parametrize(
    "change",
    [
        {"yaw": 3.1},
        {"pitch": 1.0},
        {"controls": (("jawOpen", 0.6),)},
        {"controls": ()},
        {"encoding": "png16"},
        {"matte": "head"},
    ],
)
def test_another_picture_has_another_digest(change):
    assert record().digest != record(**change).digest


def test_pictures_of_before_there_were_mattes_are_still_right():
    assert record(matte="none").digest == "a30511960b384901"
    assert "matte" not in record(matte="none").as_text()
    before, now = (json.loads(record(matte=matte).as_text()) for matte in ("none", "head"))
    assert what_differs(before, before) == []
    assert what_differs(before, now) == ["matte"]


def test_the_order_of_controls_is_no_difference():
    a, b = ("a", 0.1), ("b", 0.2)
    assert record(controls=(a, b)).digest == record(controls=(b, a)).digest


def test_a_record_does_not_give_the_identity_away():
    assert b"latent".hex() not in record().as_text()
    assert json.loads(record().as_text())["digest"] == record().digest


def test_a_file_says_itself_what_it_shows(tmp_path):
    path, picture = tmp_path / "a.png", iio.imwrite("<bytes>", np.zeros((4, 4, 3), np.uint8), extension=".png")
    path.write_bytes(annotate(picture, {"Effigy": record().as_text()}))
    assert shows(path, record().digest)
    assert not shows(path, record(yaw=9.0).digest)
    assert not shows(tmp_path / "gone.png", record().digest)
    path.write_bytes(picture)
    assert not shows(path, record().digest)


def test_a_journal_is_read_back(tmp_path):
    journal = Journal(tmp_path / "frames.json")
    journal.put(1, record(), "a.png")
    journal.save()
    assert Journal(tmp_path / "frames.json").frames[1]["digest"] == record().digest
    assert [path.name for path in tmp_path.iterdir()] == ["frames.json"]


DEEP = "[" * 200_000


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 9, "frames": {}}', '{"format": 1, "frames": [1]}', DEEP, '{"format": ' + DEEP]
)
def test_a_damaged_journal_counts_as_empty(tmp_path, text):
    (tmp_path / "frames.json").write_text(text)
    journal = Journal(tmp_path / "frames.json")
    assert journal.frames == {}
    assert "frames.json cannot be read (" in journal.problem


def test_a_journal_is_as_large_as_the_pictures_beside_it_explain(tmp_path):
    """Blender would take gigabytes for 64 MiB of brackets."""
    (tmp_path / "frames.json").write_text('{"format": 1, "frames": {}, "more": [' + "[],\n" * (1 << 19) + "[]]}")
    assert "more than 1 MiB" in Journal(tmp_path / "frames.json").problem
    journal = Journal(tmp_path / "a" / "frames.json")
    assert journal.problem == "", "there is none yet"
    journal.path.parent.mkdir()
    controls = tuple((f"control{number}", number / 7) for number in range(100))
    for frame in range(1000):
        (journal.path.parent / f"a_{frame}.png").touch()
        journal.put(frame, record(controls=controls), f"a_{frame}.png")
    journal.save()
    assert journal.path.stat().st_size > 2 << 20
    assert Journal(journal.path).frames == journal.frames


def test_a_picture_whose_text_is_nested_without_end_shows_nothing(tmp_path):
    picture = iio.imwrite("<bytes>", np.zeros((4, 4, 3), np.uint8), extension=".png")
    (tmp_path / "a.png").write_bytes(annotate(picture, {"Effigy": DEEP[:60_000]}))
    assert not shows(tmp_path / "a.png", record().digest)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_only_regular_files_are_read(tmp_path):
    """Blender would wait for a pipe until somebody writes into it."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path(os.devnull), tmp_path / "gone", tmp_path / "a\0b"):
        assert not shows(path, record().digest)
        assert Journal(path).frames == {}
        with pytest.raises(OSError):
            read_json(path)
        for read in (read_live_link, read_openface):
            with pytest.raises(CaptureError, match="cannot be read: "):
                read(path)


def test_a_text_goes_into_a_png_and_comes_out_and_the_picture_stays():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    marked = annotate(iio.imwrite("<bytes>", picture, extension=".png"), {"Effigy": '{"yaw": "3°"}'})
    assert read_texts(marked) == {"Effigy": '{"yaw": "3°"}'}
    np.testing.assert_array_equal(iio.imread(marked), picture)
    with Image.open(io.BytesIO(marked)) as image:  # another reader finds it too
        assert image.text["Effigy"] == '{"yaw": "3°"}'


@pytest.mark.parametrize("data", [b"", b"JFIF", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\xff\xff"])
def test_what_is_no_png_has_no_texts(data):
    assert read_texts(data) == {}


def test_memory_gives_back_what_it_was_given_bottom_row_first():
    memory = PictureMemory()
    memory.put("a", bytes(range(32)), 2, 4)
    expected = np.concatenate([np.arange(16, 32), np.arange(16)]) / 255
    assert_same(memory.get("a")[0], expected, 1)
    assert memory.get("b") is None
    surface = Surface(np.zeros((2, 4, 4), np.uint16), np.ones((2, 4, 4), np.uint16))
    memory.put("a", bytes(32), 2, 4, Limits(("yaw",), ("jawOpen",)), surface)
    shown = memory.get("a")
    assert shown.limits == (("yaw",), ("jawOpen",))
    np.testing.assert_array_equal(shown.maps, [np.zeros(32), np.full(32, np.float32(1 / 65535))])
    memory.give_back(shown)
    again = memory.get("a")
    assert np.shares_memory(shown.pixels, again.pixels), "a window's thread has no time to clear new arrays"
    assert all(map(np.shares_memory, shown.maps, again.maps))
    assert memory.size == 32 + 2 * 64


def test_memory_stays_within_its_limit_and_forgets_what_was_not_used_for_longest():
    memory = PictureMemory(limit=3 * 16)
    for name in "abc":
        memory.put(name, bytes(16), 2, 2)
    memory.get("a")
    memory.put("d", bytes(16), 2, 2)
    assert [name in memory for name in "abcd"] == [True, False, True, True]
    assert memory.size == 48
    memory.clear()
    assert (len(memory), memory.size) == (0, 0)


MIXED = "b" * 64 + " " + "a" * 64


def person_of(metadata: object) -> bytes:
    """The beginning of a person's file."""
    header = json.dumps({"__metadata__": {"effigy.person": metadata}}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    ("latent", "source"),
    [
        (person_of(json.dumps({"source": {"sha256": "a1" * 32}})), "a1" * 32),
        (person_of(json.dumps({"source": {"sha256": "A picture, or so"}})), ""),
        (person_of(json.dumps({"source": 3})), ""),
        (person_of(json.dumps({"mixed": [{"with": {"source": {"sha256": digit * 64}}} for digit in "bab"]})), MIXED),
        (person_of(json.dumps({"mixed": 3})), ""),
        (person_of('{"mixed":[{"with":' * 900 + "{}" + "}]}" * 900), ""),
        (person_of("{"), ""),
        (person_of(None), ""),
        (b"\xff" * 8 + b"{" * 200_000, ""),
        (b"EFLT" + bytes(40), ""),
        (b"", ""),
    ],
)
def test_a_picture_tells_from_which_picture_its_person_was_made(latent, source):
    assert made_from(latent) == source
    told = json.loads(Record.of("model", latent, 0.0, 0.0, (), "png").as_text())
    assert told.get("made_from", "") == source
