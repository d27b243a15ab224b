from __future__ import annotations

import gzip
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adieu.errors import BodyTooLarge, DecodeError
from adieu.messages.decoding import codings as _codings
from adieu.messages.decoding import decoder as coding
from adieu.messages.decoding.decoder import Decoder, accept_encoding, decode, decoder_for
from support.growth import assert_linear

if TYPE_CHECKING:
    from collections.abc import Callable


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(data) + deflater.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}
brotli: Any = _codings._brotli()
zstd: Any = _codings._zstd()
if brotli is not None:
    ENCODERS["br"] = brotli.compress
if zstd is not None:
    ENCODERS["zstd"] = zstd.compress

needs_brotli = pytest.mark.skipif(brotli is None, reason="the extra brotli is not installed")
needs_zstd = pytest.mark.skipif(zstd is None, reason="the extra zstd is not installed")
every_coding = pytest.mark.parametrize("name", ENCODERS)

TEXT = b"Goodbye is the hardest part of hello. " * 40


def decoder(content_encoding: str) -> Decoder:
    found = decoder_for(content_encoding)
    assert found is not None
    return found


def run(found: Decoder, chunks: list[bytes], max_length: int) -> bytes:
    """Feed a decoder as a response does, and check every promise of `feed`."""
    given = []

    def take(piece: bytes) -> None:
        assert type(piece) is bytes
        assert len(piece) <= max_length
        given.append(piece)

    for chunk in chunks:
        take(found.feed(chunk, max_length))
        while found.pending:
            take(found.feed(b"", max_length))
    take(found.finish(max_length))
    assert not found.pending
    return b"".join(given)


def outcome(content_encoding: str, chunks: list[bytes], max_length: int) -> bytes | None:
    """The decoded body; None if it is a `DecodeError`."""
    try:
        return run(decoder(content_encoding), chunks, max_length)
    except DecodeError:
        return None


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def cut_at(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def zeros(size: int, times: int = 1) -> bytes:
    """This many zero bytes, gzipped `times` over, without holding them in memory."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1024 * 1024)
    data = b"".join(deflater.compress(block) for _ in range(size // len(block))) + deflater.flush()
    for _ in range(times - 1):
        data = gzip.compress(data)
    return data


# Codings


@every_coding
def test_each_coding_is_decoded(name: str) -> None:
    assert decode(ENCODERS[name](TEXT), name) == TEXT
    assert decode(ENCODERS[name](b""), name) == b""


@every_coding
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100_000])
@pytest.mark.parametrize("max_length", [1, 5, 1 << 16])
def test_decoding_does_not_depend_on_the_pieces(name: str, size: int, max_length: int) -> None:
    assert run(decoder(name), cut(ENCODERS[name](TEXT), size), max_length) == TEXT


def test_names_are_matched_in_any_case_with_any_spacing_and_by_their_old_aliases() -> None:
    packed = gzip.compress(TEXT)
    for name in (
        "gzip",
        "GZip",
        "x-gzip",
        " gzip\t",
        "identity, gzip",
        "gzip,",
        ", gzip, identity",
    ):
        assert decode(packed, name) == TEXT


def test_deflate_is_decoded_with_and_without_its_zlib_wrapping() -> None:
    for level in range(10):
        assert decode(zlib.compress(TEXT, level), "deflate") == TEXT
    for window in range(9, 16):
        deflater = zlib.compressobj(9, zlib.DEFLATED, window)
        assert decode(deflater.compress(TEXT) + deflater.flush(), "deflate") == TEXT
    for size in (1, 2, 1000):
        assert run(decoder("deflate"), cut(raw_deflate(TEXT), size), 10) == TEXT
    assert decode(raw_deflate(b""), "deflate") == b""
    assert decode(raw_deflate(b"x"), "deflate") == b"x"


def test_several_gzip_members_are_one_body() -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    assert decode(packed, "gzip") == b"one two"
    for size in (1, 2, 3, 10):
        assert run(decoder("gzip"), cut(packed, size), 2) == b"one two"


@needs_zstd
def test_several_zstd_frames_are_one_body_and_skippable_ones_are_skipped() -> None:
    skippable = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"
    packed = skippable + zstd.compress(b"one ") + skippable + zstd.compress(b"two") + skippable
    for size in (1, 2, 5, 1000):
        assert run(decoder("zstd"), cut(packed, size), 2) == b"one two"


@pytest.mark.parametrize(
    "junk", [b"\0", b"\r\n", b"\0" * 5000, b"<!-- served by -->", b"\x1f\x1f", b"\x1f\x8c\x08" * 9]
)
def test_junk_after_a_complete_gzip_or_deflate_body_is_dropped(junk: bytes) -> None:
    for size in (1, 4, 100_000):
        assert run(decoder("gzip"), cut(gzip.compress(TEXT) + junk, size), 1000) == TEXT
        assert run(decoder("deflate"), cut(zlib.compress(TEXT) + junk, size), 1000) == TEXT
        if zstd is not None:
            assert run(decoder("zstd"), cut(zstd.compress(TEXT) + junk, size), 1000) == TEXT


@needs_brotli
@pytest.mark.parametrize("size", [1, 3, 100_000])
def test_bytes_after_a_complete_br_body_are_an_error(size: int) -> None:
    assert outcome("br", cut(brotli.compress(TEXT) + b"\r\n", size), 1000) is None


def test_several_codings_are_decoded_from_the_last_to_the_first() -> None:
    packed = zlib.compress(gzip.compress(TEXT))
    assert decode(packed, "gzip, deflate") == TEXT
    assert decoder("gzip , deflate").coding == "gzip, deflate"
    for size in (1, 10, 1000):
        assert run(decoder("gzip, deflate"), cut(packed, size), 3) == TEXT
    with pytest.raises(DecodeError, match="not valid gzip"):
        decode(packed, "deflate, gzip")


def test_five_codings_are_decoded_and_six_are_refused() -> None:
    packed = TEXT
    for _ in range(5):
        packed = gzip.compress(packed)
    assert decode(packed, ", ".join(["gzip"] * 5)) == TEXT
    with pytest.raises(DecodeError, match="names 6 codings, one over the other; more than 5"):
        decoder_for(", ".join(["gzip"] * 6))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "identity",
        "ClientCredentials, identity",
        "compress",
        "foo",
        "gzip, foo",
        "foo, gzip",
        "gzip;q=1",
    ],
)
def test_a_body_without_a_known_coding_is_left_unchanged(value: str | None) -> None:
    assert decoder_for(value) is None
    assert decode(b"\x1f\x8bxyz", value) == b"\x1f\x8bxyz"


@every_coding
def test_an_empty_body_is_complete_in_every_coding(name: str) -> None:
    found = decoder(name)
    assert found.feed(b"", 10) == b""
    assert found.finish() == b""
    assert decode(b"", f"{name}, gzip") == b""


def test_accept_encoding_lists_the_codings_that_can_be_decoded() -> None:
    names = accept_encoding().split(", ")
    assert names[:2] == ["gzip", "deflate"]
    assert set(names) == set(ENCODERS)
    assert accept_encoding() == accept_encoding()


def test_missing_or_too_old_extras_are_not_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Old:
        class Decompressor:
            def process(self, data: bytes) -> bytes:
                raise AssertionError("never used")

    modules = {"brotli": Old}
    monkeypatch.setattr(_codings, "_module", modules.get)
    for name in ("_brotli", "_zstd", "available"):
        monkeypatch.setattr(_codings, name, getattr(_codings, name).__wrapped__)
    monkeypatch.setattr(coding, "available", _codings.available)
    for name in ("_stages", "accept_encoding"):
        monkeypatch.setattr(coding, name, getattr(coding, name).__wrapped__)
    assert coding.accept_encoding() == "gzip, deflate"
    assert decoder_for("br") is None
    assert decoder_for("zstd, gzip") is None


def test_a_stage_shows_its_state() -> None:
    stage, body = _codings.Gzip(), gzip.compress(b"abc")
    assert repr(stage) == "<gzip inside, 0 bytes in, 0 out>"
    stage.push(body)
    stage.pull(1000)
    assert repr(stage) == f"<gzip between, {len(body)} bytes in, 3 out>"
    stage.push(b"padding")
    stage.pull(1000)
    assert repr(stage) == f"<gzip over, {len(body) + 7} bytes in, 3 out>"
    assert repr(_codings.Deflate()) == "<deflate start, 0 bytes in, 0 out>"


# Errors


@every_coding
def test_a_body_cut_off_anywhere_is_an_error(name: str) -> None:
    packed = ENCODERS[name](TEXT)
    for end in range(1, len(packed)):
        with pytest.raises(
            DecodeError, match=f"ended before its {name} data was complete: {end} coded bytes came"
        ):
            run(decoder(name), [packed[:end]], 1 << 16)


def test_a_second_member_or_frame_cut_off_is_an_error() -> None:
    whole = gzip.compress(b"one")
    for end in range(1, len(whole)):
        assert outcome("gzip", [whole + whole[:end]], 100) is None
    if zstd is not None:
        whole = zstd.compress(b"one")
        for end in range(1, len(whole)):
            assert outcome("zstd", [whole + whole[:end]], 100) is None


@every_coding
def test_a_body_in_another_coding_is_an_error(name: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(b"<!doctype html><title>not coded at all</title>", name)
    assert str(caught.value).startswith(
        f"the body is not valid {name}, as its Content-Encoding says: "
    )
    assert "(in the first 46 coded bytes, after 0 decoded ones)" in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_damaged_checksum_is_an_error() -> None:
    for name, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        packed = bytearray(pack(TEXT))
        packed[-6 if name == "gzip" else -1] ^= 1
        with pytest.raises(DecodeError, match=f"not valid {name}"):
            decode(bytes(packed), name)


@needs_zstd
def test_a_zstd_window_of_more_than_8_mib_is_refused() -> None:
    options = {
        zstd.CompressionParameter.window_log: 25,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    packer = zstd.ZstdCompressor(options=options)
    packed = packer.compress(bytes(1000)) + packer.flush()
    assert outcome("zstd", [packed], 1 << 16) is None


def test_a_max_length_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        decoder("gzip").feed(b"", 0)


# Limits


@every_coding
def test_one_call_returns_and_holds_no_more_than_max_length(name: str) -> None:
    packed = ENCODERS[name](bytes(50_000_000))
    found = decoder(name)
    tracemalloc = pytest.importorskip("tracemalloc")  # PyPy has none
    tracemalloc.start()
    try:
        for data in (packed, b"", b"", b""):
            assert len(found.feed(data, 100_000)) == 100_000
            assert found.pending
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_bytes_fed_while_output_is_pending_are_decoded_later() -> None:
    packed = gzip.compress(TEXT)
    found = decoder("gzip")
    given = b"".join([found.feed(bytes([byte]), 1) for byte in packed])
    while found.pending:
        given += found.feed(b"", 7)
    assert given + found.finish() == TEXT


def test_finish_returns_the_rest_in_limited_pieces() -> None:
    found = decoder("gzip")
    given = [found.feed(gzip.compress(TEXT), 10)]
    while True:
        given.append(found.finish(500))
        assert len(given[-1]) <= 500
        if not found.pending:
            break
    assert b"".join(given) == TEXT


@every_coding
@pytest.mark.parametrize("max_length", [1000, 32_752, 1 << 16, 100_000, 1 << 20])
def test_many_pieces_are_returned_to_the_last_byte(name: str, max_length: int) -> None:
    data = TEXT * 500
    assert len(data) > 10 * (1 << 16)
    packed = ENCODERS[name](data)
    for size in (7, 1 << 20):
        assert run(decoder(name), cut(packed, size), max_length) == data
    assert decode(packed, name, max_ratio=None) == data


@every_coding
def test_pieces_returns_everything_in_limited_pieces(name: str) -> None:
    data = TEXT * 500
    for size in (1000, 1 << 20):
        found = decoder(name)
        given = [
            piece for chunk in cut(ENCODERS[name](data), size) for piece in found.pieces(chunk)
        ]
        given += found.pieces(None)
        assert b"".join(given) == data
        assert 0 < min(map(len, given)) <= max(map(len, given)) <= 1 << 16
    found = decoder(name)
    with pytest.raises(DecodeError, match="ended before"):
        list(found.pieces(ENCODERS[name](data)[:-1])) + list(found.pieces(None))


def test_the_end_returns_the_rest_of_an_abandoned_iterator() -> None:
    found = decoder("gzip, gzip")
    data = TEXT * 5000
    first = next(found.pieces(gzip.compress(gzip.compress(data, 0))))
    assert first + b"".join(found.pieces(None)) == data


def test_a_bomb_is_refused_when_a_body_is_read_whole() -> None:
    packed = zeros(200 * 1024 * 1024)
    tracemalloc = pytest.importorskip("tracemalloc")  # PyPy has none
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge) as caught:
            decode(packed, "gzip")
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert text.startswith(f"{len(packed)} bytes of gzip decode to ")
    assert "over 200 times as much (the limit is 200 times): a decompression bomb?" in text
    assert text.endswith("read it as a stream, or set max_body=None")


def test_the_largest_output_of_any_coding_counts_as_a_bomb() -> None:
    # The inner coding decodes megabytes of empty stored blocks to nothing: only the work is large.
    nothing = b"\x00\x00\x00\xff\xff" * 10_000_000 + raw_deflate(b"")
    packed = gzip.compress(nothing)
    with pytest.raises(BodyTooLarge, match=f"{len(packed)} bytes of deflate, gzip decode to 1"):
        decode(packed, "deflate, gzip")
    assert decode(packed, "deflate, gzip", max_ratio=None) == b""


def test_the_work_of_one_call_on_several_codings_is_limited() -> None:
    packed = zeros(1 << 28, times=3)
    assert len(packed) < 10_000
    found = decoder("gzip, gzip, gzip")
    given = 0
    for data in (packed, b"", b""):
        given += len(found.feed(data, 1 << 16))
        assert found.pending
        assert found.bytes_out <= 4 * (1 << 16)
    assert given <= 3 * (1 << 16)


def test_small_bodies_may_have_any_ratio() -> None:
    assert len(decode(gzip.compress(bytes(coding.RATIO_FROM)), "gzip")) == coding.RATIO_FROM


def test_both_limits_can_be_set_and_removed() -> None:
    packed = zeros(32 * 1024 * 1024)
    assert len(decode(packed, "gzip", max_ratio=None)) == 32 * 1024 * 1024
    assert len(decode(packed, "gzip", max_ratio=2000)) == 32 * 1024 * 1024
    with pytest.raises(
        BodyTooLarge,
        match=r"decode to more than max_body=1000; raise max_body \(None: no bound\), or read",
    ):
        decode(packed, "gzip", max_bytes=1000)
    assert decode(gzip.compress(TEXT), "gzip", max_bytes=len(TEXT)) == TEXT
    with pytest.raises(BodyTooLarge, match=f"max_body={len(TEXT) - 1}"):
        decode(gzip.compress(TEXT), "gzip", max_bytes=len(TEXT) - 1)
    assert decode(TEXT, None, max_bytes=len(TEXT)) == TEXT
    with pytest.raises(
        BodyTooLarge, match=f"the body has {len(TEXT)} bytes, more than max_body=10"
    ):
        decode(TEXT, None, max_bytes=10)


@pytest.mark.parametrize(
    "shape", ["many members", "one byte at a time", "small pieces of a large chunk"]
)
def test_time_is_linear(shape: str) -> None:
    def decode_scaled(scale: int) -> None:
        found = decoder("gzip")
        if shape == "many members":
            chunks, max_length = [gzip.compress(b"x") * (500 * scale)], 1 << 16
        elif shape == "one byte at a time":
            chunks, max_length = cut(zlib.compress(TEXT * 2 * scale, 0), 1), 1 << 16
            found = decoder("deflate")
        else:
            chunks, max_length = [gzip.compress(TEXT * 20 * scale, 0)], 100
        run(found, chunks, max_length)

    assert_linear(decode_scaled, 4)


# Any input


codings = st.sampled_from([*ENCODERS, "gzip, gzip", "gzip, deflate"])
places = st.lists(st.integers(0, 1 << 16), max_size=6)


@settings(max_examples=300)
@given(codings, st.binary(max_size=300), places, st.integers(1, 500))
def test_any_bytes_in_any_pieces_give_one_result_or_a_decode_error(
    name: str, data: bytes, edges: list[int], max_length: int
) -> None:
    results = outcome(name, cut_at(data, edges), max_length), outcome(name, [data], 1 << 16)
    assert results[0] == results[1] or ("zstd" in name and None in results)


@settings(max_examples=300)
@given(
    codings,
    st.builds(bytes.__mul__, st.binary(max_size=300), st.sampled_from([1, 3, 400])),
    st.binary(max_size=6),
    st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)),
    places,
    st.integers(1, 500) | st.integers(30_000, 200_000),
)
def test_a_body_damaged_anywhere_gives_one_result_or_a_decode_error(
    name: str, data: bytes, tail: bytes, damage: tuple[int, int], edges: list[int], max_length: int
) -> None:
    packed = data
    for layer in name.split(", "):
        packed = ENCODERS[layer](packed)
    broken = bytearray(packed + tail)
    broken[damage[0] % len(broken)] ^= damage[1]
    results = (
        outcome(name, cut_at(bytes(broken), edges), max_length),
        outcome(name, [bytes(broken)], 1 << 16),
    )
    # libzstd checks the announced size of a frame only if it has the whole frame at once.
    assert results[0] == results[1] or ("zstd" in name and None in results)
    assert run(decoder(name), cut_at(packed, edges), max_length) == data
