/*
 * identity.h
 *		Which process it was, and whether it still lives.
 */
#ifndef HOLDFAST_INJECT_IDENTITY_H
#define HOLDFAST_INJECT_IDENTITY_H

#include <sys/types.h>

#include "table.h"

/* Of the calling process; system calls, nothing cached.  Async-signal-safe. */
TableIdentity identity_read_self(void);

/* Of another process that /proc shows us; the caller knows that it lives. */
TableIdentity identity_read(pid_t pid);

/*
 * False only when the process is known to have ended (a zombie has).  One of another PID namespace cannot
 * be judged and counts as alive.  Async-signal-safe.
 */
bool identity_alive(TableIdentity identity);

static inline pid_t
identity_pid(TableIdentity identity)
{
	return (pid_t) (identity >> 42);
}

#endif
