"""cookies.txt: exchanged with curl, and never left incomplete by a failure."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adieu
from adieu import URL, Cookie, Cookies
from adieu.messages.cookies.file import _line, _read

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.testing.faults import FaultServer

FROM_CURL = """\
# Netscape HTTP Cookie File
# https://curl.se/docs/http-cookies.html

#HttpOnly_www.example.org\tFALSE\t/\tTRUE\t0\tsession\t31d4
.example.org\tTRUE\t/docs\tFALSE\t4102444800\tlang\ten US
.example.org\tTRUE\t/\tFALSE\t4102444800\tempty\t
10.0.0.1\tFALSE\t/\tFALSE\t4102444800.5\tfraction\ta\tb
www.example.org\tFALSE\t/\tFALSE\t1\tgone\tx
"""


def test_a_file_of_curl_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    path.write_bytes(FROM_CURL.replace("\n", "\r\n").encode())
    assert list(Cookies.load(path)) == [
        Cookie("session", "31d4", "www.example.org", "/", None, True, True, True),
        Cookie("lang", "en US", "example.org", "/docs", 4102444800.0, False, False, False),
        Cookie("empty", "", "example.org", "/", 4102444800.0, False, False, False),
        Cookie("fraction", "a\tb", "10.0.0.1", "/", 4102444800.5, False, False, True),
    ]


def test_saved_cookies_are_loaded_again(tmp_path: Path) -> None:
    jar = Cookies(clock=lambda: 1000.5)
    jar.store(
        URL("https://www.example.org/a/b"),
        [
            "a=1; Secure; HttpOnly",
            "b=\xe4\t; Domain=example.org; Path=/; Max-Age=60",
            "no name",
            'c="x y"; Max-Age=1',
        ],
    )
    path = tmp_path / "cookies.txt"
    jar.save(path)
    jar.save(str(path))
    loaded = Cookies(clock=lambda: 1000.5)
    with path.open(encoding="latin-1", newline="\n") as file:
        loaded.update(_read(file, "it"))
    assert [c._replace(expires=None) for c in loaded] == [c._replace(expires=None) for c in jar]
    assert [c.expires for c in loaded] == [
        None,
        1061.0,
        None,
        1002.0,
    ]  # never earlier than the cookie's


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_and_adieu_read_each_others_files(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.reply(
        "/login",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=1; Max-Age=900; HttpOnly\r\n"
        b"Set-Cookie: b=x y; Path=/shop\r\n\r\n",
    )
    path = tmp_path / "cookies.txt"
    curl: list[Any] = ["curl", "-s", "-S", "-b", path, "-c", path, "--max-time", "10"]
    subprocess.run([*curl, f"{fault_server.url}/login"], check=True, timeout=30)
    jar = Cookies.load(path)
    assert sorted((c.name, c.value, c.path, c.http_only) for c in jar) == [
        ("a", "1", "/", True),
        ("b", "x y", "/shop", False),
    ]
    jar.store(URL(f"{fault_server.url}/"), ["c=3; Max-Age=60"])
    jar.save(path)
    subprocess.run([*curl, f"{fault_server.url}/shop"], check=True, timeout=30)
    fields = dict(fault_server.requests[-1].headers)
    cookie = next(value for name, value in fields.items() if str(name).lower() == "cookie")
    assert sorted(str(cookie).split("; ")) == ["a=1", "b=x y", "c=3"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes of this kind")
def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text("old")
    path.chmod(0o644)
    Cookies({"a": "1"}, url="https://example.org").save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text("old")
    jar = Cookies({"a": "1"}, url="https://example.org")

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        jar.save(path)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["cookies.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "cookies.txt"
    link.symlink_to(tmp_path / "real" / "cookies.txt")
    Cookies({"a": "1"}, url="https://example.org").save(link)
    assert link.is_symlink()
    assert Cookies.load(link)["a"] == "1"


@pytest.mark.parametrize(
    "line",
    [
        "not a cookie",
        "a.example\tFALSE\t/\tFALSE\t0",
        "a.example\tMAYBE\t/\tFALSE\t0\ta\tb",
        "a.example\tFALSE\t/\tFALSE\tsoon\ta\tb",
        "a.example\tFALSE\t/\tFALSE\tnan\ta\tb",
        "a.example\tFALSE\t/\tFALSE\t-1\ta\tb",
        "a.example\tFALSE\tx\tFALSE\t0\ta\tb",
        "\tFALSE\t/\tFALSE\t0\ta\tb",
        "a.example\tFALSE\t/\tFALSE\t0\ta=b\tc",
        "a.example\tFALSE\t/\tFALSE\t0\ta\tb;c",
        "a.example\tFALSE\t/\tFALSE\t0\ta\tb\x00",
        "a.example\tFALSE\t/\tFALSE\t0\t\t",
    ],
)
def test_an_error_names_the_line_that_is_no_cookie(line: str, tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text(f"# head\n\n{line}\n")
    with pytest.raises(adieu.InvalidRequest, match=r"^line 3 of .*cookies\.txt"):
        Cookies.load(path)


def test_a_file_that_is_missing_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Cookies.load(tmp_path / "none.txt")


@given(
    st.binary(max_size=200) | st.text(alphabet="a\t\n/FALSETRUE0#.", max_size=200).map(str.encode)
)
def test_no_bytes_break_the_reader(data: bytes) -> None:
    file = io.TextIOWrapper(io.BytesIO(data), encoding="latin-1", newline="\n")
    try:
        list(_read(file, "it"))
    except adieu.InvalidRequest:
        pass


@given(
    st.lists(
        st.text(alphabet=st.sampled_from("ab#=;/. \t-09\xe4\xa0\x85"), min_size=1, max_size=40).map(
            lambda text: f"{text}; Path=/{text}; HttpOnly; Max-Age=9"
        ),
        max_size=5,
    )
)
def test_every_cookie_of_a_server_is_loaded_again_from_a_file(fields: list[str]) -> None:
    jar = Cookies()
    jar.store(URL("https://www.example.org/"), fields)
    lines = io.TextIOWrapper(
        io.BytesIO("".join(map(_line, jar)).encode("latin-1")), encoding="latin-1", newline="\n"
    )
    assert [c._replace(expires=None) for c in _read(lines, "it")] == [
        c._replace(expires=None) for c in jar
    ]
