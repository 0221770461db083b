# SPDX-License-Identifier: Apache-2.0
"""Client and service prove to each other that they know a secret, and tell it to nobody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from effigy_protocol.messages import Challenge, Hello, Proof
from effigy_protocol.proof import Greeting, is_proof, new_nonce, new_token, prove

nonces = st.binary(min_size=32, max_size=32)


@given(nonces, nonces, st.sampled_from(["client", "service"]))
def test_a_proof_is_of_one_token_one_role_and_these_nonces(theirs, ours, role):
    token = new_token()
    proof = prove(token, role, theirs, ours)
    other = "client" if role == "service" else "service"
    assert is_proof(proof, token, role, theirs, ours)
    assert not is_proof(proof, new_token(), role, theirs, ours)
    assert not is_proof(proof, token, other, theirs, ours)
    assert not is_proof(proof, token, role, new_nonce(), ours)
    assert not is_proof(proof, token, role, theirs, new_nonce())
    assert not is_proof(proof[:-1], token, role, theirs, ours)
    assert not is_proof(b"", token, role, theirs, ours)


def test_tokens_and_nonces_do_not_repeat():
    assert len({new_token() for _ in range(100)}) == len({new_nonce() for _ in range(100)}) == 100


def test_a_client_says_who_it_is_to_nobody_who_has_not_proven_itself():
    token = new_token()
    greeting, nonce = Greeting(token, "Blender 5.0"), new_nonce()
    challenge = greeting.message()
    assert isinstance(challenge, Challenge)
    assert not greeting.check(Proof(nonce, prove(new_token(), "service", challenge.nonce, nonce)))
    assert not greeting.check(Proof(challenge.nonce, prove(token, "client", challenge.nonce, challenge.nonce)))
    assert greeting.message() == challenge
    assert greeting.check(Proof(nonce, prove(token, "service", challenge.nonce, nonce)))
    hello = greeting.message()
    assert isinstance(hello, Hello)
    assert is_proof(hello.proof, token, "client", challenge.nonce, nonce)
    assert token.encode() not in bytes(hello.proof)
