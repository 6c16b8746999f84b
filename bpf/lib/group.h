/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What kind of group a frame is for, and which. */
#ifndef RIPSTOP_GROUP_H
#define RIPSTOP_GROUP_H

#include "frame.h"

#define PROTOCOL_PIM	103
#define IP_OFFSET	0x1fff /* of a fragment that is not the first */
#define IN6_LINK_LOCAL	2      /* scope of a group: up to it, it stays on the link (RFC 4291, section 2.7) */

/* IGMP (RFC 3376, section 4; RFC 2236, section 2) */
#define IGMP_REPORT_V1 0x12
#define IGMP_REPORT_V2 0x16
#define IGMP_LEAVE     0x17
#define IGMP_REPORT_V3 0x22

/* MLD, which is ICMPv6 (RFC 2710, section 3; RFC 3810, section 5) */
#define MLD_QUERY     130
#define MLD_REPORT    131
#define MLD_DONE      132
#define MLD_REPORT_V2 143

enum scope {
	SCOPE_ALL,     /* floods: what the switch must not, or need not, tell apart */
	SCOPE_MEMBERS, /* to those who joined the group */
	SCOPE_ROUTERS, /* a membership report: to multicast routers alone (RFC 4541, section 2.1.1) */
};

typedef __u64 __attribute__((may_alias)) word;

/* What was read last.  On one CPU, as programs do not interrupt each other; not on the stack, which is full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct group_key);
} group_keys SEC(".maps");

struct group {
	enum scope scope;
	bool telling; /* tells who wants what, or that there is a router: the daemon wants to see it */
	const struct group_key *key; /* zero for SCOPE_ROUTERS, nothing for SCOPE_ALL */
};

/* Written as it is read later, by whole words: reading what was written in parts has to wait for the parts. */
static __always_inline void set_key(struct group_key *key, __u64 group0, __u64 group1, __u64 source0, __u64 source1)
{
	word *words = (word *)key;

	words[0] = group0;
	words[1] = group1;
	words[2] = source0;
	words[3] = source1;
}

/* The lower half of an IPv4 address as IPv6 has it (RFC 4291, section 2.5.5.2); the upper one is zero. */
static __always_inline __u64 mapped(__be32 address)
{
	return bpf_htonl(0xffff) | (__u64)address << 32;
}

/* A message whose type is not there to be read is taken for a report: routers may make of it what they like. */
static __always_inline enum scope igmp_scope(struct __sk_buff *skb, __u32 at)
{
	__u8 type;

	if (bpf_skb_load_bytes(skb, at, &type, sizeof(type)))
		return SCOPE_ROUTERS;
	switch (type) {
	case IGMP_REPORT_V1:
	case IGMP_REPORT_V2:
	case IGMP_LEAVE:
	case IGMP_REPORT_V3:
		return SCOPE_ROUTERS;
	default:
		return SCOPE_ALL;
	}
}

static __always_inline struct group read_group_v4(struct __sk_buff *skb, __u32 at, struct group_key *key)
{
	const struct iphdr *ip = read_header(skb, at, sizeof(*ip));
	struct group group = { .scope = SCOPE_ALL };
	__be32 target, source;

	if (unlikely(!ip || ip->version != 4 || ip->ihl < 5))
		return group;
	if (unlikely(ip->protocol == IPPROTO_IGMP || ip->protocol == PROTOCOL_PIM)) {
		group.telling = true;
		if (ip->protocol == IPPROTO_IGMP && !(ip->frag_off & bpf_htons(IP_OFFSET)))
			group.scope = igmp_scope(skb, at + ip->ihl * 4);
		return group;
	}
	target = ip->daddr;
	source = ip->saddr;
	if ((target & bpf_htonl(0xf0000000)) != bpf_htonl(0xe0000000)) /* no group */
		return group;
	if ((target & bpf_htonl(0xffffff00)) == bpf_htonl(0xe0000000)) /* 224.0.0.0/24 stays on the link: RFC 5771 */
		return group;
	group.scope = SCOPE_MEMBERS;
	set_key(key, 0, mapped(target), 0, mapped(source));
	return group;
}

static __always_inline struct group read_group_v6(struct __sk_buff *skb, __u32 at, struct group_key *key)
{
	const struct ipv6hdr *ip = read_header(skb, at, sizeof(*ip));
	struct group group = { .scope = SCOPE_ALL };
	__u32 upper = at + sizeof(*ip);
	const word *target, *source;
	__u8 protocol, scope, type;

	if (!ip || ip->version != 6 || ip->daddr.s6_addr[0] != 0xff)
		return group;
	scope = ip->daddr.s6_addr[1] & 0xf;
	target = (const word *)&ip->daddr;
	source = (const word *)&ip->saddr;
	set_key(key, target[0], target[1], source[0], source[1]);
	protocol = upper_protocol(skb, ip->nexthdr, &upper);
	if (protocol == PROTOCOL_PIM) {
		group.telling = true;
		return group;
	}
	if (protocol == IPPROTO_ICMPV6 && !bpf_skb_load_bytes(skb, upper, &type, sizeof(type))) {
		group.telling = type == MLD_QUERY || type == MLD_REPORT || type == MLD_DONE || type == MLD_REPORT_V2;
		if (group.telling) {
			if (type != MLD_QUERY)
				group.scope = SCOPE_ROUTERS;
			return group;
		}
	}
	if (scope > IN6_LINK_LOCAL)
		group.scope = SCOPE_MEMBERS;
	return group;
}

/* Tell what kind of group a frame is for whose Ethernet header is `at` bytes into the packet. */
static __always_inline struct group read_group(struct __sk_buff *skb, __u32 at, const struct frame *frame)
{
	struct group group = { .scope = SCOPE_ALL };
	__u32 zero = 0;
	struct group_key *key = bpf_map_lookup_elem(&group_keys, &zero);

	if (unlikely(!key || skb->vlan_present || is_broadcast(frame->target)))
		return group;
	if (frame->type == bpf_htons(ETH_P_IP))
		group = read_group_v4(skb, at + ETH_HLEN, key);
	else if (frame->type == bpf_htons(ETH_P_IPV6))
		group = read_group_v6(skb, at + ETH_HLEN, key);
	if (unlikely(group.scope == SCOPE_ROUTERS))
		set_key(key, 0, 0, 0, 0);
	group.key = key;
	return group;
}

#endif
