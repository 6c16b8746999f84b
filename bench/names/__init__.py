"""How fast names are answered, against dnsmasq with the same names on the same machine."""
