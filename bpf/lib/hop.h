/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The next hop's way over the underlay, as the kernel's routes and neighbours have it. */
#ifndef RIPSTOP_HOP_H
#define RIPSTOP_HOP_H

#include <linux/in.h>
#include "vxlan.h"

#define AF_INET 2

enum reach {
	REACH_READY,	/* way is complete */
	REACH_NEIGHBOR, /* way lacks the MACs: the kernel must ask for them first */
	REACH_SLOW,	/* the kernel must do it all: companion */
	REACH_TOO_BIG,
};

/*
 * Ask the kernel for the way to `remote`.
 *
 * As if the packet came in by the host port: the kernel answers only for a device with forwarding on, and that one is
 * ours to configure.
 */
static __always_inline enum reach look_up(struct __sk_buff *skb, const struct config *cfg, __be32 remote, __be32 local,
					  __u32 size, struct way *way)
{
	struct bpf_fib_lookup fib = {
		.family = AF_INET,
		.l4_protocol = IPPROTO_UDP,
		.dport = cfg->port,
		.tot_len = size + OVERHEAD,
		.ifindex = cfg->host_port,
		.ipv4_src = local,
		.ipv4_dst = remote,
	};
	long result = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);

	way->ifindex = fib.ifindex;
	way->remote = remote;
	way->local = local;
	__builtin_memcpy(way->macs, fib.dmac, ETH_ALEN);
	__builtin_memcpy(way->macs + ETH_ALEN, fib.smac, ETH_ALEN);
	if (result == BPF_FIB_LKUP_RET_SUCCESS)
		return mac_number(way->macs) ? REACH_READY : REACH_NEIGHBOR;
	if (result == BPF_FIB_LKUP_RET_NO_NEIGH)
		return REACH_NEIGHBOR;
	return result == BPF_FIB_LKUP_RET_FRAG_NEEDED ? REACH_TOO_BIG : REACH_SLOW;
}

#define KNOWN_WAYS 64 /* a power of two */

/* Programs write and read: ways found lately.  Per CPU, so that none meets what another is writing. */
struct known_way {
	__u64 tick;
	__u32 size; /* of the largest frame that passed */
	struct way way;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KNOWN_WAYS);
	__type(key, __u32);
	__type(value, struct known_way);
} known_ways SEC(".maps");

/* Find the way to `remote`.  An answer is believed for one tick of the coarse clock (10 ms at most), as asking is what
 * costs most: a changed route or neighbour counts from the next tick on. */
static __always_inline enum reach resolve(struct __sk_buff *skb, const struct config *cfg, __be32 remote, __be32 local,
					  __u32 size, struct way *way)
{
	__u32 slot = bpf_ntohl(remote) % KNOWN_WAYS;
	struct known_way *known = bpf_map_lookup_elem(&known_ways, &slot);
	__u64 tick = bpf_ktime_get_coarse_ns();
	enum reach reach;

	if (!known)
		return REACH_SLOW;
	if (known->tick == tick && known->way.remote == remote && known->way.local == local && size <= known->size) {
		*way = known->way;
		return REACH_READY;
	}
	reach = look_up(skb, cfg, remote, local, size, way);
	if (reach == REACH_READY) {
		known->tick = tick;
		known->size = size;
		known->way = *way;
	}
	return reach;
}

/* The same for a hop of a table; the addresses of `way` are set whatever comes of it. */
static __always_inline enum reach resolve_hop(struct __sk_buff *skb, const struct config *cfg, const struct hop *hop,
					      const struct frame *frame, struct way *way)
{
	way->remote = hop->remote;
	way->local = hop->local;
	if (frame->size > hop->mtu)
		return REACH_TOO_BIG;
	if (!frame->fast || !(hop->flags & HOP_FAST))
		return REACH_SLOW;
	return resolve(skb, cfg, hop->remote, hop->local, frame->size, way);
}

#endif
