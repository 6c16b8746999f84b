/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Frames without an outer header on their way to one peer. */
#ifndef RIPSTOP_SEND_H
#define RIPSTOP_SEND_H

#include "companion.h"
#include "hop.h"

/* What the outer header says of a frame, and as what it is counted. */
struct label {
	__u16 vni;
	__u16 destination;
	__u8 ttl;
	bool relayed;
};

static __always_inline void count_out(struct __sk_buff *skb, bool relayed, bool fast)
{
	if (fast)
		count(skb, relayed ? COUNT_RELAYED_FAST : COUNT_SENT_FAST);
	else
		count(skb, relayed ? COUNT_RELAYED_COMPANION : COUNT_SENT_COMPANION);
}

static __always_inline int redirect_way(const struct way *way, enum reach reach)
{
	return reach == REACH_READY ? bpf_redirect(way->ifindex, 0) : bpf_redirect_neigh(way->ifindex, NULL, 0, 0);
}

static __always_inline int send_companion(struct __sk_buff *skb, const struct config *cfg, __be32 remote, __be32 local,
					  const struct label *label)
{
	if (!cfg->companion)
		return drop(DROP_NO_COMPANION);
	if (address(skb, remote, local, label->vni, label->destination, label->ttl))
		return drop(DROP_ENCAPSULATE);
	count_out(skb, label->relayed, false);
	return bpf_redirect(cfg->companion, 0);
}

/* Send by a way that was looked for with this result. */
static __always_inline int send_by(struct __sk_buff *skb, const struct config *cfg, const struct frame *frame,
				   const struct way *way, enum reach reach, const struct label *label)
{
	struct outer outer;

	if (reach == REACH_TOO_BIG)
		return drop(DROP_TOO_BIG);
	/* A packet that is a tunnel's already cannot be wrapped here a second time. */
	if (reach == REACH_SLOW || wrap(skb, frame, &outer, cfg->port, label->vni, label->destination, label->ttl))
		return send_companion(skb, cfg, way->remote, way->local, label);
	aim(&outer, way);
	if (bpf_skb_store_bytes(skb, 0, &outer.eth, OUTER_SIZE, 0))
		return drop(DROP_ENCAPSULATE);
	count_out(skb, label->relayed, true);
	return redirect_way(way, reach);
}

#endif
