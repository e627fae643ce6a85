/*
 * directory.h
 *		A data directory of one test that makes no cluster of the fixture's: made, looked into, removed.
 *
 * Owner: the test, which is a process of its own.  It removes the directory in its body: an assertion in a .fini is not
 * counted as a failure.
 */
#ifndef HOLDFAST_TESTS_DIRECTORY_H
#define HOLDFAST_TESTS_DIRECTORY_H

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/shm.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

static char dir[64];

/* Where we may, in an IPC namespace of its own: a test that is killed then leaves no segment in anybody's way. */
static inline void
make_directory(void)
{
	(void) unshare(CLONE_NEWIPC);
	(void) snprintf(dir, sizeof(dir), "/tmp/holdfast-test-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	cr_assert(holdfast_set_data_directory(dir) == HOLDFAST_OK);
}

/* Two at a time. */
static inline char *
path_of(const char *name)
{
	static char path[2][128];
	static int turn;

	turn = !turn;
	(void) snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

/* In this IPC namespace. */
static inline int
count_segments(void)
{
	struct shm_info info;

	cr_assert(shmctl(0, SHM_INFO, (struct shmid_ds *) (void *) &info) >= 0);
	return info.used_ids;
}

/* Nothing is in it but the guard file. */
static inline void
remove_directory(void)
{
	(void) unlink(path_of(HOLDFAST_LOCKFILE_GUARD));
	cr_assert(rmdir(dir) == 0, "something is left in %s", dir);
}

#endif
