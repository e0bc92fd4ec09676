"""Messages arrive as they were sent, or are refused with a reason."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from safetensors import numpy as safetensors

from kdtasks.contract.collaboration import TensorSpec
from kdtasks.contract.errors import UserError
from kdtasks.csi_feedback.methods.ip_encoder_kd.pairs import quantise
from sweeps.nodes.wire.messages import Kind, Message, MessageError, Parcel

DEPLOYMENT = "d3b07384"
DTYPES = ("float32", "float64", "float16", "int64", "int32", "uint8", "bool")

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
    lambda name: name != "__metadata__"  # safetensors' own
)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
arrays = st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, shapes))
facts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)  # fmt: skip
messages = st.builds(
    Message,
    kind=st.sampled_from(Kind),
    subject=st.text(max_size=5),
    deployment=st.just(DEPLOYMENT),
    facts=st.dictionaries(st.text(max_size=3), facts, max_size=3),
    arrays=st.dictionaries(names, arrays, max_size=3),
)
# Steps near the smallest 32-bit floats, 1e-38, are not exact.
numbers = st.floats(-1e6, 1e6, width=32).map(lambda x: 0.0 if abs(x) < 1e-20 else x)
tables = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=0, max_dims=3, max_side=9), elements=numbers
)


def message(**changes: Any) -> Message:
    entries: dict[str, Any] = {
        "kind": Kind.MODEL,
        "subject": "student",
        "deployment": DEPLOYMENT,
        "facts": {"round": 1},
        "arrays": {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([7])},
    }
    return Message(**(entries | changes))


def read(payload: bytes) -> Message:
    return Message.from_bytes(payload, deployment=DEPLOYMENT)


def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def parts(payload: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Take a serialised message apart: header without hash, safetensors' entries, data."""
    end = 8 + int.from_bytes(payload[:8], "little")
    entries = json.loads(payload[8:end])
    header = json.loads(entries.pop("__metadata__")["message"])
    return header | {"sha256": ""}, entries, payload[end:]


def forged(header: Any, entries: dict[str, Any], data: bytes) -> bytes:
    """Seal anything, by an implementation of its own."""

    def written(value: Any) -> bytes:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        raw = json.dumps(
            {"__metadata__": {"message": text}, **entries},
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode()
        raw += b" " * (-len(raw) % 8)
        return len(raw).to_bytes(8, "little") + raw + data

    if not isinstance(header, dict):
        return written(header)
    return written(header | {"sha256": hashlib.sha256(written(header)).hexdigest()})


def changed(**fields: Any) -> bytes:
    """Seal a quantised message whose header says something else."""
    header, *rest = parts(message(bits=8).to_bytes())
    return forged(header | fields, *rest)


@given(messages)
def test_a_message_arrives_as_it_was_sent(sent: Message) -> None:
    received = read(sent.to_bytes())
    assert (received.kind, received.subject) == (sent.kind, sent.subject)
    assert (received.deployment, received.bits) == (DEPLOYMENT, 0)
    assert received.facts == sent.facts
    assert received.arrays.keys() == sent.arrays.keys()
    assert all(same(received.arrays[name], array) for name, array in sent.arrays.items())


@given(messages)
def test_what_arrived_can_be_sent_on_unchanged(sent: Message) -> None:
    assert read(sent.to_bytes()).to_bytes() == sent.to_bytes()


@given(messages)
def test_the_bytes_do_not_depend_on_the_order_of_entries(sent: Message) -> None:
    turned = Message(
        kind=sent.kind,
        subject=sent.subject,
        deployment=sent.deployment,
        facts=dict(reversed(sent.facts.items())),
        arrays=dict(reversed(sent.arrays.items())),
    )
    assert turned.to_bytes() == sent.to_bytes()


def test_the_bytes_are_those_that_another_implementation_writes() -> None:
    sent = message().to_bytes()
    assert forged(*parts(sent)) == sent
    assert len(changed()) == len(message(bits=8).to_bytes())
    assert read(changed()).arrays["n"][0] == 7


@pytest.mark.parametrize("bits", [0, 8])
def test_views_and_foreign_byte_orders_are_sent_as_what_they_mean(bits: int) -> None:
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    views = {"turned": grid.T, "every other": grid[:, ::2], "big": grid.astype(">f4")}
    received = read(message(arrays=views, bits=bits).to_bytes())
    plain = {name: np.ascontiguousarray(view, np.float32) for name, view in views.items()}
    expected = read(message(arrays=plain, bits=bits).to_bytes())
    for name, view in views.items():
        assert same(received.arrays[name], expected.arrays[name])
        assert np.abs(received.arrays[name] - view).max() <= (0 if bits == 0 else 11 / 255 / 1.99)


@given(tables, st.integers(1, 16))
def test_quantised_arrays_equal_those_of_the_quantiser_of_pairs(
    table: NDArray[np.float32], bits: int
) -> None:
    received = read(message(arrays={"table": table}, bits=bits).to_bytes()).arrays["table"]
    expected = quantise(torch.from_numpy(table.copy()), bits).numpy()
    assert received.dtype == np.float32
    np.testing.assert_array_equal(received, expected, strict=True)


@given(tables, st.integers(1, 16))
def test_the_error_of_quantisation_is_at_most_half_a_step(
    table: NDArray[np.float32], bits: int
) -> None:
    received = read(message(arrays={"table": table}, bits=bits).to_bytes()).arrays["table"]
    step = (float(table.max()) - float(table.min())) / (2**bits - 1)
    rounding = 4 * np.finfo(np.float32).eps * float(np.abs(table).max())
    assert np.abs(received.astype(float) - table.astype(float)).max() <= step / 2 + rounding


def test_numbers_that_are_barely_floats_keep_their_order_of_magnitude() -> None:
    # The step, 1.45 times the smallest float, is rounded down: the last code would be 67813.
    table = np.float32([0, 65535 * 1.45 * 1e-45])
    received = read(message(arrays={"t": table}, bits=16).to_bytes()).arrays["t"]
    np.testing.assert_allclose(received, table, atol=5e-42)


@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("count", [0, 1, 7, 8, 65536, 65537, 200_003])
def test_the_chosen_number_of_bits_is_sent(bits: int, count: int) -> None:
    codes = np.arange(count) % 2**bits
    codes[-2:] = [0, 2**bits - 1][-count:] if count else []
    table = codes.astype(np.float32) + np.float32(3)
    sent = message(arrays={"t": table}, bits=bits).to_bytes()
    assert safetensors.load(sent)["t"].nbytes == -(-count * bits // 8)
    np.testing.assert_array_equal(read(sent).arrays["t"], table)


def test_only_32_bit_floats_are_quantised() -> None:
    kept = {"count": np.array([1, 70_000]), "exact": np.array([0.1, 0.7, 0.9])}
    received = read(message(arrays=kept, bits=1).to_bytes())
    assert received.bits == 1
    assert all(same(received.arrays[name], array) for name, array in kept.items())


@given(st.data())
def test_a_changed_byte_is_noticed_wherever_it_is(data: st.DataObject) -> None:
    original = message(bits=data.draw(st.sampled_from([0, 3]))).to_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    damaged = bytearray(original)
    damaged[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(MessageError):
        read(bytes(damaged))


def test_every_byte_of_a_message_is_protected() -> None:
    original = message(subject="é", facts={"x": 1.5e300}).to_bytes()
    for place in range(len(original)):
        for flip in (0x01, 0x20, 0x80):  # 0x20: upper and lower case
            damaged = bytearray(original)
            damaged[place] ^= flip
            with pytest.raises(MessageError):
                read(bytes(damaged))


def test_a_message_cut_off_anywhere_is_refused() -> None:
    original = message().to_bytes()
    for length in range(len(original)):
        with pytest.raises(MessageError, match="malformed"):
            read(original[:length])


@given(st.binary(min_size=1, max_size=20))
def test_a_message_with_more_behind_it_is_refused(more: bytes) -> None:
    with pytest.raises(MessageError, match="malformed"):
        read(message().to_bytes() + more)


@given(st.binary(max_size=200), st.booleans())
def test_noise_is_refused(noise: bytes, starts_well: bool) -> None:
    with pytest.raises(MessageError):
        read(len(noise).to_bytes(8, "little") + noise if starts_well else noise)


RANGE = {"shape": [2, 3], "low": 0.0, "high": 5.0}

REFUSED = {
    "unknown kind of message 'gossip'": changed(kind="gossip"),
    "header: schema_version: .* 2": changed(schema_version=1),
    "header: schema_version": changed(schema_version=None),
    "deployment 'other', this node is in 'd3b07384'": changed(deployment="other"),
    "header: subject": changed(subject=3),
    "header: facts": changed(facts=[]),
    "header: bits": changed(bits=17),
    "header: extra": changed(extra=1),
    "header: quantised.w.low": changed(quantised={"w": RANGE | {"low": 1e300}}),
    "header: quantised.w.shape.0": changed(quantised={"w": RANGE | {"shape": [-2, -3]}}),
    "0 bits per number": changed(bits=0),
    r"\['ghost'\] are not in the payload": changed(quantised={"ghost": RANGE}),
    "'w' does not match the header: uint8 of shape": changed(
        quantised={"w": RANGE | {"shape": [2, 4]}}
    ),
    "'w' does not match.*expected 10+ bytes": changed(quantised={"w": RANGE | {"shape": [10**30]}}),
    "'n' does not match the header: int64": changed(quantised={"n": RANGE | {"shape": [8]}}),
    "facts must be JSON: Out of range": changed(facts={"x": float("nan")}),
    "malformed header": forged([], *parts(changed())[1:]),
    "malformed message: .*'__metadata__'": safetensors.save({"w": np.zeros(1)}),
    "malformed message: 'message'": safetensors.save({"w": np.zeros(1)}, {"other": "x"}),
    "malformed message: Expecting": safetensors.save({"w": np.zeros(1)}, {"message": "{]"}),
    "malformed message: .*recursion": safetensors.save(
        {"w": np.zeros(1)}, {"message": "[" * 65536}
    ),
    "header: payload_bytes": changed(payload_bytes=5),
    "malformed message: .*header": b"PK\x03\x04 and so on",
    "sha256": changed().replace(b'\\"round\\":1', b'\\"round\\":2'),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_a_message_for_this_node_is_refused_with_the_reason(reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        read(REFUSED[reason])


def test_an_empty_shape_of_impossible_size_is_refused() -> None:
    header, _, _ = parts(changed())
    empty = {"w": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}
    impossible = {"w": RANGE | {"shape": [0, 10**30]}}
    with pytest.raises(MessageError, match="does not match"):
        read(forged(header | {"quantised": impossible}, empty, b""))


def test_a_number_off_the_grid_of_its_header_is_refused() -> None:
    header, *rest = parts(message(bits=0).to_bytes())
    with pytest.raises(MessageError, match="8 bits per number"):
        read(forged(header | {"bits": 8}, *rest))


UNSENDABLE = {
    "facts must be JSON": {"facts": {"array": np.zeros(1)}},
    "facts must be JSON: Out of range": {"facts": {"loss": float("inf")}},
    "header: facts.1": {"facts": {1: "one"}},
    "cannot be sent": {"arrays": {"words": np.array(["a"])}},
    "array 'w': values from nan": {"arrays": {"w": np.full(2, np.nan, np.float32)}, "bits": 4},
    "array 'w': values from -inf": {"arrays": {"w": np.float32([-np.inf, 0])}, "bits": 4},
    "array 'w': values from -3": {"arrays": {"w": np.float32([-3e38, 3e38])}, "bits": 4},
}


@pytest.mark.parametrize("reason", UNSENDABLE)
def test_what_cannot_be_sent_is_refused_at_the_sender(reason: str) -> None:
    with pytest.raises(MessageError, match=f"model message 'student': .*{reason}"):
        message(**UNSENDABLE[reason]).to_bytes()


@pytest.mark.parametrize("bits", [-1, 17])
def test_bits_are_0_to_16(bits: int) -> None:
    with pytest.raises(UserError, match=f"bits must be in 0..16, got {bits}"):
        message(bits=bits)


SPECS = {
    "w": TensorSpec(shape=(None, 3), dtype="float32"),
    "n": TensorSpec(shape=(1,), dtype="int64"),
}


def test_arrays_that_fit_are_accepted_with_any_number_of_samples() -> None:
    message().checked(SPECS)
    message(arrays=dict(message().arrays) | {"w": np.zeros((9, 3), np.float32)}).checked(SPECS)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"w": np.zeros((2, 4), np.float32)}, r"array 'w' has shape \(2, 4\), expected \(any, 3\)"),
        ({"w": np.zeros((2, 3))}, "array 'w' has dtype float64, expected float32"),
        ({"w": np.full((1, 3), np.nan, np.float32)}, "array 'w' has values that are NaN"),
        ({"b": np.zeros(1)}, r"missing: \[\], left over: \['b'\]"),
        ({"w": None}, r"missing: \['w'\], left over: \[\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(wrong: dict[str, Any], reason: str) -> None:
    kept = {name: a for name, a in {**message().arrays, **wrong}.items() if a is not None}
    with pytest.raises(MessageError, match=f"model message 'student': .*{reason}"):
        message(arrays=kept).checked(SPECS)


@given(messages, st.lists(st.text(max_size=3), max_size=4))
def test_every_receiver_gets_the_same_parcel(sent: Message, receivers: list[str]) -> None:
    parcels = Parcel.pack("server", receivers, sent)
    assert [parcel.receiver for parcel in parcels] == receivers
    for parcel in parcels:
        assert (parcel.sender, parcel.kind) == ("server", sent.kind)
        assert parcel.payload == sent.to_bytes()
        assert (parcel.raw_samples, parcel.raw_bytes) == (0, 0)


@given(st.integers(1, 20), st.integers(0, 16))
def test_raw_data_are_counted_as_measured_however_few_bits_they_are_sent_with(
    samples: int, bits: int
) -> None:
    data = {"x": np.zeros((samples, 2, 5), np.float32), "y": np.zeros((samples, 3), np.float32)}
    model = message(arrays=data, bits=bits)
    (parcel,) = Parcel.pack("edge-0", ["server"], model, raw_samples=samples)
    assert parcel.raw_samples == samples
    assert parcel.raw_bytes == sum(array.nbytes for array in data.values())


def test_numbers_of_few_bits_make_a_small_message() -> None:
    table = {"t": np.random.default_rng(0).normal(size=50_000).astype(np.float32)}
    sizes = {bits: len(message(arrays=table, bits=bits).to_bytes()) for bits in (0, 16, 4, 1)}
    header = 1000
    for bits, size in sizes.items():
        assert 0 <= size - 50_000 * (bits or 32) // 8 <= header
