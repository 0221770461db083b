# SPDX-License-Identifier: Apache-2.0
"""Helpers of the window tests: the state of the face, its place on the screen, waiting until it is at rest."""

from __future__ import annotations

import contextlib
import time

import numpy as np

from .window import PATIENCE

PANEL = slice(955, 1215)  # the side panel's columns
SAME = 14  # levels of a pixel: what is drawn of a picture is at most so far from it
NEAR = 40  # levels of a pixel: more than anti-aliasing changes, less than anything visible
VIEW = np.s_[120:850, 80 : PANEL.start]  # rows and columns of the 3D viewport that nothing covers

PREPARE = """
bpy.context.preferences.view.ui_scale = 1.0
bpy.context.preferences.view.show_tooltips = False
bpy.context.preferences.view.smooth_view = 0
bpy.context.preferences.system.viewport_aa = "FXAA"  # what is drawn in software is drawn once, not eight times
window, area, region = view3d()
area.spaces.active.show_region_ui = True
area.spaces.active.overlay.show_stats = False
"""
CATEGORY = """
window, area, region = view3d()
ui = next(r for r in area.regions if r.type == "UI")
ui.active_panel_category = "Effigy"
ui.tag_redraw()
"""


def values(window):
    return window.ask("result = {b.name: b.value for b in face().data.shape_keys.key_blocks[1:]}")


def picture(window):
    """Returns the face's picture in Blender's memory, [H, W, 3] bytes, bottom row first."""
    return pixels(window)[..., :3]


def pixels(window):
    """Returns the face's picture with its alpha, [H, W, 4] bytes, bottom row first."""
    flat = window.ask(
        "image = face().effigy.image\n"
        "import numpy as np\n"
        "values = np.empty(len(image.pixels), dtype=np.float32)\n"
        "image.pixels.foreach_get(values)\n"
        "result = [image.size[1], image.size[0], np.round(values * 255).astype(int).tolist()]"
    )
    return np.array(flat[2], dtype=np.uint8).reshape(flat[0], flat[1], 4)


def settle(window):
    """Waits until the picture is the exact one of the present scene."""
    question = (
        "run = addon('blender.pictures.runs').run_of(face()).follower\n"
        "changes = addon('blender.pictures.activity').changes\n"
        "result = [run.is_exact and run.shown == run.wanted and not changes.are_live, run.problem]"
    )
    end = time.monotonic() + PATIENCE
    quiet = 0
    while quiet < 3:
        rests, problem = window.ask(question)
        assert not problem, problem
        assert time.monotonic() < end, "the picture does not come to rest"
        quiet = quiet + 1 if rests else 0
        time.sleep(0.1)


def until(holds, why):
    """Waits until ``holds()`` is true; if that takes too long, ``why()`` says what is wrong."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, why()
        time.sleep(0.2)


def viewport(window):
    """Returns the viewport's pixels, drawn now: on a busy machine Blender draws long after it has changed something."""
    window.ask(
        "for opened in bpy.context.window_manager.windows:\n"
        "    with bpy.context.temp_override(window=opened):\n"
        "        bpy.ops.wm.redraw_timer(type='DRAW_WIN_SWAP', iterations=1)"
    )
    return window.look()[VIEW].astype(float)


def still(window):
    """Returns the viewport's pixels when nothing lies under the pointer."""
    hover(window)
    time.sleep(1.0)
    return viewport(window)


def changed(one, other):
    """Returns the share of pixels that differ by more than ``NEAR``."""
    return (np.abs(one - other).max(axis=-1) > NEAR).mean()


def finished_viewport(window):
    """Returns the viewport's pixels once two looks are equal: Material Preview refines them sample by sample."""
    looks = [viewport(window)]

    def rests():
        looks.append(viewport(window))
        return np.array_equal(*looks[-2:])

    until(rests, lambda: "the viewport does not come to rest")
    return looks[-1]


@contextlib.contextmanager
def drawn_by_eevee(window):
    """While EEVEE draws the viewport, if its shading is changed to Material Preview or Rendered: colours are those of
    solid views, and a look is one sample, unmixed with what was there before. Puts the solid view back.
    """
    window.ask(
        "scene = bpy.context.scene\n"
        "bpy.app.driver_namespace['transform'] = scene.view_settings.view_transform\n"
        "bpy.app.driver_namespace['samples'] = scene.eevee.taa_samples\n"
        "scene.view_settings.view_transform, scene.eevee.taa_samples = 'Standard', 1\n"
        "scene.eevee.use_taa_reprojection = False"
    )
    try:
        yield
    finally:
        window.ask(
            "view3d()[1].spaces.active.shading.type, scene = 'SOLID', bpy.context.scene\n"
            "scene.view_settings.view_transform = bpy.app.driver_namespace.pop('transform')\n"
            "scene.eevee.taa_samples = bpy.app.driver_namespace.pop('samples')\n"
            "scene.eevee.use_taa_reprojection = True"
        )


@contextlib.contextmanager
def rolled(window, angle):
    """While the head is rolled by ``angle`` (radians) as the camera sees it."""
    window.ask(
        "from mathutils import Matrix, Vector\n"
        "proxy = face()\n"
        "sight = bpy.context.scene.camera.matrix_world.to_3x3() @ Vector((0, 0, 1))\n"
        "bpy.app.driver_namespace['stood'] = proxy.matrix_world.copy()\n"
        "place = Matrix.Translation(proxy.location)\n"
        f"proxy.matrix_world = place @ Matrix.Rotation({angle}, 4, sight) @ place.inverted() @ proxy.matrix_world"
    )
    settle(window)
    try:
        yield
    finally:
        window.ask("face().matrix_world = bpy.app.driver_namespace.pop('stood')")
        settle(window)


@contextlib.contextmanager
def whole_picture(window):
    """While the face shows its whole picture, as it was painted, rather than the head alone as new faces do."""
    window.ask("face().effigy.matte = 'NONE'")
    settle(window)
    try:
        yield
    finally:
        window.ask("face().effigy.matte = 'HEAD'")
        settle(window)


@contextlib.contextmanager
def opened(window, name):
    """While a closed part of the panel is open: what stands below it is where it was before and afterwards."""
    toggle(window, name)
    try:
        yield
    finally:  # or what stands below it is out of sight for all later tests
        toggle(window, name)


def toggle(window, name):
    """Opens or closes a part of the panel: beside its name, which the pointer would hide from the next reading."""
    _, y = window.find_still(f"^.{{0,3}}{name}$", PANEL)
    window.click(PANEL.stop - 60, y)


def landmark(window, index):
    """Returns where a landmark is on the screen."""
    return tuple(
        window.ask(
            "from bpy_extras.view3d_utils import location_3d_to_region_2d\n"
            "window, area, region = view3d()\n"
            "proxy = face().evaluated_get(bpy.context.evaluated_depsgraph_get())\n"
            "view = area.spaces.active.region_3d\n"
            f"place = location_3d_to_region_2d(region, view, proxy.matrix_world @ proxy.data.vertices[{index}].co)\n"
            "result = screen(region, place)"
        )
    )


def choose_file(window, path, shot=None, untick=None):
    """Enters a path into the file browser that a button opened, switches an option off, and presses its button."""
    until(lambda: window.ask(_BROWSER + "result = browser is not None"), window.console)
    window.ask(
        _BROWSER + f"browser.spaces.active.params.directory = {str(path.parent)!r}.encode()\n"
        f"browser.spaces.active.params.filename = {path.name!r}\n"
        "browser.tag_redraw()"
    )
    time.sleep(1.0)
    if shot is not None:
        window.shot(shot)
    if untick is not None:
        window.press(untick, _OPTIONS)
    window.move(600, 450)  # into the browser, where Return is its button
    window.keys("Return")
    until(lambda: window.ask(_BROWSER + "result = browser is None"), window.console)


_OPTIONS = slice(950, 1230)  # the columns of a file browser's options
_BROWSER = """
areas = [area for window in bpy.context.window_manager.windows for area in window.screen.areas]
browser = next((area for area in areas if area.type == "FILE_BROWSER"), None)
"""


def put_tool_away(window):
    """Activates Blender's own first tool, as the toolbar does."""
    window.ask(
        "window, area, region = view3d()\n"
        "with bpy.context.temp_override(window=window, area=area, region=region):\n"
        "    bpy.ops.wm.tool_set_by_id(name='builtin.select_box')"
    )


def hover(window):
    """Moves the mouse into an empty part of the viewport."""
    window.move(300, 780)


def lives(pid):
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def shows_face(window, near=SAME):
    """Returns whether the viewport shows the cheek's own colour."""
    cheek = np.median(picture(window)[50:80, 50:78].reshape(-1, 3), axis=0)
    return (np.abs(viewport(window) - cheek).max(axis=2) < near).mean() > 0.002
