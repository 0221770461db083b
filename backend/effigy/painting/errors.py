# SPDX-License-Identifier: Apache-2.0
"""How painting without a service is refused."""

from __future__ import annotations


class PaintingError(Exception):
    """A request that cannot be painted; the message says what is wrong and what to do."""
