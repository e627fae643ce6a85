/*
 * segment.h
 *		What must be true of the locks and slots in a segment, whoever died in it.
 *
 * Reads memory and nothing else: the segment itself, or a copy of it.  It must not change meanwhile.  Who counts as alive is
 * what the slots say: after a recovery that is the truth.
 */
#ifndef HOLDFAST_ORACLE_SEGMENT_H
#define HOLDFAST_ORACLE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "shmem_layout.h"

typedef struct SegmentView
{
	char *base;
	size_t size;
	LWLockPadded *locks;
	uint32_t nlocks;
	PGPROC *procs;
	uint32_t nprocs;
	ProcGlobalData *proc_global;
} SegmentView;

/* Finds the tables by the index; false when they are not there. */
bool segment_view(void *base, size_t size, SegmentView *view);

/*
 * After recovery.  For every lock of the array: the word is legal; its owner lives and its journal says HELD; the count is
 * that of the living sharers; nobody recovers and nobody owns the queue; the queue is one list of living waiters who all
 * name the lock, with HAS_WAITERS.  For every living waiter: it was posted, or stands in the queue of a lock that somebody
 * alive will let go or has been woken for.  No slot is left DEAD or CLAIMED.
 * False with the first thing that is wrong.
 */
bool segment_is_sound(const SegmentView *view, char *why, size_t size);

/* Every lock is free, and no slot is taken but `except` (-1: none). */
bool segment_is_idle(const SegmentView *view, int except, char *why, size_t size);

/* Both segments hold the same locks, journals, queues and wake words.  Who lives in a slot does not count. */
bool segment_is_same(const SegmentView *a, const SegmentView *b, char *why, size_t size);

#endif
