/*
 * arena.h
 *		The smallest cluster in which a lock can lose its holder: one segment, one lock, one pair of numbers.
 *
 * A creator makes it and stays (the supervisor of the story) or dies; everybody else joins by the lockfile.  The lock
 * protects two numbers that are equal whenever nobody is inside; its tranche has the REPAIR policy, whose callback
 * makes them equal again.
 *
 * Owner: the creator's process owns lockfile and segment.
 */
#ifndef HOLDFAST_CATALOGUE_ARENA_H
#define HOLDFAST_CATALOGUE_ARENA_H

#include <holdfast/lwlock.h>

#include "runner/actor.h"

typedef struct ArenaData
{
	uint64_t first, second; /* equal outside of the lock */
	uint64_t variable;      /* LWLockUpdateVar's */
	uint64_t repairs;
} ArenaData;

typedef struct Arena
{
	LWLock *lock;
	ArenaData *data;
} Arena;

/* In the creator: lockfile, segment, structures, slot.  False after saying why in the log. */
bool arena_create(ScenarioContext *ctx, Arena *arena, const char *role);

/* In any other process of the case: attaches by the lockfile, finds the structures. */
bool arena_join(ScenarioContext *ctx, Arena *arena);

/* The same, and claims a slot. */
bool arena_enter(ScenarioContext *ctx, Arena *arena, const char *role);

/* Changes the pair under the lock; in shared mode only looks.  False when it was not as it should be. */
bool arena_visit(ScenarioContext *ctx, const Arena *arena, LWLockMode mode);

/* Inside an exclusive section. */
void arena_change(const Arena *arena);

#endif
