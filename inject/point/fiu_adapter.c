/*
 * fiu_adapter.c
 *		libfiu as the way in.
 *
 * Each point that a plan names is enabled in libfiu, once per process, with fiu_enable_external(); a fire
 * goes through fiu_fail(), and our callback, which runs under libfiu's read lock, only says that it is one.
 * What is no fire does not go there: libfiu costs some tens of nanoseconds, the plan a few.  The actions run
 * after fiu_fail() has returned: none of them ever holds up another thread.
 *
 * libfiu is not asked
 *   - at INJECT_NO_MALLOC points: a miss of its cache calls malloc;
 *   - in children forked from a parent with threads, or cloned behind our back: its lock may have been
 *     copied while it was held;
 *   - in a signal handler that interrupted it in the same thread.
 * The plan decides there without it.  Its random numbers, ONETIME and FIFO are never used by plans: they
 * are per process, repeat in every child, or start threads.
 *
 * Passthrough: what the user enabled by libfiu's functions, fiu-run or fiu-ctrl acts at our points too.
 *
 * Owner: enabled[] belongs to the process and is copied by fork together with libfiu's table.
 * Thread safety: a point is enabled by one thread; who comes meanwhile does without libfiu that once.
 */
#include "fiu_adapter.h"

#include <fiu-control.h>
#include <fiu.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "error.h"
#include "registry.h"

enum
{
	NOT_ENABLED = 0,
	BEING_ENABLED,
	ENABLED,
};

static unsigned char enabled[INJECT_MAX_POINTS];
static unsigned char open_bytes[INJECT_MAX_POINTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local bool pending; /* the plan fires here and now */
static _Thread_local bool inside_libfiu;

/* Once, and others wait for it: libfiu crashes when it is asked anything before. */
static void
initialise(void)
{
	(void) fiu_init(0);
}

static int
fire_callback(const char *name, int *failnum, void **failinfo, unsigned int *flags)
{
	(void) name;
	/* They point at libfiu's shared entry: not ours to change. */
	(void) failnum;
	(void) failinfo;
	(void) flags;
	return pending;
}

static bool
libfiu_allowed(const InjectArrival *arrival)
{
	return (arrival->site->context & INJECT_NO_MALLOC) == 0 && arrival->self->libfiu_safe != 0 &&
		   !inside_libfiu;
}

static bool
enable_in_libfiu(const InjectArrival *arrival)
{
	unsigned char *state = &enabled[arrival->index];
	unsigned char expected = NOT_ENABLED;
	bool good;

	if (__atomic_load_n(state, __ATOMIC_RELAXED) == ENABLED)
		return true;
	/* One thread does it, for libfiu forgets what a second one enables over; the others ask libfiu the next time. */
	if (!__atomic_compare_exchange_n(state, &expected, BEING_ENABLED, false, __ATOMIC_RELAXED,
									 __ATOMIC_RELAXED))
		return expected == ENABLED;
	inside_libfiu = true;
	pthread_once(&once, initialise);
	good = fiu_enable_external(arrival->site->name, 1, NULL, 0, fire_callback) == 0;
	inside_libfiu = false;
	__atomic_store_n(state, good ? ENABLED : NOT_ENABLED, __ATOMIC_RELAXED);
	return good;
}

/* What the user's failinfo means here: an errno at a call, a signal elsewhere. */
static void
emulate(InjectArrival *arrival, void *failinfo)
{
	const RegistryPoint *point = registry_find(arrival->site->name);
	const int *errnos = point != NULL && point->spec != NULL ? point->spec->errnos : NULL;
	intptr_t number = (intptr_t) failinfo;
	TableAction *action = &arrival->step->actions[0];

	memset(arrival->step, 0, sizeof(*arrival->step));
	arrival->step->action_count = 1;
	arrival->fires = true;
	if (errnos != NULL)
	{
		action->kind = INJECT_ERRNO;
		action->a = errnos[0];
		for (int i = 0; errnos[i] != 0; i++)
			if (errnos[i] == number)
				action->a = number;
		return;
	}
	action->kind =
		number > 0 && number <= SIGRTMAX && number != SIGKILL ? INJECT_SIGNAL : INJECT_KILL;
	action->a = number;
}

static void
ask_user(InjectArrival *arrival, bool planned)
{
	void *failinfo = NULL;
	int failnum;

	inside_libfiu = true;
	failnum = fiu_fail(arrival->site->name);
	/* stale after a miss */
	if (failnum != 0)
		failinfo = fiu_failinfo();
	inside_libfiu = false;
	if (planned)
		inject_decide(arrival);
	if (failnum != 0 && !arrival->fires)
		emulate(arrival, failinfo);
}

void
fiu_adapter_decide(InjectArrival *arrival)
{
	const TablePlan *plan = active_plan(arrival->active);
	bool planned = active_is_armed(arrival->active) &&
				   __atomic_load_n(&plan->point_items[arrival->index], __ATOMIC_RELAXED) != 0;

	if (arrival->open && libfiu_allowed(arrival))
	{
		ask_user(arrival, planned);
		return;
	}
	if (!planned)
		return;
	inject_decide(arrival);
	if (!libfiu_allowed(arrival) || !enable_in_libfiu(arrival) || !arrival->fires)
		return;
	pending = true;
	inside_libfiu = true;
	/* Should somebody have disabled the point in libfiu: the plan holds. */
	(void) fiu_fail(arrival->site->name);
	inside_libfiu = false;
	pending = false;
}

const unsigned char *
fiu_adapter_open_bytes(void)
{
	return open_bytes;
}

void
fiu_adapter_stop(void)
{
	for (int i = 0; i < registry_count(); i++)
	{
		const RegistryPoint *point = registry_at(i);

		if (point->index == NO_POINT || enabled[point->index] != ENABLED)
			continue;
		(void) fiu_disable(point->first->name);
		enabled[point->index] = NOT_ENABLED;
	}
}

InjectStatus
inject_fiu_passthrough(bool on, InjectError *error)
{
	InjectStatus status = INJECT_OK;

	if (on && inject_table == NULL)
		status = inject_table_create(error);
	if (status != INJECT_OK || inject_table == NULL)
		return status;
	if (on)
	{
		pthread_once(&once, initialise);
		memset(open_bytes, 1, sizeof(open_bytes));
	}
	registry_bind(on ? open_bytes : inject_table->armed);
	return INJECT_OK;
}
