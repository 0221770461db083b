# SPDX-License-Identifier: Apache-2.0
"""How requests fail. The only place that decides whether asking again may help."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from effigy_protocol.errors import RETRY, ErrorCode, is_transient

AGAIN = "stop, then start the backend again"
MEND = "mend that (effigy doctor, in a terminal, says more), then stop and start the backend again"
UPDATE = "stop the backend, update what is older, and start the backend again"
SAME_RELEASE = "update the backend, or what uses it: both must be of the same release"

LinkCode = Literal[
    "lost",  # the connection ended while the request was on its way
    "no-backend",  # there is none, or not yet
    "refused",  # what answers is not the backend, or another release
    "timeout",  # no answer in time
    "closed",  # this side closed the link
    "unreadable",  # the answer breaks the protocol, or is of another kind
]
"""How a request fails without an Error of the service."""

Code: TypeAlias = ErrorCode | LinkCode

# The same request may be sent again without waiting.
_AT_ONCE = {code for code, retry in RETRY.items() if retry == "at once"}
# The same request may succeed once the backend is back, or has answered others.
_TRANSIENT = {code for code in RETRY if is_transient(code)} | set(get_args(LinkCode)) - {"unreadable"}


class RequestError(Exception):
    """A request that failed: refused by the service, or never answered. ``hint`` says what to do."""

    def __init__(self, code: Code, message: str, hint: str) -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.code: Code = code
        self.message = message
        self.hint = hint

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.code in _TRANSIENT

    @property
    def may_ask_at_once(self) -> bool:
        """Whether the same request may succeed without waiting for anything."""
        return self.code in _AT_ONCE

    @property
    def has_forgotten(self) -> bool:
        """Whether the service does not know the identity, so that it has to be opened again."""
        return self.code == "unknown-identity"


class GoneError(Exception):
    """The service that was to be found has ended and will not come back; the message says why, ``hint`` what to do."""

    def __init__(self, message: str, hint: str = MEND) -> None:
        super().__init__(message)
        self.hint = hint
