"""The options of a call, for the docstrings of the methods that take them: so that `help(adieu.Client.get)` lists them.

Type checkers and editors read them from the annotation, `Unpack[CallOptions]`; `help()` cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OPTIONS_HELP", "lists_options"]

_Method = TypeVar("_Method", bound="Callable[..., object]")

OPTIONS_HELP = """
Options, each by its name. Those of the request:

- `params`: a mapping or pairs, added to the query of the URL. None as a value removes a parameter of the client's.
- `headers`: a mapping or pairs, over the client's by name. None as a value removes a field.
- `json`: a value that is sent as JSON.
- `data`: a mapping or pairs that are sent as a form; with `files` as a part of it.
- `files`: files by field name that are sent as `multipart/form-data`: open binary files, bytes, or
  (file name, content, type).
- `content`: bytes, text, a binary file, or an iterable of bytes, which is sent as it comes (under `AsyncClient` also an
  async iterable).
- `trailers`: fields after the content, or a function that returns them when it has been sent.

How it is sent, instead of what the mount or the client says:

- `timeout`: seconds for each wait, a `Timeout`, or None for no limit.
- `auth`: (user name, password), an `Auth`, or a function. None sends no credentials.
- `cookies`: names and values, `Cookie`, or a jar, for this call besides the client's.
- `follow_redirects`: True or False.
- `retry`: how often what failed is sent again: a number or a `Retry`.
- `cleanup`: the policy by which the connection ends.
- `max_body`: the most bytes, decoded, of a body that is read whole. None: no bound.
- `proxy`: a URL, a `Proxy`, a mapping from patterns to these, or None for a direct connection.
- `verify`, `cert`: whether and by which authorities the server is verified; a client certificate. `tls`: a `TLSConfig`
  instead of these two.
- `extras`: values by name for the adapter, or for a middleware.
"""


def lists_options(method: _Method) -> _Method:
    """Add the options of a call to the docstring of this method or function."""
    if method.__doc__ is not None:  # Python omits docstrings with -OO.
        first, *others = method.__doc__.rstrip().splitlines()
        # Up to CPython 3.12, all lines but the first are indented as in the source.
        indent = min((len(line) - len(line.lstrip()) for line in others if line), default=0)
        lines = [first, *(line[indent:] for line in others), *OPTIONS_HELP.splitlines()]
        method.__doc__ = "\n".join(lines)
    return method
