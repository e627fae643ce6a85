/*
 * history.c
 *		Records; see history.h.  The checks afterwards are in history_check.c.
 *
 * Crash safety: every store is in program order (signal fences keep the compiler to it), and a process that is killed has
 * done a prefix of its stores.  What a prefix means is said where it matters.
 */
#include "cluster/history.h"

#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <holdfast/recovery.h>

#include "runner/clock.h"

#define IN_ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

const char *const history_stage_names[HISTORY_STAGES] = {"starting", "outside",   "acquiring",
														 "inside",   "releasing", "waiting-var"};

History *
history_create(unsigned nworkers, unsigned naccounts)
{
	size_t size = sizeof(History) + nworkers * sizeof(HistoryWorker);
	History *history =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (history == MAP_FAILED)
		return NULL;
	history->nworkers = nworkers;
	history->naccounts = naccounts;
	return history;
}

void
history_violation(History *history, const char *format, ...)
{
	va_list args;

	if (history == NULL || __atomic_fetch_add(&history->violations, 1, __ATOMIC_RELAXED) != 0)
		return;
	va_start(args, format);
	vsnprintf(history->violation, sizeof(history->violation), format, args);
	va_end(args);
}

static uint64_t
now_ns(const History *history)
{
	return clock_now_ns() - (uint64_t) history->clock_offset_ns;
}

/* ---- the supervisor ---- */

/* What a dead worker left unsaid.  After its recovery: then `repaired` is final. */
static void
resolve(HistoryWorker *me)
{
	if (me->claimed)
		me->maybe_entered[me->claimed - 1]++;
	me->claimed = 0;
	if (me->transfer == TRANSFER_COMMITTING || (me->transfer == TRANSFER_ACTIVE && !me->repaired))
		for (int side = 0; side < 2; side++)
			me->moved[me->account[side]] = me->moved_after[side];
	me->transfer = TRANSFER_NONE;
}

void
history_new_epoch(History *history)
{
	if (!history)
		return;
	history->epoch++;
	history->clock_offset_ns = history->next_clock_offset_ns;
	history->ended = 0;
	memset(history->slot_worker, 0, sizeof(history->slot_worker));
	memset(history->account, 0, sizeof(history->account));
	for (unsigned i = 0; i < history->nworkers; i++)
	{
		HistoryWorker *me = &history->worker[i];

		me->transfer = TRANSFER_NONE;
		me->claimed = 0;
		memset(me->entered, 0, sizeof(me->entered));
		memset(me->maybe_entered, 0, sizeof(me->maybe_entered));
		memset(me->moved, 0, sizeof(me->moved));
	}
}

void
history_end(History *history, unsigned account, int64_t balance, uint64_t version)
{
	history->account[account].balance = balance;
	history->account[account].version = version;
	if (account + 1 < history->naccounts)
		return;
	for (unsigned i = 0; i < history->nworkers; i++)
		resolve(&history->worker[i]);
	history->ended = 1;
}

/* ---- a worker ---- */

HistoryWorker *
history_born(History *history, unsigned ordinal)
{
	HistoryWorker *me = history ? &history->worker[ordinal - 1] : NULL;

	if (!me)
		return NULL;
	resolve(me);
	me->epoch = history->epoch;
	me->kill_ns = 0;
	__atomic_store_n(&me->stage[(me->life + 1) % HISTORY_LIVES], HISTORY_STARTING,
					 __ATOMIC_RELAXED);
	__atomic_store_n(&me->life, me->life + 1, __ATOMIC_RELAXED);
	me->start_time = holdfast_process_start_time(getpid());
	__atomic_store_n(&me->pid, getpid(), __ATOMIC_RELEASE); /* who reads it reads our life, too */
	return me;
}

void
history_has_slot(History *history, HistoryWorker *me, int slot)
{
	if (!me)
		return;
	if (slot >= 0 && slot < HISTORY_SLOTS)
		history->slot_worker[slot] = (uint32_t) (me - history->worker) + 1;
	history_stage(me, HISTORY_OUTSIDE);
}

/* The first one in after a death: the lock is back in service. */
static void
note_recovered(History *history, HistoryAccount *account)
{
	uint64_t dead = account->recovering_for;
	const HistoryWorker *victim = &history->worker[(dead >> 32) - 1];
	uint64_t killed = victim->kill_ns, now = now_ns(history);
	uint32_t nth;

	account->recovered_for = dead;
	IN_ORDER();
	account->recovering_for = 0;
	if (killed == 0 || victim->life != (uint32_t) dead || now < killed)
		return;
	nth = __atomic_fetch_add(&history->delays, 1, __ATOMIC_RELAXED);
	if (nth < HISTORY_DELAYS)
		history->delay_ns[nth] = now - killed;
}

void
history_enter(History *history, HistoryWorker *me, HistorySection *section, uint64_t *version)
{
	unsigned account = section->account;

	if (!me)
		return;
	section->version = __atomic_load_n(version, __ATOMIC_RELAXED);
	if (section->exclusive)
	{
		if (history->account[account].recovering_for)
			note_recovered(history, &history->account[account]);
		/* Killed in here: the count is there or not, and nobody can tell: maybe_entered. */
		me->claimed = account + 1;
		IN_ORDER();
		section->version++;
		__atomic_store_n(version, section->version, __ATOMIC_RELAXED);
		IN_ORDER();
		me->entered[account]++;
		IN_ORDER();
		me->claimed = 0;
	}
	section->enter_ns = now_ns(history);
	history_stage(me, HISTORY_INSIDE);
}

void
history_leave(History *history, HistoryWorker *me, const HistorySection *section,
			  const uint64_t *version)
{
	HistoryRecord *record;
	uint64_t seen;

	if (!me)
		return;
	seen = __atomic_load_n(version, __ATOMIC_RELAXED);
	if (seen != section->version)
		history_violation(history,
						  "mutual exclusion: worker %u was alone with account %u %s at version "
						  "%llu, and left it at %llu",
						  (unsigned) (me - history->worker) + 1, section->account,
						  section->exclusive ? "exclusively" : "shared",
						  (unsigned long long) section->version, (unsigned long long) seen);
	record = &me->record[me->records % HISTORY_RECORDS];
	record->epoch = 0; /* not whole */
	IN_ORDER();
	record->account = (uint16_t) section->account;
	record->exclusive = section->exclusive;
	record->version = section->version;
	record->enter_ns = section->enter_ns;
	record->leave_ns = now_ns(history);
	IN_ORDER();
	record->epoch = history->epoch;
	me->records++;
}

void
history_transfer_pending(HistoryWorker *me, unsigned from, unsigned to, int64_t amount)
{
	if (!me)
		return;
	me->account[0] = from;
	me->account[1] = to;
	me->moved_after[0] = me->moved[from] - amount;
	me->moved_after[1] = me->moved[to] + amount;
	me->repaired = 0;
	IN_ORDER();
	me->transfer = TRANSFER_PENDING;
	IN_ORDER();
}

void
history_transfer_active(HistoryWorker *me)
{
	if (!me)
		return;
	IN_ORDER();
	me->transfer = TRANSFER_ACTIVE;
	IN_ORDER();
}

void
history_transfer_done(HistoryWorker *me)
{
	if (!me)
		return;
	IN_ORDER();
	me->transfer = TRANSFER_COMMITTING;
	IN_ORDER();
	resolve(me);
}

void
history_repaired(History *history, int dead_slot, unsigned account, bool undone)
{
	uint32_t ordinal = history && dead_slot < HISTORY_SLOTS ? history->slot_worker[dead_slot] : 0;
	HistoryWorker *victim;
	uint64_t dead;

	if (ordinal == 0)
		return;
	victim = &history->worker[ordinal - 1];
	dead = (uint64_t) ordinal << 32 | victim->life;
	if (undone)
		victim->repaired = 1;
	if (history->account[account].recovered_for == dead)
		history_violation(
			history,
			"account %u is recovered again for the death of worker %u (life %u) after "
			"somebody was in",
			account, ordinal, victim->life);
	history->account[account].recovering_for = dead;
}
