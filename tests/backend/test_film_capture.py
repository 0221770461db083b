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

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from effigy.capture import (
    Moment,
    OneEuro,
    SourceError,
    cameras,
    csv_rows,
    list_cameras,
    open_camera,
    open_film,
    packet,
    smooth_both_ways,
)
from effigy.capture.arkit import ShapeFinder
from effigy.capture.sources import Source, _Newest
from effigy.cli import app
from effigy.commands.capture import Audience, CaptureError, Performer, read_take, rest_of, stream, write_take
from effigy.commands.capture_report import Report
from effigy.faces.welcome import controls_of
from effigy.landmarks.photo import PhotoReader
from effigy_client.capture.live_link import ARKIT as CLIENT_ARKIT
from effigy_client.capture.live_link import Listener, decode
from effigy_client.capture.retarget import Target, retarget
from effigy_client.capture.tables import Capture, read_live_link
from effigy_protocol.arkit import NAMES, SHAPES
from effigy_protocol.messages import Parameter

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")

RANGES = {
    "jawOpen": (-0.2, 1.0), "mouthSmile": (-0.3, 1.0), "eyeBlinkLeft": (-0.25, 1.0), "eyeBlinkRight": (-0.25, 1.0),
    "browUp": (-0.4, 1.2), "mouthPucker": (-0.35, 0.9), "gazeSide": (-1.0, 1.0), "gazeUp": (-1.0, 0.8),
}  # fmt: skip
TWINS = {"eyeBlinkLeft": "eyeBlinkRight", "eyeBlinkRight": "eyeBlinkLeft"}


def test_shapes_come_in_the_order_of_the_app():
    assert tuple(name.lower() for name in NAMES) == CLIENT_ARKIT
    assert len(SHAPES) == 52


def test_importers_make_the_controls_of_the_shapes_again():
    random = np.random.default_rng(0)
    finder = ShapeFinder([Parameter(name, "", *limits, TWINS.get(name, name)) for name, limits in RANGES.items()])
    for _ in range(30):
        wanted = {n: random.uniform(low, high) if random.random() < 0.5 else 0.0 for n, (low, high) in RANGES.items()}
        wanted["jawOpen"] = max(wanted["jawOpen"], 0.0)  # of a jaw more shut than at rest ARKit has no shape
        for name in ("eyeBlinkLeft", "eyeBlinkRight", "mouthPucker"):  # and their opposites count by half
            wanted[name] = max(wanted[name], 0.5 * RANGES[name][0])
        shapes = finder.find(wanted, dict(zip(SHAPES, random.uniform(0, 0.3, 52), strict=True)))
        assert all(0 <= value <= 1 for value in shapes.values())
        capture = Capture(np.zeros(1), {name.lower(): np.array([value]) for name, value in shapes.items()})
        found = retarget(capture, [Target(name, *limits, TWINS.get(name, "")) for name, limits in RANGES.items()])
        for name, value in wanted.items():
            assert found[name][0] == pytest.approx(value, abs=0.04 * np.ptp(RANGES[name]) + 0.01), name


def test_what_no_control_is_made_of_is_as_it_was_scored():
    shapes = ShapeFinder([Parameter("jawOpen", "mouth", 0.0, 1.0, "jawOpen")]).find(
        {"jawOpen": 0.7}, {"cheekPuff": 0.4, "jawOpen": 0.1, "jawLeft": -1}
    )
    assert shapes["jawOpen"] == pytest.approx(0.7, abs=0.01)
    assert shapes["cheekPuff"] == 0.4
    assert shapes["jawLeft"] == shapes["tongueOut"] == 0


def test_packets_and_rows_say_what_was_read(tmp_path):
    moments = [Moment(t / 24, {"jawOpen": 0.25 * t, "eyeLookOutLeft": 0.5}, 10.0 * t, -5.0, 2.0) for t in range(4)]
    for number, moment in enumerate(moments):
        found = decode(packet(moment, number, 24.0, "film"))
        assert found.channels["jawopen"][0] == pytest.approx(0.25 * number)
        angles = [found.channels[name][0] for name in ("yaw", "pitch", "roll")]
        assert angles == pytest.approx([10 * number, -5, 2], abs=1e-4)
        assert np.degrees(found.channels["lefteyeyaw"][0]) == pytest.approx(15, abs=1e-4)
    assert decode(packet(None, 0, 24.0, "film")) is None
    path = tmp_path / "take.csv"
    path.write_text("\n".join(",".join(row) for row in csv_rows(moments)) + "\n")
    capture = read_live_link(path, rate=60.0)
    assert capture.times == pytest.approx([0, 1 / 24, 2 / 24, 3 / 24], abs=1e-4)
    assert capture.channels["jawopen"] == pytest.approx([0, 0.25, 0.5, 0.75])
    assert capture.channels["yaw"] == pytest.approx([0, 10, 20, 30], abs=1e-3)
    assert capture.channels["pitch"] == pytest.approx([-5] * 4, abs=1e-3)


def test_what_rests_is_steady_and_what_moves_does_not_lag():
    times, beta = np.arange(200) / 30, np.ones(1)
    random = np.random.default_rng(0)
    noise = 0.02 * random.normal(size=(200, 1))
    assert smooth_both_ways(noise, times, 1.0, beta, 0.5)[20:-20].std() < 0.4 * noise.std()
    ramp = times[:, None]
    smooth = smooth_both_ways(ramp, times, 1.0, beta, 0.5)
    assert np.abs(smooth - ramp)[60:-60].max() < 1e-2
    np.testing.assert_allclose(smooth_both_ways(ramp[::-1], -times[::-1], 1.0, beta, 0.5)[::-1], smooth, atol=1e-12)
    constant = np.full((50, 1), 0.3)
    np.testing.assert_allclose(smooth_both_ways(constant, times[:50], 1.0, beta, 0.5), constant)


def test_after_a_gap_smoothing_begins_anew():
    times = np.array([0.0, 0.1, 5.0, 5.1])
    values = np.array([[0.0], [0.0], [1.0], [1.0]])
    np.testing.assert_allclose(smooth_both_ways(values, times, 1.0, np.zeros(1), 0.5), values)
    one = OneEuro(1.0, np.zeros(1))
    one(np.zeros(1), 0.0)
    assert 0 < one(np.ones(1), 0.03)[0] < 0.5
    one.forget()
    assert one(np.ones(1), 0.03)[0] == 1.0


# --- a film of the default's -----------------------------------------------------------------------------------------


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
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/segment.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(SourceError):
        list(open_film(playlist).pictures)


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


def test_a_camera_that_is_not_there_is_told():
    with pytest.raises(SourceError, match="there is no camera 63"):
        open_camera(63)


def test_cameras_are_named_as_their_system_names_them(tmp_path, monkeypatch):
    for node, index, name in (("video0", "0", "HD Webcam"), ("video1", "1", "HD Webcam"), ("video10", "0", "Capture")):
        (tmp_path / "sys" / node).mkdir(parents=True)
        (tmp_path / "sys" / node / "index").write_text(index + "\n")
        (tmp_path / "sys" / node / "name").write_text(name + "\n")
        (tmp_path / node).touch()
    (tmp_path / "video2").touch()  # of which nothing is known
    monkeypatch.setattr(cameras, "_DEVICES", tmp_path)
    monkeypatch.setattr(cameras, "_NAMES", tmp_path / "sys")
    monkeypatch.setattr(sys, "platform", "linux")
    assert [(c.number, c.name) for c in list_cameras()] == [(0, "HD Webcam"), (2, "camera 2"), (10, "Capture")]
    with pytest.raises(SourceError, match=r"no camera 1: there is 0 \(HD Webcam\), 2 \(camera 2\), 10 \(Capture\)"):
        open_camera(1)
    # As FFmpeg lists them on Windows and macOS.
    windows = '[dshow @ 0] "USB Camera" (video)\n[dshow @ 0]   Alternative name "@device"\n[dshow @ 0] "Mike" (audio)\n'
    assert cameras._windows_cameras(windows) == ["USB Camera"]
    mac = (
        "[AVFoundation indev @ 0x7] AVFoundation video devices:\n[AVFoundation indev @ 0x7] [0] FaceTime HD Camera\n"
        "[AVFoundation indev @ 0x7] [1] Capture screen 0\n[AVFoundation indev @ 0x7] AVFoundation audio devices:\n"
        "[AVFoundation indev @ 0x7] [0] Microphone\n"
    )
    assert cameras._mac_cameras(mac) == [(0, "FaceTime HD Camera")]


def test_of_a_camera_the_newest_picture_is_next_and_one_that_is_unplugged_ends():
    def frames():
        yield from (np.full((1, 1, 3), number, np.uint8) for number in range(50))
        raise OSError("unplugged")

    newest = _Newest(frames())
    newest._thread.join(300)
    _, picture = newest.wait(1.0)
    assert picture[0, 0, 0] == 49, "the others came too fast"
    assert newest.wait(1.0) is None


def test_a_source_is_closed_when_it_was_read(default_model, reader):
    closed = []

    def pictures():
        try:
            while True:
                yield 0.0, np.zeros((8, 8, 3), np.uint8)
        except GeneratorExit:
            closed.append(True)

    generator = pictures()

    def ten():
        yield from ((at, next(generator)[1]) for at in np.arange(2.0))
        generator.close()

    with pytest.raises(CaptureError):
        read_take(Performer(default_model), reader, Source("nobody", 1.0, 10, False, ten()))
    assert closed


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


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("capture",), "what to capture is not said"),
        (("capture", "nothing.mp4", "--out", "take.csv", "--neutral", "first"), "use median, none, or"),
        (("capture", "nothing.mp4", "--out", "take.csv"), "there is no film nothing.mp4"),
        (("capture", "63", "--out", "take.csv"), "there is no camera 63"),
        (("capture", "film.mp4", "--out", "take.txt"), "not the name of a CSV"),
        (("capture", "film.mp4", "--to", "nowhere"), "HOST:PORT"),
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
