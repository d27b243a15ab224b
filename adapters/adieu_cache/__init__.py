"""An HTTP cache around any adapter (RFC 9111), private or shared, over the storages of hishel.

Theory of operation. `rules`, `freshness`, `validation` and `ranges` are pure: from header fields and a time to a
decision. `flow` is the algorithm, written once as steps: look up, answer, ask the server whether a stored response is
still good, store. `stores` reaches a storage, which may be broken: then there is no stored response, and the request
goes on. What is stored is a whole body that has come to its end, never a part of one.
"""

from adieu.errors import MissingExtra

try:
    import hishel as _hishel
except ImportError as error:
    raise MissingExtra("adieu_cache needs hishel: pip install 'adieu[cache]'") from error

from adieu_cache.adapter import AsyncCacheAdapter, CacheAdapter
from adieu_cache.facts import CacheFacts
from adieu_cache.files import FileStorage
from adieu_cache.memory import MemoryStorage

__all__ = ["AsyncCacheAdapter", "CacheAdapter", "CacheFacts", "FileStorage", "MemoryStorage"]

del _hishel
