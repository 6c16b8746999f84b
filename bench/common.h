/* Small things that every traffic generator needs. */
#ifndef COMMON_H
#define COMMON_H

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define NS_PER_S 1000000000ll
#define SOCKET_BUFFER (64 << 20) /* bytes; SO_RCVBUFFORCE and SO_SNDBUFFORCE need root */

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static inline int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static inline void sleep_until(int64_t when)
{
	struct timespec t = {.tv_sec = when / NS_PER_S, .tv_nsec = when % NS_PER_S};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static inline double parse_number(const char *option, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || value < 0)
		die("%s: not a number: %s", option, text);
	return value;
}

/* Numeric IPv4 or IPv6 (with %interface for link-local ones). */
static inline socklen_t parse_address(const char *host, const char *port, struct sockaddr_storage *out)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
	struct addrinfo *found;
	int error = getaddrinfo(host, port, &hints, &found);
	socklen_t length;

	if (error)
		die("%s port %s: %s", host, port, gai_strerror(error));
	length = found->ai_addrlen;
	memcpy(out, found->ai_addr, length);
	freeaddrinfo(found);
	return length;
}

/* The multicast group that is `offset` above `base`, which may be unicast if offset is 0. */
static inline void nth_group(const struct sockaddr_storage *base, uint32_t offset, struct sockaddr_storage *out)
{
	uint32_t *last;

	*out = *base;
	last = out->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)out)->sin6_addr.s6_addr32[3]
					  : &((struct sockaddr_in *)out)->sin_addr.s_addr;
	*last = htonl(ntohl(*last) + offset);
}

static inline void set_option(int fd, int level, int option, int value, const char *what)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		die("%s: %s", what, strerror(errno));
}

static inline unsigned int interface_index(const char *name)
{
	unsigned int index = if_nametoindex(name);

	if (!index)
		die("interface %s: %s", name, strerror(errno));
	return index;
}

static inline void join_group(int fd, const struct sockaddr_storage *group, const char *interface)
{
	struct group_req request = {.gr_interface = interface ? interface_index(interface) : 0, .gr_group = *group};
	int level = group->ss_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;

	if (setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof(request)))
		die("join: %s", strerror(errno));
}

#endif
