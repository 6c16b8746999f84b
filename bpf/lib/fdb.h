/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Where MAC addresses live: learnt from every frame's source, believed until they age. */
#ifndef RIPSTOP_FDB_H
#define RIPSTOP_FDB_H

#include "../maps.h"

#define REFRESH 1000000000ULL /* ns between writes of `seen`, so that a flow does not dirty a cache line per packet */

static __always_inline void learn(__u64 mac, __u32 ifindex, __u16 peer)
{
	struct fdb_value *known = bpf_map_lookup_elem(&fdb, &mac);
	__u64 now = bpf_ktime_get_coarse_ns();

	if (known && known->ifindex == ifindex && known->peer == peer) {
		if (now - known->seen > REFRESH)
			known->seen = now;
	} else {
		struct fdb_value moved = { .seen = now, .ifindex = ifindex, .peer = peer };

		bpf_map_update_elem(&fdb, &mac, &moved, BPF_ANY);
	}
}

/* Return where `mac` was seen last, or NULL if that is too long ago or never. */
static __always_inline const struct fdb_value *locate(const struct config *cfg, __u64 mac)
{
	const struct fdb_value *known = bpf_map_lookup_elem(&fdb, &mac);

	if (known && bpf_ktime_get_coarse_ns() - known->seen > cfg->max_age)
		return NULL;
	return known;
}

#endif
