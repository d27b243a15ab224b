"""The request: method, URL, header fields and content, in a form that can be sent more than once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from adieu._elsewhere import NamesElsewhere
from adieu.errors import InvalidRequest
from adieu.messages.content.encode import encode_content, with_trailers
from adieu.messages.content.value import NO_CONTENT, Content
from adieu.messages.fields.syntax import checked_value
from adieu.messages.headers import HeaderFields, Headers
from adieu.messages.url import URL
from adieu.texts import show_url

if TYPE_CHECKING:
    from adieu.messages.content.convert import ContentLike
    from adieu.messages.content.encode import DataLike
    from adieu.messages.content.multipart import FilesLike
    from adieu.messages.fields.trailers import TrailersLike
    from adieu.messages.url.form import FormFields

__all__ = ["HeadersLike", "Request", "tunnel_target"]

HeadersLike: TypeAlias = HeaderFields

# Methods are case-sensitive tokens (RFC 9110, section 9.1). These are known in upper and lower case without a check.
_METHODS = {
    name: name
    for name in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "QUERY", "TRACE")
}
_METHODS.update({name.lower(): name for name in list(_METHODS)})
_METHODS_WITHOUT_CONTENT = frozenset(("GET", "HEAD", "OPTIONS", "DELETE", "TRACE"))
_METHODS_WITH_CONTENT = frozenset(("POST", "PUT", "PATCH", "QUERY"))
_HOST_AND_PORT = r"(?:[^\s\[\]:/@]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"


def _checked_method(text: object) -> str:
    if not isinstance(text, str):
        raise InvalidRequest(f"the method must be a string, not {type(text).__name__}")
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", text):
        raise InvalidRequest(f"{text!r} is not a method name (RFC 9110, section 9.1)")
    return text.upper() if text.upper() in _METHODS or text.upper() == "CONNECT" else text


class Request(NamesElsewhere):
    """A request: method, URL, header fields and content.

    `content` takes bytes, text, a binary file or an iterable of bytes; `data` takes form fields; `files` takes the
    files of a form (see `adieu.messages.content.multipart`); `json` takes what `json.dumps` takes (None means "not
    given": for JSON's null, give `content="null"`). `trailers` are the fields to send after the content, or a function
    that returns them then. Without any of these, `request.content.is_given` is False; an empty content, such as
    `content=b""`, is given. Raises `InvalidURL`, `InvalidHeader` or `InvalidRequest` for a request that cannot be sent.
    """

    __slots__ = ("content", "headers", "method", "url")

    def __init__(
        self,
        method: str,
        url: URL | str,
        *,
        params: FormFields | None = None,
        headers: HeaderFields | None = None,
        content: ContentLike | None = None,
        data: DataLike | None = None,
        json: object = None,
        files: FilesLike | None = None,
        trailers: TrailersLike | None = None,
    ) -> None:
        known = _METHODS.get(method) if type(method) is str else None
        self.method = method = known or _checked_method(method)
        target = url if type(url) is URL else URL(url)
        self.url = target if params is None else target.with_params(params)
        self.headers = headers if type(headers) is Headers else Headers(headers)
        if content is None and data is None and json is None and not files:
            if method not in _METHODS_WITHOUT_CONTENT:
                self._announce_nothing()
            self.content = NO_CONTENT
        else:
            self.content = self._encode(content, data, json, files)
        if trailers is not None:
            self._add_trailers(trailers)

    def _announce_nothing(self) -> None:
        headers = self.headers
        if self.method == "CONNECT":
            tunnel_target(headers, NO_CONTENT)
        elif self.method in _METHODS_WITH_CONTENT and not (
            "content-length" in headers or "transfer-encoding" in headers
        ):
            # RFC 9110, section 8.6: such a method announces its content even where there is none.
            headers["Content-Length"] = "0"

    def _encode(
        self,
        content: ContentLike | None,
        data: DataLike | None,
        json: object,
        files: FilesLike | None,
    ) -> Content:
        headers = self.headers
        boundary = None
        if files and (content_type := headers.get("content-type")) is not None:
            from adieu.messages.content.multipart import boundary_of

            boundary = boundary_of(content_type)
        encoded = encode_content(content, data, json, files, boundary=boundary)
        added = self._framing_of(encoded)
        if encoded.media_type is not None and not headers.has("content-type"):
            added.insert(0, ("Content-Type", checked_value(encoded.media_type, "Content-Type")))
        if added:
            headers.append_checked(added)
        return encoded

    def _add_trailers(self, trailers: TrailersLike) -> None:
        headers = self.headers
        if not self.content.is_given:
            raise InvalidRequest("trailers= come after content, and this request has none")
        if not callable(trailers):
            from adieu.messages.fields.trailers import checked_trailers

            names = ", ".join(checked_trailers(trailers))
            if names and "trailer" not in headers:
                headers["Trailer"] = names  # RFC 9110, section 6.6.2
        self.content = with_trailers(self.content, trailers)
        # RFC 9112, section 7.1.2: only a chunked content can have trailers.
        headers.pop("content-length", None)
        headers["Transfer-Encoding"] = "chunked"

    def _framing_of(self, content: Content) -> list[tuple[str, str]]:
        """Content-Length or Transfer-Encoding, where it is missing; a Content-Length of the caller's must be true."""
        headers = self.headers
        given = headers["content-length"] if headers.has("content-length") else None
        if content.length is None:
            if given is None and not headers.has("transfer-encoding"):
                return [("Transfer-Encoding", "chunked")]
            return []
        if headers.has("transfer-encoding"):
            raise InvalidRequest("Transfer-Encoding is set by adieu, for content of unknown length")
        length = str(content.length)
        if given is None:
            return [("Content-Length", length)]
        if given != length:
            raise InvalidRequest(
                f"the Content-Length header says {given}, but the content has {length} bytes"
            )
        return []

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

        return as_curl(self.method, self.url, self.headers, self.content, show_secrets=show_secrets)

    def __repr__(self) -> str:
        return f"<Request {self.method} {show_url(self.url)}>"

    def __getstate__(self) -> tuple[str, URL, Headers, Content]:
        return self.method, self.url, self.headers, self.content

    def __setstate__(self, state: tuple[str, URL, Headers, Content]) -> None:
        self.method, self.url, self.headers, self.content = state


def tunnel_target(headers: Headers, content: Content) -> str:
    """The host and port that a CONNECT asks for (RFC 9110, section 9.3.6), from its Host field.

    The URL of a CONNECT is that of the proxy. Raises `InvalidRequest` without such a Host field, and for content.
    """
    target = headers.get("host", "")
    if re.fullmatch(_HOST_AND_PORT, target) is None or content.is_given:
        raise InvalidRequest(
            "CONNECT asks the proxy in the URL for a tunnel, and has no content: say where it leads by the Host field, "
            "as in headers={'Host': 'db.example.org:5432'}. (For requests through a proxy, use proxy=.)"
        )
    return target
