# SPDX-License-Identifier: Apache-2.0
"""Structured logs on standard error: readable in a terminal, JSON lines everywhere else."""

from __future__ import annotations

import sys

import structlog


def configure_logs(*, verbose: bool = False) -> None:
    """Sets up structlog for this process. Latents, keys and pictures are never logged."""
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("debug" if verbose else "info"),
        # Whatever stderr is by then: a test, or a host program, may have put another in its place.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
