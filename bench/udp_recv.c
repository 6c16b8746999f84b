/* Receives what udp_send sends and prints one JSON line: what came, what did not, what came twice or late. */
#include <getopt.h>
#include <poll.h>
#include <unistd.h>

#include "common.h"
#include "packet.h"

#define BATCH 64

static const char usage[] =
	"usage: udp_recv [options] PORT\n"
	"\n"
	"Prints \"ready\" once its socket is bound, \"reached\" when a packet of `udp_send --hello` has come to each of\n"
	"its groups, and \"started\" at the first one that is numbered; receives one udp_send stream\n"
	"until its end marker (or silence) and prints one JSON line:\n"
	"  received    packets, repeated ones left out      sent        what the sender says; null if unheard\n"
	"  lost        sent - received (no end marker: gaps up to the highest number seen)\n"
	"  duplicated, reordered (number below one seen before), foreign (other streams, other senders)\n"
	"  overflow    packets that the socket's own buffer dropped: the receiver was too slow\n"
	"  seconds     from the first to the last packet    pps         received / seconds\n"
	"  max_gap_ms  longest silence between two packets\n"
	"\n"
	"  --group ADDRESS   join this multicast group (IPv4 or IPv6)\n"
	"  --groups N        and those that follow it, N in all (1)\n"
	"  --interface NAME  on this interface\n"
	"  --ipv6            bind to [::] instead of 0.0.0.0; implied by an IPv6 group\n"
	"  --wait S          give up when nothing has come for that long at the start (10)\n"
	"  --idle S          stop when nothing has come for that long later (2)\n"
	"  --every US        after the first packet look that often, instead of being woken by the next one\n"
	"  --truncate        read only the header of each packet: halves the cost of receiving\n";

struct config {
	const char *port, *group, *interface;
	double wait, idle;
	int64_t every; /* ns; 0 = wait for packets */
	unsigned int groups;
	int ipv6, truncate;
};

struct tally {
	uint64_t stream, received, duplicated, reordered, foreign, overflow;
	uint64_t next; /* highest number seen + 1 */
	uint64_t told; /* by the end marker */
	unsigned int greeted, groups; /* groups that a hello has come to, groups that were joined */
	uint8_t *hello_seen;	      /* one for each group */
	int started, ended;
	int64_t first, last, max_gap;
	uint8_t *seen;
	uint64_t seen_bytes;
};

static struct config parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"group", 1, NULL, 'g'}, {"interface", 1, NULL, 'i'}, {"ipv6", 0, NULL, '6'},	  {"wait", 1, NULL, 'w'},
		{"idle", 1, NULL, 'd'},	 {"help", 0, NULL, 'h'},      {"truncate", 0, NULL, 't'},
		{"groups", 1, NULL, 'n'}, {"every", 1, NULL, 'e'},   {}};
	struct config c = {.wait = 10, .idle = 2, .groups = 1};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'g': c.group = optarg; break;
		case 'n': c.groups = parse_number("--groups", optarg); break;
		case 'i': c.interface = optarg; break;
		case '6': c.ipv6 = 1; break;
		case 'w': c.wait = parse_number("--wait", optarg); break;
		case 'd': c.idle = parse_number("--idle", optarg); break;
		case 't': c.truncate = 1; break;
		case 'e': c.every = parse_number("--every", optarg) * 1000; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		exit(2);
	}
	c.port = argv[optind];
	if (c.group && strchr(c.group, ':'))
		c.ipv6 = 1;
	return c;
}

static void join(int fd, const struct config *c)
{
	struct sockaddr_storage base, group;

	parse_address(c->group, c->port, &base);
	for (unsigned int i = 0; i < c->groups; i++) {
		nth_group(&base, i, &group);
		join_group(fd, &group, c->interface);
	}
}

static int open_socket(const struct config *c)
{
	struct sockaddr_storage at;
	socklen_t length = parse_address(c->ipv6 ? "::" : "0.0.0.0", c->port, &at);
	int fd = socket(at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
	set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER, "SO_RCVBUFFORCE");
	set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1, "SO_RXQ_OVFL");
	if (bind(fd, (struct sockaddr *)&at, length))
		die("bind to port %s: %s", c->port, strerror(errno));
	if (c->group)
		join(fd, c);
	return fd;
}

static int mark_seen(struct tally *t, uint64_t sequence)
{
	uint64_t byte = sequence / 8;
	uint8_t bit = 1u << (sequence % 8);

	if (byte >= t->seen_bytes) {
		uint64_t bytes = (byte + 1) * 2;

		t->seen = realloc(t->seen, bytes);
		if (!t->seen)
			die("out of memory at packet %lu", sequence);
		memset(t->seen + t->seen_bytes, 0, bytes - t->seen_bytes);
		t->seen_bytes = bytes;
	}
	if (t->seen[byte] & bit)
		return 0;
	t->seen[byte] |= bit;
	return 1;
}

static void take(struct tally *t, const struct packet *packet, size_t size, int64_t now)
{
	if (size < sizeof(*packet) || packet->magic != PACKET_MAGIC || packet->sequence >> 40) {
		t->foreign++;
		return;
	}
	if (packet->kind == PACKET_HELLO) {
		if (packet->sequence >= t->groups || t->hello_seen[packet->sequence])
			return;
		t->hello_seen[packet->sequence] = 1;
		if (++t->greeted == t->groups) {
			puts("reached");
			fflush(stdout);
		}
		return;
	}
	if (!t->started) {
		t->started = 1;
		t->stream = packet->stream;
		t->first = t->last = now;
		puts("started");
		fflush(stdout);
	}
	if (packet->stream != t->stream) {
		t->foreign++;
		return;
	}
	if (packet->kind == PACKET_END) {
		t->ended = 1;
		t->told = packet->sequence;
		return;
	}
	if (!mark_seen(t, packet->sequence)) {
		t->duplicated++;
		return;
	}
	if (now - t->last > t->max_gap)
		t->max_gap = now - t->last;
	t->last = now;
	t->received++;
	if (packet->sequence < t->next)
		t->reordered++;
	else
		t->next = packet->sequence + 1;
}

static void note_overflow(struct tally *t, struct msghdr *header)
{
	for (struct cmsghdr *m = CMSG_FIRSTHDR(header); m; m = CMSG_NXTHDR(header, m))
		if (m->cmsg_level == SOL_SOCKET && m->cmsg_type == SO_RXQ_OVFL) {
			uint32_t dropped;

			memcpy(&dropped, CMSG_DATA(m), sizeof(dropped));
			t->overflow = dropped;
		}
}

/* Returns 0 if nothing has come for too long. */
static int wait_readable(int fd, const struct config *c, const struct tally *t)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (c->every && t->started) {
		sleep_until(now_ns() + c->every);
		return now_ns() - t->last < (int64_t)(c->idle * NS_PER_S);
	}
	return poll(&p, 1, (int)((t->started ? c->idle : c->wait) * 1000)) > 0;
}

static void receive_all(int fd, const struct config *c, struct tally *t)
{
	static char buffers[BATCH][PACKET_MAX + 1], controls[BATCH][64];
	struct mmsghdr messages[BATCH] = {};
	struct iovec pieces[BATCH];
	int got;

	while (!t->ended) {
		for (int i = 0; i < BATCH; i++) {
			pieces[i].iov_base = buffers[i];
			pieces[i].iov_len = c->truncate ? sizeof(struct packet) : sizeof(buffers[i]);
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i],
							      .msg_iovlen = 1,
							      .msg_control = controls[i],
							      .msg_controllen = sizeof(controls[i])};
		}
		got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			die("receive: %s", strerror(errno));
		if (got <= 0) {
			if (!wait_readable(fd, c, t))
				return;
			continue;
		}
		for (int i = 0; i < got; i++)
			take(t, (struct packet *)buffers[i], messages[i].msg_len, now_ns());
		note_overflow(t, &messages[got - 1].msg_hdr);
	}
}

static void report(const struct tally *t)
{
	double seconds = (double)(t->last - t->first) / NS_PER_S;
	char told[24] = "null";

	if (t->ended)
		snprintf(told, sizeof(told), "%lu", t->told);
	printf("{\"received\": %lu, \"sent\": %s, \"lost\": %ld, \"duplicated\": %lu, \"reordered\": %lu, \"foreign\": %lu, "
	       "\"overflow\": %lu, \"seconds\": %.6f, \"pps\": %.1f, \"max_gap_ms\": %.3f}\n",
	       t->received, told, (long)((t->ended ? t->told : t->next) - t->received), t->duplicated, t->reordered,
	       t->foreign, t->overflow, seconds, seconds > 0 ? (t->received - 1) / seconds : 0, t->max_gap / 1e6);
}

int main(int argc, char **argv)
{
	static struct tally t;
	struct config c = parse(argc, argv);
	int fd = open_socket(&c);

	t.groups = c.groups;
	t.hello_seen = calloc(c.groups, 1);
	if (!t.hello_seen)
		die("out of memory");
	puts("ready");
	fflush(stdout);
	receive_all(fd, &c, &t);
	report(&t);
	return t.started ? 0 : 1;
}
