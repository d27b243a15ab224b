"""The timeline's page in a real browser: facts on hover and focus, keys, zoom, search, 1,000 requests, no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adieu.observe.as_page import as_page
from adieu.observe.picture import Bar, End, Phase, Picture, Track
from support.browser import Browser, browser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


def bar(number: int, connection: int, begin: float, end: float, **changes: object) -> Bar:
    middle = begin + (end - begin) / 3
    made = Bar(
        exchange=number,
        call=number,
        hop=0,
        connection=connection,
        method="GET",
        url=f"https://api.example.org/items/{number}?q=<b>&token=***",
        begin=begin,
        end=end,
        phases=(
            Phase("send", begin, begin),
            Phase("answer", begin, middle),
            Phase("body", middle, end),
        ),
        status=200,
        error=None,
        reused=True,
        ended=End.RELEASED,
        why="",
        opened_at=f"app.py:{number} in load",
        sent=200,
        received=12_000,
        decoded=48_000,
    )
    return made._replace(**changes)  # type: ignore[arg-type]


def picture(connections: int, each: int, **last: object) -> Picture:
    """Connections with requests of 10 ms, one after the other; the last one of the first connection is changed."""
    tracks = []
    for number in range(1, connections + 1):
        first = number * 10_000
        bars = [
            bar(
                first + n,
                number,
                0.03 + n * 0.02,
                0.04 + n * 0.02,
                **(last if n == each - 1 and number == 1 else {}),
            )
            for n in range(each)
        ]
        opening = (Phase("dns", 0.0, 0.01), Phase("tcp", 0.01, 0.02), Phase("tls", 0.02, 0.03))
        idle = tuple(Phase("idle", at.end, at.end + 0.01) for at in bars)
        tracks.append(
            Track(
                number,
                "https://api.example.org",
                (("peer", "10.0.0.1:443"), ("TLS", "TLSv1.3")),
                0.0,
                opening,
                None,
                tuple(bars),
                idle,
                0.05 + each * 0.02,
                "client closed",
                is_open=False,
            )
        )
    return Picture(tuple(tracks), 0.06 + each * 0.02)


def shown(page: Browser, tmp_path: Path, drawn: Picture, **window: object) -> None:
    file = tmp_path / "timeline.html"
    file.write_text(as_page(drawn), encoding="utf-8")
    page.open(file, **window)  # type: ignore[arg-type]


def facts(page: Browser) -> str:
    text: str = page.run(
        "const f = document.getElementById('facts'); return f.hidden ? '' : f.innerText"
    )
    return " ".join(text.split())


def test_the_bar_that_is_pointed_at_says_its_facts(chromium: Browser, tmp_path: Path) -> None:
    leaked = {"ended": End.LEAKED, "why": "abandoned", "status": 404}
    shown(chromium, tmp_path, picture(2, 3, **leaked))
    assert facts(chromium) == ""
    chromium.point_at(".bar.bad")
    said = facts(chromium)
    for fact in (
        "GET https://api.example.org/items/10002?q=<b>&token=***",
        "outcome 404",
        "took 10 ms",
        "connection 1, reused",
        "received 12 kB, decoded 48 kB",
        "ended LEAKED: dropped unread",
        "opened at app.py:10002 in load",
    ):
        assert fact in said
    chromium.point_at(".closed")
    assert "closed client closed, after 110 ms" in facts(chromium)
    chromium.press("Escape")
    assert facts(chromium) == ""


def test_keys_walk_through_the_bars(chromium: Browser, tmp_path: Path) -> None:
    shown(chromium, tmp_path, picture(2, 3))
    # One bar is in the order of the Tab key.
    assert chromium.run("return document.querySelectorAll('#chart a[tabindex=\"0\"]').length") == 1
    chromium.run("document.querySelector('#chart a').focus()")
    assert facts(chromium).startswith("connection 1 to https://api.example.org")
    walk = (
        ("Right", "GET https://api.example.org/items/10000"),
        ("Right", "GET https://api.example.org/items/10001"),
        ("Down", "GET https://api.example.org/items/20001"),
        ("Left", "GET https://api.example.org/items/20000"),
        ("End", "connection 2 to https://api.example.org"),
        ("Up", "connection 1 to https://api.example.org"),
        ("Home", "connection 1 to https://api.example.org"),
    )
    for key, beginning in walk:
        chromium.press(key)
        assert facts(chromium).startswith(beginning), key


def test_zoom_widens_the_chart_and_search_thins_it_out(chromium: Browser, tmp_path: Path) -> None:
    shown(chromium, tmp_path, picture(2, 3, error="ReadTimeout", status=None))
    width = "return document.getElementById('plot').clientWidth"
    before = chromium.run(width)
    chromium.click("[aria-label='zoom in']")
    assert chromium.run(width) == 2 * before
    chromium.click("[data-zoom='0']")
    assert chromium.run(width) == before
    rows = "return document.querySelectorAll('tbody tr:not([hidden])').length"
    chromium.click("#problems")
    assert chromium.run(rows) == 1
    assert chromium.run("return document.getElementById('found').textContent") == "1 found"
    chromium.click("#problems")
    chromium.click("#find")
    chromium.press("z")
    assert chromium.run(rows) == 0


def test_a_thousand_requests_stay_usable(chromium: Browser, tmp_path: Path) -> None:
    shown(chromium, tmp_path, picture(10, 100))
    assert chromium.run("return document.querySelectorAll('.bar').length") == 1010
    # Every bar can be seen and hit, however short its request was.
    least = "return Math.min(...[...document.querySelectorAll('.bar')].map(b => b.getBoundingClientRect().width))"
    assert chromium.run(least) >= 3
    chromium.point_at("[href='#e100099']")
    assert "items/100099" in facts(chromium)
    chromium.run("document.querySelector(\"[href='#e10050']\").focus()")
    assert "items/10050" in facts(chromium)
    assert chromium.messages() == []


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_a_phone_and_a_desktop_dark_and_light(
    chromium: Browser, tmp_path: Path, width: int
) -> None:
    colours = set()
    for dark in (False, True):
        shown(chromium, tmp_path, picture(3, 30), width=width, dark=dark)
        page = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert chromium.run(page) == 0
        colours.add(chromium.run("return getComputedStyle(document.body).backgroundColor"))
        for name in ("send", "answer", "body", "dns", "tcp", "tls"):
            assert contrast(chromium, f".legend .{name}") >= 3, (name, dark)
        assert contrast(chromium, ".scale", "color") >= 4.5
    assert len(colours) == 2


def contrast(page: Browser, selector: str, of: str = "backgroundColor") -> float:
    """The ratio of a colour to that of the page (WCAG 2.2, section 1.4.11)."""
    script = """
        const light = text => {
            const [r, g, b] = text.match(/[0-9.]+/g).map(c => c / 255)
                .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const two = [getComputedStyle(document.querySelector(arguments[0]))[arguments[1]],
                     getComputedStyle(document.body).backgroundColor].map(light).sort((a, b) => b - a);
        return (two[0] + 0.05) / (two[1] + 0.05);
    """
    ratio: float = page.run(script, selector, of)
    return ratio


def test_the_page_loads_and_sends_nothing(chromium: Browser, tmp_path: Path) -> None:
    shown(chromium, tmp_path, picture(1, 2))
    loaded = chromium.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert loaded == []
    # What the policy forbids, the browser does not do.
    refused = "return fetch('data:text/plain,x').then(() => 'sent', error => error.name)"
    assert chromium.run(refused) == "TypeError"
    assert any("Content Security Policy" in line for line in chromium.messages())
