# SPDX-License-Identifier: Apache-2.0
"""A face's identity is opened once, kept, opened again when it is forgotten, and released when nobody uses it."""

from __future__ import annotations

import pytest

from effigy_client.errors import RequestError
from effigy_client.face import Anchor, Face, Identities
from effigy_client.parameters import PictureParameters
from effigy_protocol.errors import ERROR_CODES
from effigy_protocol.messages import OpenIdentity, Release, Synthesize

from .services import FakeLink

ANNA, BERT = Anchor("m", "YQ=="), Anchor("m", "Yg==")
ASKING = PictureParameters.of(1.0, 2.0)


@pytest.fixture()
def link():
    return FakeLink()


@pytest.fixture()
def identities(link):
    return Identities(link)


def open_face(link, identities, anchor=ANNA):
    face = Face()
    face.poll(identities, anchor)
    link.answer()
    assert face.poll(identities, anchor)
    return face


def test_it_is_opened_once_and_kept(link, identities):
    face = open_face(link, identities)
    assert face.key == "key1"
    for _ in range(3):
        assert not face.poll(identities, ANNA)
    assert link.asked == []


def test_another_person_is_opened_anew_and_the_answer_about_the_first_is_not_used(link, identities):
    face = Face()
    face.poll(identities, ANNA)
    link.answer()
    assert not face.poll(identities, BERT), "the key is of somebody else"
    assert face.key == ""
    assert link.answer() == BERT.request()
    assert face.poll(identities, BERT)
    assert face.key == "key2"


@pytest.mark.parametrize("code", sorted({*ERROR_CODES, "lost", "no-backend", "timeout", "refused", "unreadable"}))
def test_what_may_pass_is_tried_again_and_what_is_final_is_not(link, identities, code):
    face = Face()
    face.poll(identities, ANNA)
    link.refuse(code)
    with pytest.raises(RequestError) as caught:
        face.poll(identities, ANNA)
    face.poll(identities, ANNA)
    assert bool(link.asked) == caught.value.is_transient == face.is_unsettled
    if not caught.value.is_transient:
        assert face.refusal is caught.value
        face.poll(identities, BERT)
        assert link.asked, "somebody else is tried"


def test_what_the_service_forgot_is_opened_again(link, identities):
    face = open_face(link, identities)
    asked = face.ask(link, ASKING, 300)
    link.refuse("unknown-identity")
    with pytest.raises(RequestError):
        asked.result()
    assert face.key == ""
    face.poll(identities, ANNA)
    assert link.of(OpenIdentity) == [ANNA.request()]


def test_a_picture_that_is_waited_for_survives_one_forgetting_and_not_two(link, identities):
    face, refusals = open_face(link, identities), 1
    answer = link.answer

    def forgetful(**changes):
        nonlocal refusals
        if refusals and isinstance(link.asked[0][0], Synthesize):
            refusals -= 1
            return link.refuse("unknown-identity")
        return answer(**changes)

    link.answer = forgetful
    assert face.paint(identities, ANNA, ASKING, 5).identity == "key2"
    refusals = 2
    with pytest.raises(RequestError):
        face.paint(identities, ANNA, ASKING, 5)


def test_what_nobody_uses_is_released_but_not_while_another_opens(link, identities):
    first, second = open_face(link, identities), open_face(link, identities, BERT)
    third = Face()
    third.poll(identities, Anchor("m", "Yw=="))
    identities.release_all_but({first.key})
    assert link.of(Release) == []
    link.answer()
    third.poll(identities, Anchor("m", "Yw=="))
    identities.release_all_but({first.key, third.key})
    assert link.of(Release) == [Release(second.key)]
    identities.release_all_but({first.key, third.key})
    assert link.of(Release) == [Release(second.key)], "it is released once"


def test_what_an_earlier_connection_of_the_link_held_is_not_released(link, identities):
    open_face(link, identities)
    link.connections += 1
    identities.release_all_but(set())
    assert link.asked == []


def test_a_damaged_latent_is_asked_for_as_none():
    assert Anchor("m", "not base64!").latent_bytes() == b""
