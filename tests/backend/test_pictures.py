# SPDX-License-Identifier: Apache-2.0
"""Pictures are what their frames say: one with NaN is an error, and ``exact`` means the pixels of a final."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from effigy.faces.painter import Painter
from effigy.fitting.samples import Recipe, sample
from effigy.generators import GeneratorFileError, PictureError, check_pictures
from effigy.generators.networks.configs import StyleGAN2Config, StyleGAN3Config
from effigy.generators.networks.dense import initialize
from effigy.generators.registry import build_network

SHAPES = [StyleGAN2Config(4, 4, (3, 3, 3), 2), StyleGAN3Config(4, 4, 16, channel_base=64, channel_max=3)]


def network(config, *, frozen=True):
    made = build_network(config)
    initialize(made)
    if frozen:
        made.freeze()
    return made


def painting(default_model, generator, previews=None):
    """Returns the default face model with another generator."""
    model = copy.copy(default_model)
    model.painter = Painter(generator, previews=previews)
    return model


def latents(generator, count=1):
    return generator.map(torch.randn(count, 4, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("config", "layer", "value"),
    [
        (SHAPES[0], "synthesis.b8.torgb", float("nan")),
        (SHAPES[0], "synthesis.b8.torgb", float("inf")),
        (SHAPES[1], "synthesis.L14_16_3", float("nan")),  # clamping hides infinity
    ],
)
def test_a_picture_of_nan_is_an_error_that_names_the_layer(default_model, config, layer, value):
    generator = network(config)
    generator.get_submodule(layer).bias.data[1] = value
    model, ws = painting(default_model, generator), latents(generator)
    for paint in (model.paint, lambda w: model.preview(w[0]), lambda w: model.preview(w[0], half=True)):
        with pytest.raises(PictureError, match=f"NaN or infinite values, from its layer {layer}"):
            paint(ws)
    assert issubclass(PictureError, GeneratorFileError), "which every command tells"


def test_finite_weights_whose_picture_overflows_are_found_as_well(default_model):
    generator = network(SHAPES[0])
    for block in ("b8", "b16"):
        generator.get_submodule(f"synthesis.{block}.torgb").bias.data.fill_(3e38)
    with pytest.raises(PictureError, match="synthesis"):
        painting(default_model, generator).paint(latents(generator))


def test_a_preview_of_nan_whose_final_is_none_says_so(default_model):
    generator = network(SHAPES[0])

    class Broken:
        is_exact = False

        def __call__(self, ws):
            return torch.full((1, 3, 16, 16), float("nan"))

    model = painting(default_model, generator, Broken())
    with pytest.raises(PictureError, match="ask for a final"):
        model.preview(latents(generator)[0])
    assert model.paint(latents(generator)).std() > 0


def test_a_latent_of_nan_is_named(default_model):
    generator = network(SHAPES[0])
    with pytest.raises(PictureError, match="because its latent does"):
        painting(default_model, generator).paint(torch.full((1, 6, 4), float("nan")))


def test_finite_pictures_pass_whatever_their_range():
    generator = network(SHAPES[0])
    for images in (torch.zeros(0, 3, 4, 4), torch.full((1, 3, 4, 4), 3e38), torch.full((2, 3, 4, 4), -3e38)):
        check_pictures(images, generator, latents(generator))


def test_a_fit_does_not_measure_pictures_of_nan(tmp_path):
    generator = network(SHAPES[0])
    generator.synthesis.b16.torgb.bias.data[0] = float("nan")

    class Detector:
        def detect(self, images):
            raise AssertionError("a picture of NaN was shown to the detector")

    with pytest.raises(PictureError, match="synthesis.b16.torgb"):
        sample(generator, Detector(), None, Recipe("sha", "d", 0), 10, tmp_path, lambda *_: None)
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize(
    "config", [*SHAPES, StyleGAN2Config(4, 4, (3,), 2)], ids=["StyleGAN2", "StyleGAN3", "of one block"]
)
@pytest.mark.parametrize("half", [True, False])
def test_a_preview_is_exact_when_its_pixels_are_a_finals(default_model, config, half):
    generator = network(config)
    model, ws = painting(default_model, generator), latents(generator)
    preview = model.preview(ws[0], half=half)
    picture, exact = preview.bytes()[0], preview.is_exact
    final = model.paint(ws)[0]
    assert exact == (picture.shape == final.shape and np.array_equal(picture, final))
    assert exact != (half and config is SHAPES[0]), "only StyleGAN2 of several blocks paints half"


@pytest.mark.parametrize("is_exact", [True, False])
def test_a_preview_by_another_way_is_not_called_exact(default_model, is_exact):
    generator = network(SHAPES[1])

    def previews(ws):
        return generator.synthesize(ws)

    previews.is_exact = is_exact
    assert painting(default_model, generator, previews).preview(latents(generator)[0]).is_exact == is_exact
