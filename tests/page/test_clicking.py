# SPDX-License-Identifier: Apache-2.0
"""Clicks through the page, at desktop and phone widths; screenshots are in out/page/, to be looked at."""

from __future__ import annotations

import socket
import statistics
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import psutil
import pytest

from .conftest import SHOTS

FACE = Path(__file__).parents[1] / "fixtures" / "photo" / "networks.npz"
WINDOWS = pytest.mark.parametrize(
    "view",
    [(1280, 900, "light"), (390, 844, "dark")],
    indirect=True,
    ids=["desktop", "phone"],
)


def shoot(view, name):
    kind = "phone" if view.viewport_size["width"] < 600 else "desktop"
    view.screenshot(path=SHOTS / f"{kind}-{name}.png", full_page=True)


def painted(view):
    return int(view.locator("[data-painted]").get_attribute("data-painted"))


def after_painting(view, do):
    """Does something, and waits for the picture of it."""
    before, shown = painted(view), view.locator("img.face").get_attribute("src")
    do()
    view.wait_for_function(
        "([n, src]) => Number(document.querySelector('[data-painted]').dataset.painted) > n"
        " && document.querySelector('img.face').src !== src",
        arg=[before, shown],
    )


def slide(view, name, value):
    view.get_by_role("slider", name=name, exact=True).first.evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


@pytest.mark.parametrize(
    "view", [(1280, 900, "light"), (390, 844, "light"), (320, 568, "dark")], indirect=True,
    ids=["desktop", "phone", "small-phone"],
)  # fmt: skip
def test_every_tab_is_seen(view):
    """None is behind a menu, and none sticks out."""
    names = ("Pose", "Methods", "Photo", "Person", "Basis", "Fit")
    boxes = [view.get_by_role("tab", name=name, exact=True).bounding_box(timeout=5_000) for name in names]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= view.viewport_size["width"] for box in boxes)
    assert view.get_by_role("button", name="More tabs").count() == 0


@WINDOWS
def test_a_face_is_posed(view):
    shoot(view, "start")
    pad = view.get_by_role("slider", name="Pose pad")
    box = pad.bounding_box()
    after_painting(view, lambda: view.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.3 * box["height"]))
    yaw = float(view.get_by_role("slider", name="Yaw", exact=True).input_value())
    assert 15 < yaw < 25
    after_painting(view, lambda: slide(view, "jawOpen", "0.8"))
    assert "jawOpen 0.80" in view.locator("img.face").get_attribute("alt")
    shoot(view, "posed")
    overflow = view.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, "nothing sticks out to the right"
    after_painting(view, lambda: view.get_by_text("Head", exact=True).click())
    shoot(view, "head")
    after_painting(view, view.get_by_role("button", name="Neutral").click)
    assert "jawOpen" not in view.locator("img.face").get_attribute("alt")
    after_painting(view, lambda: view.get_by_label("Seed").fill("42"))
    assert "seed 42" in view.locator("img.face").get_attribute("alt")
    after_painting(view, view.get_by_role("button", name="Another person").click)


@WINDOWS
def test_methods_are_compared(view):
    slide(view, "Yaw", "20")
    view.get_by_role("tab", name="Methods").click()
    view.get_by_role("button", name="Compare the methods").click()
    for method in ("newton", "linear", "alternating", "gradient"):
        view.get_by_role("article", name=method).wait_for()
    assert "yaw 20°" in view.locator(".legend").inner_text()
    shoot(view, "methods")
    view.get_by_role("checkbox", name="Landmarks").uncheck()
    assert not view.locator(".points").first.is_visible()


@WINDOWS
def test_a_photograph_poses_the_person(view, tmp_path):
    iio.imwrite(tmp_path / "face.png", np.load(FACE)["face"])
    view.get_by_role("tab", name="Photo").click()
    view.locator("#source input[type=file]").set_input_files(tmp_path / "face.png")
    view.get_by_role("img", name="The landmarks that are read in it").wait_for()
    shoot(view, "photo")
    take = view.get_by_role("button", name="Pose the person like this")
    after_painting(view, take.click)
    assert view.get_by_role("tab", name="Pose").get_attribute("aria-selected") == "true"
    assert "mouthSmile" in view.locator("img.face").get_attribute("alt")


def test_a_photograph_becomes_a_person(view, tmp_path):
    """Of a picture with two faces: the page asks which, shows both side by side, and poses the person."""
    faces = np.load(FACE)["face"]
    iio.imwrite(tmp_path / "two.png", np.concatenate([faces, faces], axis=1))
    view.get_by_role("tab", name="Person").click()
    view.locator("#person-source input[type=file]").set_input_files(tmp_path / "two.png")
    view.get_by_role("img", name="2 faces, numbered by size").wait_for()
    view.get_by_label("2", exact=True).check()
    view.get_by_role("button", name="Make a person").click()
    view.get_by_role("progressbar").first.wait_for()
    shoot(view, "person-made")
    view.get_by_text("the face is met to").wait_for(timeout=300_000)
    turn = view.get_by_role("slider", name="Turn").first
    turn.focus()
    for _ in range(5):
        turn.press("ArrowRight")
    view.get_by_role("img", name="the person, posed").wait_for()
    shoot(view, "person-posed")


def test_the_cameras_still_is_read(view):
    """Chromium's camera is a test pattern, in which there is no face: the page says so."""
    view.get_by_role("tab", name="Photo").click()
    view.get_by_label("Capture from camera").click()
    view.locator("#source").get_by_role("button").filter(has_text="Click to Access Webcam").or_(
        view.locator("#source [aria-label='capture photo'], #source [aria-label='start camera']")
    ).first.click()
    view.locator("#source video").wait_for()
    view.wait_for_function("document.querySelector('#source video').videoWidth > 0")
    view.locator("#source [aria-label='capture photo']").first.click()
    view.get_by_role("alert").filter(has_text="No face is seen").wait_for()


@WINDOWS
def test_the_basis_turns_and_moves(view):
    view.get_by_role("tab", name="Basis").click()
    canvas = view.locator(".basis canvas")
    canvas.wait_for()
    view.get_by_role("button", name="Turning").click()  # it stands still now
    still = canvas.screenshot()
    slide(view, "α1, in standard deviations", "3")
    assert canvas.screenshot() != still
    assert "1 of" in canvas.get_attribute("aria-label")
    shoot(view, "basis")
    view.get_by_role("button", name="Mean face").click()
    assert canvas.screenshot() == still
    canvas.press("ArrowRight")
    assert canvas.screenshot() != still


def test_the_fit_is_measured(view):
    view.get_by_role("tab", name="Fit").click()
    view.get_by_role("button", name="Measure the fit").click()
    view.get_by_role("heading", name="Calibration of turns").wait_for()
    shoot(view, "fit")
    assert view.locator(".curves svg").count() == 3


def test_keys_do_what_the_mouse_does(view):
    """Nothing needs a mouse, and what can be moved has a name and says its value."""
    pad = view.get_by_role("slider", name="Pose pad")
    pad.focus()
    after_painting(view, lambda: pad.press("ArrowRight"))
    after_painting(view, lambda: pad.press("Shift+ArrowUp"))
    assert "yaw" in pad.get_attribute("aria-valuetext")
    jaw = view.get_by_role("slider", name="jawOpen")
    jaw.focus()
    after_painting(view, lambda: jaw.press("End"))
    assert jaw.get_attribute("aria-valuetext") == "1.00"
    view.get_by_role("tab", name="Pose").focus()
    for control in view.locator("#studio").locator("input, button, a, [tabindex='0']").all():
        named = control.evaluate(
            "e => e.getAttribute('aria-label') || e.closest('label')?.textContent || e.textContent"
        )
        assert named.strip()


def test_a_wrong_seed_changes_nothing(view):
    before = view.locator("img.face").get_attribute("src")
    view.get_by_label("Seed").fill("-5")
    view.get_by_label("Seed").fill("")
    view.wait_for_timeout(500)
    assert view.locator("img.face").get_attribute("src") == before


def test_it_listens_on_this_machine_alone(program):
    port = int(program.address.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as asking:
        asking.settimeout(5)
        assert asking.connect_ex(("127.0.0.1", port)) == 0
    ours = {address[4][0] for address in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for host in ours - {"127.0.0.1", "127.0.1.1"}:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as asking:
            asking.settimeout(5)
            assert asking.connect_ex((host, port)) != 0


_TURN = """async yaw => {
  const face = document.querySelector('img.face'), slider = document.querySelector('input[name=yaw]');
  const seen = new Promise(seen => face.addEventListener('load', seen, { once: true })), began = performance.now();
  slider.value = yaw;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  await seen;
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""


def test_how_fast_it_is(program, browser):
    """Prints the figures of docs/benchmarks.md. On a busy machine only its processor time means anything."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    view = context.new_page()
    view.goto(program.address)
    view.locator("[data-painted]").wait_for(state="attached", timeout=120_000)
    for number in range(5):
        view.evaluate(_TURN, number)
    before = processor_times(program)
    times = [view.evaluate(_TURN, number + 10) for number in range(20)]
    spent = [1e3 * (now - then) / 20 for now, then in zip(processor_times(program), before, strict=True)]
    context.close()
    print(
        f"\nstart to first picture {program.first[0]:.1f} s ({program.first[1]:.1f} s of processor time); "
        f"interaction: median {statistics.median(times):.0f} ms ({spent[0]:.0f} of the program's processor time, "
        f"{spent[1]:.0f} of the browser's)"
    )


def processor_times(program):
    """Seconds of processor time that the page's program and the browser have taken."""
    browsers = [each for each in psutil.Process().children(recursive=True) if "chrom" in each.name().lower()]
    return [
        sum(sum(each.cpu_times()[:2]) for each in some) for some in ([psutil.Process(program.process.pid)], browsers)
    ]
