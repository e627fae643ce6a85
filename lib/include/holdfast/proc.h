/*
 * proc.h
 *		Slots: how a process or thread is known in shared memory.
 *
 * A slot is claimed by InitProcess() and given back by ProcKill(), which InitProcess registers to run at
 * process exit (or, in a thread, at thread exit).  It carries who its owner is (PID and that PID's start
 * time, so that a reused PID is not mistaken for it), a journal entry for every lock it holds, wants or is
 * letting go, and the futex word it sleeps on.  Only the owner writes its live slot; a dead one is written
 * by whoever recovers it, and can be claimed again only after that.
 *
 * Thread safety: each thread has its own slot; MyProc is thread-local.  A child of fork() has none: it calls
 * InitProcess() itself (on_exit_reset() forgets the parent's).
 */
#ifndef HOLDFAST_PROC_H
#define HOLDFAST_PROC_H

#include <sys/types.h>

#include <holdfast/holdfast.h>

#ifdef __cplusplus
extern "C"
{
#endif

typedef struct PGPROC PGPROC;

#ifndef __cplusplus
/* The caller's slot; NULL before InitProcess() and after ProcKill(). */
HOLDFAST_API extern _Thread_local PGPROC *MyProc __attribute__((tls_model("initial-exec")));
#endif

#define HOLDFAST_ROLE_SIZE 16

/*
 * Claims a slot; role is a short name for inspectors ("worker", "supervisor").
 * Errors: HOLDFAST_LIMIT (all slots taken), HOLDFAST_MISUSE (no segment, already has one, role too long),
 * HOLDFAST_SYSTEM_ERROR (/proc unreadable), HOLDFAST_NO_MEMORY.
 * Death inside: the slot is CLAIMED by a dead owner, and freed by the next recovery sweep.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus InitProcess(const char *role);

/* Releases every lock and gives the slot back.  Callback signature; calling it without a slot is harmless. */
HOLDFAST_API void ProcKill(int code, Datum arg);

/* The caller's slot number, 0-based; -1 without a slot. */
HOLDFAST_API int holdfast_my_slot(void);

/* Slot number of a process by PID (first one, when it has several threads); -1 when it has none. */
HOLDFAST_API int holdfast_slot_of_pid(pid_t pid);

#ifdef __cplusplus
}
#endif
#endif
