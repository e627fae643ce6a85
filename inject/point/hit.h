/*
 * hit.h
 *		One arrival of one thread at one point, from the count to what the caller must do.
 */
#ifndef HOLDFAST_INJECT_HIT_H
#define HOLDFAST_INJECT_HIT_H

#include "self.h"
#include "table.h"

/* What a wrapped call is told to do instead of, or with, the real one. */
typedef enum InjectVerdict
{
	VERDICT_NONE,
	VERDICT_ERRNO,   /* fail with errno a */
	VERDICT_RETURN,  /* return a */
	VERDICT_SHORT,   /* at most a bytes */
	VERDICT_SKIP,    /* say success, do nothing */
	VERDICT_CORRUPT, /* byte a of the data, mask b */
	VERDICT_TORN,    /* a bytes, and claim all */
	VERDICT_JUMP,    /* a nanoseconds later than it is */
} InjectVerdict;

typedef struct InjectArrival
{
	const HoldfastInjectPoint *site;
	unsigned index; /* of the point, in the table */
	bool has_arg;
	int64_t arg;
	InjectSelf *self;
	uint64_t hit; /* the how-manieth of the point */

	/* filled in by the decision */
	bool decided; /* somebody looked */
	bool fires;   /* step holds what to do */
	uint64_t epoch;
	uint64_t active;
	TableStep step;

	/* filled in by the actions */
	InjectVerdict verdict;
	int64_t a;
	int64_t b;
} InjectArrival;

/*
 * Everything: count, decide, act.  Returns with the verdict (NONE nearly always), errno as it was, or not
 * at all.  Async-signal-safe at points whose context says INJECT_NO_MALLOC.
 */
void inject_arrive(InjectArrival *arrival);

/* Count and decide for `self` at `index`, which are filled in; acting is the caller's. */
void inject_judge(InjectArrival *arrival);

/* decide.c: which step of the armed plan fires, by the table alone.  Async-signal-safe. */
void inject_decide(InjectArrival *arrival);

/* actions.c: do what the step says. */
void inject_act(InjectArrival *arrival);

/* actions.c: end this process by SIGKILL. */
_Noreturn void inject_kill_self(void);
void inject_signal_self(int number);

/* wait.c */
void inject_park(const InjectArrival *arrival, unsigned tag, int64_t barrier_count);
void wait_release_all(TablePlan *plan);

/* callbacks.c */
void inject_run_callback(const char *name, const char *point);
bool inject_callback_known(const char *name);
bool inject_held_known(void);
bool inject_held(const char *lock);

#endif
