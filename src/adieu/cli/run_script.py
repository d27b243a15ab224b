"""`adieu run script.py` runs a script and ends with a page: what it opened, reused and left open, and by which lines.

Every client of adieu that the script makes is listened to, and all sockets of the process are compared with those
before. The look is taken when the script and its threads have ended, before the interpreter does, which would close
what the script has forgotten.
"""

from __future__ import annotations

import argparse
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from runpy import run_module, run_path
from time import sleep
from types import ModuleType
from typing import TYPE_CHECKING

from adieu.cli.connects import STDIN, Connects
from adieu.cli.left_open import page_of
from adieu.cli.pictures import add_pictures, print_safely, saved
from adieu.client.settings import listen_by_default
from adieu.events import Connected
from adieu.observe.har import HAR
from adieu.observe.timeline import Timeline
from adieu.testing.clean import PAUSE, TRIES, Sockets, shown_row

if TYPE_CHECKING:
    from adieu.cli.left_open import Page
    from adieu.observe.picture import Picture

__all__ = ["LEFT_OPEN", "add_to"]

LEFT_OPEN = 9
"""The exit status of a script that ended well and left something open."""

_INTERRUPTED = 130


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to a parser's subcommands."""
    parser = commands.add_parser(
        "run",
        help="run a script, and print what it opened, reused and left open",
        usage="adieu run [options] SCRIPT [ARGUMENT ...]\n       adieu run [options] -m MODULE [ARGUMENT ...]",
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=27),
        description="""\
Run a Python script as `python SCRIPT` does, watch every client of adieu in it,
and all sockets of the process, and print a page to standard error when the
script and its threads have ended: the requests that each line made, how many
opened a connection or reused one, and what was left open, by adieu or by any
other code, with the line that opened it.

examples:
  adieu run report.py --month 11
  adieu run --html timeline.html -m my_package.crawler
""",
        epilog=f"""\
exit status:
  0     the script ended with 0, and nothing was left open
  {LEFT_OPEN}     the script ended with 0, and something was left open, or a response
        was dropped unread
  130   interrupted
  else  that of the script; 1 after an error
""",
    )
    parser.add_argument("-m", dest="module", action="store_true", help="SCRIPT is a module's name")
    parser.add_argument(
        "--timeline", action="store_true", help="print the timeline of all requests, too"
    )
    add_pictures(parser.add_argument_group("files"))
    parser.add_argument("script", metavar="SCRIPT", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    script: str = options.script
    if not options.module and script != "-" and not Path(script).exists():
        parser.error(f"{script!r} is not there")
    timeline, har = Timeline(), HAR()
    listen_by_default(timeline, har)
    sockets, connects = Sockets(), Connects()
    status, kept = _ended(script, options.arguments, is_module=options.module)
    try:
        _wait_for_threads()
    except KeyboardInterrupt:
        status = _INTERRUPTED
    page, picture = _look(timeline, sockets, connects)
    timeline.stop()
    # What the script has left alive was kept for the look; its finalizers may warn before the page is printed.
    del kept
    if options.timeline:
        from adieu.observe.as_text import as_text

        print_safely(f"\n{as_text(picture)}", sys.stderr)
    print_safely(f"\n{page.text}", sys.stderr)
    written = saved(timeline, har, options.html, options.har)
    if status == 0:
        status = 0 if page.is_clean else LEFT_OPEN
    return status if written or status else 1


def _ended(script: str, arguments: list[str], *, is_module: bool) -> tuple[int, object]:
    """Run it, and give its exit status, and what keeps alive what it has left."""
    sys.argv = [script, *arguments]
    from_here = is_module or script == "-"
    sys.path.insert(0, "" if from_here else str(Path(script).resolve().parent))
    try:
        if is_module:
            return 0, run_module(script, run_name="__main__", alter_sys=True)
        if script != "-" and (Path(script).is_file() or Path(script).is_dir()):
            return 0, run_path(script, run_name="__main__")
        return 0, _run_stream(script)
    except SystemExit as end:
        return _status_of(end), end
    except KeyboardInterrupt as interrupt:
        print("\ninterrupted", file=sys.stderr)
        return _INTERRUPTED, interrupt
    except BaseException as error:
        _print_traceback(error)
        return 1, error


def _run_stream(script: str) -> ModuleType:
    """Run what comes from standard input, a pipe or a device: `runpy` reads twice, and finds it empty then."""
    is_stdin = script == "-"
    source = sys.stdin.buffer.read() if is_stdin else Path(script).read_bytes()
    main = ModuleType("__main__")
    if not is_stdin:
        main.__file__ = script
    sys.modules["__main__"] = main
    code = compile(source, STDIN if is_stdin else script, "exec", dont_inherit=True)
    exec(code, vars(main))  # noqa: S102
    return main


def _status_of(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _print_traceback(error: BaseException) -> None:
    """As Python prints it, without the frames that ran the script."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_globals.get("__name__") != "__main__":
        place = place.tb_next
    traceback.print_exception(error.with_traceback(place))


def _wait_for_threads() -> None:
    """As the interpreter does when a script ends."""
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()


def _look(timeline: Timeline, sockets: Sockets, connects: Connects) -> tuple[Page, Picture]:
    """The page; some libraries close their sockets a moment later, in a thread, so it may take some looks."""
    picture = timeline.picture()
    page = _page(timeline, picture, sockets, connects)
    for _ in range(TRIES):
        if page.is_clean:
            break
        sleep(PAUSE)
        picture = timeline.picture()
        page = _page(timeline, picture, sockets, connects)
    return page, picture


def _page(timeline: Timeline, picture: Picture, sockets: Sockets, connects: Connects) -> Page:
    own = {event.local for event in timeline.events if isinstance(event, Connected)}
    rows = []
    for row in sockets.new():
        local = row.local
        name = f"{local[0]}:{local[1]}" if isinstance(local, tuple) else str(local)
        if name not in own:
            line = connects.line_of(row)
            rows.append(f"{shown_row(row)}{f', connected at {line}' if line else ''}")
    return page_of(picture, rows)
