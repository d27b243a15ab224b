"""Proxies: where one is, what it is told, and which one the environment names."""
