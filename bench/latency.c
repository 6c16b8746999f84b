/* Round-trip times of one small message after another, over TCP, UDP or ICMP echo; sockets block, nothing spins. */
#include <getopt.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <unistd.h>

#include "common.h"

#define MAX_SIZE 65000

static const char usage[] =
	"usage: latency serve tcp|udp PORT [--cpu N]\n"
	"       latency run tcp|udp ADDRESS PORT [options]\n"
	"       latency run icmp ADDRESS [options]\n"
	"\n"
	"`serve` prints \"ready\" once it can be reached and echoes until it is killed. `run` prints one JSON line:\n"
	"round trips, lost (no answer within 1 s), seconds, and min, mean, p50, p99, p999, max in microseconds.\n"
	"`icmp` needs no server: the far kernel answers, so no process has to be woken, and its time ends when the\n"
	"answer reaches this kernel, as in ping(8): it is the network's time alone (IPv4 only).\n"
	"\n"
	"  --size BYTES   payload, both ways (64)\n"
	"  --seconds S    measure for that long (2)\n"
	"  --warmup N     round trips before that (200)\n"
	"  --cpu N        stay on this processor\n";

enum protocol { TCP, UDP, ICMP };

struct config {
	enum protocol protocol;
	const char *address, *port;
	size_t size;
	double seconds;
	unsigned int warmup;
	int cpu, serve;
};

__attribute__((noreturn)) static void misuse(void)
{
	fputs(usage, stderr);
	exit(2);
}

static struct config parse(int argc, char **argv)
{
	static const struct option options[] = {{"size", 1, NULL, 's'},	  {"seconds", 1, NULL, 't'},
						{"warmup", 1, NULL, 'w'}, {"cpu", 1, NULL, 'c'},
						{"help", 0, NULL, 'h'},	  {}};
	struct config c = {.size = 64, .seconds = 2, .warmup = 200, .cpu = -1};
	int option, left;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 's': c.size = parse_number("--size", optarg); break;
		case 't': c.seconds = parse_number("--seconds", optarg); break;
		case 'w': c.warmup = parse_number("--warmup", optarg); break;
		case 'c': c.cpu = parse_number("--cpu", optarg); break;
		case 'h': fputs(usage, stdout); exit(0);
		default: misuse();
		}
	if (c.size < sizeof(uint64_t) || c.size > MAX_SIZE)
		die("--size: %zu is not within %zu and %d", c.size, sizeof(uint64_t), MAX_SIZE);
	left = argc - optind;
	argv += optind;
	if (left < 3)
		misuse();
	c.serve = !strcmp(argv[0], "serve");
	if (!c.serve && strcmp(argv[0], "run"))
		misuse();
	if (!strcmp(argv[1], "icmp"))
		c.protocol = ICMP;
	else if (!strcmp(argv[1], "udp"))
		c.protocol = UDP;
	else if (strcmp(argv[1], "tcp"))
		misuse();
	if (left != (c.serve || c.protocol == ICMP ? 3 : 4) || (c.serve && c.protocol == ICMP))
		misuse();
	c.address = argv[2];
	c.port = c.serve ? argv[2] : c.protocol == ICMP ? "0" : argv[3];
	return c;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("--cpu %d: %s", cpu, strerror(errno));
}

static int open_socket(const struct config *c, int family)
{
	int type = c->protocol == TCP ? SOCK_STREAM : c->protocol == UDP ? SOCK_DGRAM : SOCK_RAW;
	int fd = socket(family, type | SOCK_CLOEXEC, c->protocol == ICMP ? IPPROTO_ICMP : 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (c->protocol == TCP)
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
	if (c->protocol == ICMP)
		set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");
	return fd;
}

static int receive_exactly(int fd, char *buffer, size_t size)
{
	for (size_t have = 0; have < size;) {
		ssize_t got = recv(fd, buffer + have, size - have, 0);

		if (got <= 0)
			return 0;
		have += got;
	}
	return 1;
}

static void serve_tcp(int listener)
{
	static char buffer[MAX_SIZE];

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t got;

		if (fd < 0)
			die("accept: %s", strerror(errno));
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
		while ((got = recv(fd, buffer, sizeof(buffer), 0)) > 0)
			if (send(fd, buffer, got, MSG_NOSIGNAL) != got)
				break;
		close(fd);
	}
}

static void serve_udp(int fd)
{
	static char buffer[MAX_SIZE];

	for (;;) {
		struct sockaddr_storage from;
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &length);

		if (got >= 0)
			sendto(fd, buffer, got, 0, (struct sockaddr *)&from, length);
	}
}

static void serve(const struct config *c)
{
	struct sockaddr_storage at;
	socklen_t length = parse_address("::", c->port, &at); /* both families: IPv4 comes as a mapped address */
	int fd = open_socket(c, AF_INET6);

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
	if (bind(fd, (struct sockaddr *)&at, length))
		die("bind to port %s: %s", c->port, strerror(errno));
	if (c->protocol == TCP && listen(fd, 8))
		die("listen on port %s: %s", c->port, strerror(errno));
	puts("ready");
	fflush(stdout);
	if (c->protocol == TCP)
		serve_tcp(fd);
	serve_udp(fd);
}

static uint16_t checksum(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += bytes[i] << 8 | bytes[i + 1];
	if (size & 1)
		sum += bytes[size - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

/* When the kernel got the packet, on the clock that SO_TIMESTAMPNS uses. */
static int64_t arrival(struct msghdr *header)
{
	for (struct cmsghdr *m = CMSG_FIRSTHDR(header); m; m = CMSG_NXTHDR(header, m))
		if (m->cmsg_level == SOL_SOCKET && m->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec t;

			memcpy(&t, CMSG_DATA(m), sizeof(t));
			return t.tv_sec * NS_PER_S + t.tv_nsec;
		}
	die("the kernel gives no SO_TIMESTAMPNS");
}

/* One echo; returns its time in ns, -1 if no answer came. */
static int64_t ping(int fd, const struct config *c, char *buffer, uint64_t number)
{
	struct icmphdr *icmp = (struct icmphdr *)buffer;
	uint16_t id = getpid();
	struct timespec t;

	memset(icmp, 0, sizeof(*icmp));
	icmp->type = ICMP_ECHO;
	icmp->un.echo.id = id;
	icmp->un.echo.sequence = number;
	memcpy(icmp + 1, &number, sizeof(number));
	icmp->checksum = checksum(buffer, sizeof(*icmp) + c->size);
	clock_gettime(CLOCK_REALTIME, &t);
	if (send(fd, buffer, sizeof(*icmp) + c->size, 0) < 0)
		return -1;
	for (;;) {
		static char answer[MAX_SIZE + 100], control[128];
		struct iovec piece = {.iov_base = answer, .iov_len = sizeof(answer)};
		struct msghdr header = {
			.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

		if (recvmsg(fd, &header, 0) < 0)
			return -1;
		icmp = (struct icmphdr *)(answer + (answer[0] & 15) * 4);
		if (icmp->type == ICMP_ECHOREPLY && icmp->un.echo.id == id && !memcmp(icmp + 1, &number, sizeof(number)))
			return arrival(&header) - (t.tv_sec * NS_PER_S + t.tv_nsec);
	}
}

/* One message there and back; returns its time in ns, -1 if no answer came. */
static int64_t round_trip(int fd, const struct config *c, char *buffer, uint64_t number)
{
	int64_t start = now_ns();
	uint64_t back;

	if (c->protocol == ICMP)
		return ping(fd, c, buffer, number);
	memcpy(buffer, &number, sizeof(number));
	if (send(fd, buffer, c->size, MSG_NOSIGNAL) != (ssize_t)c->size)
		return -1;
	do { /* an answer that came after its second was up is not the one for this number */
		if (!receive_exactly(fd, buffer, c->size))
			return -1;
		memcpy(&back, buffer, sizeof(back));
	} while (back != number);
	return now_ns() - start;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void report(uint32_t *times, size_t count, size_t lost, double seconds)
{
	double sum = 0;

	if (!count)
		die("no answer at all");
	qsort(times, count, sizeof(*times), compare);
	for (size_t i = 0; i < count; i++)
		sum += times[i];
	printf("{\"round_trips\": %zu, \"lost\": %zu, \"seconds\": %.3f, \"min_us\": %.3f, \"mean_us\": %.3f, \"p50_us\": %.3f, "
	       "\"p99_us\": %.3f, \"p999_us\": %.3f, \"max_us\": %.3f}\n",
	       count, lost, seconds, times[0] / 1e3, sum / count / 1e3, times[count / 2] / 1e3, times[count * 99 / 100] / 1e3,
	       times[count * 999 / 1000] / 1e3, times[count - 1] / 1e3);
}

static void run(const struct config *c)
{
	static char buffer[MAX_SIZE + sizeof(struct icmphdr)];
	struct sockaddr_storage to;
	socklen_t length = parse_address(c->address, c->port, &to);
	int fd = open_socket(c, to.ss_family);
	struct timeval patience = {.tv_sec = 1};
	size_t room = 1 << 20, count = 0, lost = 0;
	uint32_t *times = malloc(room * sizeof(*times));
	uint64_t number = 0;
	int64_t start, stop;

	if (!times)
		die("out of memory");
	if (connect(fd, (struct sockaddr *)&to, length))
		die("connect to %s port %s: %s", c->address, c->port, strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		die("SO_RCVTIMEO: %s", strerror(errno));
	while (number < c->warmup)
		round_trip(fd, c, buffer, ++number);
	start = now_ns();
	stop = start + (int64_t)(c->seconds * NS_PER_S);
	while (now_ns() < stop && count < room) {
		int64_t time = round_trip(fd, c, buffer, ++number);

		if (time >= 0)
			times[count++] = time;
		else
			lost++;
	}
	report(times, count, lost, (double)(now_ns() - start) / NS_PER_S);
}

int main(int argc, char **argv)
{
	struct config c = parse(argc, argv);

	stay_on(c.cpu);
	if (c.serve)
		serve(&c);
	run(&c);
	return 0;
}
