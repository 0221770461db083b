# SPDX-License-Identifier: Apache-2.0
"""People made from pictures: aligned, estimated by an encoder, and inverted."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from effigy.faces import DEFAULT_BUNDLE, load_face_model
from effigy.faces.encoder import Encoder, read_encoder
from effigy.faces.features import PictureFeatures
from effigy.faces.person import MOST_BYTES, PersonError
from effigy.landmarks.photo import Crop, cut
from effigy.people import following, making
from effigy.people.alignment import UnfitModelError, align, crop_of, ffhq_crop, to_crop
from effigy.people.following import measure, measure_controls, measure_turns
from effigy.people.making import Made, make_person, psnr, target_of
from effigy.people.stages import Kept, Remembered, Stages, Unfinished
from effigy.people.steps import finish
from effigy.people.tuning import _NUMBERS
from effigy.picture_files import PictureFileError
from tests.backend.people import SEED, tensor


def test_an_encoder_finds_what_is_linear_and_reads_as_it_was_written(tmp_path):
    random = torch.Generator().manual_seed(0)
    features = [torch.randn(200, size, generator=random) for size in (30, 5)]
    true = torch.randn(35, 4, generator=random, dtype=torch.float64)
    v = torch.cat(features, dim=1).double() @ true + 3
    encoder = Encoder.learn(features, v, None)
    seen = PictureFeatures(tuple(features), None)
    assert float((encoder(seen) - v).square().mean() / v.var()) < 0.01
    encoder.save(tmp_path)
    again = read_encoder(tmp_path, encoder.entry(), 4, None, torch.device("cpu"))
    assert torch.equal(again(seen), encoder(seen))
    with pytest.raises(ValueError, match="where this model has"):
        read_encoder(tmp_path, encoder.entry(), 5, None, torch.device("cpu"))


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
    assert "is not searched for again" in kept.told
    assert run(other, kept, until="seen")[0] == ["seen"]
    stages, resumed = run(picture, kept)
    assert set(stages) == {"fitted"}
    assert resumed.person.to_bytes() == whole.person.to_bytes()
    stages, again = run(picture, Unfinished(out))
    assert stages == []
    assert again.person.to_bytes() == whole.person.to_bytes()
    kept.path.write_bytes(b"damaged")
    assert "is damaged, and is begun anew" in Unfinished(out).told
    kept.done()
    assert list(tmp_path.iterdir()) == []


def test_what_other_code_has_found_is_not_gone_on_with(monkeypatch):
    begun = [Stages.begin(Remembered(), b"a picture", "a model").of for _ in range(2)]
    monkeypatch.setattr("effigy.people.stages._procedure", lambda: "another search")
    begun.append(Stages.begin(Remembered(), b"a picture", "a model").of)
    assert begun[0] == begun[1] != begun[2]


def test_a_mirror_image_tells_how_far_readings_can_be_trusted(default_model, reader, photo):
    apart = []
    for picture in (photo, np.ascontiguousarray(photo[:, ::-1])):
        target = target_of(align(default_model, reader, picture), reader)
        apart.append(making._mirrored(target, target.face))
    assert 0 < apart[0] < 3, "a clear photograph"
    assert apart[1] == pytest.approx(apart[0], abs=0.5)


def test_how_far_pictures_turn_is_read_in_them(default_model, reader):
    who = default_model.open_seed(SEED)
    turns = finish(measure_turns(default_model, who, reader))
    assert turns == pytest.approx(1, abs=0.15), "of the model's own people φ reads turns without bias"
    half = finish(
        measure_turns(default_model, replace(who, turns=2.0), reader)
    )  # it is asked for half, and told that all came
    assert half == pytest.approx(turns / 2, rel=0.15)
    blind = SimpleNamespace(read_each=lambda pictures: [None] * len(pictures))
    assert finish(measure_turns(default_model, who, blind)) is None


def test_how_much_of_a_control_pictures_show_is_read_in_them(default_model, reader):
    who, names = default_model.open_seed(SEED), list(default_model.controls)
    shown = finish(measure_controls(default_model, who, reader))
    assert shown[0, names.index("jawOpen")] > 0.85, "φ has learnt from the model's own people"
    assert shown[0, names.index("eyeBlinkLeft")] == shown[0, names.index("eyeBlinkRight")]
    assert (shown[1] == 1).all(), "only values above zero are measured"
    blind = SimpleNamespace(read_each=lambda pictures: [None] * len(pictures))
    assert finish(measure_controls(default_model, who, blind)) is None
    told: list[float] = []
    assert finish(measure(default_model, who, blind), told.append) == (None, None)
    assert told == sorted(told)


def test_of_a_control_whose_pictures_show_no_face_nothing_more_is_asked(default_model, reader, monkeypatch):
    who, names, count = default_model.open_seed(SEED), list(default_model.controls), []

    def blind_to_the_first(pictures):
        count.append(len(pictures))
        faces = reader.read_each(pictures)
        return [None if sum(count[:-1]) + number == 1 else face for number, face in enumerate(faces)]

    seeing = SimpleNamespace(read_each=blind_to_the_first)
    gains = finish(following._gains(default_model, who, seeing))
    assert np.isnan(gains).tolist() == [[name == names[0] for name in names], [False] * len(names)]

    def gains_of(model, identity, reader):
        yield 0
        return gains * [[np.nan, *[0.8] * (len(names) - 1)], [1.0] * len(names)]

    monkeypatch.setattr(following, "_gains", gains_of)
    shown = finish(measure_controls(default_model, who, reader))
    assert np.isfinite(shown).all()
    assert shown[0, 0] == 1


@pytest.mark.parametrize(
    ("seen", "share"),
    [
        (lambda asked: 0.7 * asked, 0.7),
        (lambda asked: 0.3 * asked, 0.5),  # twice as much is the most that is asked
        (lambda asked: 0.3, 1.0),  # more shows no more
        (lambda asked: 0.3 / asked, 1.0),  # or even less
        (lambda asked: 0.5 * asked**2, 1 / (1 + 0.5 / 1.5)),  # twice as much would show 2
        (lambda asked: 1.4 * asked, 1.0),
        (lambda asked: 1.0, 1.0),
    ],
)
def test_edits_make_up_for_what_pictures_leave_out(default_model, monkeypatch, seen, share):
    """``seen``: what pictures show of a control at 1, where edits ask φ for so much."""
    who, names = default_model.open_seed(SEED), list(default_model.controls)

    def gains(model, identity, reader):
        asked = 1 / np.array([identity.shown.get(name, (1.0, 1.0)) for name in names]).T
        yield 0
        return np.array([[seen(one) for one in row] for row in asked])

    monkeypatch.setattr(following, "_gains", gains)
    np.testing.assert_allclose(finish(measure_controls(default_model, who, None)), share)


@pytest.fixture(scope="module")
def present_model():
    return load_face_model(DEFAULT_BUNDLE, device="cpu")


def test_who_smiles_already_smiles_hardly_more_but_less_as_asked(present_model, reader):
    who = present_model.open_seed(3)
    smiling = present_model.edit(who, who.pose.yaw, who.pose.pitch, {"mouthSmile": 0.9})
    person = present_model.person(smiling.ws.numpy())
    plain = present_model.open_person(person)
    shown = finish(measure_controls(present_model, plain, reader))
    assert shown[:, list(present_model.controls).index("mouthSmile")] == pytest.approx([0.65, 1], abs=0.1)
    measured = present_model.open_person(replace(person, shown=shown))
    one, two = (present_model.edit(each, 0.0, 0.0, {"mouthSmile": -0.6}) for each in (plain, measured))
    assert torch.equal(one.ws, two.ws)


def test_a_gaze_to_the_side_is_measured_to_both_and_has_one_share(present_model, reader, monkeypatch):
    who, names = present_model.open_seed(SEED), list(present_model.controls)
    side = names.index("gazeSide")
    gains = finish(following._gains(present_model, replace(who, shown={"gazeSide": (1.0, 2.0)}), reader))
    assert gains[:, side] == pytest.approx([1, 0.5], abs=0.25)
    assert (np.delete(gains[1], side) == 1).all(), "below zero no other control is measured"
    unlike = np.ones((2, len(names)))
    unlike[:, side] = 0.6, 0.9
    measured = iter((unlike, np.ones_like(unlike)))

    def gains_of(model, identity, reader):
        yield 0
        return next(measured)

    monkeypatch.setattr(following, "_gains", gains_of)
    assert finish(measure_controls(present_model, who, reader))[:, side] == pytest.approx([0.75, 0.75])


def test_a_model_without_an_encoder_says_what_to_do(default_model, reader, painted, monkeypatch):
    monkeypatch.setattr(default_model, "encoder", None)
    with pytest.raises(UnfitModelError, match="effigy bundle learn-people"):
        next(make_person(default_model, reader, iio.imwrite("<bytes>", painted, extension=".png")))


def test_an_encoder_whose_networks_are_gone_says_what_to_do(default_model, reader, painted, monkeypatch):
    monkeypatch.setattr(default_model, "encoder", replace(default_model.encoder, networks=None))
    with pytest.raises(UnfitModelError, match="learn-people' on it again"):
        next(make_person(default_model, reader, iio.imwrite("<bytes>", painted, extension=".png")))


@pytest.mark.parametrize("tuned", [False, True])
def test_a_picture_too_large_to_keep_is_refused_before_any_work(default_model, reader, tuned):
    """What else a person's file holds fits beside any picture that is taken."""
    person = default_model.person(default_model.open_seed(0).ws.numpy()[:1], {"source": {"sha256": "0" * 64}})
    changed = torch.full((_NUMBERS // 2, 1), 0.5)
    whole = replace(
        person,
        bias=np.zeros(len(default_model.open_seed(0).q)),
        turns=1.0,
        quad=np.zeros((4, 2)),
        deltas={f"synthesis.b{n}.weight": (part, part.T) for n, part in enumerate(changed.chunk(40))} if tuned else {},
    )
    room = MOST_BYTES - len(whole.to_bytes())
    with pytest.raises(PersonError, match="keep it out"):
        next(make_person(default_model, reader, bytes(room), tuned=tuned, keep_picture=True))
    with pytest.raises(PictureFileError):
        next(make_person(default_model, reader, bytes(room - (150 << 10)), tuned=tuned, keep_picture=True))
