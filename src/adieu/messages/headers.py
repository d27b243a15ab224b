"""Headers: the fields of a message, in their order and case, found by name in any case.

Invariants: the fields are a list of pairs, as on the wire. The index by lower-case name is built at the first look-up;
most headers never need it. Every field from a caller is checked when it is added; `Headers.from_wire` does not check,
because a codec has done so. No `repr` shows a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast, overload

from adieu._elsewhere import NamesElsewhere
from adieu.errors import InvalidHeader
from adieu.messages.fields.syntax import checked_name, checked_value
from adieu.texts import show_field

if TYPE_CHECKING:
    from typing_extensions import override
else:  # importing typing_extensions imports inspect, for half of the time that `import adieu` may take

    def override(method: _T) -> _T:
        return method


__all__ = [
    "FieldValue",
    "FieldValues",
    "HeaderChanges",
    "HeaderFields",
    "Headers",
    "combined",
    "merge",
    "names_of",
]

FieldValue: TypeAlias = str | bytes | int
FieldValues: TypeAlias = FieldValue | Sequence[FieldValue]
"""One value, or a list or tuple of them: a field for each."""
HeaderFields: TypeAlias = (
    Mapping[str, FieldValues] | Sequence[tuple[str, FieldValues] | tuple[bytes, FieldValues]]
)
"""Fields to make headers of: a mapping, pairs, or other `Headers`."""
HeaderChanges: TypeAlias = (
    Mapping[str, FieldValues | None] | Sequence[tuple[str, FieldValues | None]]
)
"""Changes of headers: like `HeaderFields`, and None removes a field."""

_T = TypeVar("_T")
_SET_COOKIE = "set-cookie"
_new = object.__new__


class Headers(NamesElsewhere, MutableMapping[str, str]):
    """A mutable mapping of field names to values that keeps order, case and repeated fields.

    `h["accept"]` finds the field in any case. The values of a repeated field are joined with ", "
    (RFC 9110, section 5.3), except those of Set-Cookie, which cannot be joined: `h["set-cookie"]`
    is the first of them and `h.get_list("set-cookie")` all. `len` counts names; iterating gives
    each name once, as it was first written; `multi_items()` gives every field.

    Raises `InvalidHeader` for anything that is no field name or value (RFC 9110, section 5). Two
    headers are equal if they have the same fields: the case of names and the order of different
    fields do not count.

    >>> h = Headers({"Accept": ["text/html", "text/plain"], "Content-Length": 5})
    >>> h["accept"]
    'text/html, text/plain'
    """

    __slots__ = ("_fields", "_index", "_memory")

    # All three are replaced when a field changes, and never changed themselves: so copies share them.
    _fields: list[tuple[str, str]]
    _index: dict[str, str] | None
    # What was made of the fields: see `remembered`.
    _memory: list[Any]

    def __init__(self, fields: HeaderFields | None = None) -> None:
        if isinstance(fields, Headers):
            self._replace(fields._fields)
            return
        own: list[tuple[str, str]] = []
        if fields is not None:
            for name, value in _pairs(fields):
                _append(own, checked_name(name), value)
        self._replace(own)

    @classmethod
    def from_wire(
        cls, fields: list[tuple[str, str]], index: dict[str, str] | None = None
    ) -> Headers:
        """Headers around a list that a codec has checked, and its index; nothing is copied or checked."""
        self = _new(cls)
        self._fields = fields
        self._index = index
        self._memory = []
        return self

    def _replace(self, fields: list[tuple[str, str]], index: dict[str, str] | None = None) -> None:
        self._fields = fields
        self._index = index
        self._memory = []

    def append_checked(self, fields: list[tuple[str, str]]) -> None:
        """Add fields that were checked, and whose names are not among those that are here."""
        added = {name.lower(): value for name, value in fields}
        self._replace([*self._fields, *fields], {**self._lookup(), **added})

    def remembered(self, make: Callable[[list[tuple[str, str]]], _T]) -> _T:
        """`make(fields)`, remembered until a field changes, here and in copies; for one function only."""
        memory = self._memory
        if not memory:
            memory.append(make(self._fields))
        made: _T = memory[0]
        return made

    @property
    def raw(self) -> Sequence[tuple[str, str]]:
        """Every field as a pair, in order, for writing them: the list itself, not a copy."""
        return self._fields

    def multi_items(self) -> list[tuple[str, str]]:
        """Every field as a pair, in order."""
        return self._fields.copy()

    def has(self, key: str) -> bool:
        """Whether there is a field of this name, given in lower case.

        For a single look-up: comparing each name costs less than an index, unless there is one.
        """
        if self._index is not None:
            return key in self._index
        size = len(key)
        for name, _ in self._fields:  # noqa: SIM110 (called for every response; a generator costs more)
            if len(name) == size and name.lower() == key:
                return True
        return False

    def get_list(self, name: str) -> list[str]:
        """The values of all fields of this name, in order; empty if there is none."""
        key = name.lower()
        if key not in self._lookup():
            return []
        return [value for other, value in self._fields if other.lower() == key]

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, /, default: str) -> str: ...
    @overload
    def get(self, key: str, /, default: _T) -> str | _T: ...
    @override
    def get(self, key: str, /, default: object = None) -> object:
        """The value of a field as `h[key]` gives it, or the default."""
        return self._lookup().get(key.lower(), default)

    def add(self, name: str, value: FieldValue) -> None:
        """Add a field after all others, whether or not there are fields of this name."""
        name = checked_name(name)
        self._replace([*self._fields, (name, checked_value(value, name))])

    @override
    def update(self, changes: HeaderFields | HeaderChanges) -> None:  # type: ignore[override]
        """Replace all fields of the same names by these fields; None removes a field.

        Fields cannot be given as keyword arguments: most field names are no Python names.
        """
        self._replace(merge(self, changes)._fields)

    def copy(self) -> Headers:
        """Headers with the same fields; a change of one does not show in the other."""
        other = _new(Headers)
        other._fields = self._fields
        other._index = self._index
        other._memory = self._memory
        return other

    def _lookup(self) -> dict[str, str]:
        index = self._index
        if index is None:
            self._index = index = index_of(self._fields)
        return index

    @override
    def __getitem__(self, name: str) -> str:
        try:
            return self._lookup()[name.lower()]
        except KeyError:
            raise KeyError(name) from None

    @override
    def __setitem__(self, name: str, value: FieldValue) -> None:
        name = checked_name(name)
        key = name.lower()
        field = name, checked_value(value, name)
        places = [at for at, (other, _) in enumerate(self._fields) if other.lower() == key]
        if not places:
            self._replace([*self._fields, field])
            return
        # In the place of the first field of this name.
        before, after = self._fields[: places[0]], self._fields[places[0] + 1 :]
        self._replace([*before, field, *(other for other in after if other[0].lower() != key)])

    @override
    def __delitem__(self, name: str) -> None:
        key = name.lower()
        if not self.has(key):
            raise KeyError(name)
        self._replace([field for field in self._fields if field[0].lower() != key])

    @override
    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._lookup()

    @override
    def __iter__(self) -> Iterator[str]:
        seen: dict[str, str] = {}
        for name, _ in self._fields:
            seen.setdefault(name.lower(), name)
        return iter(seen.values())

    @override
    def __len__(self) -> int:
        return len(self._lookup())

    def __bool__(self) -> bool:
        return bool(self._fields)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            if not isinstance(other, Mapping):
                return NotImplemented
            try:
                other = Headers(other)
            except InvalidHeader:
                return False
        cookies, others = self.get_list(_SET_COOKIE), other.get_list(_SET_COOKIE)
        return self._lookup() == other._lookup() and cookies == others

    __hash__ = None  # type: ignore[assignment]

    @override
    def __repr__(self) -> str:
        shown = [(name, show_field(name, value)) for name, value in self._fields]
        return f"Headers({shown!r})"

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return Headers.from_wire, (self._fields.copy(),)


def index_of(fields: list[tuple[str, str]]) -> dict[str, str]:
    """The values of fields by their names in lower case; repeated ones joined, as far as that is allowed."""
    index: dict[str, str] = {}
    for name, value in fields:
        key = name.lower()
        if key not in index:
            index[key] = value
        elif key != _SET_COOKIE:
            index[key] = f"{index[key]}, {value}"
    return index


def merge(defaults: Headers, own: HeaderFields | HeaderChanges | None) -> Headers:
    """The defaults with a message's own fields after them; the arguments stay as they are.

    An own field replaces all defaults of the same name; None as its value only removes
    them. Raises `InvalidHeader`.

    >>> merge(Headers({"accept": "*/*", "x-a": "1"}), {"Accept": "text/html", "x-a": None})
    Headers([('Accept', 'text/html')])
    """
    if own is None:
        return defaults.copy()
    if isinstance(own, Headers):
        names, fields = set(own._lookup()), own._fields
    else:
        names, fields = set(), []
        for given, value in _pairs(own):
            name = checked_name(given)
            names.add(name.lower())
            if value is not None:
                _append(fields, name, value)
    if names.isdisjoint(defaults._lookup()):
        return Headers.from_wire(defaults._fields + fields)
    kept = [field for field in defaults._fields if field[0].lower() not in names]
    return Headers.from_wire(kept + fields)


def combined(
    first: HeaderChanges, second: HeaderFields | HeaderChanges | None
) -> list[tuple[str, FieldValues | None]]:
    """Two changes of headers as one. If both name a field, the second counts.

    Unlike a `merge`, the result still removes the fields that either of the two removes. Raises `InvalidHeader`.
    """
    own = _changes(second)
    merge(Headers(), own)  # Checks the values.
    names = names_of(own)
    return [change for change in _changes(first) if change[0].lower() not in names] + own


def names_of(changes: HeaderFields | HeaderChanges) -> set[str]:
    """The names, in lower case, of the fields that changes set or remove."""
    return {name.lower() for name, _ in _changes(changes)}


def _changes(
    changes: HeaderFields | HeaderChanges | None,
) -> list[tuple[str, FieldValues | None]]:
    if changes is None:
        return []
    pairs = changes._fields if isinstance(changes, Headers) else _pairs(changes)
    return [(checked_name(name), cast("FieldValues | None", value)) for name, value in pairs]


def _pairs(fields: object) -> Iterable[tuple[object, object]]:
    if isinstance(fields, (dict, Mapping)):
        return fields.items()
    if isinstance(fields, Iterable) and not isinstance(fields, (str, bytes)):
        return map(_pair, fields)
    raise InvalidHeader(f"headers are a mapping or pairs, not {type(fields).__name__}")


def _pair(field: object) -> tuple[object, object]:
    # Not by unpacking, which would accept a str of two characters.
    if isinstance(field, (tuple, list)) and len(field) == 2:
        return field[0], field[1]
    raise InvalidHeader(f"a header field is a pair of name and value, not {type(field).__name__}")


def _append(fields: list[tuple[str, str]], name: str, value: object) -> None:
    if isinstance(value, (list, tuple)):
        fields += [(name, checked_value(item, name)) for item in value]
    else:
        fields.append((name, checked_value(value, name)))
