/*
 * lockfile_judge.h
 *		What a start asks before it takes a data directory.  The caller holds the guard, or knows that another does.
 */
#ifndef HOLDFAST_LOCKFILE_JUDGE_H
#define HOLDFAST_LOCKFILE_JUDGE_H

#include "lockfile_disk.h"

/* The lockfile that a start replaces, decoded and as it was; and what the guard file said. */
typedef struct Predecessor
{
	HoldfastLockfile file;
	bool same_kernel; /* its boot and its IPC namespace are ours: its keys mean something */
	GuardNote note;   /* likewise; key 0: none.  Filled in by the caller. */
	Size length;      /* 0: nothing */
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
} Predecessor;

/* The lockfile that is there, as `self` sees it: NOT_FOUND, OK (stale, now *predecessor), or refused. */
HoldfastStatus holdfast_judge_lockfile(const HoldfastLockfile *self, Predecessor *predecessor);

/* Whatever the lockfile says or does not say: nobody may be attached to a segment of this directory.  OK or refused. */
HoldfastStatus holdfast_judge_segments(void);

/* Reports that another holds the guard; HOLDFAST_IN_USE. */
HoldfastStatus holdfast_refuse_guard(void);

#endif
