/* Sends sequence-numbered UDP packets, at a rate or as fast as it can, and prints one JSON line about it. */
#include <getopt.h>
#include <signal.h>
#include <unistd.h>
#include <netinet/udp.h>

#include "common.h"
#include "packet.h"

#define MAX_BATCH	 256
#define HELLO_SPACING_NS 2000000

static const char usage[] =
	"usage: udp_send [options] ADDRESS PORT\n"
	"\n"
	"Sends sequence-numbered UDP packets to ADDRESS (IPv4, IPv6, multicast or broadcast) and prints\n"
	"one JSON line: sent, seconds, pps, refused (ENOBUFS and the like; such packets have no number).\n"
	"SIGTERM and SIGINT stop it early, in order.\n"
	"\n"
	"  --size BYTES      UDP payload of a packet (1300)\n"
	"  --rate PPS        packets a second; 0 = as fast as possible (0)\n"
	"  --seconds S       stop after that long (5)\n"
	"  --count N         stop after that many packets; replaces --seconds\n"
	"  --batch N         packets per system call, at most 256 (32; at a rate: at most 1 ms worth)\n"
	"  --interface NAME  outgoing interface for multicast\n"
	"  --ttl N           of multicast packets (16)\n"
	"  --gso BYTES       UDP_SEGMENT: the kernel cuts each --size packet into ones of BYTES; nothing is\n"
	"                    numbered then, so use it without udp_recv\n"
	"  --no-end          do not send the end marker that makes udp_recv stop\n"
	"  --hello           send nothing but a packet every 2 ms that makes udp_recv say \"reached\"\n";

struct config {
	const char *address, *port, *interface;
	size_t size;
	double rate, seconds;
	uint64_t count;
	unsigned int batch;
	int ttl, gso, no_end, hello;
};

struct sender {
	int fd;
	struct mmsghdr messages[MAX_BATCH];
	struct iovec pieces[MAX_BATCH];
	char *buffers; /* MAX_BATCH × size */
	uint64_t stream, sent, refused;
};

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
	(void)number;
	told_to_stop = 1;
}

static struct config parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"size", 1, NULL, 's'},	 {"rate", 1, NULL, 'r'},      {"seconds", 1, NULL, 't'}, {"count", 1, NULL, 'c'},
		{"batch", 1, NULL, 'b'}, {"interface", 1, NULL, 'i'}, {"ttl", 1, NULL, 'l'},	 {"gso", 1, NULL, 'g'},
		{"no-end", 0, NULL, 'e'}, {"hello", 0, NULL, 'o'},
		{"help", 0, NULL, 'h'},	 {}};
	struct config c = {.size = 1300, .seconds = 5, .batch = 32, .ttl = 16};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 's': c.size = parse_number("--size", optarg); break;
		case 'r': c.rate = parse_number("--rate", optarg); break;
		case 't': c.seconds = parse_number("--seconds", optarg); break;
		case 'c': c.count = parse_number("--count", optarg); break;
		case 'b': c.batch = parse_number("--batch", optarg); break;
		case 'i': c.interface = optarg; break;
		case 'l': c.ttl = parse_number("--ttl", optarg); break;
		case 'g': c.gso = parse_number("--gso", optarg); break;
		case 'e': c.no_end = 1; break;
		case 'o': c.hello = 1; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	if (argc - optind != 2) {
		fputs(usage, stderr);
		exit(2);
	}
	if (c.size < sizeof(struct packet) || c.size > PACKET_MAX)
		die("--size: %zu is not within %zu and %d", c.size, sizeof(struct packet), PACKET_MAX);
	if (c.batch < 1 || c.batch > MAX_BATCH)
		die("--batch: %u is not within 1 and %d", c.batch, MAX_BATCH);
	if (c.rate > 0 && c.rate / 1000 < c.batch)
		c.batch = c.rate < 1000 ? 1 : c.rate / 1000;
	c.address = argv[optind];
	c.port = argv[optind + 1];
	return c;
}

static void open_socket(struct sender *s, const struct config *c)
{
	struct sockaddr_storage to;
	socklen_t length = parse_address(c->address, c->port, &to);
	int v6 = to.ss_family == AF_INET6;

	s->fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		die("socket: %s", strerror(errno));
	if (v6) {
		set_option(s->fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, c->ttl, "IPV6_MULTICAST_HOPS");
		set_option(s->fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, "IPV6_MULTICAST_LOOP");
	} else {
		set_option(s->fd, SOL_SOCKET, SO_BROADCAST, 1, "SO_BROADCAST");
		set_option(s->fd, IPPROTO_IP, IP_MULTICAST_TTL, c->ttl, "IP_MULTICAST_TTL");
		set_option(s->fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0, "IP_MULTICAST_LOOP");
	}
	if (c->interface && v6) {
		set_option(s->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, interface_index(c->interface), "IPV6_MULTICAST_IF");
	} else if (c->interface) {
		struct ip_mreqn request = {.imr_ifindex = interface_index(c->interface)};

		if (setsockopt(s->fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof(request)))
			die("IP_MULTICAST_IF %s: %s", c->interface, strerror(errno));
	}
	if (c->gso)
		set_option(s->fd, IPPROTO_UDP, UDP_SEGMENT, c->gso, "UDP_SEGMENT");
	if (connect(s->fd, (struct sockaddr *)&to, length))
		die("connect to %s: %s", c->address, strerror(errno));
}

static void prepare(struct sender *s, const struct config *c)
{
	s->stream = (uint64_t)now_ns() ^ ((uint64_t)getpid() << 40);
	s->buffers = calloc(MAX_BATCH, c->size);
	if (!s->buffers)
		die("out of memory");
	for (int i = 0; i < MAX_BATCH; i++) {
		struct packet packet = {.magic = PACKET_MAGIC, .kind = PACKET_DATA, .stream = s->stream};

		memcpy(s->buffers + i * c->size, &packet, sizeof(packet));
		s->pieces[i] = (struct iovec){.iov_base = s->buffers + i * c->size, .iov_len = c->size};
		s->messages[i].msg_hdr = (struct msghdr){.msg_iov = &s->pieces[i], .msg_iovlen = 1};
	}
}

/* A refusal that goes away by itself: a full queue, or an ICMP error about an earlier packet. */
static int is_passing(int error)
{
	return error == ENOBUFS || error == EAGAIN || error == EINTR || error == ECONNREFUSED || error == EHOSTUNREACH ||
	       error == ENETUNREACH || error == EPERM;
}

static void send_batch(struct sender *s, unsigned int wanted)
{
	int sent;

	for (unsigned int i = 0; i < wanted; i++)
		((struct packet *)s->pieces[i].iov_base)->sequence = s->sent + i;
	sent = sendmmsg(s->fd, s->messages, wanted, 0);
	if (sent < 0 && !is_passing(errno))
		die("send: %s", strerror(errno));
	if (sent < 0)
		s->refused++;
	else
		s->sent += sent;
}

static void send_all(struct sender *s, const struct config *c)
{
	int64_t start = now_ns();
	int64_t stop = start + (int64_t)(c->seconds * NS_PER_S);
	uint64_t limit = UINT64_MAX;

	if (c->count)
		limit = c->count;
	else if (c->rate > 0)
		limit = (uint64_t)(c->rate * c->seconds);
	while (!told_to_stop && s->sent < limit && (c->count || c->rate > 0 || now_ns() < stop)) {
		uint64_t left = limit - s->sent;

		if (c->rate > 0)
			sleep_until(start + (int64_t)((s->sent + s->refused) * (NS_PER_S / c->rate)));
		send_batch(s, left < c->batch ? left : c->batch);
	}
}

static void send_end(struct sender *s)
{
	struct packet end = {
		.magic = PACKET_MAGIC, .kind = PACKET_END, .stream = s->stream, .sequence = s->sent};

	for (int i = 0; i < END_REPEATS; i++) {
		if (send(s->fd, &end, sizeof(end), 0) < 0 && !is_passing(errno))
			die("send: %s", strerror(errno));
		sleep_until(now_ns() + END_SPACING_NS);
	}
}

static void send_hellos(struct sender *s, const struct config *c)
{
	struct packet hello = {.magic = PACKET_MAGIC, .kind = PACKET_HELLO, .stream = s->stream};
	int64_t stop = now_ns() + (int64_t)(c->seconds * NS_PER_S);

	while (!told_to_stop && now_ns() < stop) {
		if (send(s->fd, &hello, sizeof(hello), 0) < 0 && !is_passing(errno))
			die("send: %s", strerror(errno));
		sleep_until(now_ns() + HELLO_SPACING_NS);
	}
}

int main(int argc, char **argv)
{
	static struct sender s;
	struct config c = parse(argc, argv);
	int64_t start;
	double seconds;

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	open_socket(&s, &c);
	if (c.hello) {
		send_hellos(&s, &c);
		return 0;
	}
	prepare(&s, &c);
	start = now_ns();
	send_all(&s, &c);
	seconds = (double)(now_ns() - start) / NS_PER_S;
	if (!c.no_end && !c.gso)
		send_end(&s);
	printf("{\"sent\": %lu, \"seconds\": %.6f, \"pps\": %.1f, \"refused\": %lu}\n", s.sent, seconds, s.sent / seconds,
	       s.refused);
	return 0;
}
