"""What `adieu trace` and `adieu run` have in common: the files of a timeline, and text on a stream of any encoding."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from adieu.cli.fetch.printing import error_line

if TYPE_CHECKING:
    import argparse
    from typing import TextIO

    from adieu.observe.har import HAR
    from adieu.observe.timeline import Timeline

__all__ = ["add_pictures", "print_safely", "saved"]


def add_pictures(group: argparse._ArgumentGroup) -> None:
    """Add the options for files."""
    add = group.add_argument
    add("--html", metavar="FILE", help="write the timeline as a page for a browser, too")
    add("--har", metavar="FILE", help="write the requests as a HAR file, secrets masked, too")


def saved(timeline: Timeline, har: HAR, html_file: str | None, har_file: str | None) -> bool:
    """Write the files that are wanted. False: one could not be written, and an error was printed."""
    try:
        if html_file is not None:
            timeline.save(html_file)
        if har_file is not None:
            har.save(har_file)
    except OSError as error:
        error_line(str(error))
        return False
    return True


def print_safely(text: str, out: TextIO | None = None) -> None:
    """Print; characters that the stream cannot encode are escaped."""
    stream = sys.stdout if out is None else out
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
