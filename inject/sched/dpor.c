/*
 * dpor.c
 *		One schedule of each class: two that differ only in the order of steps which do not meet are one.
 *
 * Source sets and sleep sets over the processes' steps (Abdulla, Aronsson, Jonsson, Sagonas).  No state is remembered: the
 * path is, and going back is undoing.
 *
 *		meeting			two steps touch the same word and one of them changes it.  A step's touches are noted as it is made:
 *						what the lock code reads and writes, what the kernel and the judge look at for it.  A sleep and the
 *						wake-up of it meet at the futex's word; who holds a lock for sharing is no news to other sharers
 *		choices			a process that can go on goes on or dies; one that sleeps, or waits in a loop, dies, runs out of
 *						patience, or is left alone.  A death is a step of its process: it comes after all that process did, and
 *						meets the budget, other deaths, and whoever asks for the dead, recovery above all
 *		waiting loops	once round without a change: the process stands aside until somebody writes what it read.  Its next
 *						step then meets that write
 *
 * At the end of each schedule its races are looked at: pairs of steps that meet, with nothing between them that orders them
 * otherwise.  Unless one that could begin the other order is tried already, it is: at the state before the first of the two.
 * What was tried somewhere sleeps in the states beside it, until a step meets it.  A schedule in which only sleepers are left
 * is part of another, and given up.
 *
 * Stops must not depend on what others do: config->fine.  No store buffers.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "search.h"
#include "table.h"

#define DEPTH_MAX 3000
#define MOVES     3 /* step, kill, time-out */
#define CHECK_AT  0x3fff

typedef struct Looks
{
	uint16_t since; /* its first event after its last change */
	uint16_t waits; /* event + 1 that found nothing; 0 once somebody has changed what it read */
	uint16_t gate;  /* the same event, for its first step after that */
} Looks;

/* A state of the path, and the event by which the path goes on. */
typedef struct Frame
{
	SimMark mark;
	SimFootprint foot;
	uint8_t process, move;
	uint8_t to_try, tried; /* bit per process */
	int8_t at_hand;        /* the process whose moves are being tried; -1: none */
	uint8_t moves_tried;
	uint8_t explored[SIM_PROCESSES];       /* bit per move */
	uint16_t asleep[SIM_PROCESSES][MOVES]; /* frame + 1 where it was explored */
	Looks looks[SIM_PROCESSES];
	SimFootprint first[SIM_PROCESSES][MOVES]; /* of the moves that were explored */
} Frame;

typedef uint16_t Clock[SIM_PROCESSES]; /* the events of each process, +1, that come before */

typedef struct Dpor
{
	const ExploreConfig *config;
	ExploreReport *report;
	Frame *frame;
	uint32_t depth; /* of the state that the simulation is in */
	uint32_t fresh; /* races of events before it are known */
	bool cut;
	StateTable ends;
} Dpor;

/* ---- footprints ---- */

void
sim_note_touch(const volatile void *address, bool writes)
{
	SimFootprint *foot = sim.footprint;
	uint64_t word = sim_offset((const void *) address) >> 3;
	SimClass class = (SimClass) (sim.class_of[word] >> 4);

	if (class == CLASS_CONSTANT || class == CLASS_QUIET)
		return;
	for (uint32_t i = 0; i < foot->count; i++)
	{
		if (foot->touch[i] >> 1 == word)
		{
			foot->touch[i] |= writes;
			return;
		}
	}
	if (foot->count == SIM_TOUCHES)
		sim_violate(SIM_OVERRUN);
	else
		foot->touch[foot->count++] = (uint16_t) (word << 1 | writes);
}

static bool
meet(const SimFootprint *a, const SimFootprint *b)
{
	for (uint32_t i = 0; i < a->count; i++)
	{
		for (uint32_t j = 0; j < b->count; j++)
		{
			if ((a->touch[i] ^ b->touch[j]) < 2 && ((a->touch[i] | b->touch[j]) & 1))
				return true;
		}
	}
	return false;
}

/* Does `writer` change what `reader` touches? */
static bool
changes(const SimFootprint *writer, const SimFootprint *reader)
{
	for (uint32_t i = 0; i < writer->count; i++)
	{
		for (uint32_t j = 0; j < reader->count && (writer->touch[i] & 1); j++)
		{
			if (writer->touch[i] >> 1 == reader->touch[j] >> 1)
				return true;
		}
	}
	return false;
}

static void
add_reads(SimFootprint *foot, const SimFootprint *of)
{
	sim.footprint = foot;
	for (uint32_t i = 0; i < of->count; i++)
		sim_note_touch((const char *) SIM_ADDRESS + (of->touch[i] >> 1) * 8u, false);
	sim.footprint = NULL;
}

/* ---- choices ---- */

static bool
must_go_on(const Frame *frame, int p)
{
	return sim_can_step(p) && frame->looks[p].waits == 0;
}

static bool
is_possible(const Frame *frame, int p, int move)
{
	switch (move)
	{
		case MOVE_STEP:
			return must_go_on(frame, p);
		case MOVE_TIMEOUT:
			return sim_can_time_out(p, frame->looks[p].waits != 0);
		default:
			return sim_can_kill(p);
	}
}

static bool
is_awake(const Frame *frame, int p, int move)
{
	return frame->asleep[p][move] == 0 && is_possible(frame, p, move);
}

/* A new state: what is tried first.  False: nobody's step is left to try. */
static bool
choose_first(Frame *frame, int last, bool *all_is_over)
{
	int first = -1;

	*all_is_over = true;
	for (int i = 0; i < sim.processes; i++)
	{
		int p = (last + i) % sim.processes; /* who ran last runs on */

		if (must_go_on(frame, p))
		{
			*all_is_over = false;
			if (first < 0 && frame->asleep[p][MOVE_STEP] == 0)
				first = p;
		}
		else if (is_awake(frame, p, MOVE_TIMEOUT) || is_awake(frame, p, MOVE_KILL))
			frame->to_try |= (uint8_t) (1u << p);
	}
	if (first >= 0)
		frame->to_try |= (uint8_t) (1u << first);
	for (int p = 0; p < sim.processes && first < 0; p++)
	{
		if (is_awake(frame, p, MOVE_KILL))
			frame->to_try |= (uint8_t) (1u << p);
	}
	return first >= 0;
}

static bool
next_event(Frame *frame)
{
	static const uint8_t order[MOVES] = {MOVE_STEP, MOVE_TIMEOUT, MOVE_KILL};

	for (;;)
	{
		uint32_t left = frame->to_try & ~(uint32_t) frame->tried;

		if (frame->at_hand < 0)
		{
			if (left == 0)
				return false;
			frame->at_hand = (int8_t) __builtin_ctz(left);
			frame->moves_tried = 0;
		}
		for (int i = 0; i < MOVES; i++)
		{
			if (frame->moves_tried >> order[i] & 1)
				continue;
			frame->moves_tried |= (uint8_t) (1u << order[i]);
			if (!is_awake(frame, frame->at_hand, order[i]))
				continue;
			frame->process = (uint8_t) frame->at_hand;
			frame->move = order[i];
			return true;
		}
		frame->tried |= (uint8_t) (1u << frame->at_hand);
		frame->at_hand = -1;
	}
}

/* ---- races ---- */

typedef struct Touched
{
	uint16_t writer; /* event + 1 */
	uint16_t reader[SIM_PROCESSES];
} Touched;

static Touched touched[SIM_WORDS];
static Clock clock_of[DEPTH_MAX + 1];

static bool
is_before(uint32_t event, const Dpor *dpor, const Clock clock)
{
	return event < clock[dpor->frame[event].process];
}

static void
join(Clock clock, const Clock with)
{
	for (int p = 0; p < SIM_PROCESSES; p++)
	{
		if (with[p] > clock[p])
			clock[p] = with[p];
	}
}

/* Events that this one meets, the last of each kind, latest first. */
static uint32_t
met_before(const Dpor *dpor, uint32_t event, uint16_t *met)
{
	const SimFootprint *foot = &dpor->frame[event].foot;
	uint32_t count = 0;

	for (uint32_t i = 0; i < foot->count; i++)
	{
		const Touched *at = &touched[foot->touch[i] >> 1];

		for (int p = -1; p < ((foot->touch[i] & 1) ? sim.processes : 0); p++)
		{
			uint16_t e = p < 0 ? at->writer : at->reader[p];
			uint32_t k = count;

			for (; k > 0 && met[k - 1] < e; k--)
				;
			if (e == 0 || (k > 0 && met[k - 1] == e))
				continue;
			__builtin_memmove(met + k + 1, met + k, (count - k) * sizeof(*met));
			met[k] = e;
			count++;
		}
	}
	return count;
}

static void
touch_words(const Frame *frame, uint32_t event)
{
	for (uint32_t i = 0; i < frame->foot.count; i++)
	{
		Touched *at = &touched[frame->foot.touch[i] >> 1];

		if (frame->foot.touch[i] & 1)
			at->writer = (uint16_t) (event + 1);
		else
			at->reader[frame->process] = (uint16_t) (event + 1);
	}
}

/*
 * `first` and `second` race.  The other order begins with what does not come after `first`, and then `second`: one of its
 * beginnings is to be tried.
 */
static void
try_other_order(Dpor *dpor, uint32_t first, uint32_t second)
{
	Frame *frame = &dpor->frame[first];
	uint8_t seen = 0, initials = 0;
	int chosen = dpor->frame[second].process;

	for (uint32_t k = first + 1; k <= second; k++)
	{
		int p = dpor->frame[k].process;
		bool begins = true;

		if ((seen >> p & 1) || (k != second && is_before(first, dpor, clock_of[k])))
			continue;
		/* Nothing of the other order comes before it. */
		for (uint32_t i = first + 1; i < k && begins; i++)
			begins = !is_before(i, dpor, clock_of[k]) || is_before(first, dpor, clock_of[i]);
		seen |= (uint8_t) (1u << p);
		initials |= (uint8_t) ((unsigned) begins << p);
	}
	if (frame->to_try & initials)
		return;
	if (!(initials >> chosen & 1))
		chosen = __builtin_ctz(initials);
	frame->to_try |= (uint8_t) (1u << chosen);
}

static void
find_races(Dpor *dpor)
{
	uint16_t last[SIM_PROCESSES] = {0}; /* event + 1 */

	__builtin_memset(touched, 0, sizeof(touched));
	for (uint32_t event = 0; event < dpor->depth; event++)
	{
		const Frame *frame = &dpor->frame[event];
		uint16_t met[SIM_TOUCHES * (SIM_PROCESSES + 1)];
		uint32_t count = met_before(dpor, event, met);
		uint16_t *clock = clock_of[event];
		Clock before = {0};
		bool race[SIM_TOUCHES * (SIM_PROCESSES + 1)];

		if (last[frame->process] != 0)
			__builtin_memcpy(before, clock_of[last[frame->process] - 1], sizeof(before));
		for (uint32_t i = 0; i < count; i++)
		{
			race[i] = !is_before(met[i] - 1u, dpor, before);
			join(before, clock_of[met[i] - 1]);
		}
		__builtin_memcpy(clock, before, sizeof(before));
		clock[frame->process] = last[frame->process] = (uint16_t) (event + 1);
		for (uint32_t i = 0; i < count && event >= dpor->fresh; i++)
		{
			if (race[i])
				try_other_order(dpor, met[i] - 1u, event);
		}
		touch_words(frame, event);
	}
	dpor->fresh = dpor->depth;
}

/* ---- the path ---- */

/*
 * What it looked at since its last change.  True when somebody has changed that after it looked: then it is not in vain to
 * look again.  Which of the two came first is the same in each schedule of the class.
 */
static bool
looks_changed(Dpor *dpor, Frame *frame)
{
	uint32_t since = frame->looks[frame->process].since;
	bool changed = false;

	for (uint32_t k = dpor->depth; k-- > since;)
	{
		if (dpor->frame[k].process == frame->process)
			add_reads(&frame->foot, &dpor->frame[k].foot);
	}
	for (uint32_t look = since; look < dpor->depth; look++)
	{
		for (uint32_t k = look + 1; k < dpor->depth && !changed; k++)
			changed = dpor->frame[look].process == frame->process &&
					  dpor->frame[k].process != frame->process &&
					  changes(&dpor->frame[k].foot, &dpor->frame[look].foot);
	}
	return changed;
}

static void
update_looks(Dpor *dpor, Frame *frame, Looks *looks, SimOutcome outcome)
{
	uint16_t here = (uint16_t) (dpor->depth + 1);
	Looks *mine = &looks[frame->process];

	mine->gate = 0;
	if (outcome == OUTCOME_SPUN)
	{
		mine->waits = looks_changed(dpor, frame) ? 0 : here;
		mine->since = here;
	}
	else if (sim.changed_something || frame->move != MOVE_STEP)
	{
		mine->waits = 0;
		mine->since = here;
	}
	for (int p = 0; p < sim.processes; p++)
	{
		if (p == frame->process || looks[p].waits == 0 ||
			!changes(&frame->foot, &dpor->frame[looks[p].waits - 1].foot))
			continue;
		looks[p].gate = looks[p].waits;
		looks[p].waits = 0;
	}
}

/* Who goes on sleeping after the event. */
static void
hand_down_sleep(const Dpor *dpor, const Frame *frame, Frame *child)
{
	for (int p = 0; p < sim.processes; p++)
	{
		for (int move = 0; move < MOVES; move++)
		{
			uint16_t origin = frame->asleep[p][move];

			if (origin == 0 && (frame->explored[p] >> move & 1))
				origin = (uint16_t) (dpor->depth + 1);
			if (origin != 0 && (p == frame->process ||
								meet(&dpor->frame[origin - 1].first[p][move], &frame->foot)))
				origin = 0;
			child->asleep[p][move] = origin;
		}
	}
}

static SimOutcome
make_event(Dpor *dpor, Frame *frame)
{
	int p = frame->process;
	const SimImage *image = sim.process[p].image;
	const Looks *looks = &frame->looks[p];
	SimOutcome outcome;

	frame->mark = sim_mark(p);
	frame->foot.count = 0;
	sim.footprint = &frame->foot;
	/* Whoever wakes it is met here. */
	if (image->stop == STOP_ASLEEP)
		sim_touch((const char *) SIM_ADDRESS + image->address, frame->move != MOVE_STEP);
	outcome = sim_move((SimMove) frame->move, p);
	sim.footprint = NULL;
	if (looks->gate != 0)
		add_reads(&frame->foot, &dpor->frame[looks->gate - 1].foot);
	if (frame->move == MOVE_STEP)
		dpor->report->transitions++;
	else
		dpor->report->crash_transitions++;
	return outcome;
}

static void
remember(Frame *frame)
{
	frame->explored[frame->process] |= (uint8_t) (1u << frame->move);
	frame->first[frame->process][frame->move] = frame->foot;
}

static void
go_back(Dpor *dpor)
{
	Frame *frame = &dpor->frame[--dpor->depth];

	sim_undo(&frame->mark);
	remember(frame);
	if (dpor->fresh > dpor->depth)
		dpor->fresh = dpor->depth;
}

static void
found(Dpor *dpor, uint32_t count, SimViolation violation)
{
	ExploreMove *raw = calloc(count + 1, sizeof(*raw));

	for (uint32_t i = 0; raw != NULL && i < count; i++)
		raw[i] = (ExploreMove){dpor->frame[i].move, dpor->frame[i].process};
	if (raw != NULL)
		sim_report_finding(dpor->report, raw, count, violation);
	free(raw);
}

/* A new state: is it the end of a schedule, and a good one? */
static SimViolation
arrive(Dpor *dpor, int last)
{
	Frame *frame = &dpor->frame[dpor->depth];
	SimViolation violation = SIM_NOTHING;
	uint32_t number;
	bool all_is_over, is_new;

	frame->to_try = frame->tried = 0;
	frame->at_hand = -1;
	__builtin_memset(frame->explored, 0, sizeof(frame->explored));
	if (dpor->depth > dpor->report->depth_max)
		dpor->report->depth_max = dpor->depth;
	if (dpor->depth == DEPTH_MAX)
	{
		dpor->cut = true;
		find_races(dpor);
		return SIM_NOTHING;
	}
	if (choose_first(frame, last, &all_is_over))
		return SIM_NOTHING;
	find_races(dpor);
	if (!all_is_over)
	{
		dpor->report->blocked++;
		return SIM_NOTHING;
	}
	dpor->report->schedules++;
	if (!sim_is_terminal())
		violation = sim_judge_stuck();
	else
	{
		violation = sim_judge_terminal();
		if (!table_find(&dpor->ends, sim_state_hash(), &number, &is_new))
			dpor->report->end = EXPLORE_CUT_MEMORY;
	}
	return violation;
}

static bool
is_out_of_budget(Dpor *dpor)
{
	const ExploreConfig *config = dpor->config;
	ExploreReport *report = dpor->report;
	uint64_t executions = report->schedules + report->blocked;

	if (config->schedules > 0 && executions >= config->schedules)
		report->end = EXPLORE_CUT_SCHEDULES;
	else if (((report->transitions + report->crash_transitions) & CHECK_AT) == 0)
	{
		double seconds = sim_now() - report->seconds; /* the start, until the end */

		if (config->interrupted != NULL && config->interrupted())
			report->end = EXPLORE_CUT_SIGNAL;
		else if (config->seconds > 0 && seconds > config->seconds)
			report->end = EXPLORE_CUT_TIME;
		else if (config->progress != NULL)
			config->progress(report->schedules, report->transitions, seconds);
	}
	return report->end != EXPLORE_COMPLETE;
}

static void
search(Dpor *dpor)
{
	SimViolation violation = arrive(dpor, 0);

	while (violation == SIM_NOTHING && !is_out_of_budget(dpor))
	{
		Frame *frame = &dpor->frame[dpor->depth], *child = frame + 1;
		SimOutcome outcome;

		if (dpor->depth == DEPTH_MAX || !next_event(frame))
		{
			if (dpor->depth == 0)
				break;
			go_back(dpor);
			continue;
		}
		outcome = make_event(dpor, frame);
		violation = sim_violation();
		if (violation != SIM_NOTHING)
		{
			found(dpor, dpor->depth + 1, violation);
			return;
		}
		if (outcome == OUTCOME_SPUN && frame->move == MOVE_TIMEOUT)
		{
			sim_undo(&frame->mark); /* it found nothing: as if it had gone on waiting */
			remember(frame);
			continue;
		}
		__builtin_memcpy(child->looks, frame->looks, sizeof(child->looks));
		update_looks(dpor, frame, child->looks, outcome);
		hand_down_sleep(dpor, frame, child);
		dpor->depth++;
		violation = arrive(dpor, frame->process);
	}
	if (violation != SIM_NOTHING)
		found(dpor, dpor->depth, violation);
}

void
sim_dpor(const ExploreConfig *config, ExploreReport *report)
{
	static Dpor dpor;
	size_t size = (DEPTH_MAX + 1) * sizeof(Frame);
	double start = sim_now();
	void *frames = mmap(NULL, size, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	dpor = (Dpor){.config = config, .report = report, .frame = frames};
	if (frames == MAP_FAILED || !table_open(&dpor.ends, config->memory_limit))
	{
		report->end = EXPLORE_UNFIT;
		return;
	}
	sim.records = false; /* calls that do not meet have no order here */
	report->end = EXPLORE_COMPLETE;
	report->seconds = start;
	search(&dpor);
	if (report->end == EXPLORE_COMPLETE && dpor.cut)
		report->end = EXPLORE_CUT_SCHEDULES;
	report->terminals = dpor.ends.states;
	report->seconds = sim_now() - start;
	table_close(&dpor.ends);
	(void) munmap(frames, size);
}
