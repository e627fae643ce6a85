/*
 * test_sysv_shmem.c
 *		Segments: verdicts, collisions, recycling, joining, reaping.
 *
 * As root each test has an IPC namespace of its own, so that it can count segments; otherwise it counts only those that
 * carry its data directory.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/fixture.h"
#include "segment_internal.h"
#include "shmem_layout.h"

static char dir[64];

static void
own_namespace(void)
{
	(void) unshare(CLONE_NEWIPC);
}

TestSuite(sysv, .timeout = 60, .init = own_namespace);

static void
start_server(void)
{
	(void) snprintf(dir, sizeof(dir), "/tmp/holdfast-sysv-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	cr_assert(holdfast_set_data_directory(dir) == HOLDFAST_OK);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
}

static bool
count_own(const HoldfastOrphan *orphan, void *arg)
{
	struct stat info;

	if (stat(dir, &info) == 0 && orphan->inode == info.st_ino && orphan->device == info.st_dev)
		(*(int *) arg)++;
	return true;
}

static int
own_segments(void)
{
	int count = 0;

	cr_assert(holdfast_segments_visit(count_own, &count) == HOLDFAST_OK);
	return count;
}

static void
stop_server(void)
{
	char path[128];

	shmem_exit(0);
	UnlinkLockFiles(0, 0);
	cr_assert(own_segments() == 0);
	(void) snprintf(path, sizeof(path), "%s/%s", dir, HOLDFAST_LOCKFILE_GUARD);
	(void) unlink(path);
	cr_assert(rmdir(dir) == 0);
}

static PGShmemHeader *
create(Size size)
{
	PGShmemHeader *header;

	cr_assert(PGSharedMemoryCreate(size, &header) == HOLDFAST_OK, "%s",
			  holdfast_last_error()->message);
	return header;
}

static IpcMemoryState
verdict(int shmid)
{
	PGShmemHeader *header;
	IpcMemoryState state = PGSharedMemoryAttach(shmid, NULL, &header);

	if (header != NULL)
		shmdt(header);
	return state;
}

Test(sysv, a_segment_says_whose_it_is)
{
	PGShmemHeader *header;
	struct stat info;
	HoldfastLockfile file;

	start_server();
	header = create(100000);
	cr_assert(stat(dir, &info) == 0);
	cr_assert(header->magic == PGShmemMagic && header->creatorPID == getpid());
	cr_assert(header->totalsize == 100000 && header->state == HOLDFAST_SEGMENT_INIT);
	cr_assert(header->device == info.st_dev && header->inode == info.st_ino);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	cr_assert(file.has_segment && file.shmem_id == UsedShmemSegID && file.has_intent);
	cr_assert(memcmp(&file.cookie, &header->cookie, sizeof(file.cookie)) == 0);
	cr_assert(file.shmem_key != 0);
	cr_assert(verdict((int) UsedShmemSegID) == SHMSTATE_ATTACHED);
	cr_assert(PGSharedMemoryIsInUse(file.shmem_key, file.shmem_id));
	cr_assert(PGSharedMemoryCreate(100000, &header) == HOLDFAST_MISUSE);
	stop_server();
}

Test(sysv, nothing_without_a_lockfile)
{
	PGShmemHeader *header;
	void *address;
	int shmid;

	cr_assert(PGSharedMemoryCreate(1000, &header) == HOLDFAST_MISUSE);
	cr_assert(InternalIpcMemoryCreate(1, 1000, &address, &shmid) == HOLDFAST_MISUSE);
	cr_assert(holdfast_segment_join(&header) < 0);
	cr_assert(PGSharedMemoryDetach() == HOLDFAST_OK);
	start_server();
	cr_assert(InternalIpcMemoryCreate(1, 8, &address, &shmid) == HOLDFAST_MISUSE);
	stop_server();
}

Test(sysv, a_size_that_cannot_be_is_unrecoverable_and_leaves_nothing)
{
	PGShmemHeader *header;

	start_server();
	cr_assert(PGSharedMemoryCreate((Size) 1 << 62, &header) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(strstr(holdfast_last_error()->message, "could not create shared memory segment") !=
			  NULL);
	cr_assert(strstr(holdfast_last_error()->detail, "shmget(key=") != NULL);
	cr_assert(strlen(holdfast_last_error()->hint) > 0);
	cr_assert(header == NULL && UsedShmemSegAddr == NULL);
	cr_assert(check_on_shmem_exit_lists_are_empty() == HOLDFAST_OK);
	stop_server();
}

Test(sysv, a_taken_key_is_a_collision_and_said)
{
	void *address = &address;
	int shmid;
	int taken;

	start_server();
	taken = shmget(4711, 4096, IPC_CREAT | IPC_EXCL | 0600);
	cr_assert(taken >= 0);
	cr_assert(InternalIpcMemoryCreate(4711, 4096, &address, &shmid) == HOLDFAST_COLLISION);
	cr_assert(address == NULL);
	shmctl(taken, IPC_RMID, NULL);
	stop_server();
}

Test(sysv, the_verdicts)
{
	PGShmemHeader *header;
	int own, foreign, tiny;

	start_server();
	header = create(8192);
	own = (int) UsedShmemSegID;

	cr_assert(verdict(0x7ffffff) == SHMSTATE_ENOENT);
	foreign = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
	cr_assert(verdict(foreign) == SHMSTATE_FOREIGN);
	cr_assert(!PGSharedMemoryIsInUse(0, (unsigned long) foreign));
	tiny = shmget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	cr_assert(verdict(tiny) == SHMSTATE_FOREIGN);

	cr_assert(PGSharedMemoryDetach() == HOLDFAST_OK);
	cr_assert(verdict(own) == SHMSTATE_UNATTACHED);
	cr_assert(!PGSharedMemoryIsInUse(0, (unsigned long) own));

	/* PostgreSQL's three fields say whose it is; whatever else was scribbled over does not make it a stranger's. */
	header = shmat(own, NULL, 0);
	header->inode ^= 1;
	cr_assert(verdict(own) == SHMSTATE_FOREIGN);
	header->inode ^= 1;
	header->device ^= 1;
	cr_assert(verdict(own) == SHMSTATE_FOREIGN);
	header->device ^= 1;
	header->magic++;
	cr_assert(verdict(own) == SHMSTATE_FOREIGN);
	header->magic--;
	header->totalsize++;
	header->crc ^= 1;
	cr_assert(verdict(own) == SHMSTATE_ATTACHED);
	cr_assert(own_segments() == 0, "what is damaged is not shown to visitors");
	header->crc ^= 1;
	header->totalsize--;
	cr_assert(own_segments() == 1);
	shmdt(header);
	shmctl(foreign, IPC_RMID, NULL);
	shmctl(tiny, IPC_RMID, NULL);
	on_exit_reset(); /* its callbacks would delete it: we do, here */
	cr_assert(shmctl(own, IPC_RMID, NULL) == 0);
	stop_server();
}

static int
be_server(bool kill_yourself)
{
	PGShmemHeader *header;

	on_exit_reset();
	if (holdfast_set_data_directory(dir) < 0 || CreateDataDirLockFile(true) < 0)
		return 1;
	if (PGSharedMemoryCreate(8192, &header) < 0)
		return 2;
	if (kill_yourself)
		kill(getpid(), SIGKILL);
	proc_exit(0);
}

static int
server_in_child(bool kill_itself)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(be_server(kill_itself));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

Test(sysv, a_killed_server_is_recycled_by_the_next)
{
	char path[128];

	(void) snprintf(dir, sizeof(dir), "/tmp/holdfast-sysv-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	for (int i = 0; i < 5; i++)
	{
		cr_assert(server_in_child(true) == 1000 + SIGKILL);
		cr_assert(own_segments() == 1, "round %d: %d segments", i, own_segments());
	}
	cr_assert(server_in_child(false) == 0);
	cr_assert(own_segments() == 0);
	(void) snprintf(path, sizeof(path), "%s/%s", dir, HOLDFAST_LOCKFILE_NAME);
	cr_assert(access(path, F_OK) == -1);
	(void) snprintf(path, sizeof(path), "%s/%s", dir, HOLDFAST_LOCKFILE_GUARD);
	(void) unlink(path);
	cr_assert(rmdir(dir) == 0);
}

Test(sysv, an_attached_orphan_is_refused_with_or_without_lockfile)
{
	char path[128];
	void *address;
	int shmid = -1;
	HoldfastLockfile file;

	(void) snprintf(dir, sizeof(dir), "/tmp/holdfast-sysv-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	cr_assert(server_in_child(true) == 1000 + SIGKILL);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	shmid = (int) file.shmem_id;
	address = shmat(shmid, NULL, SHM_RDONLY); /* as a worker that outlived its supervisor */

	cr_assert(holdfast_set_data_directory(dir) == HOLDFAST_OK);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_IN_USE);
	cr_assert(strstr(holdfast_last_error()->message, "pre-existing shared memory block (key ") !=
			  NULL);
	cr_assert(strstr(holdfast_last_error()->hint, "Terminate any old server processes") != NULL);

	(void) snprintf(path, sizeof(path), "%s/%s", dir, HOLDFAST_LOCKFILE_NAME);
	cr_assert(unlink(path) == 0);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_IN_USE);

	/* Removed by ipcrm, but still attached: key 0, found by scanning. */
	cr_assert(shmctl(shmid, IPC_RMID, NULL) == 0);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_IN_USE);

	shmdt(address);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	stop_server();
}

static int warnings;

static void
count_warnings(const HoldfastError *error, void *arg)
{
	(void) arg;
	warnings += error->level == HOLDFAST_WARNING && strstr(error->message, "was removed") != NULL;
}

/* e2: ipcrm under a running server. */
Test(sysv, a_server_learns_that_its_segment_was_removed)
{
	cr_assert(holdfast_segment_recheck(), "there is none yet");
	cluster_start();
	holdfast_set_reporter(count_warnings, NULL);
	cr_assert(holdfast_segment_recheck() && warnings == 0);
	cr_assert(shmctl((int) UsedShmemSegID, IPC_RMID, NULL) == 0);
	cr_assert(!holdfast_segment_recheck());
	cr_assert(!holdfast_segment_recheck());
	cr_assert(warnings == 1, "said %d times", warnings);
	cluster_stop();
}

Test(sysv, reaping_takes_only_the_dead)
{
	HoldfastCookie cookie;
	HoldfastCookie other = {{1, 2}};
	HoldfastLockfile file;
	void *address;
	int shmid;

	(void) snprintf(dir, sizeof(dir), "/tmp/holdfast-sysv-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	cr_assert(server_in_child(true) == 1000 + SIGKILL);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	cookie = file.cookie;
	shmid = (int) file.shmem_id;

	cr_assert(holdfast_segment_reap(shmid, &other) == HOLDFAST_NOT_FOUND);
	cr_assert(holdfast_segment_reap(0x7ffffff, &cookie) == HOLDFAST_NOT_FOUND);
	address = shmat(shmid, NULL, SHM_RDONLY);
	cr_assert(holdfast_segment_reap(shmid, &cookie) == HOLDFAST_IN_USE);
	shmdt(address);
	cr_assert(holdfast_segment_reap(shmid, &cookie) == HOLDFAST_OK);
	cr_assert(own_segments() == 0);
	cr_assert(holdfast_segment_reap(shmid, &cookie) == HOLDFAST_NOT_FOUND);

	cr_assert(holdfast_set_data_directory(dir) == HOLDFAST_OK);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	stop_server();
}

static int
join(int arg)
{
	bool found;
	uint64_t *cell;

	(void) arg;
	if (PGSharedMemoryDetach() < 0) /* the fork's attachment: as after exec */
		return 1;
	memset(&holdfast_shmem, 0, sizeof(holdfast_shmem));
	if (holdfast_shmem_join() < 0)
		return 2;
	if (InitProcess("joiner") < 0)
		return 3;
	cell = ShmemInitStruct("cell", sizeof(*cell), &found);
	if (cell == NULL || !found || *cell != 99)
		return 4;
	*cell = 100;
	proc_exit(0);
}

Test(sysv, a_stranger_joins_by_the_lockfile)
{
	uint64_t *cell;
	bool found;

	cluster_start();
	cell = ShmemInitStruct("cell", sizeof(*cell), &found);
	*cell = 99;
	cr_assert(child_wait(child_start_without_slot(join, 0)) == 0);
	cr_assert(*cell == 100);
	cluster_stop();
}

static int
join_unpublished(int arg)
{
	(void) arg;
	if (PGSharedMemoryDetach() < 0)
		return 1;
	memset(&holdfast_shmem, 0, sizeof(holdfast_shmem));
	return holdfast_shmem_join() == HOLDFAST_NOT_FOUND ? 0 : 2;
}

Test(sysv, nobody_joins_before_it_is_published)
{
	cluster_start();
	((PGShmemHeader *) holdfast_shmem.base)->state = HOLDFAST_SEGMENT_INIT;
	cr_assert(child_wait(child_start_without_slot(join_unpublished, 0)) == 0);
	((PGShmemHeader *) holdfast_shmem.base)->state = HOLDFAST_SEGMENT_READY;
	((PGShmemHeader *) holdfast_shmem.base)->indexoffset = UINT64_MAX;
	cr_assert(child_wait(child_start_without_slot(join_unpublished, 0)) == 2, "damaged, not found");
	cluster_stop();
}
