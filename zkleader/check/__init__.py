"""``zkleader check``: a rehearsal of what ``run`` would need on this host, of which nothing is left."""
