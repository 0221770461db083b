# SPDX-License-Identifier: Apache-2.0
"""Why a file is refused: it is damaged, or intact and of something else."""

from __future__ import annotations


class MalformedError(ValueError):
    """A file that is not what it claims to be. All that damaged bytes can cause is raised as this."""


class ForeignError(ValueError):
    """An intact file of something that Effigy has not; the message says of what, and what to do."""
