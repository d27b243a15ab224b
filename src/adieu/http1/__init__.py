"""One HTTP/1.1 engine over any wire: framing, reuse, strictness, surplus bytes, 1xx, upgrades.

Adapters use it; `import adieu` never loads it. It uses the layers below, and knows nothing of clients, redirects,
cookies or retries.
"""
