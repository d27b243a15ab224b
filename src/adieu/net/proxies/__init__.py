"""Proxies: as a value, in the environment, and the SOCKS protocols."""
