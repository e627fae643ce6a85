/*
 * segment_internal.h
 *		What the lockfile and sysv_shmem.c share with segment_scan.c and segment_verdict.c.
 */
#ifndef HOLDFAST_SEGMENT_INTERNAL_H
#define HOLDFAST_SEGMENT_INTERNAL_H

#include <sys/shm.h>

#include <holdfast/pg_shmem.h>

#define HOLDFAST_SEGMENT_MODE 0600 /* every segment we make, and no other permission */

/*
 * Keys are a hash of the directory's device and inode, so that every start tries the same ones, in the same order; never
 * zero (that would be IPC_PRIVATE), never negative.  `probe` counts the ones that were taken.
 */
#define HOLDFAST_KEY_PROBES 64
IpcMemoryKey holdfast_segment_key(uint64_t device, uint64_t inode, uint32_t probe);

/* The header is ours, of this version, unharmed, and says the size that the kernel says. */
bool holdfast_header_is_valid(const PGShmemHeader *header, uint64_t segment_size);
uint32_t holdfast_header_crc(const PGShmemHeader *header);

/*
 * PostgreSQL's test: the header names this data directory.  Weaker than the one above, and meant to be: what a dying
 * server scribbled over is still a segment that its workers may be using.
 */
bool holdfast_header_names(const PGShmemHeader *header, uint64_t device, uint64_t inode);

/* Copies the header of a segment; false with errno. */
bool holdfast_segment_copy_header(IpcMemoryId shmid, PGShmemHeader *header);

/* The state of a block that is READY is told by its interlock as well.  Does nothing for a whole segment. */
void holdfast_segment_publish_interlock(const PGShmemHeader *block);

/* PGSharedMemoryAttach()'s verdict, without the mapping; ATTACHED only if it stays so. */
IpcMemoryState holdfast_segment_verdict(IpcMemoryId shmid);

/*
 * A segment whose creator died before its header was whole: an earlier start had announced this very key, nobody is
 * attached, the creator is gone.  Should the key have gone to somebody else meanwhile, the contents tell.
 */
bool holdfast_segment_is_half_made(IpcMemoryId shmid, uint64_t device, uint64_t inode);

/* Somebody may be attached to a segment of this process's data directory: the first one found. */
typedef enum SegmentUse
{
	SEGMENTS_UNUSED,
	SEGMENTS_IN_USE,
	SEGMENTS_UNKNOWN, /* could not be found out: errno */
} SegmentUse;
SegmentUse holdfast_segments_in_use(HoldfastOrphan *found);

/* Removes this data directory's segments, up to the first one that somebody is attached to. */
SegmentUse holdfast_segments_recycle(HoldfastOrphan *found);

#endif
