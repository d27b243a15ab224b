"""The clients: settings, the steps of a call, and the thin sync and async drivers."""
