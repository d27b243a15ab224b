"""The check that a setting can be pickled. The error of `pickle` names a type, but not the setting that holds it."""

from __future__ import annotations

__all__ = ["portable"]

_REFUSAL = "cannot be pickled"


def portable(name: str, value: object, instead: str) -> None:
    """Raise `TypeError` if the value cannot be pickled: its `name` in the text, and what to give `instead`."""
    import pickle

    try:
        pickle.dumps(value)
    except Exception as error:
        text = str(error)
        if _REFUSAL not in text:  # else it is an error of this function, with a better hint
            text = f"{text}; {instead}"
        raise TypeError(f"{name} {_REFUSAL}: {text}") from error
