"""The request: what is to be sent, as a value that can be sent again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union

from adieu.errors import InvalidRequest
from adieu.messages.content.encode import NOTHING, Content, encode_content, with_trailers
from adieu.messages.headers import Headers
from adieu.messages.url import URL

if TYPE_CHECKING:
    from adieu.messages.content.multipart import FilesLike
    from adieu.messages.fields.trailers import TrailersLike

__all__ = ["NOT_GIVEN", "HeadersLike", "Request", "tunnel_target"]

HeadersLike = Union[Headers, Mapping[str, Any], "list[tuple[str, str]]"]


class _NotGiven:
    """Says that an argument was left out, where None means something else."""

    def __repr__(self) -> str:
        return "NOT_GIVEN"

    def __reduce__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN = _NotGiven()

# Methods as everybody writes them, checked once (RFC 9110, section 9.1: case-sensitive tokens).
_METHODS = {
    name: name
    for name in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "QUERY", "TRACE")
}
_METHODS.update({name.lower(): name for name in list(_METHODS)})
_EXPECTING_A_BODY = frozenset(("POST", "PUT", "PATCH", "QUERY"))
_PLACE = re.compile(r"(?:[^\s\[\]:/@]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}").fullmatch


def _method(text: Any) -> str:
    known = _METHODS.get(text) if isinstance(text, str) else None
    if known is not None:
        return known
    if not isinstance(text, str):
        raise InvalidRequest(f"the method must be a string, not {type(text).__name__}")
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", text):
        raise InvalidRequest(f"{text!r} is not a method name (RFC 9110, section 9.1)")
    return text.upper() if text.upper() in _METHODS or text.upper() == "CONNECT" else text


class Request:
    """A request: method, URL, header fields and content.

    `content` takes bytes, text, a binary file or an iterable of bytes; `data` form fields; `files` the files of a form
    (`adieu.messages.content.multipart` says how); `json` what `json.dumps` takes (None is "not given": JSON's null is
    `content="null"`). `trailers` are fields to be sent after the content, or a function that gives them then. Raises
    `InvalidURL`, `InvalidHeader` or `InvalidRequest` for what cannot be sent.
    """

    __slots__ = ("content", "headers", "method", "url")

    def __init__(
        self,
        method: str,
        url: URL | str,
        *,
        params: Any = None,
        headers: HeadersLike | None = None,
        content: Any = None,
        data: Any = None,
        json: Any = None,
        files: FilesLike | None = None,
        trailers: TrailersLike | None = None,
    ) -> None:
        self.method = _method(method)
        target = url if type(url) is URL else URL(url)
        self.url = target if params is None else target.with_params(params)
        self.headers = headers if type(headers) is Headers else Headers(headers)
        self.content = self._encoded(content, data, json, files)
        if trailers is not None:
            self._trail(trailers)

    def _encoded(self, content: Any, data: Any, json: Any, files: Any) -> Content:
        if content is None and data is None and json is None and not files:
            if self.method == "CONNECT":
                tunnel_target(self.headers, NOTHING)
            elif self.method in _EXPECTING_A_BODY and "content-length" not in self.headers:
                # RFC 9110, section 8.6: a method that has content says so, also when it is empty.
                self.headers["Content-Length"] = "0"
            return NOTHING
        headers = self.headers
        boundary = None
        if files and (own := headers.get("content-type")) is not None:
            from adieu.messages.content.multipart import boundary_of

            boundary = boundary_of(own)
        encoded = encode_content(content, data, json, files, boundary=boundary)
        if encoded.media_type is not None and "content-type" not in headers:
            headers["Content-Type"] = encoded.media_type
        self._framed(encoded)
        return encoded

    def _trail(self, trailers: TrailersLike) -> None:
        headers = self.headers
        if self.content is NOTHING:
            raise InvalidRequest("trailers= come after content, and this request has none")
        if not callable(trailers):
            from adieu.messages.fields.trailers import checked_trailers

            names = ", ".join(checked_trailers(trailers))
            if names and "trailer" not in headers:
                headers["Trailer"] = names  # RFC 9110, section 6.6.2
        self.content = with_trailers(self.content, trailers)
        # RFC 9112, section 7.1.2: only chunks have room for them.
        headers.pop("content-length", None)
        headers["Transfer-Encoding"] = "chunked"

    def _framed(self, encoded: Content) -> None:
        headers = self.headers
        if encoded.length is None:
            if "content-length" not in headers and "transfer-encoding" not in headers:
                headers["Transfer-Encoding"] = "chunked"
        elif "transfer-encoding" in headers:
            raise InvalidRequest("Transfer-Encoding is set by adieu, for content of unknown length")
        elif headers.get("content-length", str(encoded.length)) != str(encoded.length):
            raise InvalidRequest(
                f"the Content-Length header says {headers['content-length']}, "
                f"but the content has {encoded.length} bytes"
            )
        elif "content-length" not in headers:
            headers["Content-Length"] = str(encoded.length)

    def copy(self) -> Request:
        """The same request with headers of its own; the content is shared."""
        other = Request.__new__(Request)
        other.method = self.method
        other.url = self.url
        other.headers = self.headers.copy()
        other.content = self.content
        return other

    def as_curl(self, *, show_secrets: bool = False) -> str:
        """This request as a curl command for a POSIX shell, secrets masked unless they are to be shown.

        Content that is not in memory, or is no text, is read from curl's standard input.

        >>> Request("GET", "https://example.org/", headers={"Accept": "*/*"}).as_curl()
        "curl --header 'Accept: */*' --header User-Agent: https://example.org/"
        """
        from adieu.messages.curl import as_curl

        return as_curl(self, show_secrets)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url}>"

    def __getstate__(self) -> tuple[Any, ...]:
        return self.method, self.url, self.headers, self.content

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.method, self.url, self.headers, self.content = state


def tunnel_target(headers: Headers, content: Content) -> str:
    """Where a CONNECT is to lead (RFC 9110, section 9.3.6): the URL is the proxy's. Raises `InvalidRequest`."""
    place = headers.get("host", "")
    if _PLACE(place) is None or content is not NOTHING:
        raise InvalidRequest(
            "CONNECT asks the proxy in the URL for a tunnel, and has no content: say where it leads by the Host field, "
            "as in headers={'Host': 'db.example.org:5432'}. (For requests through a proxy, use proxy=.)"
        )
    return place
