/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Decisions taken lately, so that the next frame of the kind needs one lookup and not five.
 *
 * A decision is believed for one tick of the coarse clock (10 ms at most), and not after any MAC has moved or the daemon
 * has changed a table: then all is looked up anew.  So nothing ages or is refreshed later than it would be by more than
 * a tick, and what is changed holds from the next frame on.
 */
#ifndef RIPSTOP_FLOW_H
#define RIPSTOP_FLOW_H

#include "fdb.h"
#include "hop.h"

#define FLOWS 256 /* one for each value of a byte */

/* What frames of one kind have in common. */
struct flow_key {
	__u64 source;
	__u64 target;
	__u32 device;  /* port they come in by, or 0: then they come with an outer header, whose rest this is */
	__be32 remote; /* its source */
	__be32 local;  /* its destination */
	__u32 unused;
	__u64 vxlan; /* its VXLAN header */
};

struct flow {
	struct flow_key key;
	struct moment moment;
	__u32 peer;  /* where they go: to this peer, or 0 */
	__u32 port;  /* to this local port, or 0: to all of them */
	__u32 size;  /* bytes of the largest one so far */
	struct way way; /* to the peer */
};

/* Programs write and read.  Per CPU, so that none meets what another is writing. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FLOWS);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

/* The place where a frame's decision is, if it was taken lately, and is to be put if not. */
static __always_inline struct flow *flow_slot(const struct frame *frame)
{
	__u32 hash = (__u32)(frame->target >> 16) * 0x9e3779b1u + (__u32)(frame->source >> 16) * 0x85ebca77u;
	__u32 slot = hash >> 24;

	return bpf_map_lookup_elem(&flows, &slot);
}

static __always_inline bool is_same_moment(const struct moment *one, const struct moment *other)
{
	return one->tick == other->tick && one->changes == other->changes;
}

static __always_inline bool is_same_kind(const struct flow_key *one, const struct flow_key *other)
{
	return one->source == other->source && one->target == other->target && one->device == other->device &&
	       one->remote == other->remote && one->local == other->local && one->vxlan == other->vxlan;
}

static __always_inline bool is_known(const struct flow *flow, const struct flow_key *key, const struct moment *moment)
{
	return is_same_moment(&flow->moment, moment) && is_same_kind(&flow->key, key);
}

/* Note that frames like this one go to a local port, or with 0 to all of them. */
static __always_inline void remember_port(struct flow *flow, const struct flow_key *key, const struct moment *moment,
					  const struct frame *frame, __u32 port)
{
	flow->key = *key;
	flow->moment = *moment;
	flow->peer = 0;
	flow->port = port;
	flow->size = frame->size;
}

/* Note that frames like this one go to a peer. */
static __always_inline void remember_way(struct flow *flow, const struct flow_key *key, const struct moment *moment,
					 const struct frame *frame, __u32 peer, const struct way *way)
{
	flow->key = *key;
	flow->moment = *moment;
	flow->peer = peer;
	flow->size = frame->size;
	flow->way = *way;
}

#endif
