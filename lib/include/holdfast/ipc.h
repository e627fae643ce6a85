/*
 * ipc.h
 *		Callbacks that run when a process lets go of shared memory, and when it ends.
 *
 * PostgreSQL's three lists, each run last-in first-out:
 *		before_shmem_exit	needs locks and shared memory in working order
 *		on_shmem_exit		takes shared memory down: detach, delete
 *		on_proc_exit		what must outlive shared memory: the lockfile
 * An entry is taken off its list before it is called, so that a callback that fails or itself calls
 * proc_exit() is not called twice: the next one goes on.
 *
 * Differences from PostgreSQL: lists grow instead of FATAL at the 21st entry; every entry remembers the
 * process that registered it, so that a child that was forked and never called on_exit_reset() runs none
 * of its parent's callbacks, by whatever way it ends (atexit included).
 *
 * The lists are private memory, one set per process.  Registering is for the main thread; neither thread
 * safe nor async-signal-safe, except that proc_exit() may be called from wherever exit() may.
 */
#ifndef HOLDFAST_IPC_H
#define HOLDFAST_IPC_H

#include <holdfast/holdfast.h>

#ifdef __cplusplus
extern "C"
{
#endif

typedef void (*pg_on_exit_callback)(int code, Datum arg);

/* Errors: HOLDFAST_NO_MEMORY; HOLDFAST_MISUSE (function is NULL). */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus on_proc_exit(pg_on_exit_callback function,
															 Datum arg);
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus before_shmem_exit(pg_on_exit_callback function,
																  Datum arg);
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus on_shmem_exit(pg_on_exit_callback function,
															  Datum arg);

/* Only the newest before_shmem_exit entry can be cancelled; any other: HOLDFAST_MISUSE. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus cancel_before_shmem_exit(
	pg_on_exit_callback function, Datum arg);

/* A child calls this right after fork(): forgets every callback of its parent. */
HOLDFAST_API void on_exit_reset(void);

/* LWLockReleaseAll, then before_shmem and on_shmem lists.  on_proc_exit entries are kept. */
HOLDFAST_API void shmem_exit(int code);

/* shmem_exit(), the on_proc_exit list, exit(code). */
HOLDFAST_API __attribute__((noreturn)) void proc_exit(int code);

/* True while proc_exit() runs callbacks. */
HOLDFAST_API extern bool proc_exit_inprogress;
HOLDFAST_API extern bool shmem_exit_inprogress;

/* HOLDFAST_MISUSE when an on_shmem or before_shmem entry of this process is left. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus check_on_shmem_exit_lists_are_empty(void);

#ifdef __cplusplus
}
#endif
#endif
