"""`Value`: the base class of settings: immutable, hashable, picklable, equal by type and fields, with a plain `repr`.

`dataclasses` would give the same for 12 ms of import time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Value"]


class Value:
    """A value with the fields named in the `__slots__` of its class, set once, by `_set` in `__init__`."""

    __slots__: tuple[str, ...] = ()

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
