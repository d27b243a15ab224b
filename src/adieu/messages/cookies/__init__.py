"""Cookies: what a server sets, the jar that keeps it, and the file it is saved to (RFC 6265bis)."""
