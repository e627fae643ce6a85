/*
 * kill_story.h
 *		The processes of a case of c10-kill-mid-lock: what each of them does.
 *
 * Owner: the case's first process owns the Story, in shared memory; actors tell it by latches how far they are.
 * Every wait in an actor has the case's deadline: none outlives it.
 */
#ifndef HOLDFAST_CATALOGUE_KILL_STORY_H
#define HOLDFAST_CATALOGUE_KILL_STORY_H

#include "catalogue/arena.h"
#include "catalogue/kill_table.h"

typedef struct Story
{
	/* Set by the director before anybody starts. */
	LWLockMode mode;
	KillPart part;
	uint64_t deadline_ns;

	/* Told by the director. */
	pid_t victim_pid, corpse_pid; /* of the dead, before `victim_dead` */
	Latch go;                     /* the victim may act */
	Latch holder_go;              /* the holder may let go */
	Latch victim_dead;            /* the creator may recover */
	Latch sweep;                  /* survivors who are alone look for dead slots */
	Latch leave;                  /* everybody goes */

	/* Told by the actors. */
	Latch created, recovered;
	Latch victim_ready;
	Latch holder_in, holder_out;
	Latch asking, served; /* survivors and watchers: about to ask for the lock, had it */
	Latch swept;
	uint32_t failures; /* atomic; each is in the log */
} Story;

/* ActorBody, each with a Story. */
int story_creator(ScenarioContext *ctx, void *arg);
int story_holder(ScenarioContext *ctx, void *arg);
int story_survivor_exclusive(ScenarioContext *ctx, void *arg);
int story_survivor_shared(ScenarioContext *ctx, void *arg);
int story_watcher(ScenarioContext *ctx, void *arg);
int story_victim(ScenarioContext *ctx, void *arg);
int story_corpse(ScenarioContext *ctx, void *arg); /* takes the lock and waits to be killed */

#endif
