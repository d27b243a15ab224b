"""`Value`: the base class of settings: immutable, hashable, picklable, equal by type and fields, with a plain `repr`.

`dataclasses` would give the same for 12 ms of import time.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, ClassVar, NoReturn

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Value"]


class Value:
    """A value with the fields named in the `__slots__` of its class, set once, by `_set` in `__init__`."""

    __slots__: tuple[str, ...] = ()

    # The names of the arguments of `__init__`, and how many of them may be given without one.
    _arguments: ClassVar[tuple[str, ...]] = ()
    _positional: ClassVar[int] = 0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        init = cls.__init__
        if isinstance(init, FunctionType):
            code = init.__code__
            cls._arguments = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
            cls._positional = code.co_argcount - 1

    if (
        not TYPE_CHECKING
    ):  # A type checker reads the signature of `__init__`, as everybody else does.

        def __new__(cls, *values: object, **fields: object) -> Value:
            if len(values) > cls._positional or any(name not in cls._arguments for name in fields):
                from adieu._elsewhere import refuse_arguments

                refuse_arguments(cls.__name__, cls._arguments, cls._positional, len(values), fields)
            return object.__new__(cls)

    def _set(self, **fields: object) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _fields(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in type(self).__slots__}

    def replace(self, **changes: object) -> Self:
        """A value with these fields changed."""
        return type(self)(**{**self._fields(), **changes})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is a value: use replace({name}=...)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is a value: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), *self._fields().values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_repr(value)}" for name, value in self._fields().items())
        return f"{type(self).__name__}({fields})"

    def __getstate__(self) -> dict[str, object]:
        return self._fields()

    def __setstate__(self, state: dict[str, object]) -> None:
        self._set(**state)


def _repr(value: object) -> str:
    """The `repr`; that of a set in sorted order, because the order of a set changes from process to process."""
    if isinstance(value, frozenset) and value:
        return f"{{{', '.join(sorted(map(repr, value)))}}}"
    return repr(value)
