"""`adieu trace URL...` sends requests and prints their timeline: each connection, its requests, and their phases."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

import adieu
from adieu.cli.connection import ConnectionArguments, add_connection, client_options
from adieu.cli.fetch.call import full_url, header_field
from adieu.cli.fetch.exit_status import EXIT_STATUSES, of_error
from adieu.cli.fetch.printing import error_line
from adieu.cli.pictures import add_pictures, print_safely, saved
from adieu.errors import AdieuError
from adieu.observe.har import HAR
from adieu.observe.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.client.client import Client

__all__ = ["add_to"]


class _Arguments(ConnectionArguments):
    urls: list[str]
    method: str
    header: list[str]
    repeat: int
    parallel: int
    html: str | None
    har: str | None


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to a parser's subcommands."""
    statuses = "".join(
        f"  {status:<5} {EXIT_STATUSES[status]}\n" for status in (0, 1, 2, 6, 7, 8, 130)
    )
    parser = commands.add_parser(
        "trace",
        help="send requests, and print what each connection did, and when",
        usage="adieu trace URL [URL ...] [options]",
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=27),
        description="""\
Send a GET to each URL, one after the other over the connections of one client,
and print the timeline: for each connection its requests, and for each request
how long it waited, was sent, waited for the answer, and read the body. A URL
may be as short as for `adieu URL`.

examples:
  adieu trace example.org example.org/about
  adieu trace api.example.org/items --repeat 20 --parallel 4 --html items.html
""",
        epilog=f"exit status (of the first request that failed, if one did):\n{statuses}",
    )
    parser.add_argument("urls", nargs="+", metavar="URL", help=argparse.SUPPRESS)
    group = parser.add_argument_group("the requests")
    add = group.add_argument
    add("-X", "--method", metavar="METHOD", default="GET", help="the method; GET by default")
    add(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        help="a header field of every request",
    )
    add("--repeat", metavar="N", type=_count, default=1, help="send all of them so often")
    add("--parallel", metavar="N", type=_count, default=1, help="so many at a time")
    add_pictures(parser.add_argument_group("the output"))
    add_connection(parser)
    parser.set_defaults(run=_run)


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return number


def _run(given: argparse.Namespace) -> int:
    arguments = _Arguments(**vars(given))
    timeline, har = Timeline(), HAR()
    status = 0
    try:
        options = client_options(arguments)
        options["headers"] = [header_field(text) for text in arguments.header]
        options["events"] = [timeline, har]
        with adieu.Client(**options) as client:
            for error in _errors(client, arguments):
                error_line(str(error))
                status = status or of_error(error)
    except AdieuError as error:
        error_line(str(error))
        return of_error(error)
    finally:
        # An interrupt shows what was done until then.
        if len(timeline):
            print_safely(timeline.text())
    written = saved(timeline, har, arguments.html, arguments.har)
    return status or (0 if written else 1)


def _errors(client: Client, arguments: _Arguments) -> Iterator[AdieuError]:
    """Send the requests, and give the errors of those that failed."""
    urls = [full_url(url) for url in arguments.urls] * arguments.repeat
    method = arguments.method.upper()
    if arguments.parallel > 1:
        requests = [client.build_request(method, url) for url in urls]
        with client.map(requests, limit=arguments.parallel) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome.error, AdieuError):
                    yield outcome.error
        return
    for url in urls:
        try:
            client.request(method, url)
        except AdieuError as error:
            yield error
