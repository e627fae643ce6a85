/*
 * bank.c
 *		See bank.h.
 *
 * Thread safety: one thread per slot.  Crash safety: said at each step of bank_transfer().
 * Errors: statuses of the lock functions, passed on with no lock held.
 */
#include "cluster/bank.h"

#include <string.h>

#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#include "cluster/history.h"
#include "inject_point.h"
#include "runner/clock.h"

#define LINGER_EVERY   8
#define BANK_STRUCT    "bank"
#define TRANCHE_BANK   "bank"
#define TRANCHE_FLUSH  "bank_flush"
#define TRANCHE_INSERT "bank_insert"

static void
count(uint64_t *counter)
{
	(void) __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); /* a statistic */
}

/* ---- set-up ---- */

HoldfastStatus
bank_request(unsigned accounts)
{
	HoldfastStatus status = RequestNamedLWLockTranche(TRANCHE_BANK, (int) accounts);

	if (status == HOLDFAST_OK)
		status = RequestNamedLWLockTranche(TRANCHE_FLUSH, 1);
	if (status == HOLDFAST_OK)
		status = RequestNamedLWLockTranche(TRANCHE_INSERT, 1);
	return status;
}

Size
bank_size(unsigned accounts, unsigned slots)
{
	return sizeof(Bank) + accounts * sizeof(BankAccount) + slots * sizeof(BankJournal);
}

/* LWLockRepair.  The lock's owner died; its account goes back to what the owner's journal says, if anything. */
static bool
bank_repair(LWLock *lock, int dead_slot, void *arg)
{
	const BankAccess *access = arg;
	uint32_t index = (uint32_t) ((LWLockPadded *) lock - access->lock);
	const BankJournal *journal;

	if (index >= access->bank->naccounts || (uint32_t) dead_slot >= access->bank->nslots)
		return false;
	count(&access->bank->counters.repairs);
	journal = &access->journal[dead_slot];
	if (!__atomic_load_n(&journal->active, __ATOMIC_ACQUIRE)) /* [BJ1] */
	{
		history_repaired(access->history, dead_slot, index, false);
		return true; /* it had not begun, or was done */
	}
	history_repaired(access->history, dead_slot, index, true);
	for (int side = 0; side < 2; side++)
		if (journal->account[side] == index)
			access->account[index].balance = journal->before[side];
	return true;
}

static int
tranche_of(const LWLockPadded *locks)
{
	return locks->lock.tranche;
}

static HoldfastStatus
register_policies(BankAccess *access, LWLockPolicy policy)
{
	HoldfastStatus status = LWLockRegisterTranche(
		tranche_of(access->lock), policy, policy == LWLOCK_REPAIR ? bank_repair : NULL, access);

	/* The log's numbers are right at every instant: the next holder says so itself. */
	if (status == HOLDFAST_OK)
		status = LWLockRegisterTranche(access->flush_lock->tranche, LWLOCK_POISON, NULL, NULL);
	if (status == HOLDFAST_OK)
		status = LWLockRegisterTranche(access->insert_lock->tranche, LWLOCK_POISON, NULL, NULL);
	return status;
}

HoldfastStatus
bank_open(BankAccess *access, unsigned accounts, unsigned slots, LWLockPolicy policy)
{
	LWLockPadded *flush = GetNamedLWLockTranche(TRANCHE_FLUSH);
	LWLockPadded *insert = GetNamedLWLockTranche(TRANCHE_INSERT);
	bool found;

	*access =
		(BankAccess){.history = access->history, .me = access->me, .linger_us = access->linger_us};
	access->lock = GetNamedLWLockTranche(TRANCHE_BANK);
	access->bank = ShmemInitStruct(BANK_STRUCT, bank_size(accounts, slots), &found);
	if (!access->lock || !flush || !insert || !access->bank)
		return holdfast_last_error()->status;
	access->flush_lock = &flush->lock;
	access->insert_lock = &insert->lock;
	access->account = (BankAccount *) (access->bank + 1);
	access->journal = (BankJournal *) (access->account + accounts);
	if (!found)
	{
		access->bank->naccounts = accounts;
		access->bank->nslots = slots;
		for (unsigned i = 0; i < accounts; i++)
			access->account[i].balance = BANK_INITIAL_BALANCE;
	}
	return register_policies(access, policy);
}

void
bank_enter(const BankAccess *access)
{
	/*
	 * relaxed: the slot was freed only after every lock of its last owner was repaired, so nobody reads this journal
	 * until we ourselves make it active.
	 */
	__atomic_store_n(&access->journal[holdfast_my_slot()].active, 0, __ATOMIC_RELAXED);
}

/* ---- transfers ---- */

static bool
have_lock(HoldfastStatus status)
{
	return status == HOLDFAST_OK || status == HOLDFAST_WAITED || status == HOLDFAST_OWNER_DEAD;
}

/* A poisoned account lock: only when some process had no repair callback.  Cannot be mended here. */
static HoldfastStatus
acquire(const BankAccess *access, HistorySection *section, unsigned account, LWLockMode mode,
		uint64_t timeout_us)
{
	LWLock *lock = &access->lock[account].lock;
	HoldfastStatus status;

	*section = (HistorySection){.account = account, .exclusive = mode == LW_EXCLUSIVE};
	history_stage(access->me, HISTORY_ACQUIRING);
	status = LWLockAcquireTimed(lock, mode, timeout_us);
	if (status == HOLDFAST_OWNER_DEAD)
	{
		(void) LWLockRelease(lock);
		return HOLDFAST_NOT_RECOVERABLE;
	}
	if (status < 0)
		return status;
	history_enter(access->history, access->me, section, &access->account[account].version);
	return HOLDFAST_OK;
}

static void
release(const BankAccess *access, const HistorySection *section)
{
	history_leave(access->history, access->me, section, &access->account[section->account].version);
	history_stage(access->me, HISTORY_RELEASING);
	(void) LWLockRelease(&access->lock[section->account].lock);
}

/* As a program that has something to do in there: now and then, busily. */
static void
linger(BankAccess *access)
{
	uint64_t until;

	if (access->linger_us == 0 || ++access->rounds % LINGER_EVERY != 0)
		return;
	until = clock_now_ns() + (uint64_t) access->linger_us * 1000;
	while (clock_now_ns() < until)
		continue;
}

static void
move_money(BankAccess *access, unsigned from, unsigned to, int64_t amount)
{
	BankJournal *journal = &access->journal[holdfast_my_slot()];

	journal->account[0] = from;
	journal->account[1] = to;
	journal->before[0] = access->account[from].balance;
	journal->before[1] = access->account[to].balance;
	history_transfer_pending(access->me, from, to, amount);
	INJECT_POINT("bank/transfer/pre-active", INJECT_ANYWHERE,
				 "both accounts locked and unchanged, journal not active: nothing to repair");
	__atomic_store_n(&journal->active, 1, __ATOMIC_RELEASE); /* [BJ1] */
	history_transfer_active(access->me);
	INJECT_POINT("bank/transfer/active", INJECT_ANYWHERE,
				 "journal active, accounts unchanged: each is restored to what it is");
	access->account[from].balance -= amount;
	/* A compiler may not delay this behind the next store: the step in between must exist. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	INJECT_POINT("bank/transfer/half", INJECT_ANYWHERE,
				 "money has left one account and not arrived: both are restored from the journal");
	linger(access);
	access->account[to].balance += amount;
	access->account[from].transfers++;
	access->account[to].transfers++;
	INJECT_POINT(
		"bank/transfer/moved", INJECT_ANYWHERE,
		"money has moved, journal still active: both are restored, the transfer is undone");
	__atomic_store_n(&journal->active, 0, __ATOMIC_RELEASE);
	history_transfer_done(access->me);
	INJECT_POINT("bank/transfer/done", INJECT_ANYWHERE,
				 "the transfer is final, both accounts locked: repair leaves them");
}

HoldfastStatus
bank_transfer(BankAccess *access, unsigned from, unsigned to, int64_t amount, uint64_t timeout_us)
{
	unsigned low = from < to ? from : to, high = from < to ? to : from;
	HistorySection section[2];
	HoldfastStatus status = acquire(access, &section[0], low, LW_EXCLUSIVE, timeout_us);

	if (status < 0)
		return status;
	INJECT_POINT("bank/transfer/one-lock", INJECT_ANYWHERE,
				 "one account locked and unchanged: repair leaves it");
	status = acquire(access, &section[1], high, LW_EXCLUSIVE, timeout_us);
	if (status < 0)
	{
		release(access, &section[0]);
		return status;
	}
	if (access->account[from].balance >= amount)
	{
		move_money(access, from, to, amount);
		count(&access->bank->counters.transfers);
	}
	else
		count(&access->bank->counters.refused);
	release(access, &section[1]);
	history_stage(access->me, HISTORY_INSIDE);
	INJECT_POINT("bank/transfer/one-released", INJECT_ANYWHERE,
				 "the transfer is final, one account locked: repair leaves it");
	release(access, &section[0]);
	history_stage(access->me, HISTORY_OUTSIDE);
	return HOLDFAST_OK;
}

/* ---- audits ---- */

HoldfastStatus
bank_audit(BankAccess *access, uint64_t timeout_us, int64_t *sum)
{
	HistorySection section[CLUSTER_ACCOUNTS_MAX];
	unsigned naccounts = access->bank->naccounts, locked = 0;
	HoldfastStatus status = HOLDFAST_OK;

	*sum = 0;
	for (; locked < naccounts; locked++)
	{
		status = acquire(access, &section[locked], locked, LW_SHARED, timeout_us);
		if (status < 0)
			break;
		*sum += access->account[locked].balance;
	}
	if (status >= 0)
		INJECT_POINT("bank/audit/locked", INJECT_ANYWHERE,
					 "all accounts share-locked by the corpse: its shares go, nothing to repair");
	linger(access);
	while (locked-- > 0)
		release(access, &section[locked]);
	history_stage(access->me, HISTORY_OUTSIDE);
	if (status < 0)
		return status;
	count(&access->bank->counters.audits);
	if (*sum != bank_expected(access))
		count(&access->bank->counters.unbalanced);
	return HOLDFAST_OK;
}

/* relaxed, all three: numbers for themselves, nothing is published with them */
void
bank_want_audit(const BankAccess *access)
{
	count(&access->bank->audits_wanted);
}

bool
bank_audit_is_mine(const BankAccess *access)
{
	uint64_t wanted = __atomic_load_n(&access->bank->audits_wanted, __ATOMIC_RELAXED);
	uint64_t begun = __atomic_load_n(&access->bank->audits_begun, __ATOMIC_RELAXED);

	return begun < wanted &&
		   __atomic_compare_exchange_n(&access->bank->audits_begun, &begun, wanted, false,
									   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

uint64_t
bank_unbalanced(const BankAccess *access)
{
	return __atomic_load_n(&access->bank->counters.unbalanced, __ATOMIC_RELAXED);
}

int64_t
bank_expected(const BankAccess *access)
{
	return (int64_t) access->bank->naccounts * BANK_INITIAL_BALANCE;
}

/* ---- the log ---- */

/* The dead holder left numbers that are right at every instant. */
static void
accept_log(LWLock *lock, HoldfastStatus status)
{
	if (status == HOLDFAST_OWNER_DEAD)
		(void) LWLockMarkConsistent(lock);
}

HoldfastStatus
bank_flush(const BankAccess *access)
{
	BankLog *log = &access->bank->log;
	/* relaxed: the position is only a number; the lock orders what it stands for */
	uint64_t upto = __atomic_add_fetch(&log->reserved, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&log->flushed, __ATOMIC_RELAXED) < upto)
	{
		HoldfastStatus status = LWLockAcquireOrWait(access->flush_lock, LW_EXCLUSIVE);

		if (status < 0)
			return status;
		if (status == HOLDFAST_BUSY)
		{
			count(&access->bank->counters.waits);
			continue; /* somebody flushed, perhaps our part too */
		}
		accept_log(access->flush_lock, status);
		INJECT_POINT("bank/flush/locked", INJECT_ANYWHERE,
					 "the flusher died: the next holder learns it and flushes for all");
		__atomic_store_n(&log->flushed, __atomic_load_n(&log->reserved, __ATOMIC_RELAXED),
						 __ATOMIC_RELAXED);
		count(&access->bank->counters.flushes);
		(void) LWLockRelease(access->flush_lock);
	}
	return HOLDFAST_OK;
}

HoldfastStatus
bank_insert(const BankAccess *access)
{
	uint64_t *inserting = &access->bank->log.inserting;
	uint64_t seen = __atomic_load_n(inserting, __ATOMIC_RELAXED), now;
	HoldfastStatus status = LWLockConditionalAcquire(access->insert_lock, LW_EXCLUSIVE);

	if (status == HOLDFAST_BUSY)
	{
		count(&access->bank->counters.waits);
		status = LWLockWaitForVar(access->insert_lock, inserting, seen, &now);
		return status < 0 ? status : HOLDFAST_OK;
	}
	if (!have_lock(status))
		return status;
	accept_log(access->insert_lock, status);
	seen = __atomic_load_n(inserting, __ATOMIC_RELAXED);
	status = LWLockUpdateVar(access->insert_lock, inserting, seen + 1);
	INJECT_POINT(
		"bank/insert/half", INJECT_ANYWHERE,
		"the inserter died after its first step: those who wait for its next one are woken");
	if (status < 0)
		return status;
	return LWLockReleaseClearVar(access->insert_lock, inserting, seen + 2);
}
