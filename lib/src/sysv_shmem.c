/*
 * sysv_shmem.c
 *		Creates and deletes the segment of a data directory.
 *
 * Create:	1 recycle this directory's unattached segments        death: fewer are left
 *			2 announce the key in guard file and lockfile         death: an intent without a segment
 *			3 shmget, register IpcMemoryDelete                    death: a segment without header under an announced key
 *			4 shmat, register IpcMemoryDetach                     death: the same
 *			5 key and id in the lockfile                          death: the same
 *			6 header: whose it is first, the magic last           death: before the magic as above, then found by scanning
 *			7 take the announcement back                          death: a whole segment, found by scanning
 * Whatever is left, nobody is attached to it, and step 1 of the next start removes it: what has a header by scanning,
 * what has none by the announced key, if it has the look of it.  Either file may be removed by hand meanwhile.
 *
 * Owner: UsedShmemSegID and UsedShmemSegAddr describe the one segment this process is attached to.
 * Thread safety: one thread.  Signal safety: none.  Errors: as pg_shmem.h says.
 * Source: after PostgreSQL's sysv_shmem.c in messages and hints.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/ipc.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "data_directory.h"
#include "inject_point.h"
#include "ipc_internal.h"
#include "lockfile_internal.h"
#include "mmap_block.h"
#include "report.h"
#include "segment_internal.h"
#include "shmem_layout.h"

#define ATTEMPTS_MAX 100 /* at one key whose segment keeps vanishing */

unsigned long UsedShmemSegID = 0;
void *UsedShmemSegAddr = NULL;

/* ---- exit callbacks ---- */

void
IpcMemoryDetach(int status, Datum shmaddr)
{
	(void) status;
	INJECT_POINT("sysv/exit/pre-detach", INJECT_ANYWHERE,
				 "attached no more by the kernel's doing; nobody deletes the segment: the next "
				 "start recycles it");
	if (shmdt((void *) shmaddr) < 0)
		(void) report(HOLDFAST_LOG, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "shmdt(%p) failed: %m", (void *) shmaddr);
	if (UsedShmemSegAddr == (void *) shmaddr)
		UsedShmemSegAddr = NULL;
}

/* Somebody may have removed our segment by hand, and its id may by now be another program's. */
static bool
was_made_by_us(IpcMemoryId shmid)
{
	struct shmid_ds info;

	return shmctl(shmid, IPC_STAT, &info) < 0 || info.shm_cpid == getpid();
}

void
IpcMemoryDelete(int status, Datum shmId)
{
	(void) status;
	INJECT_POINT("sysv/exit/pre-delete", INJECT_ANYWHERE,
				 "nobody deletes the segment: the next start recycles it");
	if (!was_made_by_us((IpcMemoryId) shmId))
		(void) report(HOLDFAST_LOG, HOLDFAST_SYSTEM_ERROR, 0, NULL, NULL,
					  "shared memory segment %d is not ours any more: left alone", (int) shmId);
	else if (shmctl((int) shmId, IPC_RMID, NULL) < 0)
		(void) report(HOLDFAST_LOG, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "shmctl(%d, %d, 0) failed: %m", (int) shmId, IPC_RMID);
	if (UsedShmemSegID == (unsigned long) shmId)
		UsedShmemSegID = 0;
}

/* ---- one segment ---- */

static const char *
hint_for_shmget(int error)
{
	switch (error)
	{
		case EINVAL:
			return "This error usually means that the request for a shared memory segment exceeded "
				   "the kernel's SHMMAX parameter, or possibly that it is less than the kernel's "
				   "SHMMIN parameter.";
		case ENOMEM:
			return "This error usually means that the request for a shared memory segment exceeded "
				   "the kernel's SHMALL parameter or the memory that is there. You might need to "
				   "reconfigure the kernel with larger SHMALL.";
		case ENOSPC:
			return "This error does *not* mean that you have run out of disk space. It occurs "
				   "either if all available shared memory IDs have been taken, in which case you "
				   "need to raise the SHMMNI parameter in your kernel, or because the system's "
				   "overall limit for shared memory has been reached.";
		default:
			return NULL;
	}
}

static bool
is_collision(int error)
{
	return error == EEXIST || error == EACCES || error == EIDRM;
}

static HoldfastStatus
shmget_failed(IpcMemoryKey memKey, Size size)
{
	int error = errno;
	char detail[256];

	if (is_collision(error))
		return report(HOLDFAST_LOG, HOLDFAST_COLLISION, error, NULL, NULL,
					  "shared memory key %lu is taken: %m", (unsigned long) memKey);
	return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, error,
				  holdfast_format(detail, sizeof(detail),
								  "Failed system call was shmget(key=%lu, size=%zu, 0%o).",
								  (unsigned long) memKey, size,
								  IPC_CREAT | IPC_EXCL | HOLDFAST_SEGMENT_MODE),
				  hint_for_shmget(error), "could not create shared memory segment: %m");
}

static PGShmemHeader
make_header(HoldfastSegmentKind kind, uint64_t device, uint64_t inode, Size size)
{
	PGShmemHeader whole = {
		.magic = PGShmemMagic,
		.creatorPID = getpid(),
		.totalsize = size,
		.freeoffset = SHMEM_ALIGN(sizeof(whole)),
		.device = device,
		.inode = inode,
		.version = HOLDFAST_SEGMENT_VERSION,
		.state = HOLDFAST_SEGMENT_INIT,
		.cookie = holdfast_my_cookie(),
		.creator_start_time = holdfast_process_start_time(getpid()),
		.kind = kind,
	};

	whole.crc = holdfast_header_crc(&whole);
	return whole;
}

/*
 * The magic goes last: whoever sees it sees a whole header.  Before it whose the segment is to be, so that a
 * successor of ours knows it again; the compiler may not mix the three steps.
 */
static void
write_header(PGShmemHeader *header, HoldfastSegmentKind kind, uint64_t device, uint64_t inode,
			 Size size)
{
	PGShmemHeader whole = make_header(kind, device, inode, size);

	header->device = device;
	header->inode = inode;
	__atomic_signal_fence(__ATOMIC_RELEASE);
	INJECT_POINT("sysv/create/half-header", INJECT_ANYWHERE,
				 "a header without its magic under an announced key: recycled");
	whole.magic = 0;
	memcpy(header, &whole, sizeof(whole));
	/* Release: the header is whole.  Pairs [SH2] with the acquire in holdfast_segment_copy_header(). */
	__atomic_store_n(&header->magic, PGShmemMagic, __ATOMIC_RELEASE);
	INJECT_POINT("sysv/create/header", INJECT_ANYWHERE,
				 "a segment with our header, state INIT, nobody attached: recycled");
}

/* Attaches what was just made.  On failure the caller takes back what the exit lists hold. */
static HoldfastStatus
attach_new(IpcMemoryKey memKey, IpcMemoryId shmid, void **address)
{
	HoldfastStatus status = on_shmem_exit(IpcMemoryDelete, (Datum) shmid);

	if (status < 0)
		return status;
	INJECT_POINT("sysv/create/post-shmget", INJECT_ANYWHERE,
				 "a segment without header under an announced key: recycled");
	*address = shmat(shmid, NULL, 0);
	if (*address == (void *) -1)
	{
		*address = NULL;
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "shmat(id=%d, addr=NULL, flags=0x0) failed: %m", shmid);
	}
	/* Callbacks run last-in first-out: detach, then delete. */
	status = on_shmem_exit(IpcMemoryDetach, (Datum) *address);
	if (status < 0)
		return status;
	INJECT_POINT("sysv/create/post-shmat", INJECT_ANYWHERE,
				 "as before: the kernel detaches the corpse, the header is still missing");
	status = RecordSharedMemoryInLockFile((unsigned long) (uint32_t) memKey, (unsigned long) shmid);
	if (status < 0)
		return status;
	INJECT_POINT("sysv/create/recorded", INJECT_ANYWHERE,
				 "a segment without header that the lockfile names by key and id: recycled");
	return HOLDFAST_OK;
}

HoldfastStatus
InternalIpcMemoryCreate(IpcMemoryKey memKey, Size size, void **address, IpcMemoryId *shmid)
{
	HoldfastStatus status;
	int id;

	*address = NULL;
	if (!holdfast_lockfile_is_mine() || size < sizeof(PGShmemHeader))
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  size < sizeof(PGShmemHeader) ? "a segment has room for its header at least"
												   : "call CreateDataDirLockFile() first");
	id = shmget(memKey, size, IPC_CREAT | IPC_EXCL | HOLDFAST_SEGMENT_MODE);
	if (id < 0)
		return shmget_failed(memKey, size);
	status = attach_new(memKey, id, address);
	if (status < 0)
	{
		if (*address != NULL)
		{
			holdfast_cancel_on_shmem_exit(IpcMemoryDetach, (Datum) *address);
			IpcMemoryDetach(0, (Datum) *address);
		}
		holdfast_cancel_on_shmem_exit(IpcMemoryDelete, (Datum) id);
		IpcMemoryDelete(0, (Datum) id);
		*address = NULL;
		return status;
	}
	UsedShmemSegID = (unsigned long) id;
	UsedShmemSegAddr = *address;
	*shmid = id;
	return HOLDFAST_OK;
}

/* ---- clearing the way ---- */

static HoldfastStatus
log_removal(IpcMemoryKey key, IpcMemoryId shmid)
{
	return report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
				  "removed shared memory segment %d of a dead server (key %lu)", shmid,
				  (unsigned long) (uint32_t) key);
}

static void
recycle_half_made(IpcMemoryKey key, uint64_t device, uint64_t inode)
{
	int shmid = shmget(key, 0, 0);

	if (shmid < 0 || !holdfast_segment_is_half_made(shmid, device, inode))
		return;
	INJECT_POINT("sysv/recycle/half-made", INJECT_ANYWHERE,
				 "a segment without header under an announced key: the next start removes it");
	if (shmctl(shmid, IPC_RMID, NULL) == 0)
		(void) log_removal(key, shmid);
}

/* Nobody was attached when the lockfile was made; the guard has kept others away since. */
static HoldfastStatus
clear_the_way(uint64_t device, uint64_t inode)
{
	HoldfastOrphan found;
	IpcMemoryKey announced[2];
	int count = holdfast_lockfile_predecessor_intents(announced);

	for (int i = 0; i < count; i++)
		recycle_half_made(announced[i], device, inode);
	switch (holdfast_segments_recycle(&found))
	{
		case SEGMENTS_UNUSED:
			return HOLDFAST_OK;
		case SEGMENTS_IN_USE:
			return holdfast_refuse_segment((unsigned long) (uint32_t) found.key,
										   (unsigned long) found.shmid);
		case SEGMENTS_UNKNOWN:
			break;
	}
	return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
				  "could not look for old shared memory segments: %m");
}

/* ---- choosing a key ---- */

/* The key is taken.  OK: it may be free now, try it again.  COLLISION: leave it, try the next. */
static HoldfastStatus
resolve_collision(IpcMemoryKey key)
{
	int shmid = shmget(key, 0, 0);
	IpcMemoryState state;

	if (shmid < 0)
		return errno == ENOENT ? HOLDFAST_OK : HOLDFAST_COLLISION;
	INJECT_POINT("sysv/collision/found", INJECT_ANYWHERE, "nothing was changed");
	state = holdfast_segment_verdict(shmid);
	switch (state)
	{
		case SHMSTATE_ANALYSIS_FAILURE:
		case SHMSTATE_ATTACHED:
			return holdfast_refuse_segment((unsigned long) (uint32_t) key, (unsigned long) shmid);
		case SHMSTATE_ENOENT:
			return report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
						  "shared memory block (key %lu, ID %lu) deleted during startup",
						  (unsigned long) (uint32_t) key, (unsigned long) shmid);
		case SHMSTATE_FOREIGN:
			return HOLDFAST_COLLISION;
		case SHMSTATE_UNATTACHED:
			break;
	}
	/* Left over from a dead incarnation.  If it cannot be removed, go on with another key. */
	if (shmctl(shmid, IPC_RMID, NULL) < 0)
		return HOLDFAST_COLLISION;
	return log_removal(key, shmid);
}

static HoldfastStatus
create_at_key(IpcMemoryKey key, Size size, void **address, IpcMemoryId *shmid)
{
	HoldfastStatus status = HOLDFAST_COLLISION;

	for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++)
	{
		HoldfastStatus resolved;

		status = InternalIpcMemoryCreate(key, size, address, shmid);
		if (status != HOLDFAST_COLLISION)
			return status;
		resolved = resolve_collision(key);
		if (resolved != HOLDFAST_OK)
			return resolved;
	}
	return status;
}

/* The first free key of the chain.  Each is announced before it is used. */
static HoldfastStatus
create_somewhere(uint64_t device, uint64_t inode, Size size, void **address)
{
	IpcMemoryId shmid;

	for (uint32_t probe = 0; probe < HOLDFAST_KEY_PROBES; probe++)
	{
		IpcMemoryKey key = holdfast_segment_key(device, inode, probe);
		HoldfastStatus status = holdfast_lockfile_record_intent(key);

		if (status == HOLDFAST_OK)
		{
			INJECT_POINT("sysv/create/announced", INJECT_ANYWHERE,
						 "an announced key without a segment: nothing to mend");
			status = create_at_key(key, size, address, &shmid);
		}
		if (status != HOLDFAST_COLLISION)
			return status;
	}
	return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, EEXIST, NULL, NULL,
				  "could not find a free shared memory key in %d attempts", HOLDFAST_KEY_PROBES);
}

static HoldfastStatus
create_segment(HoldfastSegmentKind kind, Size size, const BlockRecord *record, void **address)
{
	uint64_t device, inode;
	HoldfastStatus status;

	if (!holdfast_data_directory_id(&device, &inode))
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not stat data directory \"%s\": %m", holdfast_data_directory());
	status = clear_the_way(device, inode);
	if (status == HOLDFAST_OK)
		status = create_somewhere(device, inode, size, address);
	if (status == HOLDFAST_IN_USE)
		holdfast_lockfile_keep_evidence();
	if (status == HOLDFAST_OK)
	{
		if (record != NULL)
			((InterlockSegment *) *address)->block = *record;
		write_header(*address, kind, device, inode, size);
	}
	holdfast_lockfile_forget_intent();
	return status;
}

static void
release_block(int code, Datum arg)
{
	(void) code;
	(void) arg;
	holdfast_block_release();
}

/* The block first: without it the interlock would say what is not so.  Given up last, as PostgreSQL does. */
static HoldfastStatus
create_block_and_interlock(Size size, const HoldfastMemory *memory, PGShmemHeader **header)
{
	BlockRecord record;
	void *address, *interlock;
	HoldfastStatus status = holdfast_block_create(size, memory, &record, &address);

	if (status < 0)
		return status;
	status = on_shmem_exit(release_block, 0);
	if (status == HOLDFAST_OK)
		status = create_segment(HOLDFAST_SEGMENT_INTERLOCK, sizeof(InterlockSegment), &record,
								&interlock);
	if (status < 0)
	{
		holdfast_cancel_on_shmem_exit(release_block, 0);
		holdfast_block_release();
		return status;
	}
	*header = address;
	**header = *(PGShmemHeader *) interlock;
	(*header)->kind = HOLDFAST_SEGMENT_WHOLE;
	(*header)->totalsize = record.size;
	(*header)->crc = holdfast_header_crc(*header);
	return HOLDFAST_OK;
}

static HoldfastStatus
check_memory(const HoldfastMemory *memory)
{
	if (memory->type == HOLDFAST_MEMORY_SYSV && memory->huge_pages == HOLDFAST_HUGE_PAGES_ON)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL,
					  "Set shared_memory_type to mmap, or huge_pages to off.",
					  "huge pages not supported with the current shared_memory_type setting");
	if ((memory->huge_page_size & (memory->huge_page_size - 1)) != 0)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "huge_page_size is a power of two, not %zu", memory->huge_page_size);
	return HOLDFAST_OK;
}

HoldfastStatus
holdfast_segment_create(Size size, const HoldfastMemory *memory, PGShmemHeader **header)
{
	static const HoldfastMemory sysv;
	HoldfastStatus status;
	void *address = NULL;

	*header = NULL;
	if (memory == NULL)
		memory = &sysv;
	if (!holdfast_lockfile_is_mine() || UsedShmemSegAddr != NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  UsedShmemSegAddr != NULL ? "this process has a segment already"
											   : "call CreateDataDirLockFile() first");
	status = check_memory(memory);
	if (status < 0)
		return status;
	if (memory->type == HOLDFAST_MEMORY_MMAP)
		return create_block_and_interlock(size, memory, header);
	status = create_segment(HOLDFAST_SEGMENT_WHOLE, size, NULL, &address);
	if (status == HOLDFAST_OK)
		*header = address;
	return status;
}

HoldfastStatus
PGSharedMemoryCreate(Size size, PGShmemHeader **header)
{
	return holdfast_segment_create(size, NULL, header);
}

void
holdfast_segment_publish_interlock(const PGShmemHeader *block)
{
	PGShmemHeader *interlock = UsedShmemSegAddr;

	/* Release pairs [SH1] with the acquire of a joiner, which looks here before it looks for the block. */
	if (interlock != NULL && interlock != block)
		__atomic_store_n(&interlock->state, HOLDFAST_SEGMENT_READY, __ATOMIC_RELEASE);
}

/* ---- keep, give back ---- */

bool
holdfast_segment_recheck(void)
{
	static unsigned long said_of = ULONG_MAX;
	struct shmid_ds info;

	if (UsedShmemSegAddr == NULL || shmctl((int) UsedShmemSegID, IPC_STAT, &info) < 0 ||
		(info.shm_perm.mode & SHM_DEST) == 0)
		return true;
	if (said_of != UsedShmemSegID)
		(void) report(HOLDFAST_WARNING, HOLDFAST_OK, 0,
					  "It is there until the last process detaches, and no other server can start "
					  "as long as that.",
					  "Find out who runs ipcrm on this machine, and restart the server.",
					  "shared memory segment %lu was removed while it is in use", UsedShmemSegID);
	said_of = UsedShmemSegID;
	return false;
}

HoldfastStatus
PGSharedMemoryDetach(void)
{
	void *address = UsedShmemSegAddr;

	if (address == NULL)
		return HOLDFAST_OK;
	holdfast_cancel_on_shmem_exit(IpcMemoryDetach, (Datum) address);
	holdfast_cancel_on_shmem_exit(holdfast_shmem_drop_access, 0);
	holdfast_shmem_drop_access(0, 0);
	UsedShmemSegAddr = NULL;
	holdfast_lockfile_leave();
	holdfast_block_release();
	if (shmdt(address) < 0)
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "shmdt(%p) failed: %m", address);
	return HOLDFAST_OK;
}
