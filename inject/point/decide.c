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
 * Thread, process, signal safety: lock-free, the table's counters and the process's own pages only.  The
 * step is copied and the active plan looked at again before anything is counted for it.
 */
#include "hit.h"

#include <string.h>

/* Words of a step, each loaded once; see table.h for why the copy is whole. */
static bool
copy_step(const TablePlan *plan, unsigned index, uint64_t active, TableStep *step)
{
	const uint64_t *from = (const uint64_t *) (const void *) &plan->steps[index];
	uint64_t *to = (uint64_t *) (void *) step;

	for (size_t i = 0; i < sizeof(*step) / sizeof(*to); i++)
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
	return strncmp(step->role, role.name, INJECT_ROLE_SIZE) == 0 &&
		   (step->ordinal < 0 || step->ordinal == role.ordinal);
}

static bool
gates_open(const InjectArrival *arrival, const TablePlan *plan)
{
	const TableStep *step = &arrival->step;

	if (!role_matches(step, arrival->self))
		return false;
	if (step->has_arg &&
		!(arrival->has_arg && arrival->arg >= step->arg_low && arrival->arg <= step->arg_high))
		return false;
	if (step->after != NO_POINT &&
		counter_read(&inject_table->points[step->after].hits, arrival->epoch) < step->after_hits)
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
step_fires(const InjectArrival *arrival, TablePlan *plan, unsigned index, unsigned link)
{
	const TableStep *step = &arrival->step;
	InjectScope scope = (InjectScope) step->scope;
	InjectScope counted = scope == INJECT_SCOPE_DEFAULT ? INJECT_SCOPE_GLOBAL : scope;
	InjectScope chanced = scope == INJECT_SCOPE_DEFAULT ? INJECT_SCOPE_PROC : scope;
	uint64_t hit = 0;

	if (step->nth != 0)
	{
		hit = counter_add(step_counter(arrival, plan, index, counted, COUNT_HITS), arrival->epoch);
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
	return step->limit == INJECT_FOREVER ||
		   counter_take(step_counter(arrival, plan, index, counted, COUNT_FIRES), arrival->epoch,
						step->limit);
}

/* The chain of one item.  True ends the visit; `arrival->fires` when there is something to do. */
static bool
walk_chain(InjectArrival *arrival, TablePlan *plan, TableItem *item)
{
	counter_add(&item->hits, arrival->epoch);
	for (unsigned i = 0; i < item->step_count; i++)
	{
		unsigned index = item->first_step + i;

		if (index >= INJECT_MAX_STEPS || !copy_step(plan, index, arrival->active, &arrival->step))
			return true;
		if (!gates_open(arrival, plan) || !step_fires(arrival, plan, index, i))
			continue;
		arrival->fires = arrival->step.actions[0].kind != INJECT_OFF;
		counter_add(arrival->fires ? &item->fires : &item->skips, arrival->epoch);
		return true;
	}
	counter_add(&item->skips, arrival->epoch);
	return false;
}

void
inject_decide(InjectArrival *arrival)
{
	TablePlan *plan = active_plan(arrival->active);
	uint64_t items = __atomic_load_n(&plan->point_items[arrival->index], __ATOMIC_RELAXED);

	arrival->decided = true;
	arrival->fires = false;
	while (items != 0)
	{
		unsigned index = (unsigned) __builtin_ctzll(items);

		items &= items - 1;
		if (walk_chain(arrival, plan, &plan->items[index]))
			return;
	}
}
