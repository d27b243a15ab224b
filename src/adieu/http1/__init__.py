"""One HTTP/1.1 engine over any wire: framing, reuse, strictness, surplus bytes, 1xx, upgrades.

Adapters stand on it; `import adieu` never loads it. It knows the floors below, and nothing of clients, redirects,
cookies or retries.
"""
