"""requests over adieu, and adieu over requests.

`AdieuAdapter` is mounted on a `requests.Session` and sends its requests over any adapter of adieu. `RequestsAdapter` is
the opposite: any adapter written for requests, as an adapter of adieu. docs/bridges.md says what is mapped to what.
"""

from adieu import MissingExtra

try:
    import requests  # noqa: F401 - to say which extra is missing
except ImportError as error:
    raise MissingExtra("adieu_requests needs requests: pip install 'adieu[requests]'") from error

from adieu_requests.over_adieu import AdieuAdapter
from adieu_requests.over_requests import RequestsAdapter

__all__ = ["AdieuAdapter", "RequestsAdapter"]
