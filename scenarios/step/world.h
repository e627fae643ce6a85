/*
 * world.h
 *		A small cluster in which a victim is stepped: its creator, the victim's peers, and how the story ends for them.
 *
 *		world_make()	in the creator: segment, lock, slot
 *		world_scene()	when the victim is prepared: peers come, and stand where they have to
 *		world_wake()	before the victim sleeps: the holder lets go
 *		world_end()		after the victim is dead: peers and new survivors go on, and everything comes free
 *
 * Linked with the production library: the creator is its supervisor.
 * Owner: the creator's process owns segment and peers; it is forked for one story and exits after it.
 */
#ifndef HOLDFAST_STEP_WORLD_H
#define HOLDFAST_STEP_WORLD_H

#include <sys/types.h>

#include <holdfast/lwlock.h>

#include "oracle/segment.h"
#include "runner/latch.h"
#include "step/subject.h"

#define STEP_WHY_SIZE 400

typedef struct StepData /* in the segment */
{
	uint64_t first, second; /* equal outside of the lock */
	uint64_t variable;
	uint64_t repairs;
} StepData;

/* Shared by the creator, the victim and the peers, beside the segment. */
typedef struct StepStage
{
	Latch in;  /* peers that stand where they have to */
	Latch act; /* the holder is to let go */
	Latch acted;
	Latch finale;            /* everybody is to finish */
	char why[STEP_WHY_SIZE]; /* what a process of the story complained about */
} StepStage;

typedef struct StepWorld
{
	const StepSubject *subject;
	const char *directory;
	void *base;
	size_t size;
	SegmentView view;
	LWLock *lock, *other;
	StepData *data;
	StepStage *stage;
	pid_t peer[STEP_PEERS_MAX];
	int npeers;
	bool acted;
} StepWorld;

bool world_make(StepWorld *world, const StepSubject *subject, const char *directory);
bool world_scene(StepWorld *world);
bool world_wake(StepWorld *world);

/* The victim is dead.  False with the reason in world->stage->why. */
bool world_end(StepWorld *world);
/* Without asking anything of them. */
void world_kill_peers(StepWorld *world);

/* Until the child has ended, and reaps it; kills it at the deadline, and is false then. */
bool world_wait(pid_t pid, unsigned deadline_ms, int *status);

/* For subjects and checks. */
bool world_complain(StepWorld *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* In the victim, or a survivor: a slot, and the policy's callback. */
bool world_enter(StepWorld *world, const char *role);
/* Takes the lock, looks at the pair, changes it if exclusive, lets go. */
bool world_visit(StepWorld *world, LWLockMode mode);

#endif
