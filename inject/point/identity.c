/*
 * identity.c
 *		Which process it was, and whether it still lives.
 *
 * A pid alone is reused; with the start time, and the PID namespace in which the number means something, it
 * names one process.  All three fit one word (22 bits of pid are all that Linux gives out), so that a table
 * entry is claimed and judged in a single atomic access.
 *
 * Only raw system calls: this runs inside interposed functions, in signal handlers, after fork.
 */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIELD_BITS 21
#define FIELD_MASK ((UINT64_C(1) << FIELD_BITS) - 1)

/* The start of a small /proc file, NUL-terminated; false when it cannot be read. */
static bool
read_proc_file(const char *path, char *text, size_t size)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	long length;

	if (fd < 0)
		return false;
	length = syscall(SYS_read, fd, text, size - 1);
	syscall(SYS_close, fd);
	if (length <= 0)
		return false;
	text[length] = '\0';
	return true;
}

/* snprintf is not async-signal-safe. */
static char *
append_number(char *at, uint64_t number)
{
	char digits[20];
	int count = 0;

	do
	{
		digits[count++] = (char) ('0' + number % 10);
		number /= 10;
	} while (number != 0);
	while (count > 0)
		*at++ = digits[--count];
	*at = '\0';
	return at;
}

static uint64_t
scan_number(const char *text)
{
	uint64_t number = 0;

	while (*text == ' ' || *text == '\t')
		text++;
	for (; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + (uint64_t) (*text - '0');
	return number;
}

/* Field 22 of /proc/PID/stat; the second field may hold spaces and parentheses.  0: unknown. */
static uint64_t
start_time(const char *stat_path)
{
	char text[1024];
	const char *at;

	if (!read_proc_file(stat_path, text, sizeof(text)))
		return 0;
	at = strrchr(text, ')');
	for (int field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at == NULL ? 0 : scan_number(at);
}

static uint64_t
own_namespace(void)
{
	struct stat status;

	/* fstatat through libc would be fine, but is a wrapper that others may interpose. */
	if (syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/ns/pid", &status, 0) != 0)
		return 0;
	return (uint64_t) status.st_ino & FIELD_MASK;
}

TableIdentity
identity_read_self(void)
{
	int saved_errno = errno;
	uint64_t pid = (uint64_t) syscall(SYS_getpid);
	uint64_t start = start_time("/proc/self/stat") & FIELD_MASK;
	uint64_t namespace = own_namespace();

	errno = saved_errno;
	return pid << (2 * FIELD_BITS) | start << FIELD_BITS | namespace;
}

/*
 * Start time of the process behind a pidfd.  Its pid in the namespace of this /proc stands in fdinfo: a
 * container may see a /proc that is not of its own PID namespace.
 */
static uint64_t
start_time_by_pidfd(int pidfd)
{
	char path[64] = "/proc/self/fdinfo/";
	char text[512];
	const char *line;
	uint64_t pid;

	append_number(path + strlen(path), (uint64_t) pidfd);
	if (!read_proc_file(path, text, sizeof(text)))
		return 0;
	line = strstr(text, "\nPid:");
	if (line == NULL)
		return 0;
	pid = scan_number(line + strlen("\nPid:"));
	if (pid == 0)
		return 0;
	strcpy(path, "/proc/");
	strcpy(append_number(path + strlen(path), pid), "/stat");
	return start_time(path);
}

bool
identity_alive(TableIdentity identity)
{
	int saved_errno = errno;
	uint64_t start;
	struct pollfd ended = {.events = POLLIN};
	struct timespec no_wait = {0, 0};
	bool alive = true;

	if ((identity & FIELD_MASK) != own_namespace())
		goto done;
	ended.fd = (int) syscall(SYS_pidfd_open, identity_pid(identity), 0);
	if (ended.fd < 0)
	{
		alive = errno != ESRCH && errno != EINVAL;
		goto done;
	}
	/* Readable: it has ended, though nobody may have waited for it yet. */
	if (syscall(SYS_ppoll, &ended, 1, &no_wait, NULL, 0) == 1)
		alive = false;
	else
	{
		start = start_time_by_pidfd(ended.fd);
		alive = start == 0 || (start & FIELD_MASK) == ((identity >> FIELD_BITS) & FIELD_MASK);
	}
	syscall(SYS_close, ended.fd);
done:
	errno = saved_errno;
	return alive;
}
