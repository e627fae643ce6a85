/*
 * real.h
 *		In holdfast_preload.so: the functions that ours stand in front of.
 */
#ifndef HOLDFAST_INJECT_REAL_H
#define HOLDFAST_INJECT_REAL_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/shm.h>
#include <unistd.h>

/* Every interposed call, for declaring, defining and resolving them alike. */
#define REAL_CALLS(do_)                                                                            \
	do_(shmget) do_(shmat) do_(shmdt) do_(shmctl) do_(open) do_(openat) do_(read) do_(pread)       \
		do_(write) do_(pwrite) do_(fsync) do_(fdatasync) do_(close) do_(rename) do_(renameat)      \
			do_(link) do_(linkat) do_(unlink) do_(unlinkat) do_(fork)

#define REAL_DECLARE(name_) extern __typeof__(name_) *real_##name_;
REAL_CALLS(REAL_DECLARE)

/* Find the next definitions in the search order; until then the system calls themselves serve. */
void real_resolve(void);

#endif
