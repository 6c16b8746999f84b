"""Three hosts, one Ethernet: what `make demo` shows, and checks while it shows it.

h1 and h3 have no link, only both to h2.  Every pair of containers talks, the relayed ones too; everybody hears a
broadcast and a multicast feed; then a link is cut while another comes up, and a daemon is killed under the feed.
"""
