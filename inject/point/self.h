/*
 * self.h
 *		What a process knows of itself: its slot in the table, role, lineage, whether libfiu is safe.
 */
#ifndef HOLDFAST_INJECT_SELF_H
#define HOLDFAST_INJECT_SELF_H

#include "table.h"

/* A point where the plan `active` can do nothing to this process, whatever it does there: yet, or at all. */
typedef struct InjectSilence
{
	uint64_t active; /* 0: not known to be so */
	uint64_t items;  /* that are visited there all the same */
	/* One step waits for its hit, by nothing but the number: what counts it, the number, and which it is. */
	TableCounter *counter; /* NULL: none does */
	uint64_t nth;
	uint32_t step;
} InjectSilence;

typedef enum SelfState
{
	SELF_NEW, /* what wiped pages say */
	SELF_CLAIMING,
	SELF_READY,
} SelfState;

typedef struct InjectSelf
{
	TableIdentity identity;
	TableProc *proc; /* the slot; NULL: none */
	uint32_t
		state; /* SelfState; release: what is above is true.  Pairs with the acquires of readers */
	uint32_t serial; /* never the same for two processes of a table; 0: no slot */
	uint32_t slot;
	uint32_t fork_known; /* 1: the initial process or a fork() seen by our handlers; 0: raw clone */
	uint32_t libfiu_safe;
	uint32_t
		thread_roles; /* some thread had a role of its own: what is silent for one may not be for another */
	InjectSilence silence[INJECT_MAX_POINTS];
	TableCounter step_hits[INJECT_MAX_STEPS];
	TableCounter step_fires[INJECT_MAX_STEPS];
} InjectSelf;

/* Per thread counts, valid while `serial` is that of the process (a fork copies them). */
typedef struct InjectThread
{
	uint32_t serial;
	bool has_role;
	int ordinal;
	char role[INJECT_ROLE_SIZE];
	TableCounter step_hits[INJECT_MAX_STEPS];
	TableCounter step_fires[INJECT_MAX_STEPS];
} InjectThread;

typedef struct InjectRole
{
	const char *name; /* "": none */
	int ordinal;
} InjectRole;

/* Of this process, NULL without a mapping; for self_get(). */
extern InjectSelf *inject_self_pages;

/* Once per mapping, before points are armed. */
InjectStatus self_start(InjectError *error);
void self_stop(void);

/* The calling process, its slot claimed if one could be.  Async-signal-safe; NULL without a mapping. */
InjectSelf *self_get(void);

/* Its slot; COMMON_SLOT's, with *own false, when all are taken by the living. */
TableProc *self_slot(InjectSelf *self, bool *own);

InjectThread *self_thread(InjectSelf *self);

/* Of the thread, else of the process. */
InjectRole self_role(InjectSelf *self);

/* Role and ordinal for inject_chance(): a process that has no role is told from others by its lineage. */
InjectRole self_lineage(InjectSelf *self);

/*
 * From now on processes that say no role are named by what they execute, with the order of their arrival as
 * ordinal: for programs that know nothing of us.
 */
void self_name_by_program(void);

/*
 * For whoever stands between other processes and the kernel: another's self, kept here, with its slot in the
 * table; and its name, again after each exec.  One thread.  False when all slots are taken by the living.
 */
bool self_adopt(InjectSelf *self, pid_t pid);
void self_name(InjectSelf *self, const char *program);

#endif
