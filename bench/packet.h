/* What udp_send puts on the wire and udp_recv takes apart; host byte order, both ends are one machine. */
#ifndef PACKET_H
#define PACKET_H

#include <stdint.h>

#define PACKET_MAGIC 0x72697073u /* "rips" */
#define PACKET_MAX 65507	 /* largest UDP payload over IPv4, bytes */
#define END_REPEATS 20		 /* the end marker is sent that often, so that loss does not hide it */
#define END_SPACING_NS 5000000	 /* between two of them */

enum packet_kind {
	PACKET_DATA = 1,
	PACKET_END = 2,
	PACKET_HELLO = 3, /* of no stream: shows that there is a way */
};

struct packet {
	uint32_t magic;
	uint32_t kind;
	uint64_t stream;   /* drawn by each sender: a receiver follows one stream and ignores others */
	uint64_t sequence; /* of data: 0, 1, 2 ...; of the end marker: how many data packets were sent */
};

#endif
