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
        # What was read and not given, from `_at` on. Content that was prefetched is one piece.
        self._piece = b""
        self._at = 0
        self.closed = False

    def read(self, size: int | None = None) -> bytes:
        """So many bytes, or all; fewer only at the end."""
        pieces = []
        left = size
        while left != 0 and (piece := self.read1(left)):
            pieces.append(piece)
            if left is not None:
                left -= len(piece)
        return b"".join(pieces)

    def read1(self, size: int | None = None) -> bytes:
        """What is here, or comes next; no more than so many bytes."""
        if self._at == len(self._piece):
            self._piece, self._at = self._next(), 0
        end = len(self._piece) if size is None else self._at + size
        data = self._piece[self._at : end]
        self._at += len(data)
        return data

    def _next(self) -> bytes:
        try:
            piece = next(self._chunks, b"")
        except adieu.AdieuError as error:
            self.closed = True
            raise as_urllib3(error) from error
        self.closed = not piece
        return piece

    def close(self) -> None:
        self.closed = True
        self._piece, self._at = b"", 0
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
