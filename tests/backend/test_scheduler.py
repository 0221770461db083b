# SPDX-License-Identifier: Apache-2.0
"""Who is painted next: finals in order and none lost, of previews only the newest."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.service import scheduler
from backend.service.scheduler import Forget, Job, QueueFullError, Scheduler
from protocol.messages import OpenIdentity, Synthesize


def picture(purpose: str, stream: int = 0) -> Synthesize:
    return Synthesize("i", 0.0, 0.0, {}, purpose, "rgba8", stream)  # type: ignore[arg-type]


def drain(queue: Scheduler) -> list[int]:
    return [queue.take().id for _ in range(len(queue))]  # type: ignore[union-attr]


def test_finals_keep_their_order():
    queue = Scheduler()
    for number in range(50):
        queue.add(Job(b"a", number, picture("final")))
    assert drain(queue) == list(range(50))


def test_a_newer_preview_takes_the_place_of_the_waiting_one():
    queue = Scheduler()
    assert queue.add(Job(b"a", 1, picture("preview"))) is None
    assert queue.add(Job(b"a", 2, picture("preview"))).id == 1
    assert drain(queue) == [2]


def test_previews_of_other_clients_and_streams_wait_on_their_own():
    queue = Scheduler()
    queue.add(Job(b"a", 1, picture("preview", stream=0)))
    queue.add(Job(b"a", 2, picture("preview", stream=1)))
    queue.add(Job(b"b", 3, picture("preview", stream=0)))
    assert sorted(drain(queue)) == [1, 2, 3]


def test_a_stream_that_is_renewed_all_the_time_does_not_starve_another():
    queue = Scheduler()
    queue.add(Job(b"a", 1, picture("preview", stream=0)))
    queue.add(Job(b"a", 2, picture("preview", stream=1)))
    queue.add(Job(b"a", 3, picture("preview", stream=0)))
    assert queue.take().id == 3
    queue.add(Job(b"a", 4, picture("preview", stream=0)))
    assert queue.take().id == 2


def test_a_long_render_and_a_viewport_take_turns():
    queue = Scheduler()
    for number in range(3):
        queue.add(Job(b"render", number, picture("final")))
    taken = []
    for number in range(3):
        queue.add(Job(b"window", 100 + number, picture("preview")))
        taken += [queue.take().id, queue.take().id]
    assert taken == [100, 0, 101, 1, 102, 2]


@given(st.lists(st.tuples(st.sampled_from(["final", "preview"]), st.integers(0, 2), st.sampled_from([b"a", b"b"]))))
def test_every_job_is_taken_or_handed_back_exactly_once(arrivals):
    queue = Scheduler()
    handed_back = []
    for number, (purpose, stream, client) in enumerate(arrivals):
        if superseded := queue.add(Job(client, number, picture(purpose, stream))):
            handed_back.append(superseded.id)
    assert sorted(drain(queue) + handed_back) == list(range(len(arrivals)))


def test_cancelling_returns_what_it_removed_and_nothing_of_others():
    queue = Scheduler()
    for number in range(4):
        queue.add(Job(b"a", number, picture("final")))
    queue.add(Job(b"a", 4, picture("preview")))
    queue.add(Job(b"b", 5, picture("final")))
    queue.add(Job(b"a", 6, OpenIdentity(seed=1)))
    assert [job.id for job in queue.cancel(b"a", (1, 5, 99))] == [1]
    assert sorted(job.id for job in queue.cancel(b"a", ())) == [0, 2, 3, 4]
    assert drain(queue) == [5, 6]


def test_what_a_client_that_left_held_is_forgotten_after_what_still_runs():
    queue = Scheduler()
    queue.add(Job(b"a", 1, OpenIdentity(seed=1)))
    assert queue.waits(b"a")
    assert not queue.waits(b"b")
    queue.forget(b"a")
    assert isinstance(queue.take().request, OpenIdentity)
    assert isinstance(queue.take().request, Forget)
    assert not queue.waits(b"a")


def test_previews_of_very_many_streams_are_refused(monkeypatch):
    monkeypatch.setattr(scheduler, "MAX_STREAMS", 3)
    queue = Scheduler()
    for stream in range(3):
        queue.add(Job(b"a", stream, picture("preview", stream)))
    with pytest.raises(QueueFullError):
        queue.add(Job(b"a", 9, picture("preview", 9)))
    assert queue.add(Job(b"a", 10, picture("preview", 2))).id == 2


def test_a_client_cannot_queue_without_end(monkeypatch):
    monkeypatch.setattr(scheduler, "MAX_WAITING", 3)
    queue = Scheduler()
    for number in range(3):
        queue.add(Job(b"a", number, picture("final")))
    with pytest.raises(QueueFullError):
        queue.add(Job(b"a", 3, picture("final")))
    queue.add(Job(b"b", 4, picture("final")))


def test_closing_ends_a_waiting_worker_and_hands_back_what_waits():
    queue = Scheduler()
    taken = []
    worker = threading.Thread(target=lambda: taken.append(queue.take()))
    worker.start()
    assert queue.close() == []
    worker.join(5)
    assert taken == [None]
    assert queue.take() is None
