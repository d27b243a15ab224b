"""How bytes are opened and moved: wires, streams, TLS, proxies, and the asyncio and trio back ends."""
