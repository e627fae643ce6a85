/*
 * exhaustive.c
 *		Every schedule: a depth-first search over states, each looked at once.
 *
 * From each state: a step of every process that can make one, the death of every process while the budget lasts, and the
 * end of the patience of every process that waits.  Going back is undoing the step.
 *
 * Progress.  A state is good when the end can be reached from it by steps alone: deaths and time-outs do not count, since
 * they would hide a wake-up that never comes.  Most states are known to be good when the search leaves them; those that
 * hang on a state which was not decided yet are kept with their edges and decided at the end.  A state without steps that
 * is not the end is a deadlock, found at once.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "search.h"
#include "table.h"

#define FRAMES_MAX    (UINT64_C(1) << 24)
#define MORE_TO_LEARN 20000
#define EDGES_MAX     (UINT64_C(1) << 27)

typedef struct Frame
{
	SimMark mark; /* undoes the move that led here */
	uint32_t state;
	uint8_t choice;
	uint8_t move; /* of the parent */
	bool counts;  /* the move is no fault */
	bool good;
	uint8_t steps;    /* successors by steps */
	uint8_t spinning; /* bit per process */
	uint8_t deferred; /* bit per process: its death here is its death one step later */
	uint8_t nopen;
	int8_t last;         /* who ran last and could go on; -1: changing over is free */
	uint8_t preemptions; /* spent so far */
	uint32_t open[SIM_PROCESSES * 3];
} Frame;

typedef struct Edge
{
	uint32_t from, to;
} Edge;

typedef struct Search
{
	StateTable table;
	Frame *frame;
	size_t frames;
	Edge *edge;
	size_t edges;
	bool faults; /* deaths and time-outs are explored */
	bool timeouts_count;
	bool stop_at_end;     /* only whether the end is reachable is asked */
	int most_preemptions; /* -1: no bound */
	int8_t last;          /* of the state that is arrived at */
	uint8_t preemptions;
	ExploreReport *report;
} Search;

double
sim_now(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

static void *
map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
					-1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static bool
search_open(Search *search, uint64_t memory)
{
	search->frame = map(FRAMES_MAX * sizeof(Frame));
	search->edge = map(EDGES_MAX * sizeof(Edge));
	return table_open(&search->table, memory) && search->frame != NULL && search->edge != NULL;
}

static void
search_close(Search *search)
{
	table_close(&search->table);
	if (search->frame != NULL)
		(void) munmap(search->frame, FRAMES_MAX * sizeof(Frame));
	if (search->edge != NULL)
		(void) munmap(search->edge, EDGES_MAX * sizeof(Edge));
}

/* ---- moves of a state, in a fixed order ---- */

/* Is it a preemption to go on with `process`?  Not when who ran last ended, sleeps, waits in a loop or died. */
static bool
is_preemption(const Frame *frame, int process)
{
	return frame->last >= 0 && process != frame->last && sim_can_step(frame->last) &&
		   !(frame->spinning >> frame->last & 1);
}

static bool
is_too_dear(const Search *search, const Frame *frame, int process)
{
	return search->most_preemptions >= 0 && is_preemption(frame, process) &&
		   frame->preemptions >= search->most_preemptions;
}

static bool
next_move(const Search *search, Frame *frame, SimMove *move, int *process)
{
	int n = sim.processes;

	while (frame->choice < 4 * n)
	{
		/* Who ran last comes first: whether it can go on decides what changing over costs. */
		int p = (frame->choice + (frame->last > 0 ? frame->last : 0)) % n;
		int kind = frame->choice / n;

		frame->choice++;
		*process = p;
		if (kind == 0 && sim_can_step(p) && !is_too_dear(search, frame, p))
		{
			*move = MOVE_STEP;
			return true;
		}
		if (kind == 1 && search->faults && sim_can_time_out(p, frame->spinning >> p & 1))
		{
			*move = MOVE_TIMEOUT;
			return true;
		}
		if (kind == 2 && search->faults && sim_can_kill(p) && !(frame->deferred >> p & 1))
		{
			*move = MOVE_KILL;
			return true;
		}
		if (kind == 3 && sim_can_flush(p))
		{
			*move = MOVE_FLUSH;
			return true;
		}
	}
	return false;
}

static void
push(Search *search, uint32_t state, const SimMark *mark, uint8_t move, bool counts)
{
	Frame *frame = &search->frame[search->frames++];

	__builtin_memset(frame, 0, sizeof(*frame));
	frame->mark = *mark;
	frame->state = state;
	frame->move = move;
	frame->counts = counts;
	if (search->frames > search->report->depth_max)
		search->report->depth_max = (uint32_t) search->frames;
}

static void
edge_to(Search *search, Frame *frame, uint32_t to)
{
	uint8_t flags = search->table.flags[to];

	if (flags & STATE_GOOD)
		frame->good = true;
	else if (frame->nopen < SIM_PROCESSES * 3)
		frame->open[frame->nopen++] = to;
}

/* The search leaves the state: what it knows of it now. */
static bool
finish(Search *search, Frame *frame)
{
	uint8_t *flags = &search->table.flags[frame->state];

	*flags |= STATE_FINISHED;
	/* A successor may have turned out good since the edge was noted. */
	for (uint8_t i = 0; i < frame->nopen && !frame->good; i++)
		frame->good = (search->table.flags[frame->open[i]] & STATE_GOOD) != 0;
	if (frame->good)
	{
		*flags |= STATE_GOOD;
		return true;
	}
	for (uint8_t i = 0; i < frame->nopen; i++)
	{
		if (search->edges == EDGES_MAX)
			return false;
		search->edge[search->edges++] = (Edge){frame->state, frame->open[i]};
	}
	search->report->undecided++;
	return true;
}

/* ---- findings ---- */

static void
found_on_stack(Search *search, SimViolation violation, int last_move)
{
	size_t count = search->frames - 1 + (last_move >= 0 ? 1 : 0);
	ExploreMove *raw = calloc(count + 1, sizeof(*raw));

	if (raw == NULL)
		return;
	for (size_t i = 1; i < search->frames; i++)
		raw[i - 1] = (ExploreMove){search->frame[i].move >> 4, search->frame[i].move & 15};
	if (last_move >= 0)
		raw[count - 1] = (ExploreMove){(uint8_t) (last_move >> 4), (uint8_t) (last_move & 15)};
	sim_report_finding(search->report, raw, count, violation);
	free(raw);
}

static void
found_state(Search *search, uint32_t state, SimViolation violation)
{
	size_t count = 0;
	ExploreMove *raw;

	for (uint32_t s = state; s != 0; s = search->table.parent[s])
		count++;
	raw = calloc(count + 1, sizeof(*raw));
	if (raw == NULL)
		return;
	for (uint32_t s = state, at = (uint32_t) count; s != 0; s = search->table.parent[s])
	{
		uint8_t move = search->table.move[s];

		raw[--at] = (ExploreMove){move >> 4, move & 15};
	}
	sim_report_finding(search->report, raw, count, violation);
	free(raw);
}

/* Spreads what is good backwards over the kept edges; the first state that stays bad, or 0. */
static uint32_t
first_doomed(Search *search)
{
	bool more = true;

	while (more)
	{
		more = false;
		for (size_t i = 0; i < search->edges; i++)
		{
			uint8_t *from = &search->table.flags[search->edge[i].from];

			if ((*from & STATE_GOOD) || !(search->table.flags[search->edge[i].to] & STATE_GOOD))
				continue;
			*from |= STATE_GOOD;
			more = true;
		}
	}
	for (size_t i = 0; i < search->edges; i++)
	{
		if (!(search->table.flags[search->edge[i].from] & STATE_GOOD))
			return search->edge[i].from;
	}
	return 0;
}

/* ---- the search ---- */

static bool
out_of_budget(Search *search, const ExploreConfig *config, double start)
{
	ExploreReport *report = search->report;
	double seconds = sim_now() - start;

	if (config->interrupted != NULL && config->interrupted())
		report->end = EXPLORE_CUT_SIGNAL;
	else if (config->seconds > 0 && seconds > config->seconds)
		report->end = EXPLORE_CUT_TIME;
	else
	{
		if (config->progress != NULL)
			config->progress(search->table.states, report->transitions + report->crash_transitions,
							 seconds);
		return false;
	}
	return true;
}

/* A state that was just reached.  False: there is no room for it. */
static bool
arrive(Search *search, Frame *parent, const SimMark *mark, uint8_t move, bool counts)
{
	uint32_t number;
	bool is_new;

	SimHash hash = sim_state_hash();

	/* With a bound, how much of it is spent, and who may go on for nothing, is part of the state. */
	if (search->most_preemptions >= 0)
	{
		hash.a += (uint64_t) (search->last + 2) * UINT64_C(0x9e3779b97f4a7c15) +
				  search->preemptions * UINT64_C(0xd1b54a32d192ed03);
		hash.b ^= hash.a >> 7;
	}
	if (!table_find(&search->table, hash, &number, &is_new) || search->frames == FRAMES_MAX)
		return false;
	if (counts && parent != NULL)
		parent->steps++;
	if (!is_new)
	{
		if (counts && parent != NULL)
			edge_to(search, parent, number);
		if (mark != NULL)
			sim_undo(mark);
		return true;
	}
	search->table.parent[number] = parent != NULL ? parent->state : 0;
	search->table.move[number] = move;
	push(search, number, mark != NULL ? mark : &(SimMark){.process = -1}, move, counts);
	search->frame[search->frames - 1].last = search->last;
	search->frame[search->frames - 1].preemptions = search->preemptions;
	return true;
}

/* The state at the top has no moves left: leaves it.  False: a deadlock, or no room. */
static bool
leave(Search *search, SimViolation *violation)
{
	Frame *frame = &search->frame[search->frames - 1];

	if (frame->steps == 0 && !frame->good && !search->stop_at_end)
	{
		*violation = sim_judge_stuck();
		if (*violation != SIM_NOTHING)
			return false;
		frame->good = true;
	}
	if (!finish(search, frame))
		return false;
	search->frames--;
	if (search->frames > 0)
	{
		if (frame->counts)
			edge_to(search, &search->frame[search->frames - 1], frame->state);
		sim_undo(&frame->mark);
	}
	return true;
}

/*
 * A step that changed nothing shared: who dies after it leaves what it leaves who dies before.  So the death is left to the
 * state after it, if that one is new and therefore still to be looked at: no circle of states leaves it to each other.
 */
static void
defer_death(Search *search, Frame *frame, int process)
{
	const Frame *next = &search->frame[search->frames - 1];

	if (next == frame + 1 && next->mark.log_count == sim.log_count &&
		search->most_preemptions < 0 && sim_can_kill(process))
		frame->deferred |= (uint8_t) (1u << process);
}

/*
 * A search that is to start again goes on for about as long as it took to learn why, since starting again is dear.  What it
 * finds then is left to the next one: its moves up to there were others than the same moves would be now.
 */
static bool
has_learnt_enough(const ExploreReport *report, uint64_t *since)
{
	if (*since == 0)
		*since = report->transitions + 1;
	return report->transitions > *since * 2 + MORE_TO_LEARN;
}

static void
depth_first(Search *search, const ExploreConfig *config)
{
	ExploreReport *report = search->report;
	double start = sim_now();
	uint64_t work = 0, widened_at = 0;

	report->end = EXPLORE_COMPLETE;
	sim.records = false; /* a state that two ways lead to has two histories */
	search->last = -1;
	search->preemptions = 0;
	if (!arrive(search, NULL, NULL, 0, false))
		report->end = EXPLORE_CUT_MEMORY;
	while (search->frames > 0 && report->end == EXPLORE_COMPLETE)
	{
		Frame *frame = &search->frame[search->frames - 1];
		SimViolation violation = SIM_NOTHING;
		SimMove move;
		SimMark mark;
		SimOutcome outcome;
		int process;
		bool counts;

		if (sim.widened && sim.coarse && has_learnt_enough(report, &widened_at))
			break;
		if ((++work & 0x3ffff) == 0 && out_of_budget(search, config, start))
			break;
		if (frame->choice == 0 && sim_is_terminal())
		{
			report->terminals++;
			frame->good = true;
			violation = sim_judge_terminal();
			if (violation != SIM_NOTHING)
			{
				if (widened_at == 0)
					found_on_stack(search, violation, -1);
				break;
			}
			if (search->stop_at_end)
				break;
		}
		if (!next_move(search, frame, &move, &process))
		{
			if (leave(search, &violation))
				continue;
			if (violation == SIM_NOTHING)
				report->end = EXPLORE_CUT_MEMORY;
			else if (widened_at == 0)
				found_on_stack(search, violation, -1);
			break;
		}
		search->preemptions =
			(uint8_t) (frame->preemptions + (move == MOVE_STEP && is_preemption(frame, process)));
		mark = sim_mark(process);
		outcome = sim_move(move, process);
		search->last = (int8_t) (move == MOVE_KILL || outcome == OUTCOME_SPUN ? -1 : process);
		if (move == MOVE_STEP || move == MOVE_FLUSH)
			report->transitions++;
		else
			report->crash_transitions++;
		violation = sim_violation();
		if (violation != SIM_NOTHING)
		{
			if (!search->stop_at_end && widened_at == 0)
				found_on_stack(search, violation, move << 4 | process);
			break;
		}
		if (move == MOVE_FLUSH)
			search->last = frame->last;
		counts = move == MOVE_STEP || move == MOVE_FLUSH ||
				 (move == MOVE_TIMEOUT && search->timeouts_count);
		if (outcome == OUTCOME_SPUN)
		{
			frame->spinning |= (uint8_t) (1u << process);
			if (move == MOVE_TIMEOUT)
			{
				sim_undo(&mark); /* it found nothing: as if it had gone on waiting */
				continue;
			}
		}
		if (!arrive(search, frame, &mark, (uint8_t) ((unsigned) move << 4 | (unsigned) process),
					counts))
			report->end = EXPLORE_CUT_MEMORY;
		else if (move == MOVE_STEP && outcome != OUTCOME_SPUN)
			defer_death(search, frame, process);
	}
	if (widened_at != 0 && report->end == EXPLORE_CUT_MEMORY)
		report->end = EXPLORE_COMPLETE; /* of this one */
	report->seconds = sim_now() - start;
}

/* Random schedules, to learn which accesses conflict before all of them are looked at. */
#define SCHEDULES_TO_LEARN 2000
#define SCHEDULES_TO_LEARN_MORE                                                                    \
	100000 /* from three processes on a search that starts again is dear */

static void
learn(const ExploreConfig *config, ExploreReport *report)
{
	ExploreConfig walk = *config;

	walk.strategy = EXPLORE_RANDOM;
	walk.schedules = config->workers > 2 ? SCHEDULES_TO_LEARN_MORE : SCHEDULES_TO_LEARN;
	walk.seed = 1;
	walk.progress = NULL;
	sim.coarse = false;
	sim.learns = true;
	/* Whether the others live is looked at by who waits long: seldom at random. */
	for (int p = 0; p < config->workers && config->workers > 2; p++)
		sim_note_access(p, &sim_world->shared.segment.procs[(p + 1) % config->workers].life, false);
	sim_walk(&walk, report);
	if (report->signature != NULL)
		return;
	report->schedules = report->steps = report->transitions = report->crash_transitions = 0;
	sim.coarse = true;
	sim.widened = false;
	sim_start();
}

void
sim_search(const ExploreConfig *config, ExploreReport *report)
{
	double start = sim_now();

	learn(config, report);
	while (report->signature == NULL)
	{
		Search search = {.report = report,
						 .faults = true,
						 .timeouts_count = !config->supervisor,
						 .most_preemptions = config->strategy == EXPLORE_PREEMPTIONS
												 ? (int) config->preemptions
												 : -1};
		uint32_t doomed;

		if (!search_open(&search, config->memory_limit))
		{
			report->end = EXPLORE_UNFIT;
			search_close(&search);
			return;
		}
		depth_first(&search, config);
		report->states = search.table.states;
		report->bytes = table_bytes(&search.table) + search.edges * sizeof(Edge) + sim.arena_used;
		doomed = report->end == EXPLORE_COMPLETE && report->signature == NULL && !sim.widened
					 ? first_doomed(&search)
					 : 0;
		if (doomed != 0)
			found_state(&search, doomed, SIM_LIVELOCK);
		search_close(&search);
		if (!sim.widened || report->signature != NULL || report->end != EXPLORE_COMPLETE)
			break;
		/* An access turned up that conflicts with some that were passed through: all over again. */
		sim.widened = false;
		report->terminals = report->transitions = report->crash_transitions = report->undecided = 0;
		sim_start();
	}
	report->seconds = sim_now() - start;
}

bool
sim_can_end(uint64_t memory_limit)
{
	static ExploreReport report; /* large, and nobody reads it */
	ExploreConfig config = {.memory_limit = memory_limit};
	Search search = {.report = &report, .stop_at_end = true, .most_preemptions = -1};
	bool can;

	__builtin_memset(&report, 0, offsetof(ExploreReport, problem));
	if (!search_open(&search, memory_limit))
		return true;
	depth_first(&search, &config);
	/* Only a search that saw everything and no end says no. */
	can = report.terminals > 0 || report.end != EXPLORE_COMPLETE;
	search_close(&search);
	return can;
}
