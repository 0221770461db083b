# SPDX-License-Identifier: Apache-2.0
"""How client and service prove to each other that they know the connection file's token, without telling it.

Challenge and response with HMAC-SHA-256 (RFC 2104). Each side draws a nonce of its own, so that no proof serves twice,
and the two roles prove different things, so that none can be handed back to whom it came from.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Literal

from .messages import NONCE_BYTES, Buffer, Challenge, Hello, Proof

Role = Literal["client", "service"]


def new_token() -> str:
    """A secret of 256 bits for a connection file, as hexadecimal digits."""
    return secrets.token_hex(NONCE_BYTES)


def new_nonce() -> bytes:
    """NONCE_BYTES random bytes, to be proven with once."""
    return secrets.token_bytes(NONCE_BYTES)


def prove(token: str, role: Role, client_nonce: Buffer, service_nonce: Buffer) -> bytes:
    """What only who knows ``token`` can answer to the nonces: 32 bytes.

    HMAC-SHA-256(key = token, message = "effigy " role client_nonce service_nonce), all as ASCII and raw bytes.
    """
    message = b"effigy " + role.encode() + bytes(client_nonce) + bytes(service_nonce)
    return hmac.digest(token.encode(), message, "sha256")


def is_proof(proof: Buffer, token: str, role: Role, client_nonce: Buffer, service_nonce: Buffer) -> bool:
    """Whether ``proof`` is what ``prove`` gives, compared in constant time."""
    return hmac.compare_digest(bytes(proof), prove(token, role, client_nonce, service_nonce))


class Greeting:
    """The client's side: what to send until the service welcomes it; a nonce alone until it has proven itself."""

    def __init__(self, token: str, client: str) -> None:
        """``client`` says who this is, for the service's log."""
        self._token = token
        self._client = client
        self._nonce = new_nonce()
        self._proof: bytes | None = None

    @property
    def is_proven(self) -> bool:
        """Whether the service has proven itself."""
        return self._proof is not None

    def message(self) -> Challenge | Hello:
        """What to send next, and again where no answer comes."""
        return Challenge(self._nonce) if self._proof is None else Hello(self._client, self._nonce, self._proof)

    def check(self, theirs: Proof) -> bool:
        """Whether the service knows the token; from then on ``message`` proves it of the client."""
        if not is_proof(theirs.proof, self._token, "service", self._nonce, theirs.nonce):
            return False
        self._proof = prove(self._token, "client", self._nonce, theirs.nonce)
        return True
