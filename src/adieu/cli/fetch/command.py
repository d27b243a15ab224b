"""`adieu URL`: sends the request and prints the answer. The client ends before this does, however it ends."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING
from warnings import simplefilter

import adieu
from adieu.cli.fetch.arguments import parse
from adieu.cli.fetch.call import asked, client_options
from adieu.cli.fetch.exit_status import of_answer, of_error
from adieu.cli.fetch.printing import Printer, error_line
from adieu.cli.fetch.progress import shown_progress
from adieu.errors import AdieuError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adieu.cli.fetch.arguments import Arguments
    from adieu.cli.fetch.call import Asked
    from adieu.client.client import Client

__all__ = ["run"]


def run(argv: Sequence[str], commands: str, complete: Callable[[str], str]) -> int:
    """Carry out a command line and return the exit status.

    `commands`: a text about the other commands, for `--help`. `complete`: makes the script for a shell's completion.
    """
    arguments = parse(argv, commands, complete)
    try:
        with ExitStack() as opened:
            return _run(arguments, asked(arguments, opened), Printer(arguments))
    except AdieuError as error:
        error_line(str(error))
        return of_error(error)
    except OSError as error:  # Of the file that is written.
        if isinstance(error, BrokenPipeError):
            raise
        error_line(str(error))
        return 1


def _run(arguments: Arguments, wanted: Asked, printer: Printer) -> int:
    if arguments.insecure:
        simplefilter("ignore", adieu.InsecureRequestWarning)  # It was asked for.
    options = client_options(arguments)
    if arguments.cookies is None:
        with adieu.Client(**options) as client:
            return _call(client, arguments, wanted, printer)
    path = Path(arguments.cookies)
    jar = adieu.Cookies.load(path) if path.exists() else adieu.Cookies()
    options["cookies"] = jar
    with adieu.Client(**options) as client:
        try:
            return _call(client, arguments, wanted, printer)
        finally:
            jar.save(path)


def _call(client: Client, arguments: Arguments, wanted: Asked, printer: Printer) -> int:
    if arguments.curl:
        request = client.build_request(wanted.method, wanted.url, **wanted.options)
        printer.say(request.as_curl(show_secrets=not arguments.mask))
        return 0
    if arguments.download:
        return _download(client, arguments, wanted, printer)
    if arguments.events:
        return _events(client, arguments.max_time, wanted, printer)
    with client.stream(wanted.method, wanted.url, **wanted.options) as response:
        if arguments.verbose:
            for earlier in (*response.history, response):
                printer.request(earlier.request)
                printer.head(earlier)
        elif arguments.include or arguments.head or printer.is_terminal:
            printer.head(response)
        if arguments.output is None:
            printer.content(response)
        else:
            with open(arguments.output, "wb") as file:
                file.writelines(response.iter_bytes())
        status = response.status_code
    return of_answer(status) if arguments.fail else 0


def _download(client: Client, arguments: Arguments, wanted: Asked, printer: Printer) -> int:
    if wanted.method != "GET":
        raise InvalidRequest(f"--download is for GET, not for {wanted.method}")
    with shown_progress() as progress:
        try:
            done = client.download(
                wanted.url, arguments.output or ".", progress=progress, **wanted.options
            )
        except adieu.StatusError as error:
            error_line(str(error))
            return of_answer(error.status_code)
    resumed = f", of which {done.resumed:,} were there" if done.resumed else ""
    printer.say(f"{done.path}: {done.size:,} bytes{resumed}")
    return 0


def _events(client: Client, most: float | None, wanted: Asked, printer: Printer) -> int:
    # `Timeout.total` is for each connection of a stream that connects again.
    ends_at = None if most is None else monotonic() + most
    with client.event_stream(wanted.url, wanted.method, **wanted.options) as events:
        for event in events:
            printer.event(event)
            if ends_at is not None and monotonic() >= ends_at:
                error_line(f"the stream did not end within --max-time {most:g} s")
                return 7
    return 0
