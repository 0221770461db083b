# SPDX-License-Identifier: GPL-3.0-or-later
"""The photograph that a person was made from, as a plane around the plate, with the posed face in it.

The square that the face was cut out of lies where the plate is, so what the scene's camera sees of the plate it sees
of the photograph. The plane stays where it was put: the head's own turn is in the picture, its roll is not.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from effigy_client.face import Anchor
from effigy_protocol.person import Corner, quad_of

from . import display, rig
from .properties import face_of
from .sharpen import PICTURE

_BEFORE = 2e-3  # of the plate's side, towards the viewer: it covers the plate


@lru_cache(maxsize=8)
def square_of(latent: str) -> tuple[Corner, Corner, Corner, Corner] | None:
    """Returns where a person's square was in the photograph, from a latent in base64; None without a photograph.

    Cached: a tuned person takes milliseconds to decode, and a panel asks at every redraw.
    """
    return quad_of(Anchor("", latent).latent_bytes())


def corners(quad: tuple[Corner, Corner, Corner, Corner], width: int, height: int) -> np.ndarray:
    """Returns where a photograph's corners lie on the plate, [4, 3], the lower left first, counter-clockwise.

    ``quad``: where its square was, in widths and heights of the photograph, clockwise from the upper left.
    """
    square = np.array(quad) * [width, height]
    across, down = square[1] - square[0], square[3] - square[0]
    points = np.array([[0, height], [width, height], [width, 0], [0, 0]]) - square[0]
    x, y = points @ across / (across @ across), points @ down / (down @ down)
    return np.stack([x - 0.5, 0.5 - y, np.zeros(4)], axis=1)


def show(
    proxy: bpy.types.Object,
    quad: tuple[Corner, Corner, Corner, Corner],
    picture: Path,  # of the first frame
    frames: range | None,  # that there are pictures of; None: it is one picture
) -> None:
    """Puts the photograph around the plate, or renews what is there. Raises ValueError where that is impossible."""
    face: Any = face_of(proxy)
    plate = face.plate
    if plate is None or proxy.library is not None:
        raise ValueError(f"{proxy.name} has no plate of its own")
    image: Any = bpy.data.images.load(str(picture), check_existing=True)
    image.reload()
    width, height = image.size
    if min(width, height) < 1:
        raise ValueError(f"{picture} cannot be read")
    image.source = "FILE" if frames is None else "SEQUENCE"
    plane = face.photograph
    if plane is None:
        plane = face.photograph = _plane(f"{proxy.name} Photograph", image)
    rig.claim(plane, proxy)
    if not plane.users_scene:  # new; or deleted in a viewport, after which the face's pointer still keeps it
        for collection in proxy.users_collection:
            collection.objects.link(plane)
    plane.matrix_world = plate.matrix_world @ Matrix.Translation((0, 0, _BEFORE))
    plane.data.vertices.foreach_set("co", corners(quad, width, height).ravel().tolist())
    plane.data.update()
    node = plane.data.materials[0].node_tree.nodes[PICTURE]
    before, node.image = node.image, image
    if before is not None and before != image and before.users == 0:
        bpy.data.images.remove(before)
    if frames is not None:
        user = node.image_user
        user.frame_start, user.frame_duration = frames.start, len(frames)
        user.frame_offset, user.use_auto_refresh = frames.start - 1, True
    plane.update_tag()


def take_off(proxy: bpy.types.Object) -> None:
    """Removes the plane; its pictures stay on the disk."""
    face: Any = face_of(proxy)
    if face.photograph is not None:
        bpy.data.objects.remove(face.photograph)


def _plane(name: str, image: bpy.types.Image) -> Any:
    mesh: Any = bpy.data.meshes.new(name)
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [], [(0, 1, 2, 3)])
    mesh.uv_layers.new(name="UVMap").data.foreach_set("uv", [0, 0, 1, 0, 1, 1, 0, 1])
    mesh.materials.append(display.new_emission(name, image, clear=False))
    return bpy.data.objects.new(name, mesh)
