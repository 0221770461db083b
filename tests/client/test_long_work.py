# SPDX-License-Identifier: Apache-2.0
"""Pictures that a client gives are read beside what is painted, by the product's service; and long work in general."""

from __future__ import annotations

import copy
import io
import struct
import zlib
from concurrent.futures import Future

import numpy as np
import pytest
from PIL import Image

from effigy.faces import picture_reading
from effigy.landmarks.photo import PhotoReader
from effigy.picture_files import PictureFileError
from effigy.service import readings
from effigy_client.errors import RequestError
from effigy_client.long_work import LongWork, read_picture
from effigy_protocol import MAX_FILE_BYTES, ProtocolError, decode_request, encode
from effigy_protocol.messages import (
    Array,
    CancelJob,
    Done,
    FromSeed,
    Identity,
    Job,
    JobStatus,
    OpenIdentity,
    PictureRead,
    ReadPicture,
    Synthesize,
    Working,
    pieces,
)
from effigy_protocol.transfer import PARTS, RELIABLE, Shown, transfer

from .services import STRAIGHT, in_process, linked, wait_until

SEED = 3_000_000


@pytest.fixture(scope="module")
def model(default_model):
    """Returns the face model of the service."""
    return copy.copy(default_model)


@pytest.fixture(scope="module")
def link(model):
    with in_process(model) as link:
        yield link


@pytest.fixture(scope="module")
def person(default_model):
    return default_model.open_seed(SEED)


@pytest.fixture(scope="module")
def picture(default_model, person):
    edit = default_model.edit(person, 15.0, 5.0, {"jawOpen": 0.8})
    return default_model.paint(edit.ws[None])[0][..., :3]


def png(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def side_by_side(*pictures: np.ndarray) -> np.ndarray:
    """Puts pictures beside each other on grey, each of its own height."""
    height = max(len(picture) for picture in pictures)
    padded = [np.pad(p, ((0, height - len(p)), (60, 60), (0, 0)), constant_values=90) for p in pictures]
    return np.concatenate(padded, axis=1)


def bomb(width: int, height: int) -> bytes:
    """Returns a PNG of a few bytes that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_picture_is_told_as_it_is_read(link, default_model, person, picture):
    found = read_picture(link, png(picture), painted=True).wait(300)
    expected = picture_reading.read_picture(default_model, PhotoReader(), picture, painted=True)
    assert isinstance(found, PictureRead)
    assert found.controls == pytest.approx(expected.controls, abs=1e-3)
    assert (found.pose.yaw, found.pose.pitch, found.pose.roll) == pytest.approx(
        (expected.yaw, expected.pitch, expected.roll), abs=1e-2
    )
    points = np.frombuffer(found.points.data, "<f4").reshape(found.points.shape)
    np.testing.assert_allclose(points, expected.points, atol=1e-4)
    assert (found.width, found.height, found.face, len(found.faces)) == (128, 128, 1, 1)
    box = found.faces[0]
    assert (box.left, box.right) == pytest.approx((points[0].min(), points[0].max()), abs=1e-4)
    assert found.confidence == default_model.photo_map.correlations
    assert found.own is None
    assert link.state.welcome.reads_pictures


def test_a_photograph_counts_from_another_average_person_than_a_painting(link, picture):
    photographed, painted = (read_picture(link, png(picture), painted=painted).wait(300) for painted in (False, True))
    assert photographed.pose == painted.pose
    assert photographed.controls != painted.controls


def test_what_a_picture_shows_is_carried_over_to_somebody_open(link, default_model, picture):
    other = link.call(OpenIdentity(FromSeed(SEED + 1)), 300)
    found = read_picture(link, png(picture), identity=other.identity, painted=True).wait(300)
    assert found.own == pytest.approx(default_model.own_expression(default_model.open_seed(SEED + 1, 0.7)), abs=1e-6)
    own = Shown(other.pose.yaw, other.pose.pitch, 0.0, found.own)
    controls = link.state.welcome.controls
    wanted = transfer(Shown.of(found), own, controls, found.confidence)
    frame = link.call(Synthesize(other.identity, wanted.yaw, wanted.pitch, wanted.controls, "final", "png"), 300)
    again = read_picture(link, bytes(frame.data), painted=True).wait(300)
    assert (again.pose.yaw, again.pose.pitch) == pytest.approx((found.pose.yaw, found.pose.pitch), abs=3)
    assert again.controls["jawOpen"] == pytest.approx(found.controls["jawOpen"], abs=0.3)
    for part in PARTS:
        alike = transfer(Shown.of(found), own, controls, found.confidence, since=Shown.of(found), part=part)
        assert (alike.yaw, alike.pitch, alike.roll) == (own.yaw, own.pitch, 0.0)
        assert set(alike.controls.values()) <= {0.0}, "nothing differs from the picture itself"
    weak = transfer(Shown.of(found), own, controls, found.confidence | {"browUp": RELIABLE - 0.01})
    assert weak.left_out == ("browUp",)
    assert "browUp" not in weak.controls


def test_faces_are_told_by_size_and_any_of_them_is_read(link, default_model, picture):
    other = default_model.paint(default_model.open_seed(SEED + 1).ws[None])[0][..., :3]
    both = png(side_by_side(picture, np.repeat(np.repeat(other, 2, axis=0), 2, axis=1)))
    first, second = (read_picture(link, both, face, painted=True, numbered=face == 2).wait(300) for face in (1, 2))
    assert first.faces == second.faces
    assert first.numbered is None
    small = Image.open(io.BytesIO(both))
    small.thumbnail((512, 512))
    plain = np.array(small)
    changed = (np.array(Image.open(io.BytesIO(second.numbered))) != plain).any(axis=2)
    for box in second.faces:  # each has an edge around it, and is not covered
        x, y = round((box.left + box.right) / 2 * plain.shape[1]), round((box.top + box.bottom) / 2 * plain.shape[0])
        assert changed[y, round(box.left * plain.shape[1])]
        assert not changed[y - 4 : y + 4, x - 4 : x + 4].any()
    assert len(first.faces) == 2
    assert first.faces[0].left > first.faces[1].right
    assert second.controls["jawOpen"] - first.controls["jawOpen"] > 0.3
    with pytest.raises(RequestError, match="there is no face 3 in it: it shows 2 faces") as caught:
        read_picture(link, both, 3).wait(300)
    assert caught.value.code == "no-face"


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (png(np.full((64, 64, 3), 90, np.uint8)), "no-face", "no face is seen"),
        (b"", "bad-field", "is no PNG, JPEG or WebP"),
        (b"GIF89a" + bytes(1000), "bad-field", "is no PNG, JPEG or WebP"),
        (png(np.zeros((64, 64, 3), np.uint8))[:-40], "bad-field", "is damaged"),
        (bomb(60_000, 60_000), "bad-field", "make it smaller"),
        (bomb(9000, 9000), "bad-field", "9000 × 9000 pixels, more than 64 million"),
    ],
    ids=["empty", "nothing", "gif", "cut", "bomb", "large"],
)
def test_a_picture_that_cannot_be_read_is_refused_in_a_sentence(link, data, code, says):
    with pytest.raises(RequestError, match=says) as caught:
        read_picture(link, data).wait(300)
    assert caught.value.code == code
    assert caught.value.hint
    assert not caught.value.is_transient


def test_an_identity_that_is_not_open_is_told_at_once(link):
    with pytest.raises(RequestError, match="'nobody' is not open here") as caught:
        read_picture(link, b"x", identity="nobody").wait(300)
    assert caught.value.has_forgotten


def test_a_model_that_cannot_read_pictures_says_which_command_teaches_it(link, model, monkeypatch):
    monkeypatch.setattr(model, "photo_map", None)
    with pytest.raises(RequestError, match="effigy bundle learn-photos"):
        read_picture(link, b"x").wait(300)


def test_finals_do_not_wait_for_a_picture_and_are_the_same_beside_it(link, monkeypatch, picture):
    face = link.call(OpenIdentity(FromSeed(SEED)), 300)
    request = Synthesize(face.identity, 5.0, 0.0, {"jawOpen": 0.3}, "final")
    alone = bytes(link.call(request, 300).data)
    held: Future[None] = Future()
    read = readings.read_picture

    def slowly(*given, **named):
        held.result(300)
        return read(*given, **named)

    monkeypatch.setattr(readings, "read_picture", slowly)
    first, second = (read_picture(link, png(picture), painted=True) for _ in range(2))
    wait_until(lambda: (first.poll(), second.poll(), first.stage == "reading" and second.stage == "waiting")[-1])
    assert bytes(link.call(request, 300).data) == alone
    second.cancel()
    third = read_picture(link, png(picture), painted=True)
    held.set_result(None)
    assert isinstance(first.wait(300), PictureRead)
    assert isinstance(third.wait(300), PictureRead)
    assert second.poll() is None


def test_pictures_that_wait_are_bounded_in_bytes(link, monkeypatch, picture):
    held: Future[None] = Future()
    monkeypatch.setattr(readings, "decode_picture", lambda data: held.result(300))
    large = bytes(MAX_FILE_BYTES - 4096)
    waiting = []
    for stage in ("reading", "waiting"):
        waiting.append(read_picture(link, large))
        wait_until(lambda: (waiting[-1].poll(), waiting[-1].stage == stage)[-1])  # noqa: B023
    with pytest.raises(RequestError, match="long jobs of this client for which 64 MiB were sent") as caught:
        read_picture(link, large).wait(300)
    assert caught.value.code == "busy"
    waiting.pop().cancel()
    waiting.append(read_picture(link, large))
    wait_until(lambda: (waiting[-1].poll(), waiting[-1]._job)[-1])
    held.set_exception(PictureFileError("enough"))
    for work in waiting:
        with pytest.raises(RequestError, match="enough"):
            work.wait(300)
    monkeypatch.undo()
    assert read_picture(link, png(picture)).wait(300)


def test_a_picture_travels_in_pieces_and_no_larger_one_does():
    data = bytes(range(256)) * (5 * 4096 + 1)
    cut = pieces(data)
    assert [len(piece) for piece in cut] == [2**20] * 5 + [256]
    message = decode_request(encode(1, ReadPicture(cut))).message
    assert b"".join(message.picture) == data
    assert encode(1, ReadPicture(pieces(bytes(MAX_FILE_BYTES))))
    with pytest.raises(ProtocolError, match="the limit is 33554432"):
        ReadPicture(pieces(bytes(MAX_FILE_BYTES + 1)))
    with pytest.raises(ProtocolError, match="the limit is"):
        ReadPicture((cut[0],) * 33)  # one frame named many times
    with pytest.raises(RequestError, match="32 MiB, more than 32"):
        read_picture(None, bytes(MAX_FILE_BYTES + 1))
    for face in (0, 17):
        with pytest.raises(ProtocolError, match="counted from 1 to 16"):
            ReadPicture(cut, face)


def test_work_is_looked_at_until_it_is_done_and_cancelled_whenever():
    heard = []

    def reply(request):
        heard.append(request)
        match request:
            case ReadPicture():
                return Job("job")
            case JobStatus() if sum(isinstance(each, JobStatus) for each in heard) < 3:
                return Working("job", 0.5, "half")
            case JobStatus():
                return result
            case _:
                return Done(1)

    result = Identity("i", "m", b"", STRAIGHT, Array("f4", (3, 0), b""))
    with linked(reply) as (link, _):
        work: LongWork[Identity] = LongWork(link, ReadPicture(()))
        assert work.wait(300) == result
        assert (work.share, work.stage, work.poll()) == (0.5, "half", None)
        del heard[:]
        LongWork(link, ReadPicture(())).cancel()
        wait_until(lambda: CancelJob("job") in heard)
        begun: LongWork[Identity] = LongWork(link, ReadPicture(()))
        wait_until(lambda: (begun.poll(), begun._job)[-1] == "job")
        del heard[:]
        begun.cancel()
        wait_until(lambda: heard == [CancelJob("job")])
