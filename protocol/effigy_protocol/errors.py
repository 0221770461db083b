# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a message, and what can go wrong with a request."""

from __future__ import annotations

from typing import Literal

ErrorCode = Literal[
    "malformed",  # not a message of this protocol
    "too-large",  # over a limit
    "version",  # another version of this protocol
    "unknown-kind",  # no such kind of message, or not in this direction
    "bad-field",  # a field is missing, unknown, of the wrong type or out of its range
    "loading",  # the model is not loaded yet
    "unknown-identity",  # never opened here, or released
    "unknown-job",  # never begun for this client, ended, or its result was sent already
    "wrong-model",  # the latent belongs to another model
    "no-face",  # the picture shows none, or not so many
    "superseded",  # a newer preview of the same stream took its place
    "cancelled",  # the client asked for it, or was silent for too long
    "busy",  # too much of this client, or of all, is waiting
    "shutting-down",  # the service is ending
    "failed",  # the model raised: the log has the details
]

SHOWN = 60  # characters that an error repeats of a value that is refused

Retry = Literal["never", "at once", "later"]

RETRY: dict[ErrorCode, Retry] = {
    "malformed": "never",
    "too-large": "never",
    "version": "never",
    "unknown-kind": "never",
    "bad-field": "never",
    "loading": "at once",  # a moment later: that is what a greeting does
    "unknown-identity": "at once",  # having opened it again
    "unknown-job": "never",
    "wrong-model": "never",
    "no-face": "never",
    "superseded": "at once",
    "cancelled": "at once",
    "busy": "later",  # when some of what waits is answered
    "shutting-down": "later",  # of the service that is started next
    "failed": "never",
}
"""Whether the same request may succeed when it is asked again."""

ERROR_CODES: frozenset[str] = frozenset(RETRY)


def is_transient(code: ErrorCode) -> bool:
    """Returns whether the same request may succeed when it is asked again, at once or later."""
    return RETRY[code] != "never"


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
