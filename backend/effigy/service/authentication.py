# SPDX-License-Identifier: Apache-2.0
"""Authentication: only clients that know the connection file's token are served, and it is proven to them first.

Other users of this machine can reach the port, but cannot read that file. The service keeps nothing of who has not
proven itself: its nonce is computed from the client's address and nonce.
"""

from __future__ import annotations

import hmac

from effigy_protocol.messages import Hello, Proof
from effigy_protocol.proof import is_proof, new_nonce, prove

MIN_ADDRESS = 16  # bytes of a client's ZeroMQ routing id: ZeroMQ's own five could be guessed when it has left


class Authenticator:
    """Answers challenges and judges the answers to its own."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._secret = new_nonce()

    def prove(self, client: bytes, nonce: bytes) -> Proof:
        """The answer to a client's Challenge."""
        ours = self._nonce(client, nonce)
        return Proof(ours, prove(self._token, "service", nonce, ours))

    def is_proven(self, client: bytes, hello: Hello) -> bool:
        """Whether the client has proven that it knows the token."""
        nonce = bytes(hello.nonce)
        proven = is_proof(hello.proof, self._token, "client", nonce, self._nonce(client, nonce))
        return proven and len(client) >= MIN_ADDRESS

    def _nonce(self, client: bytes, nonce: bytes) -> bytes:
        return hmac.digest(self._secret, client + nonce, "sha256")
