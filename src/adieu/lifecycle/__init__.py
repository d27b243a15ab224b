"""The lowest layer: what owns a connection, and how it ends.

It holds the exchange and its lease, the cleanup policies and the body that carries them out, the pool's bookkeeping,
the clocks and the events. It knows no HTTP, opens no sockets, and does not wait.
"""
