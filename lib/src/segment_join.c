/*
 * segment_join.c
 *		A program that is no child of the server becomes one of its processes.
 *
 *		1 read the lockfile		2 share the guard		3 attach	4 believe the header, or leave again
 *		5 if it is an interlock: map the block it tells of, and believe its header likewise
 * From 2 on no new incarnation can start; whose segment it is, is asked in 4, so that it does not matter what happened
 * between 1 and 2.  Death anywhere: the kernel detaches the corpse and drops its share of the guard.
 *
 * Owner: the segment stays its creator's.  Joiners detach at exit (on_shmem_exit) or by PGSharedMemoryDetach().
 * Thread safety: one thread.  Signal safety: none.  Errors: as pg_shmem.h says.
 */
#include <errno.h>
#include <sys/shm.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>

#include "data_directory.h"
#include "inject_point.h"
#include "lockfile_internal.h"
#include "mmap_block.h"
#include "report.h"
#include "segment_internal.h"

static HoldfastStatus
refuse_join(const HoldfastLockfile *file, HoldfastStatus status, const char *why)
{
	return report(HOLDFAST_ERROR, status, 0, NULL, NULL,
				  "could not join the server of data directory \"%s\" (shared memory ID %lu): %s",
				  holdfast_data_directory(), file->shmem_id, why);
}

/* Whose it is, is asked of the mapping that will be used: nothing can change it any more. */
static HoldfastStatus
believe(const HoldfastLockfile *file, const PGShmemHeader *header)
{
	struct shmid_ds info;
	uint64_t device, inode;

	if (shmctl((int) file->shmem_id, IPC_STAT, &info) < 0)
		return refuse_join(file, HOLDFAST_NOT_FOUND, "its segment is gone");
	if (!holdfast_data_directory_id(&device, &inode))
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not stat data directory \"%s\": %m", holdfast_data_directory());
	if (info.shm_segsz < sizeof(*header) ||
		__atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) == 0 || /* pairs [SH2] */
		!cookies_equal(&header->cookie, &file->cookie))
		return refuse_join(file, HOLDFAST_NOT_FOUND,
						   "it is starting up, or another took its place");
	if (!holdfast_header_is_valid(header, info.shm_segsz) ||
		!holdfast_header_names(header, device, inode))
		return refuse_join(file, HOLDFAST_DAMAGED, "the header of its segment is damaged");
	/* Acquire pairs [SH1] with the release in holdfast_shmem_publish(). */
	if (__atomic_load_n(&header->state, __ATOMIC_ACQUIRE) != HOLDFAST_SEGMENT_READY)
		return refuse_join(file, HOLDFAST_NOT_FOUND, "it is starting up");
	return HOLDFAST_OK;
}

static HoldfastStatus
attach_recorded(const HoldfastLockfile *file, PGShmemHeader **header)
{
	HoldfastStatus status;
	void *address = shmat((int) file->shmem_id, NULL, 0);

	if (address == (void *) -1)
	{
		if (errno == EINVAL || errno == EIDRM)
			return refuse_join(file, HOLDFAST_NOT_FOUND, "its segment is gone");
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "shmat(id=%lu, addr=NULL, flags=0x0) failed: %m", file->shmem_id);
	}
	INJECT_POINT("sysv/join/attached", INJECT_ANYWHERE,
				 "the kernel detaches the corpse and drops its share of the guard");
	status = believe(file, address);
	if (status < 0)
		(void) shmdt(address);
	else
		*header = address;
	return status;
}

static bool
headers_agree(const PGShmemHeader *interlock, const PGShmemHeader *block, uint64_t size)
{
	return holdfast_header_is_valid(block, size) &&
		   holdfast_header_names(block, interlock->device, interlock->inode) &&
		   cookies_equal(&block->cookie, &interlock->cookie) &&
		   block->kind == HOLDFAST_SEGMENT_WHOLE &&
		   /* Acquire pairs [SH1]; the interlock was READY after it. */
		   __atomic_load_n(&block->state, __ATOMIC_ACQUIRE) == HOLDFAST_SEGMENT_READY;
}

/* Believed, the interlock says what is true of the block as long as somebody has it. */
static HoldfastStatus
map_block(const HoldfastLockfile *file, const InterlockSegment *interlock, PGShmemHeader **header)
{
	BlockRecord record = interlock->block;
	struct shmid_ds info;
	PGShmemHeader *block;

	if (shmctl((int) file->shmem_id, IPC_STAT, &info) < 0)
		return refuse_join(file, HOLDFAST_NOT_FOUND, "its segment is gone");
	if (info.shm_segsz != sizeof(*interlock) || !holdfast_block_record_is_valid(&record))
		return refuse_join(file, HOLDFAST_DAMAGED, "what it says of its memory is damaged");
	block = holdfast_block_join(&record, info.shm_cpid);
	if (block == NULL)
		return refuse_join(file, HOLDFAST_NOT_FOUND,
						   errno == ENOENT
							   ? "its memory (shared_memory_type mmap) is open in no process that "
								 "this one may look at"
							   : "its memory could not be mapped");
	if (!headers_agree(&interlock->header, block, record.size))
	{
		holdfast_block_release();
		return refuse_join(file, HOLDFAST_DAMAGED, "the header of its memory is damaged");
	}
	*header = block;
	return HOLDFAST_OK;
}

static void
leave_at_exit(int code, Datum arg)
{
	HoldfastStatus status = PGSharedMemoryDetach();

	(void) code;
	(void) arg;
	(void) status; /* reported already; the process is on its way out */
}

HoldfastStatus
holdfast_segment_join(PGShmemHeader **header)
{
	HoldfastLockfile file;
	HoldfastStatus status;
	PGShmemHeader *attached = NULL;

	*header = NULL;
	if (UsedShmemSegAddr != NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "this process has a segment already");
	status = holdfast_lockfile_read(holdfast_data_directory(), &file);
	if (status < 0)
		return status;
	if (!file.is_ours || !file.has_segment)
		return refuse_join(&file, file.is_ours ? HOLDFAST_NOT_FOUND : HOLDFAST_DAMAGED,
						   file.is_ours ? "it has no segment yet" : "it is not a holdfast server");
	status = holdfast_lockfile_join(&file);
	if (status < 0)
		return status;
	status = attach_recorded(&file, &attached);
	if (status < 0)
	{
		holdfast_lockfile_leave();
		return status;
	}
	*header = attached;
	if (attached->kind == HOLDFAST_SEGMENT_INTERLOCK)
		status = map_block(&file, (const InterlockSegment *) attached, header);
	if (status < 0)
	{
		*header = NULL;
		(void) shmdt(attached);
		holdfast_lockfile_leave();
		return status;
	}
	UsedShmemSegID = file.shmem_id;
	UsedShmemSegAddr = attached;
	status = on_shmem_exit(leave_at_exit, 0);
	if (status < 0)
	{
		leave_at_exit(0, 0);
		*header = NULL;
	}
	return status;
}
