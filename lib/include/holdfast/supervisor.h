/*
 * supervisor.h
 *		A parent that keeps workers alive, and the shared memory usable, whoever dies.
 *
 *		HoldfastSupervisorConfig config = {.workers = 8, .worker = serve_clients, .create = make_segment};
 *		HoldfastSupervisor *supervisor;
 *
 *		if (holdfast_supervisor_open(&config, &supervisor) < 0 ||
 *			holdfast_supervisor_run(supervisor, HOLDFAST_RUN_TAKE_SIGNALS) < 0)
 *			...									// holdfast_last_error()
 *		holdfast_supervisor_close(supervisor);
 *
 * It is PostgreSQL's postmaster without its clients.  A worker that ends with exit code 0 or 1, by proc_exit(), has tidied
 * up and is replaced.  Any other end is a crash, and then:
 *		repair	holdfast_recover_pid(), then a new worker; the others never stop.  If that needs a reset, or cannot be done
 *				within recover_ms because a worker is stopped inside a lock, it becomes one
 *		reset	SIGQUIT to all, SIGKILL quit_ms later, shmem_exit(), config.create(), new workers
 * A worker that dies young is replaced only after a while, doubled each time; resets in a row make all wait so.
 *
 * How it fits a program: everything that happens makes one descriptor readable, holdfast_supervisor_fd(), for whatever
 * poll() loop there is; holdfast_supervisor_step() then does what is due.  It installs no signal handler, changes no signal
 * mask, and waits for no child that it did not start, unless it is asked to: HOLDFAST_RUN_TAKE_SIGNALS, subreaper.
 *
 * The lockfile is watched: when it is removed, or somebody else's, all workers are ended at once, as PostgreSQL
 * does.  So is the segment: when somebody removes it (ipcrm), the cluster is reset.  While workers live the supervisor itself
 * takes no lock, so that nothing a worker does, or leaves undone, can stop it.
 *
 * Owner: the process that opened it; the struct is private memory.  One supervisor per process.
 * Thread safety: one thread opens, steps and closes it, and must live as long as the workers do (the kernel takes the death of
 * the thread that forked for that of the parent).  Signal safety: none.
 * Crash safety: a supervisor that dies anywhere leaves workers that get death_signal from the kernel, and lockfile and segment,
 * which the next start judges.  A stopped worker stays, and keeps the next start from beginning.
 */
#ifndef HOLDFAST_SUPERVISOR_H
#define HOLDFAST_SUPERVISOR_H

#include <sys/types.h>

#include <holdfast/holdfast.h>
#include <holdfast/recovery.h>

#ifdef __cplusplus
extern "C"
{
#endif

typedef struct HoldfastSupervisor HoldfastSupervisor;

/* What a worker is told. */
typedef struct HoldfastWorker
{
	uint32_t index;		   /* its place, 0..workers-1; the one that replaces it has the same */
	uint64_t incarnation;  /* 1 for the first worker that was ever started, and so on */
	pid_t supervisor;	   /* when getppid() says otherwise, the supervisor is dead */
} HoldfastWorker;

/* What came of a worker.  `crashed` workers were recovered, or a reset is on its way. */
typedef struct HoldfastWorkerEnd
{
	uint32_t index;
	pid_t pid;
	int wait_status; /* as waitpid() gives it; -1: somebody else reaped it */
	bool crashed;
	HoldfastStatus recovered; /* of holdfast_recover_pid(); HOLDFAST_OK when there was nothing to recover */
	HoldfastRecovery recovery;
} HoldfastWorkerEnd;

typedef enum HoldfastOnCrash
{
	HOLDFAST_ON_CRASH_REPAIR,
	HOLDFAST_ON_CRASH_RESET,
} HoldfastOnCrash;

/* Zero in any number means the default that stands beside it. */
typedef struct HoldfastSupervisorConfig
{
	uint32_t workers; /* 1..HOLDFAST_WORKERS_MAX; no default */

	/*
	 * Runs in the child of fork(), after on_exit_reset(); what it returns goes to proc_exit().  It calls InitProcess()
	 * itself.  The supervisor's descriptors are closed, all others open.  SIGTERM asks it to end in order, SIGQUIT
	 * (death_signal too) to _exit(2) at once with nothing tidied up; both have their default action when it begins,
	 * as have SIGINT, SIGHUP, SIGCHLD and SIGPIPE.  No signal is blocked, or, with signals_blocked, every one: then it
	 * installs its handlers first and unblocks them after.
	 */
	int (*worker)(const HoldfastWorker *self, void *arg);

	/*
	 * After a reset, in the supervisor, once all workers are gone and shmem_exit() has removed the segment: makes a new one,
	 * publishes it, and calls InitProcess().  NULL: a reset ends in an immediate shutdown instead.
	 */
	HoldfastStatus (*create)(void *arg);

	/* In the supervisor, after each worker's end and what it led to; must not block.  May be NULL. */
	void (*ended)(const HoldfastWorkerEnd *end, void *arg);
	void *arg; /* for all three */

	HoldfastOnCrash on_crash;
	uint32_t recover_ms;	   /* 1000: one step() may block for that long */
	uint32_t quit_ms;		   /* 5000: from asking workers to end to SIGKILL */
	uint32_t recheck_ms;	   /* 1000: between two looks at lockfile and segment, besides the watch on the former */
	uint32_t backoff_ms_min;   /* 10 */
	uint32_t backoff_ms_max;   /* 1000 */
	uint32_t quick_death_ms;   /* 100: who lives shorter died young */
	uint32_t quick_deaths_max; /* in a row at one place: then it gives up and stops in order.  0: never */
	int death_signal;		   /* SIGQUIT: to the workers of a dead supervisor */
	bool signals_blocked;

	/*
	 * Says that this process has no children but the supervisor's, and makes it the reaper of what its workers leave: grandchildren
	 * whose worker died are killed and reaped, also those that made a session of their own.  None is left at the end.
	 */
	bool subreaper;
} HoldfastSupervisorConfig;

#define HOLDFAST_WORKERS_MAX 4096

typedef enum HoldfastSupervisorPhase
{
	HOLDFAST_SUPERVISOR_RUNNING,
	HOLDFAST_SUPERVISOR_STOPPING,  /* SIGTERM was sent to all; crashes are still recovered */
	HOLDFAST_SUPERVISOR_RESETTING, /* SIGQUIT was sent to all; a new segment follows */
	HOLDFAST_SUPERVISOR_QUITTING,  /* SIGQUIT was sent to all; nothing follows */
	HOLDFAST_SUPERVISOR_DONE,	   /* no worker is left, none will be started */
} HoldfastSupervisorPhase;

typedef struct HoldfastSupervisorState
{
	HoldfastSupervisorPhase phase;
	uint32_t alive; /* workers not reaped */
	uint64_t spawned, crashes, recoveries, resets;
	uint64_t orphans;		/* grandchildren that were reaped (subreaper) */
	bool state_lost;		/* ended at once: what is in the segment is whatever it is */
	HoldfastStatus failure; /* why it gave up: of create(), or HOLDFAST_LIMIT for quick_deaths_max; else OK */
} HoldfastSupervisorState;

/*
 * Prepares; no worker is started before the first step.  The caller has its lockfile, its published segment and its own slot.
 * Errors: HOLDFAST_MISUSE (config), HOLDFAST_SYSTEM_ERROR (descriptors, no subreaper here), HOLDFAST_NO_MEMORY; nothing is
 * left then.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_supervisor_open(
	const HoldfastSupervisorConfig *config, HoldfastSupervisor **supervisor);

/* Polls readable (POLLIN) whenever a step is due.  Not to be read; readable again and again until a step is made. */
HOLDFAST_API int holdfast_supervisor_fd(const HoldfastSupervisor *supervisor);

/*
 * Reaps, recovers, restarts: whatever is due now.  The first starts the workers.  Blocks only for a recovery, recover_ms at
 * most.  Errors: HOLDFAST_MISUSE (called in a child).  A fork() that fails is reported as LOG, and tried again.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_supervisor_step(HoldfastSupervisor *supervisor);

typedef enum HoldfastStopMode
{
	HOLDFAST_STOP_FAST,		 /* in order: SIGTERM, and what dies on the way is recovered */
	HOLDFAST_STOP_IMMEDIATE, /* SIGQUIT; the state is lost */
} HoldfastStopMode;

/* Begins to stop; steps do the rest.  A fast stop in the middle of a reset is an immediate one.  Twice is once. */
HOLDFAST_API void holdfast_supervisor_stop(HoldfastSupervisor *supervisor, HoldfastStopMode mode);

/* Begins a reset, as a crash would; `why` goes to the log. */
HOLDFAST_API void holdfast_supervisor_reset(HoldfastSupervisor *supervisor, const char *why);

HOLDFAST_API void holdfast_supervisor_state(const HoldfastSupervisor *supervisor,
											HoldfastSupervisorState *out);

typedef enum HoldfastRunFlags
{
	/* SIGTERM and SIGINT stop in order, SIGQUIT at once; blocked in this thread meanwhile, as before at the end. */
	HOLDFAST_RUN_TAKE_SIGNALS = 1 << 0,
} HoldfastRunFlags;

/*
 * Steps until it is done.  HOLDFAST_OK: it was stopped, in whatever way (holdfast_supervisor_state()).  Errors: those of
 * step(), HOLDFAST_SYSTEM_ERROR (poll), and state.failure.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_supervisor_run(HoldfastSupervisor *supervisor,
																		unsigned flags);

/* Workers that are left are sent SIGKILL and reaped, and not recovered.  In a child: closes its descriptors only. */
HOLDFAST_API void holdfast_supervisor_close(HoldfastSupervisor *supervisor);

#ifdef __cplusplus
}
#endif
#endif
