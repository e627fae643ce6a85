/*
 * lockfile_internal.h
 *		What the segment layer asks of the lockfile.
 */
#ifndef HOLDFAST_LOCKFILE_INTERNAL_H
#define HOLDFAST_LOCKFILE_INTERNAL_H

#include <holdfast/lockfile.h>

/* This process owns the lockfile of its data directory. */
bool holdfast_lockfile_is_mine(void);

/*
 * The keys that earlier starts had announced before their shmget, as the guard file and the lockfile which
 * CreateDataDirLockFile() replaced tell; returns how many.  Only such as were announced in this boot and IPC namespace.
 */
int holdfast_lockfile_predecessor_intents(IpcMemoryKey keys[2]);

/* The segment has its header, or was not made after all: takes back what the guard file says. */
void holdfast_lockfile_forget_intent(void);

/* The start is refused after all: the lockfile that we replaced comes back when ours goes. */
void holdfast_lockfile_keep_evidence(void);

/* "pre-existing shared memory block (key %lu, ID %lu) is still in use". */
HoldfastStatus holdfast_refuse_segment(unsigned long key, unsigned long id);

/*
 * A joiner belongs to this incarnation, and holds its guard until it leaves.  HOLDFAST_NOT_FOUND: a new one is starting.
 * Harmless in a child of the server, which holds the guard already.
 */
HoldfastStatus holdfast_lockfile_join(const HoldfastLockfile *file);
void holdfast_lockfile_leave(void);

static inline bool
cookies_equal(const HoldfastCookie *a, const HoldfastCookie *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

#endif
