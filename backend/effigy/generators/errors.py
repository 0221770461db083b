# SPDX-License-Identifier: Apache-2.0
"""The two reasons to refuse a file: it is damaged, or it is intact and of something that we do not support."""

from __future__ import annotations


class MalformedError(ValueError):
    """A file that is not what it claims to be. Everything that damaged bytes can cause is raised as this."""


class ForeignError(ValueError):
    """An intact file of something that Effigy does not support; the message says what it is, and what to do."""
