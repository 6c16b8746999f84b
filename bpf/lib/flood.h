/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Copies along a tree.  Two passes: the first finds each child's way, and copies through the companion where there is
 * no fast one; the second wraps the frame once and turns its outer header from child to child. */
#ifndef RIPSTOP_FLOOD_H
#define RIPSTOP_FLOOD_H

#include "members.h"
#include "send.h"

/* From the first pass to the second, on one CPU.  Programs do not interrupt each other: all run with softirqs off. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_CHILDREN);
	__type(key, __u32);
	__type(value, struct way);
} ways SEC(".maps");

/* The outer header that is turned from child to child.  Here and not on the stack, which is full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct outer);
} outers SEC(".maps");

struct flood {
	struct __sk_buff *skb;
	const struct config *cfg;
	const struct tree *tree;
	const struct frame *frame;
	struct label label;
	struct tally *tally;
	__u64 children; /* that get copies: bits, by place in the tree */
	__u32 first;	/* children before it were seen to already */
	bool companion; /* copy through the companion in the first pass */
	bool keep;	/* copy to the last child too: the packet itself has further to go */
	struct outer *outer;
	const struct trail *trail; /* where known ways are; NULL: in `ways` */
};

static __always_inline struct outer *outer_slot(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&outers, &zero);
}

static __always_inline void copy_companion(const struct flood *flood, __be32 remote, __be32 local)
{
	const struct label *label = &flood->label;
	struct __sk_buff *skb = flood->skb;

	if (!flood->cfg->companion) {
		count_drop(DROP_NO_COMPANION);
		return;
	}
	count_out(skb, label->relayed, false);
	count(skb, COUNT_FLOOD_COPIES);
	if (address(skb, remote, local, label->vni, label->destination, label->ttl) ||
	    bpf_clone_redirect(skb, flood->cfg->companion, 0) < 0)
		count_drop(DROP_COPY);
}

static long find_way(void *map, const __u32 *index, struct way *way, struct flood *flood)
{
	const struct tree *tree = flood->tree;
	const struct hop *child;
	__u32 i = *index;

	if (!tree || i >= tree->count || i >= MAX_CHILDREN)
		return 1;
	if (i < flood->first)
		return 0;
	if (!(flood->children >> i & 1)) {
		way->ifindex = 0;
		return 0;
	}
	child = &tree->children[i];
	switch (resolve_hop(flood->skb, flood->cfg, child, flood->frame, way)) {
	case REACH_READY:
		flood->tally->ready += 1;
		flood->tally->sent += 1;
		return 0;
	case REACH_TOO_BIG:
		count_drop(DROP_TOO_BIG);
		flood->tally->left_out += 1;
		break;
	default:
		flood->tally->slow += 1;
		if (flood->companion) {
			flood->tally->sent += 1;
			copy_companion(flood, child->remote, child->local);
		}
	}
	way->ifindex = 0;
	return 0;
}

static long take_way(void *map, const __u32 *index, const struct way *way, struct flood *flood)
{
	struct __sk_buff *skb = flood->skb;

	if (!flood->tally->ready)
		return 1;
	if (*index < flood->first || !way->ifindex)
		return 0;
	flood->tally->ready -= 1;
	aim(flood->outer, way);
	count_out(skb, flood->label.relayed, true);
	count(skb, COUNT_FLOOD_COPIES);
	if (flood->tally->wrapped ? bpf_skb_store_bytes(skb, 0, &flood->outer->eth, AIMED, 0) :
				    bpf_skb_store_bytes(skb, 0, &flood->outer->eth, OUTER_SIZE, 0)) {
		count_drop(DROP_ENCAPSULATE);
		return 0;
	}
	flood->tally->wrapped = true;
	if (!flood->tally->ready && !flood->keep)
		flood->tally->last = way->ifindex;
	else if (bpf_clone_redirect(skb, way->ifindex, 0) < 0)
		count_drop(DROP_COPY);
	return 0;
}

static long take_companion(void *map, const __u32 *index, const struct way *way, struct flood *flood)
{
	if (!flood->tally->ready)
		return 1;
	if (!way->ifindex)
		return 0;
	flood->tally->ready -= 1;
	copy_companion(flood, way->remote, way->local);
	return 0;
}

static __always_inline void find_ways(struct flood *flood)
{
	flood->first = 0;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < FEW_CHILDREN; i++) {
		__u32 key = i;
		struct way *way = bpf_map_lookup_elem(&ways, &key);

		if (!way || find_way(NULL, &key, way, flood))
			return;
	}
	flood->first = FEW_CHILDREN;
	bpf_for_each_map_elem(&ways, find_way, flood, 0);
}

static __always_inline void take_ways(struct flood *flood)
{
	flood->first = 0;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < FEW_CHILDREN; i++) {
		__u32 key = i;
		const struct way *way = flood->trail ? &flood->trail->ways[i] : bpf_map_lookup_elem(&ways, &key);

		if (!way || take_way(NULL, &key, way, flood))
			return;
	}
	if (flood->trail)
		return;
	flood->first = FEW_CHILDREN;
	bpf_for_each_map_elem(&ways, take_way, flood, 0);
}

/* Go the ways that were found for a frame before. */
static __always_inline void follow(struct flood *flood, const struct trail *trail)
{
	flood->trail = trail;
	flood->tally->ready = trail->count;
	flood->tally->sent = trail->count;
}

/* Know the ways just found, if they are few and nobody was left out. */
static __always_inline void leave(const struct flood *flood, struct trail *trail, const struct moment *now)
{
	if (flood->tally->slow || flood->tally->left_out || flood->children >> FEW_CHILDREN)
		return;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < FEW_CHILDREN; i++) {
		__u32 key = i;
		const struct way *way = bpf_map_lookup_elem(&ways, &key);

		trail->ways[i].ifindex = 0;
		if (way && i < flood->tree->count)
			trail->ways[i] = *way;
	}
	trail->count = flood->tally->ready;
	trail->size = flood->frame->size;
	trail->tick = now->tick;
}

/* Send the packet itself to the ways found: make room once, then one copy each, the last without copying. */
static __always_inline int flood_ways(struct flood *flood)
{
	struct __sk_buff *skb = flood->skb;
	const struct label *label = &flood->label;

	if (wrap(skb, flood->frame, flood->outer, flood->cfg->port, label->vni, label->destination, label->ttl)) {
		bpf_for_each_map_elem(&ways, take_companion, flood, 0);
		return TC_ACT_SHOT; /* all have their copies */
	}
	take_ways(flood);
	return flood->tally->last ? bpf_redirect(flood->tally->last, 0) : TC_ACT_SHOT;
}

/*
 * Flood a frame that has no outer header to an audience, or with NULL to everybody: to local ports but `except`, and
 * along `tree` (which may be NULL).
 */
static __always_inline int flood_frame(struct __sk_buff *skb, const struct config *cfg, const struct frame *frame,
				       const struct tree *tree, const struct label *label, __u32 except,
				       struct audience *audience, const struct moment *now)
{
	struct flood flood = {
		.skb = skb,
		.cfg = cfg,
		.tree = tree,
		.frame = frame,
		.label = *label,
		.tally = new_tally(),
		.children = audience ? audience->children : ALL_CHILDREN,
		.companion = true,
		.outer = outer_slot(),
	};
	struct walk walk = { .skb = skb, .tally = flood.tally, .slots = cfg->devices, .except = except };

	if (!flood.tally || !flood.outer)
		return drop(DROP_COPY);

	if (likely(audience && leads_on(&audience->trail, frame, now))) {
		follow(&flood, &audience->trail);
	} else if (tree && tree->count && flood.children) {
		find_ways(&flood);
		if (audience)
			leave(&flood, &audience->trail, now);
	}
	copy_to_audience(&walk, audience);
	if (audience)
		count_stream(audience, now, skb->len, flood.tally);
	if (!flood.tally->ready) {
		if (flood.tally->port)
			return deliver_last(skb, flood.tally->port);
		if (flood.tally->slow || (audience && audience->routers)) /* all have it; reports the daemon has too */
			return TC_ACT_SHOT;
		return drop(audience ? DROP_NO_MEMBER : DROP_NO_RECEIVER);
	}
	if (flood.tally->port)
		deliver_copy(skb, flood.tally->port);
	return flood_ways(&flood);
}

#endif
