"""A request as a curl command for a POSIX shell: to look at, to put into a bug report, to try elsewhere.

Rules of the room: nothing of a request becomes anything but one quoted word, and secrets are masked unless they are
asked for: fields, query parameters and form fields whose names say that they hold one. JSON and text are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.messages.fields.syntax import is_secret
from adieu.messages.masking import MASK, masked_pairs

if TYPE_CHECKING:
    from adieu.messages.request import Request

__all__ = ["as_curl"]

_FORM = "application/x-www-form-urlencoded"
# What curl works out by itself, from what it is given.
_CURLS_OWN = frozenset(("accept-encoding", "content-length"))


def as_curl(request: Request, show_secrets: bool) -> str:
    """The command. Content that is not in memory, or no text, is read from curl's standard input (`@-`)."""
    from shlex import quote

    headers = request.headers
    body = request.content.body
    url = str(request.url) if show_secrets else masked_pairs(str(request.url))
    # An empty content is announced as such, by methods that usually have one.
    sends = body != b"" or "content-length" in headers
    words = ["curl"]
    if request.method == "HEAD":
        words.append("--head")
    elif request.method != "GET" or sends:
        words += ["--request", request.method]
    if any(char in url for char in "[]{}"):
        words.append("--globoff")
    if "accept-encoding" in headers:
        words.append("--compressed")
    for name, value in headers.multi_items():
        if name.lower() not in _CURLS_OWN:
            shown = MASK if is_secret(name) and not show_secrets else value
            # "Name:" would take the field away; an empty one is written with a semicolon.
            words += ["--header", f"{name}: {shown}" if shown else f"{name};"]
    # What curl would add by itself, and this request does not have.
    absent = ["User-Agent", "Accept", *(["Content-Type"] if sends else [])]
    for name in absent:
        if name.lower() not in headers:
            words += ["--header", f"{name}:"]
    if sends:
        words += _content(body, headers.get("content-type", ""), show_secrets)
    return " ".join(map(quote, [*words, url]))


def _content(body: bytes | None, content_type: str, show_secrets: bool) -> list[str]:
    try:
        text = None if body is None else body.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or "\0" in text:
        return ["--data-binary", "@-"]
    if not show_secrets and content_type.lower().startswith(_FORM):
        text = masked_pairs(text)
    # Not --data-binary, to which "@name" is a file.
    return ["--data-raw", text]
