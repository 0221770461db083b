# SPDX-License-Identifier: Apache-2.0
"""How painting without a service is refused."""

from __future__ import annotations


class PaintingError(Exception):
    """What was asked cannot be painted; the message says what is wrong and what to do."""
