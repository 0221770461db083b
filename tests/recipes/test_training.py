# SPDX-License-Identifier: Apache-2.0
"""Training the demo face's generator: it learns, stops and goes on."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from effigy.generators import load_generator
from effigy.generators.load import save_generator
from effigy.generators.networks.stylegan2 import StyleGAN2, SynthesisLayer
from recipes.demo_face import latents, train_generator
from recipes.demo_face.__main__ import app
from recipes.demo_face.grain import has_grain
from recipes.demo_face.levels import levelled, unlevelled
from recipes.demo_face.mapping import code
from recipes.demo_face.parameters import COUNT, PERSONAL, sample
from recipes.demo_face.planes import NAMES
from recipes.demo_face.train_generator import Plan, Renders, Training

from ..closeness import assert_same, roundings_of
from .small import PLAN, painted, small_network


def test_training_goes_on_exactly_as_if_it_had_not_stopped(data: Path, tmp_path: Path):
    renders = Renders([data])
    whole, first = Training(PLAN), Training(PLAN)
    for _ in range(6):
        whole.step(renders)
    for _ in range(3):
        first.step(renders)
    first.save(tmp_path / "state.pt")
    second = Training.load(tmp_path / "state.pt")
    for _ in range(3):
        second.step(renders)
    assert second.seen == whole.seen == 48
    found = second.finished().state_dict()
    for name, value in whole.finished().state_dict().items():
        assert torch.equal(found[name], value)


def test_training_lowers_the_loss_and_writes_a_generator_that_loads(data: Path, tmp_path: Path):
    renders, training = Renders([data]), Training(replace(PLAN, quarter=0.0, half=0.0, pictures=400, rate=1e-2))
    losses = [float(training.step(renders)) for _ in range(50)]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    save_generator(training.finished(), tmp_path / "g.safetensors")
    loaded = load_generator(tmp_path / "g.safetensors", "cpu")
    assert loaded.resolution == (16, 16)
    z = latents.latents_of(renders.vectors[:4], torch.Generator().manual_seed(2))
    layers = sum(
        values.ndim > 1 for values in training.network.parameters()
    )  # whose weights are stored in half precision
    assert_same(loaded.synthesize(loaded.map(z)), painted(training.finished(), z), layers, torch.float16)


def test_every_epoch_shows_each_picture_once_in_its_own_order(data: Path):
    renders = Renders([data])
    pair = renders.batch(0, 8)[1].reshape(4, 2, COUNT)
    assert torch.equal(*pair[:, :, PERSONAL].unbind(dim=1)), "pairs stay together"
    epochs = [torch.cat([renders.batch(24 * epoch + 8 * step, 8)[1] for step in range(3)]) for epoch in range(2)]
    for epoch in epochs:
        assert len(torch.unique(epoch, dim=0)) == 24 == renders.training
    assert not torch.equal(*epochs)


def test_plans_grow_the_picture_and_lower_the_rate():
    plan = Plan(pictures=1000, batch=2)
    assert [plan.size_at(seen) for seen in (0, 399, 400, 699, 700, 999)] == [32, 32, 64, 64, 128, 128]
    smaller = replace(plan, resolution=256, eighth=0.5, quarter=0.25, half=0.125)
    assert [smaller.size_at(seen) for seen in (0, 499, 500, 749, 750, 874, 875)] == [32, 32, 64, 64, 128, 128, 256]
    rates = [plan.rate_at(seen) for seen in range(100, 1001)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == rates[600] == plan.rate, "the rate falls before the pictures are whole"
    assert rates[-1] == pytest.approx(0.02 * plan.rate)


@pytest.mark.parametrize(
    "shares",
    [{"quarter": 0.5, "half": 0.5}, {"half": 0.6}, {"quarter": -0.1}, {"eighth": math.nan}, {"half": math.nan}],
)
def test_a_plan_leaves_pictures_to_be_seen_whole(shares):
    with pytest.raises(ValueError, match="leave no pictures"):
        Plan(**shares)


def test_a_plan_shows_no_picture_that_no_block_paints():
    with pytest.raises(ValueError, match="pictures of 2 pixels are seen first, and the smallest block paints 4"):
        Plan(resolution=16, eighth=0.1)


@pytest.mark.parametrize("batch", [0, 1, 7])
def test_a_batch_is_made_of_pairs(batch: int):
    with pytest.raises(ValueError, match=f"a batch of {batch} pictures is not made of pairs"):
        Plan(batch=batch)


def test_a_checkpoint_of_another_version_is_refused_with_what_to_do(tmp_path: Path):
    Training(PLAN).save(tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    state["plan"]["progressive"] = True
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="another version of this recipe: begin anew"):
        Training.load(tmp_path / "state.pt")


def test_training_goes_on_from_a_narrower_generator(data: Path):
    narrow, wide = Training(PLAN), Training(replace(PLAN, channel_max=24))
    wide.begin(narrow.finished())
    w = code(torch.from_numpy(sample(2, 0)))
    assert_same(*(train_generator.paint(each.network, w, 16) for each in (wide, narrow)), roundings_of(wide.network))
    wide.step(Renders([data]))
    with pytest.raises(ValueError, match="cannot go on"):
        wide.begin(StyleGAN2(replace(PLAN.network, mapping_layers=3)))


def test_held_blocks_stay_while_the_others_learn(data: Path):
    start = Training(PLAN).finished()
    training = Training(replace(PLAN, held=8, quarter=0.0, half=0.0))
    training.begin(start)
    begun, averaged = (copy.deepcopy(network) for network in (training.network, training.average))
    training.step(Renders([data]))
    for network, before in ((training.network, begun), (training.average, averaged)):
        after = network.state_dict()
        changed = {name for name, value in before.state_dict().items() if not torch.equal(value, after[name])}
        block = {name for name, _ in network.named_parameters() if name.startswith("synthesis.b16.")}
        assert changed == {name for name in block if not name.endswith("noise_strength")}


def test_a_plan_that_holds_all_that_it_shows_is_refused():
    with pytest.raises(ValueError, match="up to 32 pixels are held, and pictures of 32 are seen first"):
        Plan(held=32)
    Plan(held=32, quarter=0.0)


def test_nothing_is_held_of_a_generator_that_is_begun_anew(data: Path, tmp_path: Path):
    files = ["--checkpoint", str(tmp_path / "state.pt"), "--out", str(tmp_path / "g.safetensors")]
    ran = CliRunner().invoke(app, ["train", str(data), *files, "--size", "128", "--held", "16"])
    assert "blocks are held as --start has them: give --start" in str(ran.exception)


@pytest.mark.parametrize("plan", [replace(PLAN, channel_max=24), replace(PLAN, resolution=32, channel_base=256)])
def test_what_carried_the_grain_learns_where_it_is_the_carrier_no_more(plan: Plan):
    wide = Training(plan)
    wide.begin(Training(PLAN).finished())
    *layers, last = (layer for layer in wide.network.synthesis.modules() if isinstance(layer, SynthesisLayer))
    assert not last.weight[-1].any(), "the carrier"
    assert all(layer.weight.flatten(1).any(dim=1).all() for layer in layers)
    assert last.weight.flatten(1).any(dim=1)[:-1].all()


def test_the_carrier_of_grain_stays_silent_in_training(data: Path):
    training = Training(replace(PLAN, quarter=0.0, half=0.0))
    for _ in range(3):
        training.step(Renders([data]))
    for network in (training.network, training.average):
        block = network.synthesis.blocks()[-1]
        assert block.conv1.weight[0].any()
        assert not block.conv1.weight[-1].any()
        assert not block.torgb.weight[:, -1].any()
    assert has_grain(training.finished())


def test_alpha_is_unlevelled_to_what_it_was():
    network = small_network()
    again = unlevelled(levelled(network))
    z = torch.randn(3, latents.Z_DIM, generator=torch.Generator().manual_seed(3))
    assert_same(painted(again, z), painted(network, z), 3 * roundings_of(network))


def test_a_generator_is_written_of_a_training_that_goes_on(data: Path, tmp_path: Path):
    training = Training(PLAN)
    training.step(Renders([data]))
    training.save(tmp_path / "state.pt")
    ran = CliRunner().invoke(app, ["export", str(tmp_path / "state.pt"), str(tmp_path / "g.safetensors")])
    assert ran.exit_code == 0, ran.output
    loaded = load_generator(tmp_path / "g.safetensors", "cpu")
    assert (loaded.resolution, loaded.planes) == ((16, 16), NAMES)
    assert Training.load(tmp_path / "state.pt").seen == PLAN.batch


def test_renders_without_pairs_are_refused(data: Path):
    np.save(data / "vectors.npy", sample(train_generator.HELD_OUT + 24, 0))
    with pytest.raises(ValueError, match="noise does not hold pairs: render it with --pairs"):
        Renders([data])


def test_data_without_pairs_is_refused_at_the_command_line(data: Path, tmp_path: Path):
    np.save(data / "vectors.npy", sample(train_generator.HELD_OUT + 24, 0))
    files = ["--checkpoint", str(tmp_path / "state.pt"), "--out", str(tmp_path / "g.safetensors")]
    result = CliRunner().invoke(app, ["train", str(data), *files])
    assert "does not hold pairs" in str(result.exception)


def test_train_at_the_command_line_needs_no_more_than_data_and_names(data: Path, tmp_path: Path):
    training = Training(PLAN)
    training.seen = PLAN.pictures  # the plan is finished; only writing the generator is left
    training.save(tmp_path / "state.pt")
    files = ["--checkpoint", str(tmp_path / "state.pt"), "--out", str(tmp_path / "g.safetensors")]
    result = CliRunner().invoke(app, ["train", str(data), *files, "--no-compiled"])
    assert result.exit_code == 0, result.output
    assert load_generator(tmp_path / "g.safetensors", "cpu").resolution == (16, 16)
