/*
 * segment_verdict.c
 *		What one segment that is there means to this data directory: foreign, unattached, in use, half made.
 *
 * Owner: what PGSharedMemoryAttach() maps is its caller's; else nothing is kept, and no segment is changed.
 * Thread safety: one thread.  Signal safety: none.  Errors: a verdict, as pg_shmem.h says; nothing is reported.
 * Source: after PostgreSQL's sysv_shmem.c in verdicts.
 */
#include <errno.h>
#include <unistd.h>

#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "data_directory.h"
#include "inject_point.h"
#include "segment_internal.h"
#include "settle.h"

/* ---- verdicts ---- */

static IpcMemoryState
state_of_errno(int error)
{
	switch (error)
	{
		case EINVAL:
		case EIDRM: /* it vanished under our eyes */
			return SHMSTATE_ENOENT;
		case EACCES: /* nobody who may not read it made it for this directory */
			return SHMSTATE_FOREIGN;
		default:
			return SHMSTATE_ANALYSIS_FAILURE;
	}
}

IpcMemoryState
PGSharedMemoryAttach(IpcMemoryId shmId, void *attachAt, PGShmemHeader **addr)
{
	struct shmid_ds info;
	uint64_t device, inode;
	PGShmemHeader *header;

	*addr = NULL;
	/* How many are attached is asked first: afterwards we are one of them. */
	if (shmctl(shmId, IPC_STAT, &info) < 0)
		return state_of_errno(errno);
	if (!holdfast_data_directory_id(&device, &inode))
		return SHMSTATE_ANALYSIS_FAILURE;
	if (info.shm_segsz < sizeof(PGShmemHeader))
		return SHMSTATE_FOREIGN;
	INJECT_POINT("sysv/attach/pre-shmat", INJECT_ANYWHERE, "nothing was changed");
	header = shmat(shmId, attachAt, SHM_RDONLY);
	if (header == (void *) -1)
	{
		/* EINVAL speaks of the address when the segment is still there. */
		if (errno == EINVAL && attachAt != NULL && shmctl(shmId, IPC_STAT, &info) == 0)
			return SHMSTATE_ANALYSIS_FAILURE;
		return state_of_errno(errno);
	}
	if (!holdfast_header_names(header, device, inode))
	{
		(void) shmdt(header);
		return SHMSTATE_FOREIGN;
	}
	*addr = header;
	return info.shm_nattch == 0 ? SHMSTATE_UNATTACHED : SHMSTATE_ATTACHED;
}

static IpcMemoryState
verdict_once(IpcMemoryId shmid)
{
	PGShmemHeader *header;
	IpcMemoryState state = PGSharedMemoryAttach(shmid, NULL, &header);

	if (header != NULL)
		(void) shmdt(header);
	return state;
}

IpcMemoryState
holdfast_segment_verdict(IpcMemoryId shmid)
{
	IpcMemoryState state;
	int steps = 0;

	do
		state = verdict_once(shmid);
	while (state == SHMSTATE_ATTACHED && settle_again(&steps));
	return state;
}

bool
PGSharedMemoryIsInUse(unsigned long key, unsigned long id)
{
	(void) key;
	if (id > INT32_MAX)
		return false; /* no segment has such an id */
	switch (holdfast_segment_verdict((IpcMemoryId) id))
	{
		case SHMSTATE_ENOENT:
		case SHMSTATE_FOREIGN:
		case SHMSTATE_UNATTACHED:
			return false;
		case SHMSTATE_ANALYSIS_FAILURE:
		case SHMSTATE_ATTACHED:
			break;
	}
	return true;
}

/* ---- half made ---- */

static bool
is_zero(const void *bytes, Size length)
{
	const unsigned char *byte = bytes;

	for (Size i = 0; i < length; i++)
	{
		if (byte[i] != 0)
			return false;
	}
	return true;
}

/* As shmget() or the first stores of write_header() left it, and nobody else would. */
static bool
looks_half_made(PGShmemHeader header, uint64_t device, uint64_t inode)
{
	if (header.magic != 0)
		return false;
	if (header.device == device && header.inode == inode)
		return true;
	if (header.device == device)
		header.device = 0;
	return is_zero(&header, sizeof(header));
}

bool
holdfast_segment_is_half_made(IpcMemoryId shmid, uint64_t device, uint64_t inode)
{
	struct shmid_ds info;
	PGShmemHeader header;

	return shmctl(shmid, IPC_STAT, &info) == 0 && info.shm_nattch == 0 &&
		   info.shm_perm.cuid == geteuid() && info.shm_segsz >= sizeof(header) &&
		   (info.shm_perm.mode & 0777) == HOLDFAST_SEGMENT_MODE &&
		   holdfast_process_is_dead(info.shm_cpid, 0) &&
		   holdfast_segment_copy_header(shmid, &header) && looks_half_made(header, device, inode);
}
