/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The next hop's way over the underlay: asked of the kernel for each packet, so that changes count at once. */
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
 * Find the way to `remote`.
 *
 * Looks up as if the packet came in by the host port: the kernel answers only for a device with forwarding on, and that
 * one is ours to configure.
 */
static __always_inline enum reach resolve(struct __sk_buff *skb, const struct config *cfg, __be32 remote, __be32 local,
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
	if (result == BPF_FIB_LKUP_RET_SUCCESS && mac_number(way->macs))
		return REACH_READY;
	if (result == BPF_FIB_LKUP_RET_NO_NEIGH || result == BPF_FIB_LKUP_RET_SUCCESS)
		return REACH_NEIGHBOR;
	return result == BPF_FIB_LKUP_RET_FRAG_NEEDED ? REACH_TOO_BIG : REACH_SLOW;
}

/* The same for a hop of a table. */
static __always_inline enum reach resolve_hop(struct __sk_buff *skb, const struct config *cfg, const struct hop *hop,
					      const struct frame *frame, struct way *way)
{
	if (frame->size > hop->mtu)
		return REACH_TOO_BIG;
	if (!frame->fast || !(hop->flags & HOP_FAST))
		return REACH_SLOW;
	return resolve(skb, cfg, hop->remote, hop->local, frame->size, way);
}

#endif
