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
#include <sys/stat.h>

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

bool
holdfast_header_names(const PGShmemHeader *header, uint64_t device, uint64_t inode)
{
	return header->magic == PGShmemMagic && header->device == device && header->inode == inode;
}

bool
holdfast_segment_copy_header(IpcMemoryId shmid, PGShmemHeader *header)
{
	PGShmemHeader *address = shmat(shmid, NULL, SHM_RDONLY);
	int32_t magic;

	if (address == (void *) -1)
		return false;
	/* Acquire pairs [SH2] with the release in write_header(): a magic that is there has a whole header behind it. */
	magic = __atomic_load_n(&address->magic, __ATOMIC_ACQUIRE);
	memcpy(header, address, sizeof(*header));
	header->magic = magic;
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

/* ---- candidates ---- */

IpcMemoryKey
holdfast_segment_key(uint64_t device, uint64_t inode, uint32_t probe)
{
	uint64_t parts[3] = {device, inode, probe};
	uint32_t hash = holdfast_crc32c(parts, sizeof(parts)) & INT32_MAX;

	return hash == 0 ? 1 : (IpcMemoryKey) hash;
}

/*
 * The keys that segments of one directory can have, by their lowest 16 bits: another's may seem to be among them, none is
 * missed.  To attach and detach costs more than all else here; so a start among thousands of other people's segments
 * attaches to a few dozen of them.
 */
typedef struct KeySet
{
	uint64_t bits[65536 / 64];
} KeySet;

static void
fill_keys(KeySet *keys, uint64_t device, uint64_t inode)
{
	memset(keys, 0, sizeof(*keys));
	for (uint32_t probe = 0; probe < HOLDFAST_KEY_PROBES; probe++)
	{
		uint32_t low = (uint32_t) holdfast_segment_key(device, inode, probe) & 0xffff;

		keys->bits[low / 64] |= UINT64_C(1) << low % 64;
	}
}

static bool
may_have_key(const KeySet *keys, const struct shmid_ds *info)
{
	uint32_t low = (uint32_t) info->shm_perm.__key & 0xffff;

	/* Removed while attached: the kernel has forgotten the key. */
	if ((info->shm_perm.mode & SHM_DEST) != 0)
		return true;
	return (keys->bits[low / 64] >> low % 64 & 1) != 0;
}

/* Could this library have made it, for the directory of `keys` if not NULL?  What the kernel tells without attaching. */
static bool
could_be_ours(const struct shmid_ds *info, const KeySet *keys)
{
	return info->shm_segsz >= sizeof(PGShmemHeader) &&
		   (info->shm_perm.mode & ACCESSPERMS) == HOLDFAST_SEGMENT_MODE &&
		   (keys == NULL || may_have_key(keys, info));
}

/* ---- visiting ---- */

typedef enum Look
{
	LOOK_NOT_OURS, /* or it vanished, or we may not read it */
	LOOK_OURS,     /* has our magic: described in *out, its header in *header */
	LOOK_FAILED,   /* errno */
} Look;

static Look
look_at(IpcMemoryId shmid, const struct shmid_ds *info, PGShmemHeader *header, HoldfastOrphan *out)
{
	if (!holdfast_segment_copy_header(shmid, header))
		return errno == EACCES || errno == EINVAL || errno == EIDRM ? LOOK_NOT_OURS : LOOK_FAILED;
	if (header->magic != PGShmemMagic)
		return LOOK_NOT_OURS;
	describe(shmid, info, header, out);
	return LOOK_OURS;
}

typedef bool (*HeaderVisitor)(const HoldfastOrphan *orphan, const PGShmemHeader *header, void *arg);

/* False with errno.  A segment that is made or removed meanwhile may or may not be seen. */
static bool
walk(const KeySet *keys, HeaderVisitor visit, void *arg)
{
	struct shm_info summary;
	int highest = shmctl(0, SHM_INFO, (struct shmid_ds *) (void *) &summary);

	if (highest < 0)
		return false;
	for (int index = 0; index <= highest; index++)
	{
		struct shmid_ds info = {0}; /* memcheck does not know that SHM_STAT_ANY fills it */
		PGShmemHeader header;
		HoldfastOrphan orphan;
		int shmid = shmctl(index, SHM_STAT_ANY, &info);

		/* An unused index, or it vanished. */
		if (shmid < 0 || !could_be_ours(&info, keys))
			continue;
		switch (look_at(shmid, &info, &header, &orphan))
		{
			case LOOK_NOT_OURS:
				break;
			case LOOK_FAILED:
				return false;
			case LOOK_OURS:
				if (!visit(&orphan, &header, arg))
					return true;
				break;
		}
	}
	return true;
}

typedef struct PublicVisit
{
	HoldfastOrphanVisitor visit;
	void *arg;
} PublicVisit;

/* Only what can be believed is told to others. */
static bool
visit_valid(const HoldfastOrphan *orphan, const PGShmemHeader *header, void *arg)
{
	const PublicVisit *public_visit = arg;

	return !holdfast_header_is_valid(header, orphan->size) ||
		   public_visit->visit(orphan, public_visit->arg);
}

HoldfastStatus
holdfast_segments_visit(HoldfastOrphanVisitor visit, void *arg)
{
	PublicVisit public_visit = {.visit = visit, .arg = arg};

	if (walk(NULL, visit_valid, &public_visit))
		return HOLDFAST_OK;
	return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
				  "could not look at all shared memory segments: %m");
}

/* ---- those of this data directory ---- */

typedef struct OwnSegments
{
	uint64_t device, inode;
	SegmentUse use;
	HoldfastOrphan found;
} OwnSegments;

static bool
find_attached(const HoldfastOrphan *orphan, const PGShmemHeader *header, void *arg)
{
	OwnSegments *own = arg;

	if (!holdfast_header_names(header, own->device, own->inode) || orphan->nattch == 0)
		return true;
	own->use = SEGMENTS_IN_USE;
	own->found = *orphan;
	return false;
}

static bool
remove_unattached(const HoldfastOrphan *orphan, const PGShmemHeader *header, void *arg)
{
	OwnSegments *own = arg;

	if (!find_attached(orphan, header, arg))
		return false;
	if (!holdfast_header_names(header, own->device, own->inode))
		return true;
	INJECT_POINT("sysv/recycle/found", INJECT_ANYWHERE,
				 "an old segment nobody is attached to: the next start removes it");
	if (shmctl(orphan->shmid, IPC_RMID, NULL) < 0)
	{
		/* Not ours to remove, but nobody uses it: it costs memory, not safety. */
		(void) report(HOLDFAST_LOG, HOLDFAST_OK, errno, NULL, NULL,
					  "could not remove shared memory segment %d of a dead server: %m",
					  orphan->shmid);
		return true;
	}
	(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
				  "removed shared memory segment %d of a dead server (key %lu)", orphan->shmid,
				  (unsigned long) (uint32_t) orphan->key);
	INJECT_POINT("sysv/recycle/removed", INJECT_ANYWHERE,
				 "one old segment is gone, others may be left: the next start goes on");
	return true;
}

static SegmentUse
walk_own(HeaderVisitor visit, HoldfastOrphan *found)
{
	OwnSegments own = {.use = SEGMENTS_UNUSED};
	KeySet keys;

	if (!holdfast_data_directory_id(&own.device, &own.inode))
		return SEGMENTS_UNKNOWN;
	fill_keys(&keys, own.device, own.inode);
	if (!walk(&keys, visit, &own))
		return SEGMENTS_UNKNOWN;
	*found = own.found;
	return own.use;
}

SegmentUse
holdfast_segments_in_use(HoldfastOrphan *found)
{
	return walk_own(find_attached, found);
}

SegmentUse
holdfast_segments_recycle(HoldfastOrphan *found)
{
	return walk_own(remove_unattached, found);
}

/* ---- one orphan, by an operator's wish ---- */

HoldfastStatus
holdfast_segment_reap(IpcMemoryId shmid, const HoldfastCookie *cookie)
{
	struct shmid_ds info;
	PGShmemHeader header;
	HoldfastOrphan orphan;

	if (shmctl(shmid, IPC_STAT, &info) < 0)
		return report(HOLDFAST_ERROR,
					  errno == EINVAL || errno == EIDRM ? HOLDFAST_NOT_FOUND
														: HOLDFAST_SYSTEM_ERROR,
					  errno, NULL, NULL, "could not look at shared memory segment %d: %m", shmid);
	if (!could_be_ours(&info, NULL) || look_at(shmid, &info, &header, &orphan) != LOOK_OURS ||
		!holdfast_header_is_valid(&header, info.shm_segsz) ||
		!cookies_equal(&orphan.cookie, cookie))
		return report(HOLDFAST_ERROR, HOLDFAST_NOT_FOUND, 0, NULL, NULL,
					  "shared memory segment %d is not the one that was found", shmid);
	if (orphan.incarnation_alive)
		return report(HOLDFAST_ERROR, HOLDFAST_IN_USE, 0, NULL,
					  "Terminate the processes that use it first.",
					  "shared memory segment %d is still in use", shmid);
	INJECT_POINT("sysv/reap/pre-remove", INJECT_ANYWHERE,
				 "the orphan is still there: reap it again");
	if (shmctl(shmid, IPC_RMID, NULL) < 0)
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, errno, NULL, NULL,
					  "could not remove shared memory segment %d: %m", shmid);
	return HOLDFAST_OK;
}
