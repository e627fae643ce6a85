/*
 * hit.c
 *		One arrival at one point: count, decide, act.
 *
 * Reached only while the point's byte in the table is set; the byte may be stale, `active` decides.  Most
 * arrivals at an armed point are not meant: another role's, another hit's.  Where this process has found
 * out that the plan can do nothing to it there, an arrival is counted and that is all.
 * The hit is counted before anything else and the fire before its actions, so that a process that dies of
 * the action has been counted.
 *
 * Thread, process, signal safety: lock-free.  errno is the caller's again on return.
 */
#include "hit.h"

#include <errno.h>
#include <sys/single_threaded.h>

#include "caller.h"
#include "fiu_adapter.h"
#include "own_word.h"

/* The site tests a byte of the table, or of passthrough's own array; both are in order of the points. */
static bool
find_index(InjectArrival *arrival)
{
	const unsigned char *armed = __atomic_load_n(&arrival->site->armed, __ATOMIC_RELAXED);
	const unsigned char *open = fiu_adapter_open_bytes();

	if (armed >= inject_table->armed && armed < inject_table->armed + INJECT_MAX_POINTS)
		arrival->index = (unsigned) (armed - inject_table->armed);
	else if (armed >= open && armed < open + INJECT_MAX_POINTS)
	{
		arrival->index = (unsigned) (armed - open);
		arrival->open = true;
	}
	else
		return false;
	return true;
}

static void
note_place(const InjectArrival *arrival, TableProc *slot)
{
	const TableAction *first = &arrival->step->actions[0];

	if (arrival->site->file != NULL)
		copy_end(slot->last_file, sizeof(slot->last_file), arrival->site->file);
	slot->last_line = arrival->site->line;
	/* Looked up in /proc: not for what goes on as if nothing had been. */
	if (first->kind != INJECT_COUNT && first->kind != INJECT_YIELD && first->kind != INJECT_SPIN)
		slot->last_offset =
			caller_module(arrival->caller, slot->last_module, sizeof(slot->last_module));
}

static void
count_fire(const InjectArrival *arrival)
{
	bool own;
	TableProc *slot = self_slot(arrival->self, &own);
	uint64_t last;

	if (!own)
	{
		counter_add(&slot->fires[arrival->index], arrival->epoch);
		return;
	}
	counter_add_own(&slot->fires[arrival->index], arrival->epoch);
	note_place(arrival, slot);
	last = (uint64_t) arrival->index << 55 | (uint64_t) arrival->step->actions[0].kind << 50 |
		   (arrival->epoch & 0xffff) << 34 | (arrival->hit & ((UINT64_C(1) << 34) - 1));
	__atomic_store_n(&slot->last_fire, last, __ATOMIC_RELAXED);
}

/* The arrival itself, whatever comes of it. */
static void
count_hit(InjectArrival *arrival)
{
	bool own;
	TableProc *slot = self_slot(arrival->self, &own);
	TableCounter *counter = &slot->hits[arrival->index];

	arrival->hit =
		own ? counter_add_own(counter, arrival->epoch) : counter_add(counter, arrival->epoch);
	if (active_plan(arrival->active)->watched[arrival->index] != 0)
		counter_add(&inject_table->points[arrival->index].watched_hits, arrival->epoch);
}

void
inject_judge(InjectArrival *arrival)
{
	arrival->active = active_load();
	arrival->epoch = active_epoch(arrival->active);
	/* Another plan by now: what was counted was the old one's. */
	if (arrival->counted.active != arrival->active)
		arrival->counted.active = 0;
	if (arrival->counted.active == 0)
		count_hit(arrival);
	if (!arrival->open && arrival_is_silent(arrival))
	{
		inject_count_items(arrival, arrival->self->silence[arrival->index].items);
		return;
	}
	fiu_adapter_decide(arrival);
	if (arrival->fires)
		count_fire(arrival);
}

/* Apart, so that an arrival where nothing can happen needs no room for a step. */
static __attribute__((noinline)) void
judge_and_act(InjectArrival *arrival)
{
	int saved_errno = errno;
	TableStep step;

	arrival->step = &step;
	inject_judge(arrival);
	if (arrival->fires)
		inject_act(arrival);
	arrival->step = NULL;
	errno = saved_errno;
}

/* counter_add_own() for the usual case; false: nothing was counted, and another way must be taken. */
static inline bool
count_quickly(TableCounter *counter, uint64_t tag)
{
	TableCounter before = __atomic_load_n(counter, __ATOMIC_RELAXED);

	return before >> COUNTER_BITS == tag && own_word_exchange(counter, &before, before + 1);
}

/* Counts for the step that waits. */
static inline bool
is_not_yet(const InjectSilence *silence, uint64_t active, InjectCounted *counted)
{
	uint64_t hit = counter_add(silence->counter, active_epoch(active));

	if (hit < silence->nth)
		return true;
	*counted = (InjectCounted){.active = active, .hit = hit, .step = silence->step};
	return false;
}

/*
 * The whole of an arrival where nothing can happen: a process with a slot and one thread, a point that is
 * silent for it.  This is what a plan costs those whom it does not mean.  False: it must be judged; what was
 * counted already is noted.
 */
static inline bool
arrive_quickly(const HoldfastInjectPoint *site, InjectCounted *counted)
{
	const InjectSilence *silence;
	InjectSelf *self = inject_self_pages;
	size_t index;
	uint64_t active;
	uint64_t tag;

	if (self == NULL || !__libc_single_threaded ||
		__atomic_load_n(&self->state, __ATOMIC_ACQUIRE) != SELF_READY || self->proc == NULL)
		return false;
	index = (size_t) (__atomic_load_n(&site->armed, __ATOMIC_RELAXED) - inject_table->armed);
	if (index >= INJECT_MAX_POINTS)
		return false;
	active = active_load();
	/* acquire: pairs with the release in note_silence() (decide.c) */
	silence = &self->silence[index];
	if (__atomic_load_n(&silence->active, __ATOMIC_ACQUIRE) != active)
		return false;
	tag = counter_tag(active_epoch(active));
	if (!count_quickly(&self->proc->hits[index], tag))
		return false;
	for (uint64_t items = silence->items; items != 0; items &= items - 1)
	{
		TableCounter *visits = &self->proc->item_hits[__builtin_ctzll(items)];

		if (!count_quickly(visits, tag))
			counter_add_own(visits, active_epoch(active));
	}
	return silence->counter == NULL || is_not_yet(silence, active, counted);
}

static void
arrive_slowly(InjectArrival *arrival)
{
	arrival->self = self_get();
	if (arrival->self == NULL || !find_index(arrival))
		return;
	judge_and_act(arrival);
}

void
inject_arrive(InjectArrival *arrival)
{
	if (!arrive_quickly(arrival->site, &arrival->counted))
		arrive_slowly(arrival);
}

/* Apart, so that nothing is filled in where nothing can happen. */
static __attribute__((noinline)) InjectVerdict
arrive_in(HoldfastInjectPoint *point, const void *caller, const InjectCounted *counted)
{
	InjectArrival arrival = {.site = point, .caller = caller, .counted = *counted};

	arrive_slowly(&arrival);
	return arrival.verdict;
}

void
holdfast_inject_hit(HoldfastInjectPoint *point)
{
	InjectCounted counted = {.active = 0};

	if (!arrive_quickly(point, &counted))
		(void) arrive_in(point, __builtin_return_address(0), &counted);
}

int
holdfast_inject_step(HoldfastInjectPoint *point)
{
	InjectCounted counted = {.active = 0};

	return arrive_quickly(point, &counted) ||
		   arrive_in(point, __builtin_return_address(0), &counted) != VERDICT_SKIP;
}
