"""The items of a command line: `name=value` and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import adieu
from adieu.cli.fetch.items import Items, parse_items

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name=value", {"fields": [("name", "value")]}),
        ("name=", {"fields": [("name", "")]}),
        ("name=a=b:c@d", {"fields": [("name", "a=b:c@d")]}),
        ("count:=3", {"fields": [("count", 3)]}),
        ('tags:=["a", null]', {"fields": [("tags", ["a", None])]}),
        ("page==2", {"params": [("page", "2")]}),
        ("q==", {"params": [("q", "")]}),
        ("Accept:text/csv", {"headers": [("Accept", "text/csv")]}),
        ("X-Url: https://a.example/?b=c", {"headers": [("X-Url", "https://a.example/?b=c")]}),
        ("Accept:", {"headers": [("Accept", None)]}),
        ("photo@beach.jpg", {"files": [("photo", "beach.jpg")]}),
        (r"a\=b\:c\@d\\=e", {"fields": [("a=b:c@d\\", "e")]}),
        ("a\nb=c\nd", {"fields": [("a\nb", "c\nd")]}),
    ],
)
def test_the_first_separator_decides(text: str, part: dict[str, object]) -> None:
    assert parse_items([text]) == Items([], [], [], [])._replace(**part)  # type: ignore[arg-type]


def test_values_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("ünïcode\n", encoding="utf-8")
    (tmp_path / "json").write_text("[1]")
    items = parse_items([f"a=@{tmp_path}/text", f"b:=@{tmp_path}/json"])
    assert items.fields == [("a", "ünïcode\n"), ("b", [1])]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word", "'word' is no item of a request"),
        ("", "'' is no item of a request"),
        ("=value", "'=value' has no name before its ="),
        ("a:=word", "'a:=word': what follows := is no JSON: Expecting value"),
        ("a=@/nowhere/at/all", "'/nowhere/at/all' cannot be read: No such file"),
    ],
)
def test_what_is_no_item_is_refused(text: str, message: str) -> None:
    with pytest.raises(adieu.InvalidRequest, match=message):
        parse_items([text])


def test_a_field_is_text(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"\xff\xd8")
    with pytest.raises(adieu.InvalidRequest, match=r"is no text in UTF-8; name@.*photo sends it"):
        parse_items([f"a=@{tmp_path}/photo"])
