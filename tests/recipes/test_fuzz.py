# SPDX-License-Identifier: Apache-2.0
"""The messages that are damaged and sent to a service are of every kind that there is."""

from __future__ import annotations

from typing import get_args

import numpy as np

from effigy_protocol.messages import OpenIdentity, Request, Source
from recipes.bench.fuzz import WHOLE, damaged


def test_every_request_and_every_source_is_among_them():
    assert {type(message) for message in WHOLE} == {*get_args(Request)}
    assert {type(message.source) for message in WHOLE if isinstance(message, OpenIdentity)} == {*get_args(Source)}


def test_the_same_seed_damages_alike():
    once, again = ([damaged(random, number) for number in range(50)] for random in map(np.random.default_rng, (4, 4)))
    assert once == again
