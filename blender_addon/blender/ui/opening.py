# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that have the backend open an identity, for the active face or for a new one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, cast

import bpy

from effigy_client.errors import RequestError
from effigy_client.face import OPEN_S, Identities
from effigy_protocol.messages import Identity, OpenIdentity, Welcome

from ..pictures.activity import changes
from ..pictures.session import session
from ..scene.identity import change_identity
from ..scene.properties import face_of
from ..scene.queries import Name, active_face, face_in, name_of
from ..translation import rpt_
from .operator import WatchingOperator, can_ask, is_ours

REDO_S = 2.0  # the longest that a redo in a window may take


class OpeningOperator(WatchingOperator):
    """An operator that needs an identity from the backend: in a window it never waits for it."""

    bl_options = {"REGISTER", "UNDO"}
    look_s = 0.02

    def request(self, context: bpy.types.Context) -> OpenIdentity:
        """Returns what to open. Raises ValueError that says why that is impossible."""
        raise NotImplementedError

    def opened(self, context: bpy.types.Context, welcome: Welcome, identity: Identity) -> None:
        """Uses the identity that was opened. Raises ValueError that says why it cannot be used any more."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return self.begin(context)

    def begin(self, context: bpy.types.Context) -> set[str]:
        """Asks for the identity, and goes on when the answer has come."""
        try:
            request, identities = self.request(context), session.connected()
        except (RequestError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._opening: Future[Identity] = identities.open(replace(request, own=True))
        return self.watch(context)

    def look(self, context: bpy.types.Context) -> set[str] | None:
        return self._use(context, self._opening.result) if self._opening.done() else None

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Waits for the identity, for scripts and redo; in a window only for a moment."""
        try:
            request, identities = self.request(context), session.reachable()
        except (RequestError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        patience = OPEN_S if bpy.app.background else REDO_S
        return self._use(context, lambda: _opened(identities, request, patience))

    def _use(self, context: bpy.types.Context, answer: Callable[[], Identity]) -> set[str]:
        try:
            identity, welcome = answer(), session.welcome
            if welcome is None:
                raise ValueError(rpt_("The backend was stopped meanwhile"))
            self.opened(context, welcome, identity)
        except (RequestError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def _opened(identities: Identities, request: OpenIdentity, patience: float) -> Identity:
    """Opens the identity and waits for it. Raises RequestError."""
    identity: Identity = identities.link.wait(identities.open(replace(request, own=True)), patience)
    return identity


class ChangeOperator(OpeningOperator):
    """One that gives the active face another identity."""

    seed = -1
    _face: Name | None = None  # the face that was active when the operator was called

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        proxy = active_face(context)
        if proxy is None or context.mode != "OBJECT":
            cls.poll_message_set("Select a face, in object mode")
            return False
        if not is_ours(cls, proxy):
            return False
        if face_of(proxy).locked:
            cls.poll_message_set("This identity is locked: unlock it first")
            return False
        return can_ask(cls)

    def opened(self, context: bpy.types.Context, welcome: Welcome, identity: Identity) -> None:
        proxy = self.target(context)
        if face_of(proxy).locked:
            raise ValueError(rpt_("{} was locked meanwhile", proxy.name))
        if context.mode != "OBJECT":
            raise ValueError(rpt_("Leave the edit mode first"))
        change_identity(proxy, welcome, identity, self.seed)
        self._face = name_of(proxy)  # which tells the number
        changes.mark()

    def target(self, context: bpy.types.Context) -> bpy.types.Object:
        """Returns the face that this was called for, whatever was selected since. Raises ValueError when it is gone."""
        if self._face is None:
            self._face = name_of(face_in(context))
        proxy: Any = bpy.data.objects.get(self._face)
        if proxy is None or not face_of(proxy).is_face:
            raise ValueError(rpt_("{} is gone", self._face[0]))
        return cast(bpy.types.Object, proxy)


class FromDialog(ChangeOperator):
    """One that a dialog or the file browser executes: in a window the answer is waited for in the background."""

    def execute(self, context: bpy.types.Context) -> set[str]:
        return super().execute(context) if bpy.app.background else self.begin(context)
