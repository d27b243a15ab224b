"""The options of `adieu URL`: what can be written, and what it means for a client and a call."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Literal, NoReturn

from adieu.cli.completion import SHELLS
from adieu.cli.connection import ConnectionArguments, add_connection
from adieu.cli.fetch.exit_status import EXIT_STATUSES
from adieu.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Arguments", "add_options", "parse"]

_DESCRIPTION = """\
Send a request, print the answer, and leave no connection open.

The METHOD is GET, or POST if there is something to send. A URL without a scheme
is https://, and :8000/path is http://localhost:8000/path.

ITEMs, in any number and order:
  name=value      a field of the JSON that is sent (with --form, of a form)
  name:=json      the same, with a value in JSON: count:=3, tags:='["a"]'
  name=@file      the same, with the text of a file (name:=@file: with its JSON)
  name@file       a file to upload; the content is a multipart form then
  name==value     a parameter of the URL's query
  Header:value    a header field; Header: removes one that is sent by default
  \\:, \\=, \\@      a separator that is a part of the name

examples:
  adieu api.example.org/items name=vase count:=3
  adieu PUT api.example.org/items/1 -d @item.json Content-Type:application/json
  adieu api.example.org/photos scan@beach.jpg title=Holiday
  adieu api.example.org/search q==vase Accept:text/csv -o found.csv
  adieu :8000/health --fail --max-time 2
"""

_MORE = """
environment:
  https_proxy, http_proxy, all_proxy, no_proxy
                proxies, and the hosts that need none; --proxy wins
  SSL_CERT_FILE, SSL_CERT_DIR
                the authorities to trust; --cacert wins
  NO_COLOR      no colours, if it is not empty

A terminal gets the head of the answer, indented JSON, and text without the
characters that drive a terminal. A pipe or a file gets the bytes of the content
as they arrive, and nothing else. No connection is open when the command ends.
"""


class Arguments(ConnectionArguments):
    """The command line, checked as far as it can be by itself."""

    positional: list[str]
    method: str | None
    header: list[str]
    data: str | None
    form: bool
    user: str | None
    bearer: str | None
    digest: bool
    netrc: bool
    include: bool
    head: bool
    verbose: bool
    mask: bool
    output: str | None
    download: bool
    stream: bool
    events: bool
    raw: bool
    color: Literal["auto", "always", "never"]
    curl: bool
    fail: bool
    cookies: str | None


def parse(argv: Sequence[str], commands: str, complete: Callable[[str], str]) -> Arguments:
    """Read a command line. `commands`: a text about the other commands, for `--help`. `complete`: makes the script."""
    return _parser(commands, complete).parse_intermixed_args(argv, namespace=Arguments())


def _parser(commands: str, complete: Callable[[str], str]) -> argparse.ArgumentParser:
    """The parser, which has the help and the usage errors."""
    statuses = "".join(f"  {status:<5} {meaning}\n" for status, meaning in EXIT_STATUSES.items())
    made = _Parser(
        prog="adieu",
        usage="adieu [METHOD] URL [ITEM ...] [options]\n       adieu COMMAND ...",
        description=_DESCRIPTION,
        epilog=f"commands (adieu COMMAND --help):\n{commands}\nexit status:\n{statuses}{_MORE}",
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=27),
        allow_abbrev=False,
    )
    made.add_argument(
        "positional", nargs="+", metavar="[METHOD] URL [ITEM ...]", help=argparse.SUPPRESS
    )
    add_options(made)
    made.set_defaults(complete=complete)
    return made


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options of a request."""
    parser.add_argument("--version", action="version", version=f"adieu {_version()}")
    parser.add_argument(
        "--completion",
        choices=SHELLS,
        action=_Completion,
        help="print a script that completes commands, options and files in this shell",
    )
    _add_request(parser.add_argument_group("the request"))
    _add_output(parser.add_argument_group("the output"))
    add_connection(parser)


def _add_request(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-X", "--method", metavar="METHOD", help="the method, as curl takes it")
    add(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        help="a header field, as curl takes it",
    )
    add(
        "-d",
        "--data",
        metavar="TEXT",
        help="the content as it is; @FILE reads it from a file, @- from standard input",
    )
    add("-f", "--form", action="store_true", help="items (or -d) are a form, not JSON")
    add(
        "-u",
        "--user",
        metavar="NAME[:PASSWORD]",
        help="user name and password; without the second it is asked for",
    )
    add("--digest", action="store_true", help="-u is for Digest, not for Basic")
    add("--bearer", metavar="TOKEN", help="a token, sent as Authorization: Bearer")
    add("--netrc", action="store_true", help="user name and password from the netrc file")
    add("--cookies", metavar="FILE", help="a cookies.txt: sent, and updated at the end")
    add("--curl", action="store_true", help="send nothing; print the request as a command for curl")


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "-i",
        "--include",
        action="store_true",
        help="print the head of the answer too; a terminal always gets it",
    )
    add("-I", "--head", action="store_true", help="ask for the head alone, by the method HEAD")
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="print the requests and all answers, of every redirect too",
    )
    add("--mask", action="store_true", help="print *** for passwords, tokens, cookies and the like")
    add("-o", "--output", metavar="FILE", help="write the content into a file")
    add(
        "--download",
        action="store_true",
        help="into the file or folder of -o, or into this folder; whole or not at all, and on from where it broke",
    )
    add("--stream", action="store_true", help="print the content as it arrives")
    add(
        "--events",
        action="store_true",
        help="listen to server-sent events, and connect again when the stream breaks",
    )
    add(
        "--raw",
        action="store_true",
        help="do not indent JSON for a terminal",
    )
    add(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: on a terminal, without NO_COLOR",
    )
    add("--fail", action="store_true", help="exit with 3, 4 or 5 for a status of 3xx, 4xx, 5xx")


# What people write for curl and httpie, and what it is here.
_ELSEWHERE = {
    "-L": "redirects are followed; --no-follow switches that off",
    "--location": "redirects are followed; --no-follow switches that off",
    "-F": "write name=value and name@file after the URL",
    "-j": "name=value after the URL makes JSON",
    "--json": "name=value after the URL makes JSON; -d sends JSON as it is",
    "-O": "--download writes into a file with the name of the server's",
    "-s": "nothing but the answer is printed anyway",
    "-a": "it is -u, or --bearer",
    "-A": "write User-Agent:name after the URL",
    "-b": "write Cookie:name=value after the URL; --cookies FILE sends a cookies.txt",
    "-c": "--cookies FILE sends a cookies.txt, and updates it",
    "-e": "write Referer:URL after the URL",
    "-G": "write name==value after the URL",
    "-S": "an error is printed anyway",
    "-sS": "nothing but the answer and errors is printed anyway",
    "-w": "adieu trace URL prints how long each phase took",
    "--compressed": "the content is always decoded",
}


class _Parser(argparse.ArgumentParser):
    """Names adieu's option where another program's was written."""

    def error(self, message: str) -> NoReturn:
        hints = [f"{word}: {_ELSEWHERE[word]}" for word in message.split() if word in _ELSEWHERE]
        super().error("; ".join([message, *hints]))


class _Completion(argparse.Action):
    """Prints the script and exits, as `--help` does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        complete: Callable[[str], str] = parser.get_default("complete")
        try:
            print(complete(str(values)))
        except MissingExtra as error:
            parser.error(str(error))
        parser.exit()


def _version() -> str:
    from adieu._version import __version__

    return __version__
