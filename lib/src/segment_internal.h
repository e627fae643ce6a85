/*
 * segment_internal.h
 *		What the lockfile and sysv_shmem.c share with segment_scan.c.
 */
#ifndef HOLDFAST_SEGMENT_INTERNAL_H
#define HOLDFAST_SEGMENT_INTERNAL_H

#include <sys/shm.h>

#include <holdfast/pg_shmem.h>

/* The header is ours, of this version, unharmed, and says the size that the kernel says. */
bool holdfast_header_is_valid(const PGShmemHeader *header, uint64_t segment_size);
uint32_t holdfast_header_crc(const PGShmemHeader *header);

/* Somebody may be attached to a segment of this process's data directory: the first one found. */
typedef enum SegmentUse
{
	SEGMENTS_UNUSED,
	SEGMENTS_IN_USE,
	SEGMENTS_UNKNOWN, /* could not be found out */
} SegmentUse;
SegmentUse holdfast_segments_in_use(HoldfastOrphan *found);

/* Removes every segment of this data directory that nobody is attached to.  True when none is left. */
bool holdfast_segments_recycle(void);

#endif
