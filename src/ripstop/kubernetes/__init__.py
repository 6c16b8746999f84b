"""Ripstop as the network of a Kubernetes cluster: what the API server knows, brought to the daemon, and back.

Two programs run in each pod of the DaemonSet. The *launcher* (`launcher.py`) finds out which flags this node's daemon
gets and becomes the daemon. The *agent* (`agent.py`) follows the Node objects and sees to it that the daemon dials all
nodes, that the host has an overlay address, that the Node says that its network is there, and that what deleted nodes
owned is taken back. The daemon knows nothing of Kubernetes, and forwards, allocates and restarts without an API server.

All deciding is in `cluster.py` (events in, actions out, no I/O) and `plan.py`; `api.py` speaks to the API server.

A node's peer is named after the UID of its Node object, so a node that is made again under an old name is a new peer.
For each peer there is a Lease in the API, made before its daemon starts for the first time and owned by nobody: it says
"this peer may own addresses" for as long as that is so. A Lease whose node is gone is therefore work to do, for whoever
is there, whenever that was; taking the Lease says who does it, and deleting it that it is done.
"""
