# SPDX-License-Identifier: Apache-2.0
"""What is known of somebody made from a picture, as a latent that opens and as a file."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save

from effigy.faces import LatentError
from effigy.faces.latent import latent_to_bytes
from effigy.faces.person import MOST_BYTES, Person, PersonError, read_person, write_person
from effigy.painting.shots import Shot, paint_shots
from effigy_protocol.messages import FromLatent, OpenIdentity
from effigy_protocol.png import read_texts
from effigy_protocol.record import KEYWORD, is_person
from tests.backend.people import SEED
from tests.closeness import assert_same


@pytest.fixture()
def person(default_model) -> Person:
    ws = default_model.open_seed(SEED).ws.numpy()[:1]
    return default_model.person(ws, {"source": {"sha256": "0" * 64}, "provenance": [{"made": "by a test"}]})


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
    assert again.metadata["provenance"] == person.metadata["provenance"]
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


def test_who_turns_less_than_is_read_is_turned_further(default_model, person):
    plain, measured = (default_model.open_person(replace(person, turns=turns)) for turns in (None, 0.8))
    assert measured.key != plain.key
    assert torch.equal(default_model.edit(measured, measured.pose.yaw, measured.pose.pitch, {}).ws, plain.ws)
    yaw, asked = plain.pose.yaw, {"mouthSmile": 0.5}
    as_asked = default_model.edit(measured, yaw + 8.0, plain.pose.pitch, asked)
    further = default_model.edit(plain, yaw + 10.0, plain.pose.pitch, asked)
    assert_same(as_asked.ws, further.ws, 1000, torch.float32)
    assert as_asked.pose.yaw - yaw == pytest.approx(0.8 * (further.pose.yaw - yaw), abs=1e-6)
    assert as_asked.residual["yaw"] == pytest.approx(0.8 * further.residual["yaw"], abs=1e-6)
    far = default_model.edit(measured, 80.0, plain.pose.pitch, {})
    assert far.clamped == ("yaw",)
    assert far.pose.yaw < 80
    # In another model of the same generator φ errs otherwise.
    elsewhere = replace(person, turns=0.8, metadata={**person.metadata, "model": "another"})
    assert default_model.open_person(elsewhere).turns == 1


def test_whose_pictures_show_less_of_a_control_is_asked_for_more_of_it(default_model, person):
    names = list(default_model.controls)
    shares = np.ones((2, len(names)))
    shares[:, [names.index(name) for name in ("jawOpen", "mouthSmile")]] = [[0.5, 1.0], [1.0, 0.5]]
    plain, measured = (default_model.open_person(replace(person, shown=shown)) for shown in (None, shares))
    asked, rest = {"jawOpen": 0.4, "mouthSmile": 0.3}, (plain.pose.yaw, plain.pose.pitch)
    as_asked = default_model.edit(measured, *rest, asked)
    further = default_model.edit(plain, *rest, asked | {"jawOpen": 0.8})
    assert_same(as_asked.ws, further.ws, 1000, torch.float32)
    halved = {
        name: value * share for (name, value), share in zip(further.residual.items(), (1, 1, 0.5, 1), strict=True)
    }
    assert as_asked.residual == pytest.approx(halved, abs=1e-6)
    assert default_model.edit(measured, *rest, {"jawOpen": 9.0}).clamped == ("jawOpen",)
    one, two = (default_model.edit(measured, *rest, {"mouthSmile": value}) for value in (0.3, -0.15))
    for edit, value in ((one, 0.3), (two, -0.3)):
        assert torch.equal(edit.ws, default_model.edit(plain, *rest, {"mouthSmile": value}).ws), "each end by itself"
    for wrong in ({"shown": shares[:, 1:]}, {"bias": plain.q[1:]}):  # and it is not said that the latent is no face
        (name,) = wrong
        with pytest.raises(PersonError, match=f"its {name} has"):
            default_model.open_person(replace(person, **wrong))
    elsewhere = replace(person, shown=shares, metadata={**person.metadata, "model": "another"})
    assert default_model.open_person(elsewhere).shown == plain.shown


def test_files_of_before_keep_their_bytes_and_what_is_measured_has_formats_of_its_own(person):
    assert Person.from_bytes(person.to_bytes()).turns is None
    assert b'\\"format\\": 1' in person.to_bytes()
    measured = Person.from_bytes(replace(person, turns=0.875).to_bytes())
    assert measured.turns == 0.875
    assert measured.to_bytes() == replace(person, turns=0.875).to_bytes()
    assert b'\\"format\\": 2' in measured.to_bytes()
    assert measured.mixed(person, 0.5).turns is None
    for wrong in (0.0, 3.0, -1.0):
        with pytest.raises(PersonError, match="times as far"):
            Person.from_bytes(replace(person, turns=wrong).to_bytes())
    whole = Person.from_bytes(replace(person, shown=np.array([[0.75, 1.0], [1.0, 0.5]])).to_bytes())
    assert whole.shown.tolist() == [[0.75, 1.0], [1.0, 0.5]]
    assert whole.to_bytes() == replace(person, shown=whole.shown).to_bytes()
    assert b'\\"format\\": 3' in whole.to_bytes()
    assert whole.mixed(person, 0.5).shown is None
    for wrong in (0.4, 1.1):
        with pytest.raises(PersonError, match=f"show {wrong} of one of its controls"):
            Person.from_bytes(replace(person, shown=np.array([[1.0], [wrong]])).to_bytes())
    with pytest.raises(PersonError, match="damaged"):
        Person.from_bytes(replace(person, shown=np.ones(2)).to_bytes())


def test_mixing_keeps_where_people_come_from(default_model, person):
    other = default_model.open_seed(5).latent
    mixed = default_model.open_latent(person.to_bytes(), other, 0.5)
    assert mixed.person.metadata["provenance"] == person.metadata["provenance"]
    back = default_model.open_latent(other, person.to_bytes(), 0.5)
    assert back.person.metadata["mixed"][0]["with"]["provenance"] == person.metadata["provenance"]
    twice = default_model.open_latent(back.latent, other, 0.25)
    shares = [each["share"] for each in Person.from_bytes(twice.latent).metadata["mixed"]]
    assert shares == [0.5, 0.25], "and the first mixture, from which the picture came, is still told"
    assert default_model.open_latent(person.to_bytes(), other, 0.0).latent == person.to_bytes()


def test_every_picture_of_a_person_tells_from_which_picture_they_are(default_model, person):
    shots = [Shot(default_model.open_person(person)), Shot(default_model.open_seed(SEED))]
    told = [json.loads(read_texts(painted.file())[KEYWORD]) for painted in paint_shots(default_model, shots)]
    assert told[0]["made_from"] == person.metadata["source"]["sha256"]
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
        Person.from_bytes(replace(person, metadata={**person.metadata, "source": source}).to_bytes())


def test_numbers_beyond_float32_are_refused(person):
    """They are finite in the file, and would be infinite in the latent that a scene keeps."""
    text = json.dumps({"format": 1, **person.metadata})
    latent = torch.full(person.ws.shape, 1e300, dtype=torch.float64)
    with pytest.raises(PersonError, match="infinite"):
        Person.from_bytes(save({"latent": latent}, {"effigy.person": text}))


def test_a_latent_is_no_person_whatever_its_width():
    ws = np.zeros((1, ord("{")), np.float32)
    assert not is_person(latent_to_bytes(ws))


def test_another_generators_person_is_refused_by_name(default_model, person):
    metadata = {**person.metadata, "generator": "f" * 64, "name": "Somebody's model\x1b[2J"}
    with pytest.raises(LatentError, match="Somebody's model") as refused:
        default_model.open_latent(replace(person, metadata=metadata).to_bytes())
    assert "\x1b" not in str(refused.value), "Blender prints it to its terminal"


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
    assert refused > 0.8 * len(broken), "what is left changed a letter of the metadata"
