# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a message, and what can go wrong with a request."""

from __future__ import annotations

from typing import Literal, get_args

ErrorCode = Literal[
    "malformed",  # not a message of this protocol
    "too-large",  # over a limit
    "version",  # another version of this protocol
    "unknown-kind",  # no such kind of message, or not in this direction
    "bad-field",  # a field is missing, unknown, of the wrong type or out of its range
    "loading",  # the model is not loaded yet: try again
    "unknown-identity",  # never opened here, or released: open it again
    "wrong-model",  # the latent belongs to another model
    "superseded",  # a newer preview of the same stream took its place
    "cancelled",  # the client asked for it, or was silent for too long
    "busy",  # too much of this client, or of all, is waiting: try again when some is answered
    "shutting-down",  # the service is leaving
    "failed",  # the model raised: the log has the details
]

ERROR_CODES: frozenset[str] = frozenset(get_args(ErrorCode))


class ProtocolError(Exception):
    """A message that cannot be accepted.

    The only exception that decoding raises, whatever the bytes. ``request_id`` is set when the header
    could be read that far, so that the refusal can name the request that it refuses.
    """

    def __init__(self, code: ErrorCode, message: str, request_id: int | None = None) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.request_id = request_id
