/*
 * identity.c
 *		Is that process the one that was meant, and does it still run?  Which boot and which namespace is this?
 *
 * A PID is only a number: it is reused, a zombie keeps it, a thread can have it.  A process is a PID together with
 * its start time; whether it runs is asked through a pidfd, which polls readable as soon as the process has ended,
 * reaped or not.  Where there are no pidfds, the number and /proc/PID/stat are asked: its state Z alone would not do, it
 * is also that of a leader that left its threads running.
 *
 * /proc may be the one of another PID namespace (an unshare without a mount), where our numbers mean other processes.
 * The start time is read only after the number has been translated.  What cannot be found out is no proof of death.
 * /proc shows start times by the boot clock of the reader's time namespace, which may be another than the writer's: ours are
 * those of a reader without offset, to a tick.  Who cannot know its offset calls nobody dead for a start time.
 *
 * Owner: nothing is kept between calls.  Thread safe; async-signal-safe but for snprintf; survives a death anywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <holdfast/recovery.h>

#include "identity.h"

#define BOOT_ID_LENGTH 36

/* Reads a small file whole; -1 with errno. */
static ssize_t
read_small_file(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;
	int saved_errno;

	if (fd < 0)
		return -1;
	do
		got = read(fd, buffer, size - 1);
	while (got < 0 && errno == EINTR);
	saved_errno = errno;
	(void) close(fd);
	errno = saved_errno;
	if (got >= 0)
		buffer[got] = '\0';
	return got;
}

/* What the process of `pidfd` is called under /proc; 0 when it is not to be seen there. */
static pid_t
number_under_proc(int pidfd)
{
	char path[64];
	char text[512];
	const char *line;

	/* Of this thread: /proc/self has no files once the main thread has ended. */
	(void) snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", pidfd);
	if (read_small_file(path, text, sizeof(text)) <= 0)
		return 0;
	line = strstr(text, "\nPid:");
	if (line == NULL)
		return 0;
	return (pid_t) strtol(line + strlen("\nPid:"), NULL, 10); /* -1: reaped meanwhile */
}

/* Without pidfds nothing translates: true when /proc calls us what we call ourselves. */
static bool
proc_is_of_our_namespace(void)
{
	char text[32];
	ssize_t got = readlink("/proc/self", text, sizeof(text) - 1);

	if (got <= 0)
		return false;
	text[got] = '\0';
	return strtol(text, NULL, 10) == (long) getpid();
}

typedef struct StatLine
{
	char state;
	int64_t threads;
	uint64_t start_time; /* field 22 */
} StatLine;

/* `number` is one under /proc. */
static bool
read_stat(pid_t number, StatLine *stat_line)
{
	char path[64];
	char text[1024];
	const char *name_end;

	(void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) number);
	if (number <= 0 || read_small_file(path, text, sizeof(text)) <= 0)
		return false;
	/* The name in parentheses may itself contain blanks and parentheses: fields are counted after the last. */
	name_end = strrchr(text, ')');
	return name_end != NULL &&
		   sscanf(name_end,
				  ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNd64
				  " %*s %" SCNu64,
				  &stat_line->state, &stat_line->threads, &stat_line->start_time) == 3;
}

/*
 * What /proc adds, for us, to every start time; false when that cannot be known: who has unshared the time namespace of its children
 * is shown only theirs.
 */
static bool
start_time_offset(int64_t *ticks)
{
	struct stat own, children;
	char text[256];
	const char *line;
	int64_t seconds, nanoseconds;

	*ticks = 0;
	if (stat("/proc/thread-self/ns/time", &own) < 0)
		return stat("/proc/thread-self/ns/pid", &own) == 0; /* a kernel without time namespaces */
	if (stat("/proc/thread-self/ns/time_for_children", &children) < 0 ||
		own.st_ino != children.st_ino ||
		read_small_file("/proc/self/timens_offsets", text, sizeof(text)) <= 0)
		return false;
	line = strstr(text, "boottime");
	if (line == NULL || sscanf(line, "boottime %" SCNd64 " %" SCNd64, &seconds, &nanoseconds) != 2)
		return false;
	*ticks = seconds * sysconf(_SC_CLK_TCK) + nanoseconds * sysconf(_SC_CLK_TCK) / 1000000000;
	return true;
}

/* A start time that /proc shows us now is not the one that was meant.  Rounding may move it by a tick where there is an offset. */
static bool
is_another(uint64_t shown, uint64_t meant)
{
	int64_t offset, difference;

	if (shown == 0 || shown == meant || !start_time_offset(&offset))
		return false; /* 0: not to be read, which proves nothing */
	difference = (int64_t) shown - offset - (int64_t) meant;
	return offset == 0 || difference < -1 || difference > 1;
}

static uint64_t
read_start_time(pid_t number)
{
	StatLine stat_line;

	return read_stat(number, &stat_line) ? stat_line.start_time : 0;
}

/* pidfd_open() failed because a kernel, a filter or a tool (valgrind) knows no pidfds. */
static bool
knows_no_pidfds(int open_errno)
{
	return open_errno == ENOSYS || open_errno == EPERM;
}

/* `pidfd` is what pidfd_open(pid) returned, `open_errno` why it did not. */
static uint64_t
start_time_of(pid_t pid, int pidfd, int open_errno)
{
	if (pidfd >= 0)
		return read_start_time(number_under_proc(pidfd));
	if (knows_no_pidfds(open_errno) && proc_is_of_our_namespace())
		return read_start_time(pid);
	return 0;
}

/* The process has ended, reaped or not. */
static bool
has_ended(int pidfd)
{
	struct pollfd poller = {.fd = pidfd, .events = POLLIN};
	int ready;

	do
		ready = poll(&poller, 1, 0);
	while (ready < 0 && errno == EINTR);
	return ready > 0 && (poller.revents & POLLIN) != 0;
}

/*
 * The same without a pidfd.  That kill() succeeds proves nothing, a zombie and a thread answer it; that nobody has the
 * number does.  A zombie leader is an ended process only if it is the last of its threads.
 */
static bool
has_ended_by_number(pid_t pid)
{
	StatLine stat_line;

	if (kill(pid, 0) < 0)
		return errno == ESRCH;
	return proc_is_of_our_namespace() && read_stat(pid, &stat_line) &&
		   (stat_line.state == 'Z' || stat_line.state == 'X') && stat_line.threads <= 1;
}

static int
open_pidfd(pid_t pid)
{
	return (int) syscall(SYS_pidfd_open, pid, 0);
}

uint64_t
holdfast_process_start_time(pid_t pid)
{
	int pidfd;
	uint64_t start_time;
	int64_t offset;

	if (pid <= 0)
		return 0;
	pidfd = open_pidfd(pid);
	start_time = start_time_of(pid, pidfd, errno);
	if (pidfd >= 0)
		(void) close(pidfd);
	if (start_time != 0 && start_time_offset(&offset) && offset < (int64_t) start_time)
		start_time -= (uint64_t) offset;
	return start_time;
}

bool
holdfast_process_is_dead(pid_t pid, uint64_t start_time)
{
	int pidfd;
	int open_errno;
	bool dead;

	if (pid <= 0)
		return true;
	pidfd = open_pidfd(pid);
	open_errno = errno;
	/* ESRCH: nobody.  EINVAL (ENOENT in newer kernels): a thread's number, no process has it. */
	if (pidfd < 0 && (open_errno == ESRCH || open_errno == EINVAL || open_errno == ENOENT))
		return true;
	dead = pidfd >= 0 ? has_ended(pidfd) : knows_no_pidfds(open_errno) && has_ended_by_number(pid);
	if (!dead && start_time != 0)
	{
		dead = is_another(start_time_of(pid, pidfd, open_errno), start_time);
	}
	if (pidfd >= 0)
		(void) close(pidfd);
	return dead;
}

bool
holdfast_identity_boot_id(char out[40])
{
	char text[64];
	ssize_t got = read_small_file("/proc/sys/kernel/random/boot_id", text, sizeof(text));

	if (got < 0)
		return false;
	if (got < BOOT_ID_LENGTH)
	{
		errno = EIO; /* read() set none */
		return false;
	}
	memcpy(out, text, BOOT_ID_LENGTH);
	out[BOOT_ID_LENGTH] = '\0';
	return true;
}

bool
holdfast_identity_namespaces(uint64_t *pid_namespace, uint64_t *ipc_namespace)
{
	struct stat info;

	if (stat("/proc/self/ns/pid", &info) < 0)
		return false;
	*pid_namespace = info.st_ino;
	if (stat("/proc/self/ns/ipc", &info) < 0)
		return false;
	*ipc_namespace = info.st_ino;
	return true;
}

bool
holdfast_identity_cookie(HoldfastCookie *out)
{
	for (;;)
	{
		ssize_t got = getrandom(out, sizeof(*out), 0);

		if (got < 0 && errno != EINTR)
			return false;
		/* Fewer bytes come only when a signal interrupts a kernel that still gathers entropy: again. */
		if (got == (ssize_t) sizeof(*out) && (out->word[0] != 0 || out->word[1] != 0))
			return true;
	}
}
