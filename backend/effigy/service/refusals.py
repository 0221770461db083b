# SPDX-License-Identifier: Apache-2.0
"""Turns failures into Error messages, so that no request can end the thread that serves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from effigy_protocol import ProtocolError
from effigy_protocol.errors import ErrorCode
from effigy_protocol.messages import Error

from ..generators import PictureError
from ..landmarks import DetectorError

log = structlog.get_logger()

T = TypeVar("T")

_HINTS = {
    "malformed": "send messages of Effigy's protocol; see docs/protocol.md",
    "too-large": "send a smaller message",
    "version": "update it; the add-on and the backend come with the same release",
    "unknown-kind": "install the add-on and the backend from the same release",
    "bad-field": "see docs/protocol.md for this message's fields",
}


def refusal(error: ProtocolError) -> Error:
    """Returns the Error that answers a message that cannot be read."""
    return Error(error.code, error.message, _HINTS[error.code])


class RefusedError(Exception):
    """Raised for a request that is answered with this Error."""

    def __init__(self, code: ErrorCode, message: str, hint: str) -> None:
        super().__init__(message)
        self.reply = Error(code, message, hint)


def guarded(kind: str, work: Callable[[], T]) -> T | Error:
    """Calls ``work`` for a request of this ``kind``; returns its result, or the Error that says why it failed."""
    try:
        return work()
    except RefusedError as refusal:
        return refusal.reply
    except PictureError as error:
        return Error(
            "failed", str(error), "try another pose or face; effigy generators inspect looks at the generator's weights"
        )
    except DetectorError as error:
        return Error("failed", str(error), "install Effigy again, or ask for no matte")
    except Exception as error:
        log.exception("request failed", kind=kind)
        return Error("failed", f"{type(error).__name__}: {error}", "the backend's log has the details")
