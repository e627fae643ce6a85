/*
 * holdfast.h
 *		What every part of the library shares: statuses, errors, reporters, the data directory.
 *
 * Promise: no public function ends or longjmps the caller's process (proc_exit() does what its name says
 * and is called only by the caller, or by the PostgreSQL-style reporter if the caller installed it).
 * Every function that can fail says so in its return value, which must be looked at.
 *
 * Thread safety: the last error is per thread.  The reporter and the data directory are per process and
 * are set before threads start.  Signal safety: none of these functions, except holdfast_status_name().
 */
#ifndef HOLDFAST_HOLDFAST_H
#define HOLDFAST_HOLDFAST_H

#ifdef PG_VERSION_NUM
#error "include <holdfast/...> before, and never together with, PostgreSQL's own headers"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/pg_names.h>

#ifdef __cplusplus
extern "C"
{
#endif

#define HOLDFAST_VERSION "0.1.0"

#define HOLDFAST_API        __attribute__((visibility("default")))
#define HOLDFAST_MUST_CHECK __attribute__((warn_unused_result))
#define HOLDFAST_PRINTF(fmt_, args_) __attribute__((format(printf, fmt_, args_)))

/* PostgreSQL's names for the same things. */
typedef size_t Size;
typedef uintptr_t Datum;

/*
 * Zero is plain success; positive values are success with something to know; negative values are
 * failures, and holdfast_last_error() then says more.  `status < 0` is the test for failure.
 */
typedef enum HoldfastStatus
{
	HOLDFAST_OK = 0,
	HOLDFAST_WAITED = 1,	 /* LWLockAcquire: acquired, but we slept first */
	HOLDFAST_BUSY = 2,		 /* conditional acquire: not acquired; AcquireOrWait: it came free, not ours */
	HOLDFAST_CHANGED = 3,	 /* LWLockWaitForVar: still held, but the variable has a new value */
	HOLDFAST_OWNER_DEAD = 4, /* acquired; the last exclusive holder died inside: look at the data first */

	HOLDFAST_SYSTEM_ERROR = -1,	   /* a system call failed: HoldfastError.saved_errno */
	HOLDFAST_MISUSE = -2,		   /* the caller broke the contract; nothing was done */
	HOLDFAST_IN_USE = -3,		   /* a live incarnation owns the data directory or its segment */
	HOLDFAST_COLLISION = -4,	   /* a segment with that key exists already */
	HOLDFAST_DAMAGED = -5,		   /* bytes from disk or shared memory are not ours or not whole */
	HOLDFAST_LIMIT = -6,		   /* a fixed table is full: locks held, slots, index, segment space */
	HOLDFAST_NO_MEMORY = -7,	   /* malloc failed */
	HOLDFAST_NOT_FOUND = -8,	   /* no such segment, lockfile, name */
	HOLDFAST_TIMED_OUT = -9,	   /* LWLockAcquireTimed, or a recovery deadline */
	HOLDFAST_DEADLOCK = -10,	   /* the caller holds that lock already */
	HOLDFAST_NOT_RECOVERABLE = -11, /* poisoned lock released without LWLockMarkConsistent() */
	HOLDFAST_RESET_NEEDED = -12,   /* recovery gave up: the supervisor must restart the cluster */
} HoldfastStatus;

/* "HOLDFAST_IN_USE" and so on; never NULL. */
HOLDFAST_API const char *holdfast_status_name(HoldfastStatus status);

/* PostgreSQL's elevels, as far as they mean something to a library. */
typedef enum HoldfastLevel
{
	HOLDFAST_DEBUG,
	HOLDFAST_LOG,	  /* for the operator's log; the operation goes on */
	HOLDFAST_WARNING, /* likewise, and somebody should look */
	HOLDFAST_ERROR,	  /* the operation failed */
	HOLDFAST_FATAL,	  /* the operation failed and PostgreSQL would end this process */
} HoldfastLevel;

typedef struct HoldfastError
{
	HoldfastLevel level;
	HoldfastStatus status;
	int saved_errno; /* 0 when no system call is to blame */
	char message[512];
	char detail[512]; /* "" when there is none */
	char hint[512];	  /* "" when there is none */
	const char *file; /* static strings */
	int line;
	const char *function;
} HoldfastError;

/* The calling thread's latest failure; never NULL; level HOLDFAST_DEBUG when there was none. */
HOLDFAST_API const HoldfastError *holdfast_last_error(void);

/*
 * Called for every report, LOG lines included, after holdfast_last_error() has been set (by levels ERROR
 * and FATAL).  NULL means silence, which is the default.
 */
typedef void (*HoldfastReporter)(const HoldfastError *error, void *arg);
HOLDFAST_API void holdfast_set_reporter(HoldfastReporter reporter, void *arg);

/* Prints as PostgreSQL does, to stderr: "FATAL:  message", then DETAIL and HINT.  `arg` is ignored. */
HOLDFAST_API void holdfast_report_to_stderr(const HoldfastError *error, void *arg);

/* As above; a FATAL then runs proc_exit(1), as PostgreSQL's would.  `arg` is ignored. */
HOLDFAST_API void holdfast_report_as_postgres(const HoldfastError *error, void *arg);

/*
 * The data directory of this process: resolved to an absolute path and remembered.  Everything that
 * identifies an incarnation hangs on it (lockfile, device and inode in the segment header).
 * Errors: HOLDFAST_SYSTEM_ERROR (ENOENT, ENOTDIR, EACCES ...).
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_set_data_directory(const char *path);
HOLDFAST_API const char *holdfast_data_directory(void); /* "" before the call above */

#ifdef __cplusplus
}
#endif
#endif
