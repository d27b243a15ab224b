"""The skeleton of an SDK: a token that is refreshed, pages, errors and a client of one's own.

```python
with Shop("https://shop.example.org", key="...") as shop:
    for item in shop.items(colour="blue"):
        print(item["name"])
```
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import adieu

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["NotFound", "Shop", "ShopError"]


class ShopError(Exception):
    """The shop did not do what was asked. `__cause__` is adieu's error, with the facts."""


class NotFound(ShopError):
    """There is no such item."""


class Token(adieu.Auth):
    """Sends a token, and fetches a new one when the server refuses it. Threads may share it."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._token = ""
        self._lock = threading.Lock()

    def flow(self, request: adieu.Request) -> Generator[Any, Any, None]:
        """One call: the request, and once more with a new token after a 401."""
        used = self._token
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code != 401:
            return
        if self._token == used:  # Another thread may have fetched one meanwhile.
            where = request.url.join("/token")
            answer = yield adieu.Request("POST", where, data={"key": self._key})
            answer = yield answer  # The same, with its body read.
            with self._lock:
                self._token = answer.raise_for_status().json()["token"]
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class Shop:
    """A client of the shop. `client`: one of your own, such as one with a mock, which you close."""

    def __init__(self, url: str, *, key: str = "", client: adieu.Client | None = None) -> None:
        self._owned = client is None
        self._client = client or adieu.Client(
            url,
            auth=Token(key),
            headers={"accept": "application/json"},
            timeout=adieu.Timeout(read=10, total=30),
            retry=2,
        )

    def item(self, number: int) -> dict[str, Any]:
        """One item. Raises `NotFound`."""
        item: dict[str, Any] = self._call("GET", f"/items/{number}").json()
        return item

    def add(self, name: str) -> dict[str, Any]:
        """A new item. The key makes it safe to send the request again."""
        made: dict[str, Any] = self._call(
            "POST", "/items", json={"name": name}, headers={"Idempotency-Key": name}
        ).json()
        return made

    def items(self, **filters: str) -> Iterator[dict[str, Any]]:
        """All items, page by page, as the server links them (RFC 8288)."""
        url: adieu.URL | str = "/items"
        params: dict[str, str] | None = filters
        while True:
            response = self._call("GET", url, params=params)
            yield from response.json()
            following = response.links.get("next")
            if following is None:
                return
            url, params = following.url, None

    def _call(self, method: str, url: adieu.URL | str, **options: Any) -> adieu.Response:
        try:
            return self._client.request(method, url, **options).raise_for_status()
        except adieu.StatusError as error:
            if error.status_code == 404:
                raise NotFound(f"{method} {url}: there is no such thing") from error
            raise ShopError(str(error)) from error
        except adieu.TransportError as error:
            raise ShopError(f"the shop cannot be reached: {error}") from error

    def close(self) -> None:
        """Close the connections, if the client is the SDK's own."""
        if self._owned:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
