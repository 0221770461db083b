# SPDX-License-Identifier: Apache-2.0
"""Films and cameras captured: what the add-on's own readers make of the recordings and packets."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import sys
import threading

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from effigy.capture import (
    SourceError,
    open_film,
)
from effigy.capture.sources import Source
from effigy.cli import app
from effigy.commands.capture import Audience, CaptureError, Performer, read_take, rest_of, stream, write_take
from effigy.commands.capture_report import Report
from effigy.faces.welcome import controls_of
from effigy.landmarks.photo import PhotoReader
from effigy_client.capture.live_link import Listener
from effigy_client.capture.retarget import Target, retarget
from effigy_client.capture.tables import read_live_link

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


@pytest.fixture(scope="module")
def turns():
    """Degrees of yaw, and how far the jaw is open, of 16 pictures."""
    phase = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    return 25 * np.sin(phase), 0.5 - 0.5 * np.cos(2 * phase)


@pytest.fixture(scope="module")
def film(default_model, turns, tmp_path_factory):
    """A film of 8 pictures a second in which somebody turns and speaks, gone for 2 pictures in between."""
    person = default_model.open_seed(3_000_001)
    ws = [
        default_model.edit(person, float(yaw), 0.0, {"jawOpen": float(jaw)}).ws for yaw, jaw in zip(*turns, strict=True)
    ]
    pictures = [*default_model.paint(torch.stack(ws))]
    nobody = [np.full_like(pictures[0], 60)] * 2
    path = tmp_path_factory.mktemp("film") / "turns.mp4"
    write(path, [*pictures[:8], *nobody, *pictures[8:]], 8)
    return path


def write(path, pictures, rate):
    height, width, _ = pictures[0].shape
    writer = imageio_ffmpeg.write_frames(str(path), (width, height), fps=rate, quality=9, macro_block_size=1)
    writer.send(None)
    for picture in pictures:
        writer.send(np.ascontiguousarray(picture))
    writer.close()


@pytest.fixture(scope="module")
def take(default_model, reader, film):
    performer = Performer(default_model)
    return performer, read_take(performer, reader, open_film(film))


def test_a_film_is_recorded_and_imported_as_it_was_played(take, turns, default_model, tmp_path):
    performer, found = take
    assert found.pictures == 18
    assert found.numbers == (*range(8), *range(10, 18))
    out = tmp_path / "take.csv"
    write_take(found, performer, rest_of(found, performer, "median"), out)
    capture = read_live_link(out, rate=60.0)
    np.testing.assert_allclose(capture.times, np.array(found.numbers) / 8, atol=1e-4)
    assert np.corrcoef(capture.channels["yaw"], turns[0])[0, 1] > 0.99
    targets = [Target(c.name, c.low, c.high, c.mirror) for c in controls_of(default_model)]
    # At 8 pictures a second smoothing takes much of a jaw that opens and shuts once in one.
    assert np.corrcoef(retarget(capture, targets)["jawOpen"], turns[1])[0, 1] > 0.75
    assert not list(tmp_path.glob("*.part"))


def test_the_neutral_picture_is_where_all_counts_from(take):
    performer, found = take
    rest = rest_of(found, performer, "5")
    at_rest = performer.moment(0.0, found.values[5], rest)
    assert (at_rest.yaw, at_rest.pitch, at_rest.roll) == (0, 0, 0)
    assert max(at_rest.shapes.values()) == pytest.approx(0, abs=1e-9)
    turned = performer.moment(0.0, found.values[5], rest_of(found, performer, "none"))
    assert turned.yaw == pytest.approx(found.values[5, 0])
    for wrong, why in (("9", "no face is seen in picture 9 of 18"), ("99", "no face"), ("first", "use median")):
        with pytest.raises(CaptureError, match=why):
            rest_of(found, performer, wrong)


class Notes(Audience):
    """Keeps what it is told."""

    def __init__(self):
        self.notes, self.pictures = [], []

    def said(self, text):
        self.notes.append(text)

    def read(self, done, total, picture, face):
        self.pictures.append((done, total, face is not None))


def test_a_film_can_be_streamed_to_whoever_listens(default_model, reader, film):
    listener = Listener("127.0.0.1", 0)
    audience = Notes()
    try:
        source = open_film(film)
        address = "127.0.0.1", listener.port
        sent = stream(Performer(default_model), reader, source, address, audience=audience)
        assert 1 <= sent <= 18, "what is late is left out"
        moment = listener.newest()
        assert listener.packets == sent
    finally:
        listener.close()
    assert audience.notes.count("no face is seen") <= 1
    assert moment is None or "jawopen" in moment.channels


def test_films_are_read_at_the_rate_that_is_asked_for(film):
    for rate, count in ((None, 18), (4.0, 9)):
        source = open_film(film, rate)
        times = [at for at, _ in source.pictures]
        assert source.rate == (rate or 8)
        assert abs(len(times) - count) <= 2
        assert times[1] - times[0] == pytest.approx(1 / source.rate)


def test_films_read_at_another_rate_keep_time(tmp_path):
    path = tmp_path / "brighter.mp4"
    write(path, [np.full((64, 64, 3), 10 * number, np.uint8) for number in range(24)], 24)
    for rate in (12.0, 8.0, 6.0):
        shown = [picture.mean() / 10 for _, picture in open_film(path, rate).pictures]
        assert len(shown) == rate
        assert shown == pytest.approx(np.arange(0, 24, 24 / rate), abs=1), "it was late by three pictures"


def test_large_films_come_smaller(tmp_path):
    path = tmp_path / "wide.mp4"
    write(path, [np.zeros((90, 2000, 3), np.uint8)] * 2, 10)
    pictures = open_film(path).pictures
    assert next(pictures)[1].shape == (58, 1280, 3)
    pictures.close()


def test_films_that_are_none_are_told(tmp_path, film):
    with pytest.raises(SourceError, match="there is no film"):
        open_film(tmp_path / "none.mp4")
    text = tmp_path / "text.mp4"
    text.write_text("no film at all")
    with pytest.raises(SourceError, match="is no film that can be read"):
        list(open_film(text).pictures)


@pytest.mark.parametrize("named", ["http://127.0.0.1:9/segment.ts", "{folder}/segment.ts", "segment.ts"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{named}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile {named}\n"),
    ],
)
def test_a_playlist_leads_nowhere(tmp_path, name, text, named):
    segment, playlist = tmp_path / "segment.ts", tmp_path / name
    write(segment, [np.zeros((64, 64, 3), np.uint8)] * 4, 10)
    assert list(open_film(segment).pictures), "the film itself is read"
    playlist.write_text(text.format(named=named.format(folder=tmp_path)))
    with pytest.raises(SourceError, match="is no film that can be read"):
        list(open_film(playlist).pictures)


def test_a_picture_named_like_a_sequence_is_that_picture_alone(tmp_path):
    for name, size in (("shot%03d.png", 32), ("shot001.png", 64)):
        iio.imwrite(tmp_path / name, np.zeros((size, size, 3), np.uint8))
    ((_, picture),) = open_film(tmp_path / "shot%03d.png").pictures
    assert picture.shape == (32, 32, 3)


def test_a_film_without_a_face_says_so(default_model, reader, tmp_path):
    path = tmp_path / "grey.mp4"
    write(path, [np.full((64, 64, 3), 90, np.uint8)] * 3, 10)
    with pytest.raises(CaptureError, match=r"no face is seen in grey\.mp4"):
        read_take(Performer(default_model), reader, open_film(path))


def test_a_face_that_is_not_there_is_not_another_one(default_model, reader, film):
    with pytest.raises(CaptureError, match=r"there is no face 2 in turns\.mp4: 1 at most are seen at once"):
        read_take(Performer(default_model), reader, open_film(film), face=2)


def test_live_all_counts_from_the_first_second_or_an_average_person(default_model, reader, film):
    pictures = [(0.0, picture) for _, picture in open_film(film).pictures][:1]
    performer, listener = Performer(default_model), Listener("127.0.0.1", 0)
    address = "127.0.0.1", listener.port
    try:
        for neutral, counts in (("none", True), ("median", False)):
            source = Source("camera", 8.0, 0, True, (one for one in pictures))
            assert stream(performer, reader, source, address, neutral=neutral) == 1
            assert (listener.newest() is not None) == counts
        with pytest.raises(CaptureError, match="no picture has a number"):
            stream(performer, reader, Source("camera", 8.0, 0, True, (one for one in pictures)), address, neutral="3")
    finally:
        listener.close()


def test_what_was_read_of_a_camera_that_is_unplugged_is_kept(default_model, reader, film, tmp_path):
    pictures = [picture for _, picture in open_film(film).pictures][:3]

    def until_unplugged():
        yield from ((number / 8, picture) for number, picture in enumerate(pictures))
        raise SourceError("camera 0 gives no more pictures: was it unplugged, or did another program take it?")

    performer, audience = Performer(default_model), Notes()
    take = read_take(performer, reader, Source("camera 0", 8.0, 0, True, until_unplugged()), audience=audience)
    assert (len(take.times), take.missing) == (3, 0)
    assert "unplugged" in take.problem
    assert audience.pictures == [(1, 0, True), (2, 0, True), (3, 0, True)]


@pytest.fixture()
def told():
    """Input that does not end before the function that is returned with it was called."""
    held, kept = os.pipe()
    with os.fdopen(held) as read, os.fdopen(kept, "w") as written:
        yield read, written.close


def test_another_program_is_told_how_it_goes_line_by_line(film, tmp_path, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", told[0])
    app(["capture", "--report", str(film), "--out", str(tmp_path / "take.csv")], standalone_mode=False)
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert lines[0] == {"film": {"name": "turns.mp4", "left_out": []}}
    assert {"reading": {"done": 18, "total": 18}} in lines
    seen = next(line["seen"] for line in lines if "seen" in line)
    assert len(base64.b64decode(seen["rgb"])) == 3 * seen["width"] * seen["height"] == 3 * 128 * 128
    assert np.array(seen["points"]).shape == (478, 2)
    about = {"moments": 16, "missing": 2, "faces": 1, "left_out": []}
    assert lines[-1] == {"written": {"path": str(tmp_path / "take.csv"), **about}}
    assert len(read_live_link(tmp_path / "take.csv").times) == 16


def test_a_capture_ends_with_its_input_or_when_nobody_reads_it(default_model, reader, film, told):
    class Left:
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            pass

    report = Report(Left())
    source = report.until_left(open_film(film), told[0])
    assert read_take(Performer(default_model), reader, source, audience=report).pictures == 1, "nobody reads it"
    report = Report(io.StringIO())
    endless = Source("camera", 8.0, 0, True, ((float(at), np.zeros((8, 8, 3), np.uint8)) for at in range(10**6)))
    ended = report.until_left(endless, told[0])
    told[1]()
    for thread in threading.enumerate():
        if thread.name == "effigy-input":
            thread.join(300)
    assert list(ended.pictures) == []


NO_ADDRESSES = (
    "nowhere", ":11111", "here:0", "here:65536", "here:" + "9" * 5000, "a..b:1", f"{'a' * 64}:1",
    "\udcff:1",  # a byte of the command line that is no text
    "[::1]:11111", "nobody.invalid:11111",  # Blender listens on IPv4 alone
)  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("capture",), "what to capture is not said"),
        (("capture", "nothing.mp4", "--out", "take.csv", "--neutral", "first"), "use median, none, or"),
        (("capture", "nothing.mp4", "--out", "take.csv"), "there is no film nothing.mp4"),
        (("capture", "63", "--out", "take.csv"), "there is no camera 63"),
        (("capture", "film.mp4", "--out", "take.txt"), "not the name of a CSV"),
        (("capture", "9" * 5000, "--out", "take.csv"), "cannot be a film (File name too long)"),
        (("capture", "film.mp4", "--out", "take.csv", "--neutral", "9" * 5000), "use median, none, or"),
        *((("capture", "film.mp4", "--to", to), "HOST:PORT") for to in NO_ADDRESSES),
        (("transfer", "none.png", "--out", "x.png"), "--seed N or with --latent FILE"),
        (("transfer", "none.png", "--seed", "1", "--out", "x.png"), "there is no picture none.png"),
        (("transfer", "none.png", "--seed", "1", "--out", "x.png", "--part", "ears"), "unknown part 'ears'"),
        (("read", "none.png"), "there is no picture none.png"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, monkeypatch, capsys, arguments, why):
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, list(arguments))
    assert ended.exit_code in (1, 2)
    assert isinstance(ended.exception, SystemExit)
    said = ended.stderr + capsys.readouterr().err
    assert "effigy: error:" in said
    assert why in said
    assert not ended.stdout.strip(), "no table of nothing"
    assert not list(tmp_path.iterdir())


def test_nothing_is_sent_to_a_port_that_nobody_has(default_model):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    source = Source("nothing", 10.0, 1, False, (picture for picture in ()))
    assert stream(Performer(default_model), PhotoReader(), source, ("127.0.0.1", free)) == 0


def test_a_transfer_never_writes_over_the_picture_it_reads(tmp_path, capsys):
    picture = tmp_path / "mine.png"
    picture.write_bytes(b"all that there is")
    ended = CliRunner().invoke(app, ["transfer", str(picture), "--seed", "1", "--out", str(picture)])
    assert ended.exit_code == 2
    assert "would be lost" in ended.stderr + capsys.readouterr().err
    assert picture.read_bytes() == b"all that there is"
