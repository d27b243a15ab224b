"""Names of files that servers choose (RFC 6266), made safe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.messages.fields.disposition import file_name, safe_name


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (None, None),
        ("inline", None),
        ('Attachment; FILENAME="example.html"', "example.html"),
        ('INLINE; FILENAME= "an example.html"', "an example.html"),
        ("attachment; filename*= UTF-8''%e2%82%ac%20rates", "€ rates"),
        ("attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates", "€ rates"),
        ("attachment; filename*=iso-8859-1'en'%A3%20rates; filename=x", "£ rates"),
        ("attachment; filename=plain.txt", "plain.txt"),
        (r'attachment; filename="a\"b.txt"', "a_b.txt"),
        ("attachment; filename*=; filename=x", "x"),
        ("attachment; filename=", None),
        ('attachment; dummy="; filename=evil"; filename=good', "good"),
    ],
)
def test_the_name_is_found(field: str | None, name: str | None) -> None:
    assert file_name(field) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/abs", "abs"),
        ("C:\\a.exe", "a.exe"),
        ("a/", None),
        ("..", None),
        (".", None),
        ("", None),
        (" . ", None),
        (".bashrc", "bashrc"),
        ("a.txt. .", "a.txt"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("COM1", "_COM1"),
        ("nul .txt", "_nul .txt"),
        ("console", "console"),
        ("b.bin.part", "b.bin.part_"),
        ("b.bin.PART.JSON", "b.bin.PART.JSON_"),
        ("b.bin.pa\u206art", "b.bin.pa_rt"),
        ("x" * 195 + ".part" + "y" * 40, "x" * 195 + ".part_"),
        ("part", "part"),
        ("a\0b\r\nc", "a_b__c"),
        ('a:b*c?"<>|', "a_b_c_____"),
        ("gpj.\u202eexe", "gpj._exe"),
        ("x" * 300, "x" * 200),
        ("x" * 300 + ".tar", "x" * 196 + ".tar"),
        ("ü" * 150 + ".t", "ü" * 99 + ".t"),
        ("日本.pdf", "日本.pdf"),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str | None) -> None:
    assert safe_name(name) == safe


@given(st.text())
def test_no_name_leaves_its_folder(text: str) -> None:
    for name in (safe_name(text), file_name(text), file_name(f'a; filename="{text}"')):
        if name is not None:
            assert name not in {"", ".", ".."}
            assert not set(name) & set('/\\\0:<>"|?*')
            assert not name.startswith((".", " ")) and not name.endswith((".", " "))  # noqa: PT018
            assert not name.lower().endswith((".part", ".part.json"))
            assert len(name.encode()) <= 201
