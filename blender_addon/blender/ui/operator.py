# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators share: when their buttons can be pressed, and what is said when not."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any

import bpy

from ..pictures.activity import activity
from ..pictures.session import session
from ..scene.queries import active_face
from ..translation import rpt_


def can_ask(cls: Any) -> bool:
    """Returns whether a backend is there, or may be started and waited for; says so on the button if not."""
    if session.is_ready or bpy.app.background:
        return True
    cls.poll_message_set("Start the backend first, and wait until it is ready")
    return False


def is_stopped(cls: Any) -> bool:
    """Returns whether no backend is connected, installed or removed; says so on the button if one is."""
    if not session.held and session.link is None:
        return True
    cls.poll_message_set(session.held or "Stop the backend first")
    return False


def is_idle(cls: Any) -> bool:
    """Returns whether no bake, cache or render is running; says so on the button if one is."""
    if not activity.is_at_work:
        return True
    cls.poll_message_set("Wait until the bake or render that runs is done")
    return False


def is_saved(cls: Any) -> bool:
    """Returns whether there is a folder for pictures, beside the .blend; says on the button what to do if not."""
    if bpy.data.filepath:
        return True
    cls.poll_message_set("Save the .blend first: the pictures are written beside it")
    return False


def in_object_mode(cls: Any, context: bpy.types.Context) -> bool:
    """Returns whether objects may be added and removed; says so on the button if not."""
    if context.mode == "OBJECT":
        return True
    cls.poll_message_set("Leave the edit mode first")
    return False


def is_ours(cls: Any, proxy: bpy.types.Object) -> bool:
    """Returns whether the face can be changed in this file; says on the button what to do if not."""
    if proxy.library is None:
        return True
    cls.poll_message_set("This face is another file's: make a library override (Object ▸ Library Override ▸ Make)")
    return False


def registration_in_menu(
    classes: Sequence[type], menu: str, draw: Callable[[Any, bpy.types.Context], None]
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Returns the functions that register ``classes`` and what draws them in Blender's ``menu``, and that undo it."""

    def register() -> None:
        for cls in classes:
            bpy.utils.register_class(cls)
        getattr(bpy.types, menu).append(draw)

    def unregister() -> None:
        getattr(bpy.types, menu).remove(draw)
        for cls in reversed(classes):
            bpy.utils.unregister_class(cls)

    return register, unregister


def hand_over(chooser: Any, context: bpy.types.Context, worker: str) -> set[str]:
    """Calls the operator ``worker``, which does the work, with the settings of ``chooser``, which asked for a file.

    Two operators are needed because Blender adds an undo step as soon as a file is chosen, before the work is done. In
    a window the work goes on in the background; a script waits.
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


class WatchingOperator(bpy.types.Operator):
    """An operator whose work goes on beside the window: a timer looks at it, and Esc takes it back."""

    look_s = 0.1  # between two looks

    def look(self, context: bpy.types.Context) -> set[str] | None:
        """Looks at the work; returns the operator's result, or None while it goes on."""
        raise NotImplementedError

    def stopped(self) -> None:
        """Cleans up after Esc has ended it."""

    def watch(self, context: bpy.types.Context) -> set[str]:
        """Begins to watch the work; returns what ``invoke`` is to return."""
        self._timer = context.window_manager.event_timer_add(self.look_s, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC" and event.value == "PRESS":
            self.cancel(context)
            self.stopped()
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            result = self.look(context)
        except Exception as error:  # noqa: BLE001 whatever a scene holds: the timer, and what it looks at, must go
            traceback.print_exc()
            self.report({"ERROR"}, rpt_("{} stopped: {}", self.bl_label, f"{type(error).__name__}: {error}"))
            result = {"CANCELLED"}
        if result is None:
            return {"PASS_THROUGH"}
        self.cancel(context)
        return result

    def cancel(self, context: bpy.types.Context) -> None:
        """Ends looking at it; also when Blender takes the operator away: another file, or the end."""
        context.window_manager.event_timer_remove(self._timer)

    def show_status(self, context: bpy.types.Context, text: str | None) -> None:
        """Shows ``text`` in the window's status bar; None restores it."""
        if (workspace := context.workspace) is not None:
            workspace.status_text_set(text)


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
