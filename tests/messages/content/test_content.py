from __future__ import annotations

import asyncio
import bz2
import codecs
import datetime
import gzip
import io
import json
import math
import os
import pickle
import tempfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.errors import InvalidRequest
from adieu.messages.content.encode import encode_content
from adieu.messages.content.value import NO_CONTENT, Content
from adieu.messages.request import Request

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Iterator


def sent(content: Content) -> bytes:
    chunks = list(content.chunks())
    assert all(type(chunk) is bytes and chunk for chunk in chunks)
    return b"".join(chunks)


def refusal(**arguments: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        sent(encode_content(**arguments))
    return str(caught.value)


# In memory


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_sent_as_they_are(kind: Any) -> None:
    content = encode_content(content=kind(b"abc"))
    assert content.body == b"abc"
    assert type(content.body) is bytes
    assert (content.length, content.media_type, content.replayable) == (3, None, True)
    assert sent(content) == sent(content) == b"abc"


def test_bytes_that_change_later_are_sent_as_they_were() -> None:
    buffer = bytearray(b"abc")
    content = encode_content(content=buffer)
    buffer[:] = b"xyz"
    assert sent(content) == b"abc"


def test_a_view_counts_in_bytes_whatever_its_shape() -> None:
    view = memoryview(bytes(range(16))).cast("I")
    assert encode_content(content=view).length == 16
    assert sent(encode_content(content=memoryview(b"abcdef")[::2])) == b"ace"


def test_text_is_utf_8_and_says_so() -> None:
    content = encode_content(content="größe")
    assert content.body == "größe".encode()
    assert content.length == 7
    assert content.media_type == "text/plain; charset=utf-8"
    assert "lone surrogate at 2" in refusal(content="ab\ud800")


def test_no_content_has_no_bytes() -> None:
    for content in (encode_content(), encode_content(content=None, data=None, json=None, files={})):
        assert content is NO_CONTENT
        assert (content.body, content.length, content.media_type) == (b"", 0, None)
        assert list(content.chunks()) == []


@pytest.mark.parametrize(
    "arguments", [{"content": b""}, {"content": ""}, {"content": []}, {"data": {}}, {"data": b""}]
)
def test_empty_content_is_given_and_no_content_is_not(arguments: dict[str, Any]) -> None:
    empty, none = Request("GET", "http://a/", **arguments), Request("GET", "http://a/")
    assert sent(empty.content) == sent(none.content) == b""
    for request in (empty, empty.copy(), pickle.loads(pickle.dumps(empty))):
        assert request.content.is_given
        assert {"content-length", "transfer-encoding"} & set(map(str.lower, request.headers))
    for request in (none, none.copy(), pickle.loads(pickle.dumps(none))):
        assert not request.content.is_given
        assert request.content is NO_CONTENT
        assert not request.headers
    assert repr(none.content) == "NO_CONTENT"
    assert "NO_CONTENT" not in repr(empty.content)


def test_only_one_content_can_be_given() -> None:
    assert refusal(content=b"", json={}) == (
        "content= and json= were given: a request has one content"
    )
    assert refusal(content=b"", data={}, json=0).startswith("content= and data= and json= were")


def test_a_repr_shows_size_and_type_and_not_the_content() -> None:
    assert repr(encode_content(json="secret")) == "<Content 8 bytes, application/json>"
    assert "unknown length" in repr(encode_content(content=iter([b"secret"])))


def test_content_in_memory_can_be_pickled() -> None:
    for content in (encode_content(json=[1]), encode_content(content=[b"a", "b"])):
        again = pickle.loads(pickle.dumps(content))
        assert sent(again) == sent(content)
        assert again.media_type == content.media_type


# Forms


def test_a_mapping_or_pairs_are_a_form() -> None:
    expected = b"a=1&b=x+y"
    fields: dict[str, Any] = {"a": 1, "b": "x y"}
    kinds: list[Any] = [fields, OrderedDict(fields), list(fields.items()), fields.items()]
    for data in [*kinds, tuple(fields.items())]:
        content = encode_content(data=data)
        assert content.body == expected
        assert content.media_type == "application/x-www-form-urlencoded"
        assert content.length == len(expected)
        assert content.replayable
    assert encode_content(data={}).media_type == "application/x-www-form-urlencoded"
    assert encode_content(data={}).body == b""


def test_anything_else_in_data_is_content() -> None:
    assert encode_content(data=b"a=1").media_type is None
    assert encode_content(data="a=1").media_type == "text/plain; charset=utf-8"
    assert sent(encode_content(data=io.BytesIO(b"abc"))) == b"abc"
    assert sent(encode_content(data=iter([b"a", b"b"]))) == b"ab"


# JSON


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True], "ä": "€"}, [], "", 0, False, [None]])
def test_json_is_compact_utf_8(value: object) -> None:
    content = encode_content(json=value)
    assert content.media_type == "application/json"
    assert content.body == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert sent(content) == content.body


def test_json_null_is_sent_as_content() -> None:
    assert encode_content(json=None).length == 0
    assert encode_content(content="null").body == b"null"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (datetime.date(2026, 1, 2), "json is date, which JSON cannot express"),
        ({"a": [1, {"b": b"x"}]}, "json['a'][1]['b'] is bytes, which JSON cannot express"),
        ({"a": {1, 2}}, "json['a'] is set, which JSON cannot express"),
        ([0, math.nan], "json[1] is nan, and JSON has no such number (RFC 8259, section 6)"),
        ((-math.inf,), "json[0] is -inf, and JSON has no such number (RFC 8259, section 6)"),
        ({"a": {(1, 2): 3}}, "json['a'] has a key of type tuple; keys are text"),
        (["ok", "\udc80"], "json[1] has a lone surrogate, which UTF-8 cannot express"),
    ],
)
def test_an_error_names_the_path_that_json_cannot_express(value: object, fault: str) -> None:
    assert refusal(json=value) == f"json= cannot be sent: {fault}"


def test_cycles_and_deep_nesting_in_json_are_refused() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert refusal(json=circle) == "json= cannot be sent: Circular reference detected"
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    assert refusal(json=deep).startswith("json= cannot be sent: ")
    while deep:  # or the interpreter would free it recursively
        deep = deep.pop()
    assert "lone surrogate" in refusal(json="\ud800")
    assert refusal(json={"\ud800": 1}).startswith("json= cannot be sent: ")


numbers_of_json = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.booleans() | numbers_of_json | st.text() | st.lists(st.none(), min_size=1)


@given(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_json_value_can_be_read_back(value: object) -> None:
    body = encode_content(json=value).body
    assert body is not None
    assert json.loads(body) == value


# Files


def test_a_file_is_sent_from_its_position_as_often_as_needed(tmp_path: pathlib.Path) -> None:
    data = os.urandom(200_000)
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    with path.open("rb") as file:
        file.seek(1000)
        content = encode_content(content=file)
        assert (content.body, content.length, content.media_type) == (None, 199_000, None)
        assert content.replayable
        assert file.tell() == 1000
        file.seek(5)
        chunks = list(content.chunks())
        assert b"".join(chunks) == data[1000:]
        assert max(map(len, chunks)) == 65536
        partly = content.chunks()
        next(partly)
        assert sent(content) == data[1000:]


def test_files_of_every_kind_are_measured_by_their_decoded_bytes(tmp_path: pathlib.Path) -> None:
    data = b"hello " * 1000
    (tmp_path / "a.gz").write_bytes(gzip.compress(data))
    (tmp_path / "a.bz2").write_bytes(bz2.compress(data))
    with (
        gzip.open(tmp_path / "a.gz") as one,
        bz2.open(tmp_path / "a.bz2") as two,
        tempfile.TemporaryFile() as three,
        tempfile.SpooledTemporaryFile() as four,
        tempfile.NamedTemporaryFile() as five,
        (tmp_path / "raw").open("w+b", buffering=0) as six,
    ):
        for file in (three, four, five, six):
            file.write(data)
            file.seek(0)
        files: list[Any] = [one, two, three, four, five, six, io.BytesIO(data)]
        for file in files:
            content = encode_content(content=file)
            assert content.length == len(data)
            assert sent(content) == data
            assert sent(content) == data


def test_bytes_that_were_written_and_not_flushed_count(tmp_path: pathlib.Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        file.write(b"abc")
        file.seek(1)
        assert encode_content(content=file).length == 2
        file.seek(100)
        assert encode_content(content=file).length == 0


def test_a_pipe_has_no_length_and_is_read_once() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source:
        with os.fdopen(writing, "wb") as sink:
            sink.write(b"abc")
        content = encode_content(content=source)
        assert content.length is None
        assert not content.replayable
        assert sent(content) == b"abc"
        with pytest.raises(InvalidRequest, match="has been read: to send it again, pass bytes"):
            content.chunks()


def test_anything_with_a_read_method_is_a_file() -> None:
    class Readable:
        def __init__(self) -> None:
            self.left = [b"ab", bytearray(b"c")]

        def read(self, size: int) -> Any:
            return self.left.pop(0) if self.left else b""

    content = encode_content(content=Readable())
    assert (content.length, content.replayable) == (None, False)
    assert sent(content) == b"abc"


def test_text_files_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("abc")
    with path.open() as file, tempfile.NamedTemporaryFile("w+") as wrapped:
        assert refusal(content=file) == (
            f"the file {str(path)!r} in content= is open for text: open it with 'rb'"
        )
        assert "is open for text" in refusal(content=wrapped)
    assert "is open for text" in refusal(content=io.StringIO("abc"))
    assert "gives text: open it with 'rb'" in refusal(
        content=codecs.getreader("utf-8")(io.BytesIO(b"a"))
    )


def test_files_that_cannot_be_read_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        assert (
            refusal(content=file) == f"the file {str(path)!r} in content= is not open for reading"
        )
    assert refusal(content=file) == f"the file {str(path)!r} in content= is closed"
    buffer = io.BytesIO(b"abc")
    content = encode_content(content=buffer)
    buffer.close()
    with pytest.raises(InvalidRequest, match="was closed before it was sent"):
        content.chunks()
    assert refusal(content=path).endswith(f"{type(path).__name__}: open the file with 'rb'")


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="pipes cannot be made non-blocking")
def test_a_file_that_would_block_is_refused() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", buffering=0) as source, os.fdopen(writing, "wb"):
        assert "is non-blocking" in refusal(content=source)


# Iterables


def test_a_list_or_a_restartable_iterable_is_sent_as_often_as_needed() -> None:
    class Fresh:
        def __iter__(self) -> Iterator[bytes]:
            yield b"abc"
            yield b"d"

    mutable: list[Any] = [memoryview(b"abc"), bytearray(b"d")]
    sources: list[Any] = [[b"abc", b"d"], (b"abc", "d"), Fresh(), mutable]
    for source in sources:
        content = encode_content(content=source)
        assert (content.body, content.length, content.replayable) == (None, None, True)
        assert sent(content) == sent(content) == b"abcd"


def test_an_iterator_is_sent_once() -> None:
    for source in (iter([b"a", b"b"]), (piece for piece in ("a", "b")), map(str.encode, "ab")):
        content = encode_content(content=source)
        assert (content.length, content.replayable) == (None, False)
        assert sent(content) == b"ab"
        with pytest.raises(InvalidRequest, match="the content was an iterator"):
            content.chunks()


def test_a_generator_is_not_started_early_and_not_read_ahead() -> None:
    given = []

    def pieces() -> Iterator[bytes]:
        for n in range(3):
            given.append(n)
            yield b"%d" % n

    chunks = encode_content(content=pieces()).chunks()
    assert given == []
    assert next(chunks) == b"0"
    assert given == [0]


def test_empty_pieces_are_left_out_because_one_would_end_a_chunked_body() -> None:
    content = encode_content(content=[b"", b"a", "", b"b", bytearray()])
    assert list(content.chunks()) == [b"a", b"b"]


def test_any_content_can_be_read_with_await() -> None:
    contents: list[Any] = [b"ab", [b"a", "", b"b"], io.BytesIO(b"ab")]
    for content in contents:
        encoded = encode_content(content=content)
        assert not encoded.is_async
        assert b"".join(asyncio.run(collected(encoded))) == b"ab"
    assert asyncio.run(collected(NO_CONTENT)) == []


def test_pieces_that_are_neither_bytes_nor_text_are_refused() -> None:
    assert refusal(content=[b"a", 1]) == "content= has to give bytes or text, but its item 1 is int"
    assert "item 0 is NoneType" in refusal(content=iter([None]))
    assert "lone surrogate" in refusal(content=["\ud800"])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (1, "content= takes bytes, text, a binary file or an iterable of bytes, not int"),
        ({"a": 1}, "not dict: a form goes to data=, JSON to json="),
        (object(), "not object"),
    ],
)
def test_other_types_are_refused_with_a_hint(content: object, text: str) -> None:
    assert refusal(content=content).endswith(text)


# Async iterables


async def numbers() -> AsyncIterator[Any]:
    for piece in (b"a", "", b"", "b", bytearray(b"c")):
        yield piece


class FreshNumbers:
    def __aiter__(self) -> AsyncIterator[Any]:
        return numbers()


async def collected(content: Content) -> list[bytes]:
    return [chunk async for chunk in content.async_chunks()]


def test_an_async_iterable_is_for_the_async_client() -> None:
    content = encode_content(content=numbers())
    assert content.is_async
    assert not encode_content(content=b"").is_async
    assert (content.length, content.replayable) == (None, False)
    with pytest.raises(
        InvalidRequest, match=r"async_generator.*a sync client cannot.*use AsyncClient"
    ):
        content.chunks()
    assert asyncio.run(collected(content)) == [b"a", b"b", b"c"]
    with pytest.raises(InvalidRequest, match="has been read"):
        asyncio.run(collected(content))


def test_a_restartable_async_iterable_can_be_sent_again() -> None:
    content = encode_content(data=FreshNumbers())
    assert content.replayable
    for _ in range(2):
        assert asyncio.run(collected(content)) == [b"a", b"b", b"c"]


def test_async_pieces_are_checked_too() -> None:
    async def wrong() -> AsyncIterator[Any]:
        yield b"a"
        yield 1

    with pytest.raises(InvalidRequest, match="its item 1 is int"):
        asyncio.run(collected(encode_content(content=wrong())))


def test_an_object_that_is_iterable_both_ways_is_read_without_await() -> None:
    class Both(FreshNumbers):
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

    assert sent(encode_content(content=Both())) == b"x"
