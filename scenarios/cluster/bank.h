/*
 * bank.h
 *		Accounts in shared memory: the data whose sum must not change, whoever dies when.
 *
 * Each account has a lock of the tranche "bank".  A transfer takes both locks exclusively, in order; an audit takes
 * all of them shared.  Before it changes anything a transfer writes the two old balances into its slot's undo
 * journal, and takes the journal back before it lets go of the first lock:
 *
 *		lock a, lock b | journal {a, b, old a, old b} | active | a -= x, b += x | not active | unlock b, unlock a
 *
 * So whoever finds account i locked by a dead slot restores i, and only i, from that slot's journal if it is active
 * and names i.  Doing it twice changes nothing.  The other account is restored when its own lock is.
 *
 * A second structure, the log, exercises what PostgreSQL's WAL needs of locks: positions are reserved by
 * fetch-and-add, one process flushes for many (LWLockAcquireOrWait), and others wait for a variable to move
 * (LWLockWaitForVar, LWLockUpdateVar).
 *
 * Owner: accounts belong to whoever holds their lock, a journal to its slot's process.
 */
#ifndef HOLDFAST_CLUSTER_BANK_H
#define HOLDFAST_CLUSTER_BANK_H

#include <stdbool.h>
#include <stdint.h>

#include <holdfast/lwlock.h>

#define BANK_INITIAL_BALANCE 1000
#define BANK_LINE            64

typedef struct BankAccount
{
	int64_t balance;
	uint64_t transfers; /* that touched it */
	uint64_t version;   /* of exclusive sections, when somebody keeps a history */
} __attribute__((aligned(BANK_LINE))) BankAccount;

typedef struct BankJournal
{
	uint32_t active; /* atomic; release: what follows is whole.  Pairs [BJ1] with bank_repair() */
	uint32_t account[2];
	int64_t before[2];
} __attribute__((aligned(BANK_LINE))) BankJournal;

typedef struct BankLog
{
	uint64_t reserved; /* atomic: end of what was promised a place */
	uint64_t flushed;  /* under the flush lock; read without: never ahead of the truth */
	uint64_t inserting __attribute__((aligned(BANK_LINE))); /* the insert lock's variable */
} __attribute__((aligned(BANK_LINE))) BankLog;

/* Never decreases within one segment; written with relaxed atomics, for reports only. */
typedef struct BankCounters
{
	uint64_t transfers;
	uint64_t refused; /* not enough money */
	uint64_t audits;
	uint64_t flushes;
	uint64_t waits; /* for another's flush or insertion */
	uint64_t repairs;
	uint64_t unbalanced; /* audits that found money gone or made */
} __attribute__((aligned(BANK_LINE))) BankCounters;

typedef struct Bank
{
	uint32_t naccounts;
	uint32_t nslots;
	BankCounters counters;
	uint64_t
		audits_wanted; /* atomic: asked for by the supervisor, which takes no lock while workers live */
	uint64_t audits_begun; /* atomic: of these, those that some worker took up */
	BankLog log;
	/* BankAccount[naccounts], then BankJournal[nslots] */
} Bank;

/* What one process knows of it. */
typedef struct BankAccess
{
	Bank *bank;
	BankAccount *account;
	BankJournal *journal;
	LWLockPadded *lock; /* of account i: lock[i].lock */
	LWLock *flush_lock, *insert_lock;
	struct History *history; /* NULL: none is kept (history.h) */
	struct HistoryWorker *me;
	unsigned
		linger_us; /* time spent in the middle of some transfers and audits, locks held; 0: none */
	unsigned rounds; /* of transfers and audits, for that */
} BankAccess;

/* Before the segment is made: asks for the locks. */
HOLDFAST_MUST_CHECK HoldfastStatus bank_request(unsigned accounts);

/* Bytes it needs in the segment. */
Size bank_size(unsigned accounts, unsigned slots);

/* Makes or finds it, and registers its repair callback in this process. */
HOLDFAST_MUST_CHECK HoldfastStatus bank_open(BankAccess *access, unsigned accounts, unsigned slots,
											 LWLockPolicy policy);

/* A process begins: the journal of its slot may be left over from a dead one. */
void bank_enter(const BankAccess *access);

/*
 * Moves money.  OK also when there was not enough.  Otherwise what a lock said: TIMED_OUT after timeout_us,
 * RESET_NEEDED ...; no lock is held then, nothing was moved.
 */
HOLDFAST_MUST_CHECK HoldfastStatus bank_transfer(BankAccess *access, unsigned from, unsigned to,
												 int64_t amount, uint64_t timeout_us);

/* Sum of all accounts, seen at one instant; one that is not as it should be is counted. */
HOLDFAST_MUST_CHECK HoldfastStatus bank_audit(BankAccess *access, uint64_t timeout_us,
											  int64_t *sum);
/* Asks for an audit by some worker; and in a worker: takes one up, if one is asked for and nobody has. */
void bank_want_audit(const BankAccess *access);
bool bank_audit_is_mine(const BankAccess *access);

/* Audits that did not balance, whoever made them. */
uint64_t bank_unbalanced(const BankAccess *access);
int64_t bank_expected(const BankAccess *access);

/* Waits until what was reserved so far is flushed, flushing it if nobody does. */
HOLDFAST_MUST_CHECK HoldfastStatus bank_flush(const BankAccess *access);

/* Moves the insert position in two steps, or waits for whoever does. */
HOLDFAST_MUST_CHECK HoldfastStatus bank_insert(const BankAccess *access);

#endif
