/*
 * lockfile.c
 *		postmaster.pid and its guard: taking a data directory, keeping it, giving it back.
 *
 * Create:	1 lock the guard file, for as long as this process or a child of it lives
 *				refused: a process of some incarnation lives, in whatever PID namespace
 *			2 judge the lockfile that is there, and every segment of this directory
 *				a living PID, an attached segment, a file nobody can read: refused, and nothing was changed
 *			3 write a temporary file, fsync it              death: a temporary file, overwritten by the next start
 *			4 put it in place: link() where there was none, rename() over a stale one
 *															death: our lockfile with a dead PID: stale
 *			5 fsync the directory
 * Only the holder of the guard gets to 2, so starters cannot take each other's file for stale.
 *
 * Update:	3, rename(), 5; only while the file in place carries our cookie.
 *
 * Owner: `mine` describes the file we own; used by the process that created it and by nobody it forked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "data_directory.h"
#include "identity.h"
#include "inject_point.h"
#include "lockfile_internal.h"
#include "report.h"
#include "segment_internal.h"

#define TEMPORARY_NAME HOLDFAST_LOCKFILE_NAME ".tmp" /* one is enough: the guard has one holder */

static struct
{
	HoldfastLockfile file;
	pid_t pid; /* 0: we own none */
	int guard_fd;
} mine = {.guard_fd = -1};

/* What we replaced: tells half-made segments of the last incarnation. */
static HoldfastLockfile replaced;

/* ---- paths and bytes ---- */

static const char *
path_of(const char *directory, const char *name, char *buffer, Size size)
{
	return holdfast_format(buffer, size, "%s/%s", directory, name);
}

#define PATH_SIZE (sizeof(mine.file.data_dir) + 64)

/* HOLDFAST_NOT_FOUND without a report: the caller decides whether that is bad. */
static HoldfastStatus
read_lockfile(const char *data_dir, char *bytes, Size capacity, Size *length)
{
	char path[PATH_SIZE];
	int fd = open(path_of(data_dir, HOLDFAST_LOCKFILE_NAME, path, sizeof(path)),
				  O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got;
	int saved_errno;

	*length = 0;
	if (fd < 0)
	{
		if (errno == ENOENT || errno == ENOTDIR)
			return HOLDFAST_NOT_FOUND;
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not open lock file \"%s\": %m", HOLDFAST_LOCKFILE_NAME);
	}
	do
	{
		got = read(fd, bytes + *length, capacity - *length);
		if (got > 0)
			*length += (Size) got;
	} while ((got > 0 && *length < capacity) || (got < 0 && errno == EINTR));
	saved_errno = errno;
	(void) close(fd);
	if (got < 0)
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, saved_errno, NULL, NULL,
					  "could not read lock file \"%s\": %m", HOLDFAST_LOCKFILE_NAME);
	return HOLDFAST_OK;
}

/* As holdfast_lockfile_read(), but says nothing when there is none. */
static HoldfastStatus
load(const char *data_dir, HoldfastLockfile *out)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX + 1];
	Size length;
	HoldfastStatus status = read_lockfile(data_dir, bytes, sizeof(bytes), &length);

	memset(out, 0, sizeof(*out));
	return status < 0 ? status : holdfast_lockfile_parse(bytes, length, out);
}

HoldfastStatus
holdfast_lockfile_read(const char *data_dir, HoldfastLockfile *out)
{
	HoldfastStatus status = load(data_dir, out);

	if (status == HOLDFAST_NOT_FOUND)
		return report(HOLDFAST_ERROR, HOLDFAST_NOT_FOUND, ENOENT, NULL, NULL,
					  "lock file \"%s/%s\" does not exist", data_dir, HOLDFAST_LOCKFILE_NAME);
	return status;
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
	int saved_errno;

	if (fd < 0)
		return false;
	synced = fsync(fd) == 0;
	saved_errno = errno;
	(void) close(fd);
	errno = saved_errno;
	return synced;
}

static bool
write_temporary(const char *path, const char *bytes, Size length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool written;
	int saved_errno;

	if (fd < 0)
		return false;
	INJECT_POINT("lockfile/write/opened", INJECT_ANYWHERE,
				 "an empty temporary file: the next start overwrites it");
	written = write_all(fd, bytes, length);
	INJECT_POINT("lockfile/write/pre-fsync", INJECT_ANYWHERE,
				 "a temporary file that may not survive a power cut: the next start overwrites it");
	written = written && fsync(fd) == 0;
	saved_errno = errno;
	if (close(fd) < 0 && written)
	{
		saved_errno = errno;
		written = false;
	}
	errno = saved_errno;
	return written;
}

/* Puts `file` in place as a whole.  On failure what was in place still is. */
static HoldfastStatus
install(const HoldfastLockfile *file, bool replace)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	char temporary[PATH_SIZE];
	char path[PATH_SIZE];
	Size length = holdfast_lockfile_format(file, bytes, sizeof(bytes));
	bool done;
	int saved_errno;

	(void) path_of(holdfast_data_directory(), TEMPORARY_NAME, temporary, sizeof(temporary));
	(void) path_of(holdfast_data_directory(), HOLDFAST_LOCKFILE_NAME, path, sizeof(path));
	if (length == 0)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "the contents do not fit lock file \"%s\"", HOLDFAST_LOCKFILE_NAME);
	done = write_temporary(temporary, bytes, length);
	if (done)
	{
		INJECT_POINT(
			"lockfile/write/pre-rename", INJECT_ANYWHERE,
			"a whole temporary file, the old lockfile in place: as if the write had not begun");
		done = (replace ? rename(temporary, path) : link(temporary, path)) == 0;
		INJECT_POINT(
			"lockfile/write/renamed", INJECT_ANYWHERE,
			"the new lockfile in place, perhaps not after a power cut, its PID dead: stale");
		saved_errno = errno;
		if (!replace || !done)
			(void) unlink(temporary);
		errno = saved_errno;
		done = done && sync_directory();
	}
	else
	{
		saved_errno = errno;
		(void) unlink(temporary);
		errno = saved_errno;
	}
	INJECT_POINT("lockfile/write/synced", INJECT_ANYWHERE,
				 "the new lockfile in place for good, its PID dead: stale");
	if (done)
		return HOLDFAST_OK;
	return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL,
				  errno == EROFS || errno == EACCES ? "The server must be able to write there."
													: NULL,
				  "could not write lock file \"%s/%s\": %m", holdfast_data_directory(),
				  HOLDFAST_LOCKFILE_NAME);
}

/* ---- who is there ---- */

static HoldfastStatus
lock_guard(bool *held_by_another)
{
	char path[PATH_SIZE];
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	*held_by_another = false;
	mine.guard_fd =
		open(path_of(holdfast_data_directory(), HOLDFAST_LOCKFILE_GUARD, path, sizeof(path)),
			 O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (mine.guard_fd < 0)
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL,
					  errno == EROFS || errno == EACCES ? "The server must be able to write there."
														: NULL,
					  "could not create lock file \"%s\": %m", path);
	/* An open file description lock: children share it, the kernel drops it with the last of them. */
	if (fcntl(mine.guard_fd, F_OFD_SETLK, &whole) == 0)
		return HOLDFAST_OK;
	if (errno != EAGAIN && errno != EACCES)
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not lock file \"%s\": %m", path);
	*held_by_another = true;
	return HOLDFAST_OK;
}

static void
drop_guard(void)
{
	if (mine.guard_fd >= 0)
		(void) close(mine.guard_fd);
	mine.guard_fd = -1;
}

static HoldfastStatus
refuse_segment(unsigned long key, unsigned long id)
{
	char hint[512];

	return report(HOLDFAST_FATAL, HOLDFAST_IN_USE, 0, NULL,
				  holdfast_format(hint, sizeof(hint),
								  "Terminate any old server processes associated with data "
								  "directory \"%.300s\".",
								  holdfast_data_directory()),
				  "pre-existing shared memory block (key %lu, ID %lu) is still in use", key, id);
}

static HoldfastStatus
refuse_pid(const HoldfastLockfile *file)
{
	char hint[512];

	return report(HOLDFAST_FATAL, HOLDFAST_IN_USE, 0, NULL,
				  holdfast_format(hint, sizeof(hint),
								  "Is another %s (PID %d) running in data directory \"%.300s\"?",
								  file->standalone ? "postgres" : "postmaster", (int) file->pid,
								  holdfast_data_directory()),
				  "lock file \"%s\" already exists", HOLDFAST_LOCKFILE_NAME);
}

/* Is the PID in that file one that we can ask the kernel about, and is its process alive? */
static bool
writer_lives(const HoldfastLockfile *file, const HoldfastLockfile *self)
{
	const char *grandparent = getenv("PG_GRANDPARENT_PID");

	if (file->is_ours)
	{
		if (file->pid_namespace != self->pid_namespace)
			return false; /* the number means nothing here; the guard and the segments decide */
		return !holdfast_process_is_dead(file->pid, file->pid_start_time);
	}
	/* A plain PostgreSQL file has only the number.  These cannot be a server in this directory. */
	if (file->pid == getpid() || file->pid == getppid() ||
		(grandparent != NULL && file->pid == atoi(grandparent)))
		return false;
	return !holdfast_process_is_dead(file->pid, 0);
}

/* OK: stale.  The boot that wrote it is over, its processes and its segments with it? */
static HoldfastStatus
judge_file(const HoldfastLockfile *file, const HoldfastLockfile *self)
{
	if (file->is_ours && strcmp(file->boot_id, self->boot_id) != 0)
		return HOLDFAST_OK;
	if (writer_lives(file, self))
		return refuse_pid(file);
	if (file->has_segment && PGSharedMemoryIsInUse(file->shmem_key, file->shmem_id))
		return refuse_segment(file->shmem_key, file->shmem_id);
	return HOLDFAST_OK;
}

/* The file that is there: NOT_FOUND, OK (stale, decoded in *file), or refused. */
static HoldfastStatus
judge_existing(const HoldfastLockfile *self, HoldfastLockfile *file)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX + 1];
	Size length;
	HoldfastStatus status = read_lockfile(holdfast_data_directory(), bytes, sizeof(bytes), &length);

	if (status < 0)
		return status;
	if (length == 0)
		return report(HOLDFAST_FATAL, HOLDFAST_DAMAGED, 0, NULL,
					  "Either another server is starting, or the lock file is the remnant of a "
					  "previous server startup crash.",
					  "lock file \"%s\" is empty", HOLDFAST_LOCKFILE_NAME);
	status = holdfast_lockfile_parse(bytes, length, file);
	if (status < 0)
		return report(HOLDFAST_FATAL, status, 0, holdfast_last_error()->message,
					  "If you are sure that no old server is running, remove the lock file by hand "
					  "and try again.",
					  "bogus data in lock file \"%s\"", HOLDFAST_LOCKFILE_NAME);
	return judge_file(file, self);
}

/* Whatever the lockfile says or does not say: nobody may be attached to a segment of this directory. */
static HoldfastStatus
judge_segments(void)
{
	HoldfastOrphan found;

	switch (holdfast_segments_in_use(&found))
	{
		case SEGMENTS_UNUSED:
			return HOLDFAST_OK;
		case SEGMENTS_IN_USE:
			return refuse_segment((unsigned long) (uint32_t) found.key,
								  (unsigned long) found.shmid);
		case SEGMENTS_UNKNOWN:
			break;
	}
	return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
				  "could not look for old shared memory segments: %m");
}

static HoldfastStatus
refuse_guard(void)
{
	char hint[512];

	return report(
		HOLDFAST_FATAL, HOLDFAST_IN_USE, 0,
		"A process of another server, perhaps in another container, holds the guard file.",
		holdfast_format(hint, sizeof(hint),
						"Terminate any old server processes associated with data "
						"directory \"%.300s\".",
						holdfast_data_directory()),
		"data directory is still in use");
}

/* ---- create ---- */

static HoldfastStatus
describe_self(bool amPostmaster, HoldfastLockfile *self)
{
	memset(self, 0, sizeof(*self));
	self->pid = getpid();
	self->standalone = !amPostmaster;
	(void) holdfast_format(self->data_dir, sizeof(self->data_dir), "%s", holdfast_data_directory());
	self->start_time_s = (int64_t) time(NULL);
	self->is_ours = true;
	self->pid_start_time = holdfast_process_start_time(self->pid);
	if (self->pid_start_time == 0 || !holdfast_identity_boot_id(self->boot_id) ||
		!holdfast_identity_namespaces(&self->pid_namespace, &self->ipc_namespace) ||
		!holdfast_identity_cookie(&self->cookie))
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, "Is /proc mounted?",
					  "could not find out the identity of this process: %m");
	return HOLDFAST_OK;
}

static HoldfastStatus
take_directory(const HoldfastLockfile *self)
{
	HoldfastLockfile found;
	bool guard_held;
	bool replace;
	HoldfastStatus status = lock_guard(&guard_held);

	if (status < 0)
		return status;
	INJECT_POINT("lockfile/create/guarded", INJECT_ANYWHERE,
				 "a guard file without a lock: nothing to mend");
	status = judge_existing(self, &found);
	if (status < 0 && status != HOLDFAST_NOT_FOUND)
		return status;
	replace = status == HOLDFAST_OK;
	status = judge_segments();
	if (status < 0)
		return status;
	if (guard_held)
		return refuse_guard();
	INJECT_POINT("lockfile/create/judged", INJECT_ANYWHERE,
				 "the stale lockfile is still there: as before the start");
	status = install(self, replace);
	if (status < 0)
		UnlinkLockFiles(0, 0); /* it may be in place, only not synced */
	else if (replace)
		replaced = found;
	return status;
}

HoldfastStatus
CreateDataDirLockFile(bool amPostmaster)
{
	HoldfastLockfile self;
	HoldfastStatus status;

	if (holdfast_data_directory()[0] == '\0' || mine.pid == getpid())
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  mine.pid != 0 ? "this process has a lock file already"
									: "call holdfast_set_data_directory() first");
	drop_guard(); /* of a parent: a child that becomes a server of its own */
	status = describe_self(amPostmaster, &self);
	if (status < 0)
		return status;
	mine.file = self;
	mine.pid = self.pid;
	status = take_directory(&self);
	if (status < 0)
	{
		mine.pid = 0;
		drop_guard();
		return status;
	}
	status = on_proc_exit(UnlinkLockFiles, 0);
	if (status < 0)
		UnlinkLockFiles(0, 0);
	return status;
}

/* ---- update ---- */

static bool
still_ours(const HoldfastLockfile *file)
{
	return file->is_ours && cookies_equal(&file->cookie, &mine.file.cookie);
}

static HoldfastStatus
update(const HoldfastLockfile *next)
{
	HoldfastLockfile found;
	HoldfastStatus status;

	status = load(holdfast_data_directory(), &found);
	if (status < 0 || !still_ours(&found))
		return report(HOLDFAST_FATAL, HOLDFAST_IN_USE, 0, NULL,
					  "Stop this server: another may have taken its data directory.",
					  "lock file \"%s\" is no longer ours", HOLDFAST_LOCKFILE_NAME);
	status = install(next, true);
	if (status == HOLDFAST_OK)
		mine.file = *next;
	return status;
}

static HoldfastStatus
refuse_update(void)
{
	return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
				  "only the process that created the lock file may change it");
}

HoldfastStatus
RecordSharedMemoryInLockFile(unsigned long memKey, unsigned long shmid)
{
	HoldfastLockfile next = mine.file;

	if (!holdfast_lockfile_is_mine())
		return refuse_update();
	next.has_segment = true;
	next.shmem_key = memKey;
	next.shmem_id = shmid;
	INJECT_POINT("lockfile/record/begin", INJECT_ANYWHERE,
				 "a segment with our header that no lockfile names: found by scanning, recycled");
	return update(&next);
}

HoldfastStatus
holdfast_lockfile_record_intent(IpcMemoryKey key)
{
	HoldfastLockfile next = mine.file;

	if (!holdfast_lockfile_is_mine())
		return refuse_update();
	next.has_intent = true;
	next.intent_key = key;
	return update(&next);
}

HoldfastStatus
AddToDataDirLockFile(int target_line, const char *str)
{
	HoldfastLockfile next = mine.file;
	char *field;
	Size size;
	char *end;
	long port;

	if (!holdfast_lockfile_is_mine())
		return refuse_update();
	if (str == NULL || strpbrk(str, "\r\n") != NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "a line of the lock file must not contain a line end");
	switch (target_line)
	{
		case LOCK_FILE_LINE_PORT:
			port = strtol(str, &end, 10);
			if (*str == '\0' || *end != '\0' || port < 1 || port > 65535)
				return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
							  "\"%s\" is not a port", str);
			next.port = (int) port;
			return update(&next);
		case LOCK_FILE_LINE_SOCKET_DIR:
			field = next.socket_dir;
			size = sizeof(next.socket_dir);
			break;
		case LOCK_FILE_LINE_LISTEN_ADDR:
			field = next.listen_addr;
			size = sizeof(next.listen_addr);
			break;
		case LOCK_FILE_LINE_PM_STATUS:
			field = next.status;
			size = sizeof(next.status);
			break;
		default:
			return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
						  "line %d of the lock file is not for callers", target_line);
	}
	if (strlen(str) >= size)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "line %d of the lock file has at most %zu bytes", target_line, size - 1);
	memset(field, 0, size);
	memcpy(field, str, strlen(str));
	return update(&next);
}

/* ---- keep, give back ---- */

bool
RecheckDataDirLockFile(void)
{
	HoldfastLockfile found;
	HoldfastStatus status = load(holdfast_data_directory(), &found);

	if (status == HOLDFAST_SYSTEM_ERROR)
		return true; /* as PostgreSQL: do not shut down for a passing trouble */
	return status == HOLDFAST_OK && still_ours(&found);
}

void
UnlinkLockFiles(int status, Datum arg)
{
	HoldfastLockfile found;
	char path[PATH_SIZE];

	(void) status;
	(void) arg;
	if (!holdfast_lockfile_is_mine())
		return;
	INJECT_POINT("lockfile/unlink/begin", INJECT_ANYWHERE,
				 "a lockfile with a dead PID and no segment: stale");
	if (load(holdfast_data_directory(), &found) == HOLDFAST_OK && still_ours(&found))
	{
		if (unlink(path_of(holdfast_data_directory(), HOLDFAST_LOCKFILE_NAME, path, sizeof(path))) <
			0)
			(void) report(HOLDFAST_LOG, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
						  "could not remove lock file \"%s\": %m", path);
		else
			(void) sync_directory();
	}
	INJECT_POINT("lockfile/unlink/done", INJECT_ANYWHERE, "nothing is left but the guard file");
	mine.pid = 0;
	drop_guard();
}

HoldfastCookie
holdfast_my_cookie(void)
{
	return mine.file.cookie;
}

bool
holdfast_lockfile_is_mine(void)
{
	return mine.pid != 0 && mine.pid == getpid();
}

bool
holdfast_lockfile_was_intended(IpcMemoryKey key)
{
	return replaced.is_ours && replaced.has_intent && replaced.intent_key == key;
}

void
holdfast_lockfile_adopt_cookie(HoldfastCookie cookie)
{
	mine.file.cookie = cookie;
}
