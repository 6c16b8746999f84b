/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Who gets a group's packets: looked up, believed until something changes, and counted. */
#ifndef RIPSTOP_MEMBERS_H
#define RIPSTOP_MEMBERS_H

#include "flow.h"
#include "group.h"
#include "local.h"

#define ALL_PORTS    0xffffffffU /* instead of a number of receivers */
#define ALL_CHILDREN (~0ULL)
#define BELIEVED     (REFRESH / 2) /* ns, and not after any change: so long may the source's MAC go without being seen */

#define FEW_CHILDREN 4 /* see FEW_DEVICES */

/* Ways to all the hosts of an audience, believed for one tick of the coarse clock as others are: see resolve(). */
struct trail {
	__u64 tick;  /* in which they were found; 0 = they are not known */
	__u32 size;  /* of the largest frame that passed, bytes */
	__u32 count; /* of hosts */
	struct way ways[FEW_CHILDREN];
};

/* Whether a frame may go by the trail. */
static __always_inline bool leads_on(const struct trail *trail, const struct frame *frame, const struct moment *now)
{
	return trail->tick == now->tick && frame->fast && frame->size <= trail->size;
}

/* Those who get the packets of a stream that come the same way. */
struct audience {
	struct stream_key stream;
	__u32 slot; /* of this in `audiences`, and of what is counted in `tails` */
	__u32 mark; /* the tree's */
	struct flow_key key;
	struct moment moment;
	__u64 children; /* bits, by place in the source's tree */
	__u32 routers;	/* it is routers alone */
	__u32 count;	/* of our own ports, or ALL_PORTS */
	__u32 ports[FEW_RECEIVERS];
	struct trail trail;
	struct branch_key look_up; /* here and not on the stack, which is full */
	__u64 slots[MAX_DEVICES / 64];
};

/* Programs write and read.  Per CPU, so that none meets what another is writing. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_TAILS);
	__type(key, __u32);
	__type(value, struct audience);
} audiences SEC(".maps");

/* The place where a stream's audience is, if it was looked up lately, and is to be put if not. */
static __always_inline struct audience *audience_slot(const struct group_key *stream)
{
	const word *group = (const word *)stream->group, *source = (const word *)stream->source;
	__u32 hash = (__u32)(group[1] >> 32) * 0x9e3779b1u + (__u32)(source[1] >> 32) * 0x85ebca77u;
	__u32 slot = (__u64)hash * MAX_TAILS >> 32; /* addresses differ in their last byte, which is the highest here */
	struct audience *audience = bpf_map_lookup_elem(&audiences, &slot);

	if (audience)
		audience->slot = slot;
	return audience;
}

static __always_inline bool is_audience(const struct audience *audience, const struct group_key *stream,
					const struct flow_key *key, const struct moment *moment)
{
	const word *known = (const word *)&audience->stream, *wanted = (const word *)stream;

	return moment->tick - audience->moment.tick < BELIEVED && moment->changes == audience->moment.changes &&
	       known[0] == wanted[0] && known[1] == wanted[1] && known[2] == wanted[2] && known[3] == wanted[3] &&
	       is_same_kind(&audience->key, key);
}

/* Add what was counted in a slot to the stream's own numbers, as another one takes its place. */
static __always_inline void settle(struct tail *tail)
{
	struct stream *stream;

	if (!tail->counted.packets)
		return;
	stream = bpf_map_lookup_elem(&streams, &tail->key);
	if (stream) {
		stream->packets += tail->counted.packets;
		stream->bytes += tail->counted.bytes;
		stream->delivered += tail->counted.delivered;
		stream->sent += tail->counted.sent;
		stream->dropped += tail->counted.dropped;
		stream->seen = tail->counted.seen;
	} else {
		bpf_map_update_elem(&streams, &tail->key, &tail->counted, BPF_ANY);
	}
	tail->counted = (struct stream){};
}

/* Begin a stream's audience anew.  What was counted of it stays: a lookup in `streams` is dear. */
static __always_inline void address_audience(struct audience *audience, const struct group_key *stream, __u32 port,
					     __u32 peer)
{
	struct tail *tail = bpf_map_lookup_elem(&tails, &audience->slot);
	const word *group = (const word *)stream, *known;

	set_key(&audience->stream.stream, group[0], group[1], group[2], group[3]);
	audience->stream.ifindex = port;
	audience->stream.peer = peer;
	audience->routers = !group[0] && !group[1];
	if (!tail)
		return;
	known = (const word *)&tail->key;
	if (known[0] != group[0] || known[1] != group[1] || known[2] != group[2] || known[3] != group[3] ||
	    tail->key.ifindex != port || tail->key.peer != peer) {
		settle(tail);
		tail->key = audience->stream;
	}
}

/* An entry of (any source, group), or in its place of (source, group); NULL if nobody has said anything of the group. */
static __always_inline const struct receivers *find_receivers(struct audience *audience)
{
	const struct receivers *any = bpf_map_lookup_elem(&receivers, &audience->look_up.stream), *exact;

	if (!any || !(any->flags & GROUP_SOURCES))
		return any;
	exact = bpf_map_lookup_elem(&receivers, &audience->stream.stream);
	return exact ? exact : any;
}

/* The same for branches; `look_up` becomes one of the source. */
static __always_inline const struct branch *find_branch(struct audience *audience)
{
	const struct branch *any = bpf_map_lookup_elem(&branches, &audience->look_up), *exact;

	if (!any || !(any->flags & GROUP_SOURCES))
		return any;
	__builtin_memcpy(audience->look_up.stream.source, audience->stream.stream.source, 16);
	exact = bpf_map_lookup_elem(&branches, &audience->look_up);
	return exact ? exact : any;
}

/* Look up who gets the packets of `audience->stream`, which go along `tree` (it may be NULL) of `peer`. */
static __always_inline void choose(const struct config *cfg, const struct tree *tree, __u32 peer,
				   struct audience *audience)
{
	const struct receivers *ports;
	const struct branch *branch = NULL;

	audience->trail.tick = 0;
	audience->moment.tick = 0; /* not to be believed until remembered */
	audience->children = 0;
	audience->count = 0;
	audience->mark = tree ? tree->mark : 0;
	audience->look_up.peer = peer;
	__builtin_memcpy(audience->look_up.stream.group, audience->stream.stream.group, 16);
	__builtin_memset(audience->look_up.stream.source, 0, 16);
	ports = find_receivers(audience);
	if (!ports && !audience->routers && cfg->flags & CONFIG_FLOOD_UNKNOWN) {
		audience->children = ALL_CHILDREN;
		audience->count = ALL_PORTS;
		return;
	}
	if (tree && tree->count)
		branch = find_branch(audience);
	if (!audience->routers) {
		__builtin_memset(&audience->look_up.stream, 0, sizeof(audience->look_up.stream));
		if (!ports)
			ports = bpf_map_lookup_elem(&receivers, &audience->look_up.stream);
		if (!branch && tree && tree->count)
			branch = bpf_map_lookup_elem(&branches, &audience->look_up);
	}
	if (ports) {
		audience->count = ports->count;
		__builtin_memcpy(audience->ports, ports->ports, sizeof(ports->ports));
		if (ports->count > FEW_RECEIVERS)
			__builtin_memcpy(audience->slots, ports->slots, sizeof(ports->slots));
	}
	if (branch)
		audience->children = branch->mark == tree->mark ? branch->children : ALL_CHILDREN;
}

/* Believe what was chosen. */
static __always_inline void remember_audience(struct audience *audience, const struct flow_key *key,
					      const struct moment *moment)
{
	audience->key = *key;
	audience->moment = *moment;
}

static __always_inline void count_stream(const struct audience *audience, const struct moment *now, __u32 size,
					 const struct tally *tally)
{
	struct tail *tail = bpf_map_lookup_elem(&tails, &audience->slot);

	if (!tail || audience->routers)
		return;
	tail->counted.packets += 1;
	tail->counted.bytes += size;
	tail->counted.delivered += tally->delivered;
	tail->counted.sent += tally->sent;
	tail->counted.dropped += !(tally->delivered | tally->sent);
	tail->counted.seen = now->tick;
}

/* Copy the packet to those of an audience (NULL: everybody) who are our own ports, but to the last. */
static __always_inline void copy_to_audience(struct walk *walk, const struct audience *audience)
{
	if (!audience || audience->count == ALL_PORTS) {
		copy_to_ports(walk);
	} else if (unlikely(audience->count > FEW_RECEIVERS)) {
		copy_to_slots(walk, audience->slots);
	} else {
#pragma clang loop unroll(full)
		for (__u32 i = 0; i < FEW_RECEIVERS; i++) {
			if (i >= audience->count)
				return;
			visit(walk, audience->ports[i]);
		}
	}
}

#endif
