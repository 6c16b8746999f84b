/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Handing to the daemon what tells who wants which groups: IGMP, MLD and PIM. */
#ifndef RIPSTOP_SNOOP_H
#define RIPSTOP_SNOOP_H

#include "fdb.h"
#include "frame.h"

struct allowance {
	__u64 tick; /* number of the SNOOP_TICK that it is for */
	__u32 used;
	__u32 unused;
};

/* Programs write and read.  Key: ifindex.  LRU, so that ports that are gone need no one to tidy up; larger than there are
 * ports, as an LRU may let go of what is in use when it is nearly full. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4 * MAX_DEVICES);
	__type(key, __u32);
	__type(value, struct allowance);
} allowances SEC(".maps");

static __always_inline bool may_snoop(__u32 ifindex, const struct moment *now)
{
	struct allowance fresh = { .tick = now->tick / SNOOP_TICK, .used = 1 };
	struct allowance *left = bpf_map_lookup_elem(&allowances, &ifindex);

	if (!left || left->tick != fresh.tick) {
		bpf_map_update_elem(&allowances, &ifindex, &fresh, BPF_ANY);
		return true;
	}
	return __sync_fetch_and_add(&left->used, 1) < SNOOPS_PER_TICK;
}

/* A function of its own, so that the compiler keeps the struct's type for kernel/abi.py's test. */
static __noinline void fill_snoop(struct snoop *snoop, __u32 ifindex, __u32 length)
{
	snoop->ifindex = ifindex;
	snoop->length = length;
}

/* Hand the packet over in a record for frames of at most `room` bytes: a constant, as the ring wants it. */
static __always_inline enum drop_reason hand_over_in(struct __sk_buff *skb, __u32 length, const __u32 room)
{
	struct snoop *snoop = bpf_ringbuf_reserve(&snoops, sizeof(*snoop) + room, 0);

	if (!snoop)
		return DROP_SNOOP_RING;
	fill_snoop(snoop, skb->ifindex, length);
	if (bpf_skb_load_bytes(skb, 0, snoop->frame, length)) {
		bpf_ringbuf_discard(snoop, 0);
		return DROP_SHORT_FRAME;
	}
	bpf_ringbuf_submit(snoop, 0);
	return DROP_REASONS;
}

/*
 * Hand a frame of a port to the daemon, whole; returns why that was not possible, or DROP_REASONS.
 *
 * What cannot be handed over must go no further: others would act on what we do not know.
 */
static __always_inline enum drop_reason hand_over(struct __sk_buff *skb, const struct moment *now)
{
	__u32 length = skb->len;

	if (length < ETH_HLEN)
		return DROP_SHORT_FRAME;
	if (!may_snoop(skb->ifindex, now))
		return DROP_SNOOP_RATE;
	if (length <= SNOOP_FRAME)
		return hand_over_in(skb, length, SNOOP_FRAME);
	if (length <= SNOOP_JUMBO)
		return hand_over_in(skb, length, SNOOP_JUMBO);
	return DROP_TOO_BIG;
}

#endif
