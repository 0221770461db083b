# SPDX-License-Identifier: Apache-2.0
"""A posed face, pasted back into the photograph that it was cut out of."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from effigy.landmarks.photo import Crop, Matte
from effigy.people import paste as paste_module
from effigy.people.alignment import to_crop
from effigy.people.masks import face_mask, grown
from effigy.people.paste import paste

WHOLE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def test_pasting_changes_nothing_outside_of_the_quad(reader, painted, photo):
    random = np.random.default_rng(0)
    photograph = random.integers(0, 256, (300, 400, 3), np.uint8)
    photograph[20:276, 60:316] = photo
    crop = Crop(188.0, 148.0, 180.0, 0.2)
    quad = crop.to_picture(WHOLE) / [400, 300]
    out = paste(reader, photograph, quad, painted, painted)
    y, x = np.mgrid[:300, :400] + 0.5
    inside = to_crop(crop, np.stack([x.ravel(), y.ravel()], axis=1)).reshape(300, 400, 2)
    outside = ((inside < 0) | (inside > 1)).any(axis=2)
    assert np.array_equal(out[outside], photograph[outside])
    centre = (slice(130, 170), slice(170, 206))
    assert np.abs(out[centre].astype(int) - photograph[centre]).mean() > 10, "the face is another"


def test_pasting_the_same_picture_gives_the_picture(reader, photo):
    out = paste(reader, photo, WHOLE, photo, photo)
    assert np.abs(out.astype(int) - photo).mean() < 1.5


def test_a_large_photograph_is_pasted_part_by_part(reader, painted, photo, monkeypatch):
    """Each pixel is what it would be if all were blended at once, up to a rounding."""
    photograph = np.asarray(Image.fromarray(photo).resize((700, 500)))
    quad = Crop(360.0, 240.0, 420.0, 0.3).to_picture(WHOLE)
    pasted = []
    for tile in (1024, 64):
        monkeypatch.setattr(paste_module, "_TILE", tile)
        pasted.append(paste(reader, photograph, quad / [700, 500], painted, painted[:, ::-1].copy()))
    whole, parts = pasted
    apart = np.abs(whole.astype(int) - parts)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3
    assert (whole != photograph).mean() > 0.1


def test_behind_a_head_that_has_moved_is_the_photographs_background(reader, painted):
    """And not what the model paints there, which stood around the head as a rim in other colours."""
    alpha = Matte().matte(painted).numpy()[..., None]
    background = np.broadcast_to(np.linspace(20, 235, len(painted))[:, None, None], painted.shape)
    photograph = (background + alpha * (painted - background)).round().astype(np.uint8)
    over, moved = np.roll(alpha, 10, axis=1), np.roll(painted, 10, axis=1)
    after = (128 + over * (moved - 128.0)).round().astype(np.uint8)
    out = paste(reader, photograph, WHOLE, photograph, after)
    revealed = (alpha > 0.9) & (over < 0.1)
    revealed[len(painted) * 3 // 4 :] = False  # the body
    assert np.abs(out - background)[revealed[..., 0]].mean() < 20


def test_while_a_head_stays_where_it_was_hair_and_background_stay_the_photographs(reader, painted, photo):
    """And not beside the model's own hair, which has another outline."""
    points = reader.read(painted)[0].points[:, :2] * len(photo) / len(painted)
    out = paste(reader, photo, WHOLE, painted, painted)
    far = grown(torch.from_numpy(face_mask(points, len(photo)) > 0).float()[None, None], 0.1)[0, 0].numpy() == 0
    assert far.mean() > 0.4
    assert np.array_equal(out[far], photo[far])
    middle = points.mean(axis=0).astype(int)
    face = (slice(middle[1] - 20, middle[1] + 20), slice(middle[0] - 20, middle[0] + 20))
    assert np.abs(out[face].astype(int) - photo[face]).mean() > 10, "the face is the model's"
    turned = paste(reader, photo, WHOLE, painted, np.roll(painted, 6, axis=1))
    assert (turned[far] != photo[far]).mean() > 0.2, "a head that moves is replaced as a whole"
