/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Handing frames to this host's own ports. */
#ifndef RIPSTOP_LOCAL_H
#define RIPSTOP_LOCAL_H

#include <linux/if_packet.h>
#include "returns.h"

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
	if (cfg->flags & CONFIG_RETURNS && turn_return(skb))
		return bpf_redirect(cfg->host_port, 0);
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

/* Counts of one frame's copies.  In a map and not on the stack, because the verifier follows stack values through every
 * turn of a loop, and does not come to an end. */
struct tally {
	__u32 ready;	 /* ways to peers found, not yet taken */
	__u32 slow;	 /* peers without */
	__u32 left_out;	 /* peers to which the packet is too large to go */
	__u32 last;	 /* ifindex to which the packet itself is now turned; 0 = nowhere */
	__u32 sent;	 /* copies to peers, those through the companion too */
	__u32 wrapped;	 /* whether the packet has its outer header, but for what differs between copies */
	__u32 port;	 /* ifindex of the port that still waits for its copy; 0 = none */
	__u32 delivered; /* copies to ports, that one among them */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tally);
} tallies SEC(".maps");

static __always_inline struct tally *new_tally(void)
{
	__u32 zero = 0;
	struct tally *tally = bpf_map_lookup_elem(&tallies, &zero);

	if (tally)
		*tally = (struct tally){};
	return tally;
}

/* One walk over the ports: each gets its copy when the next is found, so that the last is known as such. */
struct walk {
	struct __sk_buff *skb;
	struct tally *tally;
	const __u64 *members; /* only these slots, as bits; NULL: all flood ports behind the first few */
	__u32 slots;
	__u32 except;
};

static __always_inline void visit(struct walk *walk, __u32 port)
{
	if (port == walk->except)
		return;
	if (walk->tally->port)
		deliver_copy(walk->skb, walk->tally->port);
	walk->tally->port = port;
	walk->tally->delivered += 1;
}

static long visit_slot(void *map, const __u32 *key, const struct device *device, struct walk *walk)
{
	__u32 slot = *key;

	if (slot >= walk->slots || slot >= MAX_DEVICES)
		return 1;
	if (walk->members) {
		if (device->flags & DEVICE_PORT && walk->members[slot / 64] >> (slot % 64) & 1)
			visit(walk, device->ifindex);
	} else if (slot >= FEW_DEVICES && device->flags & DEVICE_FLOOD) {
		visit(walk, device->ifindex);
	}
	return 0;
}

/*
 * Copy the packet to all flood ports but the last.
 *
 * Before Linux 6.7 the verifier takes a callback as called once.  With `last` known to be 0 before it, it would remove
 * the copying; after the plain calls `last` may be anything.
 */
static __always_inline void copy_to_ports(struct walk *walk)
{
	__u32 slots = walk->slots;

#pragma clang loop unroll(full)
	for (__u32 slot = 0; slot < FEW_DEVICES; slot++) {
		const struct device *device;
		__u32 key = slot;

		if (slot >= slots)
			return;
		device = bpf_map_lookup_elem(&devices, &key);
		if (device && device->flags & DEVICE_FLOOD)
			visit(walk, device->ifindex);
	}
	if (slots > FEW_DEVICES)
		bpf_for_each_map_elem(&devices, visit_slot, walk, 0);
}

/* Copy the packet to the ports whose slots are set in `members`, but to the last. */
static __always_inline void copy_to_slots(struct walk *walk, const __u64 *members)
{
	walk->members = members;
	bpf_for_each_map_elem(&devices, visit_slot, walk, 0);
}

/* Hand the packet to all flood ports. */
static __always_inline int flood_ports(struct __sk_buff *skb, const struct config *cfg)
{
	struct tally *tally = new_tally();
	struct walk walk = { .skb = skb, .tally = tally, .slots = cfg->devices };

	if (!tally)
		return drop(DROP_COPY);
	copy_to_ports(&walk);
	return tally->port ? deliver_last(skb, tally->port) : drop(DROP_NO_RECEIVER);
}

#endif
