/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The outer header: written, re-aimed, read, and taken off. */
#ifndef RIPSTOP_VXLAN_H
#define RIPSTOP_VXLAN_H

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include "frame.h"

#define FIRST_TTL   64
#define IP_DF       0x4000
#define IP_FRAGMENT 0x3fff /* more fragments, or not the first */
#define FIRST_PORT  49152  /* UDP source ports of flows: the dynamic range (RFC 7348, section 5) */

struct vxlan {
	__u8 flags;
	__u8 policy_flags;
	__be16 destination; /* Group Policy ID (draft-smith-vxlan-group-policy): destination's short id, 0 = tree */
	__be32 vni;	    /* source's short id << 8 */
};

#define VXLAN_VNI    0x08 /* the VNI is valid */
#define VXLAN_POLICY 0x80 /* so is the Group Policy ID; the kernel leaves it out when the id is 0 */

struct outer {
	__u8 align[2]; /* so that the IP header's words are aligned; the packet starts at `eth` */
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct vxlan vxlan;
	struct ethhdr inner;
};

#define OVERHEAD   50			      /* bytes that a frame grows by */
#define OUTER_SIZE (OVERHEAD + ETH_HLEN)      /* of `struct outer` that is in a packet */
#define VXLAN_AT   (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct udphdr)) /* of the VXLAN header */
#define AIMED	   (ETH_HLEN + sizeof(struct iphdr)) /* bytes that differ between the copies of a flood */

_Static_assert(sizeof(struct outer) == 68 && __builtin_offsetof(struct outer, inner) == 2 + OVERHEAD, "no padding");

/* BPF_F_ADJ_ROOM_ENCAP_L2's length is that of the inner Ethernet header alone: with the VXLAN header in it, every GSO
 * packet is dropped in validate_xmit_skb. */
#define WRAP_FLAGS                                                                                                     \
	(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |                       \
	 BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN))

#define ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8) /* linux/bpf.h of Linux 6.3 */
#define V6_LONGER	       (sizeof(struct ipv6hdr) - sizeof(struct iphdr))

/* How to get to a next hop's address: what bpf_fib_lookup found. */
struct way {
	__u32 ifindex;
	__be32 remote;
	__be32 local;
	__u8 macs[2 * ETH_ALEN]; /* destination, source */
};

static __always_inline void checksum(struct iphdr *ip)
{
	const __u16 *words = (const __u16 *)ip;
	__u32 sum = 0;

	ip->check = 0;
	for (unsigned int i = 0; i < sizeof(*ip) / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~sum;
}

/* Turn an outer header towards another next hop. */
static __always_inline void aim(struct outer *outer, const struct way *way)
{
	__builtin_memcpy(&outer->eth, way->macs, sizeof(way->macs));
	outer->eth.h_proto = bpf_htons(ETH_P_IP);
	outer->ip.saddr = way->local;
	outer->ip.daddr = way->remote;
	checksum(&outer->ip);
}

/*
 * Return a number that is the same for all packets of a flow, fragments of one datagram included.
 *
 * TCP and connected UDP sockets have left one; for the rest of IPv4 this is a third of what the kernel's dissector takes.
 */
static __always_inline __u32 flow_hash(struct __sk_buff *skb, const struct frame *frame)
{
	const struct iphdr *ip = packet_start(skb) + ETH_HLEN;
	const __u32 *ports = (void *)(ip + 1);
	__u32 hash = skb->hash;

	if (hash)
		return hash;
	if (frame->type != bpf_htons(ETH_P_IP) || (void *)(ports + 1) > packet_end(skb))
		return bpf_get_hash_recalc(skb);
	hash = (ip->saddr * 0x9e3779b1u) ^ (ip->daddr * 0x85ebca77u) ^ ip->protocol;
	if ((ip->protocol == IPPROTO_UDP || ip->protocol == IPPROTO_TCP) && ip->ihl == 5 &&
	    !(ip->frag_off & bpf_htons(IP_FRAGMENT)))
		hash ^= *ports * 0xc2b2ae3du;
	return hash ^ hash >> 15;
}

/* Make room for an outer header and fill in `outer`, all but what aim() sets; nothing is in the packet yet. */
static __always_inline long wrap(struct __sk_buff *skb, const struct frame *frame, struct outer *outer, __be16 port,
				 __u16 vni, __u16 destination, __u8 ttl)
{
	__u32 hash = flow_hash(skb, frame);
	__u16 length = skb->len + OVERHEAD - ETH_HLEN;

	if (bpf_skb_load_bytes(skb, 0, &outer->inner, ETH_HLEN))
		return -1;
	if (bpf_skb_adjust_room(skb, OVERHEAD, BPF_ADJ_ROOM_MAC, WRAP_FLAGS))
		return -1;
	outer->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(length),
		.frag_off = bpf_htons(IP_DF),
		.ttl = ttl,
		.protocol = IPPROTO_UDP,
	};
	outer->udp = (struct udphdr){
		.source = bpf_htons(FIRST_PORT | ((hash ^ hash >> 16) & 0x3fff)),
		.dest = port,
		.len = bpf_htons(length - sizeof(struct iphdr)),
	};
	outer->vxlan = (struct vxlan){
		.flags = VXLAN_VNI | VXLAN_POLICY,
		.destination = bpf_htons(destination),
		.vni = bpf_htonl((__u32)vni << 8),
	};
	return 0;
}

/* An outer header as it came in. */
struct arrival {
	__u32 sender; /* the peer whose address it bears: the last relay */
	__u32 vni;
	__u32 destination;
};

/* Read an outer header of ours; returns false for all that is none and must go its usual way. */
static __always_inline bool read_outer(struct __sk_buff *skb, const struct config *cfg, struct outer *outer)
{
	const struct iphdr *ip;
	const struct udphdr *udp;
	const struct vxlan *vxlan;

	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->pkt_type != PACKET_HOST || skb->vlan_present ||
	    skb->len < OUTER_SIZE)
		return false;
	ip = read_header(skb, ETH_HLEN, OVERHEAD);
	if (!ip)
		return false;
	udp = (void *)(ip + 1);
	vxlan = (void *)(udp + 1);
	if (ip->protocol != IPPROTO_UDP || ip->ihl != 5 || udp->dest != cfg->port || ip->frag_off & bpf_htons(IP_FRAGMENT))
		return false;
	outer->ip = *ip;
	outer->vxlan = *vxlan;
	return true;
}

static __always_inline bool read_vxlan(const struct vxlan *vxlan, struct arrival *arrival)
{
	__u32 vni = bpf_ntohl(vxlan->vni);
	__u8 expected = vxlan->destination ? VXLAN_VNI | VXLAN_POLICY : VXLAN_VNI;

	arrival->vni = vni >> 8;
	arrival->destination = bpf_ntohs(vxlan->destination);
	return (vxlan->flags == expected || vxlan->flags == (VXLAN_VNI | VXLAN_POLICY)) && !vxlan->policy_flags &&
	       !(vni & 0xff) && arrival->vni <= 0xffff;
}

/*
 * Take the outer header off an IPv6 packet: its EtherType in the kernel's own books (skb->protocol) must change from
 * IPv4's, or the packet is lost where a container's stack or segmentation goes by it.
 *
 * Kernels before 6.3 cannot be told.  What they do is translation from IPv4: it makes the difference in length between
 * the two headers, zeroed, and leaves gso_size alone (since 5.14).  So that much more is taken off first, and put back.
 */
static __always_inline long strip_v6(struct __sk_buff *skb)
{
	__u8 head[V6_LONGER];

	if (!bpf_skb_adjust_room(skb, -(int)OVERHEAD, BPF_ADJ_ROOM_MAC,
				 BPF_F_ADJ_ROOM_FIXED_GSO | ADJ_ROOM_DECAP_L3_IPV6))
		return 0;
	if (bpf_skb_load_bytes(skb, OUTER_SIZE, head, sizeof(head)) ||
	    bpf_skb_adjust_room(skb, -(int)(OVERHEAD + sizeof(head)), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ||
	    bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0))
		return -1;
	/* A checksum that a NIC took of the whole packet lost these bytes with the rest; zeros count for nothing. */
	return bpf_skb_store_bytes(skb, ETH_HLEN, head, sizeof(head), BPF_F_RECOMPUTE_CSUM);
}

/* Take the outer header off. */
static __always_inline long strip(struct __sk_buff *skb, const struct frame *frame)
{
	struct ethhdr inner;

	if (bpf_skb_load_bytes(skb, OVERHEAD, &inner, sizeof(inner)))
		return -1;
	if (frame->type == bpf_htons(ETH_P_IPV6) ?
		    strip_v6(skb) :
		    bpf_skb_adjust_room(skb, -(int)OVERHEAD, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return -1;
	return bpf_skb_store_bytes(skb, 0, &inner, sizeof(inner), 0);
}

#endif
