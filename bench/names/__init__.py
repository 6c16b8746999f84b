"""Names: how fast they are answered, against dnsmasq, how soon a change is, and what very many of them weigh."""
