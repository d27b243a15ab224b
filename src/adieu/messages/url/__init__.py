"""URLs and origins: parsed once, normalised, compared by their parts."""

from adieu.messages.url.origin import Origin
from adieu.messages.url.url import URL, parse_url

__all__ = ["URL", "Origin", "parse_url"]
