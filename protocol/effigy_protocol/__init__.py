# SPDX-License-Identifier: Apache-2.0
"""The contract between a client, such as the Blender add-on, and the backend.

Pure Python and msgpack; docs/protocol.md describes the same bytes for someone who writes another client.
"""

from .codec import PROTOCOL_VERSION, Envelope, decode_reply, decode_request, encode
from .errors import ProtocolError
from .limits import CURVE_BYTES, MAX_FILE_BYTES, REPLY_LIMITS, REQUEST_LIMITS, Limits

__all__ = [
    "CURVE_BYTES",
    "MAX_FILE_BYTES",
    "PROTOCOL_VERSION",
    "REPLY_LIMITS",
    "REQUEST_LIMITS",
    "Envelope",
    "Limits",
    "ProtocolError",
    "decode_reply",
    "decode_request",
    "encode",
]
