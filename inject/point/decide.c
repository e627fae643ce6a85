/*
 * decide.c
 *		Whether a fault happens here and now.
 *
 * For each item that names the point, in the order of the plan, its chain is walked as an else-branch: the
 * first step that fires ends the visit, `off` too.  A step fires when, in this order,
 *
 *		1. its filters match and its after() gate is open (only then does the hit count for it);
 *		2. its `#` names the hit;
 *		3. its `%` says so: a pure function of seed, point, role, ordinal and the hit's number;
 *		4. its `N*` is not used up.
 *
 * `#` and `N*` count over all processes unless count= says otherwise; `%` counts by process, so that what
 * one process meets does not depend on how fast its siblings are.
 *
 * A step that can never fire again in this process (another role's; its `#` or `N*` is over) is found out once
 * and remembered for the point until the plan or the role changes: see arrival_is_silent().
 *
 * Thread, process, signal safety: lock-free, the table's counters and the process's own pages only.  The
 * step is copied and the active plan looked at again before anything is counted for it.
 */
#include "hit.h"

#include <stddef.h>
#include <string.h>

/* Words of a step, each loaded once; see table.h for why the copy is whole. */
static bool
copy_words(const TablePlan *plan, unsigned index, uint64_t active, size_t begin, size_t end,
		   TableStep *step)
{
	const uint64_t *from = (const uint64_t *) (const void *) &plan->steps[index];
	uint64_t *to = (uint64_t *) (void *) step;

	for (size_t i = begin / sizeof(*to); i < end / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	/* acquire: the words above are read before `active` is read again */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&inject_table->active, __ATOMIC_RELAXED) == active;
}

static uint64_t
hash_bytes(uint64_t hash, const char *bytes)
{
	/* FNV-1a */
	for (; *bytes != '\0'; bytes++)
		hash = (hash ^ (unsigned char) *bytes) * UINT64_C(0x100000001b3);
	return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

static uint64_t
hash_number(uint64_t hash, uint64_t number)
{
	/* splitmix64: every bit of the number moves every bit of the result */
	hash += number + UINT64_C(0x9e3779b97f4a7c15);
	hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
	return hash ^ (hash >> 31);
}

bool
inject_chance(uint64_t seed, const char *point, const char *role, int ordinal, uint64_t hit,
			  uint32_t parts_per_1e9)
{
	uint64_t hash = hash_number(UINT64_C(0xcbf29ce484222325), seed);

	if (parts_per_1e9 >= INJECT_ALWAYS)
		return true;
	hash = hash_bytes(hash_bytes(hash, point), role);
	hash = hash_number(hash_number(hash, (uint64_t) (int64_t) ordinal), hit);
	return hash % INJECT_ALWAYS < parts_per_1e9;
}

static bool
role_matches(const TableStep *step, InjectSelf *self)
{
	InjectRole role;

	if (step->role[0] == '\0')
		return true;
	role = self_role(self);
	if (step->role[0] != role.name[0])
		return false;
	return strncmp(step->role, role.name, INJECT_ROLE_SIZE) == 0 &&
		   (step->ordinal < 0 || step->ordinal == role.ordinal);
}

static bool
gates_open(const InjectArrival *arrival, const TablePlan *plan)
{
	const TableStep *step = arrival->step;

	if (!role_matches(step, arrival->self))
		return false;
	if (step->has_arg &&
		!(arrival->has_arg && arrival->arg >= step->arg_low && arrival->arg <= step->arg_high))
		return false;
	if (step->after != NO_POINT && counter_read(&inject_table->points[step->after].watched_hits,
												arrival->epoch) < step->after_hits)
		return false;
	if (step->in != NO_POINT && !inject_in_function(arrival, step->in, plan->names[step->in]))
		return false;
	if (step->throws && !inject_can_throw())
		return false;
	return step->held == NO_POINT || inject_held(plan->names[step->held]);
}

typedef enum CounterKind
{
	COUNT_HITS,
	COUNT_FIRES,
} CounterKind;

static TableCounter *
step_counter(const InjectArrival *arrival, TablePlan *plan, unsigned index, InjectScope scope,
			 CounterKind kind)
{
	InjectThread *thread;

	switch (scope)
	{
		case INJECT_SCOPE_PROC:
			return kind == COUNT_HITS ? &arrival->self->step_hits[index]
									  : &arrival->self->step_fires[index];
		case INJECT_SCOPE_THREAD:
			thread = self_thread(arrival->self);
			return kind == COUNT_HITS ? &thread->step_hits[index] : &thread->step_fires[index];
		default:
			return kind == COUNT_HITS ? &plan->step_hits[index] : &plan->step_fires[index];
	}
}

static bool
nth_matches(const TableStep *step, uint64_t hit)
{
	if (hit < step->nth || hit > step->nth_end)
		return false;
	return step->every == 0 || (hit - step->nth) % step->every == 0;
}

/*
 * Triggers of a step whose gates are open.  `link` is its place in the chain: steps of one chain must not
 * roll the same die, and a plan that is cut down by other items must not roll another.
 */
static bool
step_fires(InjectArrival *arrival, TablePlan *plan, unsigned index, unsigned link)
{
	const TableStep *step = arrival->step;
	InjectScope scope = (InjectScope) step->scope;
	InjectScope counted = scope == INJECT_SCOPE_DEFAULT ? INJECT_SCOPE_GLOBAL : scope;
	InjectScope chanced = scope == INJECT_SCOPE_DEFAULT ? INJECT_SCOPE_PROC : scope;
	uint64_t hit = 0;

	if (step->nth != 0)
	{
		hit = arrival->counted.active != 0 && arrival->counted.step == index
				  ? arrival->counted.hit
				  : counter_add(step_counter(arrival, plan, index, counted, COUNT_HITS),
								arrival->epoch);
		if (!nth_matches(step, hit))
			return false;
	}
	if (step->chance < INJECT_ALWAYS)
	{
		InjectRole role = self_lineage(arrival->self);

		/* With `#` of the same scope the hit was counted above. */
		if (hit == 0 || counted != chanced)
			hit = counter_add(step_counter(arrival, plan, index, chanced, COUNT_HITS),
							  arrival->epoch);
		if (!inject_chance(plan->seed + link, arrival->site->name, role.name, role.ordinal, hit,
						   step->chance))
			return false;
	}
	if (step->limit != INJECT_FOREVER &&
		!counter_take(step_counter(arrival, plan, index, counted, COUNT_FIRES), arrival->epoch,
					  step->limit))
		return false;
	if (step->nth != 0)
		arrival->hit = hit;
	return true;
}

/*
 * Whether the step, which has just been visited, is over for this process: no later arrival of it can make
 * it fire.  What a thread counts or is called says nothing of other threads.
 */
static bool
step_is_over(const InjectArrival *arrival, TablePlan *plan, unsigned index)
{
	const TableStep *step = arrival->step;
	InjectScope scope =
		step->scope == INJECT_SCOPE_DEFAULT ? INJECT_SCOPE_GLOBAL : (InjectScope) step->scope;

	if (!role_matches(step, arrival->self))
		return true;
	if (scope == INJECT_SCOPE_THREAD)
		return false;
	if (step->nth != 0 && step->nth_end != INJECT_FOREVER &&
		counter_read(step_counter(arrival, plan, index, scope, COUNT_HITS), arrival->epoch) >=
			step->nth_end)
		return true;
	return step->limit != INJECT_FOREVER &&
		   counter_read(step_counter(arrival, plan, index, scope, COUNT_FIRES), arrival->epoch) >=
			   step->limit;
}

/* What is found out about a point on the way through its items. */
typedef struct Outlook
{
	bool nothing; /* no step that was visited can fire at the next arrival */
	uint64_t items;
	TableCounter *counter; /* of the one step that waits for its hit; NULL: none does */
	uint64_t nth;
	unsigned step;
} Outlook;

/*
 * A step that was visited and did not fire: over, or waiting for nothing but a number that is not near (another
 * process may count the last ones while we look).
 */
static void
look_ahead(const InjectArrival *arrival, TablePlan *plan, unsigned index, Outlook *outlook)
{
	const TableStep *step = arrival->step;
	InjectScope scope =
		step->scope == INJECT_SCOPE_DEFAULT ? INJECT_SCOPE_GLOBAL : (InjectScope) step->scope;

	if (!outlook->nothing || step_is_over(arrival, plan, index))
		return;
	if (step->nth == 0 || scope == INJECT_SCOPE_THREAD || step->chance < INJECT_ALWAYS ||
		step->has_arg || step->after != NO_POINT || step->held != NO_POINT ||
		step->in != NO_POINT || step->throws || outlook->counter != NULL)
	{
		outlook->nothing = false;
		return;
	}
	outlook->counter = step_counter(arrival, plan, index, scope, COUNT_HITS);
	outlook->nth = step->nth;
	outlook->step = index;
	/* between the hits of a range or a stride: each is looked at */
	if (counter_read(outlook->counter, arrival->epoch) >= step->nth)
		outlook->nothing = false;
}

static void
note_silence(const InjectArrival *arrival, const Outlook *outlook)
{
	InjectSilence *silence = &arrival->self->silence[arrival->index];

	if (arrival->self->thread_roles != 0 ||
		active_plan(arrival->active)->watched[arrival->index] != 0)
		return;
	__atomic_store_n(&silence->active, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&silence->items, outlook->items, __ATOMIC_RELAXED);
	__atomic_store_n(&silence->counter, outlook->counter, __ATOMIC_RELAXED);
	__atomic_store_n(&silence->nth, outlook->nth, __ATOMIC_RELAXED);
	__atomic_store_n(&silence->step, outlook->step, __ATOMIC_RELAXED);
	/* release: publishes what is above; pairs with the acquire in arrival_is_silent() */
	__atomic_store_n(&silence->active, arrival->active, __ATOMIC_RELEASE);
}

static bool
always_off(const TableStep *step, InjectActionKind kind)
{
	return kind == INJECT_OFF && step->chance == INJECT_ALWAYS && step->limit == INJECT_FOREVER &&
		   step->nth == 0 && step->after == NO_POINT && step->role[0] == '\0' && !step->has_arg &&
		   step->held == NO_POINT && step->in == NO_POINT;
}

static void
count_item(const InjectArrival *arrival, unsigned index, CounterKind kind)
{
	bool own;
	TableProc *slot = self_slot(arrival->self, &own);
	TableCounter *counter = kind == COUNT_HITS ? &slot->item_hits[index] : &slot->item_fires[index];

	if (own)
		counter_add_own(counter, arrival->epoch);
	else
		counter_add(counter, arrival->epoch);
}

void
inject_count_items(const InjectArrival *arrival, uint64_t items)
{
	for (; items != 0; items &= items - 1)
		count_item(arrival, (unsigned) __builtin_ctzll(items), COUNT_HITS);
}

/* What became of the visit of a chain. */
typedef enum ChainEnd
{
	CHAIN_PASSED, /* no step fired: the next item */
	CHAIN_FIRED,
	CHAIN_OFF,        /* the end of the visit, and nothing to do */
	CHAIN_ALWAYS_OFF, /* the same, and will be each time */
} ChainEnd;

/* The chain of one item. */
static ChainEnd
walk_chain(InjectArrival *arrival, TablePlan *plan, unsigned item_index, Outlook *outlook)
{
	const TableItem *item = &plan->items[item_index];

	if (arrival->counted.active == 0)
		count_item(arrival, item_index, COUNT_HITS);
	for (unsigned i = 0; i < item->step_count; i++)
	{
		unsigned index = item->first_step + i;
		InjectActionKind kind;

		if (index >= INJECT_MAX_STEPS || !copy_words(plan, index, arrival->active, 0,
													 offsetof(TableStep, actions), arrival->step))
		{
			outlook->nothing = false;
			return CHAIN_OFF;
		}
		if (!gates_open(arrival, plan) || !step_fires(arrival, plan, index, i))
		{
			look_ahead(arrival, plan, index, outlook);
			continue;
		}
		if (!copy_words(plan, index, arrival->active, offsetof(TableStep, actions),
						sizeof(TableStep), arrival->step))
		{
			outlook->nothing = false;
			return CHAIN_OFF;
		}
		kind = (InjectActionKind) arrival->step->actions[0].kind;
		if (kind == INJECT_OFF)
			return always_off(arrival->step, kind) ? CHAIN_ALWAYS_OFF : CHAIN_OFF;
		arrival->fires = true;
		count_item(arrival, item_index, COUNT_FIRES);
		return CHAIN_FIRED;
	}
	return CHAIN_PASSED;
}

void
inject_decide(InjectArrival *arrival)
{
	TablePlan *plan = active_plan(arrival->active);
	uint64_t items = __atomic_load_n(&plan->point_items[arrival->index], __ATOMIC_RELAXED);
	Outlook outlook = {.nothing = true};
	ChainEnd end = CHAIN_PASSED;

	arrival->fires = false;
	for (; items != 0 && end == CHAIN_PASSED; items &= items - 1)
	{
		unsigned index = (unsigned) __builtin_ctzll(items);

		outlook.items |= UINT64_C(1) << index;
		end = walk_chain(arrival, plan, index, &outlook);
	}
	if (outlook.nothing && (end == CHAIN_PASSED || end == CHAIN_ALWAYS_OFF))
		note_silence(arrival, &outlook);
}
