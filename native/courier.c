/* The courier, which container runtimes start: hands all it is given to the daemon, and prints what comes back.
 *
 * A container waits for it, and an interpreter takes longer to start than the daemon takes for all of its work.  So this
 * is a native program, and knows nothing of what it carries.  What is to be said or done without an answer is known to
 * the plugin in Python alone (src/ripstop/cni/plugin.py).  The courier has that with it, and becomes it when it must.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* linux/memfd.h, since Linux 6.3 */
#endif
#define CHUNK 65536 /* bytes */
#define ENDED 0	    /* the daemon ended before it answered: in place of an error number */

enum code { IO = 5, LATER = 11, UNAVAILABLE = 50 }; /* of the CNI specification, section 5 */

/* Filled in by `ripstop cni install` (src/ripstop/cni/assembly.py), which finds it by its mark in the compiled file.
 * It is not static, or the compiler would take it for what it is here. */
struct luggage {
	char mark[16];
	char run_dir[104];  /* where the daemon's socket is */
	char python[256];   /* interpreter of the script */
	char latest[16];    /* version of the specification */
	char versions[80];  /* of it that we speak, as JSON */
	uint32_t patience;  /* seconds without an answer */
	uint32_t most;	    /* bytes that a configuration may have; the daemon says so if it has more */
	uint32_t size;	    /* bytes of the script */
	char script[65536]; /* the plugin in Python */
} luggage = {.mark = "ripstop-luggage"};

struct text {
	char *bytes;
	size_t length, room;
};

/* Make room behind a text; return where it is, NULL if there is none. */
static char *behind(struct text *text, size_t more)
{
	if (text->room - text->length < more) {
		size_t room = 2 * text->room + more;
		char *moved = realloc(text->bytes, room);

		if (!moved)
			return NULL;
		text->bytes = moved;
		text->room = room;
	}
	return text->bytes + text->length;
}

static int append(struct text *text, const void *bytes, size_t length)
{
	char *to = behind(text, length);

	if (!to)
		return -1;
	memcpy(to, bytes, length);
	text->length += length;
	return 0;
}

/* Read to the end, or until a text is that long. */
static int read_all(int fd, struct text *text, size_t most)
{
	while (text->length < most) {
		char *to = behind(text, CHUNK);
		ssize_t got;

		if (!to)
			return -1;
		got = read(fd, to, CHUNK);
		if (got > 0)
			text->length += got;
		else if (got == 0)
			break;
		else if (errno != EINTR)
			return -1;
	}
	return 0;
}

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t put = write(fd, bytes, length);

		if (put < 0 && errno != EINTR)
			return -1;
		if (put > 0) {
			bytes += put;
			length -= put;
		}
	}
	return 0;
}

/* Nothing that is opened later must take the place of a standard stream that is closed: hold it with what cannot be
 * read or written either. */
static void hold_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

/* Put together what the daemon is told: its length, five words that each end with a zero byte, the configuration. */
static int pack(struct text *request, size_t *config)
{
	static const char *const names[] = {"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"};
	uint32_t length = 0;

	if (append(request, &length, sizeof(length)))
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *word = getenv(names[i]) ?: "";

		if (append(request, word, strlen(word) + 1))
			return -1;
	}
	*config = request->length;
	if (read_all(STDIN_FILENO, request, *config + luggage.most + 1)) /* one more tells that it is too much */
		return -1;
	length = htonl(request->length - sizeof(length));
	memcpy(request->bytes, &length, sizeof(length));
	return 0;
}

/* Ask the daemon.  The socket blocks, and the kernel minds the time: one that does not block would be refused when many
 * ask at once.  A process that was stopped finds its call interrupted when it goes on, without any handler: signal(7). */
static int ask(const char *path, const struct text *request, struct text *answer)
{
	const struct timeval limit = {.tv_sec = luggage.patience};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int daemon;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	daemon = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (daemon < 0 || setsockopt(daemon, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(daemon, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)))
		return -1;
	while (connect(daemon, (struct sockaddr *)&address, sizeof(address)))
		if (errno != EINTR)
			return -1;
	return write_all(daemon, request->bytes, request->length) || read_all(daemon, answer, SIZE_MAX) ? -1 : 0;
}

/* Return a file in memory, to be read from its begin. */
static int file_of(const char *bytes, size_t length)
{
	int fd = memfd_create("ripstop-cni", MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("ripstop-cni", 0);
	return fd < 0 || write_all(fd, bytes, length) || lseek(fd, 0, SEEK_SET) ? -1 : fd;
}

/* Become the plugin in Python, begun as the kernel begins a script.  The last argument says why the daemon gave no
 * answer, so that it is not asked twice; NULL if it was not asked.  Returns only if that cannot be, with the reason in
 * errno. */
static void become_python(const char *trouble)
{
	int script = file_of(luggage.script, luggage.size);
	char path[32];

	if (script < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", script);
	if (!access(path, R_OK))
		execl(luggage.python, luggage.python, "-IS", path, trouble, (char *)NULL);
}

/* Fail for want of Python, which would have said it in the version of the question. */
__attribute__((format(printf, 2, 3))) static int refuse(enum code code, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
			*c = '?'; /* it is JSON */
	printf("{\"cniVersion\": \"%s\", \"code\": %d, \"msg\": \"%s\"}", luggage.latest, code, text);
	fflush(stdout);
	return 1;
}

/* Say which versions we speak: Python alone can say it in the version of the question. */
static int version(void)
{
	become_python(NULL);
	printf("{\"cniVersion\": \"%s\", \"supportedVersions\": %s}", luggage.latest, luggage.versions);
	return fflush(stdout) ? 1 : 0;
}

int main(void)
{
	const char *command = getenv("CNI_COMMAND") ?: "", *run_dir = getenv("RIPSTOP_RUN_DIR") ?: "";
	struct text request = {}, answer = {};
	char path[PATH_MAX], number[16];
	int trouble, input;
	size_t config;

	signal(SIGPIPE, SIG_IGN); /* an error that is returned can be told */
	signal(SIGXFSZ, SIG_IGN);
	hold_streams();
	if (!strcmp(command, "VERSION"))
		return version();
	if (pack(&request, &config)) {
		trouble = errno;
		become_python(NULL); /* which finds the same */
		return refuse(IO, "cannot read the configuration: %s", strerror(trouble));
	}
	snprintf(path, sizeof(path), "%s/cni.sock", *run_dir ? run_dir : luggage.run_dir);
	trouble = ask(path, &request, &answer) ? errno : ENDED;
	if (!trouble && answer.length) /* the first byte is the exit code */
		return write_all(STDOUT_FILENO, answer.bytes + 1, answer.length - 1) ? 1 : (unsigned char)answer.bytes[0];
	input = file_of(request.bytes + config, request.length - config);
	snprintf(number, sizeof(number), "%d", trouble);
	if (input >= 0 && dup2(input, STDIN_FILENO) == STDIN_FILENO)
		become_python(number);
	return refuse(strcmp(command, "STATUS") ? LATER : UNAVAILABLE,
		      "no daemon answers on %s: %s; start one with `ripstop up` (%s, which could do without one: %s)", path,
		      trouble ? strerror(trouble) : "it ended before that", luggage.python, strerror(errno));
}
