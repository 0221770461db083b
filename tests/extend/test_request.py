# SPDX-License-Identifier: Apache-2.0
"""docs/extend/request.md: its request travels, is answered, and may be refused."""

from __future__ import annotations

import copy
import textwrap
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import effigy.geometry
from effigy.editing.parameters import Parameters
from effigy.service import answering
from effigy.service.answering import Answering
from effigy.service.in_process import InProcessService
from effigy_protocol import ProtocolError, codec, decode_reply, decode_request, encode
from effigy_protocol.messages import Error, FromSeed, OpenIdentity, pictures

from ..protocol import strategies
from .pages import examples

DECLARED, ANSWERED = examples("request.md", "python")


def run(code: str, module: types.ModuleType, **more: object) -> dict[str, object]:
    """Runs a page's code with the names of the module that it is for; returns the names that it has then."""
    names = {**vars(module), **more}
    exec(compile(textwrap.dedent(code), "docs/extend/request.md", "exec"), names)
    return names


NAMES = run(DECLARED, pictures)
Measure, Measured = NAMES["Measure"], NAMES["Measured"]


@pytest.fixture(autouse=True)
def _declared(monkeypatch):
    """The page's messages, as if they were members of Request and Reply."""
    monkeypatch.setitem(codec._REQUESTS, "Measure", Measure)
    monkeypatch.setitem(codec._REPLIES, "Measured", Measured)


@pytest.fixture()
def ask(default_model, monkeypatch):
    """Sends requests to a service with the page's method, as bytes, and returns its replies."""
    names = run(
        ANSWERED,
        answering,
        Measure=Measure,
        Measured=Measured,
        Parameters=Parameters,
        project=effigy.geometry.project,
    )
    change = Answering._change

    def with_measure(self, client, request):
        if isinstance(request, Measure):
            return names["_measure"](self, client, request)
        return change(self, client, request)

    monkeypatch.setattr(Answering, "_change", with_measure)
    service = InProcessService(copy.copy(default_model))

    def answer(request):
        (frames,) = service(encode(7, request))
        return decode_reply(frames).message

    yield answer
    service.close()


@settings(max_examples=30)
@given(st.data())
def test_its_messages_survive_the_way(data):
    message = data.draw(strategies.messages(data.draw(st.sampled_from([Measure, Measured]))))
    decode = decode_request if isinstance(message, Measure) else decode_reply
    assert decode(encode(3, message)).message == message


def test_a_wrong_field_is_refused_by_name():
    with pytest.raises(ProtocolError, match="controls"):
        encode(1, Measure("a", 0.0, 0.0, {"jawOpen": float("nan")}))


def test_it_measures_what_an_edit_moves(ask):
    face = ask(OpenIdentity(FromSeed(3)))
    pose = face.pose

    def points(**controls):
        array = ask(Measure(face.identity, pose.yaw, pose.pitch, controls)).points
        return np.frombuffer(array.data, "<f4").reshape(array.shape)

    rest, opened = points(), points(jawOpen=1.0)
    assert rest.shape == (2, 68)
    assert ((rest > 0) & (rest < 1)).all()
    assert (opened - rest)[1, 8] > 0.02  # the chin goes down
    assert abs((opened - rest)[:, 27]).max() < 0.01  # the nose's bridge stays


def test_it_is_refused_as_others_are(ask):
    refused = ask(Measure("nobody", 0.0, 0.0, {}))
    assert isinstance(refused, Error)
    assert refused.code == "unknown-identity"
    assert ask(Measure(ask(OpenIdentity(FromSeed(3))).identity, 0.0, 0.0, {"noSuchControl": 1.0})).code == "failed"
