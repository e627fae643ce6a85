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

/* What was counted of an arrival before it was seen that the hit is one that a step waits for. */
typedef struct InjectCounted
{
	uint64_t active; /* under that plan; 0: nothing was counted */
	uint64_t hit;    /* of the step */
	uint32_t step;
} InjectCounted;

typedef struct InjectArrival
{
	const HoldfastInjectPoint *site;
	unsigned index; /* of the point, in the table */
	bool has_arg;
	bool open; /* passthrough: libfiu's users are asked */
	int64_t arg;
	const void *caller; /* in whose code the point or the call stands */
	InjectSelf *self;
	/* of this process at this point; once a step with `#` has fired, the number that it counted */
	uint64_t hit;

	InjectCounted counted;

	/* filled in by the decision */
	bool fires; /* step holds what to do */
	uint64_t epoch;
	uint64_t active;
	TableStep *step; /* room of inject_arrive()'s, gone when it returns */

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

/*
 * Count and decide for `self` at `index`, with room at `step`, which are filled in; acting is the caller's.
 */
void inject_judge(InjectArrival *arrival);

/* decide.c: visits of items. */
void inject_count_items(const InjectArrival *arrival, uint64_t items);

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

/* Whether a decision can come to anything here, as far as this process knows.  decide.c finds out. */
static inline bool
arrival_is_silent(const InjectArrival *arrival)
{
	const InjectSilence *silence = &arrival->self->silence[arrival->index];

	/* acquire: pairs with the release in note_silence() (decide.c) */
	return __atomic_load_n(&silence->active, __ATOMIC_ACQUIRE) == arrival->active &&
		   silence->counter == NULL;
}

/* caller.c: is the point, or the call, in the code of that function? */
bool inject_in_function(const InjectArrival *arrival, unsigned name_index, const char *name);

/* callbacks.c */
void inject_throw(void);
bool inject_can_throw(void);
bool inject_throw_known(void);
void inject_run_callback(const char *name, const char *point);
bool inject_callback_known(const char *name);
bool inject_held_known(void);
const char *inject_held_problem(const char *lock);

/* held.c: not in programs without the library */
bool inject_held_by_library(const char *lock) __attribute__((weak));
/* What is wrong with such a name; NULL: nothing that could be known. */
const char *inject_held_by_library_problem(const char *lock) __attribute__((weak));

/* callbacks.c */
bool inject_held(const char *lock);

#endif
