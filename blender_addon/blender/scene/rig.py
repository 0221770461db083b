# SPDX-License-Identifier: GPL-3.0-or-later
"""Building a face's rig: proxy mesh with shape keys, camera, plate."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from effigy_client.pose import landmarks_to_local
from effigy_protocol.messages import Identity, Welcome

from . import display, placing
from .arrays import floats, integers
from .identity import describe, shape_controls, store_own, store_twins
from .properties import EffigyFace, face_of
from .queries import faces, is_shared, owns_plate, scene_of

_DEFAULT_CAMERA = (7.358891, -6.925791, 4.958309)  # where Blender's own start-up file has it


def add_face(
    context: bpy.types.Context,
    welcome: Welcome,
    identity: Identity,
    seed: int,
    height: float,
    matte: str,
    *,
    sharpen: bool,
) -> bpy.types.Object:
    """Adds a rig for ``identity`` at the 3D cursor, in a collection of its own; returns the proxy.

    The head, ``height`` metres from chin to crown or as high as those that are there, stands in the pose of the
    identity's own picture, seen by the rig's camera. ``matte`` and ``sharpen`` are those of EffigyFace.
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
    describe(face, welcome, identity, seed)
    store_own(proxy, identity.own)
    image = _image(name, welcome, alpha=matte == "HEAD")
    own(face, image)
    face.matte = matte
    plate.data.materials.append(display.new_emission(f"{name} Plate", image, clear=matte == "HEAD"))
    face.sharpen = sharpen
    placing.put_in_place(scene, proxy, camera, height)
    proxy.display_type, proxy.show_in_front = "WIRE", True
    proxy.hide_render = True
    proxy.visible_camera = proxy.visible_shadow = False  # see display._project
    if scene.camera is None or _is_default(scene.camera):
        scene.camera = camera
    return proxy


def new_plate(proxy: bpy.types.Object) -> bpy.types.Object:
    """Makes a plate for the proxy, in no collection yet and without a picture."""
    plate = bpy.data.objects.new(f"{proxy.name} Plate", _plate_mesh(proxy.name))
    plate.hide_select = True
    claim(plate, proxy)
    _keep_animated(proxy, plate)
    return plate


def claim(shown: bpy.types.Object, proxy: bpy.types.Object) -> None:
    """Says that ``shown``, a plate or the photograph around it, shows the picture of ``proxy``, and hides with it."""
    face_of(shown).owner, face_of(shown).is_plate = proxy, True


def own(face: EffigyFace, image: Any) -> None:
    """Makes ``image`` the face's picture and no other's: see queries.has_own_plate."""
    face.image = image
    if face.plate is not None:
        image.effigy_mesh = face.plate.data
        if bpy.app.version >= (5, 0, 0):
            image.pop("effigy_mesh", None)  # the second place in which a file of an earlier Blender holds it


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
    store_twins(mesh, welcome)
    mesh.update()
    return mesh


def _add_controls(proxy: bpy.types.Object, welcome: Welcome) -> None:
    proxy.shape_key_add(name="Basis", from_mix=False)
    proxy.data.shape_keys.name = f"{proxy.name} Controls"
    shape_controls(proxy, welcome, np.array([vertex.co for vertex in proxy.data.vertices]), set())


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
    image: Any = bpy.data.images.new(f"{name} Picture", width, height, alpha=alpha, float_buffer=False)
    if alpha:
        image.generated_color = (0.0, 0.0, 0.0, 0.0)  # or a black square stands there until the first picture comes
    return image
