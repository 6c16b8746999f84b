"""The pure core: state machines that take events and a clock reading and return effects.

Nothing in here opens a socket, reads a clock, logs or knows asyncio, so whole networks of it run in one
process under a simulated clock and a seed (`ripstop.sim`).  The shells in `daemon`, `kernel`, `transport`
and `store` bring events in and perform effects.
"""
