"""The campaign against the promise; `__main__` is where to begin."""
