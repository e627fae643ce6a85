/*
 * lockfile_watch.c
 *		The kernel tells as soon as somebody touches the lockfile, or moves the data directory away.
 *
 * Watched are two inodes, not names: the lockfile's own, and the directory's for what happens to itself.  So whatever else
 * goes on in a busy directory wakes nobody.  Our own next lockfile is watched before it is put in place, under its temporary
 * name: there is no moment at which another's file could take its place unseen.  That it then moves into place is an event
 * as well; the look that follows it costs one read.
 *
 * Owner: `watch` is the process's that opened it.  A child inherits the descriptor and never touches it, for what it read
 * would be missing in its parent.  Thread safety: one thread.  Signal safety: none.
 * Crash safety: nothing outlives the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lockfile_disk.h"

#define FILE_EVENTS      (IN_ATTRIB | IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF)
#define DIRECTORY_EVENTS (IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR)

#define REFUSALS_MAX 10 /* one may be an event that came after the read */

static struct
{
	int fd; /* -1: none */
	pid_t pid;
	unsigned refusals; /* times in a row that nothing was read and events were there all the same */
} watch = {.fd = -1};

bool
holdfast_watch_is_open(void)
{
	return watch.fd >= 0 && watch.pid == getpid();
}

int
holdfast_watch_open(const char *directory)
{
	if (holdfast_watch_is_open())
		return watch.fd;
	holdfast_watch_close();
	watch.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	watch.pid = getpid();
	watch.refusals = 0;
	if (watch.fd >= 0 && inotify_add_watch(watch.fd, directory, DIRECTORY_EVENTS) < 0)
	{
		int saved_errno = errno;

		holdfast_watch_close();
		errno = saved_errno;
	}
	return watch.fd;
}

bool
holdfast_watch_file(const char *path)
{
	return !holdfast_watch_is_open() || inotify_add_watch(watch.fd, path, FILE_EVENTS) >= 0;
}

/*
 * Events that cannot be taken would keep the descriptor readable for ever, and whoever polls it busy.  Callers know its
 * number: it stays, and is another instance that watches nothing.
 */
static void
watch_nothing(void)
{
	int quiet = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (quiet >= 0)
	{
		(void) dup3(quiet, watch.fd, O_CLOEXEC);
		(void) close(quiet);
	}
}

/* Does the kernel say again and again that there are events, and give none? */
static bool
refuses(bool took_some)
{
	struct pollfd events = {.fd = watch.fd, .events = POLLIN};

	if (took_some || poll(&events, 1, 0) <= 0)
		watch.refusals = 0;
	else
		watch.refusals++;
	return watch.refusals >= REFUSALS_MAX;
}

void
holdfast_watch_drain(void)
{
	char events[4096];
	bool took_some = false;
	ssize_t got;

	if (!holdfast_watch_is_open())
		return;
	/* What they say does not matter: whoever calls this looks at the file itself.  A full queue only says it again. */
	while ((got = read(watch.fd, events, sizeof(events))) > 0)
		took_some = true;
	if ((got < 0 && errno != EAGAIN && errno != EINTR) || refuses(took_some))
		watch_nothing();
}

void
holdfast_watch_close(void)
{
	if (watch.fd >= 0)
		(void) close(watch.fd);
	watch.fd = -1;
}
