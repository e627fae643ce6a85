/*
 * self.h
 *		What a process knows of itself: its slot in the table, role, lineage, whether libfiu is safe.
 */
#ifndef HOLDFAST_INJECT_SELF_H
#define HOLDFAST_INJECT_SELF_H

#include "table.h"

typedef struct InjectSelf
{
	TableIdentity identity;
	uint32_t state;  /* self.c's */
	uint32_t serial; /* never the same for two processes of a table; 0: no slot */
	uint32_t slot;
	uint32_t fork_known; /* 1: the initial process or a fork() seen by our handlers; 0: raw clone */
	uint32_t libfiu_safe;
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

/* Once per mapping, before points are armed. */
InjectStatus self_start(InjectError *error);
void self_stop(void);

/* The calling process, its slot claimed if one could be.  Async-signal-safe; NULL without a mapping. */
InjectSelf *self_get(void);

/* Its slot; NULL when all are taken by the living. */
TableProc *self_slot(InjectSelf *self);

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
