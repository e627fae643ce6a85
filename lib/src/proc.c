/*
 * proc.c
 *		Claims a slot for the calling process or thread, and gives it back.
 *
 * Claim:	1 FREE -> CLAIMED with our PID in the same word   a death leaves CLAIMED by a dead PID: recovery frees it
 *			2 write start time, thread, role                  the same
 *			3 CLAIMED -> LIVE                                 from here on the start time tells a reused PID
 * Leave:	1 release all locks                               as a death while holding the rest
 *			2 LIVE -> FREE; with a journal that is not empty (an exit from inside a lock function): LIVE -> DEAD,
 *			  and recovery does the rest
 *
 * Owner: a slot belongs to the thread whose MyProc points at it.  Thread safe; not async-signal-safe.
 */
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/proc.h>
#include <holdfast/recovery.h>

#include "inject_point.h"
#include "lwlock_checks.h"
#include "lwlock_internal.h"
#include "lwlock_queue.h"
#include "report.h"

_Thread_local PGPROC *MyProc __attribute__((tls_model("initial-exec"))) = NULL;

/* Whose slot MyProc is: a child of fork() inherits the pointer, not the slot. */
static _Thread_local pid_t my_proc_pid;

static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_exit_key;

static void
leave_at_thread_exit(void *unused)
{
	(void) unused;
	ProcKill(0, 0);
}

static void
forget_slot(void)
{
	MyProc = NULL;
	my_proc_pid = 0;
	memset(&holdfast_lwlock_local, 0, sizeof(holdfast_lwlock_local));
}

/*
 * A forked child must not release its parent's locks, nor take others in its name.  fork() tells us; a child made by
 * clone() itself is caught by my_proc_pid in InitProcess() and ProcKill().
 */
static void
install_hooks(void)
{
	(void) pthread_key_create(&thread_exit_key, leave_at_thread_exit);
	(void) pthread_atfork(NULL, NULL, forget_slot);
}

static PGPROC *
claim_slot(pid_t pid)
{
	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
	{
		PGPROC *proc = &holdfast_shmem.procs[slot];
		uint64_t life = __atomic_load_n(&proc->life, __ATOMIC_RELAXED);
		uint64_t claimed = PROC_WORD(PROC_GENERATION(life) + 1, pid, PROC_CLAIMED);

		/* Acquire pairs [PR2] with the release that freed it: the last life's writes are behind us. */
		if (PROC_STATE(life) == PROC_FREE &&
			__atomic_compare_exchange_n(&proc->life, &life, claimed, false, __ATOMIC_ACQUIRE,
										__ATOMIC_RELAXED))
			return proc;
	}
	return NULL;
}

static void
enter_slot(PGPROC *proc, pid_t pid, uint64_t start_time, const char *role)
{
	uint64_t life = __atomic_load_n(&proc->life, __ATOMIC_RELAXED);

	INJECT_POINT("proc/init/claimed", INJECT_ANYWHERE,
				 "CLAIMED by a dead PID, no lock touched: recovery frees the slot");
	__atomic_store_n(&proc->start_time, start_time, __ATOMIC_RELAXED);
	proc->tid = (int32_t) syscall(SYS_gettid);
	memset(proc->role, 0, sizeof(proc->role));
	memcpy(proc->role, role, strlen(role));
	__atomic_store_n(&proc->wake, WAKE_NONE, __ATOMIC_RELAXED);
	/* A free slot has nothing to say.  What somebody scribbled there would from now on be said in our name. */
	__atomic_store_n(&proc->wait_lock, 0, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < JOURNAL_SIZE; i++)
		__atomic_store_n(&proc->entry[i], 0, __ATOMIC_RELAXED);
	/* Release pairs [PR1] with the acquire in recover.c: LIVE implies that the start time is there. */
	__atomic_store_n(&proc->life, PROC_WORD(PROC_GENERATION(life), pid, PROC_LIVE),
					 __ATOMIC_RELEASE);
	INJECT_POINT("proc/init/live", INJECT_ANYWHERE,
				 "LIVE with an empty journal: recovery frees the slot");
}

HoldfastStatus
InitProcess(const char *role)
{
	pid_t pid = getpid();
	uint64_t start_time;
	PGPROC *proc;
	HoldfastStatus status;

	if (holdfast_shmem.base == NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "cannot claim a process slot: not attached to a segment");
	if (MyProc != NULL && my_proc_pid == pid)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "this thread already has a process slot");
	if (role == NULL || strlen(role) >= HOLDFAST_ROLE_SIZE)
		return report(HOLDFAST_ERROR, HOLDFAST_MISUSE, 0, NULL, NULL,
					  "role must be shorter than %d bytes", HOLDFAST_ROLE_SIZE);
	start_time = holdfast_process_start_time(pid);
	if (start_time == 0)
		return report(HOLDFAST_ERROR, HOLDFAST_SYSTEM_ERROR, 0, NULL, "Is /proc mounted?",
					  "could not read the start time of process %d", (int) pid);

	proc = claim_slot(pid);
	if (proc == NULL)
		return report(HOLDFAST_FATAL, HOLDFAST_LIMIT, 0, NULL, "Raise max_procs.",
					  "sorry, too many clients already");
	forget_slot(); /* a fork's leftovers */
	enter_slot(proc, pid, start_time, role);

	MyProc = proc;
	my_proc_pid = pid;
	holdfast_lwlock_local.slot = (uint32_t) (proc - holdfast_shmem.procs);
	holdfast_lwlock_local.owner_bits = (uint64_t) (holdfast_lwlock_local.slot + 1)
									   << LW_XOWNER_SHIFT;

	holdfast_lwlock_local.journal = proc->entry;
	holdfast_lwlock_notice_checks();

	(void) pthread_once(&hooks_once, install_hooks);
	(void) pthread_setspecific(thread_exit_key, proc);
	if (syscall(SYS_gettid) != pid)
		return HOLDFAST_OK; /* a thread: the key's destructor gives the slot back */
	status = on_shmem_exit(ProcKill, 0);
	if (status < 0)
		ProcKill(0, 0);
	return status;
}

void
ProcKill(int code, Datum arg)
{
	PGPROC *proc = MyProc;
	uint64_t life;
	ProcSlotState next = PROC_FREE;

	(void) code;
	(void) arg;
	if (proc == NULL)
		return;
	if (my_proc_pid != getpid())
	{
		forget_slot(); /* a forked child: the slot is its parent's */
		return;
	}
	LWLockReleaseAll();
	(void) holdfast_queue_settle(holdfast_now_ns() + QUEUE_PATIENCE_NS);
	for (uint32_t i = 0; i < JOURNAL_SIZE; i++)
	{
		if (proc->entry[i] != 0)
			next = PROC_DEAD;
	}
	INJECT_POINT("proc/exit/released", INJECT_ANYWHERE,
				 "LIVE with an empty journal: recovery frees the slot");
	life = __atomic_load_n(&proc->life, __ATOMIC_RELAXED);
	forget_slot();
	if (next == PROC_FREE)
		__atomic_store_n(&proc->start_time, 0, __ATOMIC_RELAXED);
	/* Release pairs [PR2] with the next claim's acquire, or with recover.c's. */
	__atomic_store_n(&proc->life,
					 PROC_WORD(PROC_GENERATION(life), next == PROC_FREE ? 0 : PROC_PID(life), next),
					 __ATOMIC_RELEASE);
}

int
holdfast_my_slot(void)
{
	return MyProc == NULL ? -1 : (int) holdfast_lwlock_local.slot;
}

int
holdfast_slot_of_pid(pid_t pid)
{
	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
	{
		uint64_t life = __atomic_load_n(&holdfast_shmem.procs[slot].life, __ATOMIC_ACQUIRE);

		if (PROC_STATE(life) != PROC_FREE && PROC_PID(life) == pid)
			return (int) slot;
	}
	return -1;
}
