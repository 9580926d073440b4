"""Everything that talks to ZooKeeper: the only package that imports kazoo, and no kazoo exception leaves it."""
