"""The name server: a process of its own, so that a flood of questions slows nothing but itself.

It knows what the daemon told it (`feed`), answers for its own domain and the overlay's reverse names (`zone`), and asks
the host's resolvers for everything else (`forwarding`).  `fast` answers what was asked before without making the
answer again.  It imports neither asyncio nor aiohttp: one small loop (`loop`) is all it runs on.
"""
