"""A request as a curl command for a POSIX shell: for reading, for a bug report, or to try it elsewhere.

Invariants: every part of the request becomes one quoted word. Secrets are masked unless they are asked for: the values
of fields, query parameters, form fields and members of JSON whose names say that they hold one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.texts import mask_named, mask_pairs, mask_url, show_field

if TYPE_CHECKING:
    from adieu.messages.content.value import Content
    from adieu.messages.headers import Headers
    from adieu.messages.url import URL

__all__ = ["as_curl"]

_FORM = "application/x-www-form-urlencoded"
# curl writes these fields itself.
_WRITTEN_BY_CURL = frozenset(("accept-encoding", "content-length"))


def as_curl(
    method: str, url: URL, headers: Headers, content: Content, *, show_secrets: bool
) -> str:
    """The command. Content that is not in memory, or is no text, is read from curl's standard input (`@-`)."""
    from shlex import quote

    body = content.body
    target = str(url) if show_secrets else mask_url(str(url))
    # A POST without content announces an empty one.
    sends_content = body != b"" or "content-length" in headers
    words = ["curl"]
    if method == "HEAD":
        words.append("--head")
    elif method != "GET" or sends_content:
        words += ["--request", method]
    if any(char in target for char in "[]{}"):
        words.append("--globoff")
    compressed = headers.get("accept-encoding", "identity") != "identity"
    if compressed:
        words.append(
            "--compressed"
        )  # With codings of curl's own, which are those that it can undo.
    for name, value in headers.multi_items():
        if name.lower() not in _WRITTEN_BY_CURL or (
            name.lower() == "accept-encoding" and not compressed
        ):
            shown = value if show_secrets else show_field(name, value)
            # "Name:" would remove the field; "Name;" sends it empty.
            words += ["--header", f"{name}: {shown}" if shown else f"{name};"]
    # Fields that curl would add, and that this request does not have.
    for name in ("User-Agent", "Accept", *(("Content-Type",) if sends_content else ())):
        if name not in headers:
            words += ["--header", f"{name}:"]
    if sends_content:
        words += _content_options(body, headers.get("content-type", ""), show_secrets)
    return " ".join(map(quote, [*words, target]))


def _content_options(body: bytes | None, content_type: str, show_secrets: bool) -> list[str]:
    try:
        text = None if body is None else body.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or "\0" in text:
        return ["--data-binary", "@-"]
    if not show_secrets:
        text = mask_pairs(text) if content_type.lower().startswith(_FORM) else mask_named(text)
    # --data-binary would read "@name" as the name of a file.
    return ["--data-raw", text]
