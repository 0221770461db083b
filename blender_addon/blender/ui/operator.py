# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators share: when their buttons can be pressed, and what is said when not."""

from __future__ import annotations

from typing import Any

import bpy

from ..pictures.session import session
from ..scene.queries import active_face


def can_ask(cls: Any) -> bool:
    """Whether a backend is there, or may be started and waited for; says so on the button if not."""
    if session.is_ready or bpy.app.background:
        return True
    cls.poll_message_set("Start the backend first, and wait until it is ready")
    return False


def in_object_mode(cls: Any, context: bpy.types.Context) -> bool:
    """Whether objects may be added and removed; says so on the button if not."""
    if context.mode == "OBJECT":
        return True
    cls.poll_message_set("Leave the edit mode first")
    return False


def is_ours(cls: Any, proxy: bpy.types.Object) -> bool:
    """Whether the face can be changed in this file; says on the button what to do if not."""
    if proxy.library is None:
        return True
    cls.poll_message_set("This face is another file's: make a library override (Object ▸ Library Override ▸ Make)")
    return False


def hand_over(chooser: Any, context: bpy.types.Context, worker: str) -> set[str]:
    """From an operator that asked for a file to the one, of the same settings, that does what takes time.

    Blender adds an undo step as soon as a file was chosen, and so one before the work is done. In a window the work
    goes on beside it; a script waits.
    """
    settings = chooser.as_keywords(ignore=("filter_glob", "check_existing"))
    waits = bpy.app.background or context.window is None
    module, name = worker.split(".")
    try:
        result: set[str] = getattr(getattr(bpy.ops, module), name)(
            "EXEC_DEFAULT" if waits else "INVOKE_DEFAULT", **settings
        )
    except RuntimeError as error:  # how an operator hears of another's report
        chooser.report({"ERROR"}, str(error).strip().removeprefix("Error: "))
        return {"CANCELLED"}
    return {"CANCELLED"} if "CANCELLED" in result else {"FINISHED"}


class FaceOperator(bpy.types.Operator):
    """An operator on the active face, which it needs."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        proxy = active_face(context)
        if proxy is None:
            cls.poll_message_set("Select a face")
            return False
        return is_ours(cls, proxy)
