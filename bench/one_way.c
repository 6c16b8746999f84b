/* One-way time of packets to a group, from the send call to the receiving process, which spins: no wake-up is in it. */
#include <getopt.h>
#include <sched.h>
#include <signal.h>

#include "common.h"

static const char usage[] =
	"usage: one_way send ADDRESS PORT [options]\n"
	"       one_way recv ADDRESS PORT [options]\n"
	"\n"
	"Both ends are on one machine and read one clock, which the packet carries. `recv` joins ADDRESS, prints \"ready\",\n"
	"spins until --count packets have come or SIGTERM, and prints one JSON line: received, and min, p50, p99, max in\n"
	"microseconds. `send` sends until SIGTERM.\n"
	"\n"
	"  --size BYTES      payload (200)\n"
	"  --rate PPS        packets a second (5000)\n"
	"  --count N         how many to measure, after 100 that are not (5000)\n"
	"  --interface NAME  of the group (eth0)\n"
	"  --cpu N           stay on this processor\n";

#define MAX_SIZE 65000
#define SKIPPED	 100

struct config {
	const char *address, *port, *interface;
	size_t size, count;
	double rate;
	int cpu, send;
};

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
	(void)number;
	told_to_stop = 1;
}

static struct config parse(int argc, char **argv)
{
	static const struct option options[] = {{"size", 1, NULL, 's'},	 {"rate", 1, NULL, 'r'}, {"count", 1, NULL, 'c'},
						{"interface", 1, NULL, 'i'}, {"cpu", 1, NULL, 'p'},  {"help", 0, NULL, 'h'},
						{}};
	struct config c = {.size = 200, .rate = 5000, .count = 5000, .interface = "eth0", .cpu = -1};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 's': c.size = parse_number("--size", optarg); break;
		case 'r': c.rate = parse_number("--rate", optarg); break;
		case 'c': c.count = parse_number("--count", optarg); break;
		case 'i': c.interface = optarg; break;
		case 'p': c.cpu = parse_number("--cpu", optarg); break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	if (argc - optind != 3) {
		fputs(usage, stderr);
		exit(2);
	}
	c.send = !strcmp(argv[optind], "send");
	if (c.size < sizeof(int64_t) || c.size > MAX_SIZE || c.rate <= 0 || !c.count)
		die("--size within 8 and %d, --rate and --count above 0", MAX_SIZE);
	c.address = argv[optind + 1];
	c.port = argv[optind + 2];
	return c;
}

static void run_send(int fd, const struct config *c, const struct sockaddr_storage *to, socklen_t length)
{
	struct ip_mreqn via = {.imr_ifindex = interface_index(c->interface)};
	static char buffer[MAX_SIZE];
	int64_t start = now_ns(), now;

	if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &via, sizeof(via)))
		die("IP_MULTICAST_IF: %s", strerror(errno));
	set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, 16, "IP_MULTICAST_TTL");
	set_option(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0, "IP_MULTICAST_LOOP");
	if (connect(fd, (const struct sockaddr *)to, length))
		die("connect: %s", strerror(errno));
	for (uint64_t i = 0; !told_to_stop; i++) {
		sleep_until(start + (int64_t)(i * (NS_PER_S / c->rate)));
		now = now_ns();
		memcpy(buffer, &now, sizeof(now));
		send(fd, buffer, c->size, 0);
	}
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void run_recv(int fd, const struct config *c, const struct sockaddr_storage *group)
{
	struct sockaddr_storage any;
	socklen_t length = parse_address("0.0.0.0", c->port, &any);
	int64_t *times = calloc(c->count, sizeof(*times)), sent;
	static char buffer[MAX_SIZE];
	size_t got = 0, skipped = 0;

	if (!times)
		die("out of memory");
	if (bind(fd, (struct sockaddr *)&any, length))
		die("bind: %s", strerror(errno));
	join_group(fd, group, c->interface);
	puts("ready");
	fflush(stdout);
	while (!told_to_stop && got < c->count) {
		if (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) < (ssize_t)sizeof(sent))
			continue;
		if (skipped++ < SKIPPED)
			continue;
		memcpy(&sent, buffer, sizeof(sent));
		times[got++] = now_ns() - sent;
	}
	if (!got)
		die("nothing came");
	qsort(times, got, sizeof(*times), by_size);
	printf("{\"received\": %zu, \"min_us\": %.2f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f}\n", got,
	       times[0] / 1e3, times[got / 2] / 1e3, times[got * 99 / 100] / 1e3, times[got - 1] / 1e3);
}

int main(int argc, char **argv)
{
	struct config c = parse(argc, argv);
	struct sockaddr_storage address;
	socklen_t length = parse_address(c.address, c.port, &address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cpu_set_t set;

	if (fd < 0 || address.ss_family != AF_INET)
		die("an IPv4 socket: %s", strerror(errno));
	signal(SIGTERM, on_signal);
	if (c.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(c.cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			die("--cpu %d: %s", c.cpu, strerror(errno));
	}
	if (c.send)
		run_send(fd, &c, &address, length);
	else
		run_recv(fd, &c, &address);
	return 0;
}
