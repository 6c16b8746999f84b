/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Structs and numbers shared with user space; kernel/abi.py mirrors them and a test compares the two. */
#ifndef RIPSTOP_ABI_H
#define RIPSTOP_ABI_H

#include <linux/types.h>

#define MAX_FDB      65536 /* MAC addresses */
#define MAX_DEVICES  1024  /* ports, underlay NICs and the companion together */
#define MAX_PEERS    4096
#define MAX_VTEPS    16384 /* outer addresses of all peers */
#define MAX_CHILDREN 64    /* of one peer in one tree */
#define MAX_GROUPS   131072 /* (any, group) and (source, group) alike */
#define MAX_BRANCHES 262144
#define MAX_STREAMS  16384
#define MAX_RETURNS  65536 /* flows that the host forwards for containers */
#define MAX_TAILS    1024 /* streams of which a CPU remembers the audience */
#define UPCALL_BYTES (1 << 18)
#define SNOOP_BYTES  (1 << 20)
#define UPCALL_FRAME 256 /* bytes of a frame that an upcall carries */

#define FEW_RECEIVERS	8    /* of a group among our own ports, that are listed */
#define SNOOP_FRAME	512  /* bytes of the frames that take the small record */
#define SNOOP_JUMBO	9216 /* and of the largest ones that can be handed over */
#define SNOOPS_PER_TICK 200  /* of one port */
#define SNOOP_TICK	100000000ULL /* ns */

#define GUARDED_V4 16 /* IPv4 addresses that a guarded port may use */
#define GUARDED_V6 8  /* IPv6 addresses, its link-local one among them */

/* The daemon's own frames: locally administered, so no container has it by default. */
#define PROBE_MAC { 0x02, 0x72, 0x69, 0x70, 0x50, 0x42 }

enum config_flags {
	CONFIG_SNOOPING = 1,	  /* groups go to their members; without it they flood */
	CONFIG_FLOOD_UNKNOWN = 2, /* a group that nobody joined anywhere floods instead of being dropped */
	CONFIG_RETURNS = 4,	  /* the host forwards for containers: see lib/returns.h */
};

struct config {
	__u64 max_age;    /* ns after which a MAC that was not seen is forgotten */
	__u64 generation; /* grows with every change of the daemon's: decisions of before are void */
	__u32 companion;  /* ifindex of the VXLAN device; 0 = none */
	__u32 host_port;  /* ifindex of the port to the host's own stack; 0 = none */
	__u32 devices;    /* slots of `devices` that may be in use */
	__be16 port;	  /* UDP port of VXLAN */
	__u16 own;	  /* our short id; 0 = none yet */
	enum config_flags flags;
	__u32 unused;
};

enum device_flags {
	DEVICE_PORT = 1,      /* a container's, or with DEVICE_HOST the host's own */
	DEVICE_HOST = 2,      /* its other end is in our namespace: redirect_peer is illegal */
	DEVICE_UNDERLAY = 4,  /* a NIC of the host */
	DEVICE_COMPANION = 8, /* the VXLAN device */
	DEVICE_FLOOD = 16,    /* a port that gets copies of floods */
	DEVICE_GUARDED = 32,  /* a port that runs from_guarded and has an element in `guards` */
};

struct device {
	__u32 ifindex; /* 0 = free slot */
	enum device_flags flags;
};

struct fdb_value {
	__u64 seen;    /* ns, CLOCK_MONOTONIC; at most two seconds stale */
	__u32 ifindex; /* local port, or 0 */
	__u16 peer;    /* remote peer, or 0; exactly one of the two is set */
	__u16 unused;
};

enum hop_flags {
	HOP_FAST = 1, /* the fast path may be used; without it all goes through the companion */
};

struct hop {
	__be32 remote; /* outer destination */
	__be32 local;  /* outer source */
	__u16 peer;    /* whose address `remote` is */
	__u16 mtu;     /* bytes, the largest IP packet inside */
	enum hop_flags flags;
};

struct tree {
	__u16 parent; /* the peer whose copies we take; 0 where we are the source */
	__u16 count;  /* children in use */
	__u32 mark;   /* tells which children, in which order: what a branch was made for */
	struct hop children[MAX_CHILDREN];
};

/* Packets of one source to one group.  Network order, IPv4 as ::ffff:a.b.c.d; source zero = any source; all zero = what
 * is for multicast routers alone. */
struct group_key {
	__u8 group[16];
	__u8 source[16];
} __attribute__((aligned(4)));

enum group_flags {
	GROUP_SOURCES = 1, /* somebody tells sources apart: an entry of group and source goes before this one */
};

/* Our own ports that get a group's packets. */
struct receivers {
	__u32 count;
	enum group_flags flags;
	__u32 ports[FEW_RECEIVERS];	/* ifindexes, if there are no more than that */
	__u64 slots[MAX_DEVICES / 64]; /* if there are: bits, by slot of `devices` */
};

struct branch_key {
	struct group_key stream;
	__u32 peer; /* the packets' source; our own id for what our ports send */
};

/* The children that get a group's packets. */
struct branch {
	__u64 children; /* bits, by place in the peer's tree */
	__u32 mark;	/* the tree's; if it has another, all its children get them */
	enum group_flags flags;
};

/* Packets of a stream and where they come in: by a port, or from a peer. */
struct stream_key {
	struct group_key stream;
	__u32 ifindex;
	__u32 peer;
};

struct stream {
	__u64 packets;
	__u64 bytes;
	__u64 delivered; /* copies to our own ports */
	__u64 sent;	 /* copies to peers */
	__u64 dropped;	 /* packets that nobody got */
	__u64 seen;	 /* ns, the coarse clock */
};

/* What a CPU has counted of a stream and not yet added to it. */
struct tail {
	struct stream_key key;
	struct stream counted;
};

/* A flow's way back: what answers have as their source and target. */
struct return_key {
	__be32 source;
	__be32 target;
	__be16 source_port; /* of a later fragment, the datagram's id */
	__be16 target_port;
	__u32 protocol;
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

/* Frames that crossed the underlay; a GSO frame counts once. */
enum counter_class {
	COUNT_SENT_FAST,
	COUNT_SENT_COMPANION,
	COUNT_RECEIVED_FAST,
	COUNT_RECEIVED_COMPANION,
	COUNT_RELAYED_FAST,
	COUNT_RELAYED_COMPANION,
	COUNT_FLOOD_COPIES, /* sent or relayed ones that were copies along a tree */
	COUNT_DELIVERED,    /* to local ports */
	COUNT_CLASSES,
};

/* Why a frame went no further.  Numbers are never used twice; names are what `status` shows. */
enum drop_reason {
	DROP_SHORT_FRAME,    /* no whole Ethernet header */
	DROP_BAD_SOURCE,     /* source MAC is a group address or zero */
	DROP_RESERVED_MAC,   /* 01:80:c2:00:00:0x never passes a switch */
	DROP_FORGED_PROBE,   /* only the host port may send to PROBE_MAC */
	DROP_HAIRPIN,        /* destination is behind the port it came from */
	DROP_NO_ROUTE,       /* no way to the destination peer */
	DROP_NO_RECEIVER,    /* a flood with nobody to take it */
	DROP_TOO_BIG,        /* larger than the path's MTU */
	DROP_STRANGER,       /* outer source is no peer's address */
	DROP_BAD_HEADER,     /* not the VXLAN header that peers write */
	DROP_LOOP,           /* our own frame came back */
	DROP_WRONG_PARENT,   /* a flood from another peer than its tree says */
	DROP_TTL,            /* relayed too often */
	DROP_MISDIRECTED,    /* sent to us, but its MAC lives on another peer */
	DROP_NO_UNDERLAY,    /* the host's own routing has no way to the next hop */
	DROP_NO_COMPANION,   /* needs the VXLAN device, which is missing */
	DROP_ENCAPSULATE,    /* the kernel refused to make room for the outer header */
	DROP_STRIP,          /* the kernel refused to take the outer header off */
	DROP_COPY,           /* a copy for one receiver could not be made */
	DROP_UPCALL,         /* the daemon does not keep up with probes */
	DROP_NO_MEMBER,	     /* to a group that nobody joined */
	DROP_SNOOP_RATE,     /* more membership messages than a port may send */
	DROP_SNOOP_RING,     /* the daemon does not keep up with membership messages */
	/* of guarded ports alone */
	DROP_NO_GUARD,	      /* what the port may send is not known */
	DROP_SPOOFED_MAC,     /* Ethernet source is not the port's */
	DROP_SPOOFED_IP,      /* IP source is not the port's */
	DROP_SPOOFED_ARP,     /* ARP that claims what is not the port's */
	DROP_SPOOFED_ND,      /* neighbor discovery that does */
	DROP_ROGUE_ROUTER,    /* a router advertisement */
	DROP_ROGUE_REDIRECT,  /* an ICMP redirect */
	DROP_ROGUE_DHCP,      /* what only a DHCP server sends */
	DROP_UNGUARDED_TYPE,  /* an EtherType or a VLAN tag behind which nothing is looked at */
	DROP_HIDDEN_HEADER,   /* headers that are malformed, or more than are looked through */
	DROP_MULTICAST_OFF,   /* to a group, or about groups, of a port that has none */
	DROP_REASONS,
};

#define GUARD_REASONS (DROP_REASONS - DROP_NO_GUARD)

/* What a guarded port is kept from. */
enum guard_flags {
	GUARD_MAC = 1,	  /* other Ethernet sources than its own */
	GUARD_IP = 2,	  /* other IP sources, and claims in ARP and neighbor discovery */
	GUARD_ROUTER = 4, /* router advertisements and redirects */
	GUARD_DHCP = 8,	  /* acting as a DHCP server */
	GUARD_MULTICAST = 16, /* all groups but those that stay on the link */
};

/* What a guarded port is. */
struct guard {
	__u64 mac; /* as mac_number has it */
	enum guard_flags flags;
	__u32 unused;
	__be32 v4[GUARDED_V4];	      /* its addresses; 0 = free place */
	__u8 v6[GUARDED_V6][16];      /* the same */
	__u64 stopped[GUARD_REASONS]; /* frames, by drop reason */
};

struct upcall {
	__be32 remote; /* outer source */
	__be32 local;  /* outer destination; 0 where the kernel does not tell */
	__u32 length;  /* bytes of `frame` in use */
	__u32 unused;
	__u8 frame[UPCALL_FRAME];
};

/* A frame that tells who wants which groups, whole. */
struct snoop {
	__u32 ifindex; /* the port it came in by */
	__u32 length;  /* bytes of `frame` in use */
	__u8 frame[];
};

#endif
