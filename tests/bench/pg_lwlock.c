/*
 * pg_lwlock.c
 *		A PostgreSQL extension that measures PostgreSQL's own LWLock, on orders of holdfast-bench (pg_control.h).
 *
 * Loaded by shared_preload_libraries: one lock in a tranche of its own, PG_CONTROL_WORKERS background workers.  They are
 * restarted after a crash, as PostgreSQL restarts any worker, and take the lock once when they start: so the time
 * from a SIGKILL of its holder to its next use can be read off.
 *
 * Never part of the library; it exists only where PostgreSQL's server headers are installed.
 */
#include "postgres.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/pmsignal.h"
#include "storage/shmem.h"

#include "pg_control.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);
PGDLLEXPORT void holdfast_bench_worker(Datum index);

static shmem_request_hook_type previous_request_hook;
static PgControl *control;
static LWLock *lock;

static uint64
read_clock(clockid_t clock)
{
	struct timespec now;

	(void) clock_gettime(clock, &now);
	return (uint64) now.tv_sec * UINT64CONST(1000000000) + (uint64) now.tv_nsec;
}

static void
request_lock(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestNamedLWLockTranche("holdfast_bench", 1);
}

static void
map_control(void)
{
	const char *path = getenv(PG_CONTROL_ENV);
	int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);

	control = fd < 0 ? MAP_FAILED
					 : mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		elog(FATAL, "could not map the file that %s names", PG_CONTROL_ENV);
	(void) close(fd);
}

/* ---- jobs ---- */

static void
take_and_release(LWLockMode mode)
{
	LWLockAcquire(lock, mode);
	if (mode == LW_EXCLUSIVE)
		control->guarded++;
	LWLockRelease(lock);
}

static void
measure_pairs(LWLockMode mode)
{
	uint64 start = read_clock(CLOCK_PROCESS_CPUTIME_ID);

	for (uint64 i = 0; i < control->pairs; i++)
	{
		LWLockAcquire(lock, mode);
		LWLockRelease(lock);
	}
	control->pairs_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID) - start;
}

static void
contend(uint32 index, uint32 reads_per_write)
{
	LWLockMode mode = control->shared ? LW_SHARED : LW_EXCLUSIVE;
	uint64 done = 0;

	(void) __atomic_add_fetch(&control->ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&control->go, __ATOMIC_ACQUIRE))
		;
	while (!__atomic_load_n(&control->stop, __ATOMIC_RELAXED))
	{
		if (reads_per_write != 0)
			mode = done % (reads_per_write + 1) == 0 ? LW_EXCLUSIVE : LW_SHARED;
		take_and_release(mode);
		done++;
	}
	control->count[index] = done;
}

static void
hold(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	__atomic_store_n(&control->holder_pid, MyProcPid, __ATOMIC_SEQ_CST);
	while (PostmasterIsAlive())
		pg_usleep(10000);
}

static void
do_job(uint32 index)
{
	LWLockMode mode = control->shared ? LW_SHARED : LW_EXCLUSIVE;

	switch ((PgJobKind) control->job)
	{
		case PG_JOB_PAIRS:
			if (index != 0)
				return;
			measure_pairs(mode);
			break;
		case PG_JOB_CONTEND:
		case PG_JOB_MIX:
			if (index >= control->processes)
				return;
			contend(index, control->job == PG_JOB_MIX ? control->reads : 0);
			break;
		case PG_JOB_HOLD:
			if (index == 1)
				hold();
			return;
		case PG_JOB_NONE:
			return;
	}
	(void) __atomic_add_fetch(&control->done, 1, __ATOMIC_SEQ_CST);
}

void
holdfast_bench_worker(Datum index)
{
	struct timespec second = {.tv_sec = 1};
	uint64 none = 0;
	uint32 seen;

	BackgroundWorkerUnblockSignals();
	map_control();
	lock = &GetNamedLWLockTranche("holdfast_bench")->lock;
	seen = __atomic_load_n(&control->serial, __ATOMIC_SEQ_CST);
	take_and_release(LW_SHARED);
	(void) __atomic_compare_exchange_n(&control->started_ns, &none, read_clock(CLOCK_MONOTONIC),
									   false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	(void) __atomic_add_fetch(&control->alive, 1, __ATOMIC_SEQ_CST);
	while (PostmasterIsAlive())
	{
		uint32 serial = __atomic_load_n(&control->serial, __ATOMIC_SEQ_CST);

		CHECK_FOR_INTERRUPTS();
		if (serial == seen)
			(void) syscall(SYS_futex, &control->serial, FUTEX_WAIT, seen, &second, NULL, 0);
		else
		{
			seen = serial;
			do_job(DatumGetUInt32(index));
		}
	}
	proc_exit(1);
}

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_lock;
	for (uint32 i = 0; i < PG_CONTROL_WORKERS; i++)
	{
		BackgroundWorker worker = {
			.bgw_flags = BGWORKER_SHMEM_ACCESS,
			.bgw_start_time = BgWorkerStart_PostmasterStart,
			.bgw_restart_time = 1,
			.bgw_main_arg = UInt32GetDatum(i),
		};

		snprintf(worker.bgw_name, BGW_MAXLEN, "holdfast bench %u", i);
		snprintf(worker.bgw_type, BGW_MAXLEN, "holdfast bench");
		snprintf(worker.bgw_library_name, BGW_MAXLEN, "holdfast_bench_pg");
		snprintf(worker.bgw_function_name, BGW_MAXLEN, "holdfast_bench_worker");
		RegisterBackgroundWorker(&worker);
	}
}
