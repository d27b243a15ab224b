"""The options of `adieu URL`: what can be written, and what it means for a client and a call."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Literal, NoReturn

from adieu.cli.candidates import POLICIES
from adieu.cli.fetch.exit_status import EXIT_STATUSES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Arguments", "parse", "parser"]

_DESCRIPTION = """\
Send a request, print the answer, and leave no connection open.

The METHOD is GET, or POST if there is something to send. A URL without a scheme is
https://, and :8000/path is http://localhost:8000/path.

ITEMs, in any number and order:
  name=value      a field of the JSON object that is sent (of the form, with --form)
  name:=json      the same, with a value in JSON: count:=3, tags:='["a"]'
  name=@file      the same, with the text of a file (name:=@file: with its JSON)
  name@file       a file to upload; the content is a multipart form then
  name==value     a parameter of the URL's query
  Header:value    a header field; Header: removes one that is sent by default
  \\:, \\=, \\@      a separator that is a part of the name
"""


class Arguments(argparse.Namespace):
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
    adapter: str | None
    cleanup: str | None
    no_follow: bool
    max_redirects: int
    timeout: float | None
    max_time: float | None
    retry: int
    proxy: str | None
    cookies: str | None
    insecure: bool
    cacert: str | None
    cert: str | None
    key: str | None


def parse(argv: Sequence[str], commands: str) -> Arguments:
    """Read a command line. `commands`: a text about the other commands, for `--help`."""
    return parser(commands).parse_intermixed_args(argv, namespace=Arguments())


def parser(commands: str = "") -> argparse.ArgumentParser:
    """The parser, which has the help and the usage errors."""
    statuses = "".join(f"  {status:<5} {meaning}\n" for status, meaning in EXIT_STATUSES.items())
    made = _Parser(
        prog="adieu",
        usage="adieu [METHOD] URL [ITEM ...] [options]\n       adieu COMMAND ...",
        description=_DESCRIPTION,
        epilog=f"exit status:\n{statuses}{commands}",
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=27),
        allow_abbrev=False,
    )
    made.add_argument(
        "positional", nargs="+", metavar="[METHOD] URL [ITEM ...]", help=argparse.SUPPRESS
    )
    made.add_argument("--version", action="version", version=f"adieu {_version()}")
    made.add_argument(
        "--completion",
        choices=("bash", "zsh", "tcsh"),
        action=_Completion,
        help="print a script that completes the options in this shell",
    )
    _add_request(made.add_argument_group("the request"))
    _add_output(made.add_argument_group("the output"))
    _add_connection(made.add_argument_group("the connection"))
    return made


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


def _add_connection(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--adapter",
        metavar="NAME",
        help="what sends the request: native, h11, urllib3, close, or an installed one",
    )
    add("--cleanup", choices=tuple(POLICIES), help="how the connection ends")
    add("--no-follow", action="store_true", help="do not follow redirects")
    add("--max-redirects", metavar="N", type=int, default=20, help="at most so many; 20 by default")
    add(
        "--timeout", metavar="SECONDS", type=float, help="for each wait: connecting, the next bytes"
    )
    add("--max-time", metavar="SECONDS", type=float, help="for all of it")
    add("--retry", metavar="N", type=int, default=0, help="try again so often where that is safe")
    add(
        "--proxy",
        metavar="URL",
        help="through this proxy; none: not even through that of the environment",
    )
    add("--cookies", metavar="FILE", help="a cookies.txt: sent, and updated at the end")
    add("-k", "--insecure", action="store_true", help="do not check the server's certificate")
    add("--cacert", metavar="FILE", help="the authorities to trust, in PEM")
    add("--cert", metavar="FILE", help="a client certificate, in PEM")
    add("--key", metavar="FILE", help="its key, if it is not in the same file")


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
        try:
            import shtab
        except ImportError:
            parser.error("--completion needs shtab: pip install 'adieu[cli]'")
        print(shtab.complete(parser, str(values)))
        parser.exit()


def _version() -> str:
    from adieu._version import __version__

    return __version__
