// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The switch.  from_port sees what containers and the host send, from_underlay what peers send, from_companion what
 * from_underlay left to the VXLAN device.  Each reads the packet, looks up, and acts; lib/ has one concern a file.
 *
 * Outer header: VNI = source peer's short id, Group Policy ID = destination peer's short id or 0 for the source's tree.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi.h"
#include "maps.h"
#include "lib/fdb.h"
#include "lib/flood.h"
#include "lib/local.h"
#include "lib/probe.h"
#include "lib/send.h"
#include "lib/vxlan.h"

#define TREE 0 /* destination of what goes along the source's tree */

static __always_inline const struct config *read_config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

static __always_inline __u32 peer_of(__be32 address)
{
	const __u32 *peer = bpf_map_lookup_elem(&vteps, &address);

	return peer ? *peer : 0;
}

SEC("tc")
int from_port(struct __sk_buff *skb)
{
	const struct config *cfg = read_config();
	struct label label = { .ttl = FIRST_TTL };
	const struct fdb_value *to = NULL;
	enum drop_reason wrong;
	struct frame frame;
	__u32 peer;

	if (!cfg || read_frame(skb, 0, &frame))
		return drop(DROP_SHORT_FRAME);
	wrong = objection(&frame);
	if (wrong != DROP_REASONS)
		return drop(wrong);
	if (is_probe(frame.target))
		return send_probe(skb, cfg, &frame);
	learn(frame.source, skb->ifindex, 0);
	label.vni = cfg->own;
	if (!is_group(frame.target))
		to = locate(cfg, frame.target);
	if (!to) {
		__u32 own = cfg->own;
		const struct tree *tree = bpf_map_lookup_elem(&trees, &own);

		return flood_frame(skb, cfg, &frame, tree, &label, skb->ifindex);
	}
	if (to->ifindex == skb->ifindex)
		return drop(DROP_HAIRPIN);
	if (to->ifindex)
		return deliver(skb, cfg, to->ifindex, PACKET_HOST, false);

	const struct hop *hop;

	peer = to->peer;
	hop = bpf_map_lookup_elem(&routes, &peer);
	if (!hop)
		return drop(DROP_NO_ROUTE);
	label.destination = peer;
	return send(skb, cfg, &frame, hop, &label);
}

/* Hand a frame for us, stripped, to whom it belongs. */
static __always_inline int receive(struct __sk_buff *skb, const struct config *cfg, const struct frame *frame,
				   __u32 destination, bool stale)
{
	const struct fdb_value *to = is_group(frame->target) ? NULL : locate(cfg, frame->target);

	if (to && to->ifindex)
		return deliver(skb, cfg, to->ifindex, PACKET_HOST, stale);
	if (to && destination != TREE)
		return drop(DROP_MISDIRECTED);
	return flood_ports(skb, cfg, frame, 0, stale);
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
	ip = (void *)(long)skb->data + ETH_HLEN;
	if ((void *)ip + OVERHEAD > (void *)(long)skb->data_end) {
		if (bpf_skb_pull_data(skb, OUTER_SIZE))
			return false;
		ip = (void *)(long)skb->data + ETH_HLEN;
		if ((void *)ip + OVERHEAD > (void *)(long)skb->data_end)
			return false;
	}
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

/* Pass a packet on with its outer header rewritten; what the fast path cannot is left to the companion. */
static __always_inline int relay(struct __sk_buff *skb, const struct config *cfg, const struct frame *frame,
				 const struct hop *hop, struct outer *outer)
{
	struct way way;
	enum reach reach = resolve_hop(skb, cfg, hop, frame, &way);

	if (reach == REACH_SLOW)
		return TC_ACT_UNSPEC;
	if (reach == REACH_TOO_BIG)
		return drop(DROP_TOO_BIG);
	aim(outer, &way);
	if (bpf_skb_store_bytes(skb, 0, &outer->eth, AIMED, 0))
		return drop(DROP_ENCAPSULATE);
	count_out(skb, true, true);
	return redirect_way(&way, reach);
}

/* Copy a packet of a flood to our children in its tree; returns false if that is the companion's to do. */
static __always_inline bool relay_flood(struct __sk_buff *skb, const struct config *cfg, const struct frame *frame,
					const struct tree *tree, const struct outer *outer)
{
	struct flood flood = {
		.skb = skb,
		.cfg = cfg,
		.tree = tree,
		.frame = frame,
		.label = { .relayed = true },
		.tally = new_tally(),
		.keep = true,
	};

	if (!flood.tally)
		return false;

	find_ways(&flood);
	if (flood.tally->slow)
		return false;
	flood.outer.ip = outer->ip;
	take_ways(&flood);
	return true;
}

SEC("tc")
int from_underlay(struct __sk_buff *skb)
{
	const struct config *cfg = read_config();
	struct arrival arrival;
	enum drop_reason wrong;
	struct outer outer;
	struct frame frame;
	bool stale;

	if (!cfg || !read_outer(skb, cfg, &outer) || peer_of(outer.ip.daddr) != cfg->own || !cfg->own)
		return TC_ACT_UNSPEC;
	arrival.sender = peer_of(outer.ip.saddr);
	if (!arrival.sender)
		return drop(DROP_STRANGER);
	if (!read_vxlan(&outer.vxlan, &arrival))
		return drop(DROP_BAD_HEADER);
	if (read_frame(skb, OVERHEAD, &frame))
		return drop(DROP_SHORT_FRAME);
	if (is_probe(frame.target))
		return answer_probe(skb, cfg, &frame, &outer);
	if (!arrival.vni)
		return drop(DROP_BAD_HEADER);
	if (arrival.vni == cfg->own)
		return drop(DROP_LOOP);
	wrong = objection(&frame);
	if (wrong != DROP_REASONS)
		return drop(wrong);
	if (!frame.fast)
		return TC_ACT_UNSPEC;

	if (arrival.destination == TREE) {
		const struct tree *tree = bpf_map_lookup_elem(&trees, &arrival.vni);

		if (!tree || tree->parent != arrival.sender)
			return drop(DROP_WRONG_PARENT);
		if (tree->count) {
			if (outer.ip.ttl <= 1) {
				count_drop(DROP_TTL);
			} else {
				outer.ip.ttl -= 1;
				if (!relay_flood(skb, cfg, &frame, tree, &outer))
					return TC_ACT_UNSPEC;
			}
		}
	} else if (arrival.destination != cfg->own) {
		const struct hop *hop = bpf_map_lookup_elem(&routes, &arrival.destination);

		if (!hop)
			return drop(DROP_NO_ROUTE);
		if (outer.ip.ttl <= 1)
			return drop(DROP_TTL);
		outer.ip.ttl -= 1;
		return relay(skb, cfg, &frame, hop, &outer);
	}
	count(skb, COUNT_RECEIVED_FAST);
	learn(frame.source, 0, arrival.vni);
	if (strip(skb, &frame, &stale))
		return drop(DROP_STRIP);
	return receive(skb, cfg, &frame, arrival.destination, stale);
}

SEC("tc")
int from_companion(struct __sk_buff *skb)
{
	const struct config *cfg = read_config();
	struct label label = { .relayed = true };
	enum drop_reason wrong;
	struct letter letter;
	struct frame frame;
	__u32 sender;

	if (!cfg || read_letter(skb, &letter))
		return drop(DROP_BAD_HEADER);
	sender = peer_of(letter.remote);
	if (!sender)
		return drop(DROP_STRANGER);
	if (read_frame(skb, 0, &frame))
		return drop(DROP_SHORT_FRAME);
	if (is_probe(frame.target))
		return take_probe(skb, 0, letter.remote, letter.local);
	if (!letter.vni || letter.vni > 0xffff || letter.destination > 0xffff)
		return drop(DROP_BAD_HEADER);
	if (letter.vni == cfg->own)
		return drop(DROP_LOOP);
	wrong = objection(&frame);
	if (wrong != DROP_REASONS)
		return drop(wrong);
	label.vni = letter.vni;
	label.destination = letter.destination;
	label.ttl = letter.ttl - 1;

	if (letter.destination == TREE) {
		const struct tree *tree = bpf_map_lookup_elem(&trees, &letter.vni);

		if (!tree || tree->parent != sender)
			return drop(DROP_WRONG_PARENT);
		count(skb, COUNT_RECEIVED_COMPANION);
		learn(frame.source, 0, letter.vni);
		if (tree->count && letter.ttl > 1)
			return flood_frame(skb, cfg, &frame, tree, &label, 0);
		if (tree->count)
			count_drop(DROP_TTL);
		return receive(skb, cfg, &frame, TREE, false);
	}
	if (letter.destination != cfg->own) {
		const struct hop *hop = bpf_map_lookup_elem(&routes, &letter.destination);

		if (!hop)
			return drop(DROP_NO_ROUTE);
		if (letter.ttl <= 1)
			return drop(DROP_TTL);
		return send(skb, cfg, &frame, hop, &label);
	}
	count(skb, COUNT_RECEIVED_COMPANION);
	learn(frame.source, 0, letter.vni);
	return receive(skb, cfg, &frame, letter.destination, false);
}

char LICENSE[] SEC("license") = "GPL";
