"""Linux: namespaces, links, tc, eBPF maps.  The only package that talks to the kernel."""
