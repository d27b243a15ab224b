"""A polite crawler: one site, its robots.txt, a few connections, and a pause between requests.

`python examples/crawler.py https://example.org/` prints each page and its status. The frontier
grows as pages come: `outcomes.add` sends what their links name.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.robotparser import RobotFileParser

import adieu

AGENT = "example-crawler/1.0 (+https://example.org/about-our-crawler)"


class Links(HTMLParser):
    """The targets of the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each opening tag."""
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def crawl(
    start: str, *, pages: int = 1000, limit: int = 2, pause: float = 0.5
) -> Iterator[tuple[str, int | adieu.AdieuError]]:
    """Each URL of the site that was asked for, with its status or the error. At most `limit` at a time.

    `pause`: seconds between two requests, unless robots.txt asks for more.
    """
    limits = adieu.Limits(limit)
    with adieu.Client(
        headers={"User-Agent": AGENT},
        limits=limits,
        timeout=adieu.Timeout(total=60),
        retry=2,  # waits as long as a Retry-After says
        max_body=5_000_000,
    ) as client:
        first = adieu.URL(start)
        robots = _robots(client, first)
        wait = max(pause, float(robots.crawl_delay(AGENT) or 0))
        seen = {first}
        with client.map([first], limit=limit) as outcomes:
            for outcome in outcomes:
                if outcome.response is None:
                    assert isinstance(outcome.error, adieu.AdieuError)
                    yield str(outcome.request), outcome.error
                    continue
                response = outcome.response
                yield str(outcome.request), response.status_code
                for url in _links(response):
                    allowed = url.origin == first.origin and robots.can_fetch(AGENT, str(url))
                    if allowed and url not in seen and len(seen) < pages:
                        seen.add(url)
                        outcomes.add(url)
                time.sleep(wait)


def _robots(client: adieu.Client, url: adieu.URL) -> RobotFileParser:
    """What the site allows (RFC 9309): no robots.txt, everything; an error of the server, nothing."""
    rules = RobotFileParser()
    answer = client.get(url.join("/robots.txt"))
    if answer.ok:
        rules.parse(answer.text.splitlines())
    elif answer.status_code < 500:
        rules.parse([])
    else:
        rules.parse(["User-agent: *", "Disallow: /"])
    return rules


def _links(response: adieu.Response) -> Iterator[adieu.URL]:
    if not response.headers.get("content-type", "").startswith("text/html"):
        return
    page = Links()
    page.feed(response.text)
    for target in page.found:
        try:
            yield response.url.join(target).without_fragment()
        except adieu.InvalidURL:
            continue


if __name__ == "__main__":
    for address, result in crawl(sys.argv[1]):
        print(result, address)
