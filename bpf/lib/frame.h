/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the switch must know of a container's frame, and whether the fast path can carry it. */
#ifndef RIPSTOP_FRAME_H
#define RIPSTOP_FRAME_H

#include <stdbool.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include "drop.h"
#include "eth.h"

#define MAX_EXTENSIONS 6      /* IPv6 extension headers looked through in a GSO frame */
#define GSO_BY_FRAGS   0xffff /* gso_size of frames cut where their parts end (SCTP); linux/skbuff.h */
#define VLAN_TAG       4
#define MAX_INNER      65499  /* bytes of a frame whose outer IPv4 packet still counts its length in 16 bits */

struct frame {
	__u64 source;
	__u64 target;
	__u32 size; /* bytes of the largest IP packet that goes out on the wire; 0 = unknown */
	__be16 type;
	bool fast; /* the fast path can carry it: see read_frame */
};

/*
 * Where the bytes of a packet begin and end that can be read right away.
 *
 * Pointers in fields of 32 bits: one that the compiler kept for the next comparison it would cut to that length, and
 * then every packet looks too short.
 */
static __always_inline const void *packet_start(const struct __sk_buff *skb)
{
	return (void *)(long)*(const volatile __u32 *)&skb->data;
}

static __always_inline const void *packet_end(const struct __sk_buff *skb)
{
	return (void *)(long)*(const volatile __u32 *)&skb->data_end;
}

/* Return the `size` bytes that start `at` bytes into the packet; NULL if it has not that many. */
static __always_inline const void *read_header(struct __sk_buff *skb, __u32 at, __u32 size)
{
	const void *header = packet_start(skb) + at;

	if (unlikely(header + size > packet_end(skb))) {
		if (bpf_skb_pull_data(skb, at + size))
			return NULL;
		header = packet_start(skb) + at;
		if (header + size > packet_end(skb))
			return NULL;
	}
	return header;
}

/* Step over IPv6 extension headers from `at`; returns the upper protocol and moves `at` to its header. */
static __always_inline __u8 upper_protocol(struct __sk_buff *skb, __u8 protocol, __u32 *at)
{
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		__u8 head[2]; /* next header, length in 8 bytes without the first 8 */

		if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_ROUTING && protocol != IPPROTO_DSTOPTS)
			break;
		if (bpf_skb_load_bytes(skb, *at, head, sizeof(head)))
			return IPPROTO_NONE;
		protocol = head[0];
		*at += (head[1] + 1) * 8;
	}
	return protocol;
}

/* Only TCP may be segmented under an outer header that we wrote: other GSO types die in the kernel's checks. */
static __always_inline void read_gso(struct __sk_buff *skb, __u32 at, struct frame *frame)
{
	__u32 network = at + ETH_HLEN, transport = network;
	__u8 protocol, offset;

	if (frame->type == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, network, &ip, sizeof(ip)))
			return;
		protocol = ip.protocol;
		transport += ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, network, &ip, sizeof(ip)))
			return;
		transport += sizeof(ip);
		protocol = upper_protocol(skb, ip.nexthdr, &transport);
	}
	frame->size = skb->gso_size + transport - network;
	if (protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, transport + 12, &offset, sizeof(offset)))
			return;
		frame->size += (offset >> 4) * 4;
		frame->fast = true;
	} else {
		frame->size += 8; /* UDP header */
	}
}

/*
 * Read the frame whose Ethernet header is `at` bytes into the packet.
 *
 * The fast path takes IPv4 and IPv6 only (bpf_skb_adjust_room knows no others), no VLAN tag beside the data (it would
 * end up on the outer frame), no GSO but TCP's, and nothing whose length does not fit an IPv4 header once wrapped.
 */
static __always_inline long read_frame(struct __sk_buff *skb, __u32 at, struct frame *frame)
{
	__u32 length = skb->len - at;
	const struct ethhdr *eth = read_header(skb, at, sizeof(*eth));

	if (!eth)
		return -1;
	frame->target = mac_number(eth->h_dest);
	frame->source = mac_number(eth->h_source);
	frame->type = eth->h_proto;
	frame->size = length - ETH_HLEN;
	frame->fast = false;
	if (skb->vlan_present)
		frame->size += VLAN_TAG;
	if (skb->gso_size) {
		if (skb->vlan_present || skb->gso_size == GSO_BY_FRAGS)
			frame->size = 0;
		else if (frame->type == bpf_htons(ETH_P_IP) || frame->type == bpf_htons(ETH_P_IPV6))
			read_gso(skb, at, frame);
		else
			frame->size = 0;
	} else if (!skb->vlan_present) {
		frame->fast = (frame->type == bpf_htons(ETH_P_IP) && frame->size >= sizeof(struct iphdr)) ||
			      (frame->type == bpf_htons(ETH_P_IPV6) && frame->size >= sizeof(struct ipv6hdr));
	}
	if (length > MAX_INNER)
		frame->fast = false;
	return 0;
}

/* What no switch passes on, wherever it comes from; DROP_REASONS if there is nothing wrong. */
static __always_inline enum drop_reason objection(const struct frame *frame)
{
	if (unlikely(is_group(frame->source) || !frame->source))
		return DROP_BAD_SOURCE;
	if (unlikely(is_reserved(frame->target)))
		return DROP_RESERVED_MAC;
	return DROP_REASONS;
}

#endif
