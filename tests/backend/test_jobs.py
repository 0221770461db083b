# SPDX-License-Identifier: Apache-2.0
"""Long work goes on between others' requests, is told about once it is asked for, and ends with its client."""

from __future__ import annotations

import threading

import pytest
import zmq

from effigy.service import jobs as jobs_module
from effigy.service.answering import Answering
from effigy.service.jobs import Jobs, Progress
from effigy.service.refusals import RefusedError
from effigy.service.scheduler import Queued, Scheduler
from effigy.service.worker import Worker
from effigy_protocol import decode_reply
from effigy_protocol.messages import Done, Error, FromSeed, Job, OpenIdentity, Release, Working


def counting(steps, ended=None):
    """Work of so many steps, which leads to Done(steps)."""
    try:
        for number in range(steps):
            yield Progress(number / steps, f"step {number}", b"png" if number else None)
        return Done(steps)
    finally:
        if ended is not None:
            ended.append(True)


def test_work_tells_how_far_it_is_and_then_once_what_it_led_to():
    jobs = Jobs()
    job = jobs.begin(b"a", counting(3)).job
    assert jobs.status(b"a", job) == Working(job, 0.0, "waiting")
    told = []
    while len(jobs):
        jobs.step()
        told.append(jobs.status(b"a", job))
    expected = [Working(job, n / 3, f"step {n}", b"png" if n else None) for n in range(3)]
    assert told == [*expected, Done(3)]
    assert jobs.status(b"a", job).code == "unknown-job"


def test_several_jobs_take_turns():
    jobs, order = Jobs(), []

    def noting(name):
        for _ in range(3):
            order.append(name)
            yield Progress(0.0, name)
        return Done(0)

    for name in ("x", "y"):
        jobs.begin(b"a", noting(name))
    while len(jobs):
        jobs.step()
    assert order == ["x", "y"] * 3


def test_a_job_is_its_clients_own():
    jobs = Jobs()
    job = jobs.begin(b"a", counting(2)).job
    assert jobs.status(b"b", job).code == "unknown-job"
    assert not jobs.cancel(b"b", job)
    assert jobs.status(b"a", job) == Working(job, 0.0, "waiting")


@pytest.mark.parametrize("how", ["cancel", "forget", "close"])
@pytest.mark.parametrize("steps_done", [0, 2, 5])
def test_work_that_is_ended_lets_go_of_what_it_holds(how, steps_done):
    jobs, ended = Jobs(), []
    job = jobs.begin(b"a", counting(4, ended)).job
    for _ in range(steps_done):
        jobs.step()
    if how == "cancel":
        assert jobs.cancel(b"a", job)
        assert not jobs.cancel(b"a", job)
    elif how == "forget":
        jobs.forget(b"a")
    else:
        jobs.close()
    jobs.step()
    assert len(jobs) == 0
    assert ended == ([True] if steps_done else [])  # what has not begun holds nothing
    assert jobs.status(b"a", job).code == "unknown-job"


def test_work_that_raises_is_told_as_an_error_and_the_others_go_on():
    def broken():
        yield Progress(0.5, "half")
        raise ZeroDivisionError("no such number")

    def refused():
        yield Progress(0.5, "half")
        raise RefusedError("wrong-model", "it is another's", "open it elsewhere")

    jobs = Jobs()
    first, second, third = (jobs.begin(b"a", work).job for work in (broken(), refused(), counting(1)))
    while len(jobs):
        jobs.step()
    failed, other, done = (jobs.status(b"a", job) for job in (first, second, third))
    assert (failed.code, "no such number" in failed.message) == ("failed", True)
    assert other.code == "wrong-model"
    assert done == Done(1)


def test_a_client_may_begin_so_many_and_all_together_so_many(monkeypatch):
    monkeypatch.setattr(jobs_module, "MAX_IN_ALL", 5)
    jobs = Jobs()
    mine = [jobs.begin(b"a", counting(1)).job for _ in range(jobs_module.MAX_OF_CLIENT)]
    with pytest.raises(RefusedError, match="4 long jobs of this client"):
        jobs.begin(b"a", counting(1))
    jobs.begin(b"b", counting(1))
    with pytest.raises(RefusedError) as caught:
        jobs.begin(b"c", counting(1))
    assert caught.value.reply.code == "busy"
    jobs.cancel(b"a", mine[0])
    jobs.step()
    jobs.begin(b"c", counting(1))


def test_work_is_cancelled_while_it_does_a_step():
    jobs, inside, go_on, ended = Jobs(), threading.Event(), threading.Event(), []

    def slow():
        try:
            inside.set()
            go_on.wait(300)
            yield Progress(0.5, "half")
        finally:
            ended.append(True)
        return Done(0)

    job = jobs.begin(b"a", slow()).job
    worker = threading.Thread(target=jobs.step)
    worker.start()
    assert inside.wait(300)
    assert jobs.cancel(b"a", job)
    assert jobs.status(b"a", job).code == "unknown-job"
    go_on.set()
    worker.join(300)
    assert (len(jobs), ended) == (0, [True])


@pytest.fixture()
def service(default_model, monkeypatch):
    """A worker whose OpenIdentity is long work; gives it requests, and returns it with what it answers."""
    held = threading.Event()

    def open_slowly(self, client, request):
        yield Progress(0.0, "painting")
        while not held.is_set():
            yield Progress(0.5, "painting")
        return Done(request.source.seed)

    monkeypatch.setattr(Answering, "_open", open_slowly)
    context, scheduler = zmq.Context(), Scheduler()
    inbox = context.socket(zmq.PULL)
    inbox.bind("inproc://answers")
    worker = Worker(lambda: default_model, scheduler, context, "inproc://answers")
    worker.start()

    def ask(number, request, client=b"a"):
        scheduler.add(Queued(client, number, request))
        assert inbox.poll(300_000), "no answer came"
        envelope = decode_reply(inbox.recv_multipart()[1:])
        assert envelope.id == number
        return envelope.message

    yield worker, ask, held, scheduler, inbox
    scheduler.close()
    worker.join(300)
    assert not worker.is_alive()
    inbox.close()
    context.term()


def wait_for(condition):
    for _ in range(6000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it does not happen")


def test_a_long_request_is_answered_at_once_and_others_meanwhile(service):
    worker, ask, held, _, inbox = service
    begun = ask(1, OpenIdentity(FromSeed(7)))
    assert isinstance(begun, Job)
    wait_for(lambda: worker.jobs.status(b"a", begun.job) == Working(begun.job, 0.5, "painting"))
    assert ask(2, Release("nobody")) == Done(0)
    held.set()
    wait_for(lambda: not len(worker.jobs))
    assert worker.jobs.status(b"a", begun.job) == Done(7)
    assert not inbox.poll(0), "the request was answered once, by the Job"


def test_the_work_of_a_client_that_leaves_ends(service):
    worker, ask, _, scheduler, _ = service
    begun = ask(1, OpenIdentity(FromSeed(7)))
    scheduler.drop(b"a")
    wait_for(lambda: not len(worker.jobs))
    assert isinstance(worker.jobs.status(b"a", begun.job), Error)
