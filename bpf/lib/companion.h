/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The VXLAN device: writes and reads the same bytes as we do, through the host's own IP stack. */
#ifndef RIPSTOP_COMPANION_H
#define RIPSTOP_COMPANION_H

#include <bpf/bpf_endian.h>
#include "drop.h"

#define TUNNEL_KEY_V5 __builtin_offsetof(struct bpf_tunnel_key, local_ipv4) /* all that kernels before 6.0 know */

/* Write on the packet how the companion is to wrap it. */
static __always_inline long address(struct __sk_buff *skb, __be32 remote, __be32 local, __u16 vni, __u16 destination,
				    __u8 ttl)
{
	struct bpf_tunnel_key key = {
		.tunnel_id = vni,
		.remote_ipv4 = bpf_ntohl(remote),
		.local_ipv4 = bpf_ntohl(local),
		.tunnel_ttl = ttl,
	};
	__u64 flags = BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT;
	__u32 policy = destination;

	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags) &&
	    bpf_skb_set_tunnel_key(skb, &key, TUNNEL_KEY_V5, flags))
		return -1;
	return bpf_skb_set_tunnel_opt(skb, &policy, sizeof(policy));
}

/* Who sent the packet that the companion unwrapped, and to whom. */
struct letter {
	__be32 remote;
	__be32 local; /* 0 where the kernel does not tell */
	__u32 vni;
	__u32 destination;
	__u8 ttl;
};

static __always_inline long read_letter(struct __sk_buff *skb, struct letter *letter)
{
	struct bpf_tunnel_key key = {};

	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0) && bpf_skb_get_tunnel_key(skb, &key, TUNNEL_KEY_V5, 0))
		return -1;
	if (bpf_skb_get_tunnel_opt(skb, &letter->destination, sizeof(letter->destination)) < 0)
		letter->destination = 0; /* the header carried no policy id */
	letter->remote = bpf_htonl(key.remote_ipv4);
	letter->local = bpf_htonl(key.local_ipv4);
	letter->vni = key.tunnel_id;
	letter->ttl = key.tunnel_ttl;
	return 0;
}

#endif
