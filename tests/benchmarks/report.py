"""The report: the ratios, the promises, and the page for the documentation."""

from __future__ import annotations

import datetime
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.async_peers import speaks_c
from benchmarks.cases import ASYNC_CASES, ASYNC_PEERS, CASES, PEERS, TARGETS
from benchmarks.costs import CLIENT_LIMIT, FORBIDDEN
from benchmarks.server import DOWNLOAD_SIZE

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.measure import Result

__all__ = ["Report", "Verdict"]

_COLUMNS: Final = ("socket", *PEERS, "adieu, close", "adieu, client alone")

_PAGE: Final = """\
# Benchmarks

adieu compared with other clients, all in one run on one machine: {where}.

Written by `PYTHONPATH=tests python -m benchmarks` on {date}, with {versions}.

The server is a child process that sends prepared bytes: 1 KiB of JSON after eight header fields. The peers take turns
in slices of about 10 ms. A ratio is the median, over all rounds, of the peer's time divided by the reference's time in
the same round. A time is the CPU time of both processes for one call, so each includes the server's share. Only the
ratios can be compared with other machines; the reference's own time gives them a scale.

## Promises

{promises}

## Requests

The time divided by that of the h11 loop (a bare socket and a bare h11, without pool, timeouts, redirects or a response
object): lower is faster. For the download it is the throughput: higher is faster. `socket` sends and receives prepared
bytes, which is the lower limit for every client. `adieu` is the default adapter, in Python; pyreqwest is written in
Rust, pycurl in C. What is not installed is left out.

{requests}

## Requests of tasks

The same in asyncio, with `AsyncClient` and its default adapter. Here the h11 loop uses the socket operations of the
event loop (its streams for TLS), a stack of idle connections, and no timeouts. aiohttp has its parser {parser}. Each
client has at most a hundred connections, so most of 256 tasks wait for one.

{awaited}

## Before the first request

{costs}

`import adieu` loads {count} modules.
"""


class Verdict(NamedTuple):
    """A promise, and whether it was kept."""

    says: str
    target: str
    measured: str
    met: bool


class Report:
    """The results of a run, perhaps of some cases only."""

    def __init__(
        self,
        cases: dict[str, Result],
        imports: Result,
        clients: Result,
        modules: list[str],
        where: str,
    ) -> None:
        self.cases = cases
        self.imports = imports
        self.clients = clients
        self.modules = modules
        self.where = where

    def verdicts(self) -> list[Verdict]:
        """The promises about the cases of this run."""
        found = []
        for target in TARGETS:
            result = self.cases.get(target.case)
            if result is None or not {target.peer, target.reference} <= result.rounds.keys():
                continue
            ratio = result.ratio(target.peer, target.reference)
            low, high = result.spread(target.peer, target.reference)
            measured = f"{_number(ratio)} ({_number(low)} to {_number(high)})"
            found.append(
                Verdict(target.says, f"<= {_number(target.limit)}", measured, ratio <= target.limit)
            )
        result = self.cases.get("get")
        if result is not None and "requests" in result.rounds:
            ratio = self.clients.seconds("adieu.Client()") / result.seconds("requests")
            limit = f"<= {_number(CLIENT_LIMIT)}"
            met = ratio <= CLIENT_LIMIT
            found.append(Verdict("Client() / Session.get", limit, _number(ratio), met))
        bad = [name for name in FORBIDDEN if name in self.modules]
        says = f"import adieu loads no {', '.join(FORBIDDEN)}"
        found.append(Verdict(says, "none", ", ".join(bad) or "none", not bad))
        return found

    def text(self) -> str:
        """The whole report for a terminal."""
        tables = (self._threads(), self._tasks(), self._costs(), self._promises())
        return "\n\n".join([self.where, *(_table(*table) for table in tables if table[1])])

    def page(self) -> str:
        """The page of the documentation."""
        now = datetime.datetime.now(datetime.timezone.utc)
        return _PAGE.format(
            where=self.where,
            date=f"{now:%Y-%m-%d}",
            versions=_versions(),
            promises=_table(*self._promises()),
            requests=_table(*self._threads()),
            awaited=_table(*self._tasks()),
            parser="in C" if speaks_c() else "in Python",
            costs=_table(*self._costs()),
            count=len(self.modules),
        )

    def data(self) -> dict[str, object]:
        """All figures, for a program: seconds of one call by case, peer and round."""
        return {
            "where": self.where,
            "versions": _versions(),
            "cases": {name: result.rounds for name, result in self.cases.items()},
            "import": self.imports.rounds,
            "construct": self.clients.rounds,
            "modules": self.modules,
            "promises": [verdict._asdict() for verdict in self.verdicts()],
        }

    def _threads(self) -> tuple[list[str], list[list[str]]]:
        return self._requests(CASES, _COLUMNS)

    def _tasks(self) -> tuple[list[str], list[list[str]]]:
        return self._requests(ASYNC_CASES, ASYNC_PEERS)

    def _requests(
        self, cases: tuple[Case, ...], peers: tuple[str, ...]
    ) -> tuple[list[str], list[list[str]]]:
        found = {
            name
            for case in cases
            if case.name in self.cases
            for name in self.cases[case.name].rounds
        }
        columns = [name for name in peers if name in found]
        rows = []
        for case in cases:
            result = self.cases.get(case.name)
            if result is None:
                continue
            download = case.call == "download"
            seconds = result.seconds(result.reference)
            scale = f"{DOWNLOAD_SIZE / seconds / 1e6:.0f} MB/s" if download else _micro(seconds)
            cells = []
            for name in columns:
                if name not in result.rounds:
                    cells.append("")
                    continue
                ratio = result.ratio(name)
                cells.append(_number(1 / ratio if download else ratio))
            rows.append([case.title, scale, *cells])
        return ["case", "h11 loop takes", *columns], rows

    def _costs(self) -> tuple[list[str], list[list[str]]]:
        rows = []
        for says, result in (("import", self.imports), ("construct and close", self.clients)):
            for name in result.rounds:
                seconds = _micro(result.seconds(name)) if name == result.reference else ""
                rows.append([says, name, _number(result.ratio(name)), seconds])
        return ["what", "whose", "ratio", "reference takes"], rows

    def _promises(self) -> tuple[list[str], list[list[str]]]:
        rows = [[v.says, v.target, v.measured, "yes" if v.met else "NO"] for v in self.verdicts()]
        return ["promise", "target", "measured (quartiles)", "met"], rows


def _number(value: float) -> str:
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def _table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    right = [i > 0 and all(not r[i] or r[i][0].isdigit() for r in rows) for i in range(len(head))]
    rule = [f"{'-' * (w - 1)}:" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    lines = [head, rule, *rows]
    return "\n".join(
        f"| {' | '.join(_padded(cell, w, r) for cell, w, r in zip(line, widths, right, strict=True))} |"
        for line in lines
    )


def _padded(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)


def _versions() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    found = [python]
    for name in (
        "adieu",
        "h11",
        "urllib3",
        "requests",
        "httpx",
        "pyreqwest",
        "pycurl",
        "aiohttp",
        "uvloop",
    ):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
