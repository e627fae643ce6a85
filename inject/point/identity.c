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

#include "digits.h"

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

typedef struct StatLine
{
	char state;
	uint64_t threads;
	uint64_t start;
} StatLine;

/*
 * /proc/PID/stat from its third field on; the second may hold spaces and parentheses.  Fields 3, 20, 22.
 * All 0 when it cannot be read.
 */
static StatLine
read_stat(const char *path)
{
	StatLine line = {0, 0, 0};
	char text[1024];
	const char *at;

	if (!read_proc_file(path, text, sizeof(text)))
		return line;
	at = strrchr(text, ')');
	for (int field = 3; at != NULL && field <= 22; field++)
	{
		at = strchr(at + 1, ' ');
		if (at == NULL)
			break;
		if (field == 3)
			line.state = at[1];
		else if (field == 20)
			line.threads = scan_number(at);
		else if (field == 22)
			line.start = scan_number(at);
	}
	return line;
}

static uint64_t
start_time(const char *stat_path)
{
	return read_stat(stat_path).start;
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

static TableIdentity
read_identity(uint64_t pid, const char *stat_path)
{
	int saved_errno = errno;
	uint64_t start = start_time(stat_path) & FIELD_MASK;
	uint64_t namespace = own_namespace();

	errno = saved_errno;
	return pid << (2 * FIELD_BITS) | start << FIELD_BITS | namespace;
}

TableIdentity
identity_read_self(void)
{
	return read_identity((uint64_t) syscall(SYS_getpid), "/proc/self/stat");
}

TableIdentity
identity_read(pid_t pid)
{
	char path[64] = "/proc/";

	strcpy(append_number(path + strlen(path), (uint64_t) pid), "/stat");
	return read_identity((uint64_t) pid, path);
}

/*
 * Start time of the process behind a pidfd.  Its pid in the namespace of this /proc stands in fdinfo: a
 * container may see a /proc that is not of its own PID namespace.
 */
static uint64_t
start_time_by_pidfd(int pidfd)
{
	/* of this thread: /proc/self has no files once the main thread has ended */
	char path[64] = "/proc/thread-self/fdinfo/";
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

/* Whether this /proc calls us what we call ourselves: without pidfds, nothing translates. */
static bool
proc_is_ours(void)
{
	char text[1024];

	return read_proc_file("/proc/self/stat", text, sizeof(text)) &&
		   scan_number(text) == (uint64_t) syscall(SYS_getpid);
}

/*
 * For kernels, filters and tools (valgrind) that know no pidfds.  A zombie leader has ended only if it is
 * the last of its threads; what cannot be found out is no proof of death.
 */
static bool
alive_by_number(TableIdentity identity)
{
	char path[64] = "/proc/";
	StatLine line;

	if (syscall(SYS_kill, identity_pid(identity), 0) != 0 && errno == ESRCH)
		return false;
	if (!proc_is_ours())
		return true;
	strcpy(append_number(path + strlen(path), (uint64_t) identity_pid(identity)), "/stat");
	line = read_stat(path);
	if ((line.state == 'Z' || line.state == 'X') && line.threads <= 1)
		return false;
	return line.start == 0 || (line.start & FIELD_MASK) == (identity >> FIELD_BITS & FIELD_MASK);
}

static bool
alive_by_pidfd(TableIdentity identity, int pidfd)
{
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	struct timespec no_wait = {0, 0};
	uint64_t start;

	/* Readable: it has ended, though nobody may have waited for it yet. */
	if (syscall(SYS_ppoll, &ended, 1, &no_wait, NULL, 0) == 1)
		return false;
	start = start_time_by_pidfd(pidfd);
	return start == 0 || (start & FIELD_MASK) == (identity >> FIELD_BITS & FIELD_MASK);
}

bool
identity_alive(TableIdentity identity)
{
	int saved_errno = errno;
	bool alive = true;
	int pidfd;

	if ((identity & FIELD_MASK) != own_namespace())
	{
		errno = saved_errno;
		return true;
	}
	pidfd = (int) syscall(SYS_pidfd_open, identity_pid(identity), 0);
	if (pidfd >= 0)
	{
		alive = alive_by_pidfd(identity, pidfd);
		syscall(SYS_close, pidfd);
	}
	else if (errno == ENOSYS || errno == EPERM)
		alive = alive_by_number(identity);
	else
		/* ESRCH: nobody.  EINVAL, newer kernels ENOENT: a thread's number, no process has it. */
		alive = errno != ESRCH && errno != EINVAL && errno != ENOENT;
	errno = saved_errno;
	return alive;
}
