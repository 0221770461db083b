# SPDX-License-Identifier: Apache-2.0
"""The metric of latents: how learning finds it, how a file keeps it, and what the search for a person wins by it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from effigy.editing.regressor import Whitening
from effigy.faces.encoder import Encoder, read_encoder
from effigy.faces.features import PIXELS_ALONE
from effigy.fitting import encoder_learning
from effigy.generators.planes import RGB
from effigy.people import inversion
from effigy.people.objective import Judged
from effigy.tensor_files import read_tensors, write_tensors

SIZE = 12


def painter(slopes: torch.Tensor) -> SimpleNamespace:
    """Returns a model whose pictures [N, 3, 8, 8] are linear in w, with these ``slopes`` [SIZE, 192] by v."""
    basis = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(1)).double())[0]
    whitening = Whitening(torch.zeros(SIZE).double(), basis * torch.linspace(1, 3, SIZE)[:, None])
    inverse = whitening.inverse.float()
    generator = SimpleNamespace(
        num_ws=2, planes=RGB, synthesize=lambda ws: (ws.mean(dim=1) @ inverse @ slopes).reshape(-1, 3, 8, 8)
    )
    return SimpleNamespace(generator=generator, regressor=SimpleNamespace(whitening=whitening))


def uneven() -> torch.Tensor:
    """Returns slopes whose squares differ by 10⁶."""
    random = torch.Generator().manual_seed(2)
    axes = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=random))[0]
    return (
        axes @ torch.diag(torch.logspace(0, -3, SIZE)) @ torch.linalg.qr(torch.randn(192, SIZE, generator=random))[0].T
    )


def test_probes_find_how_far_pictures_change():
    slopes, noise = uneven(), torch.Generator().manual_seed(0)
    model, w = painter(slopes), torch.randn(1, SIZE, generator=noise)
    found = encoder_learning._metric(torch.cat([encoder_learning._probe(model, w, noise) for _ in range(8 * SIZE)]))
    root = torch.linalg.inv(torch.linalg.cholesky((slopes @ slopes.T / 192).double()))
    stretched = torch.linalg.eigvalsh(root @ found @ root.T)  # as chance has it: (1 ± √⅛)²
    assert 0.3 < stretched.min() < stretched.max() < 2.2, "in all directions, though they differ by 10⁶"
    few = torch.cat([encoder_learning._probe(model, w, noise) for _ in range(2 * SIZE - 1)])
    assert encoder_learning._metric(few) is None


class Pictures:
    """The objective of a linear ``painter``'s picture of ``true`` [1, SIZE]."""

    def __init__(self, slopes: torch.Tensor, true: torch.Tensor, metric: torch.Tensor | None) -> None:
        self._slopes, self.metric = slopes, metric
        self.target = SimpleNamespace(picture=true @ slopes)

    def __call__(self, v: torch.Tensor) -> Judged:
        picture = v @ self._slopes
        return Judged(v, picture, (picture - self.target.picture).square().mean())


def descend(objective: Pictures, start: Judged, descents: int) -> Judged:
    steps = inversion._descend(objective, start, descents, descents)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("knows", [False, True])
def test_the_best_latent_is_kept_wherever_the_search_is_stopped(knows):
    """A search that is spent in the middle of a step has gone on to a latent that nobody has judged."""
    slopes, true = uneven(), torch.randn(1, SIZE, generator=torch.Generator().manual_seed(4))
    objective = Pictures(slopes, true, torch.eye(SIZE) if knows else None)
    start = objective(torch.zeros(1, SIZE))
    for descents in range(1, 9):
        found = descend(objective, start, descents)
        assert torch.equal(objective(found.v).cost, found.cost), descents


@pytest.mark.parametrize("knows", [False, True])
def test_the_search_finds_directions_that_hardly_show(knows):
    """Without the metric, 24 pictures leave the weaker half of them where they began."""
    slopes, true = uneven(), torch.randn(1, SIZE, generator=torch.Generator().manual_seed(4))
    about = (slopes @ slopes.T + 0.1 * torch.diag((slopes @ slopes.T).diagonal()).min() * torch.eye(SIZE)) / 192
    objective = Pictures(slopes, true, about if knows else None)
    start = objective(torch.zeros(1, SIZE))
    found = descend(objective, start, 24)
    assert found.cost < start.cost
    left = float((found.v - true).norm() / true.norm())
    assert left < 0.05 if knows else left > 0.3


def test_a_metric_is_kept_and_a_wrong_one_refused(tmp_path):
    random = torch.Generator().manual_seed(0)
    features = [torch.randn(50, 20, generator=random)]
    root = torch.randn(4, 4, generator=random).double()
    plain = Encoder.learn(features, torch.randn(50, 4, generator=random).double(), None)
    encoder = replace(plain, metric=(root @ root.T).float())
    assert encoder.fingerprint != plain.fingerprint, "people whose search was stopped are not taken up with another"

    def read() -> Encoder:
        return read_encoder(tmp_path, {"sees": PIXELS_ALONE}, 4, None, torch.device("cpu"))

    plain.save(tmp_path)
    assert read().metric is None, "as encoders of before"
    encoder.save(tmp_path)
    assert torch.equal(read().metric, encoder.metric)
    kept = read_tensors(tmp_path / "encoder.safetensors")
    blind = torch.diag(torch.tensor([2.0, 1.0, 1.0, 0.0]))
    write_tensors(tmp_path / "encoder.safetensors", kept | {"encoder.metric": blind})
    assert torch.equal(read().metric, blind), "one direction changes no picture"
    for wrong in (torch.zeros(4, 4), -torch.eye(4), torch.eye(5), torch.eye(4).roll(1, 0), torch.ones(4)):
        write_tensors(tmp_path / "encoder.safetensors", kept | {"encoder.metric": wrong})
        with pytest.raises(ValueError, match="no metric"):
            read()
