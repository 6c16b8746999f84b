/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Every map: who writes, who reads, and why it is of its type.  All are pinned by name. */
#ifndef RIPSTOP_MAPS_H
#define RIPSTOP_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi.h"

/* Daemon writes, all programs read.  An array's element 0 is inlined to a plain load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

/* Daemon writes, from_guarded reads, and adds to `stopped`.  Key: ifindex.  A hash, whose elements change as a whole:
 * no frame is judged by one half of an old and one half of a new guard. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_DEVICES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct guard);
} guards SEC(".maps");

int from_port(struct __sk_buff *skb);

/* Filled when the programs are loaded; from_guarded goes on with the first.  The kernel empties such a map when the
 * last descriptor and pin are gone. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} stages SEC(".maps") = { .values = { from_port } };

/* Daemon writes, floods read.  Dense from 0 up to config.devices, so that a flood walks only what is there;
 * an element is one 8-byte word and so never seen half written. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_DEVICES);
	__type(key, __u32);
	__type(value, struct device);
} devices SEC(".maps");

/* Programs write (learn) and read; the daemon deletes (age, port or peer gone) and shows.  Key: MAC in the lower six
 * bytes.  LRU, because containers choose the MACs: whoever floods it loses old entries, not new ones. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FDB);
	__type(key, __u64);
	__type(value, struct fdb_value);
} fdb SEC(".maps");

/* Daemon writes, all programs read.  Key: outer IPv4 address; value: short id, our own for our own addresses. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VTEPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __be32);
	__type(value, __u32);
} vteps SEC(".maps");

/* Daemon writes, all programs read.  Key: destination's short id.  A hash replaces an element as a whole, so no packet
 * meets one half of an old and one half of a new hop, as it could in an array. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PEERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct hop);
} routes SEC(".maps");

/* Daemon writes, floods read.  Key: source's short id.  Not preallocated: an element has a kilobyte. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PEERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct tree);
} trees SEC(".maps");

/* Daemon writes, all programs read.  A hash, whose elements change as a whole; not preallocated: most hosts have few. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_GROUPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct group_key);
	__type(value, struct receivers);
} receivers SEC(".maps");

/* Daemon writes, all programs read; as above. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_BRANCHES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct branch_key);
	__type(value, struct branch);
} branches SEC(".maps");

/* Programs write, the daemon reads.  LRU, because senders choose their groups; per CPU, as all counters. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, MAX_STREAMS);
	__type(key, struct stream_key);
	__type(value, struct stream);
} streams SEC(".maps");

/* Programs write and add to the above in the end; the daemon reads.  Key: as that of `audiences` in lib/members.h. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_TAILS);
	__type(key, __u32);
	__type(value, struct tail);
} tails SEC(".maps");

/* Programs write and read.  Value: the MAC address of the host's own interface, in the lower six bytes.  LRU, because
 * nobody says when a flow ends; what goes on is noted anew with its next packet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_RETURNS);
	__type(key, struct return_key);
	__type(value, __u64);
} returns SEC(".maps");

/* Programs write, the daemon reads.  Per CPU, so that counting needs no atomics.  Key: enum drop_reason. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

/* Programs write, the daemon reads.  Key: enum counter_class. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNT_CLASSES);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

/* Programs write, the daemon reads: probes. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, UPCALL_BYTES);
} upcalls SEC(".maps");

/* Programs write, the daemon reads: who wants which groups, as containers say it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SNOOP_BYTES);
} snoops SEC(".maps");

#endif
