# SPDX-License-Identifier: Apache-2.0
"""Encodes and decodes messages: a msgpack header and payload frames.

Header: ``{"v": version, "id": request id, "kind": name, "body": fields, "sizes": bytes of each frame}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args

import msgpack

from .errors import ProtocolError
from .limits import MAX_ITEMS, MAX_TEXT, REPLY_LIMITS, REQUEST_LIMITS, Limits
from .messages import Buffer, Reply, Request
from .schema import brief, pack, unpack_dataclass

PROTOCOL_VERSION = 4

_REQUESTS: dict[str, type] = {cls.__name__: cls for cls in get_args(Request)}
_REPLIES: dict[str, type] = {cls.__name__: cls for cls in get_args(Reply)}
_HEADER_KEYS = {"v", "id", "kind", "body", "sizes"}

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Envelope(Generic[M]):
    """A decoded message and the request id that it carries or answers."""

    id: int
    message: M


def encode(request_id: int, message: Request | Reply) -> list[Buffer]:
    """Encodes ``message`` to frames, header first. A reply has the id of the request that it answers.

    The frames are decoded again as a check: what the other side would refuse raises ProtocolError here.
    """
    payload: list[Buffer] = []
    kind = type(message).__name__
    try:
        body = pack(message, payload)
        sizes = [memoryview(frame).nbytes for frame in payload]
        header = msgpack.packb({"v": PROTOCOL_VERSION, "id": request_id, "kind": kind, "body": body, "sizes": sizes})
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ProtocolError("bad-field", f"{kind} cannot be packed: {str(error)[:100]}") from None
    frames = [header, *payload]
    if kind in _REQUESTS:
        decode_request(frames)
    else:
        decode_reply(frames)
    return frames


def decode_request(frames: Sequence[Buffer], limits: Limits = REQUEST_LIMITS) -> Envelope[Request]:
    """Decodes what a client sent. Raises ProtocolError and nothing else."""
    return _decode(frames, limits, _REQUESTS, "client (in Blender, the add-on)", "backend")


def decode_reply(frames: Sequence[Buffer], limits: Limits = REPLY_LIMITS) -> Envelope[Reply]:
    """Decodes what the service sent. Raises ProtocolError and nothing else."""
    return _decode(frames, limits, _REPLIES, "backend", "client (in Blender, the add-on)")


def _decode(
    frames: Sequence[Buffer], limits: Limits, kinds: dict[str, type], sender: str, reader: str
) -> Envelope[Any]:
    sizes = [memoryview(frame).nbytes for frame in frames]
    limits.check_header(sizes)
    header = _header(frames[0])
    request_id = _request_id(header)
    payload = frames[1:]
    try:
        limits.check_payload(sizes[1:])
        _check_version(header.get("v"), sender, reader)
        _check_header(header, payload)
        kind = header["kind"]
        if not isinstance(kind, str) or kind not in kinds:
            raise ProtocolError("unknown-kind", f"no message of kind {brief(kind)} travels this way")
        message = unpack_dataclass(kinds[kind], header["body"], payload, kind)
    except ProtocolError as error:
        error.request_id = request_id
        raise
    return Envelope(request_id, message)


def _header(frame: Buffer) -> dict[str, Any]:
    try:
        # No list or map may announce more than MAX_ITEMS entries, so that a few bytes cannot ask for gigabytes.
        header = msgpack.unpackb(
            frame,
            raw=False,
            strict_map_key=True,
            max_str_len=MAX_TEXT,
            max_bin_len=0,
            max_ext_len=0,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
        )
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise ProtocolError("malformed", f"the header is not msgpack: {str(error)[:100]}") from None
    if not isinstance(header, dict):
        raise ProtocolError("malformed", "the header is not a map")
    return header


def _request_id(header: dict[str, Any]) -> int:
    request_id = header.get("id")
    if type(request_id) is not int or not 0 <= request_id < 2**63:
        raise ProtocolError("malformed", "the header has no id between 0 and 2^63")
    return request_id


def _check_version(version: Any, sender: str, reader: str) -> None:
    """Raises ProtocolError for another version. Checked first, as the rest of the header may differ in it."""
    if type(version) is not int:
        raise ProtocolError("version", f"the message names no version of the protocol, but {brief(version)}")
    if version != PROTOCOL_VERSION:
        older = sender if version < PROTOCOL_VERSION else reader
        raise ProtocolError(
            "version",
            f"the {sender.partition(' ')[0]} speaks version {brief(version)} of the protocol, this side "
            f"{PROTOCOL_VERSION}: update the {older}; both come with the same release",
        )


def _check_header(header: dict[str, Any], payload: Sequence[Buffer]) -> None:
    if header.keys() != _HEADER_KEYS:
        raise ProtocolError("malformed", f"the header must have exactly the keys {', '.join(sorted(_HEADER_KEYS))}")
    if header["sizes"] != [memoryview(frame).nbytes for frame in payload]:
        raise ProtocolError("malformed", "the payload frames are not of the sizes that the header announces")
