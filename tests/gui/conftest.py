# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the window tests, which make gui-test runs; make test does not, since they need root and a chroot."""

from __future__ import annotations

import os
import shutil

import pytest

from .steps import settle
from .window import ROOT, Chroot, Display, Window

SUITE = os.environ.get("EFFIGY_GUI_SUITE", "")

collect_ignore_glob = [] if SUITE else ["test_*.py"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keeps what the window shows when a test fails, in out/gui/SUITE/failed-TEST.png."""
    report = yield
    if report.failed and "window" in item.funcargs:
        item.funcargs["window"].shot(f"failed-{item.name}")
    return report


@pytest.fixture(scope="session")
def window(addon_zip):
    """Starts windowed Blender with the add-on installed from its zip."""
    folder = ROOT / ".gui" / SUITE
    assert (folder / "ready").is_file(), "run make gui-test: it sets the window up"
    work = ROOT / "out" / "gui" / SUITE / "work"
    shutil.rmtree(work, ignore_errors=True)
    chroot = Chroot(folder, work)
    try:
        display = Display(work / "xvfb.log")
        try:
            opened = Window(chroot, display, work, addon_zip, work.parent)
            try:
                yield opened
            finally:
                opened.close()
        finally:
            display.close()
    finally:
        chroot.close()


@pytest.fixture()
def through_camera(window):
    """Looks at the active face through the camera, without what Blender draws over it."""
    look = (
        "scene, space = bpy.context.scene, view3d()[1].spaces.active\n"
        "space.region_3d.view_perspective = 'CAMERA'\n"
        "overlay, lens = space.overlay, scene.camera.data\n"
        "overlay.show_floor = overlay.show_axis_x = overlay.show_axis_y = {0}\n"
        "overlay.show_overlays = lens.show_passepartout = {0}"
    )
    window.ask(look.format(False))
    window.ask("bpy.context.view_layer.objects.active = face(); face().select_set(True)")
    settle(window)
    yield
    window.ask(look.format(True))
