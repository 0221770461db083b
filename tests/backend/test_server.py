# SPDX-License-Identifier: Apache-2.0
"""The I/O loop, step by step: who is served, who is forgotten, and how much of whom may wait."""

from __future__ import annotations

import errno
import itertools
import time
from types import SimpleNamespace

import psutil
import pytest
import structlog
import zmq

from effigy.service import outbox, scheduler, serve, server
from effigy.service.authentication import Authenticator
from effigy.service.outbox import LeftError, Outbox
from effigy.service.scheduler import Forget, Scheduler
from effigy.service.server import Server
from effigy_protocol import decode_reply, encode
from effigy_protocol.messages import Frame, FromLatent, Hello, OpenIdentity, Ping, Pong, Pose, Synthesize, Timings

from ..end_to_end.conftest import set_keys


class Client:
    """A client whose service is stepped while it waits."""

    def __init__(self, house, ahead=0):
        """``ahead``: how many answers its connection takes before it reads them; 0: any number."""
        self.house = house
        self.address = b"client %d" % next(house.numbers)
        self.socket = house.context.socket(zmq.DEALER)
        house.sockets.append(self.socket)
        self.socket.setsockopt(zmq.ROUTING_ID, self.address)
        set_keys(self.socket, house.authenticator)
        self.socket.set_hwm(0)
        self.socket.setsockopt(zmq.RCVHWM, ahead)
        self.socket.connect(house.endpoint)
        self.ids = 0

    def send(self, message):
        self.ids += 1
        self.socket.send_multipart(encode(self.ids, message))
        return self.ids

    def receive(self):
        end = time.monotonic() + 300
        while not self.socket.poll(0):
            assert time.monotonic() < end, "no answer"
            self.house.server.step()
        envelope = decode_reply(self.socket.recv_multipart())
        return envelope.id, envelope.message

    def ask(self, message):
        self.send(message)
        return self.receive()[1]


class House:
    """A service without a model: its worker is the test."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(server, "_POLL_MS", 5)
        self.context = zmq.Context()
        self.context.linger = 0
        self.sockets = []
        self.router, self.replies = self.context.socket(zmq.ROUTER), self.context.socket(zmq.PULL)
        self.painted = self.context.socket(zmq.PUSH)
        self.replies.set_hwm(0)
        self.painted.set_hwm(0)
        self.replies.bind("inproc://painted")
        self.painted.connect("inproc://painted")
        self.scheduler, self.authenticator = Scheduler(), Authenticator(self.context, self.router)
        self.numbers = itertools.count()
        worker = SimpleNamespace(welcome=Pong(), phase="ready", detail="", identities=0, painted=0)
        self.server = Server(self.router, self.replies, worker, self.scheduler, self.authenticator)
        port = self.router.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"

    def client(self, ahead=0):
        client = Client(self, ahead)
        assert client.ask(Hello("test")) == Pong(), "what stands for a Welcome here"
        return client

    def paint(self, job, size=0):
        """Answers as the worker does, with a picture of ``size`` bytes."""
        pose, timings = Pose(0, 0, 0, 1, 0, 0), Timings(0, 0, 0, 0)
        frame = Frame("i", "final", 1, 1, "png", bytes(size), True, pose, (), {}, timings)
        self.painted.send_multipart([job.client, *encode(job.id, frame)])

    def step_until(self, condition):
        end = time.monotonic() + 300
        while not condition():
            assert time.monotonic() < end, "it does not happen"
            self.server.step()


@pytest.fixture()
def house(monkeypatch):
    house = House(monkeypatch)
    with structlog.testing.capture_logs() as house.logs:
        yield house
    for socket in (*house.sockets, house.router, house.replies, house.painted, house.authenticator):
        socket.close()
    house.context.term()


def final(identity="i"):
    return Synthesize(identity, 0.0, 0.0, {}, "final")


def test_what_a_silent_client_asked_is_dropped_and_told(house):
    silent, talker = house.client(), house.client()
    asked = [silent.send(final()) for _ in range(3)]
    house.step_until(lambda: len(house.scheduler) == 3)
    house.server._clients[silent.address] -= server._CLIENT_GONE_S + 1
    house.server._clients.move_to_end(silent.address, last=False)
    assert talker.ask(Ping()) == Pong()
    answers = dict(silent.receive() for _ in asked)
    assert set(answers) == set(asked)
    assert {answer.code for answer in answers.values()} == {"cancelled"}
    assert "silent" in answers[asked[0]].message
    assert [type(house.scheduler.take().request) for _ in range(len(house.scheduler))] == [Forget]
    assert silent.ask(Ping()) == Pong(), "it may come back"


def test_who_has_left_is_known_with_the_first_answer(house):
    leaver = house.client()
    for _ in range(5):
        leaver.send(final())
    house.step_until(lambda: len(house.scheduler) == 5)
    leaver.socket.close(linger=0)
    first = house.scheduler.take()

    def forgotten():
        house.paint(first)
        return len(house.scheduler) == 1

    house.step_until(forgotten)
    assert isinstance(house.scheduler.take().request, Forget)


def test_latents_that_wait_are_bounded(house, monkeypatch):
    monkeypatch.setattr(scheduler, "MAX_BYTES", 4 * 2**20)
    client, latent = house.client(), bytes(2**20)
    codes = []
    for _ in range(20):
        client.send(OpenIdentity(FromLatent(latent)))
    for _ in range(17):
        codes.append(client.receive()[1].code)
    assert set(codes) == {"busy"}
    assert len(house.scheduler) == 3
    client.socket.close(linger=0)
    house.step_until(lambda: house.paint(SimpleNamespace(client=client.address, id=1)) or len(house.scheduler) < 3)
    assert house.scheduler._bytes_in_all == 0


def test_answers_that_nobody_reads_are_bounded_and_none_is_lost(house, monkeypatch):
    monkeypatch.setattr(outbox, "MAX_UNREAD", 8 * 2**20)
    deaf, other = house.client(ahead=1), house.client()
    asked = [deaf.send(final()) for _ in range(300)]
    house.step_until(lambda: len(house.scheduler) == 300)
    painted = 0
    while not house.server._held and painted < 300:
        house.paint(house.scheduler.take(), 2**20)
        painted += 1
        house.step_until(lambda: not house.replies.poll(0))
    assert painted < 100, "8 MiB here, 16 answers inside ZeroMQ, and what the system keeps for a connection"
    assert house.scheduler._ordered.next() is None, "what it waits for is not painted before it reads"
    assert other.ask(Ping()) == Pong()
    for _ in range(1000):  # a slow connection takes some more meanwhile, and then a Ping is not refused
        if any(entry["event"] == "a client does not read its answers" for entry in house.logs):
            break
        if not house.server._held:
            house.paint(house.scheduler.take(), 2**20)
        deaf.send(Ping())
        house.server.step()
    else:
        pytest.fail("nobody says that a client does not read its answers")
    answers = []
    while len(answers) < len(asked):
        if house.scheduler._ordered.next() is not None:
            house.paint(house.scheduler.take())
        number, answer = deaf.receive()
        if answer != Pong():
            answers.append((number, answer))
    assert [number for number, _ in answers] == asked
    assert all(isinstance(answer, Frame) for _, answer in answers)


def test_an_outbox_gives_what_is_taken_and_counts_what_is_not(house):
    reader = house.client()
    box = Outbox(house.router)
    with pytest.raises(LeftError):
        box.send(b"nobody", [b"x"])
    for number in range(2000):
        box.send(reader.address, [bytes(1000), b"%d" % number])
    got = []
    end = time.monotonic() + 300
    while len(got) < 2000:
        assert time.monotonic() < end
        assert list(box.flush()) == []
        while reader.socket.poll(1):
            got.append(int(reader.socket.recv_multipart()[1]))
    assert got == list(range(2000))
    assert box.is_empty
    assert box._bytes == {}
    assert box._bytes_in_all == 0


def test_serving_costs_the_same_however_many_clients_there_are(house):
    clients = [house.client() for _ in range(3)]
    ghosts = {b"ghost %d" % number: time.monotonic() for number in range(20_000)}
    house.server._clients.update(ghosts)
    looked = 0

    class Looked(type(house.server._clients)):
        def __iter__(self):
            nonlocal looked
            for key in super().__iter__():
                looked += 1
                yield key

    house.server._clients = Looked(house.server._clients)
    assert clients[0].ask(Ping()) == Pong()
    assert looked < 100


def test_a_service_whose_descriptors_strangers_have_taken_lives_on(monkeypatch):
    """It cannot look then whether its parent lives; the error ended it."""
    parent = psutil.Process()

    def out_of_descriptors(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    assert serve._lives(parent)
    monkeypatch.setattr(parent, "is_running", out_of_descriptors)
    assert serve._lives(parent)
    assert not serve._lives(None)
