/*
 * segment.h
 *		A segment in ordinary memory, laid out by the library itself, and who lives in the world around it.
 *
 * Memory: one allocation of exactly the segment's size, so that a sanitizer sees the first byte beyond it.
 */
#ifndef HOLDFAST_FUZZ_SEGMENT_H
#define HOLDFAST_FUZZ_SEGMENT_H

#include <sys/types.h>

#include "fuzz.h"
#include "lwlock_internal.h"

#define SEGMENT_LOCKS 4 /* besides ShmemIndexLock: two of POISON, one of REPAIR, one of RESET */

typedef enum SegmentLock
{
	LOCK_POISON,
	LOCK_POISON_TOO,
	LOCK_REPAIR,
	LOCK_RESET,
} SegmentLock;

/* Makes it, with so many slots; *size is its size.  Once per process. */
char *fuzz_segment_create(uint32_t nprocs, size_t *size);

LWLock *fuzz_segment_lock(unsigned which); /* 0..SEGMENT_LOCKS-1 */

/* Calls of the repair callback. */
extern unsigned fuzz_segment_repairs;

/* ---- supplied by the target ---- */

bool fuzz_pid_is_dead(pid_t pid, uint64_t start_time);

#endif
