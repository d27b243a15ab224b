"""How requests and responses are printed.

Invariants. A pipe gets the bytes of the content and nothing else, unless more is asked for. A terminal gets text, in
which no character of the server's drives the terminal, and never bytes that are none.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from adieu.cli.connection import keeps_alive
from adieu.errors import MissingExtra
from adieu.texts import MASK, is_secret, mask, mask_url, show_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console
    from rich.syntax import Syntax

    from adieu.cli.fetch.arguments import Arguments
    from adieu.messages.decoding.sse import ServerSentEvent
    from adieu.messages.headers import Headers
    from adieu.messages.request import Request
    from adieu.messages.response import Response

__all__ = ["Printer", "error_line"]

# Longer texts are printed without colours, which take a second for a million characters.
_MOST_COLOURED = 200_000
_TEXT_TYPES = ("json", "xml", "javascript", "html", "yaml", "csv", "x-www-form-urlencoded")


class Printer:
    """Prints messages to standard output, as the arguments say."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self.is_terminal = sys.stdout.isatty()
        self._keep_alive = keeps_alive(arguments)
        self._paint = _painter(arguments.color, terminal=self.is_terminal)

    def request(self, request: Request) -> None:
        """The request, head and content."""
        url = request.url
        fields = request.headers.multi_items()
        if "host" not in request.headers:
            fields = [("Host", url.authority), *fields]
        if not self._keep_alive and "connection" not in request.headers:
            fields = [*fields, ("Connection", "close")]
        target = mask_url(url.target) if self._arguments.mask else url.target
        self._head(f"{request.method} {target} HTTP/1.1", fields)
        content = request.content
        if content.is_given:
            body = content.body
            if body is None:
                self._line(f"(content of {_size(content.length)}, from a file)\n")
            else:
                self._whole(body, request.headers, lambda: body.decode("utf-8"))

    def head(self, response: Response) -> None:
        """The status line and the fields of a response."""
        line = f"{response.http_version} {response.status_code} {response.reason}".rstrip()
        self._head(line, response.headers.multi_items())

    def content(self, response: Response) -> None:
        """The content of a response, read whole if it is to be indented or coloured, else piece by piece."""
        if not self.is_terminal and self._paint is None and not self._arguments.verbose:
            self.bytes_of(response.iter_bytes())
        elif self._arguments.stream or response.headers.get("content-type", "").startswith(
            "text/event-stream"
        ):
            for piece in response.iter_text():
                self._write(_safe(piece))
        else:
            self._whole(response.read(), response.headers, lambda: response.text)

    def event(self, event: ServerSentEvent) -> None:
        """A server-sent event: the lines of its data, after those that say its type and its id."""
        lines = [f"event: {event.event}"] if event.event != "message" else []
        lines += [f"id: {event.id}"] if event.id else []
        lines += [f"data: {line}" for line in event.data.split("\n")]
        self._line(_safe("\n".join(lines)))
        self._line("")

    @staticmethod
    def bytes_of(pieces: Iterable[bytes]) -> None:
        """Bytes as they are, each piece at once."""
        out = sys.stdout.buffer
        sys.stdout.flush()
        for piece in pieces:
            out.write(piece)
            out.flush()

    def say(self, text: str) -> None:
        """A line of our own, about what was done."""
        self._line(text)

    def _head(self, first: str, fields: Iterable[tuple[str, str]]) -> None:
        lines = [first]
        for name, value in fields:
            lines.append(f"{name}: {show_field(name, value) if self._arguments.mask else value}")
        self._text("\n".join(lines), "http")
        self._line("")

    def _whole(self, body: bytes, headers: Headers, text_of: Callable[[], str]) -> None:
        if not body:
            return
        kind = headers.get("content-type", "")
        text = _as_text(body, kind, text_of)
        if text is None:
            if self.is_terminal:
                self._line(
                    f"({_size(len(body))} of {kind or 'binary content'}: -o FILE writes them into a file)"
                )
            else:
                self.bytes_of([body])
            return
        language = _language(kind)
        if language == "json":
            text = _json(text, indent=not self._arguments.raw, masked=self._arguments.mask)
        elif self._arguments.mask:
            text = mask(text)
        self._text(text, language)

    def _text(self, text: str, language: str) -> None:
        text = _safe(text)
        if self._paint is not None and language and len(text) <= _MOST_COLOURED:
            text = self._paint(text, language)
        self._line(text)

    def _line(self, text: str) -> None:
        self._write(text if text.endswith("\n") else f"{text}\n")

    def _write(self, text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()


def error_line(text: str) -> None:
    """A line about what went wrong, on standard error."""
    print(f"adieu: {_safe(text)}", file=sys.stderr)


def _painter(color: str, *, terminal: bool) -> Callable[[str, str], str] | None:
    """A function that colours a text of a language; None: none is to be coloured."""
    if color == "never":
        return None
    if color == "auto" and (
        not terminal or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    ):
        return None
    try:
        from rich.console import Console
        from rich.syntax import Syntax
    except ImportError:
        if color == "always":
            raise MissingExtra("--color always needs rich: pip install 'adieu[cli]'") from None
        return None
    console = Console(force_terminal=True, soft_wrap=True, highlight=False)
    return partial(_painted, console, Syntax)


def _painted(console: Console, syntax: type[Syntax], text: str, language: str) -> str:
    painted = syntax("", language, theme="ansi_dark", background_color="default").highlight(text)
    painted.rstrip()
    with console.capture() as captured:
        console.print(painted, soft_wrap=True)
    return captured.get()


def _as_text(body: bytes, kind: str, text_of: Callable[[], str]) -> str | None:
    """The text that a content is; None for one that is none."""
    media_type = kind.partition(";")[0].strip().lower()
    says_text = media_type.startswith("text/") or media_type.endswith(_TEXT_TYPES)
    if b"\0" in body[:4096] and "utf-16" not in kind.lower() and "utf-32" not in kind.lower():
        return None
    if says_text:
        return text_of()
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _language(kind: str) -> str:
    media_type = kind.partition(";")[0].strip().lower()
    for name in ("json", "html", "xml", "javascript", "css", "yaml"):
        if media_type.endswith(name):
            return name
    return ""


def _json(text: str, *, indent: bool, masked: bool) -> str:
    """JSON for a reader; what is none is left as it is, but for its secrets."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return mask(text) if masked else text
    if masked:
        value = _masked(value)
    elif not indent:
        return text
    return json.dumps(value, indent=2 if indent else None, ensure_ascii=False)


def _masked(value: object, secret: bool = False) -> object:
    """The same JSON, with the values of secret names masked, and what looks like one in its texts."""
    if isinstance(value, dict):
        return {name: _masked(member, secret or is_secret(name)) for name, member in value.items()}
    if isinstance(value, list):
        return [_masked(item, secret) for item in value]
    if isinstance(value, str):
        return MASK if secret else mask(value)
    return MASK if secret and value is not None else value


def _safe(text: str) -> str:
    """Without characters that drive a terminal: those are shown as escapes."""
    text = text.replace("\r\n", "\n")
    plain = text.replace("\n", "").replace("\t", "")
    if plain.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def _size(count: int | None) -> str:
    return "unknown length" if count is None else "1 byte" if count == 1 else f"{count:,} bytes"
