# SPDX-License-Identifier: Apache-2.0
"""What the page shows, without a browser; tests/page clicks through it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import io
import json
import os
import socket
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

import effigy
from effigy.faces import FIRST_BUNDLE, load_face_model
from effigy.faces.person import read_person
from effigy.generators import PictureError
from effigy.landmarks import load_detector
from effigy.page import curves, markup
from effigy.page import serve as serving
from effigy.page.basis import basis_of
from effigy.page.loopback import Loopback
from effigy.page.methods import asked_points, compare, read
from effigy.page.opening import Opening
from effigy.page.photographs import PhotographError, read_photograph, taken_over
from effigy.page.portraits import FAILURES, PortraitMaker, save
from effigy.page.studio import Studio, visible
from effigy.page.uploads import LARGEST, Uploads
from effigy.page.view import PageView
from effigy.painting import Moment, PaintingError
from effigy_protocol.png import read_texts

FACE = Path(__file__).parents[1] / "fixtures" / "photo" / "networks.npz"


@pytest.fixture(scope="module")
def studio(default_model):
    return Studio(FIRST_BUNDLE, default_model, load_detector("embedded", Path(FIRST_BUNDLE) / "detector.safetensors"))


def file_of(look):
    return base64.b64decode(look["src"].partition(",")[2])


def test_the_picture_is_the_file_that_the_api_writes(studio, default_model, tmp_path):
    controls = {"jawOpen": 0.5, "skinTone": 1.0}
    asked = PageView(3, moment=Moment(20.0, -5.0, controls, 0.5))
    look = studio.look(json.loads(json.dumps(asked.as_sent())))
    who = effigy.person(3, model=default_model)
    effigy.paint(who, yaw=20, pitch=-5, controls=controls, keep=0.5, out=tmp_path / "a.png", model=default_model)
    assert file_of(look) == (tmp_path / "a.png").read_bytes()
    assert look["clamped"] == []
    assert look["words"] == "the face of seed 3, yaw 20°, pitch -5°, jawOpen 0.50, skinTone 1.00"
    assert read_texts(file_of(look))


def test_at_rest_it_shows_the_persons_own_pose(studio, default_model):
    look = studio.look(PageView(seed=3).as_sent())
    pose = default_model.open_seed(3).pose
    assert (look["yaw"], look["pitch"]) == (pose.yaw, pose.pitch)


@pytest.mark.parametrize(
    "sent",
    [
        None, [], {}, {"seed": -1}, {"seed": True}, {"seed": 1.5}, {"seed": 2**32}, {"seed": 0, "yaw": "left"},
        {"seed": 0, "pitch": float("nan")}, {"seed": 0, "controls": {"wings": 1.0}}, {"seed": 0, "controls": [1]},
        {"seed": 0, "controls": {"jawOpen": None}}, {"seed": 0, "show": "albedo"}, {"seed": 0, "show": 7},
        {"seed": 0, "truncation": "much"}, {"seed": 0, "yaw": 1e300},
        {"seed": 0, "keep": None},
    ],
)  # fmt: skip
def test_what_a_browser_should_not_send_is_answered_in_words(studio, sent):
    assert set(studio.look(sent)) == {"problem"}


def test_what_is_asked_survives_the_browser(default_model):
    asked = PageView(7, 0.5, Moment(-3.0, None, {"browUp": 0.25}))
    assert PageView.read(default_model, json.loads(json.dumps(asked.as_sent()))) == asked


def test_a_picture_that_cannot_be_painted_is_answered_in_words(studio, monkeypatch):
    def burst(ws):
        raise PictureError("its generator overflows")

    monkeypatch.setattr(studio.model, "finals", burst)
    for show in ("picture", "depth"):
        assert "overflows" in studio.look(PageView(show=show).as_sent())["problem"]


@pytest.mark.parametrize("paints_planes", [True, False])
def test_passes_are_shown_of_every_model(planes_bundle, default_model, paints_planes):
    model = load_face_model(planes_bundle, "cpu") if paints_planes else default_model
    studio = Studio(planes_bundle, model, None)
    pictures = {show: studio.look(PageView(show=show).as_sent()) for show in ("picture", "head", "normal", "depth")}
    shapes = {show: iio.imread(io.BytesIO(file_of(look))).shape for show, look in pictures.items()}
    colours = {"picture": 3, "head": 4, "normal": 3, "depth": 3}
    assert shapes == {show: (128, 128, channels) for show, channels in colours.items()}
    assert all(f'value="{show}"' in markup.studio_markup(model) for show in pictures)


def test_a_flat_pass_is_shown_too():
    assert visible(np.full((2, 2, 1), 3.0, np.float32)).shape == (2, 2, 3)
    assert visible(np.array([[[-1.0, 0.0, 1.0]]], np.float32)).tolist() == [[[0, 128, 255]]]


def test_chance_takes_a_calm_person(studio):
    assert 0 <= studio.chance(PageView().as_sent()) < 2**32


def test_methods_answer_the_same_question(studio, default_model):
    person = default_model.open_seed(5)
    compared = compare(default_model, studio.detector, person, 15.0, 0.0, {})
    assert [each.method for each in compared] == ["newton", "linear", "alternating", "gradient"]
    assert all(each.read is not None and abs(each.read.yaw - 15) < 6 and each.read.error < 8 for each in compared)
    assert all(np.array_equal(each.asked, compared[0].asked) for each in compared)
    text = markup.methods_markup(compared, "yaw 15°")
    assert text.count("<article") == 4
    assert text.count("<circle") == 4 * 2 * 68


def test_at_rest_the_landmarks_asked_for_are_those_that_are_seen(studio, default_model):
    person = default_model.open_seed(5)
    wanted = asked_points(default_model, person, person.pose.yaw, person.pose.pitch, {})
    seen = read(
        default_model, studio.detector, default_model.edit(person, person.pose.yaw, person.pose.pitch, {}), wanted
    )
    assert seen is not None
    assert seen.error < 3  # percent of the outer-eye distance
    assert np.abs(seen.points - wanted).max() < 0.05


def test_without_a_detector_of_its_landmarks_the_page_says_how_to_get_one(default_model):
    class OtherLandmarks:
        topology = "mediapipe478"

    studio = Studio(FIRST_BUNDLE, default_model, OtherLandmarks())
    assert studio.detector is None
    compared = compare(default_model, None, default_model.open_seed(5), 15.0, 0.0, {})
    assert "--landmarks" in markup.methods_markup(compared, "")
    assert "The way of an inverse" in curves.measure_and_draw(default_model, None)


def test_the_basis_is_the_shape_model(default_model):
    told = json.loads(json.dumps(basis_of(default_model)))
    shape = default_model.shape
    alpha = np.random.default_rng(0).normal(size=len(shape.basis))
    order = [int(name[1:]) - 1 for name in told["names"]]
    X = np.array(told["mean"]) + alpha[order] @ np.array(told["basis"])
    assert np.abs(X.reshape(3, -1) - shape.shape(alpha[None])[0]).max() < 1e-3  # they are rounded to 1e-4
    assert told["sizes"] == sorted(told["sizes"], reverse=True)


def test_calibration_and_errors_are_of_a_fit_that_works(studio, default_model):
    turns = curves.calibrate(default_model, studio.detector, people=1, angles=3)
    assert [0.8 < turn.slope < 1.2 for turn in turns] == [True, True]
    of_shape, of_phi = curves.unseen_errors(default_model, studio.detector, faces=3)
    assert 0 < of_shape.mean() < of_phi.mean() < 3
    assert curves.draw_calibration(turns).startswith("<svg")
    assert curves.draw_errors(of_shape, of_phi).startswith("<svg")


def test_a_photographs_pose_is_taken_over(studio, default_model, tmp_path):
    iio.imwrite(tmp_path / "face.png", np.load(FACE)["face"])
    photograph = read_photograph(studio, tmp_path / "face.png")
    text = markup.photograph_markup(photograph, default_model)
    assert text.count("<circle") == 478
    assert text.count("<tr") == 1 + 3 + len(default_model.controls)
    asked = taken_over(studio, PageView(seed=9), photograph.reading)
    assert asked.seed == 9
    assert asked.moment.controls.keys() == default_model.controls.keys()
    assert studio.look(asked.as_sent())["clamped"] == []


def test_what_is_no_photograph_of_a_face_is_said(studio, tmp_path):
    (tmp_path / "no.png").write_bytes(b"not a picture")
    iio.imwrite(tmp_path / "grey.png", np.full((64, 64, 3), 128, np.uint8))
    for name in ("no.png", "grey.png"):
        with pytest.raises(PhotographError) as error:
            read_photograph(studio, tmp_path / name)
        assert str(tmp_path) not in str(error.value)
        assert 'role="alert"' in markup.problem_markup(str(error.value))


def test_names_of_a_model_are_not_markup(default_model):
    model = copy.copy(default_model)
    model.name = "<script>alert(1)</script>"
    assert "<script" not in markup.heading(model)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:7860"}, 200),
        ({"host": "localhost:7860", "origin": "http://localhost:7860"}, 200),
        ({"host": "elsewhere.example:7860"}, 403),
        ({"host": "127.0.0.1:7861"}, 403),
        ({"host": "127.0.0.1:7860", "origin": "https://elsewhere.example"}, 403),
        ({"host": "127.0.0.1:7860", "origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_only_this_machines_own_page_is_answered(headers, status):
    assert asyncio.run(ask(headers))[0] == status


def test_the_browser_is_told_to_ask_nobody_else():
    _, sent = asyncio.run(ask({"host": "127.0.0.1:7860"}))
    policy = dict(sent)[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "http" not in policy


async def ask(headers):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    await Loopback(app, 7860)(scope, None, send)
    return sent[0]["status"], sent[0]["headers"]


async def get(app, path):
    sent = []

    async def send(message):
        sent.append(message)

    await app({"type": "http", "path": path, "headers": []}, None, send)
    return b"".join(message.get("body", b"") for message in sent)


async def living(opening, do):
    """What ``do`` gives while ``opening`` is served; its life has ended then."""
    to, of = asyncio.Queue(), asyncio.Queue()
    life = asyncio.create_task(opening({"type": "lifespan"}, to.get, of.put))
    await to.put({"type": "lifespan.startup"})
    assert (await of.get())["type"] == "lifespan.startup.complete"
    given = await do()
    await to.put({"type": "lifespan.shutdown"})
    await life
    assert (await of.get())["type"] == "lifespan.shutdown.complete"
    return given


def test_the_first_picture_is_seen_before_the_page_is_there():
    opening, happened = Opening(), []

    async def page(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the page"})

    @contextlib.asynccontextmanager
    async def life():
        happened.append("begun")
        yield
        happened.append("ended")

    async def look():
        seen = [await get(opening, "/"), json.loads(await get(opening, "/opening"))]
        opening.show("data:,", "a face")
        seen.append(json.loads(await get(opening, "/opening")))
        await asyncio.to_thread(opening.hand_over, page, life())
        assert happened == ["begun"]
        return [*seen, await get(opening, "/"), json.loads(await get(opening, "/opening"))["ready"]]

    html, nothing, picture, later, ready = asyncio.run(living(opening, look))
    assert b"http" not in html, "it asks nobody else"
    assert nothing == {"ready": False}
    assert picture == {"src": "data:,", "words": "a face", "ready": False}
    assert (later, ready) == (b"the page", True)
    assert happened == ["begun", "ended"]


def test_a_page_that_does_not_begin_says_why_to_who_hands_it_over():
    opening = Opening()

    @contextlib.asynccontextmanager
    async def life():
        raise OSError("the disk is full")
        yield

    async def hand():
        with pytest.raises(OSError, match="the disk is full"):
            await asyncio.to_thread(opening.hand_over, None, life())
        return json.loads(await get(opening, "/opening"))

    assert asyncio.run(living(opening, hand)) == {"ready": False}


def test_bad_questions_are_refused_with_words(default_model):
    with pytest.raises(PaintingError, match="whole number"):
        PageView.read(default_model, {"seed": "three"})
    for value in (float("nan"), 10**400, True, "1", [0]):  # JSON of a browser has all of these
        with pytest.raises(PaintingError, match="must be a number"):
            PageView.read(default_model, {"seed": 3, "yaw": value})


def test_a_port_that_is_taken_and_a_missing_gradio_are_said(studio, monkeypatch):
    monkeypatch.setattr(serving, "_prepare", lambda folder: None)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(serving.PageError, match=r"install Effigy with its extra, '\.\[page\]'"):
        serving.serve(lambda: studio, 0, open_browser=False, announce=print)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(serving.PageError, match=f"port {port} cannot be used"):
            serving.serve(lambda: studio, port, open_browser=False, announce=print)


# --- a photograph becomes a person -------------------------------------------------------------------


def test_a_person_is_made_step_by_step_and_posed(studio, default_model, tmp_path, monkeypatch):
    monkeypatch.setattr("effigy.people.inversion._DESCENTS", 4)
    own, maker = default_model.paint(default_model.open_seed(4_000_001).ws[None])[0], PortraitMaker(studio)
    picture = tmp_path / "own.png"
    iio.imwrite(picture, own)
    shown, faces = maker.faces(picture)
    assert faces == 1
    assert shown.shape == own[..., :3].shape
    looks = list(maker.make(picture, 1, tuned=False))
    assert [look.made is not None for look in looks] == [False] * (len(looks) - 1) + [True]
    assert [look.share for look in looks] == sorted(look.share for look in looks)
    cut, painted = np.split(looks[-1].picture.astype(int), 2, axis=1)
    assert np.array_equal(cut, own[..., :3])
    assert np.abs(cut - painted).mean() < 5
    made = looks[-1].made
    assert read_person(save(made, tmp_path)).to_bytes() == made.person.to_bytes()
    turned = maker.pose(made.identity, 20.0, 0.0, {"jawOpen": 0.5})
    assert np.abs(turned.astype(int) - painted).mean() > 2
    assert len(list(maker.make(picture, 1, tuned=False))) == 1, "it was found before"
    iio.imwrite(picture, np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(FAILURES, match="no face"):
        maker.faces(picture)


def test_the_tab_shows_progress_and_what_came_of_it():
    pictures = np.zeros((128, 256, 3), np.uint8)
    assert 'value="25"' in markup.progress_markup(0.25, None)
    assert "met to 31.0 dB" in markup.progress_markup(1.0, pictures, "the face is met to 31.0 dB")
    assert "&lt;b&gt;" in markup.picture_markup(pictures, "<b>")


def test_uploads_are_bounded_in_total(tmp_path):
    """The oldest go first, wherever Gradio put them."""
    for number in range(6):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        (folder / "picture.png").write_bytes(bytes(100))
        os.utime(folder / "picture.png", (number, number))
    asked = []

    async def app(scope, receive, send):
        asked.append(sorted(path.parent.name for path in tmp_path.rglob("*.png")))

    guarded = Uploads(app, tmp_path, most=LARGEST + 250)
    asyncio.run(guarded({"type": "http", "method": "GET", "path": "/gradio_api/upload"}, None, None))
    asyncio.run(guarded({"type": "http", "method": "POST", "path": "/gradio_api/upload"}, None, None))
    assert asked == [["0", "1", "2", "3", "4", "5"], ["4", "5"]]
