# SPDX-License-Identifier: Apache-2.0
"""Generators made from others, and pictures of them."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import pytest
import torch
from typer.testing import CliRunner

from effigy.faces import FIRST_BUNDLE, load_face_model
from effigy.generators.load import save_generator
from effigy.generators.networks.resampling import fir_kernel, upsample2
from recipes.demo_face import gallery, latents
from recipes.demo_face.__main__ import app
from recipes.demo_face.blend import blended
from recipes.demo_face.fairness import BY_SEX, BY_SKIN
from recipes.demo_face.levels import levelled
from recipes.demo_face.planes import ALPHA, PLANES
from recipes.demo_face.storage import read_trainable
from recipes.demo_face.train_generator import Training
from recipes.demo_face.widen import widened

from ..closeness import assert_same, roundings_of
from .small import PLAN, painted, small_network


def test_a_gallery_has_a_strip_for_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = load_face_model(FIRST_BUNDLE, "cpu")
    monkeypatch.setattr(gallery, "STEPS", 2)
    monkeypatch.setattr(gallery, "PEOPLE", (4,))
    paths = gallery.gallery(model, tmp_path)
    assert {path.stem for path in paths} == {"yaw", "pitch", "people", "turn-and-mouth", *model.controls}
    height, width = model.generator.resolution
    for path in paths:
        picture = iio.imread(path)
        assert picture.shape == (height * (2 if path.stem == "people" else 1), 2 * width, 3)
        assert (picture[:, :width] != picture[:, width:]).any()


def test_a_widened_generator_paints_the_same_and_what_is_new_can_learn():
    small = small_network()
    channels = tuple(n + 3 for n in small.config.channels)
    wide = widened(small, channels)
    z = torch.randn(2, latents.Z_DIM, generator=torch.Generator().manual_seed(0))
    assert_same(painted(wide, z), painted(small, z), roundings_of(wide))
    assert torch.equal(wide.mapping.w_avg, small.mapping.w_avg)
    painted(wide, z).square().sum().backward()
    weight = wide.synthesis.blocks()[1].conv1.weight
    unread = weight.grad[: small.config.channels[1], small.config.channels[1] :]
    assert (unread.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_blocks_beyond_its_own_only_double_a_generators_picture():
    small = small_network()
    larger = widened(small, (*small.config.channels, 4))
    z = torch.randn(2, latents.Z_DIM, generator=torch.Generator().manual_seed(0))
    assert larger.resolution == (32, 32)
    doubled = upsample2(painted(small, z), fir_kernel(gain=4.0).expand(PLANES, 1, 4, 4))
    assert_same(painted(larger, z), doubled, roundings_of(larger))
    with pytest.raises(ValueError, match="do not fit"):
        widened(larger, small.config.channels)


def test_levels_change_alpha_alone():
    small = small_network()
    z = torch.randn(3, latents.Z_DIM, generator=torch.Generator().manual_seed(2))
    before, after = painted(small, z), painted(levelled(small, 0.2, 0.7), z)
    others = [plane for plane in range(PLANES) if plane != ALPHA.start]
    assert torch.equal(after[:, others], before[:, others])
    alpha = (before[:, ALPHA] + 1) / 2
    assert_same((after[:, ALPHA] + 1) / 2, (alpha - 0.2) / 0.5, 4 * roundings_of(small))
    assert torch.equal(painted(small, z), before), "the generator that is given stays as it is"


def test_a_blend_lies_between_two_generators(tmp_path: Path):
    one, other = small_network(), Training(PLAN).network
    for name, network in (("one", one), ("other", other)):
        save_generator(network, tmp_path / f"{name}.safetensors")
    ran = CliRunner().invoke(
        app, ["blend", *(str(tmp_path / f"{name}.safetensors") for name in ("one", "other", "out")), "--share", "0.25"]
    )
    assert ran.exit_code == 0, ran.output
    found = read_trainable(tmp_path / "out.safetensors").state_dict()
    for name, value in one.state_dict().items():
        wanted = 0.75 * value + 0.25 * other.state_dict()[name]
        assert_same(found[name], wanted, 3, torch.float16)  # both and their mean are stored in half precision
    with pytest.raises(ValueError, match="cannot be blended"):
        blended(one, widened(one, tuple(n + 1 for n in one.config.channels)), 0.5)


def test_fairness_has_figures_for_dark_and_light_faces_and_for_men_and_women():
    ran = CliRunner().invoke(app, ["fairness", "default", "--people", "3"])
    assert ran.exit_code == 0, ran.output
    rows = [line.split() for line in ran.output.splitlines() if line.startswith((*BY_SKIN, *BY_SEX))]
    assert [row[0] for row in rows] == [*BY_SKIN, *BY_SEX]
    for row in rows:
        yaw, pitch, landmarks, similarity = (float(row[column].rstrip("°")) for column in (1, 2, 3, 5))
        assert 0 < yaw < 6
        assert 0 < pitch < 6
        assert 0 < landmarks < 5
        assert 0.5 < similarity <= 1
