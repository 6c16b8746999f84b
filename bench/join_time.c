/* Joins and leaves a group to which a feed runs, again and again, and takes the time until packets come and cease. */
#include <arpa/inet.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <unistd.h>

#include "common.h"

#define ETH_P_IP_	  0x0800
#define FIRST_TIMEOUT_NS  (5 * NS_PER_S)
#define HELD_NS		  50000000  /* between the first packet and the leave */
#define SILENCE_NS	  250000000 /* after which a packet was the last; more than two leave bars */
#define CEASE_TIMEOUT_NS  (10 * NS_PER_S)

static const char usage[] =
	"usage: join_time [--joins N] [--interface NAME] GROUP\n"
	"\n"
	"IPv4. Packets are seen by a packet socket on the interface, below the membership of this host's own sockets: what\n"
	"comes after a leave was sent by the network. Prints one JSON line: joins, late (no packet within 5 s), and in\n"
	"milliseconds join_p50, join_p99, join_max (from the join to the first packet), leave_p50, leave_p99, leave_max\n"
	"(from the leave to the last packet before 250 ms of silence; 0 if none came after it).\n"
	"\n"
	"  --joins N         how often (50)\n"
	"  --interface NAME  (eth0)\n";

struct times {
	double *ms;
	size_t count;
};

/* Waits until `deadline` for a packet to the group; returns when it was read, or 0. */
static int64_t next_packet(int ear, in_addr_t group, int64_t deadline)
{
	unsigned char frame[64];
	int64_t now;

	while ((now = now_ns()) < deadline) {
		struct pollfd p = {.fd = ear, .events = POLLIN};
		struct timespec left = {.tv_sec = (deadline - now) / NS_PER_S, .tv_nsec = (deadline - now) % NS_PER_S};
		struct iphdr *ip = (struct iphdr *)frame;
		ssize_t got = recv(ear, frame, sizeof(frame), MSG_DONTWAIT);

		if (got >= (ssize_t)sizeof(*ip) && ip->daddr == group && ip->protocol == IPPROTO_UDP)
			return now_ns();
		if (got < 0)
			ppoll(&p, 1, &left, NULL);
	}
	return 0;
}

static int open_ear(const char *interface)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP_), .sll_ifindex = interface_index(interface)};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP_));

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("packet socket on %s: %s", interface, strerror(errno));
	set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER, "SO_RCVBUFFORCE");
	return fd;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(struct times *t, double share)
{
	size_t at = t->count * share;

	if (!t->count)
		return -1;
	qsort(t->ms, t->count, sizeof(*t->ms), by_size);
	return t->ms[at < t->count ? at : t->count - 1];
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"joins", 1, NULL, 'j'}, {"interface", 1, NULL, 'i'}, {"help", 0, NULL, 'h'}, {}};
	const char *interface = "eth0";
	struct times joins = {}, leaves = {};
	struct sockaddr_storage group;
	unsigned int wanted = 50, late = 0;
	in_addr_t target;
	int option, ear;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'j': wanted = parse_number("--joins", optarg); break;
		case 'i': interface = optarg; break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		return 2;
	}
	parse_address(argv[optind], "0", &group);
	target = ((struct sockaddr_in *)&group)->sin_addr.s_addr;
	joins.ms = calloc(wanted, sizeof(double));
	leaves.ms = calloc(wanted, sizeof(double));
	if (!joins.ms || !leaves.ms)
		die("out of memory");
	ear = open_ear(interface);
	puts("ready");
	fflush(stdout);
	for (unsigned int i = 0; i < wanted; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		int64_t start = now_ns(), left, last, seen;

		if (fd < 0)
			die("socket: %s", strerror(errno));
		join_group(fd, &group, interface);
		seen = next_packet(ear, target, start + FIRST_TIMEOUT_NS);
		if (seen)
			joins.ms[joins.count++] = (seen - start) / 1e6;
		else
			late++;
		/* not always at the same moment of the feed, of ticks and of retransmissions */
		left = now_ns() + HELD_NS + (int64_t)i * 1370000;
		while (next_packet(ear, target, left))
			;
		left = last = now_ns();
		close(fd);
		while (last - left < CEASE_TIMEOUT_NS && (seen = next_packet(ear, target, now_ns() + SILENCE_NS)))
			last = seen;
		leaves.ms[leaves.count++] = (last - left) / 1e6;
	}
	printf("{\"joins\": %u, \"late\": %u, \"join_p50\": %.3f, \"join_p99\": %.3f, \"join_max\": %.3f, \"leave_p50\": %.3f, "
	       "\"leave_p99\": %.3f, \"leave_max\": %.3f}\n",
	       wanted, late, quantile(&joins, 0.5), quantile(&joins, 0.99), quantile(&joins, 1), quantile(&leaves, 0.5),
	       quantile(&leaves, 0.99), quantile(&leaves, 1));
	return 0;
}
