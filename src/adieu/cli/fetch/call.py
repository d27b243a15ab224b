"""From the arguments of `adieu URL` to a client and a request: pure, but for the files that they name."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

import adieu
from adieu.cli.candidates import POLICIES
from adieu.cli.fetch.items import parse_items, unreadable
from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack
    from typing import BinaryIO

    from adieu.cli.fetch.arguments import Arguments

__all__ = ["Asked", "asked", "client_options", "keeps_alive"]

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
    headers = [*map(_header, arguments.header), *items.headers]
    if arguments.form and arguments.data is not None:
        headers.insert(0, ("Content-Type", "application/x-www-form-urlencoded"))
    if headers:
        options["headers"] = headers
    if items.params:
        options["params"] = items.params
    if method is None:
        sends = options.keys() & {"content", "data", "files", "json"}
        method = "HEAD" if arguments.head else "POST" if sends else "GET"
    return Asked(method.upper(), _url(first), options)


def client_options(arguments: Arguments) -> adieu.ClientOptions:
    """The options of the client. Raises `InvalidRequest`."""
    options: adieu.ClientOptions = {
        "follow_redirects": not arguments.no_follow,
        "max_redirects": arguments.max_redirects,
        "retry": arguments.retry,
        "auth": _auth(arguments),
    }
    if arguments.adapter is not None:
        options["adapter"] = arguments.adapter
    if arguments.cleanup is not None:
        options["cleanup"] = POLICIES[arguments.cleanup]()
    each, total = arguments.timeout, arguments.max_time
    if each is not None:
        options["timeout"] = adieu.Timeout(
            connect=each, read=each, write=each, pool=each, total=total
        )
    elif total is not None:
        options["timeout"] = adieu.Timeout(total=total)
    if arguments.proxy is not None:
        options["proxy"] = None if arguments.proxy == "none" else arguments.proxy
    if arguments.insecure:
        options["verify"] = False
    if arguments.cacert is not None:
        options["verify"] = arguments.cacert
    if arguments.cert is not None:
        options["cert"] = (
            arguments.cert if arguments.key is None else (arguments.cert, arguments.key)
        )
    elif arguments.key is not None:
        raise InvalidRequest("--key is the key of a certificate: name that by --cert")
    return options


def keeps_alive(arguments: Arguments) -> bool:
    """Whether the request leaves out that its connection is to be closed."""
    if arguments.adapter == "close":
        return False
    return arguments.cleanup is None or POLICIES[arguments.cleanup]().keep_alive


def _url(text: str) -> str:
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


def _header(text: str) -> tuple[str, str | None]:
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
