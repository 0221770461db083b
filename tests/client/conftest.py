# SPDX-License-Identifier: Apache-2.0
"""Links that are closed after their test, and what they may meet."""

from __future__ import annotations

import pytest

from effigy_client.link import Link

from .impostors import Found, Impostor


@pytest.fixture()
def connect():
    clients = []

    def run(find, silence=lambda: None):
        clients.append(Link(Found(find, silence), "test"))
        return clients[-1]

    yield run
    for client in clients:
        client.close()
        assert not client._thread.is_alive(), "it hangs"


@pytest.fixture()
def impostor():
    impostor = Impostor()
    yield impostor
    impostor.close()
