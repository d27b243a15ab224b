"""Files whose `read` is awaited, as content and as the body of a response: they are read in blocks, not by lines."""

from __future__ import annotations

import asyncio
import io
import os
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.errors import InvalidRequest
from adieu.messages.content.encode import encode_content
from support.steering import LOOPS, run, to_thread

if TYPE_CHECKING:
    from adieu.messages.content.value import Content
    from adieu.testing import FaultServer

LINES = b"line\n" * 40_000
BLOCKS = [65_536, 65_536, 65_536, 200_000 - 3 * 65_536]

KINDS = ["anyio", "aiofiles", "starlette"]
IN_LOOPS = [
    (kind, loop) for loop in LOOPS for kind in [*KINDS, *(["trio"] if loop == "trio" else [])]
]
every_kind = pytest.mark.parametrize(("kind", "loop"), IN_LOOPS)


class AioFile:
    """A file as aiofiles makes them: each method runs in a thread; iterating gives lines."""

    def __init__(self, file: Any) -> None:
        self._file = file

    async def read(self, size: int = -1) -> Any:
        return await to_thread(lambda: self._file.read(size))

    async def seek(self, offset: int) -> Any:
        return await to_thread(lambda: self._file.seek(offset))

    async def tell(self) -> Any:
        return await to_thread(self._file.tell)

    async def readable(self) -> bool:
        return True

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def __aiter__(self) -> AioFile:
        return self

    async def __anext__(self) -> Any:
        raise AssertionError("it was read by lines")


def opened(kind: str) -> Any:
    """The file of a library, around a file."""
    file = io.BytesIO(LINES)
    if kind == "aiofiles":
        return AioFile(file)
    if kind == "starlette":
        return pytest.importorskip("starlette.datastructures").UploadFile(file)
    return pytest.importorskip(kind).wrap_file(file)


async def sizes(content: Content) -> list[int]:
    return [len(chunk) async for chunk in content.async_chunks()]


@every_kind
def test_a_file_is_read_in_blocks(kind: str, loop: str) -> None:
    async def main() -> None:
        file = opened(kind)
        content = encode_content(content=file)
        assert (content.is_async, content.length) == (True, None)
        assert await sizes(content) == BLOCKS
        # The one of Starlette does not say where it stands.
        assert content.replayable == (kind != "starlette")
        if content.replayable:
            assert await sizes(content) == BLOCKS
        else:
            with pytest.raises(InvalidRequest, match="has been read"):
                content.async_chunks()

    run(main(), LOOPS[loop])


@every_kind
def test_a_file_is_sent_as_content_and_in_a_form(
    kind: str, loop: str, fault_server: FaultServer
) -> None:
    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            await client.post("/echo", content=opened(kind))
            assert fault_server.requests[-1].body == LINES
            await client.post("/echo", files={"a": opened(kind)})
            assert LINES in fault_server.requests[-1].body
            if kind != "starlette":
                await client.post("/redirect?n=2&status=307&to=/echo", content=opened(kind))
                assert [request.body for request in fault_server.requests[-3:]] == [LINES] * 3

    run(main(), LOOPS[loop])


def test_a_file_is_sent_from_its_present_position() -> None:
    async def main() -> None:
        file = AioFile(io.BytesIO(LINES))
        await file.seek(199_990)
        content = encode_content(content=file)
        for _ in range(2):
            assert await sizes(content) == [10]

    asyncio.run(main())


def test_a_pipe_is_sent_once() -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb") as writer:
            writer.write(b"abc")
        with os.fdopen(reading, "rb") as reader:
            content = encode_content(content=AioFile(reader))
            assert await sizes(content) == [3]
            assert not content.replayable
            with pytest.raises(InvalidRequest, match="has been read"):
                content.async_chunks()

    asyncio.run(main())


def test_a_stream_reader_of_asyncio_is_read_in_blocks() -> None:
    async def main() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(LINES[:50_000])
        reader.feed_eof()
        content = encode_content(content=reader)
        assert await sizes(content) == [50_000]
        assert not content.replayable

    asyncio.run(main())


def test_a_file_that_gives_text_is_refused() -> None:
    content = encode_content(content=AioFile(io.StringIO("text")))
    with pytest.raises(InvalidRequest, match="gives text: open it with 'rb'"):
        asyncio.run(sizes(content))
    anyio = pytest.importorskip("anyio")
    with pytest.raises(InvalidRequest, match="is open for text"):
        encode_content(content=anyio.wrap_file(io.TextIOWrapper(io.BytesIO())))
    file = io.BytesIO()
    file.close()
    with pytest.raises(InvalidRequest, match="is closed"):
        encode_content(content=AioFile(file))


@pytest.mark.parametrize("form", [False, True])
def test_a_file_is_for_the_async_client(form: bool) -> None:
    file: Any = AioFile(io.BytesIO(LINES))
    given: Any = {"files": {"a": file}} if form else {"content": file}
    with (
        adieu.Client() as client,
        pytest.raises(InvalidRequest, match=r"async file \(AioFile\).*use AsyncClient"),
    ):
        client.post("http://127.0.0.1:1/", **given)


def test_what_has_an_awaited_read_without_a_size_is_no_file() -> None:
    class Answer:
        async def read(self) -> bytes:
            raise AssertionError

    with pytest.raises(InvalidRequest, match=r"read\(\) is awaited, and takes no size"):
        encode_content(content=Answer())  # type: ignore[arg-type]

    class Iterated(Answer):
        async def __aiter__(self) -> Any:
            yield b"piece"

    assert asyncio.run(sizes(encode_content(content=Iterated()))) == [5]


def test_it_may_be_the_body_of_an_async_response() -> None:
    async def main() -> None:
        response = adieu.AsyncResponse(200, body=AioFile(io.BytesIO(LINES)))
        assert [len(piece) async for piece in response.iter_bytes()] == BLOCKS
        response = adieu.AsyncResponse(200, body=AioFile(io.BytesIO(LINES)))
        assert await response.read() == LINES

    asyncio.run(main())
    with pytest.raises(InvalidRequest, match="bytes, text, a binary file or an iterable of bytes"):
        adieu.Response(200, body=AioFile(io.BytesIO(b"")))
