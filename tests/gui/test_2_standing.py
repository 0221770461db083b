# SPDX-License-Identifier: Apache-2.0
"""A face stands in the shot: its picture's square shows nowhere, the scene lights it, its shadow is a head's."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from .plate import clear_and_solid, colours, places_of, texels
from .steps import (
    NEAR,
    PANEL,
    SAME,
    VIEW,
    changed,
    drawn_by_eevee,
    finished_viewport,
    hover,
    landmark,
    opened,
    picture,
    pixels,
    rolled,
    settle,
    still,
    until,
    viewport,
)

pytestmark = pytest.mark.usefixtures("through_camera")
# Behind the head, across the world's Y; green in solid views, as no painted background is.
WALL = """
proxy = face()
wide = 20 * proxy.matrix_world.median_scale
mesh = bpy.data.meshes.new("Wall")
mesh.from_pydata([(-wide, 0, -wide), (wide, 0, -wide), (wide, 0, wide), (-wide, 0, wide)], [], [(0, 1, 2, 3)])
paint = bpy.data.materials.new("Paint")
paint.diffuse_color = 0.0, 0.7, 0.2, 1.0
mesh.materials.append(paint)
wall = bpy.data.objects.new("Wall", mesh)
wall.location = proxy.location
wall.location.y += wide / 10
bpy.context.scene.collection.objects.link(wall)
"""
SUN = """
sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
sun.data.energy, sun.data.angle = 3.0, 0.0
bpy.context.scene.collection.objects.link(sun)
"""
SHINE = """
import math
bpy.data.objects["Sun"].rotation_euler = (math.pi / 2, 0, math.radians({degrees}))
bpy.context.view_layer.update()
"""
# From each point along the sun's light to the wall.
TO_WALL = """
sun, wall = (bpy.data.objects[name] for name in ("Sun", "Wall"))
shines = sun.matrix_world.to_3x3() @ Vector((0, 0, -1))
points = [point + (wall.location.y - point.y) / shines.y * shines for point in points]
"""


@contextlib.contextmanager
def things(window, **made):
    """While these objects stand in the scene: the Python that makes each, by its name."""
    window.ask("".join(made.values()))
    try:
        yield
    finally:
        window.ask(f"for name in {list(made)}:\n    bpy.data.objects.remove(bpy.data.objects[name])")


def shine(window, degrees):
    """Turns the sun about the head: 0 is behind the camera, −90 shines from the picture's left."""
    window.ask(SHINE.format(degrees=degrees))


def hidden_plate(window):
    """Returns the viewport without the plate: what is behind it."""
    window.ask("face().effigy.plate.hide_set(True)")
    seen = still(window)
    window.ask("face().effigy.plate.hide_set(False)")
    return seen


def shows_head_alone(window, behind, shot):
    """Asserts that the plate shows what is ``behind`` it where the picture is clear, and hides it where it is not."""
    seen, opacity = still(window), pixels(window)[..., 3]
    window.shot(shot)
    texel = texels(opacity.shape)
    clear, solid = clear_and_solid(opacity, texel)
    top = texel[0] == opacity.shape[0] - 1
    assert clear[top][[0, -1]].all(), "the upper corners of this person's picture are not clear"
    there, here = (colours(each, places_of(window, texel, opacity.shape)) for each in (behind, seen))
    assert np.isfinite(there[top][[0, -1]]).all(), "the upper corners are not in the viewport"
    np.testing.assert_array_equal(here[clear], there[clear])
    assert np.nanmean(np.abs(here - there)[solid].max(axis=1) > NEAR) > 0.5, "nor is the head shown"


def test_the_corners_of_a_cut_out_head_show_what_is_behind(window):
    with opened(window, "In the Shot"), things(window, Wall=WALL):
        behind = hidden_plate(window)
        shows_head_alone(window, behind, "05j-head")
        with rolled(window, 0.4):
            shows_head_alone(window, behind, "05j-head-rolled")
        window.press("Whole Picture", PANEL)
        settle(window)
        seen, painted = still(window), picture(window)
        window.shot("05j-whole")
        corner = texels(painted.shape[:2], step=painted.shape[0] - 1)
        places = places_of(window, corner, painted.shape[:2])
        assert np.abs(colours(seen, places) - painted[corner]).max() < NEAR, "the corners are not the picture's"
        assert changed(colours(seen, places), colours(behind, places)) == 1, "the picture's corners look as the wall"
        window.press("^.{0,3}Head$", PANEL)
        settle(window)
        shows_head_alone(window, behind, "05j-head-again")


def cheek(window, jaw, nose):
    """Returns what lies between two landmarks in the viewport: rows and columns."""
    x, y = (np.add(landmark(window, jaw), landmark(window, nose)) / 2).round().astype(int)
    x, y = x - VIEW[1].start, y - VIEW[0].start
    return np.s_[y - 6 : y + 6, x - 6 : x + 6]


def test_light_from_the_left_brightens_the_left_cheek_as_far_as_the_slider_says(window):
    cheeks = cheek(window, 2, 31), cheek(window, 14, 35)  # iBUG's jaw and nose: left and right in the picture

    def brightness(seen):
        return [seen[cheek].mean() for cheek in cheeks]

    with opened(window, "In the Shot"), drawn_by_eevee(window), things(window, Sun=SUN):
        shine(window, -60)
        before = brightness(still(window))
        window.ask("view3d()[1].spaces.active.shading.type = 'RENDERED'")
        hover(window)
        until(
            lambda: np.abs(np.subtract(brightness(viewport(window)), before)).max() < SAME, lambda: "no face is drawn"
        )
        painted = finished_viewport(window)
        window.shot("05k-as-painted")
        _, y = window.find_still("^.{0,3}Lit$", PANEL)
        window.press("^.{0,3}Lit$", PANEL)
        settle(window)
        hover(window)
        until(lambda: changed(viewport(window), painted) > 0.02, lambda: "the scene does not light the face")
        lit = {}
        for side, degrees in (("left", -60), ("right", 60)):
            shine(window, degrees)
            lit[side] = brightness(finished_viewport(window))
            window.shot(f"05k-lit-from-the-{side}")
        assert lit["left"][0] > lit["right"][0] + NEAR, lit
        assert lit["right"][1] > lit["left"][1] + NEAR, lit
        # The slider beside the button goes from 1, lit by the scene, to 0, as painted.
        x = PANEL.stop - 60
        window.drag((x, y), (x - 50, y))
        hover(window)
        low, high = sorted((brightness(painted)[0], lit["right"][0]))
        until(
            lambda: low + SAME < brightness(viewport(window))[0] < high - SAME,
            lambda: "between 0 and 1 it does not look as between the two",
        )
        window.shot("05k-half-lit")
        window.drag((x, y), (x - 200, y))
        hover(window)
        until(lambda: changed(viewport(window), painted) < 5e-4, lambda: "at 0 it does not look as painted")
        window.drag((x, y), (x + 300, y))
        hover(window)
        until(lambda: changed(viewport(window), painted) > 0.02, lambda: "at 1 it looks as painted")
        window.press("^.{0,3}Lit$", PANEL)
        settle(window)
        hover(window)
        until(lambda: changed(viewport(window), painted) < 5e-4, lambda: "switched off it does not look as painted")
        window.find("As painted", PANEL)


def test_the_shadow_on_a_wall_is_the_heads_and_goes_when_it_is_switched_off(window):
    opacity = pixels(window)[..., 3]
    with opened(window, "In the Shot"), drawn_by_eevee(window), things(window, Wall=WALL, Sun=SUN):
        shine(window, 50)  # the shadow falls to the left, where the panel hides less of the wall
        texel = texels(opacity.shape)
        at = {
            "plate": places_of(window, texel, opacity.shape),
            "wall": places_of(window, texel, opacity.shape, TO_WALL),
        }
        beside = at["wall"][:, 0] < at["plate"][:, 0].min()  # where the plate hides nothing of the wall
        beside &= np.isfinite(colours(viewport(window), at["wall"])).all(axis=1)
        clear, solid = clear_and_solid(opacity, texel)
        assert min((clear & beside).sum(), (solid & beside).sum()) > 30, "too little of the shadow is in view"
        window.ask("view3d()[1].spaces.active.shading.type = 'RENDERED'")
        hover(window)

        def seen():
            """The wall's brightness [N] where light goes through each texel of the plate."""
            return colours(finished_viewport(window), at["wall"]).mean(axis=1)

        until(lambda: np.ptp(seen()[beside]) > NEAR, lambda: "there is no shadow")
        shaded = seen()
        window.shot("05l-shadow")
        lit = np.median(shaded[clear & beside])
        assert (shaded < 0.7 * lit)[solid & beside].mean() > 0.97, "the shadow is not as large as the head"
        assert (shaded > 0.9 * lit)[clear & beside].mean() > 0.97, "the shadow is larger than the head"

        def switch():
            window.press("Casts Shadow", PANEL)
            hover(window)
            if window.ask("result = bpy.app.version < (5, 2, 0)"):  # Blender's fault: see docs/artists.md
                shine(window, 60)
                seen()  # drawn there, as a lamp that is put back at once has not moved
                shine(window, 50)
                hover(window)

        switch()
        until(lambda: (seen() > 0.9 * lit)[beside].all(), lambda: "the shadow stays")
        window.shot("05l-no-shadow")
        switch()
        until(lambda: np.abs(seen() - shaded)[beside].max() < NEAR, lambda: "the shadow does not come back")
