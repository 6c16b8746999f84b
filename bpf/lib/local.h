/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Handing frames to this host's own ports. */
#ifndef RIPSTOP_LOCAL_H
#define RIPSTOP_LOCAL_H

#include <linux/if_packet.h>
#include "frame.h"

/*
 * Hand the packet to the one port that it is meant for.
 *
 * bpf_redirect_peer spares a container the trip over its veth pair, but nothing then reads the packet's type again, and
 * since Linux 6.16 it says "to this host" whatever was set.
 */
static __always_inline int deliver(struct __sk_buff *skb, const struct config *cfg, __u32 port)
{
	count(skb, COUNT_DELIVERED);
	if (port == cfg->host_port)
		return bpf_redirect(port, 0);
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	return bpf_redirect_peer(port, 0);
}

/*
 * Hand the packet to the last port of a flood.
 *
 * Groups, and unknown unicast (is the MAC the container's own?), go over the device, which tells them apart.  Groups are
 * no slower for it: only with the right type does the kernel find a socket without asking for a route.
 */
static __always_inline int deliver_last(struct __sk_buff *skb, __u32 port)
{
	count(skb, COUNT_DELIVERED);
	return bpf_redirect(port, 0);
}

static __always_inline void deliver_copy(struct __sk_buff *skb, __u32 port)
{
	count(skb, COUNT_DELIVERED);
	if (bpf_clone_redirect(skb, port, 0) < 0)
		count_drop(DROP_COPY);
}

#define FEW_DEVICES 8 /* slots visited by plain calls: through bpf_for_each_map_elem each costs as much as three lookups */

/* One walk over the ports: each gets its copy when the next is found, so that the last is known as such. */
struct walk {
	struct __sk_buff *skb;
	__u32 first; /* slots before it were visited already */
	__u32 slots;
	__u32 except;
	__u32 last;
};

static long visit_port(void *map, const __u32 *slot, const struct device *device, struct walk *walk)
{
	if (*slot >= walk->slots)
		return 1;
	if (*slot < walk->first || !(device->flags & DEVICE_FLOOD) || device->ifindex == walk->except)
		return 0;
	if (walk->last)
		deliver_copy(walk->skb, walk->last);
	walk->last = device->ifindex;
	return 0;
}

/*
 * Copy the packet to all flood ports but `except` and the last; return the last one's ifindex, or 0 without any.
 *
 * Before Linux 6.7 the verifier takes a callback as called once.  With `last` known to be 0 before it, it would remove
 * the copying; after the plain calls `last` may be anything.
 */
static __always_inline __u32 copy_to_ports(struct __sk_buff *skb, const struct config *cfg, __u32 except)
{
	struct walk walk = { .skb = skb, .slots = cfg->devices, .except = except };

#pragma clang loop unroll(full)
	for (__u32 slot = 0; slot < FEW_DEVICES; slot++) {
		__u32 key = slot;
		const struct device *device = bpf_map_lookup_elem(&devices, &key);

		if (!device || visit_port(NULL, &key, device, &walk))
			return walk.last;
	}
	walk.first = FEW_DEVICES;
	bpf_for_each_map_elem(&devices, visit_port, &walk, 0);
	return walk.last;
}

/* Hand the packet to all flood ports but `except`. */
static __always_inline int flood_ports(struct __sk_buff *skb, const struct config *cfg, __u32 except)
{
	__u32 last = copy_to_ports(skb, cfg, except);

	return last ? deliver_last(skb, last) : drop(DROP_NO_RECEIVER);
}

#endif
