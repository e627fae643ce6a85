/*
 * collision.h
 *		Segments in the way of a starting server, and other things that x40-collision sets up.
 */
#ifndef HOLDFAST_CATALOGUE_COLLISION_H
#define HOLDFAST_CATALOGUE_COLLISION_H

#include <holdfast/pg_shmem.h>

#include "catalogue/start_points.h"

/* A segment that is none of ours.  The fields up to `key` say what it is to be like. */
typedef struct Stranger
{
	size_t size;
	int mode;            /* 0: 0600 */
	bool attach;         /* stays attached, by the case's first process */
	bool zeroed;         /* contents all zero; otherwise a pattern */
	bool postgres_magic; /* starts with PGShmemMagic */
	bool creator_dead;   /* made by a process that has ended */
	IpcMemoryKey key;
	IpcMemoryId shmid;
	void *address; /* NULL: not attached */
} Stranger;

/* Makes it under stranger->key. */
ScenarioStatus stranger_make(ScenarioContext *ctx, Stranger *stranger);
/* Makes it under the key that a server of this directory would take first. */
ScenarioStatus stranger_at_first_key(ScenarioContext *ctx, Stranger *stranger);
/* Same id, same size, same contents. */
ScenarioStatus stranger_untouched(ScenarioContext *ctx, const Stranger *stranger);
ScenarioStatus stranger_remove(ScenarioContext *ctx, Stranger *stranger);

/* The key that the next server here takes first: found by letting one live. */
ScenarioStatus first_key(ScenarioContext *ctx, IpcMemoryKey *key);
/* What line 7 of the lockfile says; each may be NULL. */
ScenarioStatus recorded_key(ScenarioContext *ctx, IpcMemoryKey *key, IpcMemoryId *shmid);

/* Puts a file of these contents in place of the lockfile, as another server would: whole, by rename. */
ScenarioStatus put_lockfile(ScenarioContext *ctx, const HoldfastLockfile *file);
ScenarioStatus remove_lockfile(ScenarioContext *ctx);
ScenarioStatus remove_guard(ScenarioContext *ctx);

/* Stops one worker, kills the supervisor, waits for the other workers to leave. */
ScenarioStatus make_orphan(ScenarioContext *ctx, Served *served, pid_t *worker);

#endif
