/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What a guarded port must not send: what claims to be of somebody else, what only routers and DHCP servers send, and if
 * it is to have none, multicast.
 *
 * All that a receiver could read is looked at or does not pass.  Receivers read behind a VLAN tag of number 0 and
 * behind LLC/SNAP headers (CERT/CC VU#855201), behind IPv6 extension headers, and across fragments (RFC 7113, RFC
 * 6980).
 */
#ifndef RIPSTOP_GUARD_H
#define RIPSTOP_GUARD_H

#include "group.h"

#define LOOK_THROUGH   8      /* IPv6 extension headers, and options of neighbor discovery; senders use one or two */
#define FRAGMENT_START 0xfff8 /* of an IPv6 fragment: all but the flags */

/* ICMP (RFC 792, RFC 1256) */
#define ICMP_REDIRECT_V4 5
#define ICMP_ROUTER_V4	 9

/* ICMPv6 neighbor discovery (RFC 4861, section 4) */
#define ND_ROUTER_SOLICIT   133
#define ND_ROUTER_ADVERT    134
#define ND_NEIGHBOR_SOLICIT 135
#define ND_NEIGHBOR_ADVERT  136
#define ND_REDIRECT	    137
#define ND_SOURCE_LINK	    1 /* options with a link-layer address */
#define ND_TARGET_LINK	    2

/* DHCP (RFC 2131, section 4.1; RFC 8415, section 7.2).  Clients heed their own port alone, whatever it comes from. */
#define DHCP_SERVER    67
#define DHCP_CLIENT    68
#define DHCP_CLIENT_V6 546

struct arp_packet {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_size;
	__u8 protocol_size;
	__be16 operation;
	__u8 sender[ETH_ALEN];
	__be32 sender_ip;
	__u8 target[ETH_ALEN];
	__be32 target_ip;
} __attribute__((packed));

#define ARP_ETHERNET 1
#define ARP_REQUEST  1

/* An IPv6 packet, as far as it was looked through. */
struct chain {
	__u32 at;	 /* bytes to the upper header */
	__u8 protocol;	 /* its */
	bool fragmented; /* there is a fragment header */
	bool later;	 /* of a fragment that is not the first: it has no upper header */
	bool whole;	 /* all extension headers are there */
};

static __always_inline void count_breach(struct guard *guard, enum drop_reason reason)
{
	__u32 place = reason - DROP_NO_GUARD;

	if (place < GUARD_REASONS)
		__sync_fetch_and_add(&guard->stopped[place], 1);
}

static __always_inline bool owns_v4(const struct guard *guard, __be32 address)
{
	if (!address)
		return false;
	for (int i = 0; i < GUARDED_V4; i++)
		if (guard->v4[i] == address)
			return true;
	return false;
}

static __always_inline bool owns_v6(const struct guard *guard, __u64 high, __u64 low)
{
	const word *own = (const word *)guard->v6;

	if (!(high | low))
		return false;
	for (int i = 0; i < GUARDED_V6; i++)
		if (own[2 * i] == high && own[2 * i + 1] == low)
			return true;
	return false;
}

/* Both ways of ARP teach the sender's addresses; a probe, which has none, claims its target (RFC 5227, section 1.1). */
static __always_inline enum drop_reason breach_arp(struct __sk_buff *skb, const struct guard *guard)
{
	const struct arp_packet *arp = read_header(skb, ETH_HLEN, sizeof(*arp));

	if (!(guard->flags & GUARD_IP))
		return DROP_REASONS;
	if (!arp || arp->hardware != bpf_htons(ARP_ETHERNET) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->hardware_size != ETH_ALEN || arp->protocol_size != sizeof(arp->sender_ip) ||
	    mac_number(arp->sender) != guard->mac)
		return DROP_SPOOFED_ARP;
	if (arp->sender_ip)
		return owns_v4(guard, arp->sender_ip) ? DROP_REASONS : DROP_SPOOFED_ARP;
	return arp->operation == bpf_htons(ARP_REQUEST) && owns_v4(guard, arp->target_ip) ? DROP_REASONS
											  : DROP_SPOOFED_ARP;
}

/*
 * Whether an IPv4 packet is to a group, or says who wants which: what a port without multicast must not send.  With no
 * reports of its own it is nobody's member, so it gets nothing either.  Groups that stay on the link are no groups here:
 * they flood, as broadcast does, and neighbor discovery needs them.
 */
static __always_inline bool is_multicast_v4(const struct iphdr *ip)
{
	return ip->protocol == IPPROTO_IGMP || ip->protocol == PROTOCOL_PIM ||
	       ((ip->daddr & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) &&
		(ip->daddr & bpf_htonl(0xffffff00)) != bpf_htonl(0xe0000000));
}

static __always_inline bool is_multicast_v6(const struct ipv6hdr *ip)
{
	return ip->daddr.s6_addr[0] == 0xff && (ip->daddr.s6_addr[1] & 0xf) > IN6_LINK_LOCAL;
}

static __always_inline enum drop_reason breach_v4(struct __sk_buff *skb, const struct guard *guard)
{
	const struct iphdr *ip = read_header(skb, ETH_HLEN, sizeof(*ip));
	__be32 source;
	bool excused;
	__u32 at, end;
	struct {
		__u8 type; /* of ICMP; of UDP, half a port */
		__u8 code;
		__be16 port; /* of UDP, the destination */
	} upper;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return DROP_HIDDEN_HEADER;
	if (guard->flags & GUARD_MULTICAST && is_multicast_v4(ip))
		return DROP_MULTICAST_OFF;
	at = ETH_HLEN + ip->ihl * 4;
	end = ETH_HLEN + bpf_ntohs(ip->tot_len);
	source = ip->saddr;
	excused = !source && ip->protocol == IPPROTO_IGMP; /* who has no address yet: RFC 3376, section 4.2.13 */
	if ((ip->protocol == IPPROTO_UDP || ip->protocol == IPPROTO_ICMP) && !(ip->frag_off & bpf_htons(IP_OFFSET))) {
		bool udp = ip->protocol == IPPROTO_UDP;

		if (at + sizeof(upper) > end || bpf_skb_load_bytes(skb, at, &upper, sizeof(upper)))
			return DROP_HIDDEN_HEADER;
		if (udp && guard->flags & GUARD_DHCP && upper.port == bpf_htons(DHCP_CLIENT))
			return DROP_ROGUE_DHCP;
		if (!udp && guard->flags & GUARD_ROUTER && upper.type == ICMP_ROUTER_V4)
			return DROP_ROGUE_ROUTER;
		if (!udp && guard->flags & GUARD_ROUTER && upper.type == ICMP_REDIRECT_V4)
			return DROP_ROGUE_REDIRECT;
		excused = !source && udp && upper.port == bpf_htons(DHCP_SERVER);
	}
	if (guard->flags & GUARD_IP && !excused && !owns_v4(guard, source))
		return DROP_SPOOFED_IP;
	return DROP_REASONS;
}

/*
 * Step over the extension headers of an IPv6 packet that ends at `end` (RFC 8200, section 4).
 *
 * What is behind the end is padding.  A first fragment must not take it for headers: the real ones would be in the
 * next.
 */
static __always_inline struct chain look_through(struct __sk_buff *skb, __u8 protocol, __u32 end)
{
	struct chain chain = {.at = ETH_HLEN + sizeof(struct ipv6hdr), .protocol = protocol};

	for (int i = 0; i < LOOK_THROUGH; i++) {
		__u8 head[4]; /* next header, length; of a fragment header, next header, nothing, start and flags */

		switch (chain.protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_FRAGMENT:
		case IPPROTO_AH:
			break;
		default:
			chain.whole = chain.at <= end;
			return chain;
		}
		if (bpf_skb_load_bytes(skb, chain.at, head, sizeof(head)))
			return chain;
		if (chain.protocol == IPPROTO_FRAGMENT) {
			if (chain.fragmented)
				return chain;
			chain.fragmented = true;
			if ((head[2] << 8 | head[3]) & FRAGMENT_START) {
				chain.later = chain.whole = true;
				return chain;
			}
			chain.at += 8;
		} else if (chain.protocol == IPPROTO_AH) {
			chain.at += (head[1] + 2) * 4;
		} else {
			chain.at += (head[1] + 1) * 8;
		}
		chain.protocol = head[0];
	}
	return chain;
}

/* Whether every link-layer address in options that start at `at` is the port's own. */
static __always_inline bool owns_links(struct __sk_buff *skb, const struct guard *guard, __u32 at, __u32 end)
{
	for (int i = 0; i < LOOK_THROUGH; i++) {
		word option; /* type, length in 8 bytes, a MAC address */
		__u8 type, size;

		if (at == end)
			return true;
		if (at > end || bpf_skb_load_bytes(skb, at, &option, sizeof(option)))
			return false;
		type = option & 0xff;
		size = option >> 8 & 0xff;
		if (!size)
			return false;
		if ((type == ND_SOURCE_LINK || type == ND_TARGET_LINK) && (size != 1 || option >> 16 != guard->mac))
			return false;
		at += size * 8;
	}
	return at == end;
}

/* Whether a message of neighbor discovery claims only what is the port's; `nameless`: its source is ::. */
static __always_inline bool owns_claims(struct __sk_buff *skb, const struct guard *guard, const struct chain *chain,
					__u8 type, bool nameless, __u32 end)
{
	__u32 options = chain->at;
	word target[2];

	if (chain->fragmented)
		return false; /* RFC 6980, section 5 */
	switch (type) {
	case ND_ROUTER_SOLICIT:
		options += 8;
		break;
	case ND_ROUTER_ADVERT:
		options += 16;
		break;
	case ND_NEIGHBOR_SOLICIT:
	case ND_NEIGHBOR_ADVERT:
		if (bpf_skb_load_bytes(skb, chain->at + 8, target, sizeof(target)))
			return false;
		/* a host looks for duplicates of the address that it means to have: RFC 4862, section 5.4.2 */
		if ((type == ND_NEIGHBOR_ADVERT || nameless) && !owns_v6(guard, target[0], target[1]))
			return false;
		options += 24;
		break;
	default: /* a redirect has somebody else's link-layer address by right */
		return true;
	}
	return owns_links(skb, guard, options, end);
}

static __always_inline enum drop_reason breach_v6(struct __sk_buff *skb, const struct guard *guard)
{
	const struct ipv6hdr *ip = read_header(skb, ETH_HLEN, sizeof(*ip));
	const word *source;
	bool owned, nameless;
	struct chain chain;
	__be16 ports[2];
	__u8 type = 0;
	__u32 end;

	if (!ip || ip->version != 6)
		return DROP_HIDDEN_HEADER;
	if (guard->flags & GUARD_MULTICAST && is_multicast_v6(ip))
		return DROP_MULTICAST_OFF;
	source = (const word *)&ip->saddr;
	nameless = !(source[0] | source[1]);
	owned = owns_v6(guard, source[0], source[1]);
	end = ETH_HLEN + sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (!ip->payload_len && ip->nexthdr == IPPROTO_HOPOPTS) /* segments of more than 64 KB: RFC 2675 */
		end = skb->len;
	chain = look_through(skb, ip->nexthdr, end);
	if (!chain.whole)
		return DROP_HIDDEN_HEADER;
	if (chain.later) {
		/* its first fragment was looked at, with all headers in it */
	} else if (chain.protocol == IPPROTO_UDP) {
		if (chain.at + sizeof(ports) > end || bpf_skb_load_bytes(skb, chain.at, ports, sizeof(ports)))
			return DROP_HIDDEN_HEADER;
		if (guard->flags & GUARD_DHCP && ports[1] == bpf_htons(DHCP_CLIENT_V6))
			return DROP_ROGUE_DHCP;
	} else if (chain.protocol == IPPROTO_ICMPV6) {
		if (chain.at >= end || bpf_skb_load_bytes(skb, chain.at, &type, sizeof(type)))
			return DROP_HIDDEN_HEADER;
		if (guard->flags & GUARD_ROUTER && type == ND_ROUTER_ADVERT)
			return DROP_ROGUE_ROUTER;
		if (guard->flags & GUARD_ROUTER && type == ND_REDIRECT)
			return DROP_ROGUE_REDIRECT;
	}
	if (guard->flags & GUARD_MULTICAST &&
	    (chain.protocol == PROTOCOL_PIM || (type >= MLD_QUERY && type <= MLD_DONE) || type == MLD_REPORT_V2))
		return DROP_MULTICAST_OFF;
	if (!(guard->flags & GUARD_IP))
		return DROP_REASONS;
	/* who has no address yet looks for duplicates and routers, and reports what he wants to hear: RFC 3590 */
	if (!owned && !(nameless && (type == ND_NEIGHBOR_SOLICIT || type == ND_ROUTER_SOLICIT || type == MLD_REPORT ||
				     type == MLD_DONE || type == MLD_REPORT_V2)))
		return DROP_SPOOFED_IP;
	if (type >= ND_ROUTER_SOLICIT && type <= ND_REDIRECT && !owns_claims(skb, guard, &chain, type, nameless, end))
		return DROP_SPOOFED_ND;
	return DROP_REASONS;
}

/* Return what is wrong with a frame of a guarded port; DROP_REASONS if nothing is. */
static __always_inline enum drop_reason breach(struct __sk_buff *skb, const struct guard *guard)
{
	const struct ethhdr *eth = read_header(skb, 0, sizeof(*eth));
	__be16 type;

	if (!eth)
		return DROP_HIDDEN_HEADER;
	if (guard->flags & GUARD_MAC && mac_number(eth->h_source) != guard->mac)
		return DROP_SPOOFED_MAC;
	if (!(guard->flags & ~GUARD_MAC))
		return DROP_REASONS;
	if (skb->vlan_present)
		return DROP_UNGUARDED_TYPE;
	type = eth->h_proto;
	barrier(); /* read the packet's bounds anew: the verifier does not know them again when they were put aside */
	switch (type) {
	case bpf_htons(ETH_P_IP):
		return breach_v4(skb, guard);
	case bpf_htons(ETH_P_IPV6):
		return breach_v6(skb, guard);
	case bpf_htons(ETH_P_ARP):
		return breach_arp(skb, guard);
	default:
		return DROP_UNGUARDED_TYPE;
	}
}

#endif
