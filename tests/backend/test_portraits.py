# SPDX-License-Identifier: Apache-2.0
"""People made from pictures in the service, as long work."""

from __future__ import annotations

import gc
import threading
import weakref

import imageio.v3 as iio
import numpy as np
import pytest

from effigy.people.making import psnr
from effigy.service.jobs import Jobs
from effigy.service.portraits import Portraits
from effigy_protocol.messages import Done, Error, FromPhoto, Working
from tests.backend.people import tensor


def test_a_person_is_made_in_the_service_while_others_are_painted(default_model, painted):
    """Long work, one at a time: told with previews, can be cancelled, and leaves the identity open."""
    jobs, portraits = Jobs(), Portraits()
    data = iio.imwrite("<bytes>", painted, extension=".png")
    opened = []

    def hold(model, identity):
        opened.append(identity)
        return Done(1)

    left = jobs.begin(b"other", portraits.begin(default_model, FromPhoto((data,)), hold))
    job = jobs.begin(b"me", portraits.begin(default_model, FromPhoto((data[:100], data[100:])), hold))
    told = []
    while isinstance(status := jobs.status(b"me", job.job), Working):
        told.append(status)
        jobs.step()
        if len(told) == 20:
            assert jobs.cancel(b"other", left.job)
    portraits.close()
    assert status == Done(1)
    assert {"waiting", "seen", "fitted"} <= {each.stage for each in told}
    shown = next(each.preview for each in reversed(told) if each.preview)
    cut, made = np.split(iio.imread(bytes(shown)), 2, axis=1)
    assert np.array_equal(cut, painted[..., :3])
    assert psnr(tensor(made), tensor(cut)) > 20
    (identity,) = opened
    assert default_model.open_latent(identity.latent).key == identity.key
    again = default_model.paint(identity.ws[None])[0]
    assert psnr(tensor(again), tensor(painted)) > 40


def test_a_picture_that_waits_is_let_go_when_its_client_leaves(default_model, monkeypatch):
    """A client may begin and cancel as often as it likes: none of its pictures is kept."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_, **__):
        begun.set()
        go_on.wait(300)
        yield from ()

    monkeypatch.setattr("effigy.service.portraits.make_person", slow)
    jobs, portraits = Jobs(), Portraits()
    jobs.begin(b"slow", portraits.begin(default_model, FromPhoto((b"one",)), lambda model, who: Done(1)))
    jobs.step()
    assert begun.wait(300)
    picture = np.zeros(8, np.uint8)
    held = weakref.ref(picture)
    request = FromPhoto((memoryview(picture),))
    waiting = jobs.begin(b"gone", portraits.begin(default_model, request, lambda model, who: Done(1)))
    del picture, request
    for _ in range(4):
        jobs.step()
    assert jobs.status(b"gone", waiting.job).stage == "waiting"
    jobs.forget(b"gone")
    while len(jobs) > 1:
        jobs.step()
    gc.collect()
    assert held() is None
    go_on.set()
    portraits.close()


@pytest.mark.parametrize(("data", "code"), [(b"no picture", "bad-field"), (None, "no-face")])
def test_a_picture_of_nobody_is_refused_by_the_service(default_model, data, code):
    grey = iio.imwrite("<bytes>", np.full((64, 64, 3), 90, np.uint8), extension=".png")
    jobs, portraits = Jobs(), Portraits()
    job = jobs.begin(b"me", portraits.begin(default_model, FromPhoto((data or grey,)), lambda model, who: Done(1)))
    while isinstance(status := jobs.status(b"me", job.job), Working):
        jobs.step()
    portraits.close()
    assert isinstance(status, Error)
    assert status.code == code
