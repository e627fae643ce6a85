/*
 * model.h
 *		The simulated machine: what its processes share, what is each one's own, and how one step is made.
 *
 *		shared memory	the segment, what the kernel knows (asleep, dead, reaped, clocks, budgets) and the judge's notes.
 *						Every change is logged: undoing a step and hashing a state cost what the step changed
 *		processes		coroutines on stacks at fixed addresses.  A stopped process is its live stack bytes and its
 *						thread-local variables: an image
 *
 * A step of a process is the access it stood before, and all it does up to the next one that others could see.
 * Accesses that nobody else can see are not stops; see visibility in hooks.c.
 *
 * One simulation per process of the operating system, used by one thread.
 */
#ifndef HOLDFAST_SCHED_MODEL_H
#define HOLDFAST_SCHED_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "seam.h"

#include "lwlock_internal.h"

#include "explore.h"

/* The engine's own calls are the system's. */
#undef syscall
#undef nanosleep
#undef sched_yield
#undef clock_gettime
#undef getpid
#undef memset
#undef memcpy

#define SIM_PROCESSES  HOLDFAST_PROCS_MAX
#define SIM_LOCKS      2
#define SIM_STACK_SIZE 16384
#define SIM_STACK_CLEAN                                                                            \
	1024 /* bytes below a stopped process that are kept zero, for equal states to be equal bytes */
#define SIM_TLS_SIZE 64
#define SIM_ADDRESS  ((void *) UINT64_C(0x200000000000))

/* ---- shared memory ---- */

typedef struct SimSegment
{
	PGShmemHeader header __attribute__((aligned(128)));
	ProcGlobalData proc_global __attribute__((aligned(CACHE_LINE_SIZE)));
	LWLockPadded locks[SIM_LOCKS] __attribute__((aligned(CACHE_LINE_SIZE)));
	struct PGPROC procs[SIM_PROCESSES];
	uint64_t data[SIM_LOCKS][2]; /* what each lock protects: two words that are equal outside */
	uint64_t var;                /* for LWLockWaitForVar */
	LWLockTrancheTable tranches;
} SimSegment;

/* What the kernel knows of each process. */
typedef struct SimKernel
{
	uint64_t asleep[SIM_PROCESSES]; /* offset of the futex word + 1; 0: not asleep */
	uint64_t timed[SIM_PROCESSES];  /* asleep: nanoseconds to the time-out; UINT64_MAX: none */
	uint64_t clock[SIM_PROCESSES];
	uint64_t dead[SIM_PROCESSES];
	uint64_t reaped[SIM_PROCESSES];
	uint64_t done[SIM_PROCESSES];
	uint64_t crashes_left, recoverer_crashes_left, timeouts_left;
} SimKernel;

/* What the judge saw. */
typedef struct SimNotes
{
	uint64_t holds_exclusive[SIM_LOCKS]; /* bit per process */
	uint64_t holds_shared[SIM_LOCKS];
	uint64_t committed[SIM_LOCKS]; /* what data[][] must be */
	uint64_t repairing[SIM_LOCKS]; /* process + 1 */
	uint64_t
		busy_seen; /* bit per process: its conditional acquisition is running, and the lock was held */
	uint64_t trying;                 /* bit per process */
	uint64_t passed_over[SIM_LOCKS]; /* bit per process: no newcomer, see sim_judge_handoff() */
	uint64_t violation;              /* SimViolation */
	uint64_t culprit;
} SimNotes;

/* A store that the others do not see yet; see tso.c. */
typedef struct SimStore
{
	uint64_t where; /* offset << 8 | size; 0: none */
	uint64_t value;
} SimStore;

#define SIM_BUFFERED 4

typedef struct SimBuffer
{
	uint64_t count;
	SimStore store[SIM_BUFFERED]; /* oldest first */
} SimBuffer;

typedef struct SimShared
{
	SimSegment segment;
	SimKernel kernel;
	SimNotes notes;
	SimBuffer buffer[SIM_PROCESSES];
} SimShared;

typedef struct SimWorld
{
	SimShared shared __attribute__((aligned(4096)));
	unsigned char stack[SIM_PROCESSES][SIM_STACK_SIZE] __attribute__((aligned(4096)));
} SimWorld;

#define sim_world ((SimWorld *) SIM_ADDRESS)

/* ---- what is found ---- */

typedef enum SimViolation
{
	SIM_NOTHING = 0,
	SIM_MUTUAL_EXCLUSION,
	SIM_LOST_UPDATE,
	SIM_TORN_DATA,
	SIM_REPAIR_OF_THE_LIVING,
	SIM_DOUBLE_RECOVERY,
	SIM_UNEXPECTED_STATUS,
	SIM_BUSY_UNJUSTIFIED,
	SIM_ILLEGAL_WORD,
	SIM_UNRECOVERED,
	SIM_LEFTOVERS,
	SIM_LOST_WAKEUP,
	SIM_DEADLOCK,
	SIM_LIVELOCK,
	SIM_OVERRUN,
	SIM_QUEUE_RACE,
	SIM_OVERTAKEN,
	SIM_NOT_LINEARIZABLE,
} SimViolation;

const char *sim_violation_name(SimViolation violation);
const char *sim_violation_text(SimViolation violation);

/* ---- processes ---- */

typedef enum SimRole
{
	SIM_WORKER,
	SIM_SUPERVISOR, /* recovers the dead as it reaps them */
	SIM_STANDBY,    /* the next supervisor, once all before it are dead */
} SimRole;

typedef enum SimStop
{
	STOP_NOT_STARTED = 0,
	STOP_READ,
	STOP_WRITE,
	STOP_RMW,
	STOP_FUTEX_WAIT,
	STOP_FUTEX_WAKE,
	STOP_ASLEEP,
	STOP_NAP,     /* between two looks, with something changed before the first */
	STOP_IDLE,    /* supervisor: nobody to reap */
	STOP_STANDBY, /* not yet needed */
	STOP_DONE,
	STOP_SWAP, /* a compare-and-swap; kept as STOP_RMW */
	STOP_SPIN, /* never kept: what it read must change first, so it goes back to before it read */
} SimStop;

typedef struct SimImage
{
	void *sp;
	uint32_t size; /* live stack bytes; 0: done or dead */
	uint16_t stop; /* SimStop */
	uint16_t napped;
	uint64_t address;
	uint64_t hash[2];
	unsigned char tls[SIM_TLS_SIZE];
	unsigned char bytes[];
} SimImage;

typedef struct SimProcess
{
	SimRole role;
	const char *program;
	const SimImage *image; /* as it stands */
	const SimImage *pure;  /* as it stood after the last change it made */
} SimProcess;

/* ---- one simulation ---- */

typedef struct SimLogEntry
{
	uint64_t *word;
	uint64_t before;
} SimLogEntry;

typedef struct SimHash
{
	uint64_t a, b;
} SimHash;

typedef enum SimClass
{
	CLASS_SHARED = 0,
	CLASS_CONSTANT, /* never changes while processes run */
	CLASS_QUIET,    /* only counts */
	CLASS_JOURNAL,  /* one slot's */
	CLASS_LIFE,
	CLASS_QUEUE, /* the list's links: for the owner of the queue alone */
	CLASS_WAKE,  /* one slot's futex word, and beside it the mode it waits in */
	CLASS_LINK,  /* the lock in whose queue a slot is linked */
} SimClass;

#define SIM_WORDS (sizeof(SimShared) / 8)

typedef struct SimHistory SimHistory;

#define SIM_TOUCHES 48

/* What a step touched of shared memory. */
typedef struct SimFootprint
{
	uint32_t count;
	uint16_t touch[SIM_TOUCHES]; /* word << 1 | it is written */
} SimFootprint;

typedef struct Sim
{
	const ExploreConfig *config;
	int processes; /* workers, supervisor, standbys */
	int workers;
	SimProcess process[SIM_PROCESSES];
	bool running; /* hooks are live */
	bool walking; /* states are not compared: no hashes, no clean stacks */
	bool records; /* keeps a history of operations */
	bool real;    /* processes are processes, stops wait for the baton */
	int current;
	void *engine_sp;
	SimFootprint *footprint; /* takes what the step touches; NULL: nobody asks */

	/* where the current process stopped */
	SimStop stop;
	uint64_t stop_address;

	bool looks_without_stopping; /* the current process spins: what it reads is one block */
	bool impatient;              /* its patience has ended: naps do not stop it either */
	bool timed_out;              /* because a time-out move says so: time passes */
	uint32_t naps;
	bool changed_something; /* the step wrote, slept or woke */
	bool napped;            /* the process has napped in a loop since its last change */

	SimLogEntry *log;
	size_t log_count, log_capacity, step_start;
	SimHash shared_hash;

	unsigned char *arena; /* images of the path that is being explored */
	size_t arena_used, arena_size;

	/* coarse: accesses that conflict with nobody's are passed through; a step counts how many */
	bool coarse, widened;
	bool learns; /* takes note of who reads and writes what */
	/* Somebody was seen to break the rule who owns what; accesses are stops again for which it would speak. */
	bool journals_are_anybodys, links_are_anybodys;
	bool slots_are_left; /* a program leaves its slot while it lives */
	bool two_locks;
	uint32_t passed;
	const volatile void *just_read;
	uint8_t readers[SIM_WORDS], writers[SIM_WORDS]; /* bit per process */

	uint8_t class_of[SIM_WORDS]; /* SimClass << 4 | owner */

	SimHistory *history;

	ExploreStack *unwind;       /* a process that is switched to only tells its stack */
	ExploreStack *at_violation; /* tells it when it breaks a rule */

	/* thread-local variables of the library */
	unsigned char *tls;
	size_t tls_size;
} Sim;

extern Sim sim;

/* ---- setup.c ---- */

bool sim_open(const ExploreConfig *config, char *problem, size_t size);
void sim_close(void);
/* Sets every process to its start; hooks go live. */
void sim_start(void);

/* ---- step.c ---- */

typedef enum SimMove
{
	MOVE_STEP,
	MOVE_KILL,
	MOVE_TIMEOUT,
	MOVE_FLUSH, /* the oldest store in its buffer comes to memory */
} SimMove;

typedef enum SimOutcome
{
	OUTCOME_STEPPED,
	OUTCOME_SPUN, /* waits for a change: it is back where it was after its last one */
	OUTCOME_REFUSED,
} SimOutcome;

/* What undoing needs. */
typedef struct SimMark
{
	size_t log_count, arena_used;
	SimHash shared_hash;
	const SimImage *image, *pure;
	int process;
} SimMark;

bool sim_can_step(int process);
bool sim_can_kill(int process);
bool sim_can_time_out(int process, bool spinning);
SimMark sim_mark(int process);
SimOutcome sim_move(SimMove move, int process);
void sim_undo(const SimMark *mark);
/* What a death, or the end of a sleep, changes in the books. */
void sim_note_death(int process);
void sim_note_time_out(int process);
SimHash sim_state_hash(void);
/* All programs ended, all dead are recovered, supervisors idle. */
bool sim_is_terminal(void);
SimViolation sim_violation(void);

/* Where the calling process stands next; returns when it is to go on. */
void sim_stop_here(SimStop stop, const void *address);
bool sim_looks(SimStop stop);
void sim_log(const void *address);
/* The stack that the process stands on. */
void sim_unwind(int process, ExploreStack *stack);
/* hooks.c: that a process reads or writes there; so do all who run the same. */
void sim_note_access(int process, const volatile void *address, bool writes);
static inline bool
sim_is_shared(const void *address)
{
	return (uintptr_t) address - (uintptr_t) SIM_ADDRESS < sizeof(SimShared);
}

static inline uint64_t
sim_offset(const void *address)
{
	return (uint64_t) ((uintptr_t) address - (uintptr_t) SIM_ADDRESS);
}

static inline pid_t
sim_pid(int process)
{
	return 1000 + process;
}

/* ---- dpor.c ---- */

void sim_note_touch(const volatile void *address, bool writes);

/* The step looks at what others may change, or the other way round; accesses of the lock code are noted as they come. */
static inline void
sim_touch(const volatile void *address, bool writes)
{
	if (__builtin_expect(sim.footprint != NULL, 0))
		sim_note_touch(address, writes);
}

/* Stores that are logged and stop nobody: the kernel's and the judge's. */
static inline void
sim_set(uint64_t *word, uint64_t value)
{
	sim_log(word);
	*word = value;
}

/* ---- tso.c; without config->tso buffers are empty ---- */

bool sim_can_flush(int process);
void sim_tso_flush(int process);
void sim_tso_empty(int process);
/* The current process begins, or ends, to see its own stores. */
void sim_tso_lay_over(void);
void sim_tso_take_off(void);
void sim_tso_before(const volatile void *address, size_t size, SimStop stop, bool stops);
/* The current process's stores are seen by all; `fence`: others may run before that. */
void sim_tso_drain(void);
void sim_tso_fence(void);

/* ---- linear.c ---- */

/* What an operation on a lock asks for, and what it turned out to be. */
typedef enum SimAsk
{
	SIM_ASK_NOTHING = 0,
	SIM_ASK_EXCLUSIVE,
	SIM_ASK_SHARED,
	SIM_ASK_IF_FREE_EXCLUSIVE,
	SIM_ASK_IF_FREE_SHARED,
	SIM_ASK_RELEASE,
	SIM_ASK_SET,
	SIM_ASK_VALUE,
	SIM_SAW_BUSY_EXCLUSIVE,
	SIM_SAW_BUSY_SHARED,
	SIM_SAW_FREE,
	SIM_SAW_VALUE,
} SimAsk;

bool sim_history_open(void);
void sim_history_close(void);
void sim_history_begin(void);
void sim_history_mark(void);
void sim_history_again(void);
void sim_history_call(SimAsk ask, int lock, uint64_t value);
void sim_history_step(int process);
void sim_history_return(HoldfastStatus status, uint64_t value);
void sim_history_death(int process);
/* Also when there is no history, or too much of it. */
bool sim_is_linearizable(void);

/* ---- stack.c ---- */

void sim_note_stack(ExploreStack *stack);
void sim_tell_stacks(ExploreReport *report);

/* ---- program.c ---- */

bool sim_program_is_good(const char *program);
void sim_run_program(int process);
void sim_run_supervisor(void);
void sim_run_standby(void);
bool sim_repair(LWLock *lock, int dead_slot, void *arg);
void sim_violate(SimViolation violation);

/* ---- judge.c ---- */

void sim_judge_step(void); /* after each step: words are legal */
/* The current process has changed a lock word: did it overtake whom it must not? */
void sim_judge_handoff(const volatile void *word, uint64_t before, uint64_t after);
SimViolation sim_judge_terminal(void); /* nothing is left */
SimViolation sim_judge_stuck(void);    /* nobody can go on: what is it? */

#endif
