"""A client as its settings: what is left of it when it is pickled, and what comes of that elsewhere.

Rules of the room: everything that a client was told travels, secrets too; nothing that it has done does, but for the
cookies in its jar. An adapter travels as an adapter of the same settings. What arrives is a new client, and open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from adieu._portable import portable
from adieu.transport.mounts import Mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.client.base import ClientBase

__all__ = ["arrive", "twin", "what_travels"]

# What a client is doing, and what it makes of its settings when they are first needed.
_STAYS = ("_closed", "_headers", "_open")
# Where the constructor puts what was given under another name.
_GIVEN_AS = {
    "_base": "base_url",
    "_own_headers": "headers",
    "_params": "params",
    "_routes": "proxy",
    "hooks": "event_hooks",
}
_INSTEAD = "functions can be, if they stand at the top of a module"


def what_travels(client: ClientBase) -> dict[str, Any]:
    """The settings. Raises `TypeError`, which says which of them cannot be pickled."""
    state = {name: value for name, value in vars(client).items() if name not in _STAYS}
    for name, value in _settings(state):
        portable(f"{name} of a client", value, _INSTEAD)
    return state


def _settings(state: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in state.items():
        if isinstance(value, Mounts):
            for mount in value:
                where = f" mounted for {mount.pattern}" if mount.pattern else "="
                yield f"the adapter{where}", mount
        elif name == "identity":
            yield "auth=", value.auth
            yield "cookies=", value.jar
        else:
            yield f"{_GIVEN_AS.get(name, name.lstrip('_'))}=", value


def arrive(client: ClientBase, state: dict[str, Any]) -> None:
    """Make a new client of settings."""
    vars(client).update(state, _headers=None, _open=WeakSet(), _closed=False)


def twin(client: ClientBase) -> Any:
    """A client of the same settings, by way of pickle: so nothing is shared that one of them could close."""
    import pickle

    return pickle.loads(pickle.dumps(client))  # noqa: S301 - what was pickled in the same line
