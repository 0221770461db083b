# SPDX-License-Identifier: Apache-2.0
"""What tests of the backend share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zmq

from effigy.geometry import FitOptions, fit, load_topology
from effigy.service.scheduler import Queued, Scheduler
from effigy.service.worker import Worker
from effigy_protocol import decode_reply
from effigy_protocol.messages import FromSeed, OpenIdentity
from tests.backend.people import PHOTO, SEED

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="session")
def reader():
    """Loads the networks that read photographs."""
    from effigy.landmarks.photo import PhotoReader

    return PhotoReader()


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A photograph, uint8 [256, 256, 3], with one face."""
    return np.load(PHOTO)["face"]


@pytest.fixture(scope="session")
def painted(default_model) -> np.ndarray:
    """The picture of SEED by itself, uint8 [128, 128, 3]."""
    return default_model.paint(default_model.open_seed(SEED).ws[None])[0]


@pytest.fixture(scope="session")
def topology():
    """The 68 landmarks of iBUG."""
    return load_topology("ibug68")


@pytest.fixture(scope="session")
def clean():
    """Simulated faces with known truth and no noise; see fixtures/README.md."""
    return dict(np.load(FIXTURES / "faces_clean.npz"))


@pytest.fixture(scope="session")
def fitted(clean, topology):
    """The shape model of ``clean``, and its views."""
    return fit(clean["W"], topology, FitOptions(basis=12, sweeps=30))


@pytest.fixture(scope="session")
def attributed(default_model):
    """The first default with two looks, as SeFa finds them, whose pictures nobody has measured."""
    from effigy.fitting.attribute_learning import learn

    unmeasured = default_model.with_attributes([])
    unmeasured.photo_map = None
    found = learn(unmeasured, {"one": "sefa:1", "two": "sefa:2"})
    return default_model.with_attributes([each.attribute for each in found])


@pytest.fixture()
def work():
    """Gives requests to a worker of a model, which has opened seed 3, and returns its answers."""
    context = zmq.Context()
    running = []

    def answers(model, requests):
        scheduler, inbox, address = Scheduler(), context.socket(zmq.PULL), f"inproc://{len(running)}"
        worker = Worker(lambda: model, scheduler, context, address)
        running.append((scheduler, worker, inbox))
        inbox.bind(address)
        worker.start()
        answered([OpenIdentity(FromSeed(3, truncation=0.7))], scheduler, inbox)
        return answered(requests, scheduler, inbox)

    yield answers
    for scheduler, worker, inbox in running:
        scheduler.close()
        worker.join(300)
        inbox.close()
    context.term()


def answered(requests, scheduler, inbox):
    for number, request in enumerate(requests):
        scheduler.add(Queued(b"a", number, request))
    got = {}
    for _ in requests:
        assert inbox.poll(300_000), "no answer came"
        envelope = decode_reply(inbox.recv_multipart()[1:])
        got[envelope.id] = envelope.message
    return [got[number] for number in range(len(got))]
