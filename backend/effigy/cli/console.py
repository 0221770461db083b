# SPDX-License-Identifier: Apache-2.0
"""How commands speak to people: results on stdout, errors in red and progress in bars on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import rich.console
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.segment import Segment

from effigy_protocol.printable import printable


class Console(rich.console.Console):
    """Prints without the sequences by which a name or a licence in somebody else's file could command the terminal."""

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yields what is printed, with a replacement character for each that is no text; styles are added later."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


errors = Console(stderr=True)


def fail(message: object, code: int = 2) -> typer.Exit:
    """Prints what is wrong; raise the result to end the command with ``code``."""
    _say(f"error: {message}", "bold red")
    return typer.Exit(code)


def note(text: str) -> None:
    """Prints what should be known besides the result."""
    _say(f"note: {text}", "yellow")


def _say(text: str, style: str) -> None:
    errors.print(f"effigy: {text}", style=style, markup=False, highlight=False, soft_wrap=True)


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
