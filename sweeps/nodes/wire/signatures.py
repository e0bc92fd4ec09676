"""Signatures of messages: who sent one, to whom, and that it is not sent once more.

A node signs with its Ed25519 key (RFC 8032) over its name, the receiver's name, a counter and the
bytes of the message, which name the deployment. A seal travels beside the message:

    counter (8 bytes, little-endian) | signature (64 bytes)

A receiver knows the public keys of all nodes from the start of the deployment. It takes counters of
a sender in rising order only; gaps are messages to others. Orders of the conductor, which is the
experiment and no node, are not signed.
"""

import hashlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sweeps.nodes.wire.header import MessageError

COUNTER_BYTES = 8
SEAL_BYTES = COUNTER_BYTES + 64
"""Bytes that a signature adds to a message."""


class ForgedError(MessageError):
    """A message is not from the node that it names as its sender, or was altered on its way."""


class MisdirectedError(MessageError):
    """A message was signed for another node."""


class ReplayedError(MessageError):
    """A message, or a later one of its sender, has been received before."""


def _signed(sender: str, receiver: str, counter: bytes, message: bytes) -> bytes:
    """Return what a signature covers; no two different inputs give the same bytes."""
    names = (sender.encode(), receiver.encode())
    return b"".join([*(len(n).to_bytes(4, "little") + n for n in names), counter, message])


class Signer:
    """Seals the messages of one node with a key of its own.

    Args:
        name: The node.
        secret: Of the trial, drawn anew; keys of all its nodes follow from it [at most 64 bytes].
            Receivers must know ``public_key`` [32 bytes].
    """

    def __init__(self, name: str, secret: bytes) -> None:
        self.name = name
        seed = hashlib.blake2b(name.encode(), key=secret, digest_size=32).digest()
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()
        self._sent = 0

    def seal(self, receiver: str, message: bytes) -> bytes:
        """Return the seal of a message to a node."""
        self._sent += 1
        counter = self._sent.to_bytes(COUNTER_BYTES, "little")
        return counter + self._key.sign(_signed(self.name, receiver, counter, message))


class Verifier:
    """Checks the seals of messages to one node, by the public keys of all that may send."""

    def __init__(self, name: str, public_keys: Mapping[str, bytes]) -> None:
        self._name = name
        self._keys = {
            sender: Ed25519PublicKey.from_public_bytes(key) for sender, key in public_keys.items()
        }
        self._last = dict.fromkeys(self._keys, 0)

    def check(self, sender: str, message: bytes, seal: bytes) -> None:
        """Accept a message once; one that is refused changes nothing.

        Raises:
            ForgedError: If the sender is unknown or did not sign this message.
            MisdirectedError: If it was signed for another node.
            ReplayedError: If its counter is not above that of the sender's last message.
        """
        if sender not in self._keys:
            raise ForgedError(f"message from {sender!r}, of whom {self._name} knows no key")
        counter, signature = seal[:COUNTER_BYTES], seal[COUNTER_BYTES:]
        if not self._matches(sender, self._name, counter, signature, message):
            raise self._misfit(sender, counter, signature, message)
        number = int.from_bytes(counter, "little")
        if number <= self._last[sender]:
            raise ReplayedError(
                f"message {number} from {sender}: {self._name} has its message "
                f"{self._last[sender]} already"
            )
        self._last[sender] = number

    def _matches(
        self, sender: str, receiver: str, counter: bytes, signature: bytes, message: bytes
    ) -> bool:
        try:
            self._keys[sender].verify(signature, _signed(sender, receiver, counter, message))
        except InvalidSignature:
            return False
        return True

    def _misfit(
        self, sender: str, counter: bytes, signature: bytes, message: bytes
    ) -> MessageError:
        """Return what is wrong with a signature that does not match."""
        for other in self._keys:
            if self._matches(sender, other, counter, signature, message):
                return MisdirectedError(f"message from {sender} is for {other}, not {self._name}")
            if self._matches(other, self._name, counter, signature, message):
                return ForgedError(f"message from {sender} was signed by {other}")
        return ForgedError(f"message from {sender}: its signature does not match its contents")
