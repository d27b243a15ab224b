"""The imports of a source file, the promises of docs/adapters.md, and the circles in a graph of imports.

Nothing is imported here: sources are parsed, so imports in functions and under TYPE_CHECKING count like all others.
"""

from __future__ import annotations

import ast
import re
from collections import deque
from importlib.util import resolve_name
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

__all__ = ["Import", "circles", "graph_of", "imports_of", "modules_in", "promises_of", "refused"]

# A row of the table: a module, the names in it, and what they are for.
_ROW = re.compile(r"(?m)^\| `(adieu[\w.]*)` \| ([^|]+) \|")


class Import(NamedTuple):
    """`from module import name`; or `import module`, with no name; or `module.name` in the code after it."""

    line: int
    module: str
    name: str | None

    def __str__(self) -> str:
        return self.module if self.name is None else f"{self.module}.{self.name}"


def modules_in(root: Path) -> dict[str, Path]:
    """The modules below a source root: their dotted names and their files."""
    modules = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(source: str, package: str) -> Iterator[Import]:
    """Every import in the source of a module of `package`, and every attribute of a module that it imports by name."""
    tree = ast.parse(source)
    bound = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                yield Import(node.lineno, module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, None)
                top = alias.name.partition(".")[0]
                bound[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.Call) and _name_of(node.func) in {"import_module", "__import__"}:
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield Import(node.lineno, argument.value, None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = bound.get(node.value.id, "")
            if module:
                yield Import(node.lineno, module, node.attr)


def _name_of(function: ast.expr) -> str:
    """The last part of the name of a called function."""
    return getattr(function, "attr", getattr(function, "id", ""))


def promises_of(page: str) -> dict[str, set[str]]:
    """The modules in the table of docs/adapters.md, and the names that each row promises."""
    return {module: set(re.findall(r"`(\w+)`", names)) for module, names in _ROW.findall(page)}


def refused(
    source: str, package: str, promises: Mapping[str, Collection[str]], adapters: Collection[str]
) -> list[Import]:
    """The imports by which a module of the adapter `package` breaks the rules.

    From adieu it may have `import adieu` and the promised names. From another adapter it may have nothing.
    """
    found = []
    for item in imports_of(source, package):
        top = item.module.partition(".")[0]
        if top == "adieu":
            allowed = str(item) == "adieu" or item.name in promises.get(item.module, ())
        else:
            allowed = top == package or top not in adapters
        if not allowed:
            found.append(item)
    return found


def graph_of(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """Which of these modules each of them imports."""
    graph = {}
    for module, path in modules.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        named = set()
        for item in imports_of(path.read_text(encoding="utf-8"), package):
            named.add(str(item) if str(item) in modules else item.module)
        graph[module] = named & modules.keys() - {module}
    return graph


def circles(graph: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The shortest circle through each module that is on one, without duplicates."""
    found: dict[frozenset[str], list[str]] = {}
    for module in sorted(graph):
        circle = _shortest_circle(module, graph)
        if circle:
            found.setdefault(frozenset(circle), circle)
    return list(found.values())


def _shortest_circle(start: str, graph: Mapping[str, Collection[str]]) -> list[str]:
    """The modules on the shortest way from `start` back to itself; empty if there is none."""
    came_from = dict.fromkeys(graph[start], start)
    queue = deque(sorted(graph[start]))
    while queue:
        module = queue.popleft()
        if start in graph[module]:
            way = [module]
            while way[-1] != start:
                way.append(came_from[way[-1]])
            return way[::-1]
        for following in sorted(graph[module]):
            if following not in came_from:
                came_from[following] = module
                queue.append(following)
    return []
