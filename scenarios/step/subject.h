/*
 * subject.h
 *		What `holdfast step` steps through: one operation of the library each, and who is there meanwhile.
 */
#ifndef HOLDFAST_STEP_SUBJECT_H
#define HOLDFAST_STEP_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#define STEP_PEERS_MAX 4

/* The others, in the order in which they come.  Each is a process with a slot. */
typedef enum StepPeer
{
	PEER_NONE,
	PEER_HOLDER,  /* has the lock exclusively, lets go when the victim is about to sleep */
	PEER_UPDATER, /* has it exclusively, moves the variable when the victim is about to sleep */
	PEER_SHARER,  /* shares it to the end */
	PEER_WAITER,  /* sleeps in the queue, wants it exclusively */
	PEER_WAITING_SHARER,
	PEER_WATCHER, /* sleeps until the variable moves */
	PEER_CORPSE,  /* died in its exclusive section */
	PEER_DEAD_SHARER,
} StepPeer;

typedef enum StepSetting
{
	PLACE_LOCKS, /* a segment that lives: the state is cloned and recovered, and then killed for real */
	PLACE_DIRECTORY, /* a data directory: a new server starts where the victim was killed */
} StepSetting;

typedef enum StepPart
{
	PART_WHOLE,
	PART_UNTIL_SLEEP, /* ends before the victim's first sleep */
	PART_FROM_SLEEP,  /* begins there */
} StepPart;

struct StepWorld;

typedef struct StepSubject
{
	const char *name;
	const char *summary;
	StepSetting setting;
	StepPart part;
	bool (*prepare)(struct StepWorld *world); /* in the victim, unstepped; NULL: nothing */
	void (*body)(struct StepWorld *world);    /* in the victim, stepped */
	StepPeer peer[STEP_PEERS_MAX + 1];
	bool no_slot; /* the victim takes none before its body */
} StepSubject;

const StepSubject *const *step_subject_all(void); /* NULL-terminated */
const StepSubject *step_subject_find(const char *name);

#endif
