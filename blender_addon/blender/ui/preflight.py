# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a scene before a long render of its faces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import bpy
import numpy as np

from effigy_client.face import Anchor
from effigy_protocol.messages import Parameter
from effigy_protocol.person import turns_of

from .. import preferences
from ..pictures import render, stale
from ..pictures.runs import earlier_model
from ..pictures.session import session
from ..preferences import PreferencesError
from ..scene import frames
from ..scene.controls import camera_of
from ..scene.display import picture_nodes, shows_its_picture
from ..scene.framing import roll_of, tears
from ..scene.obstacles import hiding
from ..scene.properties import face_of
from ..scene.queries import carrier_of, faces, is_in_a_layer, scene_of
from ..scene.reader import UnreadableError, read_face
from ..translation import differing, rpt_
from . import exact

_LOSSY = {"JPEG", "JPEG2000", "WEBP", "FFMPEG"}


@dataclass(frozen=True, slots=True)
class Finding:
    """``error``: frames would be wrong or the render would end. ``warning``: they may not look as meant."""

    level: Literal["error", "warning"]
    text: str


def findings(scene: bpy.types.Scene) -> list[Finding]:
    """Returns all problems that can be found without rendering, errors first."""
    of_faces = (finding for proxy in faces(scene) for finding in _of_face(proxy, scene))
    found = [*_of_scene(scene), *of_faces, *_of_frames(scene)]
    return sorted(found, key=lambda finding: finding.level)


def _of_scene(scene: bpy.types.Scene) -> Iterator[Finding]:
    live = [proxy for proxy in faces(scene) if face_of(proxy).source == "LIVE"]
    if not faces(scene):
        yield Finding("warning", "There is no face in this scene")
    if scene.camera is None:
        yield Finding("error", "The scene has no camera")
    if live and not session.is_ready:
        yield from _of_backend()
    for obj in render.frozen_instances(scene):
        yield Finding("error", rpt_("{} instances a collection with a live face: bake that face first", obj.name))
    for text in exact.findings(scene):
        yield Finding("warning", text)
    yield from _of_output(scene)
    if scene.render.use_multiview:
        yield Finding("warning", "Stereo: both eyes see the picture that is painted for the scene's camera")
    if scene.render.use_compositing and _has_compositor(scene):
        yield Finding("warning", "The compositor may change the faces' pixels")
    if scene.render.use_sequencer and _has_strips(scene):
        yield Finding("warning", "The video sequencer is rendered instead of the scene")
    if scene.render.use_persistent_data and live:
        yield Finding("warning", "Persistent Data is switched off while live faces render")


def _of_output(scene: bpy.types.Scene) -> Iterator[Finding]:
    folder = Path(bpy.path.abspath(scene.render.filepath) + "0001").parent  # a path may end with the folder
    there = next((parent for parent in (folder, *folder.parents) if parent.exists()), None)
    if there is None or not there.is_dir() or not os.access(there, os.W_OK):
        yield Finding("error", rpt_("{} cannot be written to: choose another output", folder))
    if (kind := str(scene.render.image_settings.file_format)) in _LOSSY:
        yield Finding("warning", rpt_("{} changes pixels: PNG and OpenEXR keep them", kind))


def _has_compositor(scene: bpy.types.Scene) -> bool:
    if bpy.app.version >= (5, 0, 0):
        return scene.compositing_node_group is not None
    return scene.use_nodes


def _has_strips(scene: bpy.types.Scene) -> bool:
    editor = scene.sequence_editor
    if editor is None:
        return False
    return bool(editor.strips_all if bpy.app.version >= (4, 4, 0) else editor.sequences_all)  # type: ignore[attr-defined]


def _of_backend() -> Iterator[Finding]:
    try:
        starts = preferences.get().autostart
    except PreferencesError as error:
        yield Finding("error", str(error))
        return
    if session.link is None and not starts:
        yield Finding("error", "No backend is connected, and the preferences forbid background renders to start one")
    else:
        yield Finding("warning", "The backend is not ready: a window's render shows stripes until it is; "
                      "a background render waits for it")  # fmt: skip


def _of_face(proxy: bpy.types.Object, scene: bpy.types.Scene) -> Iterator[Finding]:
    face, welcome = face_of(proxy), session.welcome
    if not shows_its_picture(proxy):
        yield Finding("error", rpt_("{}: its plate has lost its picture; add the face again", proxy.name))
    if face.display != "PROJECTED" and not proxy.hide_render:
        yield Finding("warning", rpt_("{}: the proxy mesh renders over its picture; hide it in renders", proxy.name))
    blocks = list(proxy.data.shape_keys.key_blocks)[1:] if proxy.data.shape_keys is not None else []
    if idle := [block.name for block in blocks if block.value and not face.is_control(block.name)]:
        yield Finding(
            "warning", rpt_("{}: {} changes the mesh only: no control of the model", proxy.name, ", ".join(idle))
        )
    if not _may_render(proxy, scene):
        yield Finding("warning", rpt_("{}: is in no view layer, and does not render", proxy.name))
    if face.plate is not None and face.plate.hide_render and face.display != "PROJECTED":
        yield Finding("warning", rpt_("{}: its plate is hidden in renders", proxy.name))
    if scene.camera is not None and (before := hiding(bpy.context, proxy, scene.camera)):
        yield Finding(
            "warning", rpt_("{} stands in front of {}: move it away, or hide it", ", ".join(before), proxy.name)
        )
    is_painted = welcome is None or face.model == welcome.model or earlier_model(proxy)
    if face.source == "LIVE" and not is_painted:
        yield Finding(
            "error", rpt_("{}: belongs to the model {}, the backend runs another", proxy.name, face.model_name)
        )
    if face.source == "BAKED":
        yield from _of_bake(proxy, scene)


def _may_render(proxy: bpy.types.Object, scene: bpy.types.Scene) -> bool:
    """Returns whether what carries the picture is in any view layer; a lost plate is another finding."""
    shown = carrier_of(proxy)
    return shown is None or is_in_a_layer(shown, scene)


def _of_frames(scene: bpy.types.Scene) -> Iterator[Finding]:
    """Yields findings that need a look at every frame; the scene goes back to the current one."""
    welcome = session.welcome
    found: dict[tuple[Literal["error", "warning"], str], list[int]] = {}
    outdated: dict[str, tuple[dict[str, None], list[int]]] = {}  # what differs, and in which frames
    rendered = [proxy for proxy in faces(scene) if camera_of(proxy, scene) and _may_render(proxy, scene)]
    for frame in frames.visit(scene):
        depsgraph = bpy.context.evaluated_depsgraph_get()
        for proxy in rendered:
            try:
                wanted = read_face(proxy, scene, depsgraph)
            except UnreadableError as error:
                found.setdefault(("error", str(error)), []).append(frame)
                continue
            if face_of(proxy).source == "BAKED" and (parts := stale.stale_parts(proxy, scene, depsgraph)):
                all_parts, where = outdated.setdefault(proxy.name, ({}, []))
                all_parts.update(dict.fromkeys(parts))
                where.append(frame)
            if text := _of_roll(proxy, scene, wanted.plate):
                found.setdefault(("warning", text), []).append(frame)
            turn = {"yaw": wanted.parameters.yaw, "pitch": wanted.parameters.pitch}
            for known in welcome.pose if welcome is not None else ():
                if known.name in turn and (text := _of_turn(proxy, known, turn[known.name])):
                    found.setdefault(("warning", text), []).append(frame)
    for name, (all_parts, where) in outdated.items():
        text = rpt_("{}: its bake is stale, made with {}; bake again", name, differing(list(all_parts)))
        found["warning", text] = where
    step = frames.spread(scene).step
    for (level, text), where in found.items():
        if step > 1:
            yield Finding(level, rpt_("{} (frame {}; every {}th was looked at)", text, where[0], step))
        elif len(where) > 1:
            yield Finding(level, rpt_("{} (frame {}, {} frames in all)", text, where[0], len(where)))
        else:
            yield Finding(level, rpt_("{} (frame {})", text, where[0]))


def _of_turn(proxy: bpy.types.Object, known: Parameter, angle: float) -> str:
    """Returns that the face is asked to turn by an ``angle`` beyond its model's range; "" if it is within."""
    face = face_of(proxy)
    turns = _turns(face.latent) if known.name == "yaw" else 1.0
    if turns == 1:
        beyond = rpt_("{}: {} is beyond the model's ±{:.0f}°", proxy.name, known.name, known.high)
        return "" if known.low <= angle <= known.high else beyond
    low, high = (face.rest_yaw + (end - face.rest_yaw) * turns for end in (known.low, known.high))
    if low <= angle <= high:
        return ""
    return rpt_("{}: yaw is beyond {:.0f}° to {:.0f}°, as far as the model turns this person", proxy.name, low, high)


@lru_cache(maxsize=8)
def _turns(latent: str) -> float:
    """A tuned person's takes milliseconds to decode, and every frame asks."""
    return turns_of(Anchor("", latent).latent_bytes())


def _of_roll(proxy: bpy.types.Object, scene: bpy.types.Scene, plate: np.ndarray) -> str:
    """Returns what becomes of the picture on a plate [4, 4] that the camera sees rolled; "" if it is straight."""
    face = face_of(proxy)
    if scene.camera is None or face.display == "PROJECTED" or not tears(roll_of(scene.camera, plate), face.image):
        return ""
    if any(node.interpolation == "Closest" for node in picture_nodes(proxy)):  # as Exact Pixels sets
        return rpt_("{}: a rolled picture's pixels tear; press Exact Pixels, which looks at all frames", proxy.name)
    text = rpt_("{}: its picture is rolled, so its pixels are mixed, a little softer", proxy.name)
    return text if face.matte == "HEAD" else text + rpt_("; what is behind shows at its corners")


def _of_bake(proxy: bpy.types.Object, scene: bpy.types.Scene) -> Iterator[Finding]:
    face = face_of(proxy)
    if scene.frame_start < face.baked_start or scene.frame_end > face.baked_end:
        yield Finding("error", rpt_("{}: only frames {} to {} are baked", proxy.name, face.baked_start, face.baked_end))
    if problem := stale.journal_problem(proxy):
        yield Finding("warning", rpt_("{}: {}, so its bake may be stale; bake again", proxy.name, problem))
    every = range(scene.frame_start, scene.frame_end + 1)
    missing = [frame for frame in every if not all(file.is_file() for file in stale.files_of(proxy, frame))]
    if missing:
        yield Finding(
            "error",
            rpt_("{}: {} baked pictures are missing, the first of frame {}", proxy.name, len(missing), missing[0]),
        )


class EFFIGY_OT_preflight(bpy.types.Operator):
    bl_idname = "effigy.preflight"
    bl_label = "Check Before Rendering"
    bl_description = "List what would go wrong in a long render of this scene's faces"

    def execute(self, context: bpy.types.Context) -> set[str]:
        found = findings(scene_of(context))
        for finding in found:
            self.report({"ERROR" if finding.level == "error" else "WARNING"}, finding.text)
        if not found:
            self.report({"INFO"}, "Nothing stands in the way of a render")
        elif not bpy.app.background:  # the status bar shows the last report only
            context.window_manager.popup_menu(partial(_draw_findings, found), title=self.bl_label, icon="VIEWZOOM")
        return {"FINISHED"}


def _draw_findings(found: list[Finding], menu: Any, context: bpy.types.Context) -> None:
    for finding in found:
        icon = "CANCEL" if finding.level == "error" else "ERROR"
        menu.layout.label(text=finding.text, icon=icon)  # values are in it already: it may hold braces


def register() -> None:
    bpy.utils.register_class(EFFIGY_OT_preflight)


def unregister() -> None:
    bpy.utils.unregister_class(EFFIGY_OT_preflight)
