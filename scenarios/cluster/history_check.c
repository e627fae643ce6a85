/*
 * history_check.c
 *		Afterwards: counts against counters, sections against the clock.
 *
 * Threads: one; nobody writes the history any more.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/history.h"

/* ---- counts ---- */

static void
check_account(History *history, unsigned account, int64_t initial_balance, HistoryChecked *checked)
{
	const HistoryAccount *end = &history->account[account];
	uint64_t entered = 0, maybe = 0;
	int64_t expected = initial_balance;

	for (unsigned i = 0; i < history->nworkers; i++)
	{
		entered += history->worker[i].entered[account];
		maybe += history->worker[i].maybe_entered[account];
		expected += history->worker[i].moved[account];
	}
	checked->sections += entered;
	if (end->version < entered || end->version > entered + maybe)
		history_violation(
			history,
			"lost update: account %u was entered %llu times exclusively, perhaps %llu "
			"more, and its version is %llu",
			account, (unsigned long long) entered, (unsigned long long) maybe,
			(unsigned long long) end->version);
	if (end->balance != expected)
		history_violation(history,
						  "lost update: account %u holds %lld, and the transfers that came through "
						  "make %lld",
						  account, (long long) end->balance, (long long) expected);
}

/* ---- the clock ---- */

static int
by_lock_and_version(const void *a, const void *b)
{
	const HistoryRecord *left = a, *right = b;

	if (left->epoch != right->epoch)
		return left->epoch < right->epoch ? -1 : 1;
	if (left->account != right->account)
		return left->account < right->account ? -1 : 1;
	if (left->version != right->version)
		return left->version < right->version ? -1 : 1;
	/* Whoever made the version comes before those who saw it. */
	return (int) right->exclusive - (int) left->exclusive;
}

static HistoryRecord *
gather(const History *history, size_t *count)
{
	HistoryRecord *all =
		calloc((size_t) history->nworkers * HISTORY_RECORDS + 1, sizeof(HistoryRecord));

	*count = 0;
	for (unsigned i = 0; all && i < history->nworkers; i++)
		for (unsigned k = 0; k < HISTORY_RECORDS; k++)
			if (history->worker[i].record[k].epoch != 0) /* used, and whole */
				all[(*count)++] = history->worker[i].record[k];
	if (all)
		qsort(all, *count, sizeof(*all), by_lock_and_version);
	return all;
}

static bool
same_lock(const HistoryRecord *a, const HistoryRecord *b)
{
	return a->epoch == b->epoch && a->account == b->account;
}

static void
overlap(History *history, const HistoryRecord *first, const HistoryRecord *second, const char *what)
{
	history_violation(history,
					  "mutual exclusion: account %u, %s: version %llu until %llu ns, version %llu "
					  "from %llu ns",
					  first->account, what, (unsigned long long) first->version,
					  (unsigned long long) first->leave_ns, (unsigned long long) second->version,
					  (unsigned long long) second->enter_ns);
}

/*
 * One lock's records, in order of version.  All that came with a version have left before the next one's maker enters; who saw a
 * version entered after its maker left.
 */
static void
check_lock(History *history, const HistoryRecord *record, size_t count)
{
	const HistoryRecord *last_out = NULL; /* of all before this version, who left last */
	const HistoryRecord *maker = NULL;    /* of this version, when it is known */
	const HistoryRecord *latest = NULL;   /* of this version, who left last */

	for (size_t i = 0; i < count; i++)
	{
		const HistoryRecord *one = &record[i];

		if (i == 0 || one->version != record[i - 1].version)
		{
			if (latest && (!last_out || latest->leave_ns > last_out->leave_ns))
				last_out = latest;
			maker = latest = NULL;
		}
		if (one->exclusive && maker)
			history_violation(history,
							  "mutual exclusion: account %u has version %llu from two owners",
							  one->account, (unsigned long long) one->version);
		if (last_out && one->enter_ns < last_out->leave_ns)
			overlap(history, last_out, one, "two owners at once");
		if (!one->exclusive && maker && one->enter_ns < maker->leave_ns)
			overlap(history, maker, one, "shared with its owner");
		if (one->exclusive)
			maker = one;
		if (!latest || one->leave_ns > latest->leave_ns)
			latest = one;
	}
}

void
history_check(History *history, int64_t initial_balance, HistoryChecked *checked)
{
	HistoryRecord *all;
	size_t count;

	*checked = (HistoryChecked){0};
	for (unsigned i = 0; history->ended && i < history->naccounts; i++)
		check_account(history, i, initial_balance, checked);
	all = gather(history, &count);
	for (size_t i = 0, end; i < count; i = end)
	{
		for (end = i + 1; end < count && same_lock(&all[i], &all[end]);)
			end++;
		check_lock(history, &all[i], end - i);
	}
	checked->intervals = count;
	free(all);
}

void
history_print(const History *history, unsigned most, FILE *out)
{
	for (unsigned i = 0; i < history->nworkers; i++)
	{
		const HistoryWorker *me = &history->worker[i];
		uint64_t first = me->records > most ? me->records - most : 0;

		fprintf(out, "worker.%u pid %d life %u epoch %u %s\n", i + 1, (int) me->pid, me->life,
				me->epoch, history_stage_names[me->stage[me->life % HISTORY_LIVES]]);
		for (uint64_t k = first; k < me->records; k++)
		{
			const HistoryRecord *one = &me->record[k % HISTORY_RECORDS];

			fprintf(out, "  epoch %u account %u %s version %llu from %llu to %llu ns\n", one->epoch,
					one->account, one->exclusive ? "exclusive" : "shared",
					(unsigned long long) one->version, (unsigned long long) one->enter_ns,
					(unsigned long long) one->leave_ns);
		}
	}
}
