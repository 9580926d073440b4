"""The demonstration: a private ZooKeeper, three candidates, real faults, and a picture of who led when.

Only this package starts servers and breaks networks, and only those that it made itself.  ``timeline`` is pure.
"""
