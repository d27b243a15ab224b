"""The rules for imports: adapters import only what docs/adapters.md promises, and no modules form a circle.

The table in docs/adapters.md is the list that this check reads; there is no second one. import-linter, set up in
pyproject.toml, checks the order of the packages in adieu.
"""

from __future__ import annotations

import ast
import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest

from support.imports import circles, graph_of, imports_of, modules_in, promises_of, refused

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/adapters.md").read_text(encoding="utf-8")
PAGES = ["adapters", "example-adapter", "writing-an-adapter", "wires-and-streams"]
ADAPTERS = sorted(path.parent.name for path in (ROOT / "adapters").glob("*/__init__.py"))
SOURCES = modules_in(ROOT / "src") | modules_in(ROOT / "adapters")

each_adapter = pytest.mark.parametrize("adapter", ADAPTERS)


def promised_names() -> dict[str, set[str]]:
    """The promised names of each module; `__all__` stands for the names in the module's `__all__`."""
    promises = promises_of(PAGE)
    for module, names in promises.items():
        if "__all__" in names:
            names.remove("__all__")
            names.update(import_module(module).__all__)
    return promises


def refused_in(folder: Path) -> list[str]:
    """The imports by which the adapter in this folder breaks the rules, one line each."""
    promises = promised_names()
    return [
        f"{folder.name}/{path.relative_to(folder)}:{found.line} imports {found}, "
        "which docs/adapters.md does not promise"
        for path in sorted(folder.rglob("*.py"))
        for found in refused(path.read_text(encoding="utf-8"), folder.name, promises, ADAPTERS)
    ]


@each_adapter
def test_an_adapter_imports_what_the_page_promises_and_nothing_else(adapter: str) -> None:
    assert refused_in(ROOT / "adapters" / adapter) == []


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_import_what_the_page_promises(page: str) -> None:
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", text)
    assert blocks
    promises = promised_names()
    for block in blocks:
        found = refused(block, "example", promises, ADAPTERS)
        # What tests the adapter is not a part of it.
        assert [one for one in found if one.module != "adieu.testing"] == []


def test_every_promised_name_exists() -> None:
    promises = promised_names()
    assert "adieu" in promises
    missing = [
        f"{module}.{name}"
        for module, names in promises.items()
        for name in names
        if not hasattr(import_module(module), name)
    ]
    assert missing == []


@pytest.mark.parametrize("row", promises_of(PAGE).items(), ids=lambda row: row[0])
def test_a_promise_names_something_and_nothing_private(row: tuple[str, set[str]]) -> None:
    module, names = row
    assert names
    private = [name for name in {*module.split("."), *names} if name.startswith("_")]
    assert set(private) <= {"__all__"}


def test_adieu_imports_no_adapter() -> None:
    for module, path in modules_in(ROOT / "src").items():
        for found in imports_of(path.read_text(encoding="utf-8"), module):
            assert found.module.partition(".")[0] not in ADAPTERS, f"{module}: {found}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = circles(graph_of(SOURCES))
    assert [" -> ".join([*circle, circle[0]]) for circle in found] == []


def raw_urls(text: str) -> list[int]:
    """The lines on which an f-string shows a URL without `adieu.texts.show_url`."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FormattedValue)
        and (
            (isinstance(node.value, ast.Name) and node.value.id == "url")
            or (isinstance(node.value, ast.Attribute) and node.value.attr in ("url", "_url"))
        )
    ]


def test_every_text_shows_a_url_by_the_one_function() -> None:
    # These make a URL, or show that of a server for tests.
    others = ("adieu.cli", "adieu.testing", "adieu.client.base_url")
    found = {
        module: lines
        for module, path in SOURCES.items()
        if not module.startswith(others) and (lines := raw_urls(path.read_text(encoding="utf-8")))
    }
    assert found == {}


# Each check finds a planted fault: in a copy of an adapter, or in two modules.


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("from adieu.client.call import Call", "adieu.client.call.Call"),
        ("from adieu.client.base import ClientBase", "adieu.client.base.ClientBase"),
        ("from adieu.client.options import Options", "adieu.client.options.Options"),
        ("from adieu.client import call", "adieu.client.call"),
        ("from adieu.http1.engine import Engine", "adieu.http1.engine.Engine"),
        ("from adieu.lifecycle.lock import locked", "adieu.lifecycle.lock.locked"),
        ("from adieu.lifecycle.fork import _after_fork", "adieu.lifecycle.fork._after_fork"),
        ("from adieu.net.tls.handshake import TLS", "adieu.net.tls.handshake.TLS"),
        ("from adieu.errors import *", "adieu.errors.*"),
        ("from adieu import client", "adieu.client"),
        ("from adieu import _portable as portable", "adieu._portable"),
        ("import adieu.client.call", "adieu.client.call"),
        ("import adieu.errors", "adieu.errors"),
        ("import adieu.lifecycle.lock as lock", "adieu.lifecycle.lock"),
        ("import adieu; adieu.client", "adieu.client"),
        ("import adieu as a; a._portable", "adieu._portable"),
        ("import_module('adieu.client.call')", "adieu.client.call"),
        ("importlib.import_module('adieu.client')", "adieu.client"),
        ("__import__('adieu.net.dial')", "adieu.net.dial"),
        ("import adieu_h11", "adieu_h11"),
        ("from adieu_h11 import H11Adapter", "adieu_h11.H11Adapter"),
    ],
)
@pytest.mark.parametrize(
    "where",
    ["{}", "def later():\n    {}", "if TYPE_CHECKING:\n    {}"],
    ids=["module", "function", "types only"],
)
def test_one_undocumented_import_is_found(
    statement: str, named: str, where: str, tmp_path: Path
) -> None:
    folder = tmp_path / "adieu_close"
    shutil.copytree(ROOT / "adapters/adieu_close", folder)
    source = folder / "__init__.py"
    text = source.read_text(encoding="utf-8")
    source.write_text(f"{text}{where.format(statement)}\n", encoding="utf-8")
    line = text.count("\n") + where.count("\n") + 1
    assert refused_in(folder) == [
        f"adieu_close/__init__.py:{line} imports {named}, which docs/adapters.md does not promise"
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "import adieu; adieu.Request",
        "from adieu import Request",
        "from adieu.errors import ReadError",
        "import urllib3",
        "from adieu_close.inner import anything",
    ],
)
def test_a_documented_import_is_accepted(statement: str) -> None:
    assert refused(statement, "adieu_close", promised_names(), ADAPTERS) == []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("import pair.two", "import pair.one"),
        ("from pair.two import Two", "from pair.one import One"),
        ("from pair import two", "from pair import one"),
        ("from pair.two import Two", "if TYPE_CHECKING:\n    from pair.one import One"),
        ("from pair.two import Two", "def later():\n    from pair.one import One"),
        ("from .two import Two", "from . import one"),
    ],
)
def test_two_modules_that_import_each_other_are_found(one: str, two: str, tmp_path: Path) -> None:
    package = tmp_path / "pair"
    package.mkdir()
    for name, source in {
        "__init__": "",
        "one": one,
        "two": two,
        "three": "import pair.one",
    }.items():
        (package / f"{name}.py").write_text(source, encoding="utf-8")
    assert circles(graph_of(modules_in(tmp_path))) == [["pair.one", "pair.two"]]


def test_a_package_and_its_module_that_import_each_other_are_found(tmp_path: Path) -> None:
    package = tmp_path / "pair"
    package.mkdir()
    (package / "__init__.py").write_text("from pair.one import One")
    (package / "one.py").write_text("from pair import One")
    assert circles(graph_of(modules_in(tmp_path))) == [["pair", "pair.one"]]


def test_the_shortest_circle_is_named_in_the_order_of_its_imports() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(graph) == [["a", "b", "c"], ["d", "e"]]


# Locks and forks have one home each: a lock that is made elsewhere stays locked in a forked child, and an interrupt can
# leave it locked on CPython 3.14.


def _calls_of(names: str, homes: set[str]) -> list[str]:
    pattern = re.compile(rf"\b(?:{names})\(")
    return [
        f"{module}:{number}"
        for module, path in SOURCES.items()
        if module not in homes
        and module.split(".")[:2] not in (["adieu", "cli"], ["adieu", "testing"])
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_every_lock_is_made_by_the_module_for_locks() -> None:
    names = "RLock|Lock|allocate_lock|Condition|Semaphore|BoundedSemaphore|Barrier|threading.Event"
    assert _calls_of(names, {"adieu.lifecycle.lock"}) == []


def test_there_is_one_registry_of_what_a_forked_child_makes_anew() -> None:
    assert _calls_of("register_at_fork", {"adieu.lifecycle.fork"}) == []


def test_every_thread_is_started_by_the_module_for_threads() -> None:
    assert _calls_of("Thread|start_new_thread", {"adieu.lifecycle.threads"}) == []


def test_a_text_with_a_whole_url_is_found() -> None:
    assert raw_urls('f"{request.url} failed"\nf"{url!r}"\nf"{show_url(url)}"\nf"{url.host}"') == [
        1,
        2,
    ]
