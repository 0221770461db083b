# SPDX-License-Identifier: Apache-2.0
"""Finals painted in a batch have the same bits as alone; otherwise they are painted one by one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from effigy.faces.finals import Finals
from effigy.threads import limited_threads
from recipes.bench.processors import OLDEST, finals, finals_of


def painter(rounding, calls):
    """Paints pictures [N, 3, 1, 1] that differ by ``rounding`` if several are painted at once."""

    def paint(ws):
        calls.append(len(ws))
        return ws.sum(dim=(1, 2))[:, None, None, None].expand(-1, 3, 1, 1) + rounding * (len(ws) > 1)

    return paint


def test_the_default_paints_the_same_bits_in_whatever_company(default_model):
    anchor = default_model.open_seed(5, 0.7)
    ws = torch.stack([default_model.edit(anchor, yaw, 0.0, {}).ws for yaw in (-20.0, -5.0, 0.0, 8.0, 20.0)])
    alone = [default_model.finals(row).words()[0].tobytes() for row in ws.split(1)]
    for start in range(5):
        for stop in range(start + 1, 6):
            assert [picture.tobytes() for picture in default_model.finals(ws[start:stop]).words()] == alone[start:stop]


def test_finals_are_within_a_level_on_processors_with_less():
    assert np.abs(finals_of(OLDEST, people=2).astype(int) - finals(people=2)).max() <= 1


@pytest.mark.parametrize(
    ("device", "size", "batch"), [("cpu", 64, 4), ("cpu", 128, 4), ("cpu", 256, 1), ("cpu", 1024, 1), ("cuda", 1024, 4)]
)
def test_as_many_are_painted_together_as_a_device_gains_by(device, size, batch):
    calls = []
    generator = SimpleNamespace(device=torch.device(device), resolution=(size, size), synthesize=painter(0.0, calls))
    finals = Finals.of(generator)
    assert finals.batch == batch
    finals(torch.rand(1, 2, 4))
    assert calls == ([4] if device == "cuda" else [1])


@pytest.mark.parametrize("threads", [2, 3])
def test_an_identity_and_its_edits_have_the_same_bits_in_any_number_of_threads(default_model, threads):
    def made():
        identity = default_model.open_seed(3)
        return identity.key, identity.q.tobytes(), default_model.edit(identity, 12.0, 3.0, {}).ws.numpy().tobytes()

    usual = made()
    with limited_threads(threads):
        assert made() == usual


def test_a_whole_batch_is_proven_once_and_less_is_painted_one_by_one():
    calls = []
    finals = Finals(painter(0.0, calls), 3, always_whole=False)
    ws = torch.rand(5, 2, 4)
    first = finals(ws)
    assert calls == [1, 1, 1, 3, 1, 1]
    calls.clear()
    assert torch.equal(finals(ws), first)
    assert calls == [3, 1, 1]
    assert finals.batch == 3


def test_where_company_changes_bits_they_are_painted_one_by_one():
    calls = []
    finals = Finals(painter(1e-6, calls), 2, always_whole=False)
    ws = torch.rand(6, 2, 4)
    alone = torch.cat([painter(1e-6, [])(row) for row in ws.split(1)])
    assert torch.equal(finals(ws), alone)
    assert finals.batch == 1
    calls.clear()
    assert torch.equal(finals(ws), alone)
    assert calls == [1] * 6


def test_a_gpu_always_paints_as_many():
    calls = []
    finals = Finals(painter(1e-6, calls), 4, always_whole=True)
    ws = torch.rand(5, 2, 4)
    together = finals(ws)
    assert calls == [4, 4]
    assert torch.equal(torch.cat([finals(row) for row in ws.split(1)]), together)
