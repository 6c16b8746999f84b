/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Where MAC addresses live: learnt from every frame's source, believed until they age. */
#ifndef RIPSTOP_FDB_H
#define RIPSTOP_FDB_H

#include "../maps.h"

#define REFRESH 1000000000ULL /* ns between writes of `seen`, so that a flow does not dirty a cache line per packet */

/* Programs write and read: how often any MAC has come or moved. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} moves SEC(".maps");

/* Since when what is known holds. */
struct moment {
	__u64 tick;    /* of the coarse clock, ns */
	__u64 changes; /* of MACs' places and of the daemon's tables */
};

static __always_inline struct moment read_moment(const struct config *cfg)
{
	__u32 zero = 0;
	const __u64 *moved = bpf_map_lookup_elem(&moves, &zero);

	/* both numbers only grow, so their sum tells of either */
	return (struct moment){
		.tick = bpf_ktime_get_coarse_ns(),
		.changes = cfg->generation + (moved ? *moved : 0),
	};
}

static __always_inline void learn(const struct moment *now, __u64 mac, __u32 ifindex, __u16 peer)
{
	struct fdb_value *known = bpf_map_lookup_elem(&fdb, &mac);

	if (known && known->ifindex == ifindex && known->peer == peer) {
		if ((__s64)(now->tick - known->seen) > (__s64)REFRESH)
			known->seen = now->tick;
	} else {
		struct fdb_value moved = { .seen = now->tick, .ifindex = ifindex, .peer = peer };
		__u32 zero = 0;
		__u64 *times = bpf_map_lookup_elem(&moves, &zero);

		bpf_map_update_elem(&fdb, &mac, &moved, BPF_ANY);
		if (times)
			__sync_fetch_and_add(times, 1);
	}
}

/* Return where `mac` was seen last, or NULL if that is too long ago or never. */
static __always_inline const struct fdb_value *locate(const struct config *cfg, const struct moment *now, __u64 mac)
{
	const struct fdb_value *known = bpf_map_lookup_elem(&fdb, &mac);

	if (known && (__s64)(now->tick - known->seen) > (__s64)cfg->max_age) /* another CPU's tick may be ahead */
		return NULL;
	return known;
}

#endif
