"""The ground floor: who owns a connection, and how it ends.

Here live the exchange and its lease, the cleanup policies and the body that carries them out, the pool's
bookkeeping, the clocks, and what happened when. What may not live here: HTTP, sockets, sync or async waiting.
"""
