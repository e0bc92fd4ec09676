"""A message counts once, from the node that signed it, at the node that it was signed for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.nodes.wire.header import MessageError
from sweeps.nodes.wire.signatures import (
    SEAL_BYTES,
    ForgedError,
    MisdirectedError,
    ReplayedError,
    Signer,
    Verifier,
)

NODES = ("server", "edge-0", "edge-1")
messages = st.binary(max_size=40)


def network():
    signers = {name: Signer(name, b"secret") for name in NODES}
    keys = {name: signer.public_key for name, signer in signers.items()}
    return signers, {name: Verifier(name, keys) for name in NODES}


@given(sent=st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES), messages)))
def test_all_messages_arrive_once_and_in_order(sent):
    signers, verifiers = network()
    for sender, receiver, message in sent:
        seal = signers[sender].seal(receiver, message)
        assert len(seal) == SEAL_BYTES
        verifiers[receiver].check(sender, message, seal)
        with pytest.raises(ReplayedError, match=rf"{sender}.*{receiver}"):
            verifiers[receiver].check(sender, message, seal)


@given(message=messages, place=st.integers(0, 200), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused_and_changes_nothing(message, place, flip):
    signers, verifiers = network()
    seal = signers["server"].seal("edge-0", message)
    whole = bytearray(message + seal)
    whole[place % len(whole)] ^= flip
    changed, other = bytes(whole[: len(message)]), bytes(whole[len(message) :])
    with pytest.raises(ForgedError):
        verifiers["edge-0"].check("server", changed, other)
    verifiers["edge-0"].check("server", message, seal)


@given(message=messages, cut=st.integers(0, SEAL_BYTES - 1))
def test_a_short_seal_is_refused(message, cut):
    signers, verifiers = network()
    with pytest.raises(MessageError):
        verifiers["edge-0"].check(
            "server", message, signers["server"].seal("edge-0", message)[:cut]
        )


def test_refusals_name_the_sender_the_signer_and_whom_it_was_for():
    signers, verifiers = network()
    seal = signers["edge-1"].seal("server", b"x")
    with pytest.raises(ForgedError, match="from edge-0 was signed by edge-1"):
        verifiers["server"].check("edge-0", b"x", seal)
    with pytest.raises(MisdirectedError, match="from edge-1 is for server, not edge-0"):
        verifiers["edge-0"].check("edge-1", b"x", seal)
    with pytest.raises(ForgedError, match="'stranger'"):
        verifiers["server"].check("stranger", b"x", seal)


def test_an_earlier_message_that_comes_late_is_refused():
    signers, verifiers = network()
    first, second = (signers["server"].seal("edge-0", text) for text in (b"a", b"b"))
    verifiers["edge-0"].check("server", b"b", second)
    with pytest.raises(ReplayedError, match=r"message 1 .* 2 already"):
        verifiers["edge-0"].check("server", b"a", first)


def test_names_cannot_be_moved_into_each_other():
    ab, a = Signer("ab", b"1"), Signer("a", b"2")
    keys = {"ab": ab.public_key, "a": ab.public_key, "c": a.public_key}
    with pytest.raises(MessageError):
        Verifier("c", keys).check("a", b"x", ab.seal("c", b"x"))
