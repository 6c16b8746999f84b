/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Counting: what passed, and what did not with its reason. */
#ifndef RIPSTOP_DROP_H
#define RIPSTOP_DROP_H

#include <linux/pkt_cls.h>
#include "../maps.h"

static __always_inline void count_drop(enum drop_reason reason)
{
	__u32 key = reason;
	__u64 *dropped = bpf_map_lookup_elem(&drops, &key);

	if (dropped)
		*dropped += 1;
}

static __always_inline int drop(enum drop_reason reason)
{
	count_drop(reason);
	return TC_ACT_SHOT;
}

static __always_inline void count(struct __sk_buff *skb, enum counter_class class)
{
	__u32 key = class;
	struct counter *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter) {
		counter->packets += 1;
		counter->bytes += skb->len;
	}
}

#endif
