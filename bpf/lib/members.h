/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Who gets a group's packets: looked up, believed for a tick as other decisions are (lib/flow.h), and counted. */
#ifndef RIPSTOP_MEMBERS_H
#define RIPSTOP_MEMBERS_H

#include "flow.h"
#include "group.h"
#include "local.h"

#define AUDIENCES    256	 /* one for each value of a byte */
#define ALL_PORTS    0xffffffffU /* instead of a number of receivers */
#define ALL_CHILDREN (~0ULL)

typedef __u64 __attribute__((may_alias)) word;

/* Those who get the packets of a stream that come the same way. */
struct audience {
	struct stream_key stream;
	struct flow_key key;
	struct moment moment;
	struct branch_key look_up; /* here and not on the stack, which is full */
	__u64 children; /* bits, by place in the source's tree */
	__u32 routers;	/* it is routers alone */
	__u32 count;	/* of our own ports, or ALL_PORTS */
	__u32 ports[FEW_RECEIVERS];
	__u64 slots[MAX_DEVICES / 64];
};

/* Programs write and read.  Per CPU, so that none meets what another is writing. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, AUDIENCES);
	__type(key, __u32);
	__type(value, struct audience);
} audiences SEC(".maps");

/* The place where a stream's audience is, if it was looked up lately, and is to be put if not. */
static __always_inline struct audience *audience_slot(const struct group_key *stream)
{
	const word *group = (const word *)stream->group, *source = (const word *)stream->source;
	__u32 hash = (__u32)(group[1] >> 32) * 0x9e3779b1u + (__u32)(source[1] >> 32) * 0x85ebca77u;
	__u32 slot = hash >> 24;

	return bpf_map_lookup_elem(&audiences, &slot);
}

static __always_inline bool is_audience(const struct audience *audience, const struct group_key *stream,
					const struct flow_key *key, const struct moment *moment)
{
	const word *known = (const word *)&audience->stream, *wanted = (const word *)stream;

	return is_same_moment(&audience->moment, moment) && known[0] == wanted[0] && known[1] == wanted[1] &&
	       known[2] == wanted[2] && known[3] == wanted[3] && is_same_kind(&audience->key, key);
}

/* Begin a stream's audience anew. */
static __always_inline void address_audience(struct audience *audience, const struct group_key *stream, __u32 port,
					     __u32 peer)
{
	audience->stream.stream = *stream;
	audience->stream.ifindex = port;
	audience->stream.peer = peer;
	audience->routers = !*(const word *)stream->group && !((const word *)stream->group)[1];
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

	audience->moment.tick = 0; /* not to be believed until remembered */
	audience->children = 0;
	audience->count = 0;
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

/* Believe what was chosen for the rest of the tick. */
static __always_inline void remember_audience(struct audience *audience, const struct flow_key *key,
					      const struct moment *moment)
{
	audience->key = *key;
	audience->moment = *moment;
}

static __noinline void add_stream(const struct stream_key *key)
{
	struct stream none = {};

	bpf_map_update_elem(&streams, key, &none, BPF_NOEXIST);
}

static __always_inline void count_stream(const struct audience *audience, const struct moment *now, __u32 size,
					 const struct tally *tally)
{
	struct stream *stream;

	if (audience->routers)
		return;
	stream = bpf_map_lookup_elem(&streams, &audience->stream);
	if (!stream) {
		add_stream(&audience->stream);
		stream = bpf_map_lookup_elem(&streams, &audience->stream);
		if (!stream)
			return;
	}
	stream->packets += 1;
	stream->bytes += size;
	stream->delivered += tally->delivered;
	stream->sent += tally->sent;
	stream->dropped += !(tally->delivered | tally->sent);
	stream->seen = now->tick;
}

/* Copy the packet to those of an audience (NULL: everybody) who are our own ports. */
static __always_inline void copy_to_audience(struct walk *walk, const struct audience *audience)
{
	if (audience && audience->count <= FEW_RECEIVERS) {
#pragma clang loop unroll(full)
		for (__u32 i = 0; i < FEW_RECEIVERS; i++) {
			if (i >= audience->count)
				return;
			visit(walk, audience->ports[i]);
		}
		return;
	}
	if (audience && audience->count != ALL_PORTS)
		walk->members = audience->slots;
	copy_to_ports(walk);
}

#endif
