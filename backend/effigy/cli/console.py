# SPDX-License-Identifier: Apache-2.0
"""How commands speak to people: errors in red, progress in bars, both on stderr."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

errors = Console(stderr=True)


def fail(message: object, code: int = 2) -> typer.Exit:
    """Prints what is wrong; raise the result to end the command with ``code``."""
    _say(f"error: {message}", "bold red")
    return typer.Exit(code)


def note(text: str) -> None:
    """Prints what should be known besides the result."""
    _say(f"note: {text}", "yellow")


def _say(text: str, style: str) -> None:
    """Prints without the sequences by which a name in somebody else's file could command the terminal."""
    commands = (letter != "\n" and unicodedata.category(letter) in ("Cc", "Cs") for letter in text)
    shown = "".join("\ufffd" if is_one else letter for letter, is_one in zip(text, commands, strict=True))
    errors.print(f"effigy: {shown}", style=style, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Returns a function ``(stage, done, total)`` that draws a progress bar for each stage."""
    columns = (TextColumn("{task.description:>8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done)

        yield report
