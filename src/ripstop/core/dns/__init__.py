"""Which names containers have, on all hosts.

Each peer says which names its own containers have, and no other does.  Its names are spread over shards, and a shard
is one replicated entry, which its peer writes whole.  So a name that comes or goes is one small entry, there are never
more entries than shards, and what is gone leaves no tombstone behind.  Versions are counts: no clock is compared with
another.  `Ours` keeps our own names and writes their shards; `Table` keeps those of all peers by name; `Dns` ties the
two to the mesh and says what the name server must know.  It is told only what differs, a slice at a time.
"""
