# SPDX-License-Identifier: Apache-2.0
"""The worker paints several finals together, and answers each separately."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import zmq

from effigy.faces.finals import Finals
from effigy.faces.latent import latent_to_bytes
from effigy.faces.painter import Painter
from effigy.service.scheduler import Queued, Scheduler
from effigy.service.worker import Worker
from effigy_protocol import decode_reply
from effigy_protocol.messages import Error, Frame, FromLatent, FromSeed, OpenIdentity, Synthesize


@pytest.fixture()
def together():
    """Records how many pictures are painted at a time."""
    return []


@pytest.fixture()
def model(default_model):
    """Returns the face model of the worker."""
    return copy.copy(default_model)


@pytest.fixture()
def work(model, default_model, together):
    """Gives jobs to a worker that paints four finals at a time; returns its answers with their clients."""

    def paint(ws):
        together.append(len(ws))
        return default_model.generator.synthesize(ws)

    model.painter = Painter(default_model.generator, finals=Finals(paint, 4, always_whole=False))
    context, scheduler = zmq.Context(), Scheduler()
    inbox = context.socket(zmq.PULL)
    inbox.bind("inproc://answers")
    worker = Worker(lambda: model, scheduler, context, "inproc://answers")

    def answers(jobs):
        for job in jobs:
            scheduler.add(job)
        if not worker.is_alive():
            worker.start()
        got = []
        for _ in jobs:
            assert inbox.poll(300_000), "no answer came"
            client, *frames = inbox.recv_multipart()
            got.append((client, decode_reply(frames)))
        return got

    yield answers
    scheduler.close()
    worker.join(300)
    inbox.close()
    context.term()


def test_finals_painted_together_are_answered_one_by_one(work, default_model, together):
    anchor = default_model.open_seed(3, 0.7)
    yaws = [float(yaw) for yaw in range(-25, 25, 8)]

    def final(number, yaw, encoding="rgba8", identity=anchor.key):
        return Queued(b"a" if number % 2 else b"b", number, Synthesize(identity, yaw, 0.0, {}, "final", encoding))

    jobs = [Queued(b"a", 100, OpenIdentity(FromSeed(3, truncation=0.7)))]
    jobs += [final(number, yaw) for number, yaw in enumerate(yaws)]
    jobs += [final(51, 5.0, "png16"), final(52, 5.0, "png16"), final(53, 9.0), final(54, 0.0, identity="nobody")]
    answers = work(jobs)
    assert [(client, envelope.id) for client, envelope in answers] == [(job.client, job.id) for job in jobs]
    replies = [envelope.message for _, envelope in answers][1:]
    for yaw, frame in zip(yaws, replies, strict=False):
        assert isinstance(frame, Frame)
        alone = default_model.paint(default_model.edit(anchor, yaw, 0.0, {}).ws[None])[0]
        shown = np.frombuffer(frame.data, np.uint8).reshape(128, 128, 4)[..., :3]
        np.testing.assert_array_equal(shown, alone)
        assert frame.timings.synthesis_ms > 0
    deep, again, last, refused = replies[len(yaws) :]
    assert isinstance(refused, Error)
    assert refused.code == "unknown-identity"
    assert bytes(deep.data) == bytes(again.data), "a picture does not depend on what is painted beside it"
    assert last.encoding == "rgba8"
    assert 4 in together


def test_a_final_that_fails_takes_none_with_it_that_is_painted_beside_it(work, model, default_model):
    anchor = default_model.open_seed(3, 0.7)
    broken = default_model.edit(anchor, 9.0, 0.0, {}).ws

    def paint(ws):
        images = default_model.generator.synthesize(ws)
        images[(ws == broken).all(dim=2).all(dim=1)] = float("nan")
        return images

    work([Queued(b"a", 100, OpenIdentity(FromSeed(3, truncation=0.7)))])
    model.painter = Painter(default_model.generator, finals=Finals(paint, 4, always_whole=False))
    yaws = [0.0, 9.0, 5.0, -5.0]
    jobs = [Queued(b"ab"[i % 2 :][:1], i, Synthesize(anchor.key, yaw, 0.0, {}, "final")) for i, yaw in enumerate(yaws)]
    replies = {envelope.id: envelope.message for _, envelope in work(jobs)}
    assert [type(replies[number]) for number in range(4)] == [Frame, Error, Frame, Frame]
    alone = default_model.paint(default_model.edit(anchor, 5.0, 0.0, {}).ws[None])[0]
    np.testing.assert_array_equal(np.frombuffer(replies[2].data, np.uint8).reshape(128, 128, 4)[..., :3], alone)


def test_a_seed_whose_face_is_infinite_is_refused_as_a_latent_is(work, model, default_model):
    far = torch.full((1, default_model.generator.num_ws, default_model.generator.w_dim), 3e38)
    model.painter = Painter(Whole(default_model.generator))
    model.generator.map = lambda *_: far
    asked = [
        OpenIdentity(FromSeed(3)),
        OpenIdentity(FromSeed(3, seeds=4)),
        OpenIdentity(FromLatent(latent_to_bytes(far[0].numpy()))),
    ]
    replies = [envelope.message for _, envelope in work([Queued(b"a", i, each) for i, each in enumerate(asked)])]
    assert [reply.code for reply in replies] == ["bad-field"] * 3
    assert all("beyond all bounds" in reply.message for reply in replies)


class Whole:
    """A generator that cannot paint half size, as all but StyleGAN2."""

    paints_half = False

    def __init__(self, generator):
        self._generator = generator

    def __getattr__(self, name):
        return getattr(self._generator, name)


def test_a_full_picture_is_exact_although_half_was_asked_for(work, model, default_model):
    model.painter = Painter(Whole(default_model.generator))
    anchor = default_model.open_seed(3, 0.7)
    asked = Synthesize(anchor.key, 5.0, 0.0, {}, "preview", half=True)
    work([Queued(b"a", 1, OpenIdentity(FromSeed(3, truncation=0.7)))])
    [(_, envelope)] = work([Queued(b"a", 2, asked)])
    frame = envelope.message
    assert frame.exact
    alone = default_model.paint(default_model.edit(anchor, 5.0, 0.0, {}).ws[None])[0]
    np.testing.assert_array_equal(np.frombuffer(frame.data, np.uint8).reshape(128, 128, 4)[..., :3], alone)


def test_a_picture_of_nan_is_an_error_and_no_black_frame(work, model, default_model):
    model.painter = Painter(Whole(default_model.generator))
    model.generator.synthesize = lambda ws: torch.full((len(ws), 3, 128, 128), float("nan"))
    anchor = default_model.open_seed(3, 0.7)
    asked = Synthesize(anchor.key, 5.0, 0.0, {}, "preview")
    work([Queued(b"a", 1, OpenIdentity(FromSeed(3, truncation=0.7)))])
    [(_, envelope)] = work([Queued(b"a", 2, asked)])
    assert isinstance(envelope.message, Error)
    assert "NaN or infinite values" in envelope.message.message
