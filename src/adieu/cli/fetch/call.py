"""From the arguments of `adieu URL` to a client and a request: pure, but for the files that they name."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

import adieu
from adieu.cli.connection import client_options as connection_options
from adieu.cli.fetch.items import parse_items, unreadable
from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack
    from typing import BinaryIO

    from adieu.cli.fetch.arguments import Arguments

__all__ = ["Asked", "asked", "client_options", "full_url", "header_field"]

_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Asked(NamedTuple):
    """The request that a command line asks for."""

    method: str
    url: str
    options: adieu.RequestOptions
    """`params`, `headers`, and the content."""


def asked(arguments: Arguments, opened: ExitStack) -> Asked:
    """Take the arguments for the request together. Raises `InvalidRequest` where they contradict each other.

    `opened` gets the files that are sent, to be closed after the call.
    """
    first, *rest = arguments.positional
    method = arguments.method
    if first.isascii() and first.isalpha() and rest and method is None:
        method, (first, *rest) = first, rest
    elif first.isascii() and first.isalpha() and first.isupper() and method is None:
        raise InvalidRequest(f"{first} is a method, and needs a URL after it")
    items = parse_items(rest)
    options: adieu.RequestOptions = {}
    if arguments.data is not None:
        if items.has_content:
            raise InvalidRequest(
                "-d is the whole content: name=value and name@file are not sent beside it"
            )
        options["content"] = _data(arguments.data, opened)
    elif items.files:
        options["files"] = [(name, _open(path, opened)) for name, path in items.files]
        options["data"] = _as_form(items.fields)
    elif items.fields and arguments.form:
        options["data"] = _as_form(items.fields)
    elif items.fields:
        options["json"] = dict(items.fields)
    headers = [*map(header_field, arguments.header), *items.headers]
    if arguments.form and arguments.data is not None:
        headers.insert(0, ("Content-Type", "application/x-www-form-urlencoded"))
    if headers:
        options["headers"] = headers
    if items.params:
        options["params"] = items.params
    if method is None:
        sends = options.keys() & {"content", "data", "files", "json"}
        method = "HEAD" if arguments.head else "POST" if sends else "GET"
    return Asked(method.upper(), full_url(first), options)


def client_options(arguments: Arguments) -> adieu.ClientOptions:
    """The options of the client. Raises `InvalidRequest`."""
    return {**connection_options(arguments), "auth": _auth(arguments)}


def full_url(text: str) -> str:
    """The URL that a short one means: without a scheme it is https://, without a host too http://localhost."""
    if text.startswith(":"):
        port = re.match(r":(\d*)", text)
        assert port is not None
        return f"http://localhost{text if port[1] else text[1:]}"
    return text if _HAS_SCHEME.match(text) else f"https://{text}"


def _data(text: str, opened: ExitStack) -> bytes | BinaryIO:
    if text == "@-":
        return sys.stdin.buffer.read()
    return _open(text[1:], opened) if text.startswith("@") else text.encode()


def _open(path: str, opened: ExitStack) -> BinaryIO:
    try:
        return opened.enter_context(open(path, "rb"))
    except OSError as error:
        raise unreadable(path, error) from error


def header_field(text: str) -> tuple[str, str | None]:
    """The field that -H means; None as a value removes one. Raises `InvalidRequest`."""
    name, colon, value = text.partition(":")
    if not colon:
        raise InvalidRequest(
            f"-H {text!r} is no header field: write 'Name: value', or 'Name:' to remove it"
        )
    return name.strip(), value.strip() or None


def _as_form(fields: Iterable[tuple[str, object]]) -> list[tuple[str, str]]:
    import json

    return [
        (name, value if isinstance(value, str) else json.dumps(value)) for name, value in fields
    ]


def _auth(arguments: Arguments) -> adieu.Auth | None:
    ways = [arguments.user is not None, arguments.bearer is not None, arguments.netrc]
    if sum(ways) > 1:
        raise InvalidRequest("-u, --bearer and --netrc exclude each other")
    if arguments.bearer is not None:
        return adieu.BearerAuth(arguments.bearer)
    if arguments.netrc:
        return adieu.NetrcAuth()
    if arguments.user is None:
        if arguments.digest:
            raise InvalidRequest("--digest needs a user: -u NAME")
        return None
    name, colon, password = arguments.user.partition(":")
    if not colon:
        from getpass import getpass

        password = getpass(f"Password of {name}: ")
    return adieu.DigestAuth(name, password) if arguments.digest else adieu.BasicAuth(name, password)
