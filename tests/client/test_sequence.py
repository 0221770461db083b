# SPDX-License-Identifier: Apache-2.0
"""Frames are asked for ahead and come in order; a backend that dies is started again, and what it owed asked again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from effigy_client.face import Anchor, Face, Identities
from effigy_client.parameters import PictureParameters
from effigy_client.sequence import Sequence, SequenceError
from effigy_protocol.messages import Cancel, OpenIdentity, Synthesize

from .services import FakeLink

WHO = Anchor("m", "YQ==")
FRAMES = range(1, 21)


@dataclass(frozen=True)
class Moment:
    parameters: PictureParameters


class Provision:
    """A backend that dies when a test says so."""

    has_died = False
    why_it_ended = "it was killed"


class Supply:
    """What a sequence asks; ``restart`` gives it a new link, as a new backend would have."""

    def __init__(self):
        self.provision, self.restarts = Provision(), 0
        self.connect()

    def connect(self):
        self.link = FakeLink()
        self.identities = Identities(self.link)

    def restart(self):
        self.restarts += 1
        self.provision.has_died = False
        self.connect()

    def die(self):
        self.provision.has_died = True
        while self.link.asked:
            self.link.refuse("lost")


@pytest.fixture()
def supply():
    return Supply()


def sequence_of(supply, *, skip=lambda frame, moment: False, patience=60.0, frames=FRAMES, read=None):
    read = read or (lambda frame: Moment(PictureParameters.of(float(frame), 0.0)))
    return Sequence(supply, Face(), WHO, frames, read, skip, lambda: patience)


def go_on(sequence, supply, rounds=200):
    """Steps and answers in turns; returns what finished."""
    steps = []
    for _ in range(rounds):
        steps += sequence.step()
        if sequence.is_done:
            return steps
        if supply.link.asked:
            supply.link.answer()
    raise AssertionError("it comes to no end")


def test_every_frame_comes_once_in_order_with_its_own_picture(supply):
    steps = go_on(sequence_of(supply), supply)
    assert [step.frame for step in steps] == list(FRAMES)
    assert [step.picture.data[0] for step in steps] == list(FRAMES)
    assert all(step.moment.parameters.yaw == step.frame for step in steps)


def test_eight_are_on_their_way_and_no_more(supply):
    sequence = sequence_of(supply)
    sequence.step()
    assert [type(request) for request, _ in supply.link.asked] == [OpenIdentity]
    supply.link.answer()
    for _ in range(5):
        sequence.step()
    assert len(supply.link.of(Synthesize)) == 8


def test_what_is_there_already_is_not_painted(supply):
    steps = go_on(sequence_of(supply, skip=lambda frame, moment: frame % 2), supply)
    assert [step.frame for step in steps if step.picture is not None] == [n for n in FRAMES if n % 2 == 0]
    assert [step.frame for step in steps] == list(FRAMES)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_backend_that_dies_is_started_again_and_no_frame_is_read_twice(supply, after):
    read = []

    def note(frame):
        read.append(frame)
        return Moment(PictureParameters.of(float(frame), 0.0))

    sequence, steps = sequence_of(supply, read=note), []
    while len(steps) < after:
        steps += sequence.step()
        if supply.link.asked:
            supply.link.answer()
    steps += sequence.step()
    supply.die()
    steps += go_on(sequence, supply)
    assert supply.restarts == 1
    assert [step.frame for step in steps] == list(FRAMES) == read
    assert [step.picture.data[0] for step in steps] == list(FRAMES)


def test_one_that_dies_again_and_again_is_taken_for_broken(supply):
    sequence = sequence_of(supply)

    def live_and_die():
        for _ in range(100):
            sequence.step()
            supply.die()

    with pytest.raises(SequenceError, match="died 3 times: it was killed"):
        live_and_die()
    assert supply.restarts == 3


def test_one_that_dies_before_it_was_ready_is_not_started_again(supply):
    sequence, supply.link.was_ready = sequence_of(supply), False
    sequence.step()
    supply.die()
    with pytest.raises(SequenceError, match="no"):
        sequence.step()
    assert supply.restarts == 0


def test_a_forgotten_identity_is_opened_again(supply):
    sequence = sequence_of(supply)
    sequence.step()
    supply.link.answer()
    sequence.step()
    while supply.link.asked:
        supply.link.refuse("unknown-identity")
    steps = go_on(sequence, supply)
    assert [step.frame for step in steps] == list(FRAMES)
    assert supply.restarts == 0


@pytest.mark.parametrize("what", ["identity", "picture"])
def test_what_is_refused_for_good_ends_it(supply, what):
    sequence = sequence_of(supply)
    sequence.step()
    if what == "picture":
        supply.link.answer()
        sequence.step()
    supply.link.refuse("wrong-model", "this face is another model's")
    with pytest.raises(SequenceError, match="another model's"):
        sequence.step()


def test_who_starts_it_has_a_refused_identity_tried_again(supply):
    face = Face()
    face.poll(supply.identities, WHO)
    supply.link.refuse("failed")
    with pytest.raises(Exception, match="no"):
        face.poll(supply.identities, WHO)
    Sequence(
        supply, face, WHO, FRAMES, lambda frame: Moment(PictureParameters.of(1.0, 0.0)), lambda *_: False, lambda: 1.0
    ).step()
    assert supply.link.of(OpenIdentity)


def test_a_backend_that_does_not_come_is_not_waited_for_longer_than_one_has_patience(supply):
    supply.link.is_ready = False
    supply.link.state = type("State", (), {"detail": "the model is loading", "hint": ""})
    sequence = sequence_of(supply, patience=0.05)

    def wait():
        for _ in range(1000):
            sequence.step()
            sequence.wait(0.1)

    with pytest.raises(SequenceError, match="the model is loading"):
        wait()


def test_stopping_takes_back_what_is_not_painted(supply):
    sequence = sequence_of(supply)
    sequence.stop()
    assert supply.link.of(Cancel) == []
    sequence.step()
    supply.link.answer()
    sequence.step()
    sequence.stop()
    assert supply.link.of(Cancel) == [Cancel()]


def test_an_empty_range_is_done_at_once(supply):
    assert sequence_of(supply, frames=range(0)).is_done
