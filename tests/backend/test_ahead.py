# SPDX-License-Identifier: Apache-2.0
"""The next pictures' latents are found while one is painted, and nobody can tell but by the clock."""

from __future__ import annotations

import contextlib
import threading

import pytest
import torch

from backend.service.ahead import Ahead
from backend.service.scheduler import Forget, Job


def job(number):
    return Job(b"a", number, Forget())


@pytest.fixture()
def solving():
    """Ahead of jobs that solve to their numbers; the set says which threads solved which."""
    threads = {}

    def solve(job):
        threads[job.id] = threading.current_thread()
        return job.id

    with contextlib.closing(Ahead(solve)) as ahead:
        yield ahead, threads


def test_what_was_begun_is_solved_once_and_elsewhere(solving):
    ahead, threads = solving
    jobs = [job(number) for number in range(4)]
    ahead.begin(jobs[:2])
    ahead.begin(jobs[:3])
    assert [ahead.result(each) for each in jobs] == [0, 1, 2, 3]
    here = threading.current_thread()
    assert [threads[number] is here for number in range(4)] == [False, False, False, True]


def test_another_job_with_the_same_number_is_another_job(solving):
    ahead, threads = solving
    ahead.begin([job(1)])
    assert ahead.result(job(1)) == 1
    assert threads[1] is threading.current_thread()


def test_what_was_cancelled_is_dropped(solving):
    ahead, threads = solving
    first, second = job(1), job(2)
    ahead.begin([first, second])
    ahead.begin([second])
    assert ahead.result(second) == 2
    assert ahead.result(first) == 1
    assert threads[1] is threading.current_thread(), "solved anew, as if it had never been begun"


def test_a_latent_found_elsewhere_is_the_same_and_threads_are_left_alone(default_model):
    anchor = default_model.open_seed(3, 0.7)
    yaws = (-20.0, 3.0, 15.0)

    def solve(job):
        return default_model.edit(anchor, yaws[job.id], 2.0, {}).ws

    expected = [solve(job(number)) for number in range(3)]
    before = torch.get_num_threads()
    picture = default_model.paint(expected[0][None])
    with contextlib.closing(Ahead(solve)) as ahead:
        jobs = [job(number) for number in range(3)]
        ahead.begin(jobs)
        painted = [default_model.paint(expected[0][None]) for _ in range(4)]  # while they are solved
        assert torch.get_num_threads() == before
        assert all(torch.equal(ahead.result(each), ws) for each, ws in zip(jobs, expected, strict=True))
    assert all((other == picture).all() for other in painted)
