"""Many requests over one client, a bounded number at a time: `Client.map()` and `AsyncClient.map()`.

Both give an `outcome` for each request. `sync_map` and `async_map` are the iterators. The requests of a sync map are
sent by the workers of `on_threads` or `on_executor`, each as a `job`; those of an async map by the tasks of
`on_asyncio` or `on_trio`.
"""
