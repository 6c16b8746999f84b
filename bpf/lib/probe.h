/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Probes: frames of the daemon that test the path to one address with the real encapsulation. */
#ifndef RIPSTOP_PROBE_H
#define RIPSTOP_PROBE_H

#include "send.h"

#define PROBE_DESTINATION 0xffff /* whoever it reaches takes it: it is recognised before any table is asked */

/*
 * Send a probe from the daemon: its inner addresses are the outer ones to use.
 *
 * The kernel's own neighbour code finishes the packet: fast-path packets never do, and without any the kernel would not
 * notice that a neighbour's MAC has changed.
 */
static __always_inline int send_probe(struct __sk_buff *skb, const struct config *cfg, const struct frame *frame)
{
	struct outer outer;
	struct iphdr ip;
	struct way way;
	enum reach reach;

	if (skb->ifindex != cfg->host_port)
		return drop(DROP_FORGED_PROBE);
	if (!frame->fast || frame->type != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return drop(DROP_FORGED_PROBE);
	reach = resolve(skb, cfg, ip.daddr, ip.saddr, frame->size, &way);
	if (reach == REACH_TOO_BIG)
		return drop(DROP_TOO_BIG);
	if (reach == REACH_SLOW)
		return drop(DROP_NO_UNDERLAY);
	if (wrap(skb, &outer, cfg->port, cfg->own, PROBE_DESTINATION, FIRST_TTL))
		return drop(DROP_ENCAPSULATE);
	aim(&outer, &way);
	if (bpf_skb_store_bytes(skb, 0, &outer.eth, OUTER_SIZE, 0))
		return drop(DROP_ENCAPSULATE);
	count_out(skb, false, true);
	return bpf_redirect_neigh(way.ifindex, NULL, 0, 0);
}

/* Hand a probe that came in to the daemon; its frame starts `at` bytes into the packet. */
static __always_inline int take_probe(struct __sk_buff *skb, __u32 at, __be32 remote, __be32 local)
{
	__u32 length = skb->len - at;
	struct upcall *upcall;

	upcall = bpf_ringbuf_reserve(&upcalls, sizeof(*upcall), 0);
	if (!upcall)
		return drop(DROP_UPCALL);
	if (length > UPCALL_FRAME)
		length = UPCALL_FRAME;
	upcall->remote = remote;
	upcall->local = local;
	upcall->length = length;
	upcall->unused = 0;
	if (length < ETH_HLEN || bpf_skb_load_bytes(skb, at, upcall->frame, length)) {
		bpf_ringbuf_discard(upcall, 0);
		return drop(DROP_SHORT_FRAME);
	}
	bpf_ringbuf_submit(upcall, 0);
	return TC_ACT_SHOT; /* consumed */
}

#endif
