# SPDX-License-Identifier: Apache-2.0
"""How many of PyTorch's threads compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Lets ``count`` threads compute, and afterwards as many as before; None is no limit.

    Part of that is PyTorch's for the whole process: one thread of it may paint at a time.
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
