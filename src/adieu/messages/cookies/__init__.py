"""Cookies (RFC 6265bis): parsing Set-Cookie fields, the jar that keeps the cookies, and its file."""
