# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's part for the connection: whether there is a backend, and what it paints with."""

from __future__ import annotations

import bpy

from effigy_client.errors import UPDATE
from effigy_client.state import Phase, State

from ..pictures.session import session
from ..translation import iface_
from . import install
from .panels import SidePanel
from .rows import Status, draw_text, draw_word

# Every state has a sign and a word of its own: none is told by its colour alone.
_ICONS = {
    Phase.CONNECTING: "SORTTIME",
    Phase.LOADING: "SORTTIME",
    Phase.READY: "CHECKMARK",
    Phase.LOST: "ERROR",
    Phase.REFUSED: "ERROR",
}


class EFFIGY_PT_backend(SidePanel):
    bl_label = "Backend"

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        draw_word(self.layout, status())

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        row = layout.row(align=True)
        row.operator("effigy.connect", icon="PLAY")
        row.operator("effigy.disconnect", icon="SNAP_FACE")
        draw_text(layout, status())
        install.draw_rows(layout)


def status() -> Status:
    """Returns the state of the connection, for the panel."""
    state = session.state
    if state is None:
        if session.problem:
            return Status("ERROR", iface_("Not running"), session.problem)
        return Status("UNLINKED", iface_("Not running"), _to_start())
    hint = _hint(state)
    text = f"{state.detail} ({hint})" if hint else state.detail
    if state.phase is Phase.READY and state.welcome is not None:
        height, width = state.welcome.resolution
        text = f"{text} {iface_('{} × {} on {}', width, height, state.welcome.device)}"
    return Status(_ICONS[state.phase], state.phase.value.capitalize(), text)


def _hint(state: State) -> str:
    """Returns what to do about the connection's state; for another release, with the panel's own buttons."""
    if state.hint == UPDATE:
        return iface_("press Stop; if Install Backend has made the backend, the panel then offers to update it")
    return state.hint


def _to_start() -> str:
    """Returns what to expect of the start of a backend that is not running, or what must be done before."""
    if session.held:
        return iface_("Wait until that is done.")
    if not install.is_found():
        return iface_("It must be installed first.")
    return iface_("It takes some seconds to start.")
