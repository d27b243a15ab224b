"""`adieu fault-server` runs a `FaultServer`: for clients that are not written in Python, or not in this process."""

from __future__ import annotations

import signal
import ssl
import sys
import textwrap
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, get_args

from adieu.testing.faults import FaultServer
from adieu.testing.faults_net import BlackHole, TLSFault, TLSFaults, refused_port
from adieu.testing.routing import ROUTES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from adieu.testing.request import Request

__all__ = ["add_to"]

_WIDTH = 98
_INDENT = " " * 4
# Seconds between two looks for new requests.
_PAUSE = 0.1


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to a parser's subcommands."""
    parser = commands.add_parser(
        "fault-server",
        help="run a server that misbehaves as each request asks, for clients in any language",
        description=(
            "Serves until it is interrupted (Ctrl-C or SIGTERM), and prints every request. The path of a request says "
            "what the server does: --routes lists them. Exit status: 0, or 1 if the address cannot be had."
        ),
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="the port (default: a free one)")
    parser.add_argument(
        "--cert",
        metavar="FILE",
        help="serve TLS with this certificate (PEM, with the key unless --key is given)",
    )
    parser.add_argument("--key", metavar="FILE", help="the private key of the certificate (PEM)")
    parser.add_argument(
        "--peers",
        action="store_true",
        help="also run peers that fail before HTTP begins: a port that refuses, one that is silent, and TLS faults",
    )
    parser.add_argument("--quiet", action="store_true", help="print no requests")
    parser.add_argument("--routes", action="store_true", help="list the routes, and run nothing")
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.routes:
        _say(_listed())
        return 0
    if options.key is not None and options.cert is None:
        parser.error("--key needs --cert")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        try:
            tls = _context(options.cert, options.key)
            server = stack.enter_context(FaultServer(host=options.host, port=options.port, tls=tls))
        except OSError as error:
            print(f"cannot serve: {error}", file=sys.stderr)
            return 1
        _say([f"serving at {server.url}", *(_peers(stack) if options.peers else ())])
        try:
            _print_requests(server, quiet=options.quiet)
        except KeyboardInterrupt:
            pass
    return 0


def _context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def _peers(stack: ExitStack) -> Iterable[str]:
    """Start the peers that fail before HTTP begins; a line for each."""
    yield f"refuses connections: http://127.0.0.1:{stack.enter_context(refused_port())}"
    yield f"never answers: {stack.enter_context(BlackHole()).url}"
    for kind in get_args(TLSFault):
        yield f"fails in the TLS handshake ({kind}): {stack.enter_context(TLSFaults(kind)).url}"


def _print_requests(server: FaultServer, *, quiet: bool) -> None:
    last = 0
    while True:
        time.sleep(_PAUSE)
        new = [] if quiet else [each for each in server.requests if each.number > last]
        if new:
            last = new[-1].number
            _say(map(_described, new))


def _described(request: Request) -> str:
    return f"{request.method} {request.target} (connection {request.connection}, request {request.nth})"


def _listed() -> Iterable[str]:
    for entry in dict.fromkeys(ROUTES.values()):
        yield "\n".join(entry.usages)
        does = entry.does.replace("`", "")
        yield textwrap.fill(does, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)
