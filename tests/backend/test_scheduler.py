# SPDX-License-Identifier: Apache-2.0
"""What is painted next: finals in order and none lost; of previews only the newest."""

from __future__ import annotations

import gc
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effigy.service import scheduler
from effigy.service.scheduler import Forget, Queued, QueueFullError, Scheduler
from effigy_protocol.messages import FromSeed, OpenIdentity, Synthesize


def picture(purpose: str, stream: int = 0) -> Synthesize:
    return Synthesize("i", 0.0, 0.0, {}, purpose, "rgba8", stream)  # type: ignore[arg-type]


def drain(queue: Scheduler) -> list[int]:
    return [queue.take().id for _ in range(len(queue))]  # type: ignore[union-attr]


def test_finals_keep_their_order():
    queue = Scheduler()
    for number in range(50):
        queue.add(Queued(b"a", number, picture("final")))
    assert drain(queue) == list(range(50))


def test_a_newer_preview_takes_the_place_of_the_waiting_one():
    queue = Scheduler()
    assert queue.add(Queued(b"a", 1, picture("preview"))) is None
    assert queue.add(Queued(b"a", 2, picture("preview"))).id == 1
    assert drain(queue) == [2]


def test_previews_of_other_clients_and_streams_wait_on_their_own():
    queue = Scheduler()
    queue.add(Queued(b"a", 1, picture("preview", stream=0)))
    queue.add(Queued(b"a", 2, picture("preview", stream=1)))
    queue.add(Queued(b"b", 3, picture("preview", stream=0)))
    assert sorted(drain(queue)) == [1, 2, 3]


def test_a_stream_that_is_renewed_all_the_time_does_not_starve_another():
    queue = Scheduler()
    queue.add(Queued(b"a", 1, picture("preview", stream=0)))
    queue.add(Queued(b"a", 2, picture("preview", stream=1)))
    queue.add(Queued(b"a", 3, picture("preview", stream=0)))
    assert queue.take().id == 3
    queue.add(Queued(b"a", 4, picture("preview", stream=0)))
    assert queue.take().id == 2


def test_a_long_render_and_a_viewport_take_turns():
    queue = Scheduler()
    for number in range(3):
        queue.add(Queued(b"render", number, picture("final")))
    taken = []
    for number in range(3):
        queue.add(Queued(b"window", 100 + number, picture("preview")))
        taken += [queue.take().id, queue.take().id]
    assert taken == [100, 0, 101, 1, 102, 2]


@given(st.lists(st.tuples(st.sampled_from(["final", "preview"]), st.integers(0, 2), st.sampled_from([b"a", b"b"]))))
def test_every_request_is_taken_or_handed_back_exactly_once(arrivals):
    queue = Scheduler()
    handed_back = []
    for number, (purpose, stream, client) in enumerate(arrivals):
        if superseded := queue.add(Queued(client, number, picture(purpose, stream))):
            handed_back.append(superseded.id)
    assert sorted(drain(queue) + handed_back) == list(range(len(arrivals)))


def test_cancelling_returns_what_it_removed_and_nothing_of_others():
    queue = Scheduler()
    for number in range(4):
        queue.add(Queued(b"a", number, picture("final")))
    queue.add(Queued(b"a", 4, picture("preview")))
    queue.add(Queued(b"b", 5, picture("final")))
    queue.add(Queued(b"a", 6, OpenIdentity(FromSeed(1))))
    assert [job.id for job in queue.cancel(b"a", (1, 5, 99))] == [1]
    assert sorted(job.id for job in queue.cancel(b"a", ())) == [0, 2, 3, 4]
    assert sorted(drain(queue)) == [5, 6]


def test_what_a_client_that_left_asked_is_dropped_and_what_it_held_forgotten():
    queue = Scheduler()
    queue.add(Queued(b"a", 1, OpenIdentity(FromSeed(1))))
    queue.add(Queued(b"a", 2, picture("final")))
    queue.add(Queued(b"a", 3, picture("preview")))
    queue.add(Queued(b"b", 4, picture("final")))
    queue.hold(b"a")
    assert [job.id for job in queue.drop(b"a")] == [1, 2, 3]
    assert queue.drop(b"a") == []
    taken = [queue.take() for _ in range(len(queue))]
    assert {job.client: type(job.request) for job in taken} == {b"a": Forget, b"b": Synthesize}
    queue.add(Queued(b"a", 5, OpenIdentity(FromSeed(1))))
    assert queue.take().id == 5


def test_clients_take_turns_however_much_one_of_them_asks():
    queue = Scheduler()
    for number in range(1000):
        queue.add(Queued(b"farm", number, picture("final")))
    for number in range(3):
        queue.add(Queued(b"artist", number, OpenIdentity(FromSeed(number))))
    for number in range(2):
        queue.add(Queued(b"other", number, picture("final")))
    taken = [queue.take() for _ in range(10)]
    assert b"".join(job.client[:1] for job in taken) == b"faofaofaff"
    for client in (b"farm", b"artist", b"other"):
        own = [job.id for job in taken if job.client == client]
        assert own == list(range(len(own))), "each client's are done in their order"


def test_clients_take_turns_with_previews_too():
    queue = Scheduler()
    for stream in range(10):
        queue.add(Queued(b"many", stream, picture("preview", stream)))
    queue.add(Queued(b"one", 99, picture("preview")))
    assert [queue.take().id for _ in range(3)] == [0, 99, 1]


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.sampled_from(["final", "preview", "hold", "take"]))),
    st.sampled_from([b"a", b"b"]),
)
def test_whatever_happens_the_books_are_right(events, cancelled):
    """When everything was taken, cancelled or dropped, nothing is accounted for, so no budget shrinks."""
    queue, seen = Scheduler(), []
    for number, (client, what) in enumerate(events):
        if what == "hold":
            queue.hold(client)
        elif what == "take":
            for held in (b"a", b"b", b"c"):
                queue.resume(held)
            if len(queue):
                seen.append(queue.take())
        else:
            seen.append(queue.add(Queued(client, number, picture(what, number % 3), size=number)))
    seen += queue.cancel(cancelled, ()) + queue.drop(b"c")
    for client in (b"a", b"b"):
        queue.resume(client)
    seen += [queue.take() for _ in range(len(queue))]
    assert len(queue) == queue._bytes_in_all == 0
    assert not queue._bytes
    asked = [number for number, (_, what) in enumerate(events) if what in ("final", "preview")]
    assert sorted(job.id for job in seen if job is not None and not isinstance(job.request, Forget)) == asked


def test_a_client_that_does_not_read_is_passed_over_and_loses_nothing():
    queue = Scheduler()
    for number in range(3):
        queue.add(Queued(b"deaf", number, picture("final")))
    queue.add(Queued(b"deaf", 3, picture("preview")))
    queue.add(Queued(b"b", 10, picture("final")))
    queue.hold(b"deaf")
    queue.add(Queued(b"deaf", 4, picture("final")))
    assert queue.take().id == 10
    assert len(queue) == 5
    assert queue.take_finals("rgba8", 9) == []
    queue.resume(b"deaf")
    assert sorted(drain(queue)) == [0, 1, 2, 3, 4]


def test_what_waits_is_bounded_in_bytes_of_a_client_and_in_all(monkeypatch):
    monkeypatch.setattr(scheduler, "MAX_BYTES", 10_000)
    monkeypatch.setattr(scheduler, "MAX_BYTES_IN_ALL", 25_000)
    queue = Scheduler()

    def add(client, number, size=3_900, purpose="final", stream=0):
        queue.add(Queued(client, number, picture(purpose, stream), size))

    add(b"a", 1)
    add(b"a", 2)
    for purpose in ("final", "preview"):
        with pytest.raises(QueueFullError, match="of this client wait"):
            add(b"a", 3, purpose=purpose)
    for client in (b"b", b"c"):
        add(client, 1)
        add(client, 2) if client == b"b" else None
    with pytest.raises(QueueFullError, match="of all clients wait"):
        add(b"d", 1)
    queue.drop(b"b")
    add(b"d", 1)
    queue.cancel(b"a", (2,))
    add(b"a", 3, purpose="preview", size=100)
    add(b"a", 4, purpose="preview", size=3_000)  # in place of the smaller one
    with pytest.raises(QueueFullError):
        add(b"a", 5, purpose="preview", size=8_000)
    assert sorted(job.id for job in queue.close()) == [1, 1, 1, 4]


def test_an_id_that_waits_already_is_refused():
    queue = Scheduler()
    queue.add(Queued(b"a", 1, picture("final")))
    with pytest.raises(QueueFullError, match="id 1 waits"):
        queue.add(Queued(b"a", 1, picture("final")))
    queue.add(Queued(b"b", 1, picture("final")))


class Name(bytes):
    """A client's name that counts its comparisons, so that a loop in C over many clients is noticed."""

    compared = 0

    def __eq__(self, other):
        Name.compared += 1
        return bytes.__eq__(self, other)

    def __hash__(self):
        Name.compared += 1
        return bytes.__hash__(self)


def operations(work) -> int:
    """Counts the lines of Python that ``work`` runs, and comparisons of clients."""
    lines = 0

    def count(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        return count

    Name.compared, before = 0, sys.gettrace()
    gc.disable()  # it would run other tests' finalizers here
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return lines + Name.compared


def test_a_call_costs_the_same_however_much_waits():
    def costs(clients, each):
        queue, names = Scheduler(), [Name(b"client %d" % number) for number in range(clients)]
        for name in names:
            for number in range(each):
                queue.add(Queued(name, number, picture("final")))
            queue.add(Queued(name, each, picture("preview")))
        calls = [
            lambda: queue.add(Queued(names[0], each + 1, picture("final"))),
            lambda: queue.add(Queued(names[0], each + 2, picture("preview"))),
            lambda: queue.take(),
            lambda: queue.take(),
            lambda: queue.take_finals("rgba8", 3),
            lambda: queue.cancel(names[1], (each - 1, each - 2)),
            lambda: queue.hold(names[1]),
            lambda: queue.resume(names[1]),
            lambda: len(queue),
        ]
        return [operations(call) for call in calls]

    assert costs(16, 500) == costs(4, 8)


def test_previews_of_very_many_streams_are_refused(monkeypatch):
    monkeypatch.setattr(scheduler, "MAX_STREAMS", 3)
    queue = Scheduler()
    for stream in range(3):
        queue.add(Queued(b"a", stream, picture("preview", stream)))
    with pytest.raises(QueueFullError):
        queue.add(Queued(b"a", 9, picture("preview", 9)))
    assert queue.add(Queued(b"a", 10, picture("preview", 2))).id == 2


def test_a_client_cannot_queue_without_end(monkeypatch):
    monkeypatch.setattr(scheduler, "MAX_WAITING", 3)
    queue = Scheduler()
    for number in range(3):
        queue.add(Queued(b"a", number, picture("final")))
    with pytest.raises(QueueFullError):
        queue.add(Queued(b"a", 3, picture("final")))
    queue.add(Queued(b"b", 4, picture("final")))


def test_closing_ends_a_waiting_worker_and_hands_back_what_waits():
    queue = Scheduler()
    taken = []
    worker = threading.Thread(target=lambda: taken.append(queue.take()))
    worker.start()
    assert queue.close() == []
    worker.join(300)
    assert taken == [None]
    assert queue.take() is None
