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
#include "lib/flow.h"
#include "lib/guard.h"
#include "lib/local.h"
#include "lib/probe.h"
#include "lib/send.h"
#include "lib/snoop.h"
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

#define UNKNOWN -2 /* no verdict: nobody knows where the frame's destination lives */

/* Take a frame of a port to where its destination lives. */
static __always_inline int switch_unicast(struct __sk_buff *skb, const struct config *cfg, const struct frame *frame,
					  const struct moment *now, struct label *label)
{
	struct flow_key key = { .source = frame->source, .target = frame->target, .device = skb->ifindex };
	struct flow *flow = flow_slot(frame);
	const struct fdb_value *to;
	const struct hop *hop;
	enum reach reach;
	struct way way;
	__u32 peer;

	if (!flow)
		return UNKNOWN;
	if (likely(is_known(flow, &key, now) && frame->fast && frame->size <= flow->size)) {
		if (!flow->peer)
			return deliver(skb, cfg, flow->port);
		label->destination = flow->peer;
		way = flow->way;
		reach = REACH_READY;
	} else {
		if (is_probe(frame->target))
			return send_probe(skb, cfg, frame);
		learn(now, frame->source, skb->ifindex, 0);
		to = locate(cfg, now, frame->target);
		if (!to)
			return UNKNOWN;
		if (to->ifindex == skb->ifindex)
			return drop(DROP_HAIRPIN);
		if (to->ifindex) {
			remember_port(flow, &key, now, frame, to->ifindex);
			return deliver(skb, cfg, to->ifindex);
		}
		peer = to->peer;
		hop = bpf_map_lookup_elem(&routes, &peer);
		if (!hop)
			return drop(DROP_NO_ROUTE);
		label->destination = peer;
		reach = resolve_hop(skb, cfg, hop, frame, &way);
		if (reach == REACH_READY)
			remember_way(flow, &key, now, frame, peer, &way);
	}
	return send_by(skb, cfg, frame, &way, reach, label);
}

/* Find who gets a group's frame of a port; returns the tree along which it goes, NULL if there is none or the trail leads
 * on without. */
static __always_inline const struct tree *find_audience(const struct config *cfg, const struct frame *frame,
							const struct moment *now, __u32 port,
							const struct group_key *stream, struct audience *audience)
{
	struct flow_key key = { .source = frame->source, .target = frame->target, .device = port };
	bool believed = is_audience(audience, stream, &key, now);
	const struct tree *tree;
	__u32 own = cfg->own;

	if (likely(believed && leads_on(&audience->trail, frame, now)))
		return NULL;
	tree = bpf_map_lookup_elem(&trees, &own);
	if (believed && audience->mark == (tree ? tree->mark : 0))
		return tree;
	learn(now, frame->source, port, 0);
	address_audience(audience, stream, port, 0);
	choose(cfg, tree, own, audience);
	remember_audience(audience, &key, now);
	return tree;
}

SEC("tc")
int from_port(struct __sk_buff *skb)
{
	const struct config *cfg = read_config();
	struct label label = { .ttl = FIRST_TTL };
	struct audience *audience = NULL;
	const struct tree *tree;
	enum drop_reason wrong;
	struct group group;
	struct moment now;
	struct frame frame;
	__u32 own;
	int verdict;

	if (!cfg || read_frame(skb, 0, &frame))
		return drop(DROP_SHORT_FRAME);
	wrong = objection(&frame);
	if (wrong != DROP_REASONS)
		return drop(wrong);
	now = read_moment(cfg);
	own = label.vni = cfg->own;
	if (!is_group(frame.target)) {
		if (cfg->flags & CONFIG_RETURNS && skb->ifindex == cfg->host_port)
			note_return(skb);
		else if (cfg->flags & CONFIG_RETURNS)
			forget_return(skb);
		verdict = switch_unicast(skb, cfg, &frame, &now, &label);
		if (verdict != UNKNOWN)
			return verdict;
	} else if (cfg->flags & CONFIG_SNOOPING) {
		group = read_group(skb, 0, &frame);
		if (unlikely(group.telling)) {
			wrong = hand_over(skb, &now);
			if (wrong != DROP_REASONS)
				return drop(wrong);
		}
		if (group.scope != SCOPE_ALL)
			audience = audience_slot(group.key);
	}
	if (audience) {
		tree = find_audience(cfg, &frame, &now, skb->ifindex, group.key, audience);
	} else {
		tree = bpf_map_lookup_elem(&trees, &own);
		if (is_group(frame.target))
			learn(&now, frame.source, skb->ifindex, 0);
	}
	return flood_frame(skb, cfg, &frame, tree, &label, skb->ifindex, audience, &now);
}

/* Look at what a guarded port sends; what it may send goes the way of all ports. */
SEC("tc")
int from_guarded(struct __sk_buff *skb)
{
	__u32 port = skb->ifindex;
	struct guard *guard = bpf_map_lookup_elem(&guards, &port);
	enum drop_reason wrong = guard ? breach(skb, guard) : DROP_NO_GUARD;

	if (wrong == DROP_REASONS) {
		bpf_tail_call_static(skb, &stages, 0);
		wrong = DROP_NO_GUARD;
	}
	if (guard)
		count_breach(guard, wrong);
	return drop(wrong);
}

/* Hand a frame for us, stripped, to whom it belongs. */
static __always_inline int receive(struct __sk_buff *skb, const struct config *cfg, const struct fdb_value *to,
				   __u32 destination)
{
	if (to && to->ifindex)
		return deliver(skb, cfg, to->ifindex);
	if (to && destination != TREE)
		return drop(DROP_MISDIRECTED);
	return flood_ports(skb, cfg);
}

/* Pass a packet on with its outer header rewritten, by a way that was looked for with this result. */
static __always_inline int relay_by(struct __sk_buff *skb, struct outer *outer, const struct way *way, enum reach reach)
{
	if (reach == REACH_SLOW)
		return TC_ACT_UNSPEC; /* the companion's */
	if (reach == REACH_TOO_BIG)
		return drop(DROP_TOO_BIG);
	if (outer->ip.ttl <= 1)
		return drop(DROP_TTL);
	outer->ip.ttl -= 1;
	aim(outer, way);
	if (bpf_skb_store_bytes(skb, 0, &outer->eth, AIMED, 0))
		return drop(DROP_ENCAPSULATE);
	count_out(skb, true, true);
	return redirect_way(way, reach);
}

/*
 * Copy a packet of a flood to those of our children in its tree that are to get it.  Without `keep`, the packet itself is
 * turned to the last of them.  Returns false if all that is the companion's to do.
 */
static __always_inline bool relay_flood(struct __sk_buff *skb, const struct config *cfg, const struct frame *frame,
					const struct tree *tree, const struct outer *outer, __u64 children, bool keep,
					struct tally *tally)
{
	struct flood flood = {
		.skb = skb,
		.cfg = cfg,
		.tree = tree,
		.frame = frame,
		.label = { .relayed = true },
		.tally = tally,
		.children = children,
		.keep = keep,
		.outer = outer_slot(),
	};

	if (!flood.outer)
		return false;
	find_ways(&flood);
	if (tally->slow)
		return false;
	flood.outer->ip = outer->ip;
	tally->wrapped = true;
	take_ways(&flood);
	return true;
}

/* Take a packet's outer header off and hand it to those of its audience who are here; others may have had theirs. */
static __always_inline int receive_members(struct __sk_buff *skb, const struct config *cfg, const struct frame *frame,
					   const struct audience *audience, const struct moment *now,
					   struct tally *tally)
{
	struct walk walk = { .skb = skb, .tally = tally, .slots = cfg->devices };
	__u32 size = skb->len - OVERHEAD;

	if (!tally)
		return drop(DROP_COPY);
	count(skb, COUNT_RECEIVED_FAST);
	if (audience->count) {
		if (strip(skb, frame))
			return drop(DROP_STRIP);
		copy_to_audience(&walk, audience);
	}
	count_stream(audience, now, size, tally);
	if (tally->port)
		return deliver_last(skb, tally->port);
	if (tally->last)
		return bpf_redirect(tally->last, 0);
	return tally->sent ? TC_ACT_SHOT : drop(DROP_NO_MEMBER);
}

SEC("tc")
int from_underlay(struct __sk_buff *skb)
{
	const struct config *cfg = read_config();
	struct group group = { .scope = SCOPE_ALL };
	struct audience *audience = NULL;
	struct tally *tally = NULL;
	bool believed = false;
	struct moment now;
	const struct fdb_value *to;
	struct flow *flow = NULL;
	struct arrival arrival;
	enum drop_reason wrong;
	struct flow_key key;
	struct outer outer;
	struct frame frame;
	enum reach reach;
	struct way way;

	if (!cfg || !cfg->own || !read_outer(skb, cfg, &outer))
		return TC_ACT_UNSPEC;
	if (read_frame(skb, OVERHEAD, &frame))
		return TC_ACT_UNSPEC;
	now = read_moment(cfg);
	key = (struct flow_key){
		.source = frame.source,
		.target = frame.target,
		.remote = outer.ip.saddr,
		.local = outer.ip.daddr,
	};
	__builtin_memcpy(&key.vxlan, &outer.vxlan, sizeof(key.vxlan));
	if (cfg->flags & CONFIG_SNOOPING && is_group(frame.target))
		group = read_group(skb, OVERHEAD, &frame);
	if (group.scope != SCOPE_ALL) {
		audience = audience_slot(group.key);
		if (!audience)
			return TC_ACT_UNSPEC;
		believed = is_audience(audience, group.key, &key, &now);
		if (likely(believed && frame.fast && !audience->children))
			return receive_members(skb, cfg, &frame, audience, &now, new_tally());
	} else {
		flow = flow_slot(&frame);
		if (!flow)
			return TC_ACT_UNSPEC;
		if (likely(is_known(flow, &key, &now) && frame.fast && frame.size <= flow->size)) {
			if (flow->peer)
				return relay_by(skb, &outer, &flow->way, REACH_READY);
			count(skb, COUNT_RECEIVED_FAST);
			if (strip(skb, &frame))
				return drop(DROP_STRIP);
			if (flow->port)
				return deliver(skb, cfg, flow->port);
			return flood_ports(skb, cfg);
		}
	}

	if (peer_of(outer.ip.daddr) != cfg->own)
		return TC_ACT_UNSPEC;
	arrival.sender = peer_of(outer.ip.saddr);
	if (!arrival.sender)
		return drop(DROP_STRANGER);
	if (!read_vxlan(&outer.vxlan, &arrival))
		return drop(DROP_BAD_HEADER);
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
		__u64 children = ALL_CHILDREN;

		tally = new_tally();
		if (!tally)
			return drop(DROP_COPY);
		if (!tree || tree->parent != arrival.sender)
			return drop(DROP_WRONG_PARENT);
		if (audience && !(believed && audience->mark == tree->mark)) {
			address_audience(audience, group.key, 0, arrival.vni);
			choose(cfg, tree, arrival.vni, audience);
			remember_audience(audience, &key, &now);
		}
		if (audience)
			children = audience->children;
		if (tree->count && children) {
			bool keep = !audience || audience->count;

			if (outer.ip.ttl > 1) {
				outer.ip.ttl -= 1;
				if (!relay_flood(skb, cfg, &frame, tree, &outer, children, keep, tally))
					return TC_ACT_UNSPEC;
			} else if (keep) {
				count_drop(DROP_TTL);
			} else {
				return drop(DROP_TTL);
			}
		} else if (flow && is_group(frame.target)) {
			remember_port(flow, &key, &now, &frame, 0); /* local ports only */
		}
	} else if (arrival.destination != cfg->own) {
		const struct hop *hop = bpf_map_lookup_elem(&routes, &arrival.destination);

		if (!hop)
			return drop(DROP_NO_ROUTE);
		reach = resolve_hop(skb, cfg, hop, &frame, &way);
		if (reach == REACH_READY && flow)
			remember_way(flow, &key, &now, &frame, arrival.destination, &way);
		return relay_by(skb, &outer, &way, reach);
	} else {
		audience = NULL; /* sent to us and nobody else: whoever did so knows why */
	}
	learn(&now, frame.source, 0, arrival.vni);
	if (audience)
		return receive_members(skb, cfg, &frame, audience, &now, tally);
	count(skb, COUNT_RECEIVED_FAST);
	if (strip(skb, &frame))
		return drop(DROP_STRIP);
	to = is_group(frame.target) ? NULL : locate(cfg, &now, frame.target);
	if (to && to->ifindex && flow && arrival.destination != TREE)
		remember_port(flow, &key, &now, &frame, to->ifindex);
	return receive(skb, cfg, to, arrival.destination);
}

SEC("tc")
int from_companion(struct __sk_buff *skb)
{
	const struct config *cfg = read_config();
	struct group group = { .scope = SCOPE_ALL };
	struct label label = { .relayed = true };
	struct audience *audience = NULL;
	struct moment now;
	const struct hop *hop;
	enum drop_reason wrong;
	struct letter letter;
	struct frame frame;
	enum reach reach;
	struct way way;
	__u32 sender;

	if (!cfg || read_letter(skb, &letter))
		return drop(DROP_BAD_HEADER);
	now = read_moment(cfg);
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
		__u64 children = ALL_CHILDREN;

		if (!tree || tree->parent != sender)
			return drop(DROP_WRONG_PARENT);
		count(skb, COUNT_RECEIVED_COMPANION);
		learn(&now, frame.source, 0, letter.vni);
		if (cfg->flags & CONFIG_SNOOPING && is_group(frame.target))
			group = read_group(skb, 0, &frame);
		if (group.scope != SCOPE_ALL)
			audience = audience_slot(group.key);
		if (audience) {
			address_audience(audience, group.key, 0, letter.vni);
			choose(cfg, tree, letter.vni, audience);
			children = audience->children;
		}
		if (tree->count && children && letter.ttl <= 1) {
			count_drop(DROP_TTL);
			tree = NULL;
		}
		if (audience || (tree && tree->count))
			return flood_frame(skb, cfg, &frame, tree, &label, 0, audience, &now);
	} else if (letter.destination != cfg->own) {
		hop = bpf_map_lookup_elem(&routes, &letter.destination);
		if (!hop)
			return drop(DROP_NO_ROUTE);
		if (letter.ttl <= 1)
			return drop(DROP_TTL);
		reach = resolve_hop(skb, cfg, hop, &frame, &way);
		return send_by(skb, cfg, &frame, &way, reach, &label);
	} else {
		count(skb, COUNT_RECEIVED_COMPANION);
		learn(&now, frame.source, 0, letter.vni);
	}
	return receive(skb, cfg, is_group(frame.target) ? NULL : locate(cfg, &now, frame.target), letter.destination);
}

char LICENSE[] SEC("license") = "GPL";
