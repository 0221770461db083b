# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts in rows of the panel's width; a state takes as many as any other, so that no button moves under the pointer."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

_LINE = 36  # characters that fit the side panel
_SIGN = 2  # of them, what a sign before the text takes, or the dots behind it


@dataclass(frozen=True, slots=True)
class Status:
    """A status for the panel: an icon, a word, and a text that may be long."""

    icon: str
    word: str
    text: str = ""


def draw_status(layout: Any, status: Status) -> None:
    """Draws a state in a constant number of rows, so that what is below does not move under the pointer."""
    column = layout.column(align=True)
    draw_word(column, status)
    draw_text(column, status, "BLANK1")


def draw_word(layout: Any, status: Status) -> None:
    layout.label(text=status.word, icon=status.icon, translate=False)


def draw_text(layout: Any, status: Status, icon: str = "NONE") -> None:
    """Draws the beginning of the text in one row."""
    lines = textwrap.wrap(status.text, _LINE - _SIGN) if is_cut(status) else [status.text]
    layout.label(text=f"{lines[0]} …" if len(lines) > 1 else lines[0], icon=icon, translate=False)


def is_cut(status: Status) -> bool:
    """Returns whether the text does not fit into its row."""
    return len(textwrap.wrap(status.text, _LINE)) > 1


def write(layout: Any, text: str, icon: str = "NONE", *, width: int = _LINE) -> None:
    """Draws a text of any length, broken into lines of ``width`` characters, by default the panel's width."""
    column = layout.column(align=True)
    room = width if icon == "NONE" else width - _SIGN
    for number, line in enumerate(textwrap.wrap(text, room)):
        sign = icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE"
        column.label(text=line, icon=sign, translate=False)
