"""The content of a request, from the one argument that the caller gave.

- `content=`: see `adieu.messages.content.convert`.
- `data=`: a mapping, or a list or tuple of pairs, is a form. Anything else is taken as `content=`, as in requests; text
  is then `text/plain` and no form, unless the headers say otherwise.
- `files=`, with fields in `data=` or without: see `adieu.messages.content.multipart`.
- `json=`: see `adieu.messages.content.json`. None means "not given": wrappers pass their own `json=None` on, and must
  not send `null` with every GET. To send JSON's null: `content="null"` with a Content-Type of application/json.

Whether a content can be sent a second time (after a redirect, on a new connection) is decided here, once.
"""

from __future__ import annotations

from collections.abc import ItemsView, Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

from adieu.errors import InvalidRequest
from adieu.messages.content.convert import as_content
from adieu.messages.content.json import encode_json
from adieu.messages.content.streamed import IterableContent
from adieu.messages.content.value import NO_CONTENT, Content
from adieu.messages.url.form import encode_form

if TYPE_CHECKING:
    from adieu.messages.content.convert import ContentLike
    from adieu.messages.content.multipart import FilesLike
    from adieu.messages.fields.trailers import TrailersLike
    from adieu.messages.url.form import FormFields

    DataLike: TypeAlias = FormFields | ContentLike

__all__ = ["DataLike", "encode_content", "spent", "with_trailers"]


def encode_content(
    content: ContentLike | None = None,
    data: DataLike | None = None,
    json: object = None,
    files: FilesLike | None = None,
    *,
    boundary: str | None = None,
) -> Content:
    """The content of a request; `NO_CONTENT` if no argument was given.

    Only `data` and `files` go together; `boundary` is for those two, and random if left out. Raises `InvalidRequest`
    for more than one content, and for one that cannot be sent; for JSON, the text says which part cannot.
    """
    if (content is not None) + (data is not None or bool(files)) + (json is not None) > 1:
        named = (("content=", content), ("data=", data), ("json=", json), ("files=", files or None))
        given = [name for name, value in named if value is not None]
        raise InvalidRequest(f"{' and '.join(given)} were given: a request has one content")
    if json is not None:
        return Content(encode_json(json), "application/json")
    if files:
        from adieu.messages.content.multipart import encode_multipart

        return encode_multipart(data, files, boundary)
    if data is not None:
        if isinstance(data, (dict, list, tuple, Mapping, ItemsView)):
            form = encode_form(cast("FormFields", data))
            return Content(form.encode("ascii"), "application/x-www-form-urlencoded")
        return as_content(data)
    return NO_CONTENT if content is None else as_content(content)


def spent(content: Content) -> Content:
    """The content that a pickled response keeps of its request: all of it, or one that cannot be sent again."""
    if content.body is not None:
        return content
    read = IterableContent(None, "content=", length=content.length, replayable=False)
    read.media_type = content.media_type
    return read


def with_trailers(content: Content, trailers: TrailersLike) -> Content:
    """The same content, to be sent in chunks, with these fields after it."""
    if content.body is not None:
        chunked = IterableContent(
            [content.body] if content.body else [], "content=", replayable=True
        )
        chunked.media_type = content.media_type
        content = chunked
    content.length = None
    content.trailers = trailers
    return content
