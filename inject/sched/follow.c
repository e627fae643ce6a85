/*
 * follow.c
 *		One given schedule: makes its moves, leaves out those that changed nothing, tells how things stand at its end.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "search.h"

static bool
is_possible(ExploreMove move)
{
	if (move.process >= sim.processes)
		return false;
	switch (move.kind)
	{
		case MOVE_STEP:
			return sim_can_step(move.process);
		case MOVE_KILL:
			return sim_can_kill(move.process);
		case MOVE_TIMEOUT:
			/* Whether it waits in a loop is seen when it tries. */
			return sim_world->shared.kernel.timeouts_left > 0 &&
				   (sim_can_time_out(move.process, false) || sim_can_step(move.process));
		case MOVE_FLUSH:
			return sim_can_flush(move.process);
		default:
			return false;
	}
}

/* A coarse step is as many fine ones as it passed stops, and one. */
static void
keep(ExploreSchedule *kept, ExploreMove move, uint32_t passed)
{
	for (uint32_t i = 0; i <= passed && kept->count < EXPLORE_SCHEDULE_MAX; i++)
	{
		kept->move[kept->count++] = move;
		move.kind = MOVE_STEP;
	}
}

SimFollowed
sim_follow(const ExploreMove *move, size_t count, ExploreSchedule *kept, uint32_t *followed)
{
	bool *dropped = calloc(count + 1, sizeof(*dropped));
	uint32_t *passed = calloc(count + 1, sizeof(*passed));
	uint32_t *since =
		calloc(count + 1, sizeof(*since)); /* per move: the one before it that only looked, + 1 */
	uint32_t last[SIM_PROCESSES] = {0};
	SimFollowed outcome = FOLLOWED_TO_THE_END;
	size_t i = 0;

	*followed = 0;
	for (; i < count && dropped != NULL && passed != NULL && since != NULL; i++)
	{
		int p = move[i].process;
		SimOutcome step;

		if (!is_possible(move[i]))
		{
			outcome = FOLLOWED_NOT;
			break;
		}
		sim.passed = 0;
		step = sim_move((SimMove) move[i].kind, p);
		passed[i] = sim.passed;
		*followed = (uint32_t) i + 1;
		if (sim_violation() != SIM_NOTHING)
		{
			outcome = FOLLOWED_TO_A_FINDING;
			i++;
			break;
		}
		if (step == OUTCOME_SPUN)
		{
			dropped[i] = true;
			for (uint32_t at = last[p]; at != 0; at = since[at - 1])
				dropped[at - 1] = true;
			last[p] = 0;
		}
		else if (move[i].kind == MOVE_FLUSH)
			continue; /* what its process was looking at, it goes on looking at */
		else if (sim.changed_something || move[i].kind != MOVE_STEP)
			last[p] = 0;
		else
		{
			since[i] = last[p];
			last[p] = (uint32_t) i + 1;
		}
	}
	if (kept != NULL)
	{
		kept->count = 0;
		for (size_t k = 0; k < i && dropped != NULL; k++)
		{
			if (!dropped[k])
				keep(kept, move[k], passed[k]);
		}
	}
	free(dropped);
	free(passed);
	free(since);
	return outcome;
}

/* ---- telling ---- */

static void __attribute__((format(printf, 3, 4)))
say(ExploreReport *report, size_t *at, const char *format, ...)
{
	va_list args;
	int length;

	if (*at >= sizeof(report->story) - 1)
		return;
	va_start(args, format);
	length = vsnprintf(report->story + *at, sizeof(report->story) - *at, format, args);
	va_end(args);
	if (length > 0)
		*at += (size_t) length;
}

/* The name of a place in shared memory. */
static const char *
place_name(uint64_t offset, char *name, size_t size)
{
	const SimSegment *segment = &sim_world->shared.segment;
	uint64_t locks = sim_offset(segment->locks), procs = sim_offset(segment->procs);
	uint64_t data = sim_offset(segment->data);
	static const struct
	{
		const char *name;
		size_t offset, size;
	} lock_fields[] = {{"state", offsetof(LWLock, state), 8},
					   {"wait_head", offsetof(LWLock, wait_head), 4},
					   {"wait_tail", offsetof(LWLock, wait_tail), 4}},
	  proc_fields[] = {{"life", offsetof(PGPROC, life), 8},
					   {"start_time", offsetof(PGPROC, start_time), 8},
					   {"wake", offsetof(PGPROC, wake), 4},
					   {"wait_mode", offsetof(PGPROC, wait_mode), 4},
					   {"wait_lock", offsetof(PGPROC, wait_lock), 8},
					   {"wait_next", offsetof(PGPROC, wait_next), 4},
					   {"wait_prev", offsetof(PGPROC, wait_prev), 4},
					   {"entry[0]", offsetof(PGPROC, entry), 8},
					   {"entry[1]", offsetof(PGPROC, entry) + 8, 8},
					   {"entry[link]", offsetof(PGPROC, entry) + 16, 8}};

	if (offset >= locks && offset < locks + sizeof(segment->locks))
	{
		uint64_t in = (offset - locks) % sizeof(LWLockPadded);

		for (size_t i = 0; i < sizeof(lock_fields) / sizeof(lock_fields[0]); i++)
		{
			if (in >= lock_fields[i].offset && in < lock_fields[i].offset + lock_fields[i].size)
			{
				(void) snprintf(name, size, "lock[%" PRIu64 "].%s",
								(offset - locks) / sizeof(LWLockPadded), lock_fields[i].name);
				return name;
			}
		}
	}
	if (offset >= procs && offset < procs + sizeof(segment->procs))
	{
		uint64_t in = (offset - procs) % sizeof(PGPROC);

		for (size_t i = 0; i < sizeof(proc_fields) / sizeof(proc_fields[0]); i++)
		{
			if (in >= proc_fields[i].offset && in < proc_fields[i].offset + proc_fields[i].size)
			{
				(void) snprintf(name, size, "slot[%" PRIu64 "].%s",
								(offset - procs) / sizeof(PGPROC), proc_fields[i].name);
				return name;
			}
		}
	}
	if (offset >= data && offset < data + sizeof(segment->data))
		(void) snprintf(name, size, "data[%" PRIu64 "][%" PRIu64 "]", (offset - data) / 16,
						(offset - data) / 8 % 2);
	else if (offset >= sim_offset(sim_world->shared.buffer))
		(void) snprintf(name, size, "its stores to be seen");
	else if (offset == sim_offset(&segment->var))
		(void) snprintf(name, size, "var");
	else if (offset == sim_offset(&segment->proc_global.recovery_owner))
		(void) snprintf(name, size, "recovery_owner");
	else if (offset == sim_offset(&segment->proc_global.reset_needed))
		(void) snprintf(name, size, "reset_needed");
	else
		(void) snprintf(name, size, "+%" PRIu64, offset);
	return name;
}

static const char *
stop_name(uint32_t stop)
{
	static const char *const names[] = {"not started",
										"before reading",
										"before writing",
										"before changing",
										"before futex wait on",
										"before futex wake of",
										"asleep on",
										"napping",
										"idle",
										"standing by",
										"done",
										"waiting for a change of"};

	return stop < sizeof(names) / sizeof(names[0]) ? names[stop] : "?";
}

static void
tell_word(ExploreReport *report, size_t *at, int i)
{
	static const struct
	{
		uint64_t bit;
		const char *name;
	} flags[] = {{LW_HAS_WAITERS, "HAS_WAITERS"},         {LW_WAKING, "WAKING"},
				 {LW_RECOVERING, "RECOVERING"},           {LW_POISONED, "POISONED"},
				 {LW_NOT_RECOVERABLE, "NOT_RECOVERABLE"}, {LW_HANDOFF, "HANDOFF"},
				 {LW_WAKE_WANTED, "WAKE_WANTED"}};
	const LWLock *lock = &sim_world->shared.segment.locks[i].lock;
	uint64_t word = lock->state;

	say(report, at, "lock[%d]  word %016" PRIx64 ": shared %u", i, word, lw_shared_count(word));
	if (lw_xowner(word) != 0)
		say(report, at, ", exclusive slot %u", lw_xowner(word) - 1);
	if (lw_qowner(word) != 0)
		say(report, at, ", queue owned by slot %u", lw_qowner(word) - 1);
	for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++)
	{
		if (word & flags[f].bit)
			say(report, at, " %s", flags[f].name);
	}
	say(report, at, "; queue head %d tail %d; data %" PRIu64 " %" PRIu64 "\n",
		(int) lock->wait_head - 1, (int) lock->wait_tail - 1, sim_world->shared.segment.data[i][0],
		sim_world->shared.segment.data[i][1]);
}

static void
tell_slot(ExploreReport *report, size_t *at, int p)
{
	static const char *const states[] = {"FREE", "CLAIMED", "LIVE", "DEAD"};
	static const char *const kinds[] = {"NONE", "PENDING", "HELD", "RELEASING", "WAKING", "QUEUED"};
	static const char *const modes[] = {"exclusive", "shared", "until-free"};
	static const char *const wakes[] = {"NONE", "POSTED", "ASLEEP"};
	const PGPROC *proc = &sim_world->shared.segment.procs[p];

	say(report, at, "slot[%d]  %s, wake %s, %s", p, states[PROC_STATE(proc->life) & 3],
		proc->wake < 3 ? wakes[proc->wake] : "?", proc->wait_lock != 0 ? "linked" : "not linked");
	for (int i = 0; i < JOURNAL_SIZE; i++)
	{
		LWLockEntry entry = proc->entry[i];
		char name[64];

		if (entry != 0)
			say(report, at, "; journal: %s %s %s",
				ENTRY_KIND(entry) < 6 ? kinds[ENTRY_KIND(entry)] : "?",
				ENTRY_MODE(entry) < 3 ? modes[ENTRY_MODE(entry)] : "?",
				place_name(ENTRY_OFFSET(entry), name, sizeof(name)));
	}
	say(report, at, "\n");
}

static void
tell_buffer(ExploreReport *report, size_t *at, int p)
{
	const SimBuffer *buffer = &sim_world->shared.buffer[p];
	char name[64];

	for (uint64_t i = 0; i < buffer->count; i++)
		say(report, at, "%s %s = %" PRIx64 "%s", i == 0 ? "          not yet seen by others:" : ",",
			place_name(buffer->store[i].where >> 8, name, sizeof(name)), buffer->store[i].value,
			i + 1 == buffer->count ? "\n" : "");
}

static void
tell_process(ExploreReport *report, size_t *at, int p)
{
	const SimProcess *process = &sim.process[p];
	const SimKernel *kernel = &sim_world->shared.kernel;
	char name[64];

	if (process->role == SIM_WORKER)
		say(report, at, "process %d (%s): ", p, process->program);
	else
		say(report, at, "process %d (%s): ", p,
			process->role == SIM_SUPERVISOR ? "supervisor" : "standby");
	if (kernel->dead[p])
		say(report, at, "dead%s\n", kernel->reaped[p] ? ", reaped" : "");
	else if (process->image->stop >= STOP_IDLE)
		say(report, at, "%s\n", stop_name(process->image->stop));
	else
		say(report, at, "%s %s\n", stop_name(process->image->stop),
			place_name(process->image->address, name, sizeof(name)));
}

void
sim_tell(ExploreReport *report)
{
	size_t at = 0;

	for (int p = 0; p < sim.processes; p++)
	{
		tell_process(report, &at, p);
		tell_buffer(report, &at, p);
	}
	for (int i = 0; i < SIM_LOCKS; i++)
		tell_word(report, &at, i);
	for (int p = 0; p < sim.processes; p++)
		tell_slot(report, &at, p);
}

void
sim_report_finding(ExploreReport *report, const ExploreMove *raw, size_t count,
				   SimViolation violation)
{
	uint32_t followed;

	sim_start();
	(void) sim_follow(raw, count, &report->schedule, &followed);
	/* What the short form leads to, stop by stop, is what is told. */
	sim.coarse = false;
	sim_start();
	sim.at_violation = &report->violating;
	(void) sim_follow(report->schedule.move, report->schedule.count, NULL, &followed);
	sim.at_violation = NULL;
	sim_tell(report);
	sim_tell_stacks(report);
	report->end = EXPLORE_FOUND;
	report->signature = sim_violation_name(violation);
	report->text = sim_violation_text(violation);
	report->culprit = (int) sim_world->shared.notes.culprit;
}
