/*
 * segment_scan.c
 *		Looks at every System V segment of this IPC namespace for those that carry our header.
 *
 * A segment that somebody removed while it is attached has key 0, and one whose lockfile is gone is named by
 * nobody: only a scan finds them.  A candidate is attached read-only, its header copied, and detached again;
 * how many others are attached is asked before that.
 *
 * Owner: nothing is kept.  Only holdfast_segments_recycle() and holdfast_segment_reap() remove, and only what carries
 * our header, after asking again.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "crc32c.h"
#include "data_directory.h"
#include "inject_point.h"
#include "lockfile_internal.h"
#include "report.h"
#include "segment_internal.h"

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

/* ---- headers ---- */

uint32_t
holdfast_header_crc(const PGShmemHeader *header)
{
	PGShmemHeader constant = *header;

	constant.freeoffset = 0;
	constant.indexoffset = 0;
	constant.state = 0;
	constant.crc = 0;
	return holdfast_crc32c(&constant, sizeof(constant));
}

bool
holdfast_header_is_valid(const PGShmemHeader *header, uint64_t segment_size)
{
	return header->magic == PGShmemMagic && header->version == HOLDFAST_SEGMENT_VERSION &&
		   header->totalsize == segment_size && header->crc == holdfast_header_crc(header);
}

/* Copies the header of a segment; false with errno. */
static bool
copy_header(IpcMemoryId shmid, PGShmemHeader *header)
{
	void *address = shmat(shmid, NULL, SHM_RDONLY);

	if (address == (void *) -1)
		return false;
	memcpy(header, address, sizeof(*header));
	return shmdt(address) == 0;
}

static void
describe(IpcMemoryId shmid, const struct shmid_ds *info, const PGShmemHeader *header,
		 HoldfastOrphan *out)
{
	*out = (HoldfastOrphan){
		.shmid = shmid,
		.key = info->shm_perm.__key,
		.size = info->shm_segsz,
		.nattch = info->shm_nattch,
		.creator_pid = header->creatorPID,
		.removed = (info->shm_perm.mode & SHM_DEST) != 0,
		.cookie = header->cookie,
		.device = header->device,
		.inode = header->inode,
	};
	out->incarnation_alive = out->nattch > 0 || !holdfast_process_is_dead(
													header->creatorPID, header->creator_start_time);
}

/* ---- visiting ---- */

/* 1: carries our header, described in *out; 0: not ours, or vanished; -1: could not tell, errno. */
static int
look_at(IpcMemoryId shmid, const struct shmid_ds *info, HoldfastOrphan *out)
{
	PGShmemHeader header;

	if (info->shm_segsz < sizeof(header))
		return 0;
	if (!copy_header(shmid, &header))
		return errno == EACCES || errno == EINVAL || errno == EIDRM ? 0 : -1;
	if (!holdfast_header_is_valid(&header, info->shm_segsz))
		return 0;
	describe(shmid, info, &header, out);
	return 1;
}

HoldfastStatus
holdfast_segments_visit(HoldfastOrphanVisitor visit, void *arg)
{
	struct shm_info summary;
	int highest = shmctl(0, SHM_INFO, (struct shmid_ds *) (void *) &summary);

	if (highest < 0)
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not list shared memory segments: %m");
	for (int index = 0; index <= highest; index++)
	{
		struct shmid_ds info;
		HoldfastOrphan orphan;
		int shmid = shmctl(index, SHM_STAT_ANY, &info);
		int ours;

		if (shmid < 0)
			continue; /* an unused index, or it vanished */
		ours = look_at(shmid, &info, &orphan);
		if (ours < 0)
			return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
						  "could not look at shared memory segment %d: %m", shmid);
		if (ours > 0 && !visit(&orphan, arg))
			break;
	}
	return HOLDFAST_OK;
}

/* ---- those of this data directory ---- */

typedef struct OwnSegments
{
	uint64_t device, inode;
	bool in_use;
	bool left; /* recycling: one could not be removed */
	HoldfastOrphan found;
} OwnSegments;

static bool
is_own(const OwnSegments *own, const HoldfastOrphan *orphan)
{
	return orphan->device == own->device && orphan->inode == own->inode;
}

static bool
find_attached(const HoldfastOrphan *orphan, void *arg)
{
	OwnSegments *own = arg;

	if (!is_own(own, orphan) || orphan->nattch == 0)
		return true;
	own->in_use = true;
	own->found = *orphan;
	return false;
}

SegmentUse
holdfast_segments_in_use(HoldfastOrphan *found)
{
	OwnSegments own = {0};

	if (!holdfast_data_directory_id(&own.device, &own.inode) ||
		holdfast_segments_visit(find_attached, &own) < 0)
		return SEGMENTS_UNKNOWN;
	*found = own.found;
	return own.in_use ? SEGMENTS_IN_USE : SEGMENTS_UNUSED;
}

static bool
remove_unattached(const HoldfastOrphan *orphan, void *arg)
{
	OwnSegments *own = arg;

	if (!is_own(own, orphan))
		return true;
	if (orphan->nattch > 0 || shmctl(orphan->shmid, IPC_RMID, NULL) < 0)
	{
		own->left = true;
		own->found = *orphan;
		return true;
	}
	(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
				  "removed shared memory segment %d of a dead server (key %lu)", orphan->shmid,
				  (unsigned long) (uint32_t) orphan->key);
	INJECT_POINT("sysv/recycle/removed", INJECT_ANYWHERE,
				 "one old segment is gone, others may be left: the next start goes on");
	return true;
}

bool
holdfast_segments_recycle(void)
{
	OwnSegments own = {0};

	return holdfast_data_directory_id(&own.device, &own.inode) &&
		   holdfast_segments_visit(remove_unattached, &own) == HOLDFAST_OK && !own.left;
}

/* ---- one orphan, by an operator's wish ---- */

HoldfastStatus
holdfast_segment_reap(IpcMemoryId shmid, const HoldfastCookie *cookie)
{
	struct shmid_ds info;
	HoldfastOrphan orphan;

	if (shmctl(shmid, IPC_STAT, &info) < 0)
		return report(HOLDFAST_ERROR,
					  errno == EINVAL || errno == EIDRM ? HOLDFAST_NOT_FOUND
														: HOLDFAST_SYSTEM_ERROR,
					  errno, NULL, NULL, "could not look at shared memory segment %d: %m", shmid);
	if (look_at(shmid, &info, &orphan) <= 0 || !cookies_equal(&orphan.cookie, cookie))
		return report(HOLDFAST_ERROR, HOLDFAST_NOT_FOUND, 0, NULL, NULL,
					  "shared memory segment %d is not the one that was found", shmid);
	if (orphan.incarnation_alive)
		return report(HOLDFAST_ERROR, HOLDFAST_IN_USE, 0, NULL,
					  "Terminate the processes that use it first.",
					  "shared memory segment %d is still in use", shmid);
	if (shmctl(shmid, IPC_RMID, NULL) < 0)
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not remove shared memory segment %d: %m", shmid);
	return HOLDFAST_OK;
}
