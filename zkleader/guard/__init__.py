"""The guard: the process that parents the command and enforces the deadline.

The only package that forks, signals, and touches cgroups.  It imports the standard library and ``zkleader.core``.
"""
