/* Joins and leaves a group to which a feed runs, again and again, and takes the time until packets come and cease. */
#include <arpa/inet.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common.h"

#define ETH_P_IP_	  0x0800
#define FIRST_TIMEOUT_NS  (5 * NS_PER_S)
#define HELD_NS		  50000000  /* between the first packet and the leave */
#define HELD_STEP_NS	  1370000  /* more with each join, for so many */
#define HELD_STEPS	  50
#define SILENCE_NS	  250000000 /* after which a packet was the last; more than two leave bars */
#define CEASE_TIMEOUT_NS  (10 * NS_PER_S)

static const char usage[] =
	"usage: join_time [--joins N] [--interface NAME] GROUP\n"
	"\n"
	"IPv4. Packets are seen by a packet socket on the interface, below the membership of this host's own sockets: what\n"
	"comes after a leave was sent by the network. Prints one JSON line: late (joins without a packet within 5 s), and\n"
	"joins and leaves, each a list of [milliseconds, stolen]: from the join to the first packet, or from the leave to\n"
	"the last packet before 250 ms of silence (0 if none came after it), and for how many hundredths of a second\n"
	"meanwhile a processor of this machine was another machine's (proc_stat(5)).\n"
	"\n"
	"  --joins N         how often (50)\n"
	"  --interface NAME  (eth0)\n";

struct sample {
	double ms;
	long stolen;
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

#define LOOKS	 (1 << 16) /* ring: five minutes */
#define LOOK_NS	 5000000

/* What was stolen so far, looked at all the time: to read it costs more than a packet may. */
static struct {
	_Atomic int64_t at;
	_Atomic long stolen;
} looks[LOOKS];
static atomic_size_t looked;

static long stolen_so_far(void)
{
	long stolen = 0;
	FILE *file = fopen("/proc/stat", "re");

	if (!file || fscanf(file, "cpu %*d %*d %*d %*d %*d %*d %*d %ld", &stolen) != 1)
		die("/proc/stat: cannot be read");
	fclose(file);
	return stolen;
}

static void *look(void *unused)
{
	(void)unused;
	for (;;) {
		size_t slot = looked % LOOKS;

		looks[slot].at = now_ns();
		looks[slot].stolen = stolen_so_far();
		looked++;
		sleep_until(looks[slot].at + LOOK_NS);
	}
	return NULL;
}

/* Hundredths of a second stolen from the last look before `start` to the first after `end`, for which it waits. */
static long stolen_between(int64_t start, int64_t end)
{
	size_t last, first;

	while (last = looked - 1, looks[last % LOOKS].at < end)
		sleep_until(now_ns() + LOOK_NS);
	while (last && looks[(last - 1) % LOOKS].at >= end)
		last--;
	for (first = last; first && looks[first % LOOKS].at > start;)
		first--;
	return looks[last % LOOKS].stolen - looks[first % LOOKS].stolen;
}

static void print_samples(const char *name, const struct sample *samples, size_t count)
{
	printf("\"%s\": [", name);
	for (size_t i = 0; i < count; i++)
		printf("%s[%.3f, %ld]", i ? ", " : "", samples[i].ms, samples[i].stolen);
	printf("]");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"joins", 1, NULL, 'j'}, {"interface", 1, NULL, 'i'}, {"help", 0, NULL, 'h'}, {}};
	const char *interface = "eth0";
	struct sample *joins, *leaves;
	struct sockaddr_storage group;
	unsigned int wanted = 50, joined = 0;
	pthread_t looker;
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
	joins = calloc(wanted, sizeof(*joins));
	leaves = calloc(wanted, sizeof(*leaves));
	if (!joins || !leaves)
		die("out of memory");
	ear = open_ear(interface);
	if (pthread_create(&looker, NULL, look, NULL))
		die("no thread to be had");
	while (!looked)
		sleep_until(now_ns() + LOOK_NS);
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
			joins[joined++] = (struct sample){(seen - start) / 1e6, stolen_between(start, seen)};
		/* not always at the same moment of the feed, of ticks and of retransmissions */
		left = now_ns() + HELD_NS + i % HELD_STEPS * HELD_STEP_NS;
		while (next_packet(ear, target, left))
			;
		left = last = now_ns();
		close(fd);
		while (last - left < CEASE_TIMEOUT_NS && (seen = next_packet(ear, target, now_ns() + SILENCE_NS)))
			last = seen;
		leaves[i] = (struct sample){(last - left) / 1e6, stolen_between(left, last)};
	}
	printf("{\"late\": %u, ", wanted - joined);
	print_samples("joins", joins, joined);
	printf(", ");
	print_samples("leaves", leaves, wanted);
	printf("}\n");
	return 0;
}
