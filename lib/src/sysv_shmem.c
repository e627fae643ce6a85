/*
 * sysv_shmem.c
 *		Creates, attaches, judges and deletes the segment of a data directory.
 *
 * Create:	1 recycle this directory's unattached segments        death: fewer are left
 *			2 announce the key in the lockfile                    death: an intent without a segment
 *			3 shmget                                              death: a segment without header under an announced key
 *			4 shmat, header (state INIT)                          death: a segment found by scanning
 *			5 register the exit callbacks
 *			6 key and id in the lockfile                          death: a segment found by its id too
 * Whatever is left, nobody is attached to it, and step 1 of the next start removes it (what is left by 3: when
 * that key is tried again).
 *
 * Keys are a hash of the directory's device and inode, so that each start probes the same ones; never zero (that would
 * be IPC_PRIVATE), never negative.
 *
 * Owner: UsedShmemSegID and UsedShmemSegAddr describe the one segment this process is attached to.
 * Source: after PostgreSQL's sysv_shmem.c in verdicts, messages and hints.
 */
#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "crc32c.h"
#include "data_directory.h"
#include "inject_point.h"
#include "lockfile_internal.h"
#include "report.h"
#include "segment_internal.h"

#define IPC_PROTECTION 0600
#define PROBES_MAX     1000
#define ATTEMPTS_MAX   100 /* at one key whose segment keeps vanishing */

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

void
IpcMemoryDelete(int status, Datum shmId)
{
	(void) status;
	INJECT_POINT("sysv/exit/pre-delete", INJECT_ANYWHERE,
				 "nobody deletes the segment: the next start recycles it");
	if (shmctl((int) shmId, IPC_RMID, NULL) < 0)
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

	/*
	 * Some kernels look at the size before they look at the key: with size 0 a collision says so.  Should that
	 * create a segment (it cannot on Linux), it is removed.
	 */
	if (error == EINVAL)
	{
		int shmid = shmget(memKey, 0, IPC_CREAT | IPC_EXCL | IPC_PROTECTION);

		if (shmid >= 0)
			(void) shmctl(shmid, IPC_RMID, NULL);
		else if (is_collision(errno))
			error = errno;
	}
	if (is_collision(error))
		return report(HOLDFAST_LOG, HOLDFAST_COLLISION, error, NULL, NULL,
					  "shared memory key %lu is taken: %m", (unsigned long) memKey);
	return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, error,
				  holdfast_format(detail, sizeof(detail),
								  "Failed system call was shmget(key=%lu, size=%zu, 0%o).",
								  (unsigned long) memKey, size,
								  IPC_CREAT | IPC_EXCL | IPC_PROTECTION),
				  hint_for_shmget(error), "could not create shared memory segment: %m");
}

static void
write_header(PGShmemHeader *header, Size size)
{
	uint64_t device = 0;
	uint64_t inode = 0;

	(void) holdfast_data_directory_id(&device, &inode); /* checked by the caller */
	memset(header, 0, sizeof(*header));
	header->creatorPID = getpid();
	header->creator_start_time = holdfast_process_start_time(getpid());
	header->totalsize = size;
	header->freeoffset = sizeof(*header);
	header->device = device;
	header->inode = inode;
	header->version = HOLDFAST_SEGMENT_VERSION;
	header->state = HOLDFAST_SEGMENT_INIT;
	header->cookie = holdfast_my_cookie();
	header->magic = PGShmemMagic;
	INJECT_POINT("sysv/create/half-header", INJECT_ANYWHERE,
				 "a header without its checksum under an announced key: recycled when that key is "
				 "tried again");
	header->crc = holdfast_header_crc(header);
}

/* Callbacks run last-in first-out: detach, then delete. */
static HoldfastStatus
register_callbacks(IpcMemoryId shmid, void *address)
{
	HoldfastStatus status = on_shmem_exit(IpcMemoryDelete, (Datum) shmid);

	if (status == HOLDFAST_OK)
		status = on_shmem_exit(IpcMemoryDetach, (Datum) address);
	return status;
}

HoldfastStatus
InternalIpcMemoryCreate(IpcMemoryKey memKey, Size size, void **address, IpcMemoryId *shmid)
{
	HoldfastStatus status;
	int id;
	void *memory;

	*address = NULL;
	if (!holdfast_lockfile_is_mine() || size < sizeof(PGShmemHeader))
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  size < sizeof(PGShmemHeader) ? "a segment has room for its header at least"
												   : "call CreateDataDirLockFile() first");
	id = shmget(memKey, size, IPC_CREAT | IPC_EXCL | IPC_PROTECTION);
	if (id < 0)
		return shmget_failed(memKey, size);
	INJECT_POINT(
		"sysv/create/post-shmget", INJECT_ANYWHERE,
		"a segment without header under an announced key: recycled when that key is tried again");
	memory = shmat(id, NULL, 0);
	if (memory == (void *) -1)
	{
		status = report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
						"shmat(id=%d, addr=NULL, flags=0x0) failed: %m", id);
		(void) shmctl(id, IPC_RMID, NULL);
		return status;
	}
	INJECT_POINT("sysv/create/post-shmat", INJECT_ANYWHERE,
				 "as before: the kernel detaches the corpse, the header is still missing");
	write_header(memory, size);
	INJECT_POINT("sysv/create/header", INJECT_ANYWHERE,
				 "a segment with our header that no lockfile names: found by scanning, recycled");
	status = register_callbacks(id, memory);
	if (status < 0)
	{
		(void) shmdt(memory);
		(void) shmctl(id, IPC_RMID, NULL);
		return status;
	}
	UsedShmemSegID = (unsigned long) id;
	UsedShmemSegAddr = memory;
	status = RecordSharedMemoryInLockFile((unsigned long) memKey, (unsigned long) id);
	if (status < 0)
	{
		shmem_exit(1); /* detaches and deletes */
		return status;
	}
	INJECT_POINT("sysv/create/recorded", INJECT_ANYWHERE,
				 "a segment named by its lockfile, state INIT, nobody attached: recycled");
	*address = memory;
	*shmid = id;
	return HOLDFAST_OK;
}

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
	INJECT_POINT("sysv/attach/pre-shmat", INJECT_ANYWHERE, "nothing was changed");
	if (info.shm_segsz < sizeof(PGShmemHeader))
		return SHMSTATE_FOREIGN;
	header = shmat(shmId, attachAt, SHM_RDONLY);
	if (header == (void *) -1)
		return state_of_errno(errno);
	if (!holdfast_header_is_valid(header, info.shm_segsz) || header->device != device ||
		header->inode != inode)
	{
		(void) shmdt(header);
		return SHMSTATE_FOREIGN;
	}
	*addr = header;
	return info.shm_nattch == 0 ? SHMSTATE_UNATTACHED : SHMSTATE_ATTACHED;
}

static IpcMemoryState
verdict_on(IpcMemoryId shmid)
{
	PGShmemHeader *header;
	IpcMemoryState state = PGSharedMemoryAttach(shmid, NULL, &header);

	if (header != NULL)
		(void) shmdt(header);
	return state;
}

bool
PGSharedMemoryIsInUse(unsigned long key, unsigned long id)
{
	(void) key;
	switch (verdict_on((IpcMemoryId) id))
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

/* ---- choosing a key, clearing the way ---- */

static IpcMemoryKey
key_for(uint64_t device, uint64_t inode, uint32_t probe)
{
	uint64_t parts[3] = {device, inode, probe};
	uint32_t hash = holdfast_crc32c(parts, sizeof(parts)) & INT32_MAX;

	return hash == 0 ? 1 : (IpcMemoryKey) hash;
}

/*
 * A segment whose creator died before its header was whole: nobody attached, creator gone, and our last
 * incarnation had announced this very key.
 */
static bool
is_our_half_made(IpcMemoryKey key, IpcMemoryId shmid)
{
	struct shmid_ds info;

	return holdfast_lockfile_was_intended(key) && shmctl(shmid, IPC_STAT, &info) == 0 &&
		   info.shm_nattch == 0 && info.shm_perm.cuid == geteuid() &&
		   holdfast_process_is_dead(info.shm_cpid, 0);
}

static HoldfastStatus
refuse_in_use(IpcMemoryKey key, IpcMemoryId shmid)
{
	char hint[512];

	return report(HOLDFAST_FATAL, HOLDFAST_IN_USE, 0, NULL,
				  holdfast_format(hint, sizeof(hint),
								  "Terminate any old server processes associated with data "
								  "directory \"%.300s\".",
								  holdfast_data_directory()),
				  "pre-existing shared memory block (key %lu, ID %lu) is still in use",
				  (unsigned long) key, (unsigned long) shmid);
}

/* The key is taken.  OK: it may be free now, try it again.  COLLISION: leave it, try the next. */
static HoldfastStatus
resolve_collision(IpcMemoryKey key)
{
	int shmid = shmget(key, sizeof(PGShmemHeader), 0);
	IpcMemoryState state;

	if (shmid < 0)
		return errno == ENOENT ? HOLDFAST_OK : HOLDFAST_COLLISION;
	INJECT_POINT("sysv/collision/found", INJECT_ANYWHERE, "nothing was changed");
	state = verdict_on(shmid);
	switch (state)
	{
		case SHMSTATE_ANALYSIS_FAILURE:
		case SHMSTATE_ATTACHED:
			return refuse_in_use(key, shmid);
		case SHMSTATE_ENOENT:
			return report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
						  "shared memory block (key %lu, ID %lu) deleted during startup",
						  (unsigned long) key, (unsigned long) shmid);
		case SHMSTATE_FOREIGN:
			if (!is_our_half_made(key, shmid))
				return HOLDFAST_COLLISION;
			break;
		case SHMSTATE_UNATTACHED:
			break;
	}
	/* Left over from a dead incarnation.  If it cannot be removed, go on with another key. */
	if (shmctl(shmid, IPC_RMID, NULL) < 0)
		return HOLDFAST_COLLISION;
	return report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
				  "removed shared memory segment %d of a dead server (key %lu)", shmid,
				  (unsigned long) key);
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

HoldfastStatus
PGSharedMemoryCreate(Size size, PGShmemHeader **header)
{
	uint64_t device, inode;
	void *address = NULL;
	IpcMemoryId shmid;
	HoldfastStatus status = HOLDFAST_COLLISION;

	*header = NULL;
	if (!holdfast_lockfile_is_mine() || UsedShmemSegAddr != NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  UsedShmemSegAddr != NULL ? "this process has a segment already"
											   : "call CreateDataDirLockFile() first");
	if (!holdfast_data_directory_id(&device, &inode))
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not stat data directory \"%s\": %m", holdfast_data_directory());
	/* Nobody was attached when the lockfile was made; what is left now is looked at again key by key. */
	(void) holdfast_segments_recycle();

	for (uint32_t probe = 0; probe < PROBES_MAX && status == HOLDFAST_COLLISION; probe++)
	{
		IpcMemoryKey key = key_for(device, inode, probe);

		status = holdfast_lockfile_record_intent(key);
		if (status == HOLDFAST_OK)
			status = create_at_key(key, size, &address, &shmid);
	}
	if (status == HOLDFAST_COLLISION)
		return report(HOLDFAST_FATAL, HOLDFAST_SYSTEM_ERROR, EEXIST, NULL, NULL,
					  "could not find a free shared memory key in %d attempts", PROBES_MAX);
	if (status == HOLDFAST_OK)
		*header = address;
	return status;
}

/* ---- detach, join ---- */

HoldfastStatus
PGSharedMemoryDetach(void)
{
	void *address = UsedShmemSegAddr;

	if (address == NULL)
		return HOLDFAST_OK;
	UsedShmemSegAddr = NULL;
	if (shmdt(address) < 0)
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "shmdt(%p) failed: %m", address);
	return HOLDFAST_OK;
}

static HoldfastStatus
refuse_join(const HoldfastLockfile *file, HoldfastStatus status, const char *why)
{
	return report(HOLDFAST_ERROR, status, 0, NULL, NULL,
				  "could not join the server of data directory \"%s\" (shared memory ID %lu): %s",
				  holdfast_data_directory(), file->shmem_id, why);
}

/* The segment of the lockfile, mapped for reading and writing; only then is it believed or not. */
static HoldfastStatus
attach_recorded(const HoldfastLockfile *file, PGShmemHeader **header)
{
	IpcMemoryState state = verdict_on((IpcMemoryId) file->shmem_id);

	if (state == SHMSTATE_ENOENT || state == SHMSTATE_FOREIGN)
		return refuse_join(file, HOLDFAST_NOT_FOUND, "its segment is gone");
	*header = shmat((int) file->shmem_id, NULL, 0);
	if (*header == (void *) -1)
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "shmat(id=%lu, addr=NULL, flags=0x0) failed: %m", file->shmem_id);
	/* Acquire pairs [SH1] with the release in holdfast_shmem_publish(). */
	if (cookies_equal(&(*header)->cookie, &file->cookie) &&
		__atomic_load_n(&(*header)->state, __ATOMIC_ACQUIRE) == HOLDFAST_SEGMENT_READY)
		return HOLDFAST_OK;
	(void) shmdt(*header);
	return refuse_join(file, HOLDFAST_NOT_FOUND, "it is starting up, or another took its place");
}

static void
detach_joined(int code, Datum arg)
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
	status = attach_recorded(&file, header);
	if (status == HOLDFAST_OK)
	{
		UsedShmemSegID = file.shmem_id;
		UsedShmemSegAddr = *header;
		holdfast_lockfile_adopt_cookie(file.cookie);
		status = on_shmem_exit(detach_joined, 0);
		if (status < 0)
			detach_joined(0, 0);
	}
	if (status < 0)
		*header = NULL;
	return status;
}
