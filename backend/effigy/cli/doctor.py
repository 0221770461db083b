# SPDX-License-Identifier: Apache-2.0
"""``effigy doctor``: what works on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import Console
from .options import ModelOption


def doctor(
    model: ModelOption = "default",
    port: Annotated[int, typer.Option(help="The port that you plan to use; 0: any.")] = 0,
) -> None:
    """Say what works here, and how to mend what does not."""
    from ..commands.doctor import examine
    from ..faces import resolve_bundle

    console = Console(soft_wrap=True, highlight=False)
    findings = examine(resolve_bundle(model), port)
    for finding in findings:
        mark = "[green]ok   [/]" if finding.ok else "[bold red]wrong[/]"
        console.print(f"{mark} {finding.name:<8} ", end="")
        console.print(finding.detail, markup=False)
        if not finding.ok:
            console.print(f"      → {finding.mend}", markup=False)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
