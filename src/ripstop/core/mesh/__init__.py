"""Who is there, who reaches whom, and how word of it spreads.

Three things are kept apart: *membership* (one record per peer), *control connections* (TCP, carrying gossip)
and *paths* (probed on the data path itself, every pair).  All replicated state, whatever its subject, lives in
one `Replica`: entries with one writer each, merged by version.
"""
