"""Run a command on one host of many: the one that ZooKeeper elected.

The guard imports this package, so nothing is imported here.
"""

__version__ = "0.1.0"
