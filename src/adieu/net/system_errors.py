"""The text of an error for a message: that of the system, where the error has one."""

from __future__ import annotations

__all__ = ["reason"]


def reason(error: Exception) -> str:
    """The system's text without its number ("Connection refused"); of another error its own text."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
