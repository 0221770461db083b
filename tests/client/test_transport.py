# SPDX-License-Identifier: Apache-2.0
"""The in-process transport, and a link over it to the service's own answers."""

from __future__ import annotations

import base64
import copy
import threading

import numpy as np
import pytest

from effigy.service.in_process import InProcessService
from effigy_client.errors import RequestError
from effigy_client.face import Anchor, Face, Identities
from effigy_client.link import Link
from effigy_client.parameters import PictureParameters
from effigy_client.state import Phase
from effigy_client.transport import ClosedError, InProcess
from effigy_protocol import decode_reply
from effigy_protocol.messages import Cancel, Error, FromSeed, JobStatus, OpenIdentity, Release, Status, Synthesize

from .services import HERE, Source, frame, in_process, linked, wait_until


def test_answers_come_in_their_order_and_before_the_end():
    transport = InProcess(lambda frames: [frames, [b"second"]])
    transport.send([b"first"])
    transport.close()
    assert [transport.receive(0), transport.receive(5)] == [[b"first"], [b"second"]]
    with pytest.raises(ClosedError):
        transport.receive(5)
    with pytest.raises(ClosedError):
        transport.send([b"third"])


def test_who_waits_is_woken_and_given_what_comes_late():
    transport = InProcess(lambda frames: [])
    threading.Timer(0.05, transport.wake).start()
    assert transport.receive(60) is None
    threading.Timer(0.05, transport.deliver, [[b"late"]]).start()
    assert transport.receive(60) == [b"late"]


def test_a_link_asks_and_previews_over_it():
    def reply(request):
        return frame(request) if isinstance(request, Synthesize) else Error("failed", "no", "ask for a picture")

    with linked(reply) as (link, _):
        assert link.call(Synthesize("x", 7.0, 0.0, {}, "final"), 300).data == bytes([7]) * 64
        with pytest.raises(RequestError, match="ask for a picture"):
            link.call(OpenIdentity(FromSeed(1)), 300)
        link.preview(Synthesize("x", 9.0, 0.0, {}, half=True), "tag")
        wait_until(lambda: link.has_previews)
        (preview,) = link.previews()
        assert preview.tag == "tag"
        assert preview.outcome.pixels.shape == (64,), "a half picture is shown at full size"
        np.testing.assert_allclose(preview.outcome.pixels, 9 / 255)
        assert not link.is_busy


def test_the_end_of_the_service_is_a_loss_and_another_life_begins():
    lives = []

    def connect(connection):
        assert connection is HERE
        lives.append(InProcess(lambda frames: []))
        return lives[-1]

    link = Link(Source(), "test", connect)
    try:
        waiting = link.ask(Synthesize("x", 0.0, 0.0, {}, "final"), 300)
        wait_until(lambda: bool(lives))
        lives[0].close()
        with pytest.raises(RequestError) as caught:
            waiting.result(300)
        assert caught.value.is_transient
        wait_until(lambda: link.connections == 2)
        assert link.state.phase in (Phase.LOST, Phase.CONNECTING)
    finally:
        link.close()


def test_a_final_of_a_service_in_this_process_is_the_models_own_picture(default_model):
    parameters = PictureParameters.of(12.0, -3.0, [("jawOpen", 0.4)])
    anchor = default_model.open_seed(3, 0.7)
    with in_process(copy.copy(default_model)) as link:
        identities = Identities(link)
        opened = identities.open(OpenIdentity(FromSeed(3, truncation=0.7))).result(300)
        who = Anchor(opened.model, base64.b64encode(opened.latent).decode())
        got = Face().paint(identities, who, parameters, 120)
    edit = default_model.edit(anchor, parameters.yaw, parameters.pitch, dict(parameters.controls))
    pixels = np.frombuffer(got.data, np.uint8).reshape(got.height, got.width, 4)
    np.testing.assert_array_equal(pixels[..., :3], default_model.paint(edit.ws[None])[0][..., :3])


def test_a_service_in_this_process_answers_and_refuses_as_any(default_model):
    with in_process(copy.copy(default_model)) as link:
        key = link.call(OpenIdentity(FromSeed(3)), 300).identity
        link.preview(Synthesize(key, 5.0, 0.0, {}), tag="seen")
        wait_until(lambda: link.has_previews)
        (preview,) = link.previews()
        assert preview.tag == "seen"
        assert preview.outcome.frame.identity == key
        for request, code in (
            (Synthesize("nobody", 0.0, 0.0, {}, "final"), "unknown-identity"),
            (Synthesize(key, 0.0, 0.0, {"noSuch": 1.0}, "final"), "bad-field"),
            (JobStatus("nothing"), "unknown-job"),
        ):
            with pytest.raises(RequestError) as caught:
                link.call(request, 300)
            assert caught.value.code == code
        report = link.call(Status(), 300)
        assert (report.phase, report.identities, report.painted) == ("ready", 1, 1)
        assert link.call(Release(key), 300).count == 1
        assert link.call(Cancel(), 300).count == 0


def test_what_is_no_message_is_refused_by_a_service_in_this_process(default_model):
    service = InProcessService(copy.copy(default_model))
    (frames,) = service([b"\xc1 nothing"])
    assert decode_reply(frames).message.code == "malformed"
