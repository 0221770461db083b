# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender draws and renders an evaluated copy of the scene, which it updates only where it was told of a change.

So after everything that the add-on does, the copies must equal the scene: otherwise the screen shows old data.
"""

from __future__ import annotations

import itertools

import bpy
import numpy as np
from conftest import addon

# How every operator is called here. Named below are those that change no scene, and those that need a window, which
# the tests of posing and animation check while they work.
ARGUMENTS = {
    "add_face": {"seed": 5},
    "apply_expression": {"name": "Kept"},
    "bake": {},
    "bake_layers": {},
    "cache": {},
    "change_identity": {"seed": 9},
    "exact_view": {},
    "export_arkit": {"filepath": "exported.csv"},
    "export_keys": {"filepath": "keys.json"},
    "face_camera": {},
    "import_arkit": {"filepath": "take.csv"},
    "import_landmarks": {"filepath": "track.csv"},
    "key_all": {},
    "load_identity": {"filepath": "saved.effigy-identity"},
    "mirror": {},
    "mix_identities": {"other": "Face 5"},
    "neutral": {},
    "preflight": {},
    "random_identity": {"seed": 12},
    "randomise": {"seed": 3},
    "relax": {},
    "remove_expression": {"name": "Kept"},
    "remove_face": {},
    "reset_attributes": {},
    "reset_pose": {},
    "save_identity": {"filepath": "saved.effigy-identity"},
    "show_live": {},
    "store_expression": {"name": "Kept", "replace": True},
}
ELSEWHERE = {"connect", "disconnect", "grab", "use_grab", "live_capture", "stop_capture"}
ELSEWHERE |= {"bake_all", "choose_model", "hide"}  # see test_without_blender and test_scale
ELSEWHERE |= {"follow_view", "use_new_default"}  # see test_viewing and test_earlier_models
ELSEWHERE |= {"import_film", "read_film", "pose_from_picture", "read_picture"}  # see test_capturing
ELSEWHERE |= {"identity_from_photo", "make_person", "stop_portrait"}  # see test_people
ELSEWHERE |= {"paste_into_photo", "remove_photo"}  # see test_people
ELSEWHERE |= {"add_attributes"}  # see test_looks
ELSEWHERE |= {"install_backend", "cancel_install", "remove_backend", "carry_over"}  # see test_install
# Each continues with the scene of the one before.
ORDER = (
    *("add_face", "randomise", "store_expression", "mirror", "save_identity", "change_identity", "neutral"),
    *("relax", "reset_attributes"),
    *("apply_expression", "key_all", "exact_view", "cache", "bake", "random_identity", "show_live", "load_identity"),
    *("import_arkit", "import_landmarks", "mix_identities", "face_camera", "reset_pose", "preflight"),
    *("bake", "bake_layers", "export_keys", "export_arkit", "remove_expression", "remove_face"),
)


def test_every_operator_is_looked_at():
    assert set(dir(bpy.ops.effigy)) == set(ARGUMENTS) | ELSEWHERE
    assert set(ORDER) == set(ARGUMENTS)


def test_after_every_operator_blender_draws_what_the_scene_holds(scene, face, settle, tmp_path):
    settle()
    write_captures(tmp_path)
    for name, display in zip(ORDER, itertools.cycle(("BACKGROUND", "PROJECTED", "PLATE")), strict=False):
        bpy.context.view_layer.objects.active = face
        face.effigy.display = display
        arguments = ARGUMENTS[name]
        if "filepath" in arguments:
            arguments = {**arguments, "filepath": str(tmp_path / arguments["filepath"])}
        assert getattr(bpy.ops.effigy, name)(**arguments) == {"FINISHED"}, name
        assert_drawn(f"{name} ({display})")
        settle()


def test_after_every_change_of_where_the_picture_is_blender_draws_what_the_scene_holds(scene, face, settle):
    settle()
    for display in ("BACKGROUND", "PLATE", "PROJECTED", "BACKGROUND", "PROJECTED", "PLATE"):
        face.effigy.display = display
        assert_drawn(display)
        settle()
        assert_drawn(display)


def test_a_picture_that_is_taken_from_a_camera_is_drawn_no_more(scene, face):
    lens = face.effigy.camera.data
    lens.background_images.new().image = face.effigy.image
    lens.update_tag()
    assert_drawn("a background image")
    addon("blender.scene.backdrop").take_off_cameras(face.effigy)
    assert_drawn("its end")


def test_plates_that_are_hidden_and_doubles_are_drawn_as_they_are(scene, face, settle):
    settle()
    bpy.ops.object.duplicate()
    settle()
    assert_drawn("a double")
    bpy.data.objects.remove(bpy.context.active_object)
    settle()
    assert_drawn("its end")


def write_captures(folder):
    header = "Timecode,BlendShapeCount,JawOpen,HeadYaw,HeadPitch,HeadRoll"
    rows = [f"10:00:00:{row:02d}.000,61,{row / 10},0.1,0,0" for row in range(10)]
    (folder / "take.csv").write_text("\n".join([header, *rows]))
    face = bpy.context.active_object
    places = 100 * np.array([vertex.co[:] for vertex in face.data.vertices])[:, [0, 2]]
    names = [f"{axis}_{point}" for axis in "xy" for point in range(len(places))]
    row = ",".join(map(str, [*places[:, 0], *-places[:, 1]]))
    (folder / "track.csv").write_text("\n".join([",".join(["timestamp", *names]), f"0,{row}", f"0.1,{row}"]))


def assert_drawn(after: str) -> None:
    """Asserts that copies equal originals, and that telling Blender of everything changes nothing."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    visible = {obj.name for obj in bpy.context.scene.objects if obj.visible_get()}
    assert {obj.name for obj in depsgraph.objects} == visible, f"{after}: what is visible"
    for block in held():
        different = sorted(differences(values_of(block), values_of(block.evaluated_get(depsgraph))))
        assert not different, f"{after}: {block.name} is drawn with other {', '.join(different)}"
    drawn = shapes(depsgraph)
    for block in [*held(), *(obj.data for obj in bpy.context.scene.objects)]:
        block.update_tag()
    told = shapes(bpy.context.evaluated_depsgraph_get())
    assert drawn.keys() == told.keys()
    for name, arrays in told.items():
        for one, other in zip(drawn[name], arrays, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=f"{after}: {name}")


def held():
    """Returns the data-blocks of the scene's objects, except meshes, whose copies have modifiers applied."""
    found = [*bpy.context.view_layer.objects]
    for obj in list(found):
        if obj.type == "CAMERA":
            found.append(obj.data)
        elif obj.type == "MESH":
            found += [material for material in obj.data.materials if material is not None]
            found += [obj.data.shape_keys] if obj.data.shape_keys is not None else []
            found += [modifier.node_group for modifier in obj.modifiers if modifier.type == "NODES"]
    return found


IGNORED = {"rna_type", "original", "id_data", "users", "tag", "session_uid", "is_evaluated", "preview", "name_full"}
IGNORED |= {"is_runtime_data", "is_embedded_data", "is_library_indirect"}
IGNORED |= {"execution_time", "inferred_structure_type", "frame_current"}  # found out in evaluating
IGNORED |= {"use_nodes"}  # which warns of its end
IGNORED |= {"from_node", "to_node", "from_socket", "to_socket", "internal_links"}  # parts that are told elsewhere


def values_of(owner, depth=0):
    """Returns all properties of a data-block by name: plain values, names of data-blocks, and parts."""
    found = {}
    for prop in owner.bl_rna.properties:
        name = prop.identifier
        if name in IGNORED or name.startswith("bl_"):
            continue
        try:
            value = getattr(owner, name)
        except (AttributeError, RuntimeError):
            continue
        if prop.type == "POINTER":
            if isinstance(value, bpy.types.ID) and not value.is_embedded_data:
                found[name] = value.name
            elif value is not None and depth < 3:
                found[name] = values_of(value, depth + 1)
        elif prop.type == "COLLECTION":
            if depth < 3 and len(value) < 200:
                found[name] = [
                    item.name if isinstance(item, bpy.types.ID) else values_of(item, depth + 1) for item in value
                ]
            else:
                found[name] = len(value)
        elif prop.type == "FLOAT":
            found[name] = np.array(value, dtype=np.float64)
        elif prop.type in {"INT", "BOOLEAN"}:
            found[name] = np.array(value)
        else:
            found[name] = value
    return found


def differences(one, other, where=""):
    if isinstance(one, dict):
        if one.keys() != other.keys():
            yield where
            return
        for name in one:
            yield from differences(one[name], other[name], f"{where}.{name}".strip("."))
    elif isinstance(one, list):
        if len(one) != len(other):
            yield f"{where} ({len(one)}, not {len(other)})"
            return
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from differences(a, b, f"{where}[{index}]")
    elif isinstance(one, np.ndarray):
        if one.shape != other.shape or not np.allclose(one, other, atol=1e-6):
            yield where
    elif one != other:
        yield where


def shapes(depsgraph):
    """Returns points, texture coordinates and materials of every mesh that is drawn."""
    found = {}
    for obj in depsgraph.objects:
        if obj.type == "MESH":
            mesh = obj.data
            points = np.array([obj.matrix_world @ vertex.co for vertex in mesh.vertices])
            layers = [np.array([corner.uv[:] for corner in layer.data]) for layer in mesh.uv_layers]
            found[obj.name] = [points, *layers]
            found[f"{obj.name}: {[m.name for m in mesh.materials]}, {[layer.name for layer in mesh.uv_layers]}"] = []
    return found
