"""The benchmark; `__main__` is where to begin."""
