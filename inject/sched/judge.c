/*
 * judge.c
 *		What must hold: after each step, when everything is over, and when nothing goes on.
 */
#include "model.h"

static const struct
{
	const char *name, *text;
} violations[] = {
	[SIM_NOTHING] = {"nothing", "nothing was found"},
	[SIM_MUTUAL_EXCLUSION] = {"mutual-exclusion", "two are inside who exclude each other"},
	[SIM_LOST_UPDATE] = {"lost-update", "the data is not what was last committed"},
	[SIM_TORN_DATA] = {"torn-data", "half of a dead writer's change is seen"},
	[SIM_REPAIR_OF_THE_LIVING] = {"repair-of-the-living", "data is repaired whose owner lives"},
	[SIM_DOUBLE_RECOVERY] = {"double-recovery", "two recover the same lock at the same time"},
	[SIM_UNEXPECTED_STATUS] = {"unexpected-status", "a call returned what it must not return here"},
	[SIM_BUSY_UNJUSTIFIED] = {"busy-unjustified",
							  "busy, though nobody held it at any moment of the call"},
	[SIM_ILLEGAL_WORD] = {"illegal-word", "a lock word that no history can produce"},
	[SIM_UNRECOVERED] = {"unrecovered", "all is over, and a dead process's slot is not free"},
	[SIM_LEFTOVERS] = {"leftovers", "all is over, and a lock, a queue or a journal is not empty"},
	[SIM_LOST_WAKEUP] = {"lost-wakeup", "somebody sleeps for ever for a lock that is free"},
	[SIM_DEADLOCK] = {"deadlock", "nobody can go on"},
	[SIM_LIVELOCK] = {"livelock",
					  "from here on the end is not reached, however they are scheduled"},
	[SIM_QUEUE_RACE] = {"queue-race",
						"the list of waiters is touched by somebody who does not own it"},
	[SIM_OVERTAKEN] = {"overtaken",
					   "a newcomer takes the lock that was to be handed to one passed over before"},
	[SIM_NOT_LINEARIZABLE] = {"not-linearizable",
							  "no order of the operations explains what they returned"},
	[SIM_OVERRUN] = {"overrun", "the simulation ran out of room"},
};

const char *
sim_violation_name(SimViolation violation)
{
	return violations[violation].name;
}

const char *
sim_violation_text(SimViolation violation)
{
	return violations[violation].text;
}

static void
judge_word(int i, uint64_t word)
{
	SimNotes *notes = &sim_world->shared.notes;

	if (!lw_is_legal(word, (uint32_t) sim.processes))
		sim_violate(SIM_ILLEGAL_WORD);
	if (i == 0 && (notes->trying & ~notes->busy_seen) != 0 &&
		(!lw_is_free(word) || (word & LW_STOPS_NEWCOMER)))
		sim_set(&notes->busy_seen, notes->busy_seen | notes->trying);
}

/*
 * The library bounds a wait by time, and by HANDOFF from then on: a newcomer, who has neither queued for the lock nor
 * asked for HANDOFF itself in this operation, may not take it while that is set.
 */
void
sim_judge_handoff(const volatile void *word, uint64_t before, uint64_t after)
{
	SimNotes *notes = &sim_world->shared.notes;
	uint64_t me = (uint64_t) sim.current + 1, bit = UINT64_C(1) << sim.current;
	int i = word == &sim_world->shared.segment.locks[0].lock.state ? 0 : 1;
	bool takes = lw_xowner(after) == me ? lw_xowner(before) != me
										: lw_shared_count(after) > lw_shared_count(before);
	bool asks = (after & LW_HANDOFF) && !(before & LW_HANDOFF);

	if (takes && (before & LW_HANDOFF) && !(notes->passed_over[i] & bit))
		sim_violate(SIM_OVERTAKEN);
	if (takes)
		sim_set(&notes->passed_over[i], notes->passed_over[i] & ~bit);
	else if (asks || lw_qowner(after) == me)
		sim_set(&notes->passed_over[i], notes->passed_over[i] | bit);
}

void
sim_judge_step(void)
{
	const SimShared *shared = &sim_world->shared;

	for (int i = 0; i < SIM_LOCKS; i++)
		judge_word(i, shared->segment.locks[i].lock.state);
}

/*
 * Somebody could not leave the queue in time and left its link there, which its journal names.  What follows from that, a
 * WAKING that nobody is on the way for, is mended by the next who sleeps, when its time is out.
 */
static bool
a_link_was_left(void)
{
	const SimShared *shared = &sim_world->shared;

	for (int p = 0; p < sim.processes; p++)
	{
		if (!shared->kernel.dead[p] && shared->segment.procs[p].entry[JOURNAL_LINK] != 0)
			return true;
	}
	return false;
}

static bool
journal_is_empty(const PGPROC *proc)
{
	for (int i = 0; i < MAX_SIMUL_LWLOCKS; i++)
	{
		if (proc->entry[i] != 0)
			return false;
	}
	return true;
}

/* Everybody has finished or is dead and recovered. */
SimViolation
sim_judge_terminal(void)
{
	const SimSegment *segment = &sim_world->shared.segment;
	const SimKernel *kernel = &sim_world->shared.kernel;
	bool corpses = false;

	if (!sim_is_linearizable())
		return SIM_NOT_LINEARIZABLE;
	for (int p = 0; p < sim.processes; p++)
	{
		const PGPROC *proc = &segment->procs[p];

		if (kernel->dead[p])
		{
			if (PROC_STATE(proc->life) != PROC_FREE && sim.config->supervisor)
				return SIM_UNRECOVERED;
			corpses = corpses || PROC_STATE(proc->life) != PROC_FREE;
		}
		else if (!journal_is_empty(proc))
			return SIM_LEFTOVERS;
	}
	if (corpses || a_link_was_left())
		return SIM_NOTHING; /* nobody has come by yet who would have put that in order */
	for (int i = 0; i < SIM_LOCKS; i++)
	{
		const LWLock *lock = &segment->locks[i].lock;
		uint64_t may_stay =
			LW_HAS_WAITERS | (sim.config->poison ? LW_POISONED | LW_NOT_RECOVERABLE : 0);

		if ((lock->state & ~may_stay) != 0 || lock->wait_head != 0 || lock->wait_tail != 0)
			return SIM_LEFTOVERS;
		if (!sim.config->poison && segment->data[i][0] != segment->data[i][1])
			return SIM_TORN_DATA;
	}
	return segment->proc_global.recovery_owner != 0 ? SIM_LEFTOVERS : SIM_NOTHING;
}

/* The lock that a sleeper's journal names. */
static const LWLock *
lock_of(int process)
{
	const PGPROC *proc = &sim_world->shared.segment.procs[process];

	for (int i = 0; i < JOURNAL_SIZE; i++)
	{
		if (ENTRY_KIND(proc->entry[i]) == ENTRY_QUEUED &&
			ENTRY_OFFSET(proc->entry[i]) < sizeof(SimSegment))
			return (const LWLock *) ((const char *) &sim_world->shared.segment +
									 ENTRY_OFFSET(proc->entry[i]));
	}
	return NULL;
}

SimViolation
sim_judge_stuck(void)
{
	const SimKernel *kernel = &sim_world->shared.kernel;
	bool sleeps = false, waits_in_a_loop = false;

	if (a_link_was_left())
		return SIM_NOTHING;
	for (int p = 0; p < sim.processes; p++)
		waits_in_a_loop = waits_in_a_loop || sim_can_step(p);
	for (int p = 0; p < sim.processes; p++)
	{
		const LWLock *lock = lock_of(p);

		if (kernel->dead[p] || kernel->done[p] || kernel->asleep[p] == 0)
			continue;
		sleeps = true;
		/* Where only time-outs recover, the end of their budget is the end of what is explored. */
		if (!sim.config->supervisor && kernel->timed[p] != UINT64_MAX && kernel->timeouts_left == 0)
			return SIM_NOTHING;
		if (!waits_in_a_loop && lock != NULL && lw_is_free(lock->state) &&
			!(lock->state & LW_RECOVERING))
		{
			sim_set(&sim_world->shared.notes.culprit, (uint64_t) p);
			return SIM_LOST_WAKEUP;
		}
	}
	return sleeps && !waits_in_a_loop ? SIM_DEADLOCK : SIM_LIVELOCK;
}
