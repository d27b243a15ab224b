"""The costs of a client before its first request: its import and its construction."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from time import process_time
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Result, alternate, repeated

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CLIENT_LIMIT", "FORBIDDEN", "constructing", "importing", "loaded"]

FORBIDDEN: Final = ("urllib3", "h11", "ssl", "asyncio")
"""The modules that `import adieu` must not load."""

CLIENT_LIMIT: Final = 100 / 430
"""`Client()` in terms of a GET by requests: 100 µs where that takes 430."""

_IMPORT: Final = """
import sys, time
started = time.process_time()
import {name}
print(time.process_time() - started)
"""
_LOADED: Final = """
import json, sys
before = set(sys.modules)
import adieu
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def _output(code: str, **surroundings: str) -> str:
    """The output of a new interpreter."""
    environment = {**os.environ, **surroundings}
    # As for users, whose modules were compiled before.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout


def loaded() -> list[str]:
    """The modules that `import adieu` loads."""
    names: list[str] = json.loads(_output(_LOADED))
    return names


def importing(until: float) -> Result:
    """`import` of each client in an interpreter of its own."""
    names = [name for name in ("urllib3", "h11", "requests", "httpx", "adieu") if find_spec(name)]
    with tempfile.TemporaryDirectory(prefix="adieu-bench-") as folder:

        def run(name: str) -> Callable[[], float]:
            code = _IMPORT.format(name=name)
            _output(code, PYTHONPYCACHEPREFIX=folder)
            return lambda: float(_output(code, PYTHONPYCACHEPREFIX=folder))

        return Result(names[0], alternate({name: run(name) for name in names}, until))


def constructing(until: float) -> Result:
    """A client made with its default settings, and closed."""
    import adieu

    makers: dict[str, Callable[[], object]] = {"adieu.Client()": lambda: adieu.Client().close()}
    if find_spec("urllib3"):
        import urllib3

        makers["urllib3.PoolManager()"] = lambda: urllib3.PoolManager().clear()
    if find_spec("requests"):
        import requests

        makers["requests.Session()"] = lambda: requests.Session().close()
    if find_spec("httpx"):
        import httpx

        makers["httpx.Client()"] = lambda: httpx.Client().close()
    runs = {name: repeated(make, process_time) for name, make in makers.items()}
    return Result("adieu.Client()", alternate(runs, until))
