/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* MAC addresses as numbers: the first byte is the lowest, as a little-endian load gives it. */
#ifndef RIPSTOP_ETH_H
#define RIPSTOP_ETH_H

#include <linux/if_ether.h>
#include "../maps.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "MAC addresses are compared as little-endian numbers"
#endif

/* What is usual, so that the compiler keeps it in one piece: less code is read for a packet. */
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static __always_inline __u64 mac_number(const __u8 *mac)
{
	return *(const __u32 *)mac | (__u64)(*(const __u16 *)(mac + 4)) << 32;
}

static __always_inline bool is_group(__u64 mac)
{
	return mac & 1;
}

static __always_inline bool is_broadcast(__u64 mac)
{
	return mac == 0xffffffffffffULL;
}

/* IEEE 802.1Q, 8.6.3: 01:80:c2:00:00:00 to :0f stay on their link. */
static __always_inline bool is_reserved(__u64 mac)
{
	return (mac & 0xf0ffffffffffULL) == 0x000000c28001ULL;
}

static __always_inline bool is_probe(__u64 mac)
{
	const __u8 probe[ETH_ALEN] = PROBE_MAC;

	return mac == ((__u64)probe[0] | (__u64)probe[1] << 8 | (__u64)probe[2] << 16 | (__u64)probe[3] << 24 |
		       (__u64)probe[4] << 32 | (__u64)probe[5] << 40);
}

#endif
