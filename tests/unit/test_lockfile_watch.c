/*
 * test_lockfile_watch.c
 *		The server learns at once that somebody touched its lockfile, and is not woken for anything else.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "../support/directory.h"

static void
make_server(void)
{
	make_directory();
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
}

TestSuite(watch, .timeout = 60, .init = make_server);

static void
clean_up(void)
{
	UnlinkLockFiles(0, 0);
	(void) unlink(path_of(HOLDFAST_LOCKFILE_NAME));
	remove_directory();
}

static void
put(const char *name, const char *bytes, size_t length)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert(fd >= 0 && write(fd, bytes, length) == (ssize_t) length);
	close(fd);
}

static size_t
get(char bytes[HOLDFAST_LOCKFILE_SIZE_MAX])
{
	int fd = open(path_of(HOLDFAST_LOCKFILE_NAME), O_RDONLY | O_CLOEXEC);
	ssize_t got = read(fd, bytes, HOLDFAST_LOCKFILE_SIZE_MAX);

	close(fd);
	cr_assert(got > 0);
	return (size_t) got;
}

static bool
readable(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	return poll(&poller, 1, 0) == 1 && (poller.revents & POLLIN) != 0;
}

static int
watched(void)
{
	int fd = holdfast_lockfile_watch_fd();

	cr_assert(fd >= 0, "%s", holdfast_last_error()->message);
	cr_assert((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	cr_assert(!readable(fd));
	return fd;
}

Test(watch, other_files_wake_nobody)
{
	int fd = watched();

	put("data", "1", 1);
	cr_assert(unlink(path_of("data")) == 0);
	cr_assert(!readable(fd));
	cr_assert(holdfast_lockfile_watch_fd() == fd, "there is one");
	clean_up();
	cr_assert(fcntl(fd, F_GETFD) == -1 && errno == EBADF, "closed with the lockfile");
}

Test(watch, our_own_update_wakes_once_and_is_fine)
{
	int fd = watched();

	for (int i = 0; i < 3; i++)
	{
		cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_PM_STATUS, i % 2 ? "ready" : "busy") ==
				  HOLDFAST_OK);
		cr_assert(readable(fd));
		cr_assert(RecheckDataDirLockFile());
		cr_assert(!readable(fd));
	}
	clean_up();
}

Test(watch, removed)
{
	int fd = watched();

	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	cr_assert(readable(fd));
	cr_assert(!RecheckDataDirLockFile());
	clean_up();
}

/* The file that is watched is the newest, not the one of the start. */
Test(watch, replaced_after_an_update)
{
	int fd = watched();
	HoldfastLockfile file;
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	size_t length;

	cr_assert(AddToDataDirLockFile(LOCK_FILE_LINE_PM_STATUS, "ready") == HOLDFAST_OK);
	cr_assert(RecheckDataDirLockFile() && !readable(fd));
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	file.cookie.word[1] ^= 1;
	length = holdfast_lockfile_format(&file, bytes, sizeof(bytes));
	put("other", bytes, length);
	cr_assert(!readable(fd));
	cr_assert(rename(path_of("other"), path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	cr_assert(readable(fd));
	cr_assert(!RecheckDataDirLockFile());
	UnlinkLockFiles(0, 0);
	cr_assert(access(path_of(HOLDFAST_LOCKFILE_NAME), F_OK) == 0, "it is not ours to remove");
	clean_up();
}

/* Somebody restored a backup: what it says is right, and yet another hand is at work here. */
Test(watch, a_copy_is_not_the_file)
{
	int fd = watched();
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];

	put("copy", bytes, get(bytes));
	cr_assert(rename(path_of("copy"), path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	cr_assert(readable(fd));
	cr_assert(!RecheckDataDirLockFile());
	clean_up();
}

Test(watch, the_directory_is_moved_away)
{
	int fd = watched();
	char away[80];
	bool still;

	(void) snprintf(away, sizeof(away), "%s.away", dir);
	cr_assert(rename(dir, away) == 0);
	cr_assert(readable(fd));
	still = RecheckDataDirLockFile();
	cr_assert(rename(away, dir) == 0);
	cr_assert(!still);
	clean_up();
}

static char good[HOLDFAST_LOCKFILE_SIZE_MAX];
static size_t good_length;
static int writes;

/* In the middle of the look that found the file cut, its writer goes on. */
static void
write_the_rest(const HoldfastError *error, void *arg)
{
	(void) error;
	(void) arg;
	if (writes++ == 0)
		put(HOLDFAST_LOCKFILE_NAME, good, good_length);
}

Test(watch, written_again_in_place)
{
	int fd = watched();

	good_length = get(good);
	put(HOLDFAST_LOCKFILE_NAME, "", 0);
	cr_assert(readable(fd));
	holdfast_set_reporter(write_the_rest, NULL);
	cr_assert(RecheckDataDirLockFile());
	cr_assert(writes == 1, "it was told of a cut file %d times", writes);
	cr_assert(RecheckDataDirLockFile() && !readable(fd));

	put(HOLDFAST_LOCKFILE_NAME, "", 0);
	cr_assert(!RecheckDataDirLockFile(), "nobody mends it this time");
	clean_up();
}

Test(watch, a_child_takes_no_event_from_its_parent)
{
	int fd = watched();
	int status;
	pid_t pid;

	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0)
	{
		if (RecheckDataDirLockFile() || holdfast_lockfile_watch_fd() != -1 ||
			holdfast_last_error()->status != HOLDFAST_MISUSE)
			_exit(1);
		_exit(0);
	}
	cr_assert(waitpid(pid, &status, 0) == pid && status == 0);
	cr_assert(readable(fd));
	clean_up();
}

Test(watch, none_to_be_had)
{
	struct rlimit before, none;
	int fd;
	int lowest = dup(0);

	close(lowest);
	cr_assert(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = (struct rlimit){.rlim_cur = (rlim_t) lowest, .rlim_max = before.rlim_max};
	cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
	fd = holdfast_lockfile_watch_fd();
	cr_assert(setrlimit(RLIMIT_NOFILE, &before) == 0);
	cr_assert(fd == -1 && holdfast_last_error()->saved_errno == EMFILE);
	cr_assert(strstr(holdfast_last_error()->hint, "max_user_instances") != NULL);
	cr_assert(RecheckDataDirLockFile());

	/* Gone before it could be watched: the next look says so. */
	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	cr_assert(holdfast_lockfile_watch_fd() == -1);
	cr_assert(!RecheckDataDirLockFile());
	clean_up();
}
