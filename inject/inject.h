/*
 * inject.h
 *		Doing harm on purpose: what scenarios, tools and tests use of the injection layer.
 *
 * One *control table* lies in a shared mapping of its own (a sealed memfd, never the segment under test).
 * The tester creates it, the processes under test inherit it by fork, or attach to it after exec through
 * HOLDFAST_INJECT_FD.  Arming a plan in it reaches all of them at once; the counters in it survive the
 * SIGKILL of any of them and are read afterwards.
 *
 *		inject_table_create(&error);
 *		inject_arm("lwlock/acquire/post-cas=#3 kill[proc=worker.1]", &error);
 *		... fork; the child calls inject_set_role("worker", 1); wait for it ...
 *		if (inject_unfired(NULL, 0, NULL) > 0) the run proved nothing
 *
 * Owner: each process owns its mapping; the table lives as long as one mapping or descriptor of it.
 *
 * Thread safety: create, attach, detach and passthrough belong to one thread, before others hit points.
 * Everything else may be called by any thread of any process at any time.
 * Signal safety: reaching a point is safe in a handler when the point says INJECT_NO_MALLOC; of the
 * functions below inject_release(), inject_set_role() and the counters are safe, the rest is not.
 * Crash safety: every change of the table is one atomic store at its end; a process that dies before it
 * has changed nothing.  The registration lock is stolen from a dead owner.
 *
 * Errors: a negative InjectStatus, and an InjectError (may be NULL) that says where and why.
 */
#ifndef HOLDFAST_INJECT_H
#define HOLDFAST_INJECT_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "inject_point.h"

#define INJECT_MUST_CHECK __attribute__((warn_unused_result))

#define INJECT_NAME_SIZE   64    /* a point's name and its NUL */
#define INJECT_TAG_SIZE    32    /* tag of a pause or barrier, name of a callback */
#define INJECT_ROLE_SIZE   24    /* "worker" */
#define INJECT_MAX_POINTS  512   /* distinct names in one table */
#define INJECT_MAX_PROCS   1024  /* processes with counters of their own at one time */
#define INJECT_MAX_ITEMS   64    /* point=chain in one plan: one bit each in a word */
#define INJECT_MAX_STEPS   256   /* steps in one plan */
#define INJECT_MAX_ACTIONS 4     /* action+action in one step */
#define INJECT_MAX_TAGS    32    /* distinct tags in one plan */
#define INJECT_PLAN_SIZE   65536 /* bytes of plan text, NUL included */

#define INJECT_PLAN_ENV "HOLDFAST_PLAN"
#define INJECT_FD_ENV   "HOLDFAST_INJECT_FD"

typedef enum InjectStatus
{
	INJECT_OK = 0,
	INJECT_BAD_PLAN = -1, /* error.line, error.column */
	INJECT_NO_TABLE = -2, /* no table is mapped in this process */
	INJECT_BAD_TABLE =
		-3,            /* the descriptor is no table of ours: magic, version, size, owner, seals */
	INJECT_LIMIT = -4, /* a fixed number above is exceeded */
	INJECT_TIMED_OUT = -5,    /* inject_wait_reached(): the deadline passed */
	INJECT_SYSTEM_ERROR = -6, /* error.saved_errno */
	INJECT_MISUSE = -7,       /* the caller broke the contract; nothing was done */
} InjectStatus;

typedef struct InjectError
{
	InjectStatus status;
	int line; /* 1-based, in the plan; 0 when the plan is not to blame */
	int column;
	int saved_errno;
	char message[240];   /* one printable line */
	char suggestion[64]; /* what was probably meant; "" when nothing is near */
} InjectError;

/* "2:14: no point is called "lwlock/aquire/post-cas"; did you mean "lwlock/acquire/post-cas"?" */
void inject_error_text(const InjectError *error, char *text, size_t size);

/* ---- the control table ---- */

/*
 * Create a table, map it and register the points of this program.  Misuse when one is mapped already.
 * The descriptor is close-on-exec until inject_table_export().
 */
INJECT_MUST_CHECK InjectStatus inject_table_create(InjectError *error);

/* Map the table behind `fd` and register.  The descriptor is duplicated; the caller keeps `fd`. */
INJECT_MUST_CHECK InjectStatus inject_table_attach(int fd, InjectError *error);

/* Unmap and close.  All points of this process are disarmed first; no other thread may be at one. */
void inject_table_detach(void);

bool inject_table_mapped(void);

/* The descriptor of the mapped table, or -1. */
int inject_table_fd(void);

/* Let programs that this process executes attach: the descriptor survives exec, its number is in
 * HOLDFAST_INJECT_FD.  Not thread safe (setenv). */
INJECT_MUST_CHECK InjectStatus inject_table_export(InjectError *error);

/*
 * What a program does first: attach if HOLDFAST_INJECT_FD is set, else create a table if HOLDFAST_PLAN or
 * libfiu's variables are set; arm HOLDFAST_PLAN if set and the table has no plan yet; turn passthrough on
 * if FIU_ENABLE or FIU_CTRL_FIFO is set.  INJECT_OK and no table when none of these is set.
 */
INJECT_MUST_CHECK InjectStatus inject_init_from_environment(InjectError *error);

/* ---- arming ---- */

/*
 * Parse, check and arm, for all processes at once; all or nothing.  Replaces the plan before, whose waiters
 * are released; all counters start at zero.  NUL-terminated text.
 */
INJECT_MUST_CHECK InjectStatus inject_arm(const char *text, InjectError *error);

/* The same for text that may hold anything, NUL bytes too (which are refused with their position). */
INJECT_MUST_CHECK InjectStatus inject_arm_bytes(const void *text, size_t length,
												InjectError *error);

/* Nothing fires any more, every waiter goes on.  The counters stay readable until the next arm. */
void inject_disarm_all(void);

/* The canonical text of the plan now or last armed; "" when there was none.  Returns its length. */
size_t inject_armed_text(char *text, size_t size);

/* Count hits at every point, armed or not: how a sweep learns what there is to break. */
void inject_observe(bool on);

/* ---- who a process is, for proc=worker.1 ---- */

/*
 * Role and ordinal of the calling process.  A forked child has none until it says so.  Truncated to
 * INJECT_ROLE_SIZE - 1.  Needs a table; silently nothing without one, as a point is.
 */
void inject_set_role(const char *role, int ordinal);

/* Role of the calling thread alone, over that of its process.  NULL: none of its own again. */
void inject_set_thread_role(const char *role, int ordinal);

/* A function for call(NAME), in this process and those forked from it.  At most 32; misuse if it is taken. */
typedef void (*InjectCallback)(const char *point, void *arg);
INJECT_MUST_CHECK InjectStatus inject_register_call(const char *name, InjectCallback callback,
													void *arg);

/*
 * Where throw goes in the calling thread: a sigsetjmp() of the caller's, which must not have returned; NULL:
 * nowhere, and a step with throw does not fire in this thread.  Until the first call throw is refused.
 */
void inject_set_catch(sigjmp_buf *where);

/*
 * A predicate for held=NAME in place of the library's (held.c: the locks of the segment, by tranche).  Called
 * at points, in their context.  NULL: the library's again.
 */
typedef bool (*InjectHeldProbe)(const char *lock);
void inject_set_held_probe(InjectHeldProbe probe);

/* ---- pause points ---- */

/*
 * Sleep until at least `count` live processes or threads wait at `tag`.  Waiters that died are not counted.
 * `deadline_ms` from now; INJECT_TIMED_OUT then.
 */
INJECT_MUST_CHECK InjectStatus inject_wait_reached(const char *tag, int count, int deadline_ms);

/* Let everyone go who waits at `tag` now.  Returns how many live waiters that were, -1 without a table. */
int inject_release(const char *tag);

typedef struct InjectWaiter
{
	pid_t pid; /* as seen in the waiter's own PID namespace */
	pid_t tid;
	char tag[INJECT_TAG_SIZE];
	char point[INJECT_NAME_SIZE];
	char role[INJECT_ROLE_SIZE];
	int ordinal;
} InjectWaiter;

/* Fill in the live waiters, reap the dead ones.  Returns how many live ones there are (maybe > max). */
int inject_waiters(InjectWaiter *waiters, int max);

/* ---- what there is, and what happened ---- */

/* Legal actions and kinds of a point, or-able. */
enum
{
	INJECT_CAN_DIE = 1 << 0,     /* kill signal stop exit abort: everywhere */
	INJECT_CAN_WAIT = 1 << 1,    /* pause barrier spin yield: everywhere */
	INJECT_CAN_SLEEP = 1 << 2,   /* sleep */
	INJECT_CAN_CALL = 1 << 3,    /* call(FN) */
	INJECT_CAN_ERRNO = 1 << 4,   /* errno, return: a call that can be made to fail */
	INJECT_CAN_SHORT = 1 << 5,   /* short */
	INJECT_CAN_SKIP = 1 << 6,    /* skip: say success, do nothing; leave the step out */
	INJECT_CAN_CORRUPT = 1 << 7, /* corrupt */
	INJECT_CAN_TORN = 1 << 8,    /* torn: a part is written, all is claimed */
	INJECT_HAS_ARG = 1 << 9,     /* arg= */
	INJECT_CAN_JUMP = 1 << 10,   /* jump: a clock that says another time */
	INJECT_CAN_THROW = 1 << 11,  /* throw */
};

typedef struct InjectPointInfo
{
	char name[INJECT_NAME_SIZE];
	const char *file; /* first site; "" when only another program of this table has the point */
	int line;
	int sites;            /* places in this program with that name */
	int context;          /* HoldfastInjectContext, of all sites */
	const char *corpse;   /* "" when unknown */
	unsigned actions;     /* INJECT_CAN_... */
	const int *errnos;    /* legal errnos, 0-terminated; NULL when none is */
	const char *arg;      /* what arg= means here; "" when nothing */
	bool armed;           /* an item of the armed plan names it */
	uint64_t hits;        /* arrivals while it was armed or observed */
	uint64_t fires;       /* of these: an action other than `off` was taken */
	uint64_t skips;       /* of these: no action was taken */
	const char *function; /* the first site's; "" at a call, and when it is another program's */
} InjectPointInfo;

/*
 * Points of this program in order of name, then those that only other programs of the table have.  Works
 * without a table (all counters 0).  False when `index` is past the end.
 */
bool inject_point_at(int index, InjectPointInfo *info);

/* By exact name. */
bool inject_point_find(const char *name, InjectPointInfo *info);

/* Nearest point name for a mistyped one; NULL when none is near.  Valid until the next call in the thread. */
const char *inject_point_suggest(const char *name);

typedef struct InjectProcInfo
{
	pid_t pid;
	bool live; /* false: it has ended */
	char role[INJECT_ROLE_SIZE];
	int ordinal;
	uint64_t hits;
	uint64_t fires;
	char program[16];                  /* what it executes, as the kernel shows it */
	char last_point[INJECT_NAME_SIZE]; /* where something last fired; "" when nothing did */
	uint64_t last_hit;    /* as the step's `#` counts; without, this process's how-manieth there */
	char last_action[16]; /* "kill" */
	char last_file[64];   /* of the place; its end if it is longer */
	int last_line;
	char last_caller[192]; /* "function (file+0x12)" or "file+0x12"; "" when not known */
} InjectProcInfo;

/* Processes that reached a point, dead ones too, in slot order.  False past the end. */
bool inject_proc_at(int index, InjectProcInfo *info);

/* Hits and fires of one process (`index` as above) at one point.  False when either does not exist. */
bool inject_proc_point(int index, const char *point, uint64_t *hits, uint64_t *fires);

/* Slots taken from dead processes for new ones, whose own counters are gone (the points' are not). */
uint64_t inject_procs_recycled(void);

typedef struct InjectItemInfo
{
	char point[INJECT_NAME_SIZE]; /* as written, with its `*` */
	char text[256];               /* canonical text of the item, cut with "..." when longer */
	bool can_fire;                /* has an action other than `off` */
	uint64_t hits;
	uint64_t fires;
	uint64_t skips;
} InjectItemInfo;

/* Items of the plan now or last armed.  False past the end. */
bool inject_item_at(int index, InjectItemInfo *info);

/*
 * How many items could fire and never did.  Up to `max` of their indices go to `items`, and "text; text" to
 * the struct behind `error` (message), each when not NULL.
 */
int inject_unfired(int *items, int max, InjectError *error);

/* Waits (pause, barrier) that ended by their deadline rather than by a release. */
uint64_t inject_waits_expired(void);

/* ---- libfiu ---- */

/*
 * Points obey what a user enabled with libfiu's own functions or fiu-run or fiu-ctrl, in this process.  At
 * points of calls (docs/syscalls.md) failinfo is the errno (0 or illegal: the call's first
 * documented one); elsewhere it is a signal that the process sends itself (NULL: SIGKILL).  Creates a table
 * when none is mapped.  A plan's item at the same point wins.  Points in INJECT_NO_MALLOC contexts and
 * children forked from a threaded parent do not ask libfiu.
 */
INJECT_MUST_CHECK InjectStatus inject_fiu_passthrough(bool on, InjectError *error);

/* ---- plans as values: for printing, shrinking, sweeping ---- */

typedef enum InjectActionKind
{
	INJECT_OFF,
	INJECT_ERRNO,
	INJECT_RETURN,
	INJECT_SHORT,
	INJECT_SLEEP,
	INJECT_SPIN,
	INJECT_YIELD,
	INJECT_PAUSE,
	INJECT_BARRIER,
	INJECT_KILL,
	INJECT_SIGNAL,
	INJECT_STOP,
	INJECT_EXIT,
	INJECT_ABORT,
	INJECT_SKIP,
	INJECT_CORRUPT,
	INJECT_TORN,
	INJECT_PRINT,
	INJECT_COUNT,
	INJECT_CALL,
	INJECT_JUMP,
	INJECT_THROW,
	INJECT_ACTION_KINDS
} InjectActionKind;

typedef enum InjectScope
{
	INJECT_SCOPE_DEFAULT, /* `#` and `*` count globally, `%` by process */
	INJECT_SCOPE_GLOBAL,
	INJECT_SCOPE_PROC,
	INJECT_SCOPE_THREAD,
} InjectScope;

/* Where in the text something stood, for errors that are found after parsing. */
typedef struct InjectPlace
{
	int line;
	int column;
} InjectPlace;

typedef struct InjectAction
{
	InjectActionKind kind;
	InjectPlace place;
	int64_t a;                  /* errno, value, count, nanoseconds, signal, status, offset */
	int64_t b;                  /* corrupt: mask */
	char name[INJECT_TAG_SIZE]; /* pause, barrier: tag; call: function */
} InjectAction;

#define INJECT_ALWAYS  UINT32_C(1000000000) /* 100 % in parts per 10^9 */
#define INJECT_FOREVER UINT64_MAX

typedef struct InjectStep
{
	uint32_t chance;     /* parts per 10^9; INJECT_ALWAYS without `%` */
	uint64_t limit;      /* N*: fires at most so often; INJECT_FOREVER without */
	uint64_t nth;        /* #N..M/K: hits N, N+K, ... up to M.  nth 0: no `#` */
	uint64_t nth_end;    /* INJECT_FOREVER: open */
	uint64_t every;      /* 0: no /K */
	uint64_t after_hits; /* after(point,N); 0: none */
	char after[INJECT_NAME_SIZE];
	InjectPlace after_place;
	int action_count;
	InjectAction actions[INJECT_MAX_ACTIONS];
	char role[INJECT_ROLE_SIZE]; /* "" : any */
	int ordinal;                 /* -1: any */
	char in[INJECT_NAME_SIZE];   /* "" : any */
	InjectPlace in_place;
	char held[INJECT_TAG_SIZE];
	InjectPlace held_place;
	bool has_arg;
	int64_t arg_low;
	int64_t arg_high;
	InjectPlace arg_place;
	InjectScope scope;
} InjectStep;

typedef struct InjectItem
{
	char point[INJECT_NAME_SIZE]; /* may end in `*` */
	InjectPlace place;
	int first_step;
	int step_count;
} InjectItem;

/* About 150 KiB: keep it off the stack. */
typedef struct InjectPlan
{
	bool has_seed;
	uint64_t seed;
	int64_t deadline_ns; /* of each pause and barrier; 0: not said, 30 s */
	int item_count;
	int step_count;
	InjectItem items[INJECT_MAX_ITEMS];
	InjectStep steps[INJECT_MAX_STEPS];
} InjectPlan;

/* Syntax only: whether points, errnos and contexts fit is inject_plan_check()'s. */
INJECT_MUST_CHECK InjectStatus inject_plan_parse(const void *text, size_t length, InjectPlan *plan,
												 InjectError *error);

/* Against the points of this program and of the mapped table, if there is one. */
INJECT_MUST_CHECK InjectStatus inject_plan_check(const InjectPlan *plan, InjectError *error);

/* Canonical text; parsing it gives the same plan.  Returns the length needed, as snprintf does. */
size_t inject_plan_print(const InjectPlan *plan, char *text, size_t size);

/* "kill", "errno" ...; NULL when out of range. */
const char *inject_action_name(InjectActionKind kind);

/* The decision of `%`: a pure function of these, so that a run can be repeated. */
bool inject_chance(uint64_t seed, const char *point, const char *role, int ordinal, uint64_t hit,
				   uint32_t parts_per_1e9);

/* "ENOSPC" for 28; NULL when unknown.  And back: 0 when unknown. */
const char *inject_errno_name(int number);
int inject_errno_number(const char *name);

/* ---- did you mean ---- */

/*
 * The candidate nearest to `word` (Damerau-Levenshtein with adjacent swaps), or NULL when even that one is
 * further than a third of the word's length, at least one edit.  Ties: the first.
 */
const char *inject_suggest(const char *word, const char *const *candidates, size_t count);

/* The distance itself; words longer than 63 bytes are compared by their first 63. */
unsigned inject_edit_distance(const char *left, const char *right);

#endif
