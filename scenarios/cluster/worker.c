/*
 * worker.c
 *		Moves money until told to stop, or until the supervisor is gone.
 *
 * Signals: SIGTERM sets a flag; SIGQUIT ends at once, releasing nothing, as a crash would (the segment is about to
 * be thrown away); SIGINT is the supervisor's.  The supervisor's death is a SIGQUIT from the kernel: LWLockAcquireOrWait()
 * and LWLockWaitForVar() have no deadline, and whoever holds the lock may be stopped, not dead.  PostgreSQL's
 * backends sleep on there.
 * Crash safety: whatever it holds when it dies is the supervisor's, or another worker's, to recover.
 */
#include "cluster/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/proc.h>

#include "cluster/history.h"
#include "cluster/role.h"

#define LOCK_TIMEOUT_US 200000 /* a bound on noticing anything else */
#define AMOUNT_MAX      50

static volatile sig_atomic_t stop_requested;

static void
on_sigterm(int signal_number)
{
	(void) signal_number;
	stop_requested = 1;
}

static void
on_sigquit(int signal_number)
{
	(void) signal_number;
	_exit(WORKER_EXIT_QUIT);
}

static void
set_signals(void)
{
	struct sigaction action = {.sa_handler = on_sigterm};
	sigset_t none;

	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	action.sa_handler = on_sigquit;
	sigaction(SIGQUIT, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGPIPE, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* xorshift64*: a sequence per worker that its seed alone decides. */
static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static void
pace(unsigned us)
{
	struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = (long) (us % 1000000) * 1000};

	if (us)
		nanosleep(&pause, NULL);
}

/* One piece of work.  Mostly transfers; now and then the rest of the lock functions. */
static HoldfastStatus
work(const WorkerStart *start, uint64_t *random, uint64_t round)
{
	BankAccess *bank = start->bank;
	unsigned naccounts = bank->bank->naccounts;
	unsigned from = (unsigned) (next_random(random) % naccounts);
	unsigned to = (from + 1 + (unsigned) (next_random(random) % (naccounts - 1))) % naccounts;
	HoldfastStatus status =
		bank_transfer(bank, from, to, 1 + (int64_t) (*random % AMOUNT_MAX), LOCK_TIMEOUT_US);

	if (status == HOLDFAST_OK && round % 4 == 0)
	{
		history_stage(bank->me, HISTORY_WAITING_VAR);
		status = round % 8 == 0 ? bank_flush(bank) : bank_insert(bank);
		history_stage(bank->me, HISTORY_OUTSIDE);
	}
	if (status == HOLDFAST_OK && (round % 256 == 0 || bank_audit_is_mine(bank)))
	{
		int64_t sum;

		status = bank_audit(bank, LOCK_TIMEOUT_US, &sum);
		if (status == HOLDFAST_OK && sum != bank_expected(bank))
		{
			fprintf(stderr, "worker.%u: audit failed: %lld instead of %lld\n", start->ordinal,
					(long long) sum, (long long) bank_expected(bank));
			status = HOLDFAST_DAMAGED;
		}
	}
	return status;
}

/* Waits for the supervisor, which knows that this segment is lost. */
static void
wait_for_reset(const WorkerStart *start)
{
	while (!stop_requested && getppid() == start->supervisor)
		pace(20000);
}

static int
work_until_told(const WorkerStart *start)
{
	uint64_t random = start->seed | 1;

	for (uint64_t round = 1; !stop_requested; round++)
	{
		HoldfastStatus status = work(start, &random, round);

		if (getppid() != start->supervisor)
			return WORKER_EXIT_ORPHAN;
		if (status == HOLDFAST_RESET_NEEDED)
			wait_for_reset(start);
		else if (status < 0 && status != HOLDFAST_TIMED_OUT)
		{
			fprintf(stderr, "worker.%u: %s: %s\n", start->ordinal, holdfast_status_name(status),
					holdfast_last_error()->message);
			history_violation(start->bank->history, "worker %u was told %s: %s", start->ordinal,
							  holdfast_status_name(status), holdfast_last_error()->message);
			return WORKER_EXIT_FAILED;
		}
		pace(start->config->pace_us);
	}
	return WORKER_EXIT_STOPPED;
}

int
worker_main(const WorkerStart *start)
{
	set_signals();
	cluster_set_role("worker", start->ordinal);
	if (InitProcess("worker") < 0)
	{
		fprintf(stderr, "worker.%u: %s\n", start->ordinal, holdfast_last_error()->message);
		return WORKER_EXIT_FAILED;
	}
	history_has_slot(start->bank->history, start->bank->me, holdfast_my_slot());
	bank_enter(start->bank);
	/* A supervisor that no longer reads is dead, and getppid() will say so. */
	if (write(start->started_fd, "", 1) < 0 && errno != EPIPE && errno != EAGAIN)
		fprintf(stderr, "worker.%u: could not report: %s\n", start->ordinal, strerror(errno));
	close(start->started_fd);
	return work_until_told(start);
}
