# SPDX-License-Identifier: Apache-2.0
"""People made of pictures: aligned, inverted, kept in files, and pasted back."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save
from typer.testing import CliRunner

from effigy import api
from effigy.cli import app
from effigy.faces import LatentError
from effigy.faces.encoder import Encoder, read_encoder
from effigy.faces.latent import latent_to_bytes
from effigy.faces.person import MOST_BYTES, Person, PersonError, read_person, write_person
from effigy.faces.sight import Traits
from effigy.landmarks.photo import Crop, PhotoReader, cut
from effigy.painting.shots import Shot, paint_shots
from effigy.people import making
from effigy.people import paste as paste_module
from effigy.people.alignment import UnfitModelError, align, crop_of, ffhq_crop, to_crop
from effigy.people.making import Made, make_person, psnr, target_of
from effigy.people.paste import NoPlaceError, paste
from effigy.people.stages import Kept, Unfinished
from effigy.service.jobs import Jobs
from effigy.service.portraits import Portraits
from effigy_protocol.messages import Done, Error, FromLatent, FromPhoto, OpenIdentity, Working
from effigy_protocol.png import read_texts
from effigy_protocol.record import KEYWORD, is_person

FACE = Path(__file__).parents[1] / "fixtures" / "photo" / "networks.npz"
SEED = 4_000_001  # whom no fit has seen


@pytest.fixture(scope="module")
def reader() -> PhotoReader:
    return PhotoReader()


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.load(FACE)["face"]


@pytest.fixture(scope="module")
def painted(default_model) -> np.ndarray:
    return default_model.paint(default_model.open_seed(SEED).ws[None])[0]


@pytest.fixture()
def person(default_model) -> Person:
    ws = default_model.open_seed(SEED).ws.numpy()[:1]
    return default_model.person(ws, {"source": {"sha256": "0" * 64}, "provenance": [{"made": "by a test"}]})


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


# --- the encoder -------------------------------------------------------------------------------------


def test_an_encoder_finds_what_is_linear_and_reads_as_it_was_written(tmp_path):
    random = torch.Generator().manual_seed(0)
    features = [torch.randn(200, size, generator=random) for size in (30, 5)]
    true = torch.randn(35, 4, generator=random, dtype=torch.float64)
    v = torch.cat(features, dim=1).double() @ true + 3
    encoder = Encoder.learn(features, v, None)
    seen = Traits(tuple(features), None, None)
    assert float((encoder(seen) - v).square().mean() / v.var()) < 0.01
    encoder.save(tmp_path)
    again = read_encoder(tmp_path, encoder.entry(), 4, None, torch.device("cpu"))
    assert torch.equal(again(seen), encoder(seen))
    with pytest.raises(ValueError, match="where this model has"):
        read_encoder(tmp_path, encoder.entry(), 5, None, torch.device("cpu"))


# --- alignment ---------------------------------------------------------------------------------------


def test_a_crop_and_its_corners_tell_the_same():
    crop = Crop(300.0, 200.0, 120.0, 0.3)
    inside = np.array([[0.1, 0.7], [0.5, 0.5], [1.0, 0.0]])
    assert np.allclose(to_crop(crop, crop.to_picture(inside)), inside)
    corners = crop.to_picture(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    again = crop_of(corners)
    assert np.allclose([again.x, again.y, again.side, again.angle], [300, 200, 120, 0.3])


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2])
def test_a_face_is_found_where_the_model_would_have_painted_it(default_model, reader, painted, angle):
    inside = Crop(64.0, 64.0, 128 * 2.5, -angle)  # the painted picture lies in the middle of a larger one, turned
    larger = cut(torch.from_numpy(painted), inside, 480).mul(255).round().byte().numpy()
    found = align(default_model, reader, larger, how="model")
    assert abs(found.crop.x - 240) + abs(found.crop.y - 240) < 12
    assert found.crop.side == pytest.approx(480 / 2.5, rel=0.08)
    assert found.crop.angle == pytest.approx(angle, abs=0.06)
    assert not found.framed


def test_a_picture_that_is_cut_already_is_taken_whole(default_model, reader, painted):
    found = align(default_model, reader, painted)
    assert found.framed
    assert torch.allclose(found.picture, tensor(painted), atol=1e-4)
    assert np.array_equal(found.quad, [[0, 0], [128, 0], [128, 128], [0, 128]])
    assert not align(default_model, reader, painted, how="ffhq").framed


def test_ffhq_cuts_by_eyes_and_mouth(reader, photo):
    """The square's side is twice its half, which is the larger of 2 × the eyes' and 1.8 × the mouth's distance."""
    (face,) = reader.read(photo)
    crop = ffhq_crop(face)
    eyes, mouth = to_crop(crop, face.points[[468, 473], :2]), to_crop(crop, face.points[[61, 291], :2])
    assert np.abs(eyes.mean(axis=0) - [0.5, 0.48]).max() < 0.03
    assert abs(eyes[0, 1] - eyes[1, 1]) < 0.03, "the eyes lie level"
    assert 0.2 < eyes[1, 0] - eyes[0, 0] < 0.3
    assert 0.68 < mouth[:, 1].mean() < 0.76


# --- inversion ---------------------------------------------------------------------------------------


def test_a_picture_of_the_models_own_is_found_again(default_model, reader, painted):
    """Seen before: without encoder and passes, descent from the average face ends at 15 to 30 dB."""
    steps = make_person(default_model, reader, iio.imwrite("<bytes>", painted, extension=".png"))
    stages, shares = [], []
    try:
        while True:
            progress = next(steps)
            stages.append(progress.stage)
            shares.append(progress.share)
    except StopIteration as end:
        made = end.value
    assert set(stages) == {"seen", "fitted"}
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert made.figures["painted"] <= 40
    again = default_model.paint(made.identity.ws[None])[0]
    assert psnr(tensor(again), tensor(painted)) > 40
    true = default_model.open_seed(SEED)
    asked = (true.pose.yaw + 20, true.pose.pitch, {"mouthSmile": 0.5})
    edits = [default_model.edit(who, *asked).ws for who in (true, made.identity)]
    turned = default_model.paint(torch.stack(edits))
    assert psnr(tensor(turned[1]), tensor(turned[0])) > 30, "and is posed as the person whom it shows"


def test_an_inversion_that_was_stopped_goes_on_to_the_same_bits(default_model, reader, painted, tmp_path, monkeypatch):
    """And is the same each time. What is kept of one picture is taken for no other."""
    monkeypatch.setattr("effigy.people.inversion._DESCENTS", 6)
    monkeypatch.setattr("effigy.people.making._OWN", 0.0)  # it is one of the model's, however few the steps
    picture, other = (iio.imwrite("<bytes>", each, extension=".png") for each in (painted, painted[:, ::-1]))
    out = tmp_path / "somebody.person"

    def run(data: bytes, kept: Kept | None, until: str = "") -> tuple[list[str], Made | None]:
        steps, stages = make_person(default_model, reader, data, kept=kept), []
        try:
            while not stages or stages[-1] != until:
                stages.append(next(steps).stage)
        except StopIteration as end:
            return stages, end.value
        return stages, None

    stages, whole = run(picture, None)
    assert stages.count("seen") == 8
    run(picture, Unfinished(out), until="fitted")
    assert not out.exists()
    kept = Unfinished(out)
    assert kept.is_known
    assert run(other, kept, until="seen")[0] == ["seen"]
    stages, resumed = run(picture, kept)
    assert set(stages) == {"fitted"}
    assert resumed.person.to_bytes() == whole.person.to_bytes()
    stages, again = run(picture, Unfinished(out))
    assert stages == []
    assert again.person.to_bytes() == whole.person.to_bytes()
    kept.path.write_bytes(b"damaged")
    assert not Unfinished(out).is_known
    kept.done()
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_image_tells_how_far_readings_can_be_trusted(default_model, reader, photo):
    apart = []
    for picture in (photo, np.ascontiguousarray(photo[:, ::-1])):
        target = target_of(align(default_model, reader, picture), reader)
        apart.append(making._mirrored(target, target.face))
    assert 0 < apart[0] < 3, "a clear photograph"
    assert apart[1] == pytest.approx(apart[0], abs=0.5)


def test_a_model_without_an_encoder_says_what_to_do(default_model, reader, painted, monkeypatch):
    monkeypatch.setattr(default_model, "encoder", None)
    with pytest.raises(UnfitModelError, match="effigy bundle learn-people"):
        next(make_person(default_model, reader, iio.imwrite("<bytes>", painted, extension=".png")))


def test_an_encoder_whose_networks_are_gone_says_what_to_do(default_model, reader, painted, monkeypatch):
    monkeypatch.setattr(default_model, "encoder", replace(default_model.encoder, networks=None))
    with pytest.raises(UnfitModelError, match="learn-people' on it again"):
        next(make_person(default_model, reader, iio.imwrite("<bytes>", painted, extension=".png")))


# --- persons' files ----------------------------------------------------------------------------------


def test_a_person_opens_as_a_latent_does(default_model, person, work):
    seed = default_model.open_seed(SEED)
    opened = default_model.open_latent(person.to_bytes())
    assert torch.equal(opened.ws, seed.ws)
    assert opened.key != seed.key
    (answer,) = work(default_model, [OpenIdentity(FromLatent(person.to_bytes(), default_model.model_id))])
    assert bytes(answer.latent) == person.to_bytes()
    assert answer.identity == opened.key


def test_a_persons_file_keeps_all_that_it_holds(tmp_path, person):
    whole = replace(
        person,
        bias=np.arange(5.0),
        quad=np.arange(8.0).reshape(4, 2),
        deltas={"b8.conv0": (torch.ones(4, 2).half(), torch.ones(2, 36).half())},
        picture=b"some file",
    )
    write_person(whole, tmp_path / "a.person")
    again = read_person(tmp_path / "a.person")
    assert again.to_bytes() == whole.to_bytes()
    assert again.picture == b"some file"
    assert again.story["provenance"] == person.story["provenance"]
    assert np.array_equal(again.quad, whole.quad)


def test_the_picture_stays_out_of_what_a_scene_keeps(default_model, person):
    assert b"some file" not in default_model.open_person(replace(person, picture=b"some file")).latent


def test_a_bias_moves_the_pose_and_what_is_asked_from_there(default_model, person):
    plain = default_model.open_person(person)
    bias = np.zeros(len(plain.q))
    bias[1] = 0.1  # of the rotation vector: about 6 degrees
    biased = default_model.open_person(replace(person, bias=bias))
    assert abs(biased.pose.yaw - plain.pose.yaw) + abs(biased.pose.pitch - plain.pose.pitch) > 4
    assert torch.equal(default_model.edit(biased, biased.pose.yaw, biased.pose.pitch, {}).ws, plain.ws)


def test_mixing_keeps_where_people_come_from(default_model, person):
    other = default_model.open_seed(5).latent
    mixed = default_model.open_latent(person.to_bytes(), other, 0.5)
    assert mixed.person.story["provenance"] == person.story["provenance"]
    back = default_model.open_latent(other, person.to_bytes(), 0.5)
    assert back.person.story["mixed"][0]["with"]["provenance"] == person.story["provenance"]
    twice = default_model.open_latent(back.latent, other, 0.25)
    shares = [each["share"] for each in Person.from_bytes(twice.latent).story["mixed"]]
    assert shares == [0.5, 0.25], "and the first mixture, from which the picture came, is still told"
    assert default_model.open_latent(person.to_bytes(), other, 0.0).latent == person.to_bytes()


def test_every_picture_of_a_person_tells_from_which_picture_they_are(default_model, person):
    shots = [Shot(default_model.open_person(person)), Shot(default_model.open_seed(SEED))]
    told = [json.loads(read_texts(painted.file())[KEYWORD]) for painted in paint_shots(default_model, shots)]
    assert told[0]["made_from"] == person.story["source"]["sha256"]
    assert "made_from" not in told[1]


def test_what_a_file_could_not_tell_is_not_written(person):
    for _ in range(12):  # each tells twice as much
        person = person.mixed(person, 0.5)
    with pytest.raises(PersonError, match="too many"):
        person.to_bytes()


def test_a_square_far_away_from_its_picture_is_refused(person):
    with pytest.raises(PersonError, match="far away"):
        Person.from_bytes(replace(person, quad=np.full((4, 2), 1e30)).to_bytes())


@pytest.mark.parametrize("source", ["a photograph", [1], None])
def test_a_source_that_tells_nothing_is_refused(person, source):
    with pytest.raises(PersonError, match="source"):
        Person.from_bytes(replace(person, story={**person.story, "source": source}).to_bytes())


def test_numbers_beyond_float32_are_refused(person):
    """They are finite in the file, and would be infinite in the latent that a scene keeps."""
    text = json.dumps({"format": 1, **person.story})
    latent = torch.full(person.ws.shape, 1e300, dtype=torch.float64)
    with pytest.raises(PersonError, match="infinite"):
        Person.from_bytes(save({"latent": latent}, {"effigy.person": text}))


def test_a_picture_too_large_to_keep_is_refused_before_any_work(default_model, reader):
    with pytest.raises(PersonError, match="keep it out"):
        next(make_person(default_model, reader, bytes(MOST_BYTES + 1), keep_picture=True))


def test_a_latent_is_no_person_whatever_its_width():
    ws = np.zeros((1, ord("{")), np.float32)
    assert not is_person(latent_to_bytes(ws))


def test_another_generators_person_is_refused_by_name(default_model, person):
    story = {**person.story, "generator": "f" * 64, "name": "Somebody's model"}
    with pytest.raises(LatentError, match="Somebody's model"):
        default_model.open_latent(replace(person, story=story).to_bytes())


def test_a_broken_persons_file_gives_one_error(person):
    """Cut anywhere, any byte of its header changed, or other content: an error of ours, and never a traceback."""
    data = person.to_bytes()
    length = int.from_bytes(data[:8], "little")
    random = np.random.default_rng(0)
    broken = [data[: int(cut)] for cut in random.integers(0, len(data), 60)]
    for place in random.integers(0, 8 + length, 200):
        changed = bytearray(data)
        changed[place] ^= int(random.integers(1, 256))
        broken.append(bytes(changed))
    header = json.loads(data[8 : 8 + length])
    for metadata in ({}, {"effigy.person": "[]"}, {"effigy.person": "{"}, {"effigy.person": '{"format": 2}'},
                     {"effigy.person": '{"format": 1}'}, {"effigy.person": '{"format": 1e999}'},
                     {"effigy.person": "[" * 90_000}):  # fmt: skip
        text = json.dumps({**header, "__metadata__": metadata}).encode()
        broken.append(len(text).to_bytes(8, "little") + text + data[8 + length :])
    broken += [data[: 8 + length] + b"\xff" * (len(data) - 8 - length), b"\0" * (MOST_BYTES + 1)]
    refused = 0
    for each in broken:
        try:
            Person.from_bytes(each)
        except PersonError:
            refused += 1
    assert refused > 0.8 * len(broken), "what is left changed a letter of the story"


# --- back into the picture ---------------------------------------------------------------------------


def test_pasting_changes_nothing_outside_of_the_quad(reader, painted, photo):
    random = np.random.default_rng(0)
    photograph = random.integers(0, 256, (300, 400, 3), np.uint8)
    photograph[20:276, 60:316] = photo
    crop = Crop(188.0, 148.0, 180.0, 0.2)
    quad = crop.to_picture(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])) / [400, 300]
    out = paste(reader, photograph, quad, painted, painted)
    y, x = np.mgrid[:300, :400] + 0.5
    inside = to_crop(crop, np.stack([x.ravel(), y.ravel()], axis=1)).reshape(300, 400, 2)
    outside = ((inside < 0) | (inside > 1)).any(axis=2)
    assert np.array_equal(out[outside], photograph[outside])
    centre = (slice(130, 170), slice(170, 206))
    assert np.abs(out[centre].astype(int) - photograph[centre]).mean() > 10, "the face is another"


def test_pasting_the_same_picture_gives_the_picture(reader, photo):
    quad = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    out = paste(reader, photo, quad, photo, photo)
    assert np.abs(out.astype(int) - photo).mean() < 1.5


def test_a_large_photograph_is_pasted_part_by_part(reader, painted, photo, monkeypatch):
    """Each pixel is what it would be if all were blended at once, up to a rounding."""
    photograph = np.asarray(Image.fromarray(photo).resize((700, 500)))
    quad = Crop(360.0, 240.0, 420.0, 0.3).to_picture(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    pasted = []
    for tile in (1024, 64):
        monkeypatch.setattr(paste_module, "_TILE", tile)
        pasted.append(paste(reader, photograph, quad / [700, 500], painted, painted[:, ::-1].copy()))
    whole, parts = pasted
    apart = np.abs(whole.astype(int) - parts)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3
    assert (whole != photograph).mean() > 0.1


def test_from_the_command_line(tmp_path, painted, default_model):
    picture, out = tmp_path / "somebody.png", tmp_path / "somebody.person"
    iio.imwrite(picture, painted)
    arguments = [str(picture), "--out", str(out), "--model", "first-default", "--preview", str(tmp_path / "two.png")]
    done = CliRunner().invoke(app, ["photo", *arguments])
    assert done.exit_code == 0, done.output
    assert "dB" in done.output
    assert iio.imread(tmp_path / "two.png").shape == (128, 256, 3)
    pasted = tmp_path / "posed.png"
    arguments = [str(out), "--picture", str(picture), "--yaw", "15", "--out", str(pasted), "--model", "first-default"]
    done = CliRunner().invoke(app, ["paste", *arguments])
    assert done.exit_code == 0, done.output
    assert json.loads(read_texts(pasted.read_bytes())["Effigy person"])["provenance"]
    with pytest.raises(NoPlaceError, match="not the picture"):
        api.paste(out, FACE, model=default_model)
    keys, frames = tmp_path / "keys.csv", tmp_path / "posed"
    keys.write_text("frame,yaw\n3,15\n4,-15\n")
    arguments = [str(out), "--picture", str(picture), "--keys", str(keys), "--out", str(frames)]
    for says in ("2 frames painted, 0 kept", "0 frames painted, 2 kept"):
        done = CliRunner().invoke(app, ["paste", *arguments, "--model", "first-default"])
        assert done.exit_code == 0, done.output
        assert says in done.output
    assert np.array_equal(iio.imread(frames / "posed_0003.png"), iio.imread(pasted))
    done = CliRunner().invoke(app, ["paste", *arguments, "--yaw", "3"])
    assert done.exit_code == 2
    done = CliRunner().invoke(app, ["paint", "--latent", str(out), "--out", str(pasted), "--model", "first-default"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["photo", str(FACE), "--out", str(out), "--model", "first-default"])
    assert done.exit_code == 2
    assert "PNG or JPEG" in done.output


@pytest.mark.parametrize("command", [["photo", "a.png", "-o", "a.person", "--preview", "a.png"],
                                     ["paste", "a.person", "--picture", "a.png", "-o", "./a.png"]])  # fmt: skip
def test_the_picture_that_is_read_is_never_written_over(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"the only copy")
    ran = CliRunner(env={"COLUMNS": "200"}).invoke(app, command)
    assert ran.exit_code == 2
    assert "the picture itself" in ran.output
    assert (tmp_path / "a.png").read_bytes() == b"the only copy"


def test_a_person_is_made_in_the_service_while_others_are_painted(default_model, painted):
    """Long work, one at a time: told with previews, can be cancelled, and leaves the identity open."""
    jobs, portraits = Jobs(), Portraits()
    data = iio.imwrite("<bytes>", painted, extension=".png")
    opened = []

    def hold(model, identity):
        opened.append(identity)
        return Done(1)

    left = jobs.begin(b"other", portraits.begin(default_model, FromPhoto((data,)), hold))
    job = jobs.begin(b"me", portraits.begin(default_model, FromPhoto((data[:100], data[100:])), hold))
    told = []
    while isinstance(status := jobs.status(b"me", job.job), Working):
        told.append(status)
        jobs.step()
        if len(told) == 20:
            assert jobs.cancel(b"other", left.job)
    portraits.close()
    assert status == Done(1)
    assert {"waiting", "seen", "fitted"} <= {each.stage for each in told}
    shown = next(each.preview for each in reversed(told) if each.preview)
    cut, made = np.split(iio.imread(bytes(shown)), 2, axis=1)
    assert np.array_equal(cut, painted[..., :3])
    assert psnr(tensor(made), tensor(cut)) > 20
    (identity,) = opened
    assert default_model.open_latent(identity.latent).key == identity.key
    again = default_model.paint(identity.ws[None])[0]
    assert psnr(tensor(again), tensor(painted)) > 40


def test_a_picture_that_waits_is_let_go_when_its_client_leaves(default_model, monkeypatch):
    """A client may begin and cancel as often as it likes: none of its pictures is kept."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_, **__):
        begun.set()
        go_on.wait(60)
        yield from ()

    monkeypatch.setattr("effigy.service.portraits.make_person", slow)
    jobs, portraits = Jobs(), Portraits()
    jobs.begin(b"slow", portraits.begin(default_model, FromPhoto((b"one",)), lambda model, who: Done(1)))
    jobs.step()
    assert begun.wait(60)
    picture = np.zeros(8, np.uint8)
    held = weakref.ref(picture)
    request = FromPhoto((memoryview(picture),))
    waiting = jobs.begin(b"gone", portraits.begin(default_model, request, lambda model, who: Done(1)))
    del picture, request
    for _ in range(4):
        jobs.step()
    assert jobs.status(b"gone", waiting.job).stage == "waiting"
    jobs.forget(b"gone")
    while len(jobs) > 1:
        jobs.step()
    gc.collect()
    assert held() is None
    go_on.set()
    portraits.close()


@pytest.mark.parametrize(("data", "code"), [(b"no picture", "bad-field"), (None, "no-face")])
def test_a_picture_of_nobody_is_refused_by_the_service(default_model, data, code):
    grey = iio.imwrite("<bytes>", np.full((64, 64, 3), 90, np.uint8), extension=".png")
    jobs, portraits = Jobs(), Portraits()
    job = jobs.begin(b"me", portraits.begin(default_model, FromPhoto((data or grey,)), lambda model, who: Done(1)))
    while isinstance(status := jobs.status(b"me", job.job), Working):
        jobs.step()
    portraits.close()
    assert isinstance(status, Error)
    assert status.code == code
