# SPDX-License-Identifier: Apache-2.0
"""How commands speak to people: errors in red, progress in bars, both on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

errors = Console(stderr=True)


def fail(message: object, code: int = 2) -> typer.Exit:
    """Prints what is wrong; raise the result to end the command with ``code``."""
    errors.print(f"effigy: error: {message}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(code)


def note(text: str) -> None:
    """Prints what should be known besides the result."""
    errors.print(f"effigy: note: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function ``(stage, done, total)`` that draws a progress bar per stage."""
    columns = (TextColumn("{task.description:>8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done)

        yield report
