/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Flows that the host forwards for a container: their answers go back through the host.
 *
 * A container sends to a service's address by its gateway, the host, whose netfilter puts a member's address in place of
 * the service's.  The member answers the container, of whose frames it is on the same Ethernet: without this the answer
 * would go there directly, past the netfilter that knows whom it was for, and the container would not recognise it.
 *
 * Whoever forwards for whom by which rules does not matter here: what left by the host port comes back by it.
 */
#ifndef RIPSTOP_RETURNS_H
#define RIPSTOP_RETURNS_H

#include <linux/if_packet.h>
#include "frame.h"

#define RETURN_OFFSET	0x1fff /* of an IPv4 fragment that is not the first */
#define RETURN_MORE	0x2000 /* it is not the last */
#define RETURN_FRAGMENT 0x100  /* beside the protocol: the key of a datagram's later fragments */
#define TCP_FLAGS_AT	13     /* bytes into the header */
#define TCP_SYN_ACK	0x12
#define TCP_SYN		0x02

/* ICMP that quotes what it is about (RFC 792) */
#define ICMP_UNREACHABLE 3
#define ICMP_EXCEEDED	 11
#define ICMP_PARAMETER	 12
#define ICMP_QUOTE	 8 /* bytes before what is quoted */

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* Read the header of an IPv4 packet `at` bytes into the frame, and into `ports` what follows it. */
static __always_inline bool read_ports(struct __sk_buff *skb, __u32 at, struct iphdr *ip, __be16 *ports)
{
	return !bpf_skb_load_bytes(skb, at, ip, sizeof(*ip)) && ip->version == 4 && ip->ihl >= 5 &&
	       !bpf_skb_load_bytes(skb, at + ip->ihl * 4, ports, 2 * sizeof(*ports));
}

/* Note a flow that leaves by the host port. */
static __noinline int note_return(struct __sk_buff *skb)
{
	struct return_key key = {};
	__be16 ports[2] = {};
	struct iphdr ip;
	__u64 mac = 0;

	if (skb->protocol != bpf_htons(ETH_P_IP) || !read_ports(skb, ETH_HLEN, &ip, ports) || !has_ports(ip.protocol) ||
	    ip.frag_off & bpf_htons(RETURN_OFFSET) || bpf_skb_load_bytes(skb, ETH_ALEN, &mac, ETH_ALEN))
		return 0;
	key.source = ip.daddr;
	key.target = ip.saddr;
	key.source_port = ports[1];
	key.target_port = ports[0];
	key.protocol = ip.protocol;
	if (!bpf_map_lookup_elem(&returns, &key)) /* a lookup is what keeps it from being the least recently used */
		bpf_map_update_elem(&returns, &key, &mac, BPF_ANY);
	return 0;
}

/* Forget a flow that a container now begins by itself, straight to whom the host had sent it. */
static __noinline int forget_return(struct __sk_buff *skb)
{
	struct return_key key = {};
	__be16 ports[2] = {};
	struct iphdr ip;
	__u8 flags = 0;

	if (skb->protocol != bpf_htons(ETH_P_IP) || !read_ports(skb, ETH_HLEN, &ip, ports) ||
	    ip.frag_off & bpf_htons(RETURN_OFFSET))
		return 0;
	if (ip.protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN + ip.ihl * 4 + TCP_FLAGS_AT, &flags, sizeof(flags)) ||
		    (flags & TCP_SYN_ACK) != TCP_SYN)
			return 0;
	} else if (!has_ports(ip.protocol)) {
		return 0;
	}
	key.source = ip.daddr;
	key.target = ip.saddr;
	key.source_port = ports[1];
	key.target_port = ports[0];
	key.protocol = ip.protocol;
	if (bpf_map_lookup_elem(&returns, &key))
		bpf_map_delete_elem(&returns, &key);
	return 0;
}

/* Make the key under which the flow of a packet was noted, or that of what an ICMP error quotes. */
static __always_inline bool find_key(struct __sk_buff *skb, struct iphdr *ip, struct return_key *key)
{
	__be16 ports[2] = {};
	struct iphdr quoted;
	__u8 type;

	if (!read_ports(skb, ETH_HLEN, ip, ports))
		return false;
	key->source = ip->saddr;
	key->target = ip->daddr;
	key->protocol = ip->protocol;
	if (ip->protocol == IPPROTO_ICMP) {
		type = *(__u8 *)ports;
		if (type != ICMP_UNREACHABLE && type != ICMP_EXCEEDED && type != ICMP_PARAMETER)
			return false;
		if (!read_ports(skb, ETH_HLEN + ip->ihl * 4 + ICMP_QUOTE, &quoted, ports) || quoted.saddr != ip->daddr)
			return false;
		key->source = quoted.daddr;
		key->protocol = quoted.protocol;
		key->source_port = ports[1];
		key->target_port = ports[0];
	} else if (ip->frag_off & bpf_htons(RETURN_OFFSET)) {
		key->source_port = ip->id;
		key->protocol |= RETURN_FRAGMENT;
	} else {
		key->source_port = ports[0];
		key->target_port = ports[1];
	}
	return has_ports(key->protocol & 0xff);
}

/* Turn a packet for a container to the host if its flow came by there; returns whether it is. */
static __noinline int turn_return(struct __sk_buff *skb)
{
	struct return_key key = {};
	struct iphdr ip;
	const __u64 *host;
	__u64 mac;

	if (skb->protocol != bpf_htons(ETH_P_IP) || !find_key(skb, &ip, &key))
		return 0;
	host = bpf_map_lookup_elem(&returns, &key);
	if (!host)
		return 0;
	mac = *host;
	if (ip.protocol != IPPROTO_ICMP && (ip.frag_off & bpf_htons(RETURN_MORE | RETURN_OFFSET)) ==
						   bpf_htons(RETURN_MORE)) { /* the first of several */
		key.source_port = ip.id;
		key.target_port = 0;
		key.protocol |= RETURN_FRAGMENT;
		bpf_map_update_elem(&returns, &key, &mac, BPF_ANY);
	}
	return !bpf_skb_store_bytes(skb, 0, &mac, ETH_ALEN, 0);
}

#endif
