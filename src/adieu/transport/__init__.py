"""The adapter contract: what sends a request, and where it is mounted.

An adapter sends one request over some transport and answers with a response (`adapter`, `exchange`). Mounts choose an
adapter, and perhaps a cleanup policy, by the parts of a URL (`mounts`); adapters are found by name when they are first
used (`registry`). Routes choose a proxy (`routes`), guards refuse addresses (`guard`), and `to_async` makes an async
adapter of a sync one. No HTTP is spoken here: that is `adieu.http1`.
"""
