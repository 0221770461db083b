# SPDX-License-Identifier: Apache-2.0
"""A picture goes from wanted to shown to exact; late answers change nothing; nothing is asked for twice."""

from __future__ import annotations

from threading import Thread, get_ident

import numpy as np
import pytest

from effigy_client.errors import RequestError
from effigy_client.face import Anchor, Identities
from effigy_client.follower import Follower, ScreenError, Shared
from effigy_client.followers import Followers
from effigy_client.memory import PictureMemory
from effigy_client.outbox import Painted, Preview
from effigy_client.parameters import PictureParameters
from effigy_client.pixels import from_rgba8
from effigy_protocol.messages import Synthesize

from .services import SIZE, FakeLink, frame

WHO = Anchor("m", "YQ==")


class ListScreen:
    """What was shown: the yaw of each picture, and where; "error" for the error picture."""

    def __init__(self):
        self.shown, self.lit, self.broken = [], [], False

    def show(self, pixels, place, maps):
        if self.broken:
            raise ScreenError("the screen is broken")
        self.shown.append((round(float(pixels[0]) * 255), place))
        self.lit.append(maps is not None)

    def show_error(self):
        self.shown.append("error")


class Scene:
    """A follower with all that is about it; seconds pass only as a test says."""

    def __init__(self):
        self.now, self.link, self.screen = 100.0, FakeLink(), ListScreen()
        self.shared = Shared(PictureMemory())
        self.identities = Identities(self.link)
        self.follower = Follower(1, self.shared, lambda: self.now)
        self.follower.open(self.identities, WHO, self.screen)
        self.link.answer()
        assert self.follower.open(self.identities, WHO, self.screen)

    def want(self, yaw):
        self.follower.want(self.link, WHO, PictureParameters.of(yaw, 0.0), f"at {yaw}", self.screen)

    def arrive(self, index=0, *, exact=False, seconds=0.01, error=None, who=WHO, **changes):
        """The preview that was asked for as the ``index``-th of those that wait comes."""
        request, tag = self.link.previewed.pop(index)
        asked, self.now = self.now, self.now + seconds
        if error:
            preview = Preview(1, tag, asked, self.now, RequestError(error, error, ""))
        else:
            got = frame(request, exact=exact, **changes)
            pixels = from_rgba8(got.data, got.height, got.width, doubled=got.half)
            preview = Preview(1, tag, asked, self.now, Painted(got, pixels))
        return self.follower.receive(preview, who, SIZE, self.screen)

    def refine(self, who=WHO):
        return self.follower.refine(self.link, who, self.screen)


@pytest.fixture()
def scene():
    return Scene()


def test_wanted_shown_exact(scene):
    scene.want(5)
    assert scene.follower.shown is None
    scene.arrive()
    assert scene.screen.shown == [(5, "at 5")]
    assert not scene.follower.is_right
    scene.refine()
    assert scene.link.asked == [], "the hand may go on at once"
    scene.now += 1
    scene.refine()
    scene.link.answer()
    scene.refine()
    assert scene.screen.shown == [(5, "at 5"), (5, None)], "the exact picture stays where the plate is"
    assert scene.follower.is_right


def test_a_lit_picture_is_converted_by_the_thread_that_delivers_it(scene, monkeypatch):
    """A window's thread has 1.5 ms for a look; the conversion of 256 × 256 pixels and two maps alone takes longer."""
    threads, of = [], Painted.of
    monkeypatch.setattr(Painted, "of", lambda *given: threads.append(get_ident()) or of(*given))
    scene.follower.want(scene.link, WHO, PictureParameters.of(5, 0, lit=True), None, scene.screen)
    scene.arrive()
    scene.now += 1
    scene.refine()
    assert threads == []
    delivering = Thread(target=scene.link.answer)
    delivering.start()
    delivering.join()
    assert len(threads) == 1
    assert threads != [get_ident()]
    scene.refine()
    assert scene.follower.is_right
    assert scene.screen.lit == [False, True], "the first came without maps"
    scene.follower.begin_anew()
    scene.follower.want(scene.link, WHO, PictureParameters.of(5, 0, lit=True), None, scene.screen)
    assert scene.screen.lit == [False, True, True], "from memory"


def test_the_same_is_not_asked_for_twice_and_what_is_exact_at_once_is_not_refined(scene):
    scene.want(5)
    scene.want(5)
    assert len(scene.link.previewed) == 1
    scene.arrive(exact=True)
    scene.now += 1
    scene.refine()
    assert scene.link.asked == []
    assert scene.follower.is_right


def test_an_answer_that_comes_late_never_replaces_a_newer_one(scene):
    scene.want(5)
    scene.want(6)
    scene.arrive(1)
    scene.arrive(0)
    assert scene.screen.shown == [(6, "at 6")]


def test_an_exact_picture_is_not_shown_where_something_else_is_wanted_by_now(scene):
    scene.want(5)
    scene.arrive()
    scene.now += 1
    scene.refine()
    scene.want(6)
    scene.link.answer()
    scene.refine()
    assert scene.screen.shown == [(5, "at 5")]
    scene.want(5)
    assert scene.screen.shown[-1] == (5, "at 5"), "it was remembered"


def test_going_back_asks_for_nothing(scene):
    for yaw in (5, 6):
        scene.want(yaw)
        scene.arrive(exact=True)
    scene.want(5)
    assert scene.link.previewed == []
    assert scene.screen.shown[-1] == (5, "at 5")
    assert scene.follower.is_right


@pytest.mark.parametrize("what", ["epoch", "person"])
def test_what_was_asked_before_a_render_or_of_somebody_else_is_not_shown(scene, what):
    scene.want(5)
    scene.shared.epoch += what == "epoch"
    assert scene.arrive(exact=True, who=WHO if what == "epoch" else Anchor("m", "Yg==")), "the scene is read again"
    assert scene.screen.shown == []
    assert scene.follower.wanted is None
    scene.want(5)
    assert scene.screen.shown == [(5, "at 5")], "an exact one was remembered all the same"


@pytest.mark.parametrize("code", ["superseded", "cancelled", "loading", "unknown-identity"])
def test_what_passes_at_once_is_asked_for_again_and_no_error_is_shown(scene, code):
    scene.want(5)
    assert scene.arrive(error=code)
    assert scene.screen.shown == []
    assert bool(scene.follower.face.key) == (code != "unknown-identity")
    if scene.follower.face.key:
        scene.want(5)
        assert len(scene.link.previewed) == 1


def test_a_failure_is_shown_once_and_forgotten_with_the_next_picture(scene):
    for _ in range(3):
        scene.want(5)
        scene.arrive(error="failed")
    assert scene.screen.shown == ["error"]
    assert scene.follower.problem == "failed"
    scene.want(6)
    scene.arrive()
    assert scene.follower.problem == ""


def test_a_broken_screen_is_a_problem_and_no_exception(scene):
    scene.want(5)
    scene.screen.broken = True
    scene.arrive()
    assert scene.follower.problem == "the screen is broken"
    assert scene.follower.shown is None
    assert scene.screen.shown == ["error"]


def test_an_exact_picture_that_cannot_be_had_is_not_asked_for_until_something_changes(scene):
    scene.want(5)
    scene.arrive()
    scene.now += 1
    scene.refine()
    scene.link.refuse("failed")
    for _ in range(3):
        scene.refine()
    assert scene.link.asked == []
    assert scene.follower.problem == "no"
    scene.want(6)
    scene.arrive()
    scene.now += 1
    scene.refine()
    assert len(scene.link.of(Synthesize)) == 1


def test_who_is_slow_follows_at_half_the_size_until_it_rests(scene):
    scene.want(5)
    scene.arrive(milliseconds=500.0)
    scene.want(6)
    assert scene.link.previewed[0][0].half
    scene.arrive()
    scene.now += 1
    scene.refine()
    scene.link.answer()
    scene.refine()
    scene.want(7)
    assert not scene.link.previewed[0][0].half, "the next movement is measured anew"


def test_the_rate_is_of_one_movement(scene):
    for yaw in range(6):
        scene.want(yaw + 1)
        scene.arrive(seconds=0.1)
    assert scene.follower.rate == pytest.approx(10, rel=0.01)
    assert scene.follower.milliseconds == pytest.approx(100, rel=0.01)
    scene.now += 60
    scene.want(50)
    scene.arrive(seconds=0.1)
    assert scene.follower.rate == pytest.approx(10, rel=0.01), "a pause is no movement"
    scene.want(51)
    scene.arrive(seconds=0.001)
    assert scene.follower.rate == pytest.approx(10, rel=0.01), "two pictures in one look are seen as one"


def test_what_was_limited_is_told_also_from_memory(scene):
    scene.want(5)
    scene.arrive(exact=True, clamped=("yaw",))
    scene.want(6)
    scene.arrive(exact=True)
    assert scene.follower.limits == ((), ())
    scene.want(5)
    assert scene.follower.limits.clamped == ("yaw",)


def test_a_control_that_a_picture_does_not_reach_is_told(scene):
    """More than a quarter of what was asked; what was limited, or is hardly asked for, is not told a second time."""
    asked = {"gone": 0.8, "back": -0.8, "near": 0.8, "faint": 0.05, "limited": 3.0, "beyond": 0.5}
    missed = {"gone": 0.7, "back": -0.3, "near": 0.1, "faint": 0.05, "limited": 1.0, "beyond": -0.4, "other": 1.0}
    lids = PictureParameters.of(5, 0, asked.items())
    scene.follower.want(scene.link, WHO, lids, None, scene.screen)
    scene.arrive(residual=missed, clamped=("limited",))
    assert scene.follower.limits == (("limited",), ("gone", "back"))
    scene.now += 1
    scene.refine()
    scene.link.answer(residual={"gone": 0.7})
    scene.want(6)
    scene.refine()
    scene.arrive()
    assert scene.follower.limits == ((), ())
    scene.follower.want(scene.link, WHO, lids, None, scene.screen)
    assert scene.follower.limits == ((), ("gone",)), "from memory"


def test_a_lost_link_opens_everything_again(scene):
    scene.want(5)
    scene.arrive()
    scene.now += 1
    scene.refine()
    scene.follower.lose()
    assert not scene.follower.is_waiting
    assert scene.follower.face.key == ""
    scene.link.asked.clear()
    scene.follower.open(scene.identities, WHO, scene.screen)
    scene.link.answer()
    scene.follower.open(scene.identities, WHO, scene.screen)
    scene.want(5)
    assert len(scene.link.previewed) == 1, "what was wanted is asked for again"


def test_a_final_of_the_host_counts_as_exact(scene):
    scene.follower.take_final(PictureParameters.of(5, 0.0), ())
    assert scene.follower.is_right
    scene.now += 1
    scene.refine()
    scene.want(5)
    assert scene.link.asked == scene.link.previewed == []


def test_an_undo_forgets_what_is_shown_and_nothing_that_was_asked_before_comes_up():
    followers, screen = Followers(PictureMemory()), ListScreen()
    first, second = followers.of("Anna"), followers.of("Bert")
    assert first.stream != second.stream
    assert followers.of("Anna") is first
    first.take_final(PictureParameters.of(5, 0.0), ())
    first.fail("something", screen)
    followers.begin_anew()
    assert (first.shown, first.wanted, first.problem) == (None, None, "")
    followers.drop("Anna")
    assert followers.of("Anna") is not first


def test_half_pixels_are_shown_at_full_size(scene):
    scene.want(5)
    scene.arrive(milliseconds=500.0)
    scene.want(9)
    scene.arrive()
    assert scene.screen.shown[-1] == (9, "at 9")
    assert np.ndim(scene.follower.rate) == 0
