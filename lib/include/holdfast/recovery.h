/*
 * recovery.h
 *		Returning to service the locks and slots of the dead.
 *
 * Any process with a slot may recover: the supervisor when it reaps a child, a waiter when its wait grows
 * long.  Concurrent recoverers agree (one works, the others wait for it or take over from a dead one);
 * each step is idempotent, so that the recoverer may itself die anywhere.
 *
 * Death is learnt from the kernel only: a pidfd that polls readable, a PID that is gone, or one whose start
 * time differs from the slot's.  Never from kill(pid, 0), which a zombie answers, and never from time.
 */
#ifndef HOLDFAST_RECOVERY_H
#define HOLDFAST_RECOVERY_H

#include <sys/types.h>

#include <holdfast/holdfast.h>

#ifdef __cplusplus
extern "C"
{
#endif

typedef struct HoldfastRecovery
{
	uint32_t dead_slots;	  /* slots found dead and freed */
	uint32_t locks_recovered; /* locks whose state was recomputed */
	uint32_t locks_poisoned;  /* of those, left for the next holder to judge */
	uint32_t locks_repaired;  /* of those, mended by the tranche's callback */
	int stopped_slot;		  /* the live slot that stood in a window when we gave up; else -1 */
	pid_t stopped_pid;		  /* its process; 0 with stopped_slot -1 */
} HoldfastRecovery;

/*
 * Looks at every slot and recovers the dead ones.  *out may be NULL.
 * HOLDFAST_OK also when nobody was dead.  HOLDFAST_TIMED_OUT: a live but stopped process stood inside a window
 * longer than the deadline (out->stopped_slot and stopped_pid); nothing is lost, call again, kill it and call
 * again, or reset.  HOLDFAST_RESET_NEEDED: a lock of a RESET tranche was held exclusively by the dead, or the
 * stopped one has stood there for holdfast_set_stopped_limit(); every wait in the cluster then ends so.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_recover(uint64_t deadline_us,
																 HoldfastRecovery *out);

/*
 * The same for the slots of one process, of which the caller knows that it has ended (waitpid, or POLLIN on its
 * pidfd).  One that runs under that number now, and has a slot, is not taken for it.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_recover_pid(pid_t pid, uint64_t deadline_us,
																	 HoldfastRecovery *out);

/*
 * How long recovery of the dead bears one live process that stands still inside a lock function, from the first
 * call that gave up because of it, before the cluster is to be reset.  For all processes of the segment;
 * UINT64_MAX: for ever.  Nobody is ever taken for dead by time.  Errors: HOLDFAST_MISUSE (0, or no segment).
 */
#define HOLDFAST_STOPPED_LIMIT_US 5000000 /* unless set: as long as PostgreSQL waits before it kills */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_set_stopped_limit(uint64_t limit_us);

/* True when process `pid`, whose start time was `start_time` (0: not known), no longer runs; zombies are dead. */
HOLDFAST_API bool holdfast_process_is_dead(pid_t pid, uint64_t start_time);

/* Start time of a process, clock ticks since boot; 0 when there is no such process. */
HOLDFAST_API uint64_t holdfast_process_start_time(pid_t pid);

#ifdef __cplusplus
}
#endif
#endif
