/*
 * lockfile.c
 *		postmaster.pid: taking a data directory, keeping it, giving it back.
 *
 * Create:	1 lock the guard file, for as long as this process or a child of it lives
 *				refused: a process of some incarnation lives, in whatever PID namespace
 *			2 judge the lockfile that is there, and every segment of this directory (lockfile_judge.c)
 *				a living PID, an attached segment, a file nobody can read: refused, and nothing was changed
 *			3 put our file in place (lockfile_disk.c)		death: our lockfile with a dead PID: stale
 *			4 share the guard with those who will join
 * Only the holder of the guard gets to 2, so starters cannot take each other's file for stale.
 *
 * What a refusal rests on may be about to end: a process killed a moment ago, a tool attached to look.  So a start looks
 * again for a tenth of a second before it refuses (settle.h).
 *
 * Evidence: the key that a predecessor announced stands in its lockfile and in the guard file (guard_note.c); the guard's
 * note stays until the next announcement, and the bytes of the lockfile are kept in memory, so that neither a death here nor
 * a start that is refused later loses what they told.
 *
 * Update: only while the file in place carries our cookie.
 *
 * Owner: `mine` describes the file we own; used by the process that created it and by nobody it forked.
 * Thread safety: one thread.  Signal safety: none.  Errors: as lockfile.h says; the refusals are FATAL, PostgreSQL's words.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "data_directory.h"
#include "identity.h"
#include "inject_point.h"
#include "lockfile_disk.h"
#include "lockfile_internal.h"
#include "lockfile_judge.h"
#include "report.h"
#include "settle.h"

static struct
{
	HoldfastLockfile file;
	FileId id;    /* of the one on disk */
	pid_t pid;    /* 0: we own none */
	int guard_fd; /* -1: none */
	bool joined;  /* the guard is held for a cluster whose lockfile is not ours */
	bool refused; /* the start failed after all: give back what we replaced */
	bool noted;   /* the guard file says that we are about to make a segment */
} mine = {.guard_fd = -1};

/* What we replaced, and what the guard file said. */
static Predecessor predecessor;

/* ---- reading and writing ---- */

/* As holdfast_lockfile_read(), but says nothing when there is none. */
static HoldfastStatus
load(const char *data_dir, HoldfastLevel level, HoldfastLockfile *out)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX + 1];
	Size length;
	HoldfastStatus status =
		holdfast_lockfile_read_bytes(data_dir, level, bytes, sizeof(bytes), &length);

	memset(out, 0, sizeof(*out));
	return status < 0 ? status : holdfast_lockfile_parse(bytes, length, out);
}

HoldfastStatus
holdfast_lockfile_read(const char *data_dir, HoldfastLockfile *out)
{
	HoldfastStatus status = load(data_dir, HOLDFAST_ERROR, out);

	if (status == HOLDFAST_NOT_FOUND)
		return report(HOLDFAST_ERROR, HOLDFAST_NOT_FOUND, ENOENT, NULL, NULL,
					  "lock file \"%s/%s\" does not exist", data_dir, HOLDFAST_LOCKFILE_NAME);
	return status;
}

static HoldfastStatus
install(const HoldfastLockfile *file, bool replace)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	Size length = holdfast_lockfile_format(file, bytes, sizeof(bytes));

	if (length == 0)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "the contents do not fit lock file \"%s\"", HOLDFAST_LOCKFILE_NAME);
	if (holdfast_lockfile_put_bytes(bytes, length, replace, &mine.id))
		return HOLDFAST_OK;
	return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL,
				  errno == EROFS || errno == EACCES ? "The server must be able to write there."
													: NULL,
				  "could not write lock file \"%s/%s\": %m", holdfast_data_directory(),
				  HOLDFAST_LOCKFILE_NAME);
}

static bool
still_ours(const HoldfastLockfile *file)
{
	return file->is_ours && cookies_equal(&file->cookie, &mine.file.cookie);
}

/* Takes our file away, if it is ours; what was there before comes back when the start was refused. */
static void
withdraw(void)
{
	HoldfastLockfile found;
	bool done;

	if (load(holdfast_data_directory(), HOLDFAST_LOG, &found) != HOLDFAST_OK || !still_ours(&found))
		return;
	done = mine.refused && predecessor.length > 0
			   ? holdfast_lockfile_put_bytes(predecessor.bytes, predecessor.length, true, &mine.id)
			   : holdfast_lockfile_remove();
	if (!done)
		(void) report(HOLDFAST_LOG, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not remove lock file \"%s/%s\": %m", holdfast_data_directory(),
					  HOLDFAST_LOCKFILE_NAME);
}

/* ---- the guard ---- */

static void
drop_guard(void)
{
	if (mine.guard_fd >= 0)
		(void) close(mine.guard_fd);
	mine.guard_fd = -1;
}

static HoldfastStatus
lock_guard(bool *held_by_another)
{
	GuardResult result = holdfast_guard_take(true, &mine.guard_fd);

	*held_by_another = result == GUARD_HELD;
	if (result != GUARD_FAILED)
		return HOLDFAST_OK;
	return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL,
				  errno == EROFS || errno == EACCES ? "The server must be able to write there."
													: NULL,
				  "could not create lock file \"%s/%s\": %m", holdfast_data_directory(),
				  HOLDFAST_LOCKFILE_GUARD);
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
	if (self->start_time_s == -1 || self->pid_start_time == 0 ||
		!holdfast_identity_boot_id(self->boot_id) ||
		!holdfast_identity_namespaces(&self->pid_namespace, &self->ipc_namespace) ||
		!holdfast_identity_cookie(&self->cookie))
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, "Is /proc mounted?",
					  "could not find out the identity of this process: %m");
	return HOLDFAST_OK;
}

/* OK: the guard is ours alone and nothing speaks against a start.  Refused: nothing was changed. */
static HoldfastStatus
clear_the_way(const HoldfastLockfile *self, bool *replace)
{
	int steps = 0;

	for (;;)
	{
		bool guard_held;
		HoldfastStatus status = lock_guard(&guard_held);

		if (status < 0)
			return status;
		INJECT_POINT("lockfile/create/guarded", INJECT_ANYWHERE,
					 "a guard file without a lock: nothing to mend");
		/* Judged even if we may not go on: a PID or a segment says more than the guard does. */
		status = holdfast_judge_lockfile(self, &predecessor);
		*replace = status == HOLDFAST_OK;
		if (status < 0 && status != HOLDFAST_NOT_FOUND)
			return status;
		status = holdfast_judge_segments();
		if (status < 0 || !guard_held)
			return status;
		if (!settle_again(&steps))
			return holdfast_refuse_guard();
	}
}

static HoldfastStatus
take_directory(void)
{
	bool replace = false;
	HoldfastStatus status = clear_the_way(&mine.file, &replace);

	if (status < 0)
		return status;
	INJECT_POINT("lockfile/create/judged", INJECT_ANYWHERE,
				 "the stale lockfile is still there: as before the start");
	if (!holdfast_guard_read_note(mine.guard_fd, &predecessor.note) ||
		strcmp(predecessor.note.boot_id, mine.file.boot_id) != 0 ||
		predecessor.note.ipc_namespace != mine.file.ipc_namespace)
		predecessor.note.key = 0;
	mine.refused = true;
	status = install(&mine.file, replace);
	if (status == HOLDFAST_OK && !holdfast_guard_share(mine.guard_fd))
		status = report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
						"could not share the lock on file \"%s\": %m", HOLDFAST_LOCKFILE_GUARD);
	if (status < 0)
		withdraw(); /* it may be in place, only not for good */
	else
		mine.refused = false;
	return status;
}

HoldfastStatus
CreateDataDirLockFile(bool amPostmaster)
{
	HoldfastStatus status;

	if (holdfast_data_directory()[0] == '\0' || holdfast_lockfile_is_mine())
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  holdfast_lockfile_is_mine() ? "this process has a lock file already"
												  : "call holdfast_set_data_directory() first");
	drop_guard(); /* of a parent: a child that becomes a server of its own */
	holdfast_watch_close();
	mine.joined = false;
	status = describe_self(amPostmaster, &mine.file);
	if (status == HOLDFAST_OK)
		status = take_directory();
	if (status == HOLDFAST_OK)
	{
		mine.pid = mine.file.pid;
		status = on_proc_exit(UnlinkLockFiles, 0);
	}
	if (status < 0)
	{
		UnlinkLockFiles(0, 0);
		drop_guard();
	}
	return status;
}

/* ---- update ---- */

static HoldfastStatus
update(const HoldfastLockfile *next)
{
	HoldfastLockfile found;
	HoldfastStatus status;

	status = load(holdfast_data_directory(), HOLDFAST_FATAL, &found);
	if (status == HOLDFAST_SYSTEM_ERROR)
		return status;
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
	HoldfastStatus status;

	if (!holdfast_lockfile_is_mine())
		return refuse_update();
	next.has_segment = true;
	next.shmem_key = memKey;
	next.shmem_id = shmid;
	INJECT_POINT("lockfile/record/begin", INJECT_ANYWHERE,
				 "a segment that no lockfile names, only its key is announced: recycled");
	status = update(&next);
	if (status < 0)
		return status;
	/* From here on our own file tells everything. */
	predecessor.length = 0;
	mine.refused = false;
	return HOLDFAST_OK;
}

static bool
note_key(IpcMemoryKey key)
{
	GuardNote note = {.key = key, .ipc_namespace = mine.file.ipc_namespace};

	memcpy(note.boot_id, mine.file.boot_id, sizeof(note.boot_id));
	return holdfast_guard_write_note(mine.guard_fd, &note);
}

HoldfastStatus
holdfast_lockfile_record_intent(IpcMemoryKey key)
{
	HoldfastLockfile next = mine.file;

	if (!holdfast_lockfile_is_mine())
		return refuse_update();
	mine.noted = true;
	if (!note_key(key))
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not write lock file \"%s/%s\": %m", holdfast_data_directory(),
					  HOLDFAST_LOCKFILE_GUARD);
	INJECT_POINT("lockfile/announce/noted", INJECT_ANYWHERE,
				 "a key that the guard file announces, without a segment: nothing to mend");
	next.has_intent = true;
	next.intent_key = key;
	return update(&next);
}

void
holdfast_lockfile_forget_intent(void)
{
	if (!holdfast_lockfile_is_mine() || !mine.noted)
		return;
	mine.noted = false;
	/* If it stays, the next start looks at that key, and sees that what is there is no half-made segment of ours. */
	if (!note_key(0))
		(void) report(HOLDFAST_LOG, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not write lock file \"%s/%s\": %m", holdfast_data_directory(),
					  HOLDFAST_LOCKFILE_GUARD);
	INJECT_POINT("lockfile/announce/forgotten", INJECT_ANYWHERE,
				 "a whole segment, or none, and nothing announced: as any dead server's");
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

/* What stands in the file is, byte for byte, what we wrote. */
static bool
says_what_we_wrote(void)
{
	char wrote[HOLDFAST_LOCKFILE_SIZE_MAX];
	char found[HOLDFAST_LOCKFILE_SIZE_MAX + 1];
	Size length = holdfast_lockfile_format(&mine.file, wrote, sizeof(wrote));
	Size got;

	return holdfast_lockfile_read_bytes(holdfast_data_directory(), HOLDFAST_LOG, found,
										sizeof(found), &got) == HOLDFAST_OK &&
		   got == length && memcmp(found, wrote, length) == 0;
}

/* A copy of our file, put there by somebody else, does not hold the directory for us. */
static bool
is_the_one_we_put_there(void)
{
	FileId id;

	if (!holdfast_lockfile_is_mine())
		return true; /* a joiner put none there */
	if (!holdfast_lockfile_id(&id))
		return errno != ENOENT && errno != ENOTDIR;
	return id.device == mine.id.device && id.inode == mine.id.inode;
}

bool
RecheckDataDirLockFile(void)
{
	HoldfastLockfile found;
	HoldfastStatus status;
	int steps = 0;

	/* Before the look, so that what happens after it is told again. */
	if (holdfast_lockfile_is_mine())
		holdfast_watch_drain();
	status = load(holdfast_data_directory(), HOLDFAST_LOG, &found);
	if (status == HOLDFAST_SYSTEM_ERROR)
		return true; /* as PostgreSQL: do not shut down for a passing trouble */
	/* Whoever writes the same again, in place, leaves a cut file for a moment. */
	while (status == HOLDFAST_DAMAGED && holdfast_lockfile_is_mine() && settle_again(&steps))
	{
		if (says_what_we_wrote())
			return is_the_one_we_put_there();
	}
	return status == HOLDFAST_OK && still_ours(&found) && is_the_one_we_put_there();
}

int
holdfast_lockfile_watch_fd(void)
{
	char path[LOCKFILE_PATH_SIZE];
	int fd;

	if (!holdfast_lockfile_is_mine())
	{
		(void) refuse_update();
		return -1;
	}
	if (holdfast_watch_is_open())
		return holdfast_watch_open(holdfast_data_directory());
	(void) holdfast_format(path, sizeof(path), "%s/%s", holdfast_data_directory(),
						   HOLDFAST_LOCKFILE_NAME);
	fd = holdfast_watch_open(holdfast_data_directory());
	if (fd >= 0 && holdfast_watch_file(path) && is_the_one_we_put_there())
		return fd;
	(void) report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL,
				  errno == EMFILE || errno == ENOSPC
					  ? "Raise fs.inotify.max_user_instances or fs.inotify.max_user_watches."
					  : NULL,
				  "could not watch lock file \"%s\": %m", HOLDFAST_LOCKFILE_NAME);
	holdfast_watch_close();
	return -1;
}

void
UnlinkLockFiles(int status, Datum arg)
{
	(void) status;
	(void) arg;
	if (!holdfast_lockfile_is_mine())
		return;
	INJECT_POINT("lockfile/unlink/begin", INJECT_ANYWHERE,
				 "a lockfile with a dead PID and no segment: stale");
	holdfast_lockfile_forget_intent();
	withdraw();
	INJECT_POINT("lockfile/unlink/done", INJECT_ANYWHERE, "nothing is left but the guard file");
	mine.pid = 0;
	mine.refused = false;
	holdfast_watch_close();
	drop_guard();
}

HoldfastCookie
holdfast_my_cookie(void)
{
	return mine.file.cookie;
}

/* ---- for the segment layer ---- */

bool
holdfast_lockfile_is_mine(void)
{
	return mine.pid != 0 && mine.pid == getpid();
}

int
holdfast_lockfile_predecessor_intents(IpcMemoryKey keys[2])
{
	int count = 0;

	if (predecessor.note.key != 0)
		keys[count++] = predecessor.note.key;
	if (predecessor.length > 0 && predecessor.same_kernel && predecessor.file.has_intent &&
		predecessor.file.intent_key != predecessor.note.key)
		keys[count++] = predecessor.file.intent_key;
	return count;
}

void
holdfast_lockfile_keep_evidence(void)
{
	mine.refused = true;
}

HoldfastStatus
holdfast_lockfile_join(const HoldfastLockfile *file)
{
	GuardResult result;

	if (mine.guard_fd < 0)
	{
		result = holdfast_guard_take(false, &mine.guard_fd);
		if (result != GUARD_TAKEN)
			return report(HOLDFAST_ERROR,
						  result == GUARD_HELD ? HOLDFAST_NOT_FOUND : HOLDFAST_SYSTEM_ERROR, errno,
						  NULL, result == GUARD_HELD ? "A server is starting there." : NULL,
						  "could not lock file \"%s/%s\": %m", holdfast_data_directory(),
						  HOLDFAST_LOCKFILE_GUARD);
		mine.joined = true;
	}
	mine.file.is_ours = true;
	mine.file.cookie = file->cookie;
	return HOLDFAST_OK;
}

void
holdfast_lockfile_leave(void)
{
	if (mine.joined)
		drop_guard();
	mine.joined = false;
}
