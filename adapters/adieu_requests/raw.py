"""`response.raw`: a response of urllib3's whose bytes come from a response of adieu's."""

from __future__ import annotations

from email.message import Message
from typing import TYPE_CHECKING, cast

from urllib3 import HTTPHeaderDict, HTTPResponse

import adieu
from adieu_requests.errors import as_urllib3

if TYPE_CHECKING:
    from collections.abc import Generator
    from http.client import HTTPResponse as HttplibResponse

__all__ = ["RawResponse"]

_VERSIONS = {"HTTP/1.0": 10, "HTTP/1.1": 11}


class RawResponse(HTTPResponse):
    """Reads, decodes and streams as urllib3's responses do. Closing it ends adieu's as the cleanup policy says."""

    def __init__(self, response: adieu.Response, method: str | None) -> None:
        headers = response.headers.multi_items()
        super().__init__(
            body=cast("HttplibResponse", _RawFile(response)),
            headers=HTTPHeaderDict(headers),
            status=response.status_code,
            version=_VERSIONS.get(response.http_version, 11),
            version_string=response.http_version,
            reason=response.reason,
            preload_content=False,
            decode_content=False,
            original_response=cast("HttplibResponse", _Original(headers)),
            # adieu has compared them already, and a body that was wrapped may have another length.
            enforce_content_length=False,
            request_method=method,
        )

    def stream(
        self, amt: int | None = 2**16, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        """As urllib3: a chunked body in the pieces in which it comes, any other one in pieces of `amt` bytes."""
        if not self.chunked:
            yield from super().stream(amt, decode_content)
            return
        while data := self.read1(amt, decode_content):
            yield data

    def __del__(self) -> None:
        """Not closed, as `io` does: a response that is dropped unread is ended, and reported, by adieu."""


class _RawFile:
    """The raw body as the file that urllib3 reads from."""

    def __init__(self, response: adieu.Response) -> None:
        self._response = response
        self._chunks = response.iter_raw()
        self._rest = b""
        self.closed = False

    def read(self, size: int | None = None) -> bytes:
        """So many bytes, or all; fewer only at the end."""
        pieces = [self._rest]
        length = len(self._rest)
        while (size is None or length < size) and (piece := self._next()):
            pieces.append(piece)
            length += len(piece)
        return self._split(b"".join(pieces), size)

    def read1(self, size: int | None = None) -> bytes:
        """What is here, or comes next; no more than so many bytes."""
        return self._split(self._rest or self._next(), size)

    def _next(self) -> bytes:
        try:
            return next(self._chunks, b"")
        except adieu.AdieuError as error:
            self.closed = True
            raise as_urllib3(error) from error

    def _split(self, data: bytes, size: int | None) -> bytes:
        if size is None or len(data) <= size:
            self._rest = b""
            if not data:
                self.closed = True
            return data
        self._rest = data[size:]
        return data[:size]

    def close(self) -> None:
        self.closed = True
        self._rest = b""
        self._response.close()


class _Original:
    """What requests and urllib3 use of the response of `http.client`: its fields, for the cookies."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self.msg = Message()
        for name, value in fields:
            self.msg[name] = value

    def isclosed(self) -> bool:
        """Nothing depends on it."""
        return False

    def close(self) -> None:
        """Nothing: the file is what is closed."""
