/*
 * wait.c
 *		Pause and barrier: threads of any process parked in the table, and the tester who watches them.
 *
 * Each tag has two futex words in the table.  `released` counts releases: a waiter notes it, makes itself
 * known, and sleeps until it changes.  `arrived` counts arrivals: the tester sleeps on that.
 *
 *	1. the waiter reads `released`, then checks that its plan is still the armed one;
 *	2. it takes an entry, fills it in, publishes it (seq_cst, pairs with the tester's scan);
 *	3. it adds one to `arrived` and wakes testers;
 *	4. it sleeps until `released` has changed, the plan is gone, or the deadline is past.
 * A corpse at any step leaves an entry with a dead identity, which is not counted and is freed by whoever
 * meets it.  A disarm clears `active` before it adds to `released`, so that a waiter between 1 and 4
 * sees either.
 *
 * A barrier's arrivals of one round carry the same `release_seen`; who completes the number moves
 * `released` on by CAS, so that one round ends once.
 *
 * Thread, process safety: lock-free.  inject_park(), inject_release(): async-signal-safe.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "hit.h"
#include "identity.h"

#define DEFAULT_DEADLINE_NS (INT64_C(30) * 1000000000)

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Until the word changes, a wake-up, a signal or the deadline; false when the deadline is past. */
static bool
futex_wait_until(uint32_t *word, uint32_t value, int64_t deadline)
{
	int64_t left = deadline - now_ns();
	struct timespec timeout = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};

	if (left <= 0)
		return false;
	syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0);
	return true;
}

static void
futex_wake_all(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* ---- entries ---- */

/* A whole entry, or false when it is free or not published. */
static bool
waiter_read(TableWaiter *entry, TableWaiter *copy)
{
	TableIdentity identity = __atomic_load_n(&entry->identity, __ATOMIC_SEQ_CST);

	/* seq_cst: of two that arrive together at a barrier, at least one must see both (Dekker) */
	if (identity == 0 || __atomic_load_n(&entry->published, __ATOMIC_SEQ_CST) != identity)
		return false;
	*copy = *entry;
	copy->identity = identity;
	/* Freed and taken again while it was copied? */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&entry->identity, __ATOMIC_RELAXED) == identity &&
		   __atomic_load_n(&entry->published, __ATOMIC_RELAXED) == identity;
}

/* The same, and its owner lives; a dead owner's entry is freed. */
static bool
waiter_read_live(TableWaiter *entry, TableWaiter *copy)
{
	TableIdentity identity = __atomic_load_n(&entry->identity, __ATOMIC_SEQ_CST);

	if (identity == 0)
		return false;
	if (!identity_alive(identity))
	{
		__atomic_compare_exchange_n(&entry->identity, &identity, 0, false, __ATOMIC_ACQ_REL,
									__ATOMIC_RELAXED);
		return false;
	}
	return waiter_read(entry, copy);
}

static TableWaiter *
take_entry(TableIdentity identity)
{
	for (int i = 0; i < TABLE_WAITERS; i++)
	{
		TableWaiter *entry = &inject_table->waiters[i];
		TableIdentity holder = __atomic_load_n(&entry->identity, __ATOMIC_RELAXED);

		if (holder != 0 && identity_alive(holder))
			continue;
		if (__atomic_compare_exchange_n(&entry->identity, &holder, identity, false,
										__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return entry;
	}
	return NULL;
}

static void
free_entry(TableWaiter *entry)
{
	/* in this order: the next thread of this process has the same identity */
	__atomic_store_n(&entry->published, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&entry->identity, 0, __ATOMIC_SEQ_CST);
}

static void
fill_entry(TableWaiter *entry, const InjectArrival *arrival, unsigned tag, uint32_t released)
{
	InjectRole role = self_role(arrival->self);

	entry->epoch = arrival->epoch;
	entry->release_seen = released;
	entry->tid = (int32_t) syscall(SYS_gettid);
	entry->ordinal = role.ordinal;
	entry->tag = (uint16_t) tag;
	entry->point = (uint16_t) arrival->index;
	memset(entry->role, 0, sizeof(entry->role));
	memcpy(entry->role, role.name, strnlen(role.name, sizeof(entry->role) - 1));
	__atomic_store_n(&entry->published, arrival->self->identity, __ATOMIC_SEQ_CST);
}

/* ---- waiting ---- */

static bool
plan_is_armed(const InjectArrival *arrival)
{
	return active_load() == arrival->active;
}

/* Live waiters of this round of the barrier, the caller included. */
static int64_t
count_round(const InjectArrival *arrival, unsigned tag, uint32_t released)
{
	int64_t count = 0;
	TableWaiter copy;

	for (int i = 0; i < TABLE_WAITERS; i++)
		if (waiter_read_live(&inject_table->waiters[i], &copy) && copy.epoch == arrival->epoch &&
			copy.tag == tag && copy.release_seen == released)
			count++;
	return count;
}

static void
sleep_until_released(const InjectArrival *arrival, TableTag *tag, uint32_t released)
{
	int64_t limit = active_plan(arrival->active)->deadline_ns;
	int64_t deadline = now_ns() + (limit > 0 ? limit : DEFAULT_DEADLINE_NS);

	/* acquire: pairs with the releases below; what the tester did before it let us go is seen */
	while (__atomic_load_n(&tag->released, __ATOMIC_ACQUIRE) == released && plan_is_armed(arrival))
	{
		if (futex_wait_until(&tag->released, released, deadline))
			continue;
		__atomic_add_fetch(&inject_table->waits_expired, 1, __ATOMIC_RELAXED);
		return;
	}
}

void
inject_park(const InjectArrival *arrival, unsigned tag_index, int64_t barrier_count)
{
	TableTag *tag = &active_plan(arrival->active)->tags[tag_index % INJECT_MAX_TAGS];
	uint32_t released = __atomic_load_n(&tag->released, __ATOMIC_SEQ_CST);
	TableWaiter *entry;

	if (!plan_is_armed(arrival))
		return;
	/* nobody yet: another thread is just finding out who we are */
	entry = arrival->self->identity != 0 ? take_entry(arrival->self->identity) : NULL;
	if (entry != NULL)
		fill_entry(entry, arrival, tag_index, released);
	/* release: the entry is seen by whoever sees the arrival */
	__atomic_add_fetch(&tag->arrived, 1, __ATOMIC_SEQ_CST);
	futex_wake_all(&tag->arrived);
	if (barrier_count > 0 && count_round(arrival, tag_index, released) >= barrier_count)
	{
		uint32_t expected = released;

		/* failure: another one of this round completed it */
		__atomic_compare_exchange_n(&tag->released, &expected, released + 1, false,
									__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
		futex_wake_all(&tag->released);
	}
	sleep_until_released(arrival, tag, released);
	if (entry != NULL)
		free_entry(entry);
}

void
wait_release_all(TablePlan *plan)
{
	for (int i = 0; i < INJECT_MAX_TAGS; i++)
	{
		/* release: `active` was changed before; pairs with the acquire in sleep_until_released() */
		__atomic_add_fetch(&plan->tags[i].released, 1, __ATOMIC_RELEASE);
		futex_wake_all(&plan->tags[i].released);
	}
}

/* ---- the tester's side ---- */

/* The tag in the plan that is or was last armed. */
static int
find_tag(const TablePlan *plan, const char *name)
{
	for (uint32_t i = 0; i < plan->tag_count && i < INJECT_MAX_TAGS; i++)
		if (strncmp(plan->tags[i].name, name, INJECT_TAG_SIZE) == 0)
			return (int) i;
	return -1;
}

/* Live waiters at a tag that have not been released yet. */
static int
count_at_tag(uint64_t active, int tag)
{
	uint32_t released = __atomic_load_n(&active_plan(active)->tags[tag].released, __ATOMIC_SEQ_CST);
	TableWaiter copy;
	int count = 0;

	for (int i = 0; i < TABLE_WAITERS; i++)
		if (waiter_read_live(&inject_table->waiters[i], &copy) &&
			copy.epoch == active_epoch(active) && copy.tag == tag && copy.release_seen == released)
			count++;
	return count;
}

InjectStatus
inject_wait_reached(const char *tag, int count, int deadline_ms)
{
	int64_t deadline = now_ns() + (int64_t) deadline_ms * 1000000;
	uint64_t active;
	uint32_t *arrived;
	int index;

	if (inject_table == NULL)
		return INJECT_NO_TABLE;
	active = active_load();
	index = find_tag(active_plan(active), tag);
	if (index < 0 || !active_is_armed(active))
		return INJECT_MISUSE;
	arrived = &active_plan(active)->tags[index].arrived;
	for (;;)
	{
		uint32_t seen = __atomic_load_n(arrived, __ATOMIC_SEQ_CST);

		if (count_at_tag(active, index) >= count)
			return INJECT_OK;
		if (active_load() != active)
			return INJECT_MISUSE;
		if (!futex_wait_until(arrived, seen, deadline))
			return INJECT_TIMED_OUT;
	}
}

int
inject_release(const char *tag)
{
	uint64_t active;
	TableTag *found;
	int index;
	int count;

	if (inject_table == NULL)
		return -1;
	active = active_load();
	index = find_tag(active_plan(active), tag);
	if (index < 0)
		return -1;
	found = &active_plan(active)->tags[index];
	count = count_at_tag(active, index);
	/* release: pairs with the acquire in sleep_until_released() */
	__atomic_add_fetch(&found->released, 1, __ATOMIC_RELEASE);
	futex_wake_all(&found->released);
	return count;
}

int
inject_waiters(InjectWaiter *waiters, int max)
{
	uint64_t active;
	TableWaiter copy;
	int count = 0;

	if (inject_table == NULL)
		return 0;
	active = active_load();
	for (int i = 0; i < TABLE_WAITERS; i++)
	{
		if (!waiter_read_live(&inject_table->waiters[i], &copy) ||
			copy.epoch != active_epoch(active) || copy.tag >= INJECT_MAX_TAGS ||
			copy.point >= INJECT_MAX_POINTS)
			continue;
		if (count++ >= max)
			continue;
		waiters[count - 1] = (InjectWaiter){
			.pid = identity_pid(copy.identity),
			.tid = copy.tid,
			.ordinal = copy.ordinal,
		};
		memcpy(waiters[count - 1].tag, active_plan(active)->tags[copy.tag].name, INJECT_TAG_SIZE);
		memcpy(waiters[count - 1].point, inject_table->points[copy.point].name, INJECT_NAME_SIZE);
		memcpy(waiters[count - 1].role, copy.role, INJECT_ROLE_SIZE);
	}
	return count;
}
