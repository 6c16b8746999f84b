/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Probes: frames of the daemon that test the path to one address with the real encapsulation. */
#ifndef RIPSTOP_PROBE_H
#define RIPSTOP_PROBE_H

#include "send.h"

/* Where a probe says whether it is an answer: the first field of its message (wire/probe.py), as msgpack. */
#define PROBE_HEAD 6 /* bytes of magic and length */
#define PROBE_ACK  (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) + PROBE_HEAD + 1)
#define ACK_FALSE  0xc2
#define ACK_TRUE   0xc3

/* The short id of the peer that a probe is meant for: the last two bytes of its source MAC. */
static __always_inline __u16 probe_target(const struct frame *frame)
{
	return bpf_ntohs(frame->source >> 32 & 0xffff);
}

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
	if (wrap(skb, frame, &outer, cfg->port, cfg->own, probe_target(frame), FIRST_TTL))
		return drop(DROP_ENCAPSULATE);
	aim(&outer, &way);
	if (bpf_skb_store_bytes(skb, 0, &outer.eth, OUTER_SIZE, 0))
		return drop(DROP_ENCAPSULATE);
	count_out(skb, false, true);
	return bpf_redirect_neigh(way.ifindex, NULL, 0, 0);
}

/* A function of its own, so that the compiler keeps the struct's type for kernel/abi.py's test. */
static __noinline long fill_upcall(struct __sk_buff *skb, struct upcall *upcall, __u32 at)
{
	__u32 length = skb->len - at;

	if (length > UPCALL_FRAME)
		length = UPCALL_FRAME;
	if (length < ETH_HLEN)
		return -1;
	upcall->length = length;
	upcall->unused = 0;
	return bpf_skb_load_bytes(skb, at, upcall->frame, length);
}

/* Hand a probe that came in to the daemon; its frame starts `at` bytes into the packet. */
static __always_inline int take_probe(struct __sk_buff *skb, __u32 at, __be32 remote, __be32 local)
{
	struct upcall *upcall = bpf_ringbuf_reserve(&upcalls, sizeof(*upcall), 0);

	if (!upcall)
		return drop(DROP_UPCALL);
	upcall->remote = remote;
	upcall->local = local;
	if (fill_upcall(skb, upcall, at)) {
		bpf_ringbuf_discard(upcall, 0);
		return drop(DROP_SHORT_FRAME);
	}
	bpf_ringbuf_submit(upcall, 0);
	return TC_ACT_SHOT; /* consumed */
}

/*
 * Return a probe that is meant for us to where it came from, whole: so the way back is tested for its size too, and a
 * path is about datapaths, not about daemons, which may be restarting.  Answers, and what we cannot return, go to ours.
 */
static __always_inline int answer_probe(struct __sk_buff *skb, const struct config *cfg, const struct frame *frame,
					struct outer *outer)
{
	__be32 remote = outer->ip.saddr, local = outer->ip.daddr;
	__u16 from = bpf_ntohl(outer->vxlan.vni) >> 8;
	__u8 ack;
	struct way way;
	enum reach reach;

	if (bpf_ntohs(outer->vxlan.destination) != cfg->own || bpf_skb_load_bytes(skb, OVERHEAD + PROBE_ACK, &ack, 1) ||
	    ack != ACK_FALSE)
		return take_probe(skb, OVERHEAD, remote, local);
	reach = resolve(skb, cfg, remote, local, frame->size, &way);
	if (reach != REACH_READY && reach != REACH_NEIGHBOR)
		return take_probe(skb, OVERHEAD, remote, local);
	ack = ACK_TRUE;
	outer->ip.ttl = FIRST_TTL;
	aim(outer, &way);
	outer->vxlan = (struct vxlan){
		.flags = VXLAN_VNI | VXLAN_POLICY,
		.destination = bpf_htons(from),
		.vni = bpf_htonl((__u32)cfg->own << 8),
	};
	if (bpf_skb_store_bytes(skb, 0, &outer->eth, AIMED, 0) ||
	    bpf_skb_store_bytes(skb, AIMED + sizeof(struct udphdr), &outer->vxlan, sizeof(outer->vxlan), 0) ||
	    bpf_skb_store_bytes(skb, OVERHEAD + PROBE_ACK, &ack, 1, 0))
		return drop(DROP_ENCAPSULATE);
	return bpf_redirect_neigh(way.ifindex, NULL, 0, 0);
}

#endif
