"""The annotations of adieu for tools that read them in a running program.

`typing.get_type_hints`, containers for dependency injection and builders of documentation evaluate an annotation in the
module that has it. Most types that adieu's annotations name are imported there for type checkers alone, because with
all of them `import adieu` would take several times as long.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, ModuleType

__all__ = ["load_annotations"]

_loaded: set[str] = set()


def load_annotations() -> None:
    """Import what adieu's annotations name, so that `typing.get_type_hints` can read them. Calling it again is cheap.

    >>> load_annotations()
    >>> typing.get_type_hints(adieu.Client.get)["return"]
    <class 'adieu.messages.response.Response'>
    """
    package = sys.modules["adieu"]
    for name in package.__all__:
        getattr(package, name)
    # Each module may import more of them, and need what another one's statements define.
    waiting: list[tuple[ModuleType, CodeType]] = []
    while True:
        new = [
            name
            for name in sys.modules
            if name.partition(".")[0] == "adieu" and name not in _loaded
        ]
        _loaded.update(new)
        for name in new:
            waiting += _statements(sys.modules[name])
        if not waiting:
            return
        left = [(module, code) for module, code in waiting if not _run(module, code)]
        if len(left) == len(waiting):
            raise ImportError(f"what {left[0][0].__name__} imports for type checkers is not there")
        waiting = left


def _statements(module: ModuleType) -> list[tuple[ModuleType, CodeType]]:
    """What a module imports and defines for type checkers alone."""
    import ast
    import inspect

    file = inspect.getfile(module)
    return [
        (module, compile(ast.Module([statement], []), file, "exec"))
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
    ]


def _run(module: ModuleType, code: CodeType) -> bool:
    """Run a statement; False if it needs a name that is not there yet."""
    try:
        exec(code, vars(module))  # noqa: S102
    except (ImportError, NameError):
        return False
    return True
