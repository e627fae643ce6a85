/*
 * consumer.c
 *		A stranger's program, built against an installed Holdfast: takes a lock and tidies up.
 *
 * It defines a function of PostgreSQL's name itself: the library's must not be mistaken for it.
 */
#include <stdio.h>
#include <stdlib.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/lwlock.h>
#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#undef on_exit_reset
void on_exit_reset(void);

void
on_exit_reset(void)
{
	puts("consumer: the library called my function");
	abort();
}

static int
fail(const char *what)
{
	(void) fprintf(stderr, "consumer: %s: %s\n", what, holdfast_last_error()->message);
	return 1;
}

int
main(int argc, char **argv)
{
	HoldfastShmemConfig config = {.max_procs = 4, .user_size = 4096};
	LWLockPadded *locks;

	if (argc != 2)
		return 2;
	if (holdfast_set_data_directory(argv[1]) < 0 || CreateDataDirLockFile(true) < 0)
		return fail("data directory");
	if (RequestNamedLWLockTranche("consumer", 1) < 0)
		return fail("tranche");
	if (holdfast_shmem_create(&config) < 0 || holdfast_shmem_publish() < 0)
		return fail("segment");
	if (InitProcess("consumer") < 0)
		return fail("slot");
	locks = GetNamedLWLockTranche("consumer");
	if (locks == NULL || LWLockAcquire(&locks[0].lock, LW_EXCLUSIVE) < 0)
		return fail("acquire");
	if (LWLockRelease(&locks[0].lock) < 0)
		return fail("release");
	puts("consumer: held and released");
	proc_exit(0);
}
