/*
 * wait.c
 *		Pause and barrier: threads of any process parked in the table, and the tester who watches them.
 *
 * Each tag has a word whose low half is the round: a waiter notes it, makes itself known, and sleeps until
 * it changes.  `arrived` counts arrivals: the tester sleeps on that.
 *
 *	1. the waiter reads the round, then checks that its plan is still the armed one;
 *	2. it takes an entry, fills it in, publishes it (release, pairs with the acquire in waiter_read());
 *	3. at a barrier it joins: one CAS on the tag's word, which fails if the round is another by now, and which
 *	   ends the round if it is the last to come;
 *	4. it adds one to `arrived` and wakes testers;
 *	5. it sleeps until the round has changed, the plan is gone, or the deadline is past.
 * A corpse at any step leaves an entry with a dead identity, which is not counted; whoever meets it frees
 * it and takes it out of the barrier's count.  (Between the CAS of 3 and the note of it in the entry lie two
 * instructions; who is killed from outside right there is counted until the round's deadline.)
 * A disarm clears `active` before it moves the rounds on, so that a waiter between 1 and 5 sees either.
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
#define ONE_JOINED          (UINT64_C(1) << 32)

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
waiter_read(const TableWaiter *entry, TableWaiter *copy)
{
	TableIdentity identity = __atomic_load_n(&entry->identity, __ATOMIC_ACQUIRE);

	/* acquire: pairs with the release in fill_entry() */
	if (identity == 0 || __atomic_load_n(&entry->published, __ATOMIC_ACQUIRE) != identity)
		return false;
	*copy = *entry;
	copy->identity = identity;
	/* Freed and taken again while it was copied? */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&entry->identity, __ATOMIC_RELAXED) == identity &&
		   __atomic_load_n(&entry->published, __ATOMIC_RELAXED) == identity;
}

/* One less in a barrier's round, unless the round is over. */
static void
leave_round(TableTag *tag, uint32_t round)
{
	uint64_t word = __atomic_load_n(&tag->round, __ATOMIC_RELAXED);

	while ((uint32_t) word == round && word >= ONE_JOINED &&
		   !__atomic_compare_exchange_n(&tag->round, &word, word - ONE_JOINED, true,
										__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* Free the entry of a dead process; whoever succeeds takes it out of its round. */
static void
reap_entry(TableWaiter *entry, TableIdentity dead)
{
	TableWaiter copy;
	bool whole = waiter_read(entry, &copy) && copy.identity == dead;
	uint64_t active = active_load();

	if (!__atomic_compare_exchange_n(&entry->identity, &dead, 0, false, __ATOMIC_ACQ_REL,
									 __ATOMIC_RELAXED))
		return;
	if (whole && copy.joined != 0 && copy.epoch == active_epoch(active) &&
		copy.tag < INJECT_MAX_TAGS)
		leave_round(&active_plan(active)->tags[copy.tag], copy.round);
}

/* The same, and its owner lives; a dead owner's entry is freed. */
static bool
waiter_read_live(TableWaiter *entry, TableWaiter *copy)
{
	TableIdentity identity = __atomic_load_n(&entry->identity, __ATOMIC_RELAXED);

	if (identity == 0)
		return false;
	if (identity_alive(identity))
		return waiter_read(entry, copy);
	reap_entry(entry, identity);
	return false;
}

static void
reap_all(void)
{
	TableWaiter copy;

	for (int i = 0; i < TABLE_WAITERS; i++)
		(void) waiter_read_live(&inject_table->waiters[i], &copy);
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
		if (holder != 0)
			reap_entry(entry, holder);
		holder = 0;
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
	__atomic_store_n(&entry->published, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->identity, 0, __ATOMIC_RELEASE);
}

static void
fill_entry(TableWaiter *entry, const InjectArrival *arrival, unsigned tag, uint32_t round)
{
	InjectRole role = self_role(arrival->self);

	entry->epoch = arrival->epoch;
	entry->round = round;
	entry->joined = 0;
	entry->tid = (int32_t) syscall(SYS_gettid);
	entry->ordinal = role.ordinal;
	entry->tag = (uint16_t) tag;
	entry->point = (uint16_t) arrival->index;
	memset(entry->role, 0, sizeof(entry->role));
	memcpy(entry->role, role.name, strnlen(role.name, sizeof(entry->role) - 1));
	/* release: pairs with the acquire in waiter_read() */
	__atomic_store_n(&entry->published, arrival->self->identity, __ATOMIC_RELEASE);
}

/* ---- waiting ---- */

static uint32_t *
round_futex(TableTag *tag)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");
	return (uint32_t *) (void *) &tag->round;
}

static uint32_t
round_load(TableTag *tag)
{
	/* acquire: pairs with the releases in next_round() and join_round() */
	return (uint32_t) __atomic_load_n(&tag->round, __ATOMIC_ACQUIRE);
}

/* End a round, whoever has joined it, and let everyone go. */
static void
next_round(TableTag *tag)
{
	uint64_t word = __atomic_load_n(&tag->round, __ATOMIC_RELAXED);

	/* release: what the caller did before is seen by those whom it lets go; pairs with round_load() */
	while (!__atomic_compare_exchange_n(&tag->round, &word, (uint32_t) word + UINT32_C(1), true,
										__ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	futex_wake_all(round_futex(tag));
}

/* Count in for `round`, and end it as the last of `needed`.  False: that round is over. */
static bool
join_round(TableTag *tag, uint32_t round, uint64_t needed)
{
	uint64_t word = __atomic_load_n(&tag->round, __ATOMIC_RELAXED);
	uint64_t after;
	bool last;

	do
	{
		if ((uint32_t) word != round)
			return false;
		last = word / ONE_JOINED + 1 >= needed;
		after = last ? (uint32_t) word + UINT32_C(1) : word + ONE_JOINED;
		/* acq_rel: what each did before it came is seen by all who leave; pairs with round_load() */
	} while (!__atomic_compare_exchange_n(&tag->round, &word, after, true, __ATOMIC_ACQ_REL,
										  __ATOMIC_RELAXED));
	if (last)
		futex_wake_all(round_futex(tag));
	return true;
}

static bool
plan_is_armed(const InjectArrival *arrival)
{
	return active_load() == arrival->active;
}

/* False when the deadline ended it. */
static bool
sleep_until_released(const InjectArrival *arrival, TableTag *tag, uint32_t round)
{
	int64_t limit = active_plan(arrival->active)->deadline_ns;
	int64_t deadline = now_ns() + (limit > 0 ? limit : DEFAULT_DEADLINE_NS);

	while (round_load(tag) == round && plan_is_armed(arrival))
	{
		if (futex_wait_until(round_futex(tag), round, deadline))
			continue;
		__atomic_add_fetch(&inject_table->waits_expired, 1, __ATOMIC_RELAXED);
		return false;
	}
	return true;
}

/* Known to testers from here on, and counted in if it is a barrier.  Returns the round to wait for. */
static uint32_t
enter(const InjectArrival *arrival, TableWaiter *entry, unsigned tag_index, int64_t barrier_count)
{
	TableTag *tag = &active_plan(arrival->active)->tags[tag_index];
	uint32_t round;

	for (;;)
	{
		round = round_load(tag);
		if (entry != NULL)
			fill_entry(entry, arrival, tag_index, round);
		if (barrier_count == 0 || !plan_is_armed(arrival))
			break;
		if (!join_round(tag, round, (uint64_t) barrier_count))
			continue;
		if (entry != NULL)
			__atomic_store_n(&entry->joined, 1, __ATOMIC_RELEASE);
		break;
	}
	/* release: the entry is seen by whoever sees the arrival */
	__atomic_add_fetch(&tag->arrived, 1, __ATOMIC_RELEASE);
	futex_wake_all(&tag->arrived);
	return round;
}

void
inject_park(const InjectArrival *arrival, unsigned tag_index, int64_t barrier_count)
{
	TableTag *tag;
	TableWaiter *entry;
	uint32_t round;

	if (tag_index >= INJECT_MAX_TAGS || !plan_is_armed(arrival))
		return;
	tag = &active_plan(arrival->active)->tags[tag_index];
	/* The dead of this round make room for us in it. */
	if (barrier_count > 0)
		reap_all();
	/* nobody yet: another thread is just finding out who we are */
	entry = arrival->self->identity != 0 ? take_entry(arrival->self->identity) : NULL;
	round = enter(arrival, entry, tag_index, barrier_count);
	if (!sleep_until_released(arrival, tag, round) && barrier_count > 0)
		leave_round(tag, round);
	if (entry != NULL)
		free_entry(entry);
}

void
wait_release_all(TablePlan *plan)
{
	for (int i = 0; i < INJECT_MAX_TAGS; i++)
		next_round(&plan->tags[i]);
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
	uint32_t round = round_load(&active_plan(active)->tags[tag]);
	TableWaiter copy;
	int count = 0;

	for (int i = 0; i < TABLE_WAITERS; i++)
		if (waiter_read_live(&inject_table->waiters[i], &copy) &&
			copy.epoch == active_epoch(active) && copy.tag == tag && copy.round == round)
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
		uint32_t seen = __atomic_load_n(arrived, __ATOMIC_ACQUIRE);

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
	next_round(found);
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
