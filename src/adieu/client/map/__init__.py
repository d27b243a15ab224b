"""Many requests over one client, a bounded number at a time: `Client.map()` and `AsyncClient.map()`.

Both give an `outcome` for each request. `sync_map` and `async_map` are the iterators; the crews that carry their
requests are `on_threads` and `on_executor`, `on_asyncio` and `on_trio`. An `job` is what a thread or another process
needs to know to carry one.
"""
