/* Joins many groups, from any source or from some, through the socket API, and stays in them until it is killed. */
#include <getopt.h>
#include <unistd.h>

#include "common.h"

static const char usage[] =
	"usage: hold_groups [options] GROUP\n"
	"\n"
	"IPv4. Prints \"ready\" when all is joined. net.ipv4.igmp_max_memberships and igmp_max_msf must allow it.\n"
	"\n"
	"  --groups N        consecutive groups (1)\n"
	"  --sources N       consecutive sources of each, from 198.51.100.1 on; 0 = all there are (0)\n"
	"  --interface NAME  (eth0)\n";

#define PER_SOCKET 50 /* what a socket remembers is bounded by net.core.optmem_max */

static void join_sources(int fd, const struct sockaddr_storage *group, unsigned int sources, const char *interface)
{
	struct group_source_req request = {.gsr_interface = interface_index(interface), .gsr_group = *group};
	struct sockaddr_storage first;

	parse_address("198.51.100.1", "0", &first); /* RFC 5737, for documentation */
	for (unsigned int i = 0; i < sources; i++) {
		nth_group(&first, i, &request.gsr_source);
		if (setsockopt(fd, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &request, sizeof(request)))
			die("join source %u: %s", i, strerror(errno));
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"groups", 1, NULL, 'g'},
						{"sources", 1, NULL, 's'},
						{"interface", 1, NULL, 'i'},
						{"help", 0, NULL, 'h'},
						{}};
	unsigned int groups = 1, sources = 0;
	struct sockaddr_storage base, group;
	const char *interface = "eth0";
	int option, fd = -1;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'g': groups = parse_number("--groups", optarg); break;
		case 's': sources = parse_number("--sources", optarg); break;
		case 'i': interface = optarg; break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		return 2;
	}
	parse_address(argv[optind], "0", &base);
	for (unsigned int i = 0; i < groups; i++) {
		if (i % PER_SOCKET == 0 && (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
			die("socket: %s", strerror(errno));
		nth_group(&base, i, &group);
		if (sources)
			join_sources(fd, &group, sources, interface);
		else
			join_group(fd, &group, interface);
	}
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
