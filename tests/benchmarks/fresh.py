"""What comes before the first response: an import and a GET in a fresh interpreter; and what a URL costs."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from benchmarks.slices import Result, alternate, repeated

if TYPE_CHECKING:
    from benchmarks.surroundings import Site

__all__ = ["FRESH", "URLS", "importing", "loaded", "parsing"]

FRESH: Final = {
    "adieu": ("adieu", "adieu.get(url).content"),
    "pyreqwest": (
        "pyreqwest",
        "__import__('pyreqwest.client').client.SyncClientBuilder().build().get(url).build().send().bytes()",
    ),
    "pycurl": (
        "pycurl",
        "[c := pycurl.Curl(), c.setopt(c.URL, url), c.setopt(c.WRITEFUNCTION, len), c.perform()]",
    ),
    "wreq": ("wreq.blocking", "wreq.blocking.get(url).bytes()"),
    "primp": ("primp", "primp.get(url).content"),
    "httpx2": ("httpx2", "httpx2.get(url).content"),
    "httpx": ("httpx", "httpx.get(url).content"),
    "requests": ("requests", "requests.get(url).content"),
    "urllib3": ("urllib3", "urllib3.request('GET', url).data"),
    "niquests": ("niquests", "niquests.get(url).content"),
}
"""The module that is imported, and the GET."""

_CODE: Final = """
import time; started = time.process_time()
url = {url!r}
import {module}
{get}
print(time.process_time() - started)
"""
_LOADED: Final = """
import json, sys
before = set(sys.modules)
import adieu
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def _output(interpreter: str, code: str, folder: str) -> str:
    """The output of a new interpreter, which finds its modules compiled, as users do."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [interpreter, "-c", code]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout


def loaded() -> list[str]:
    """The modules that `import adieu` loads."""
    with tempfile.TemporaryDirectory(prefix="adieu-bench-") as folder:
        names: list[str] = json.loads(_output(sys.executable, _LOADED, folder))
    return names


def importing(site: Site, interpreters: dict[str, str], until: float) -> Result:
    """The seconds that each takes more than a bare interpreter."""
    runs = {}
    with tempfile.TemporaryDirectory(prefix="adieu-bench-") as folder:

        def run(interpreter: str, code: str) -> Callable[[], float]:
            _output(interpreter, code, folder)
            return lambda: float(_output(interpreter, code, folder))

        for name, (module, get) in FRESH.items():
            if name in interpreters or find_spec(module.partition(".")[0]):
                code = _CODE.format(url=f"{site.url}/items", module=module, get=get)
                runs[name] = run(interpreters.get(name, sys.executable), code)
        return alternate(runs, until)


def _paths(parse: Callable[[str], object]) -> Callable[[], object]:
    numbers = itertools.count()
    return lambda: parse(f"https://api.example.org/items/{next(numbers)}")


def _adieu() -> Any:
    return import_module("adieu").URL


def _params() -> Callable[[], object]:
    numbers, url = itertools.count(), _adieu()("https://api.example.org/items")
    return lambda: url.with_params({"page": next(numbers)})


URLS: Final[dict[str, tuple[str, Callable[[], Callable[[], object]]]]] = {
    "adieu, a new path": ("adieu", lambda: _paths(_adieu())),
    "adieu, new params": ("adieu", _params),
    "urllib.parse.urlsplit": (
        "urllib.parse",
        lambda: _paths(import_module("urllib.parse").urlsplit),
    ),
    "yarl.URL": ("yarl", lambda: _paths(import_module("yarl").URL)),
    "urllib3's parse_url": ("urllib3", lambda: _paths(import_module("urllib3.util").parse_url)),
    "httpx.URL": ("httpx", lambda: _paths(import_module("httpx").URL)),
}
"""The module that is needed, and what makes the call."""


def parsing(until: float) -> Result:
    """The seconds of a URL that was not seen before, on an origin that was."""
    runs = {
        name: repeated(make())
        for name, (module, make) in URLS.items()
        if find_spec(module.partition(".")[0])
    }
    return alternate(runs, until)
