/*
 * lockfile_disk.c
 *		postmaster.pid and its guard on disk: read, replace as a whole, lock.
 *
 * Replace:	1 temporary file, written and fsynced		death: a temporary file, removed by the next write
 *			2 rename() over the old one, or link()		death: the new file in place, perhaps still under both names
 *			  where there must be none
 *			3 fsync of the directory					death: nothing to mend
 * The temporary file is made afresh each time, never opened and truncated: after a death in step 2 it is the lockfile.
 *
 * Owner: nothing is kept here but descriptors that the caller gets.  The one temporary name is used by the holder of the
 * guard alone.  Errors: false with errno, or as said.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject_point.h"
#include "lockfile_disk.h"
#include "report.h"

#define TEMPORARY_NAME HOLDFAST_LOCKFILE_NAME ".tmp"
#define FILE_MODE      0600
#define GUARD_TRIES    10 /* at a guard file that somebody keeps removing */

static const char *
path_of(const char *directory, const char *name, char *buffer)
{
	return holdfast_format(buffer, LOCKFILE_PATH_SIZE, "%s/%s", directory, name);
}

static void
close_quietly(int fd)
{
	int saved_errno = errno;

	(void) close(fd);
	errno = saved_errno;
}

static void
unlink_quietly(const char *path)
{
	int saved_errno = errno;

	(void) unlink(path);
	errno = saved_errno;
}

/* ---- reading ---- */

static ssize_t
read_all(int fd, char *bytes, Size capacity)
{
	Size length = 0;

	while (length < capacity)
	{
		ssize_t got = read(fd, bytes + length, capacity - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		length += (Size) got;
	}
	return (ssize_t) length;
}

HoldfastStatus
holdfast_lockfile_read_bytes(const char *data_dir, HoldfastLevel level, char *bytes, Size capacity,
							 Size *length)
{
	char path[LOCKFILE_PATH_SIZE];
	/* O_NONBLOCK: a FIFO of that name must not stop us. */
	int fd =
		open(path_of(data_dir, HOLDFAST_LOCKFILE_NAME, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got;

	*length = 0;
	if (fd < 0)
	{
		if (errno == ENOENT || errno == ENOTDIR)
			return HOLDFAST_NOT_FOUND;
		return report(level, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not open lock file \"%s\": %m", HOLDFAST_LOCKFILE_NAME);
	}
	got = read_all(fd, bytes, capacity);
	close_quietly(fd);
	if (got < 0)
		return report(level, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not read lock file \"%s\": %m", HOLDFAST_LOCKFILE_NAME);
	*length = (Size) got;
	return HOLDFAST_OK;
}

/* ---- writing ---- */

static bool
write_all(int fd, const char *bytes, Size length)
{
	while (length > 0)
	{
		ssize_t wrote = write(fd, bytes, length);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
		{
			if (wrote == 0)
				errno = ENOSPC; /* as PostgreSQL: no reason given means the disk is full */
			return false;
		}
		bytes += wrote;
		length -= (Size) wrote;
	}
	return true;
}

static bool
sync_directory(void)
{
	int fd = open(holdfast_data_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced;

	if (fd < 0)
		return false;
	/* EINVAL: a file system whose directories need no such thing. */
	synced = fsync(fd) == 0 || errno == EINVAL;
	close_quietly(fd);
	return synced;
}

static bool
id_of(int fd, FileId *id)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return false;
	*id = (FileId){.device = info.st_dev, .inode = info.st_ino};
	return true;
}

/* Everything of step 1; on failure no temporary file is left. */
static bool
write_temporary(const char *path, const char *bytes, Size length, FileId *id)
{
	bool written;
	int fd;

	/* What a dead starter left may be the lockfile itself, under its second name. */
	if (unlink(path) < 0 && errno != ENOENT)
		return false;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (fd < 0)
		return false;
	INJECT_POINT("lockfile/write/opened", INJECT_ANYWHERE,
				 "an empty temporary file: removed by the next write");
	written = write_all(fd, bytes, length);
	INJECT_POINT("lockfile/write/pre-fsync", INJECT_ANYWHERE,
				 "a temporary file that may not survive a power cut: removed by the next write");
	written = written && fsync(fd) == 0 && id_of(fd, id);
	if (!written)
		close_quietly(fd);
	else if (close(fd) < 0)
		written = false;
	if (!written)
		unlink_quietly(path);
	return written;
}

static bool
put_in_place(const char *temporary, const char *path, bool replace)
{
	if (replace)
		return rename(temporary, path) == 0;
	if (link(temporary, path) < 0)
		return false;
	INJECT_POINT("lockfile/write/linked", INJECT_ANYWHERE,
				 "the new lockfile under both names, its PID dead: stale; the next write removes "
				 "the second");
	return unlink(temporary) == 0;
}

bool
holdfast_lockfile_put_bytes(const char *bytes, Size length, bool replace, FileId *id)
{
	char temporary[LOCKFILE_PATH_SIZE];
	char path[LOCKFILE_PATH_SIZE];
	FileId written;

	(void) path_of(holdfast_data_directory(), TEMPORARY_NAME, temporary);
	(void) path_of(holdfast_data_directory(), HOLDFAST_LOCKFILE_NAME, path);
	if (!write_temporary(temporary, bytes, length, &written))
		return false;
	/* A watch is a comfort: that the kernel has none left must not stop a server. */
	(void) holdfast_watch_file(temporary);
	INJECT_POINT(
		"lockfile/write/pre-rename", INJECT_ANYWHERE,
		"a whole temporary file, the old lockfile in place: as if the write had not begun");
	if (!put_in_place(temporary, path, replace))
	{
		unlink_quietly(temporary);
		return false;
	}
	*id = written;
	INJECT_POINT("lockfile/write/renamed", INJECT_ANYWHERE,
				 "the new lockfile in place, perhaps not after a power cut, its PID dead: stale");
	if (!sync_directory())
		return false;
	INJECT_POINT("lockfile/write/synced", INJECT_ANYWHERE,
				 "the new lockfile in place for good, its PID dead: stale");
	return true;
}

bool
holdfast_lockfile_id(FileId *id)
{
	char path[LOCKFILE_PATH_SIZE];
	struct stat info;

	if (lstat(path_of(holdfast_data_directory(), HOLDFAST_LOCKFILE_NAME, path), &info) < 0)
		return false;
	*id = (FileId){.device = info.st_dev, .inode = info.st_ino};
	return true;
}

/* Not made durable by force: should it come back after a power cut, its boot ID says that it is stale. */
bool
holdfast_lockfile_remove(void)
{
	char path[LOCKFILE_PATH_SIZE];

	return unlink(path_of(holdfast_data_directory(), HOLDFAST_LOCKFILE_NAME, path)) == 0;
}

/* ---- guard ---- */

/* Somebody may have removed the file by hand while we waited for it: that lock would exclude nobody. */
static bool
is_still_there(int fd, const char *path)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
		   opened.st_dev == named.st_dev;
}

GuardResult
holdfast_guard_take(bool alone, int *fd)
{
	struct flock whole = {.l_type = alone ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
	char path[LOCKFILE_PATH_SIZE];

	(void) path_of(holdfast_data_directory(), HOLDFAST_LOCKFILE_GUARD, path);
	for (int i = 0; i < GUARD_TRIES; i++)
	{
		int guard = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
		bool locked;

		*fd = -1;
		if (guard < 0)
			return GUARD_FAILED;
		/* An open file description lock: children share it, the kernel drops it with the last of them. */
		locked = fcntl(guard, F_OFD_SETLK, &whole) == 0;
		if (locked && is_still_there(guard, path))
		{
			*fd = guard;
			return GUARD_TAKEN;
		}
		close_quietly(guard);
		if (!locked)
			return errno == EAGAIN || errno == EACCES ? GUARD_HELD : GUARD_FAILED;
	}
	errno = EAGAIN;
	return GUARD_FAILED;
}

bool
holdfast_guard_share(int fd)
{
	struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &whole) == 0;
}
