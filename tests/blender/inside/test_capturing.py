# SPDX-License-Identifier: GPL-3.0-or-later
"""A face becomes a recording; pictures, films and cameras drive it."""

from __future__ import annotations

import time
from pathlib import Path

import bpy
import helpers
import numpy as np
import pytest
from conftest import addon
from helpers import key, swing
from test_evaluated import assert_drawn

import effigy_client.capture.live_link
import effigy_client.capture.tables
import effigy_client.parameters
import effigy_client.pixels
import effigy_client.processes
import effigy_protocol.png
import effigy_protocol.transfer


def poses(face, scene):
    """The controls and angles of every frame, as the scene has them."""
    controls, found = addon("blender.scene.controls"), []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        angles = controls.angles_now(face, scene.camera)
        found.append([*controls.values_of(face).values(), angles.yaw, angles.pitch, angles.roll])
    return np.array(found)


def test_a_face_that_is_exported_and_imported_moves_as_it_did(scene, face, tmp_path, capsys):
    scene.frame_start, scene.frame_end = 5, 16
    swing(face, scene, 15)
    for number, block in enumerate(face.data.shape_keys.key_blocks[1:]):
        ends = (block.slider_min, block.slider_max) if number % 2 else (0.0, 0.8 * block.slider_max)
        key(face, block.name, (5, ends[0]), (10, ends[1]), (16, 0.0))
    wanted = poses(face, scene)
    scene.frame_set(7)
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.111  # not keyed yet
    path = str(tmp_path / "take.csv")
    assert bpy.ops.effigy.export_arkit(filepath=path) == {"FINISHED"}
    assert scene.frame_current == 7
    assert face.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(0.111), "an edit was lost"
    assert "columns of Effigy's own" in capsys.readouterr().out
    face.animation_data_clear()
    face.data.shape_keys.animation_data_clear()
    assert bpy.ops.effigy.import_arkit(filepath=path, start=5, smoothing=0.0) == {"FINISHED"}
    found = poses(face, scene)
    np.testing.assert_allclose(found[:, :-3], wanted[:, :-3], atol=4e-3)
    np.testing.assert_allclose(found[:, -3:], wanted[:, -3:], atol=0.05)


@pytest.fixture()
def reads(tmp_path, preferences):
    """Lets a text of Python stand for ``effigy capture``: what the add-on makes of it needs no network's readings."""
    command = preferences.command
    film = tmp_path / "film.mp4"
    film.write_bytes(b"a film")

    def stand_in(text):
        script = tmp_path / "effigy.py"
        script.write_text(CAPTURE + text)
        preferences.command = f'"{command.replace("effigy", "python")}" "{script}"'
        return str(film)

    yield stand_in
    addon("blender.ui.capture_process").end()
    preferences.command = command


CAPTURE = """
import json, sys, time
say = lambda **line: print(json.dumps(line), flush=True)
out = sys.argv[sys.argv.index("--out") + 1] if "--out" in sys.argv else None
def write(jaws, smiles, **more):
    lines = ["Timecode,BlendShapeCount,JawOpen,MouthSmileLeft,MouthSmileRight,HeadYaw,HeadPitch,HeadRoll"]
    pairs = enumerate(zip(jaws, smiles))
    lines += [f"00:00:00:{2 * n}.0,61,{jaw},{smile},{smile},0.2,0,0" for n, (jaw, smile) in pairs]
    open(out, "w").write("\\n".join(lines))
    say(written={"path": out, "moments": len(jaws), "missing": 0, "faces": 1, "left_out": []} | more)
"""


def jaws_of(face):
    curve = addon("blender.scene.fcurves").curves_of(face.data.shape_keys).find('key_blocks["jawOpen"].value')
    return [point.co[:] for point in curve.keyframe_points]


def test_a_film_becomes_keys_and_all_that_is_to_know_of_it_is_said(scene, face, reads, capsys):
    scene.render.fps = 30
    key(face, "jawOpen", (1, 0.25), (100, 0.75))
    film = reads("write([0, 0.5, 1], [1, 1, 1], missing=2, faces=3, left_out=['mouthSmile'])")
    assert bpy.ops.effigy.import_film(filepath=film, start=10) == {"FINISHED"}
    high = face.data.shape_keys.key_blocks["jawOpen"].slider_max
    keys = [(1, 0.25), (10, 0), (11, 0.5 * high), (12, high), (100, 0.75)]
    np.testing.assert_allclose(jaws_of(face), keys, atol=1e-3)
    curves = addon("blender.scene.fcurves").curves_of(face.data.shape_keys)
    assert curves.find('key_blocks["mouthSmile"].value') is None, "driven although pictures do not show it reliably"
    said = capsys.readouterr().out
    for part in (
        "2 pictures show no face",
        "up to 3 faces",
        "face 1 by size",
        "do not show mouthSmile reliably: not keyed",
    ):
        assert part in said
    assert not addon("blender.ui.capture_process").is_running()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "print('effigy: error: film.mp4 is no film that can be read', file=sys.stderr); sys.exit(2)",
            "is no film that",
        ),
        ("sys.exit(5)", "ended with code 5"),
        ("open(out, 'w').write('x')", "of the same release"),
        (
            "open(out, 'w').write('x'); say(written={'moments': 1, 'missing': 0, 'faces': 1, 'left_out': []})",
            "no Live Link",
        ),
    ],
)
def test_a_film_that_cannot_be_read_says_why_and_changes_nothing(scene, face, reads, text, why):
    film = reads(text)
    with pytest.raises(RuntimeError, match=why):
        bpy.ops.effigy.import_film(filepath=film)
    assert face.animation_data is None
    assert not list(Path(bpy.app.tempdir).glob("effigy-film-*"))


def test_a_face_that_is_deleted_while_a_film_is_read_ends_that(scene, face, reads):
    importing = addon("blender.ui.import_film")
    reading = importing.Reading(face, scene, Path(reads("write([0, 1], [0, 0])")), 1, "median")
    bpy.data.objects.remove(face)
    reading.process.wait(300)
    with pytest.raises(importing.FilmError, match="Face 4, or its camera, is gone"):
        reading.finish(None)
    reading.end()


def test_a_camera_is_named_while_it_is_on_and_what_it_sees_is_kept_nowhere(scene, face, reads, monkeypatch):
    reads(
        "say(camera={'name': 'HD Webcam', 'left_out': ['mouthSmile']})\n"
        "say(seen={'width': 2, 'height': 1, 'rgb': 'AQIDBAUG', 'points': [[0.75, 0.5]]})\n"
        "time.sleep(600)"
    )
    source, live = addon("blender.ui.capture_process"), addon("blender.ui.live_capture")
    assert source.status().word == "No camera is on"
    process = source.start("0", port=4711)
    assert source.status().word == "Starting"
    end = time.monotonic() + 300
    while process.seen is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert source.status().word == "On: HD Webcam"
    assert addon("blender.ui.seen").with_points(process.seen).tolist() == [[[1, 2, 3], [255, 200, 40]]]
    before = {kind: len(getattr(bpy.data, kind)) for kind in ("images", "textures", "brushes")}
    source.look()
    assert {kind: len(getattr(bpy.data, kind)) for kind in before} == before
    listener = effigy_client.capture.live_link.Listener("127.0.0.1", 0)
    capture = addon("blender.ui.capture_motion").LiveCapture(face, listener, process)
    moved = dict.fromkeys(effigy_client.capture.live_link.ARKIT, 0.0) | {"jawopen": 1.0, "mouthsmileleft": 1.0}
    channels = {name: np.array([value]) for name, value in moved.items()}
    capture.apply(face, scene, effigy_client.capture.tables.arkit_capture(np.zeros(1), channels))
    blocks = face.data.shape_keys.key_blocks
    assert blocks["jawOpen"].value == blocks["jawOpen"].slider_max
    assert blocks["mouthSmile"].value == 0, "driven although pictures do not show it reliably"
    live._begin(capture)
    live.stop()
    assert not effigy_client.processes.is_alive(process.pid)
    assert source.status().word == "No camera is on"


# Pictures that the model painted stand for photographs.
SHOWN = {"jawOpen": 0.8, "eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.9}


@pytest.fixture()
def pictures(face, tmp_path):
    """Files of a person at rest, of the same one with SHOWN and turned by 15°, and of no face at all."""
    render, reader = addon("blender.pictures.render"), addon("blender.scene.reader")
    parameters = effigy_client.parameters.PictureParameters
    rest = parameters.of(face.effigy.rest_yaw, face.effigy.rest_pitch)
    shown = parameters.of(rest.yaw + 15.0, rest.pitch, SHOWN.items())
    files = {}
    for name, wanted in (("rest", rest), ("shown", shown)):
        values = render.paint(face, reader.FaceState(wanted, np.eye(4), 0.0)).pixels
        files[name] = (values, int((len(values) // 4) ** 0.5))
    files["grey"] = (np.full_like(files["rest"][0], 0.5), files["rest"][1])
    for name, (values, side) in files.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(effigy_client.pixels.to_png(values, side, side))
        files[name] = str(path)
    return files


def read_of(face, scene):
    """How the face stands now: its controls by name, and its angles."""
    controls = addon("blender.scene.controls")
    return controls.values_of(face), controls.angles_now(face, scene.camera)


def test_a_face_looks_as_the_one_in_a_picture_and_what_moved_is_keyed(scene, face, pictures, capsys):
    scene.tool_settings.use_keyframe_insert_auto = True
    assert bpy.ops.effigy.pose_from_picture(filepath=pictures["shown"], painted=True) == {"FINISHED"}
    scene.tool_settings.use_keyframe_insert_auto = False
    values, angles = read_of(face, scene)
    for name, wanted in SHOWN.items():
        assert values[name] > wanted / 2, name  # how well it is read, the tests of the backend say
    assert angles.yaw == pytest.approx(face.effigy.rest_yaw + 15, abs=3)
    assert jaws_of(face) == [(1, pytest.approx(values["jawOpen"]))]
    assert face.animation_data.action is not None, "the turn was not keyed"
    assert "Read: jawOpen" in capsys.readouterr().out
    assert_drawn("a picture")


def test_a_part_of_a_picture_leaves_the_rest_as_it_is(scene, face, pictures):
    blocks = face.data.shape_keys.key_blocks
    blocks["eyeBlinkLeft"].value = 0.123
    _, before = read_of(face, scene)
    for part, moved in (("mouth", "jawOpen"), ("eyes", "eyeBlinkRight")):
        assert bpy.ops.effigy.pose_from_picture(filepath=pictures["shown"], part=part, painted=True) == {"FINISHED"}
        assert blocks[moved].value > 0.4
        assert (blocks["eyeBlinkLeft"].value == pytest.approx(0.123)) == (part == "mouth")
    assert read_of(face, scene)[1].yaw == pytest.approx(before.yaw, abs=1e-3)
    bpy.ops.effigy.neutral()
    assert bpy.ops.effigy.pose_from_picture(filepath=pictures["shown"], part="turn", painted=True) == {"FINISHED"}
    values, angles = read_of(face, scene)
    assert not any(values.values())
    half = before.yaw + (angles.yaw - before.yaw) / 2
    bpy.ops.effigy.pose_from_picture(filepath=pictures["shown"], part="turn", strength=0.5, painted=True)
    assert read_of(face, scene)[1].yaw == pytest.approx(half, abs=0.05)


def test_several_faces_and_what_is_read_badly_are_told(scene, face, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(effigy_protocol.transfer, "RELIABLE", 0.96)  # only jawOpen is read as well as that
    both = np.hstack([helpers.read(Path(pictures[name])) for name in ("rest", "shown")])[::-1]
    path = tmp_path / "both.png"
    path.write_bytes(effigy_protocol.png.write_rgb(both.tobytes(), both.shape[1], both.shape[0]))
    jaws = []
    for number in (1, 2):
        assert bpy.ops.effigy.pose_from_picture(filepath=str(path), number=number, painted=True) == {"FINISHED"}
        said = capsys.readouterr().out
        assert f"2 faces are seen, this is face {number} by size" in said
        assert (
            "do not show mouthSmile, eyeBlinkLeft, eyeBlinkRight, browUp, mouthPucker reliably: left as they are"
            in said
        )
        jaws.append(read_of(face, scene)[0]["jawOpen"])
    assert abs(jaws[0] - jaws[1]) > 0.3, "one face was read twice"
    values, _ = read_of(face, scene)
    assert not any(value for name, value in values.items() if name != "jawOpen")


def test_relative_to_a_neutral_picture_of_the_same_person_nothing_is_added_by_that_itself(scene, face, pictures):
    with pytest.raises(RuntimeError, match="choose a neutral picture"):
        bpy.ops.effigy.pose_from_picture(filepath=pictures["shown"], relative=True)
    options = {"relative": True, "neutral": pictures["rest"]}
    assert bpy.ops.effigy.pose_from_picture(filepath=pictures["rest"], **options) == {"FINISHED"}
    values, angles = read_of(face, scene)
    assert max(map(abs, values.values())) == 0
    assert angles.yaw == pytest.approx(face.effigy.rest_yaw, abs=1e-3)
    assert angles.roll == pytest.approx(face.effigy.rest_roll, abs=1e-3)
    assert bpy.ops.effigy.pose_from_picture(filepath=pictures["shown"], **options) == {"FINISHED"}
    assert read_of(face, scene)[1].yaw == pytest.approx(face.effigy.rest_yaw + 15, abs=3)


def test_a_picture_of_the_image_editor_goes_to_the_library(scene, face, pictures, capsys):
    library = addon("blender.ui.library")
    image = bpy.data.images.load(pictures["shown"])
    image.name = "A smile: really?.png"
    names = []
    for _ in range(2):
        assert bpy.ops.effigy.pose_from_picture(image=image.name, painted=True, store=True) == {"FINISHED"}
        names.append(capsys.readouterr().out.strip().rpartition("stored as ")[2])
    assert len(set(names)) == 2, "one took the place of the other"
    for name in names:
        assert library.load(name)["jawOpen"] == pytest.approx(
            face.data.shape_keys.key_blocks["jawOpen"].value, abs=1e-5
        )
        assert (library.folder() / f"{name}.png").stat().st_size > 500
        library.remove(name)


def test_what_cannot_be_read_is_a_sentence_and_moves_nothing(scene, face, pictures, tmp_path):
    (tmp_path / "no.png").write_bytes(b"no picture")
    cases = [
        ({"filepath": pictures["grey"]}, "no face"),
        ({"filepath": pictures["shown"], "number": 2}, "1 face|one face"),
        ({"filepath": str(tmp_path / "gone.png")}, "cannot be read|no file"),
        ({"filepath": str(tmp_path / "no.png")}, "no picture that can be read"),
        ({"filepath": str(tmp_path)}, "cannot be read: "),
        ({"image": "gone"}, "there is no picture gone"),
        ({"image": "Render Result"}, "there is no"),
    ]
    for arguments, why in cases:
        with pytest.raises(RuntimeError, match=why):
            bpy.ops.effigy.pose_from_picture(**arguments)
    assert not any(read_of(face, scene)[0].values())


def test_landmarks_that_were_asked_and_read_lie_at_the_same_places_of_the_picture(scene, face, settle):
    overlay, plate = addon("blender.ui.landmarks_overlay"), addon("blender.scene.plate")
    face.rotation_euler.z += 0.2
    face.rotation_euler.y += 0.1
    face.data.shape_keys.key_blocks["jawOpen"].value = 0.5
    scene.camera.location.x += 0.3
    bpy.context.view_layer.update()
    assert overlay.state(face) == ""
    bpy.context.window_manager.effigy_read_landmarks = True
    try:
        assert "at rest" in overlay.state(face)
        settle()
        end = time.monotonic() + 300
        while overlay.read_landmarks.of(face) is None:
            assert time.monotonic() < end
            assert overlay.tick() > 0
            time.sleep(0.02)
        found = overlay.read_landmarks.of(face)
        assert "requested" in overlay.state(face)
        matrix = plate.matrix(face)
        asked = overlay.asked_places(face, matrix, bpy.context.evaluated_depsgraph_get())
        assert asked.shape == (len(face.data.vertices), 2)
        eye = np.linalg.norm(asked[36] - asked[45])
        # iBUG's nose tip, outer eye corners and lower lip, and the points of MediaPipe's mesh that are nearest
        for landmark, point in ((30, 4), (36, 33), (45, 263), (57, 17)):
            assert np.linalg.norm(asked[landmark] - found.points[point]) < 0.12 * eye, landmark
        middle = overlay.on_plate(np.array([[0.5, 0.5]]), matrix)
        np.testing.assert_allclose(middle[0], face.effigy.plate.matrix_world.translation, atol=1e-5)
        face.data.shape_keys.key_blocks["jawOpen"].value = 0.1
        bpy.context.view_layer.update()
        addon("blender.pictures.preview").tick()
        assert overlay.read_landmarks.of(face) is None, "points of another picture"
    finally:
        bpy.context.window_manager.effigy_read_landmarks = False
    assert overlay.tick() is None


def test_in_a_window_a_picture_is_read_without_waiting_by_a_face_that_nobody_opened_yet(scene, face, pictures, backend):
    photo, runs = addon("blender.pictures.photo"), addon("blender.pictures.runs")
    runs.run_of(face).follower.lose()
    photo._memory.clear()
    reading = photo.Reading(face, [(Path(pictures["shown"]).read_bytes(), 1)], painted=True)
    end = time.monotonic() + 300
    while (found := reading.poll(backend.identities)) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert found[0].controls["jawOpen"] > 0.4
    assert found[0].own is not None
    again = photo.Reading(face, [(Path(pictures["shown"]).read_bytes(), 1)], painted=True)
    assert again.poll(backend.identities) == found, "asked for once more"
