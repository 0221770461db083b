# SPDX-License-Identifier: GPL-3.0-or-later
"""Building a face's rig: proxy mesh with shape keys, camera, plate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from effigy_client.mirror import twins_of
from effigy_client.pose import landmarks_to_local
from effigy_protocol.messages import Identity, Parameter, Welcome

from ..translation import rpt_
from . import controls, conversion, display, placing
from .arrays import floats, integers
from .properties import EffigyFace, face_of
from .queries import faces, is_shared, owns_plate, scene_of

_DEFAULT_CAMERA = (7.358891, -6.925791, 4.958309)  # where Blender's own start-up file has it
ATTRIBUTES = "attributes"  # the group of controls that change looks and no expression
_SHAPE_KEY_LIMIT = 10.0  # Blender's own for slider ranges


def add_face(
    context: bpy.types.Context, welcome: Welcome, identity: Identity, seed: int, height: float, matte: str
) -> bpy.types.Object:
    """Adds a rig for ``identity`` at the 3D cursor, in a collection of its own; returns the proxy.

    The head, ``height`` metres from chin to crown or as high as those that are there, stands in the pose of the
    identity's own picture, seen by the rig's camera. ``matte``: of EffigyFace.matte.
    """
    name, scene = f"Face {seed}", scene_of(context)
    collection = bpy.data.collections.new(name)
    scene.collection.children.link(collection)
    proxy = bpy.data.objects.new(name, _proxy_mesh(name, welcome, identity))
    camera = _camera(name)
    plate = new_plate(proxy)
    for obj in (proxy, camera, plate):
        collection.objects.link(obj)
    _keep_light_in(proxy)
    _keep_light_in(plate)
    _add_controls(proxy, welcome)
    face = face_of(proxy)
    face.is_face, face.plate, face.camera = True, plate, camera
    _describe(face, welcome, identity, seed)
    tell_own(proxy, identity.own)
    image = _image(name, welcome, alpha=matte == "HEAD")
    own(face, image)
    face.matte = matte
    plate.data.materials.append(display.new_emission(f"{name} Plate", image, clear=matte == "HEAD"))
    placing.put_in_place(scene, proxy, camera, height)
    proxy.display_type, proxy.show_in_front = "WIRE", True
    proxy.hide_render = True
    if scene.camera is None or _is_default(scene.camera):
        scene.camera = camera
    return proxy


def new_plate(proxy: bpy.types.Object) -> bpy.types.Object:
    """Makes a plate for the proxy, in no collection yet and without a picture."""
    plate = bpy.data.objects.new(f"{proxy.name} Plate", _plate_mesh(proxy.name))
    plate.hide_select = True
    face_of(plate).owner, face_of(plate).is_plate = proxy, True
    _keep_animated(proxy, plate)
    return plate


def own(face: EffigyFace, image: Any) -> None:
    """Makes ``image`` the face's picture and no other's: see queries.has_own_plate."""
    face.image = image
    if face.plate is not None:
        image.effigy_mesh = face.plate.data


def hide_ownerless_plates(scene: bpy.types.Scene) -> None:
    """Hides what shows the picture of a face whose proxy was deleted: it would stand there, and render, for ever.

    Shows it again when the proxy is back, by an undo for instance.
    """
    for obj in scene.objects:
        face = face_of(obj)
        if obj.type != "MESH" or not (face.is_plate or face.owner is not None):  # files before is_plate have an owner
            continue
        left = face.owner is None or not face.owner.users_scene
        if left and not obj.hide_render:
            face.was_left = obj.hide_render = obj.hide_viewport = True
        elif face.was_left and not left:
            face.was_left = obj.hide_render = obj.hide_viewport = False


def remove_face(proxy: bpy.types.Object) -> None:
    """Removes a face: proxy, plate, its camera and, if nothing else is in it, their collection.

    What other faces share with it stays; a scene that looked through the camera looks through another face's.
    """
    face, collections = face_of(proxy), list(proxy.users_collection)
    plate = face.plate if owns_plate(proxy) else None
    camera = None if is_shared(proxy, "camera") else face.camera
    photograph = None if is_shared(proxy, "photograph") else face.photograph
    blind = [scene for scene in bpy.data.scenes if camera is not None and scene.camera == camera]
    for obj in (plate, photograph, camera, proxy):
        if obj is not None:
            bpy.data.objects.remove(obj)
    for scene in blind:
        cameras = (face_of(other).camera for other in faces(scene))
        scene.camera = next((other for other in cameras if other is not None), None)
    for collection in collections:
        if not collection.all_objects and not collection.children and collection.users:
            bpy.data.collections.remove(collection)


def _is_default(camera: bpy.types.Object) -> bool:
    """Returns whether it is the camera of Blender's start-up file, where that has it: nobody has chosen that view."""
    return camera.animation_data is None and (camera.location - Vector(_DEFAULT_CAMERA)).length < 1e-3


def _proxy_mesh(name: str, welcome: Welcome, identity: Identity) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(f"{name} Proxy")
    mesh.from_pydata(landmarks_to_local(floats(identity.rest)).tolist(), [], integers(welcome.triangles).tolist())
    mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    tell_twins(mesh, welcome)
    mesh.update()
    return mesh


def tell_twins(mesh: Any, welcome: Welcome) -> None:
    """Stores on the mesh which landmark lies on the other side; does nothing for a mesh of another model."""
    if len(mesh.vertices) != welcome.mirror.shape[0]:
        return
    told = mesh.attributes.get(controls.TWINS) or mesh.attributes.new(controls.TWINS, "INT", "POINT")
    told.data.foreach_set("value", integers(welcome.mirror))


def _add_controls(proxy: bpy.types.Object, welcome: Welcome) -> None:
    proxy.shape_key_add(name="Basis", from_mix=False)
    rest = np.array([vertex.co for vertex in proxy.data.vertices])
    for control, direction in zip(welcome.controls, floats(welcome.directions), strict=True):
        block = proxy.shape_key_add(name=control.name, from_mix=False)
        block.slider_min, block.slider_max = _limits(control)
        block.value = 0.0
        shape = (rest + landmarks_to_local(direction)).astype(np.float32)
        block.data.foreach_set("co", shape.reshape(-1))
    proxy.data.shape_keys.name = f"{proxy.name} Controls"


def _describe(face: EffigyFace, welcome: Welcome, identity: Identity, seed: int) -> None:
    """Keeps who the face is. ``seed`` −1: nobody's number, a mixture or a saved identity."""
    _tell(face, identity, seed)
    face.model_name = welcome.model_name
    _name_controls(face, welcome)
    face.set_twins(twins_of(welcome.controls))


def _name_controls(face: EffigyFace, welcome: Welcome) -> None:
    face.control_names = "\n".join(control.name for control in welcome.controls)
    face.attribute_names = "\n".join(control.name for control in welcome.controls if control.group == ATTRIBUTES)


def missing_attributes(proxy: bpy.types.Object, welcome: Welcome) -> list[str]:
    """Returns the attributes that the face's model has learnt since the face was made."""
    face = face_of(proxy)
    if face.model != welcome.model or not face.control_names:
        return []
    return [each.name for each in welcome.controls if each.group == ATTRIBUTES and not face.is_attribute(each.name)]


def add_attributes(proxy: bpy.types.Object, welcome: Welcome) -> None:
    """Gives the face sliders for ``missing_attributes``. An artist's own shape key of such a name is renamed."""
    keys = proxy.data.shape_keys.key_blocks
    for name in missing_attributes(proxy, welcome):
        if name in keys:
            keys[name].name = f"{name} (own)"
    rest, were = controls.points_of(keys[0]), {block.name for block in controls.sliders_of(proxy)}
    face = face_of(proxy)
    _name_controls(face, welcome)
    face.set_twins(twins_of(welcome.controls))
    _set_controls(proxy, welcome, rest, were)
    widen(proxy)


def tell_own(proxy: bpy.types.Object, own: Mapping[str, float] | None) -> None:
    """Keeps what the face shows by itself beyond the average face, which its sliders can then reach."""
    if own is not None:
        face_of(proxy).set_own(own)
        widen(proxy)


def widen(proxy: bpy.types.Object) -> None:
    """Lets the sliders reach the average expression, as the backend does."""
    keys = proxy.data.shape_keys.key_blocks
    for item in face_of(proxy).own:
        if (block := keys.get(item.name)) is not None:
            block.slider_min = max(min(block.slider_min, -item.value), -_SHAPE_KEY_LIMIT)
            block.slider_max = min(max(block.slider_max, -item.value), _SHAPE_KEY_LIMIT)


def _tell(face: EffigyFace, identity: Identity, seed: int) -> None:
    """Keeps what belongs to the identity alone."""
    face.seed = seed
    face.wanted_seed = max(seed, 0)
    face.set_latent(identity.latent)
    face.model = identity.model
    pose = identity.pose
    face.rest_yaw, face.rest_pitch, face.rest_roll = pose.yaw, pose.pitch, pose.roll
    face.rest_scale, face.rest_x, face.rest_y = pose.scale, pose.x, pose.y


def change_identity(proxy: bpy.types.Object, welcome: Welcome, identity: Identity, seed: int) -> None:
    """Gives a face another identity; where it stands, its expression and its animation stay.

    Controls that go by another name in another model are renamed, animation and all. Those that it does not have keep
    their shape keys, muted; those that it has besides are added. Raises ValueError when the mesh does not fit.
    """
    face = face_of(proxy)
    rest, before = landmarks_to_local(floats(identity.rest)), face.plate_size
    if not conversion.fits(proxy, len(rest)):
        raise ValueError(rpt_("{} is the mesh of another kind of model: add a new face instead", proxy.name))
    if identity.model != welcome.model:  # one that the backend opens besides its own
        if identity.model != face.model:
            raise ValueError(rpt_("the identity is of another model than {}, and than the backend's", proxy.name))
        _rename(proxy, seed)
        _tell(face, identity, seed)
        _move(proxy, rest)
    else:
        _rename(proxy, seed)
        conversion.convert(proxy, welcome)
        were = {block.name for block in controls.sliders_of(proxy)}
        _describe(face, welcome, identity, seed)
        _fit_image(proxy, welcome)
        _move(proxy, rest)
        _set_controls(proxy, welcome, rest, were)
    tell_own(proxy, identity.own)
    placing.frame(proxy, grown=face.plate_size / before)


def _rename(proxy: bpy.types.Object, seed: int) -> None:
    """Renames the rig's parts after the new number; parts that a user has renamed keep their names."""
    face = face_of(proxy)
    if face.seed < 0 or seed < 0:
        return
    owners: list[Any] = [proxy, face.plate, face.camera]
    rig: list[Any] = [*owners, *(owner.data for owner in owners if owner is not None), proxy.data.shape_keys]
    rig += [face.image, face.normal_map, face.light_map, *display.materials_of(proxy), *proxy.users_collection]
    for part in rig:
        if part is None or part.library is not None:
            continue
        named = re.fullmatch(rf"Face {face.seed}(?:\.\d+)?( [A-Z][a-z]+)?(?:\.\d+)?", part.name)
        if named:
            part.name = f"Face {seed}{named[1] or ''}"


def _move(proxy: bpy.types.Object, rest: np.ndarray) -> None:
    """Moves the basis to ``rest`` [L, 3], and every key with it."""
    keys = proxy.data.shape_keys.key_blocks
    moved = rest - controls.points_of(keys[0])
    proxy.data.vertices.foreach_set("co", rest.astype(np.float32).reshape(-1))
    for block in keys:
        block.data.foreach_set("co", (controls.points_of(block) + moved).astype(np.float32).reshape(-1))
    proxy.data.update()


def _set_controls(proxy: bpy.types.Object, welcome: Welcome, rest: np.ndarray, were: set[str]) -> None:
    """Shapes the model's controls about ``rest`` [L, 3]; those that ``were`` controls and are none are muted."""
    tell_twins(proxy.data, welcome)
    keys = proxy.data.shape_keys.key_blocks
    known = {control.name for control in welcome.controls}
    for block in keys:
        if block.name in known | were:
            block.mute = block.name not in known
    for control, direction in zip(welcome.controls, floats(welcome.directions), strict=True):
        block = keys.get(control.name)
        if block is None:
            block = proxy.shape_key_add(name=control.name, from_mix=False)
            block.value = 0.0  # Blender 5 begins with 1
        block.slider_min, block.slider_max = _limits(control)
        block.data.foreach_set("co", (rest + landmarks_to_local(direction)).astype(np.float32).reshape(-1))
    proxy.data.update()


def _fit_image(proxy: bpy.types.Object, welcome: Welcome) -> None:
    """Scales the picture to the model's size."""
    image, (height, width) = face_of(proxy).image, welcome.resolution
    if image is None or image.library is not None:
        return
    if tuple(image.size) != (width, height):
        image.scale(width, height)


def _limits(control: Parameter) -> tuple[float, float]:
    return max(control.low, -_SHAPE_KEY_LIMIT), min(control.high, _SHAPE_KEY_LIMIT)


def _keep_animated(proxy: bpy.types.Object, plate: bpy.types.Object) -> None:
    """Makes the plate depend on the proxy, by a constraint without influence.

    Blender evaluates what is hidden only when something visible depends on it: a proxy that is hidden in any
    way would otherwise stand still in renders, and its face with it.
    """
    constraint: Any = plate.constraints.new("COPY_LOCATION")
    constraint.name = "Keeps the proxy animated"
    constraint.target = proxy
    constraint.influence = 0.0


def _keep_light_in(obj: bpy.types.Object) -> None:
    """Keeps the light that a picture emits from falling on what is near, until somebody wants it."""
    obj.visible_diffuse = obj.visible_glossy = obj.visible_volume_scatter = False


def _camera(name: str) -> bpy.types.Object:
    data = bpy.data.cameras.new(f"{name} Camera")
    data.lens = placing.LENS_MM
    # A wide picture shows more beside the face, not less of it.
    data.sensor_fit, data.sensor_height = "VERTICAL", placing.SENSOR_MM
    return bpy.data.objects.new(f"{name} Camera", data)


def _plate_mesh(name: str) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(f"{name} Plate")
    corners = [(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new(name="UVMap")
    layer.data.foreach_set("uv", [0, 0, 1, 0, 1, 1, 0, 1])
    mesh.update()
    return mesh


def _image(name: str, welcome: Welcome, *, alpha: bool) -> bpy.types.Image:
    height, width = welcome.resolution
    # A byte image, which is in sRGB, by whatever name the colour configuration calls that: what the generator
    # painted is what a Standard view shows.
    return bpy.data.images.new(f"{name} Picture", width, height, alpha=alpha, float_buffer=False)
