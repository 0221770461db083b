# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend of this run of Blender: started or found, linked to, and stopped."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Callable
from pathlib import Path

import bpy

from effigy_client.errors import RequestError
from effigy_client.face import Identities
from effigy_client.link import Link
from effigy_client.provision import BackendError, LocalBackend, NoProgramError, Provision, RunningBackend
from effigy_client.state import Phase, State
from effigy_protocol.messages import Welcome

from .. import preferences
from ..preferences import PreferencesError
from ..translation import rpt_

# Called whenever a connection is made, and when one ends.
on_connect: list[Callable[[], None]] = []
on_disconnect: list[Callable[[], None]] = []


class Session:
    """The backend of this Blender and the link to it. Only its own methods change it."""

    def __init__(self) -> None:
        self.identities: Identities | None = None  # what the backend holds, over the link; None: nobody asked for one
        self.provision: Provision | None = None
        self.problem = ""  # why there is no connection, for the panel
        self.held = ""  # why none may be made now
        self._leaving: list[Provision] = []  # stopped, not yet gone

    @property
    def link(self) -> Link | None:
        return self.identities.link if self.identities is not None else None

    @property
    def state(self) -> State | None:
        """The connection's state, or None when nobody asked for one."""
        return self.link.state if self.link is not None else None

    @property
    def is_ready(self) -> bool:
        state = self.state
        return state is not None and state.phase is Phase.READY

    @property
    def welcome(self) -> Welcome | None:
        """The backend's last description of itself and its model."""
        state = self.state
        return state.welcome if state is not None else None

    @property
    def is_leaving(self) -> bool:
        """Whether a stopped backend still runs."""
        return bool(self._leaving)

    def connect(self) -> Identities:
        """Starts the backend or looks for a running one, as the preferences say; returns at once.

        Raises BackendError when the command cannot be started, or must not be now, or PreferencesError.
        """
        if self.identities is not None:
            return self.identities
        if self.held:
            raise BackendError(rpt_(self.held))
        self.problem = ""
        self.provision = _provision()
        self.identities = identities = Identities(Link(self.provision, f"Blender {bpy.app.version_string}"))
        for start in on_connect:
            start()
        return identities

    def try_to_connect(self) -> None:
        """Connects like ``connect``; an error is raised, and also stays in the panel."""
        try:
            self.connect()
        except (BackendError, PreferencesError) as error:
            self.problem = str(error)
            raise

    def hold(self, why: str) -> None:
        """Lets nobody start the backend, for the reason ``why``, until ``release`` is called."""
        self.held = why

    def release(self) -> None:
        self.held = ""

    def disconnect(self) -> None:
        """Closes the connection and stops the backend if this Blender started it; returns soon."""
        if self.link is not None:
            self.link.close()
        if self.provision is not None:
            self.provision.stop()
            self._leaving.append(self.provision)
        self.identities = self.provision = None
        for end in on_disconnect:
            end()

    def restart(self) -> None:
        """Starts this Blender's own backend again when it has died. Raises RequestError when it cannot be started."""
        if self.provision is not None and self.provision.has_died:
            self.disconnect()
            self._connect_or_fail()

    def connected(self) -> Identities:
        """Returns the identities at the backend, without waiting. Raises RequestError if none was started."""
        if self.identities is None:
            raise RequestError("no-backend", rpt_("Start the backend first, and wait until it is ready"), "")
        return self.identities

    def reachable(self) -> Identities:
        """Returns the identities at the backend. A script waits for one; in a window it must have been started.

        Raises RequestError.
        """
        return self.ensure_ready() if bpy.app.background else self.connected()

    def ensure_ready(self) -> Identities:
        """Waits for a backend that is ready, for renders, bakes and scripts. Raises RequestError."""
        identities = self._connect_or_fail()
        identities.link.wait_ready(self.provision.patience if self.provision is not None else 0.0)
        return identities

    def _connect_or_fail(self) -> Identities:
        try:
            return self.connect()
        except (BackendError, PreferencesError) as error:
            raise RequestError("no-backend", str(error), "") from None

    def reap(self) -> None:
        """Forgets stopped backends that have ended."""
        self._leaving = [backend for backend in self._leaving if not backend.reap()]

    def shut_down(self) -> None:
        """Ends everything, at the end of Blender and when the add-on is unregistered."""
        self.disconnect()
        for backend in self._leaving:
            with contextlib.suppress(OSError):
                backend.stop_and_wait()
        self._leaving.clear()


session = Session()


def _provision() -> Provision:
    """Starts or finds the backend that the preferences ask for. Raises BackendError or PreferencesError."""
    chosen = preferences.get()
    if chosen.source == "LOCAL":
        folder = Path(bpy.utils.extension_path_user(preferences.PACKAGE, path="backend", create=True))
        try:
            return LocalBackend(chosen.command, folder, bpy.path.abspath(chosen.model))
        except NoProgramError as error:
            raise BackendError(
                rpt_(
                    "there is no backend command '{}': press Install Backend, or set the command in the add-on's "
                    "preferences (for instance /home/me/effigy-env/bin/effigy)",
                    error.command,
                )
            ) from None
    if not chosen.connection_file:
        raise BackendError(rpt_("no connection file is set: choose one in the add-on's preferences"))
    return RunningBackend(Path(bpy.path.abspath(chosen.connection_file)))


def register() -> None:
    atexit.register(session.shut_down)


def unregister() -> None:
    atexit.unregister(session.shut_down)
    session.shut_down()
