# SPDX-License-Identifier: Apache-2.0
"""The service over real sockets: what it answers, in which order, and to whom."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from effigy.faces.calm import calmest
from effigy_protocol.messages import (
    Cancel,
    Done,
    Error,
    Frame,
    FromLatent,
    FromSeed,
    Identity,
    Job,
    JobStatus,
    Mix,
    OpenIdentity,
    PictureRead,
    Ping,
    Pong,
    ReadPicture,
    Release,
    Status,
    StatusReport,
    Synthesize,
    Working,
    pieces,
)

from ..closeness import assert_same

PHOTO = Path(__file__).parents[1] / "fixtures" / "photo" / "networks.npz"


@pytest.fixture()
def identity(client):
    return client.ask(OpenIdentity(FromSeed(4))).identity


def picture(identity, yaw=0.0, **changes):
    return Synthesize(identity, yaw, 0.0, changes.pop("controls", {}), **{"purpose": "final", **changes})


def test_the_welcome_describes_the_model(client, default_model):
    welcome = client.hello()
    assert welcome.model == default_model.model_id
    assert welcome.resolution == (128, 128)
    assert welcome.topology == "ibug68"
    assert [control.name for control in welcome.controls] == default_model.sliders
    directions = np.frombuffer(welcome.directions.data, "<f4").reshape(welcome.directions.shape)
    assert directions.shape == (len(welcome.controls), 3, 68)
    mean = np.frombuffer(welcome.mean.data, "<f4").reshape(welcome.mean.shape)
    assert_same(mean, default_model.shape.mean, 1)


def test_a_frame_is_the_models_own_picture(client, identity, default_model):
    frame = client.ask(picture(identity, 17.0, controls={"jawOpen": 0.5}))
    edit = default_model.edit(default_model.open_seed(4), 17.0, 0.0, {"jawOpen": 0.5})
    shown = np.frombuffer(frame.data, np.uint8).reshape(128, 128, 4)
    np.testing.assert_array_equal(shown[..., :3], default_model.paint(edit.ws[None])[0])
    assert (shown[..., 3] == 255).all()
    assert frame.pose.yaw == pytest.approx(17.0, abs=0.5)


def test_every_lossless_encoding_is_the_same_picture(client, identity):
    raw = np.frombuffer(client.ask(picture(identity, 5.0)).data, np.uint8).reshape(128, 128, 4)[..., :3]
    png = iio.imread(bytes(client.ask(picture(identity, 5.0, encoding="png")).data))
    np.testing.assert_array_equal(raw, png)
    jpeg = client.ask(picture(identity, 5.0, encoding="jpeg", purpose="preview"))
    assert np.abs(iio.imread(bytes(jpeg.data)).astype(float) - raw).mean() < 4


def test_preview_and_final_are_the_same_picture(client, identity):
    final = client.ask(picture(identity, -12.0))
    preview = client.ask(picture(identity, -12.0, purpose="preview"))
    assert bytes(final.data) == bytes(preview.data)


def test_finals_come_all_and_in_order(client, identity):
    ids = [client.send(picture(identity, yaw)) for yaw in np.linspace(-20, 20, 12)]
    replies = [client.receive() for _ in ids]
    assert [answered for answered, _ in replies] == ids
    assert all(isinstance(reply, Frame) for _, reply in replies)


def test_of_many_previews_the_newest_comes_and_every_one_is_answered(client, identity):
    ids = [client.send(picture(identity, yaw, purpose="preview")) for yaw in np.linspace(-20, 20, 30)]
    replies = dict(client.receive() for _ in ids)
    assert set(replies) == set(ids)
    assert isinstance(replies[ids[-1]], Frame)
    superseded = [reply for reply in replies.values() if isinstance(reply, Error)]
    assert superseded
    assert {reply.code for reply in superseded} == {"superseded"}


def test_the_io_thread_answers_while_the_worker_paints(client, identity):
    finals = [client.send(picture(identity, yaw)) for yaw in np.linspace(-20, 20, 20)]
    ping = client.send(Ping())
    answered, reply = client.receive()
    before = 0
    while answered != ping:
        before += 1
        answered, reply = client.receive()
    assert isinstance(reply, Pong)
    assert before < 5, "the heartbeat waited for the pictures"
    for _ in range(len(finals) - before):
        client.receive()


def test_cancelled_requests_are_answered_and_not_painted(client, identity):
    painted = client.ask(Status()).painted
    ids = [client.send(picture(identity, yaw)) for yaw in np.linspace(-20, 20, 20)]
    cancel = client.send(Cancel())
    replies = dict(client.receive() for _ in range(len(ids) + 1))
    count = replies.pop(cancel)
    assert isinstance(count, Done)
    cancelled = [reply for reply in replies.values() if isinstance(reply, Error) and reply.code == "cancelled"]
    assert len(cancelled) == count.count >= 15
    assert client.ask(Status()).painted == painted + len(ids) - count.count


def test_a_latent_opens_the_same_face_and_a_foreign_one_is_refused(client):
    opened = client.ask(OpenIdentity(FromSeed(9)))
    again = client.ask(OpenIdentity(FromLatent(bytes(opened.latent), opened.model)))
    assert again.identity == opened.identity
    refused = client.ask(OpenIdentity(FromLatent(bytes(opened.latent), "another")))
    assert refused.code == "wrong-model"
    assert "another" in refused.message


def test_an_unknown_control_names_the_known_ones(client, identity):
    reply = client.ask(picture(identity, controls={"tailWag": 1.0}))
    assert reply.code == "bad-field"
    assert "tailWag" in reply.message
    assert "jawOpen" in reply.hint


def test_a_final_jpeg_is_refused(client, identity):
    assert client.ask(picture(identity, encoding="jpeg")).code == "bad-field"


def test_a_released_identity_is_gone_for_its_client_alone(client, connect, shared_service):
    other = connect(shared_service)
    other.hello()
    mine, theirs = client.ask(OpenIdentity(FromSeed(31))), other.ask(OpenIdentity(FromSeed(31)))
    assert mine.identity == theirs.identity
    assert client.ask(Release(mine.identity)).count == 1
    assert client.ask(Release(mine.identity)).count == 0
    assert isinstance(other.ask(picture(theirs.identity)), Frame)
    assert other.ask(Release(theirs.identity)).count == 1
    assert client.ask(picture(mine.identity)).code == "unknown-identity"


def test_two_clients_get_their_own_answers(client, connect, shared_service):
    other = connect(shared_service)
    other.hello()
    a, b = client.ask(OpenIdentity(FromSeed(1))), other.ask(OpenIdentity(FromSeed(2)))
    sent = [(c, c.send(picture(i.identity, yaw))) for yaw in (-10.0, 10.0) for c, i in ((client, a), (other, b))]
    for c, request_id in sent:
        answered, frame = c.receive()
        assert answered == request_id
        assert frame.identity == (a if c is client else b).identity


def test_status_tells_what_is_going_on(client, identity):
    report = client.ask(Status())
    assert isinstance(report, StatusReport)
    assert report.phase == "ready"
    assert report.device == "cpu"
    assert report.identities >= 1
    assert report.clients >= 1


def test_a_photograph_larger_than_a_frame_is_read(client):
    photo = io.BytesIO()
    Image.fromarray(np.load(PHOTO)["face"]).save(photo, "PNG")
    data = photo.getvalue() + bytes(5 << 20)  # what follows a PNG's end is ignored
    job = client.ask(ReadPicture(pieces(data)))
    assert isinstance(job, Job)
    while isinstance(found := client.ask(JobStatus(job.job)), Working):
        time.sleep(0.05)
    assert isinstance(found, PictureRead)
    assert (found.width, found.height, len(found.faces)) == (256, 256, 1)
    assert found.controls["mouthSmile"] > 0.3, "she smiles"


def test_a_text_that_is_sent_back_never_makes_an_answer_too_long(client, identity):
    latent, long = bytes(client.ask(OpenIdentity(FromSeed(4))).latent), "é" * 4096
    replies = [
        client.ask(OpenIdentity(FromLatent(latent, long))),
        client.ask(Synthesize(long, 0.0, 0.0, {})),
        client.ask(picture(identity, controls={f"{number} {long[:400]}": 1.0 for number in range(60)})),
    ]
    assert [reply.code for reply in replies] == ["wrong-model", "unknown-identity", "bad-field"]


def test_one_client_does_not_make_another_wait(client, identity, connect, shared_service):
    other = connect(shared_service)
    other.hello()
    theirs = other.ask(OpenIdentity(FromSeed(2))).identity
    ids = [client.send(picture(identity, 0.1 * number)) for number in range(60)]
    client.receive()
    waited = other.ask(picture(theirs)).timings.queue_ms
    last = [client.receive()[1] for _ in ids[1:]][-1]
    assert waited < last.timings.queue_ms / 3, "the other's picture waited for all of the first one's"


def test_what_a_client_that_left_has_asked_is_not_painted(client, connect, shared_service):
    leaver = connect(shared_service)
    leaver.hello()
    identity = leaver.ask(OpenIdentity(FromSeed(77))).identity
    before = client.ask(Status())
    for number in range(500):
        leaver.send(picture(identity, 0.05 * number))
    leaver.receive()
    leaver.socket.close(linger=0)
    end = time.monotonic() + 300
    while (now := client.ask(Status())).queued:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert now.painted - before.painted < 250, "pictures were painted for nobody"
    assert now.clients < before.clients  # others that left before may be forgotten meanwhile
    assert client.ask(picture(identity)).code == "unknown-identity"


def test_of_several_seeds_the_calmest_is_opened_and_named(client, default_model):
    chosen = client.ask(OpenIdentity(FromSeed(1, seeds=8)))
    assert chosen.seed == calmest(default_model, 1, 8)
    exact = client.ask(OpenIdentity(FromSeed(chosen.seed)))
    assert (exact.identity, exact.seed) == (chosen.identity, chosen.seed)
    assert client.ask(OpenIdentity(FromSeed(2**32 - 2, seeds=8))).seed >= 2**32 - 2
    assert client.ask(OpenIdentity(FromLatent(bytes(chosen.latent)))).seed is None


def test_identity_carries_what_a_blend_file_keeps(client, default_model):
    opened = client.ask(OpenIdentity(FromSeed(4)))
    assert isinstance(opened, Identity)
    assert opened.model == default_model.model_id
    rest = np.frombuffer(opened.rest.data, "<f4").reshape(opened.rest.shape)
    assert_same(rest, default_model.open_seed(4).rest, 1)
    assert len(opened.latent) < 2000


def test_sixteen_bits_round_to_the_eight_bit_picture(client, identity):
    raw = np.frombuffer(client.ask(picture(identity, 5.0)).data, np.uint8).reshape(128, 128, 4)[..., :3]
    data = bytes(client.ask(picture(identity, 5.0, encoding="png16")).data)
    fine = read_png16(data)
    np.testing.assert_array_equal(np.round(fine / 257), raw)
    assert len(np.unique(fine)) > 256
    assert iio.imread(data).shape == (128, 128, 3)  # another reader opens it too


def read_png16(data):
    """Our own files alone: 16 bits, RGB, one IDAT chunk, every line filtered by the one above it."""
    width, height, depth, kind = struct.unpack_from(">IIBB", data, 16)
    assert (depth, kind) == (16, 2)
    (length,) = struct.unpack_from(">I", data, 33)
    lines = np.frombuffer(zlib.decompress(data[41 : 41 + length]), np.uint8).reshape(height, 1 + 6 * width)
    assert (lines[:, 0] == 2).all()
    summed = np.cumsum(lines[:, 1:], axis=0, dtype=np.uint8)
    return summed.view(">u2").reshape(height, width, 3).astype(float)


def test_a_preview_may_be_half_as_large_and_says_that_it_is_not_exact(client, identity):
    whole = client.ask(picture(identity, 5.0))
    half = client.ask(picture(identity, 5.0, purpose="preview", half=True))
    assert whole.exact
    assert not half.exact
    assert (half.height, half.width, len(half.data)) == (64, 64, 4 * 64 * 64)
    small = np.frombuffer(half.data, np.uint8).reshape(64, 64, 4)[..., :3].astype(float)
    large = np.frombuffer(whole.data, np.uint8).reshape(64, 2, 64, 2, 4)[..., :3].mean(axis=(1, 3))
    assert np.abs(small - large).mean() < 40, "it is another face"


def test_a_final_is_never_half(client, identity):
    assert client.ask(picture(identity, 5.0, half=True)).height == 128


def test_identities_mix_and_the_ends_of_a_mixture_are_exact(client):
    a, b = (client.ask(OpenIdentity(FromSeed(seed))) for seed in (4, 5))

    def mixed(share):
        return client.ask(OpenIdentity(Mix(bytes(a.latent), bytes(b.latent), share, a.model)))

    assert mixed(0.0).identity == a.identity
    assert mixed(1.0).identity == b.identity
    ends = [np.frombuffer(bytes(end.latent), "<f4", offset=12) for end in (a, b)]
    middle = np.frombuffer(bytes(mixed(0.25).latent), "<f4", offset=12)
    assert_same(middle, 0.75 * ends[0] + 0.25 * ends[1], 3)
