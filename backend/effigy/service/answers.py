# SPDX-License-Identifier: Apache-2.0
"""Encodes answers. Whatever the request, the frames that are sent follow the protocol's rules."""

from __future__ import annotations

from dataclasses import replace

import structlog

from effigy_protocol import ProtocolError, encode
from effigy_protocol.messages import Buffer, Error, Reply, StatusReport

log = structlog.get_logger()

MAX_TEXT_SHOWN = 1000  # bytes of a text that repeats what a client, a file or an exception said


def answer(request_id: int, reply: Reply) -> list[Buffer]:
    """Encodes ``reply`` with its free text shortened. A reply that breaks the protocol's rules is replaced by an
    Error.
    """
    if isinstance(reply, Error):
        reply = replace(reply, message=_clipped(reply.message), hint=_clipped(reply.hint))
    elif isinstance(reply, StatusReport):
        reply = replace(reply, detail=_clipped(reply.detail))
    try:
        return encode(request_id, reply)
    except ProtocolError as error:
        log.error("an answer breaks the protocol", kind=type(reply).__name__, error=error.message)
        text = f"the answer cannot be sent: {error.message}"
        return encode(request_id, Error("failed", _clipped(text), "ask for something else; the backend's log has more"))


def _clipped(text: str) -> str:
    """Shortens ``text`` to MAX_TEXT_SHOWN bytes of UTF-8; what is not Unicode, as in some paths, becomes "?"."""
    raw = text.encode("utf-8", "replace")
    if len(raw) > MAX_TEXT_SHOWN:
        return raw[: MAX_TEXT_SHOWN - 3].decode("utf-8", "ignore") + "…"
    return raw.decode("utf-8")
