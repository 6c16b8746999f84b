"""Who wants which multicast group, and from which sources.

Hosts behind a port say it with IGMP or MLD, and are asked again and again, so that a word lost does no lasting harm.
`Snooper` keeps what they said, per port: the router side of RFC 3376 and RFC 3810, done once for both, as they have
the same tables.  It owns a `Port` each, which owns a `Querier` per family and a `Group` per group; all of them take
the time as an argument and return what is to be sent.  `Interest` keeps what the peers of the mesh say to each other:
per group one filter, which is all that the hosts of a peer want together.
"""
