# SPDX-License-Identifier: Apache-2.0
"""Limits the number of threads that PyTorch computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Lets PyTorch compute with ``count`` threads here, then restores the number from before; None changes nothing.

    Each thread of the process has its own number. Threads begun meanwhile start with this one.
    """
    if count is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
