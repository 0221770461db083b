# SPDX-License-Identifier: Apache-2.0
"""From Photo and Source Photo: a face becomes somebody in a picture, and goes back into it, posed."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest

from .steps import PANEL, choose_file, hover, opened, picture, settle, toggle, until, viewport, whole_picture

MENU = slice(250, 950)  # the columns of what pops up at the file browser
LATENT = "result = face().effigy.latent"
SHOWN = "result = face().effigy.photograph is not None"
SEED = "bpy.ops.effigy.change_identity(seed={})"


@pytest.fixture(scope="module")
def photograph(window):
    """Two people that the model paints, side by side, and the one to the right alone."""
    window.ask("bpy.context.view_layer.objects.active = face(); face().select_set(True)")
    seed = window.ask("result = face().effigy.seed")
    canvas = np.full((320, 640, 3), 96, np.uint8)
    for number, left in ((seed, 40), (50, 330)):
        window.ask(SEED.format(number))
        with whole_picture(window):
            canvas[32:288, left : left + 256] = picture(window)[::-1]
    path = window.work / "photograph-of-two.png"
    iio.imwrite(path, canvas)
    window.ask(SEED.format(seed))
    settle(window)
    yield path
    window.ask(SEED.format(seed))
    settle(window)


def test_one_of_two_people_in_a_picture_is_made(window, photograph):
    own = window.ask(LATENT)
    toggle(window, "Pose and Expression")  # closed from here on, since ten sliders leave too little room below
    toggle(window, "Identity")  # and this open
    window.press("From Photo", PANEL)
    choose_file(window, photograph, shot="07i-photograph", untick="^.{0,3}Tune$")  # which takes a minute or more
    window.find("Whose Face", MENU)
    window.shot("07j-whose-face")
    window.press("^.{0,3}Face 2$", MENU)
    seen = set()
    until(lambda: seen.add(portrait(window)) or window.ask(LATENT) != own, window.console)
    assert len(seen - {""}) > 1, seen
    assert not any("tuned" in each for each in seen), seen
    settle(window)
    window.find("^Person$", PANEL)
    window.shot("07l-made")
    assert window.ask("result = b'provenance' in face().effigy.anchor.latent_bytes()")
    _, y = window.find_still("photograph.+two", PANEL)
    window.click(1184, y)  # the tick at the row's end
    until(lambda: not window.ask("result = addon('blender.ui.portrait').portrait.name"), window.console)


def portrait(window):
    """What the panel says of the person who is made; keeps the last screenshot that shows how far it is."""
    stage, share = window.ask(
        "now = addon('blender.ui.portrait').portrait\nresult = [now.stage if now.is_under_way else '', now.share]"
    )
    if stage and share < 1:
        window.shot("07k-making")
    return stage and f"{stage} {share:.2f}"


def test_the_posed_person_goes_back_into_the_picture(window, photograph):
    window.ask(f"bpy.ops.wm.save_as_mainfile(filepath={str(window.work / 'photographed.blend')!r})")
    window.ask("face().data.shape_keys.key_blocks['jawOpen'].value = 0.8")
    settle(window)
    before = viewport(window)
    with opened(window, "Source Photo"):
        window.press("This Frame", PANEL)
        until(lambda: window.ask(SHOWN), window.console)
        hover(window)
        around = viewport(window)
        window.shot("07m-in-the-photograph")
        assert (np.abs(around - before).max(axis=2) > 20).mean() > 0.05, "no photograph stands around the plate"
        _, y = window.find_still("This Frame", PANEL)
        window.click(1184, y)  # the cross at the row's end
        until(lambda: not window.ask(SHOWN), window.console)
    window.ask("face().data.shape_keys.key_blocks['jawOpen'].value = 0")
    toggle(window, "Identity")
    toggle(window, "Pose and Expression")
