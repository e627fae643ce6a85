/*
 * explore.h
 *		What the simulator is asked, and what it answers; all that the command line knows of it.
 *
 * The simulator is a module (holdfast_sim.so, or one built from a patched copy of the lock sources) with one function,
 * EXPLORE_ENTRY.  It has its own copy of the library, hooked, and shares nothing with the program that loads it.
 */
#ifndef HOLDFAST_SCHED_EXPLORE_H
#define HOLDFAST_SCHED_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPLORE_ABI           2
#define EXPLORE_PROCESSES_MAX 5    /* workers */
#define EXPLORE_SCHEDULE_MAX  4096 /* moves */
#define EXPLORE_DEPTHS_MAX    8
#define EXPLORE_STACKS_MAX    8 /* processes, supervisors included */
#define EXPLORE_FRAMES_MAX    24

typedef enum ExploreStrategy
{
	EXPLORE_EXHAUSTIVE,
	EXPLORE_RANDOM,
	EXPLORE_PCT,
	EXPLORE_PREEMPTIONS,
	EXPLORE_DPOR,   /* wants `fine` */
	EXPLORE_REPLAY, /* the given schedule, simulated */
	EXPLORE_REAL,   /* the given schedule, on real processes */
	EXPLORE_FLOOR,  /* nothing but switches of stacks, there and back; counted as steps */
} ExploreStrategy;

/* One move: what, by whom. */
typedef struct ExploreMove
{
	uint8_t kind; /* 0 step, 1 kill, 2 time-out, 3 flush of a store */
	uint8_t process;
} ExploreMove;

typedef struct ExploreSchedule
{
	uint32_t count;
	ExploreMove move[EXPLORE_SCHEDULE_MAX];
} ExploreSchedule;

typedef struct ExploreConfig
{
	int workers;
	const char *program[EXPLORE_PROCESSES_MAX];
	unsigned crashes, recoverer_crashes, timeouts;
	bool supervisor; /* false: only waiters recover, by time-outs */
	bool poison;     /* the tranche's policy; otherwise repair */
	bool tso;        /* store buffers; otherwise memory is sequentially consistent */
	bool fine;       /* accesses under the queue's owner are stops, too */
	ExploreStrategy strategy;
	unsigned preemptions;
	unsigned depth[EXPLORE_DEPTHS_MAX], depths; /* PCT */
	uint64_t seed, schedules;
	uint64_t memory_limit; /* bytes */
	double seconds;        /* budget; 0: none */
	const ExploreSchedule *schedule;
	bool (*interrupted)(void);
	void (*at_finding)(const int *pids, int count,
					   int culprit); /* EXPLORE_REAL: the processes stand there */
	void (*progress)(uint64_t states, uint64_t transitions, double seconds);
} ExploreConfig;

typedef enum ExploreEnd
{
	EXPLORE_COMPLETE,
	EXPLORE_FOUND,
	EXPLORE_CUT_TIME,
	EXPLORE_CUT_MEMORY,
	EXPLORE_CUT_SIGNAL,
	EXPLORE_BAD_CONFIG,
	EXPLORE_DIVERGED, /* a replayed schedule could not be followed */
	EXPLORE_UNFIT,
	EXPLORE_CUT_SCHEDULES, /* or one was too long */
} ExploreEnd;

/* Return addresses in the module, innermost first; none: ended, dead, or not simulated. */
typedef struct ExploreStack
{
	uint32_t count;
	uint64_t address[EXPLORE_FRAMES_MAX];
} ExploreStack;

typedef struct ExploreReport
{
	ExploreEnd end;
	const char *signature; /* "lost-wakeup"; NULL: nothing found */
	const char *text;      /* the same for people */
	int culprit;           /* process, or -1 */
	ExploreSchedule schedule;
	uint32_t followed; /* moves of a given schedule that were made */
	uint64_t states, transitions, crash_transitions, terminals, undecided;
	uint64_t schedules, steps;
	uint64_t blocked; /* DPOR: schedules that were part of others, given up */
	uint32_t depth_max, stack_max;
	double seconds, processor_seconds;
	double miss_probability; /* PCT: that a bug of the given depth was not hit, at most */
	uint64_t bytes;
	char problem[160];
	char story[16384]; /* where everybody stands and what lies in memory, at the finding */
	ExploreStack
		stack[EXPLORE_STACKS_MAX]; /* the same moment: the stop that each process stands at */
	ExploreStack violating;        /* where the culprit broke a rule in the middle of its step */
} ExploreReport;

typedef bool (*ExploreFunction)(int abi, const ExploreConfig *config, ExploreReport *report);
#define EXPLORE_ENTRY "holdfast_explore"

#endif
