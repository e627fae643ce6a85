/*
 * lockfile_judge.c
 *		What stands in a start's way: the process that wrote the lockfile, and whoever is attached to a segment.
 *
 * Reads and asks only; nothing is changed, whatever the verdict.  A refusal is reported here, in PostgreSQL's words where it
 * has them.  What may be about to end is looked at again before it refuses (settle.h).
 *
 * Owner: nothing is kept.  Thread safety: one thread.  Signal safety: none.  Errors: FATAL, as lockfile.h says.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <holdfast/recovery.h>

#include "data_directory.h"
#include "lockfile_internal.h"
#include "lockfile_judge.h"
#include "report.h"
#include "segment_internal.h"
#include "settle.h"

/* ---- refusals ---- */

HoldfastStatus
holdfast_refuse_segment(unsigned long key, unsigned long id)
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

/* ---- who is there ---- */

static bool
goes_on_living(pid_t pid, uint64_t start_time)
{
	int steps = 0;

	while (!holdfast_process_is_dead(pid, start_time))
	{
		if (!settle_again(&steps))
			return true;
	}
	return false;
}

/* Is the PID in that file one that we can ask the kernel about, and is its process alive? */
static bool
writer_lives(const HoldfastLockfile *file, const HoldfastLockfile *self)
{
	const char *grandparent = getenv("PG_GRANDPARENT_PID");

	if (file->is_ours)
	{
		/* In another namespace the number means nothing here; the guard and the segments decide. */
		return file->pid_namespace == self->pid_namespace &&
			   goes_on_living(file->pid, file->pid_start_time);
	}
	/* A plain PostgreSQL file has only the number.  These cannot be a server in this directory. */
	if (file->pid == getpid() || file->pid == getppid() ||
		(grandparent != NULL && file->pid == atoi(grandparent)))
		return false;
	/* Nor can somebody else's process: it could not even have read our files.  (Life is not asked this way.) */
	if (kill(file->pid, 0) < 0 && errno == EPERM)
		return false;
	return goes_on_living(file->pid, 0);
}

static bool
written_in_this_boot(const HoldfastLockfile *file, const HoldfastLockfile *self)
{
	return !file->is_ours || strcmp(file->boot_id, self->boot_id) == 0;
}

/* OK: stale.  A boot that is over took its processes and its segments with it. */
static HoldfastStatus
judge_file(const HoldfastLockfile *file, const HoldfastLockfile *self)
{
	if (!written_in_this_boot(file, self))
		return HOLDFAST_OK;
	if (writer_lives(file, self))
		return refuse_pid(file);
	if (file->has_segment && PGSharedMemoryIsInUse(file->shmem_key, file->shmem_id))
		return holdfast_refuse_segment(file->shmem_key, file->shmem_id);
	return HOLDFAST_OK;
}

HoldfastStatus
holdfast_judge_lockfile(const HoldfastLockfile *self, Predecessor *predecessor)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX + 1];
	HoldfastLockfile file;
	Size length;
	HoldfastStatus status = holdfast_lockfile_read_bytes(holdfast_data_directory(), HOLDFAST_FATAL,
														 bytes, sizeof(bytes), &length);

	predecessor->length = 0;
	if (status < 0)
		return status;
	if (length == 0)
		return report(HOLDFAST_FATAL, HOLDFAST_DAMAGED, 0, NULL,
					  "Either another server is starting, or the lock file is the remnant of a "
					  "previous server startup crash.",
					  "lock file \"%s\" is empty", HOLDFAST_LOCKFILE_NAME);
	status = holdfast_lockfile_parse(bytes, length, &file);
	if (status < 0)
		return report(HOLDFAST_FATAL, status, 0, holdfast_last_error()->message,
					  "If you are sure that no old server is running, remove the lock file by hand "
					  "and try again.",
					  "bogus data in lock file \"%s\"", HOLDFAST_LOCKFILE_NAME);
	status = judge_file(&file, self);
	if (status < 0)
		return status;
	predecessor->file = file;
	predecessor->same_kernel = file.is_ours && written_in_this_boot(&file, self) &&
							   file.ipc_namespace == self->ipc_namespace;
	predecessor->length = length; /* the parser refuses more than fits */
	memcpy(predecessor->bytes, bytes, length);
	return HOLDFAST_OK;
}

HoldfastStatus
holdfast_judge_segments(void)
{
	HoldfastOrphan found;
	SegmentUse use;
	int steps = 0;

	do
		use = holdfast_segments_in_use(&found);
	while (use == SEGMENTS_IN_USE && settle_again(&steps));
	if (use == SEGMENTS_UNUSED)
		return HOLDFAST_OK;
	if (use == SEGMENTS_IN_USE)
		return holdfast_refuse_segment((unsigned long) (uint32_t) found.key,
									   (unsigned long) found.shmid);
	return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
				  "could not look for old shared memory segments: %m");
}

HoldfastStatus
holdfast_refuse_guard(void)
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
