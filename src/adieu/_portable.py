"""What can be pickled and what cannot, said in words: `pickle` itself names a type, and never whose setting it is."""

from __future__ import annotations

__all__ = ["portable"]

_SAID = "cannot be pickled"


def portable(what: str, value: object, instead: str) -> None:
    """Raise `TypeError` unless this can be pickled: `what` it is, and what to give `instead`."""
    import pickle

    try:
        pickle.dumps(value)
    except Exception as error:
        text = str(error)
        if _SAID not in text:  # By one of us, who knows better what it was.
            text = f"{text}; {instead}"
        raise TypeError(f"{what} {_SAID}: {text}") from error
