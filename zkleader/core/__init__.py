"""The pure core: decisions as functions of state, event and time.

Nothing in this package reads a clock, does I/O, starts a thread or logs; it imports the standard library and itself.
"""
