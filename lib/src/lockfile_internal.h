/*
 * lockfile_internal.h
 *		What the segment layer asks of the lockfile.
 */
#ifndef HOLDFAST_LOCKFILE_INTERNAL_H
#define HOLDFAST_LOCKFILE_INTERNAL_H

#include <holdfast/lockfile.h>

/* This process owns the lockfile of its data directory. */
bool holdfast_lockfile_is_mine(void);

/* The stale lockfile that CreateDataDirLockFile() replaced had announced `key` before its shmget. */
bool holdfast_lockfile_was_intended(IpcMemoryKey key);

/* A joiner belongs to this incarnation. */
void holdfast_lockfile_adopt_cookie(HoldfastCookie cookie);

static inline bool
cookies_equal(const HoldfastCookie *a, const HoldfastCookie *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

#endif
