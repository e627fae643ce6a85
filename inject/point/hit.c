/*
 * hit.c
 *		One arrival at one point: count, decide, act.
 *
 * Reached only while the point's byte in the table is set; the byte may be stale, `active` decides.
 * The hit is counted before anything else and the fire before its actions, so that a process that dies of
 * the action has been counted.
 *
 * Thread, process, signal safety: lock-free.  errno is the caller's again on return.
 */
#include "hit.h"

#include <errno.h>

#include "fiu_adapter.h"

/* The site tests a byte of the table, or of passthrough's own array; both are in order of the points. */
static bool
find_index(InjectArrival *arrival)
{
	const unsigned char *armed = __atomic_load_n(&arrival->site->armed, __ATOMIC_RELAXED);
	const unsigned char *open = fiu_adapter_open_bytes();

	if (armed >= inject_table->armed && armed < inject_table->armed + INJECT_MAX_POINTS)
		arrival->index = (unsigned) (armed - inject_table->armed);
	else if (armed >= open && armed < open + INJECT_MAX_POINTS)
		arrival->index = (unsigned) (armed - open);
	else
		return false;
	return true;
}

static void
count_fire(const InjectArrival *arrival)
{
	TableProc *slot = self_slot(arrival->self);
	uint64_t last;

	counter_add(&inject_table->points[arrival->index].fires, arrival->epoch);
	if (slot == NULL)
		return;
	counter_add(&slot->fires[arrival->index], arrival->epoch);
	last = (uint64_t) arrival->index << 55 | (uint64_t) arrival->step.actions[0].kind << 50 |
		   (arrival->epoch & 0xffff) << 34 | (arrival->hit & ((UINT64_C(1) << 34) - 1));
	__atomic_store_n(&slot->last_fire, last, __ATOMIC_RELAXED);
}

void
inject_judge(InjectArrival *arrival)
{
	TableProc *slot = self_slot(arrival->self);

	arrival->active = active_load();
	arrival->epoch = active_epoch(arrival->active);
	arrival->hit = counter_add(&inject_table->points[arrival->index].hits, arrival->epoch);
	if (slot != NULL)
		counter_add(&slot->hits[arrival->index], arrival->epoch);
	fiu_adapter_decide(arrival);
	if (arrival->fires)
		count_fire(arrival);
	else
		counter_add(&inject_table->points[arrival->index].skips, arrival->epoch);
}

void
inject_arrive(InjectArrival *arrival)
{
	int saved_errno = errno;

	arrival->self = self_get();
	if (arrival->self == NULL || !find_index(arrival))
		return;
	inject_judge(arrival);
	if (arrival->fires)
		inject_act(arrival);
	errno = saved_errno;
}

void
holdfast_inject_hit(HoldfastInjectPoint *point)
{
	InjectArrival arrival = {.site = point};

	inject_arrive(&arrival);
}
