/*
 * test_mmap_block.c
 *		shared_memory_type = mmap: a block without a name, its interlock segment, and those who come from outside.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/inspect.h>
#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/lwlock.h>
#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#include "../support/directory.h"
#include "mmap_block.h"

TestSuite(block, .timeout = 60, .init = make_directory);

static const HoldfastMemory plain_mmap = {.type = HOLDFAST_MEMORY_MMAP};

static HoldfastStatus
serve(const HoldfastMemory *memory)
{
	HoldfastShmemConfig config = {.max_procs = 4, .user_size = 4096, .memory = *memory};
	HoldfastStatus status;

	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	cr_assert(RequestNamedLWLockTranche("test", 1) == HOLDFAST_OK);
	status = holdfast_shmem_create(&config);
	if (status == HOLDFAST_OK)
		status = holdfast_shmem_publish();
	return status;
}

/* How many memory files of ours this process has open. */
static int
open_blocks(void)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;

	while ((entry = readdir(fds)) != NULL)
	{
		char target[64] = {0};

		if (readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) > 0)
			count += strstr(target, "memfd:holdfast") != NULL;
	}
	closedir(fds);
	return count;
}

static void
stop(void)
{
	shmem_exit(0);
	UnlinkLockFiles(0, 0);
	cr_assert(open_blocks() == 0, "%d blocks are left", open_blocks());
	if (geteuid() == 0)
		cr_assert(count_segments() == 0, "%d segments are left", count_segments());
	remove_directory();
}

static InterlockSegment *
interlock(void)
{
	return UsedShmemSegAddr;
}

/* ---- children, and strangers: forked before there is anything to inherit ---- */

typedef struct Stranger
{
	pid_t pid;
	int go, told;
} Stranger;

static Stranger
stranger_start(int (*body)(void))
{
	Stranger stranger;
	int go[2], told[2];

	cr_assert(pipe2(go, O_CLOEXEC) == 0 && pipe2(told, O_CLOEXEC) == 0);
	stranger.pid = fork();
	cr_assert(stranger.pid >= 0);
	if (stranger.pid == 0)
	{
		char byte;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		on_exit_reset();
		if (read(go[0], &byte, 1) != 1)
			_exit(90);
		byte = (char) body();
		if (write(told[1], &byte, 1) != 1)
			_exit(91);
		(void) !read(go[0], &byte, 1);
		proc_exit(byte);
	}
	close(go[0]);
	close(told[1]);
	stranger.go = go[1];
	stranger.told = told[0];
	return stranger;
}

/* Runs its body and says what came of it; it lives on until it is let go. */
static int
stranger_run(const Stranger *stranger)
{
	char byte = 0;

	cr_assert(write(stranger->go, &byte, 1) == 1);
	cr_assert(read(stranger->told, &byte, 1) == 1, "the stranger died");
	return byte;
}

static void
stranger_end(Stranger *stranger)
{
	char byte = 0;

	cr_assert(write(stranger->go, &byte, 1) == 1);
	close(stranger->go);
	close(stranger->told);
	cr_assert(waitpid(stranger->pid, NULL, 0) == stranger->pid);
}

/* ---- tests ---- */

Test(block, is_beside_a_small_interlock)
{
	struct shmid_ds info;
	PGShmemHeader *header;

	cr_assert(serve(&plain_mmap) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	header = (PGShmemHeader *) holdfast_shmem.base;
	cr_assert((void *) header != UsedShmemSegAddr);
	cr_assert(shmctl((int) UsedShmemSegID, IPC_STAT, &info) == 0);
	cr_assert(info.shm_segsz == sizeof(InterlockSegment) && info.shm_nattch == 1);
	cr_assert(interlock()->header.kind == HOLDFAST_SEGMENT_INTERLOCK);
	cr_assert(interlock()->header.totalsize == info.shm_segsz);
	cr_assert(interlock()->header.state == HOLDFAST_SEGMENT_READY);
	cr_assert(interlock()->block.size == header->totalsize);
	cr_assert(header->kind == HOLDFAST_SEGMENT_WHOLE && header->state == HOLDFAST_SEGMENT_READY);
	cr_assert(memcmp(&header->cookie, &interlock()->header.cookie, sizeof(header->cookie)) == 0);
	cr_assert(open_blocks() == 1);
	cr_assert(ftruncate(interlock()->block.fd, 4096) == -1 && errno == EPERM, "not sealed");
	cr_assert(PGSharedMemoryIsInUse(0, UsedShmemSegID));
	stop();
}

static LWLock *
test_lock(void)
{
	return &GetNamedLWLockTranche("test")[0].lock;
}

static int
join_and_lock(void)
{
	if (holdfast_shmem_join() < 0)
		return 1;
	if (InitProcess("stranger") < 0)
		return 2;
	return LWLockAcquire(test_lock(), LW_EXCLUSIVE) < 0 ? 3 : 0;
}

Test(block, a_stranger_joins_and_both_have_the_same_locks)
{
	Stranger stranger = stranger_start(join_and_lock);
	struct shmid_ds info;

	cr_assert(serve(&plain_mmap) == HOLDFAST_OK);
	cr_assert(InitProcess("server") == HOLDFAST_OK);
	cr_assert(stranger_run(&stranger) == 0);
	cr_assert(LWLockConditionalAcquire(test_lock(), LW_EXCLUSIVE) == HOLDFAST_BUSY);
	cr_assert(shmctl((int) UsedShmemSegID, IPC_STAT, &info) == 0 && info.shm_nattch == 2);
	stranger_end(&stranger);
	cr_assert(LWLockConditionalAcquire(test_lock(), LW_EXCLUSIVE) == HOLDFAST_OK);
	LWLockRelease(test_lock());
	stop();
}

static int
join_in_vain(void)
{
	HoldfastStatus status = holdfast_shmem_join();

	return status == HOLDFAST_OK ? 0 : (int) -status;
}

/* The descriptor was closed by everybody who had it. */
Test(block, out_of_reach_is_said_to_be_so)
{
	Stranger stranger = stranger_start(join_in_vain);
	HoldfastInspection *in;
	int kept;

	cr_assert(serve(&plain_mmap) == HOLDFAST_OK);
	kept = fcntl(interlock()->block.fd, F_DUPFD_CLOEXEC, 100);
	close(interlock()->block.fd);
	cr_assert(stranger_run(&stranger) == -HOLDFAST_NOT_FOUND);
	cr_assert(holdfast_inspect(dir, &in) == HOLDFAST_OK);
	cr_assert(in->state == HOLDFAST_INSPECT_IN_USE && in->memory_unreachable && in->nlocks == 0);
	cr_assert(strstr(in->state_message, "no process that we may look at") != NULL);
	cr_assert(in->memory_type == HOLDFAST_MEMORY_MMAP);
	holdfast_inspect_free(in);
	cr_assert(dup2(kept, interlock()->block.fd) >= 0);
	close(kept);
	stranger_end(&stranger);
	stop();
}

Test(block, damage_is_a_finding)
{
	HoldfastInspection *in;
	PGShmemHeader *header;
	Stranger stranger[2] = {stranger_start(join_in_vain), stranger_start(join_in_vain)};

	cr_assert(serve(&plain_mmap) == HOLDFAST_OK);
	header = (PGShmemHeader *) holdfast_shmem.base;
	header->totalsize++;
	cr_assert(holdfast_inspect(dir, &in) == HOLDFAST_OK);
	cr_assert(in->state == HOLDFAST_INSPECT_DAMAGED);
	holdfast_inspect_free(in);
	cr_assert(stranger_run(&stranger[0]) == -HOLDFAST_DAMAGED);
	header->totalsize--;

	interlock()->block.size++;
	cr_assert(!holdfast_block_record_is_valid(&interlock()->block));
	cr_assert(holdfast_inspect(dir, &in) == HOLDFAST_OK);
	cr_assert(in->state == HOLDFAST_INSPECT_DAMAGED);
	holdfast_inspect_free(in);
	cr_assert(stranger_run(&stranger[1]) == -HOLDFAST_DAMAGED);
	interlock()->block.size--;

	cr_assert(holdfast_inspect(dir, &in) == HOLDFAST_OK);
	cr_assert(in->state == HOLDFAST_INSPECT_IN_USE && !in->memory_unreachable);
	cr_assert(in->memory_size == header->totalsize && in->nlocks > 0);
	holdfast_inspect_free(in);
	stranger_end(&stranger[0]);
	stranger_end(&stranger[1]);
	stop();
}

static int
serve_and_fork(void)
{
	pid_t worker;

	if (serve(&plain_mmap) != HOLDFAST_OK)
		return 0;
	worker = fork();
	if (worker == 0)
	{
		on_exit_reset();
		(void) !pause();
		_exit(0);
	}
	return (int) worker;
}

/* The supervisor is dead, a worker is not: nobody starts, and what the worker has can still be looked into. */
Test(block, an_orphan_is_refused_read_and_recycled)
{
	HoldfastInspection *in;
	HoldfastLockfile file;
	int told[2], worker, status;
	pid_t server;

	cr_assert(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	cr_assert(pipe2(told, O_CLOEXEC) == 0);
	server = fork();
	cr_assert(server >= 0);
	if (server == 0)
	{
		on_exit_reset();
		worker = serve_and_fork();
		(void) !write(told[1], &worker, sizeof(worker));
		(void) !pause();
		_exit(0);
	}
	cr_assert(read(told[0], &worker, sizeof(worker)) == sizeof(worker) && worker > 0);
	cr_assert(kill(server, SIGKILL) == 0 && waitpid(server, &status, 0) == server);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_IN_USE);
	cr_assert(strstr(holdfast_last_error()->message, "pre-existing shared memory block") != NULL);
	cr_assert(holdfast_inspect(dir, &in) == HOLDFAST_OK);
	cr_assert(in->state == HOLDFAST_INSPECT_ORPHAN && in->segment.nattch == 1);
	cr_assert(!in->memory_unreachable && in->nlocks > 0, "the worker has it: %s",
			  in->state_message);
	holdfast_inspect_free(in);

	cr_assert(kill(worker, SIGKILL) == 0 && waitpid(worker, &status, 0) == worker);
	cr_assert(holdfast_inspect(dir, &in) == HOLDFAST_OK);
	cr_assert(in->state == HOLDFAST_INSPECT_ORPHAN && in->memory_unreachable);
	holdfast_inspect_free(in);
	cr_assert(serve(&plain_mmap) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	if (geteuid() == 0)
		cr_assert(count_segments() == 1);
	stop();
}

static void
leave(void)
{
	cr_assert(PGSharedMemoryDetach() == HOLDFAST_OK);
	cr_assert(PGSharedMemoryDetach() == HOLDFAST_OK);
	cr_assert(open_blocks() == 0);
}

Test(block, a_child_detaches_from_both)
{
	struct shmid_ds info;
	pid_t pid;
	int status;

	cr_assert(serve(&plain_mmap) == HOLDFAST_OK);
	pid = fork();
	if (pid == 0)
	{
		on_exit_reset();
		leave();
		_exit(holdfast_shmem.base == NULL && UsedShmemSegAddr == NULL ? 0 : 1);
	}
	cr_assert(waitpid(pid, &status, 0) == pid && status == 0);
	cr_assert(shmctl((int) UsedShmemSegID, IPC_STAT, &info) == 0 && info.shm_nattch == 1);
	cr_assert(open_blocks() == 1);
	stop();
}

/* As the supervisor does when it restarts all. */
Test(block, is_made_again_after_shmem_exit)
{
	HoldfastShmemConfig config = {.max_procs = 4, .memory = plain_mmap};

	cr_assert(serve(&plain_mmap) == HOLDFAST_OK);
	for (int i = 0; i < 5; i++)
	{
		shmem_exit(1);
		cr_assert(open_blocks() == 0);
		cr_assert(holdfast_shmem_create(&config) == HOLDFAST_OK);
	}
	stop();
}

static void
refused(const HoldfastMemory *memory, HoldfastStatus expected)
{
	HoldfastShmemConfig config = {.max_procs = 4, .memory = *memory};

	cr_assert(holdfast_shmem_create(&config) == expected);
	cr_assert(UsedShmemSegAddr == NULL && UsedShmemSegID == 0 && open_blocks() == 0);
	cr_assert(check_on_shmem_exit_lists_are_empty() == HOLDFAST_OK);
}

static Size
free_huge_pages(void)
{
	FILE *meminfo = fopen("/proc/meminfo", "re");
	char line[128];
	unsigned long count = 0;

	while (meminfo != NULL && fgets(line, sizeof(line), meminfo) != NULL)
		(void) sscanf(line, "HugePages_Free: %lu", &count);
	if (meminfo != NULL)
		fclose(meminfo);
	return count;
}

Test(block, huge_pages_on_off_and_try)
{
	HoldfastMemory on_sysv = {.huge_pages = HOLDFAST_HUGE_PAGES_ON};
	HoldfastMemory on = {.type = HOLDFAST_MEMORY_MMAP, .huge_pages = HOLDFAST_HUGE_PAGES_ON};
	HoldfastMemory try = {.type = HOLDFAST_MEMORY_MMAP, .huge_pages = HOLDFAST_HUGE_PAGES_TRY};
	HoldfastMemory odd = on, impossible = on;
	Size page = holdfast_huge_page_default("/proc/meminfo");

	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	refused(&on_sysv, HOLDFAST_MISUSE);
	cr_assert(strcmp(holdfast_last_error()->message,
					 "huge pages not supported with the current shared_memory_type setting") == 0);
	odd.huge_page_size = 3 << 20;
	refused(&odd, HOLDFAST_MISUSE);
	impossible.huge_page_size = (Size) 1 << 45; /* no machine has such */
	refused(&impossible, HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->level == HOLDFAST_FATAL);
	UnlinkLockFiles(0, 0);

	if (free_huge_pages() == 0)
	{
		cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
		refused(&on, HOLDFAST_SYSTEM_ERROR);
		cr_assert(holdfast_last_error()->level == HOLDFAST_FATAL);
		cr_assert(holdfast_last_error()->saved_errno == ENOMEM);
		cr_assert(strstr(holdfast_last_error()->hint, "huge_pages") != NULL);
		UnlinkLockFiles(0, 0);
		cr_assert(serve(&try) == HOLDFAST_OK);
		cr_assert(interlock()->block.page_size == (uint64_t) sysconf(_SC_PAGESIZE));
		cr_assert(interlock()->block.size % page != 0, "not rounded for pages it did not get");
	}
	else
	{
		cr_assert(serve(&on) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
		cr_assert(interlock()->block.page_size == page && interlock()->block.size % page == 0);
	}
	stop();
}

/* Memcheck has no room for what does not fit, and says so in its own way: EINVAL. */
static bool
under_memcheck(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

Test(block, what_does_not_fit_says_what_to_do)
{
	HoldfastShmemConfig config = {.memory = plain_mmap, .user_size = (Size) 1 << 46};

	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	cr_assert(holdfast_shmem_create(&config) == HOLDFAST_SYSTEM_ERROR);
	if (!under_memcheck())
	{
		cr_assert(holdfast_last_error()->saved_errno == ENOMEM);
		cr_assert(strcmp(holdfast_last_error()->message,
						 "could not map anonymous shared memory: Cannot allocate memory") == 0);
		cr_assert(strstr(holdfast_last_error()->hint, "fewer process slots") != NULL);
		cr_assert(strstr(holdfast_last_error()->hint, "huge") == NULL);
	}
	cr_assert(check_on_shmem_exit_lists_are_empty() == HOLDFAST_OK);
	stop();
}

/* The interlock cannot be made: the block goes too. */
Test(block, without_interlock_there_is_none)
{
	HoldfastShmemConfig config = {.max_procs = 4, .memory = plain_mmap};
	char path[128];

	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	(void) snprintf(path, sizeof(path), "%s/%s", dir, HOLDFAST_LOCKFILE_NAME);
	cr_assert(unlink(path) == 0);
	cr_assert(holdfast_shmem_create(&config) == HOLDFAST_IN_USE);
	cr_assert(open_blocks() == 0 && UsedShmemSegAddr == NULL);
	cr_assert(check_on_shmem_exit_lists_are_empty() == HOLDFAST_OK);
	stop();
}

Test(block, the_size_of_huge_pages_is_read_or_guessed)
{
	char path[128];
	FILE *file;

	(void) snprintf(path, sizeof(path), "%s/meminfo", dir);
	cr_assert(holdfast_huge_page_default(path) == (Size) 2 << 20, "no such file");
	file = fopen(path, "w");
	fputs("MemTotal: 5 kB\nHugePages_Total: 7\nHugepagesize:    1048576 kB\n", file);
	fclose(file);
	cr_assert(holdfast_huge_page_default(path) == (Size) 1 << 30);
	file = fopen(path, "w");
	fputs("MemTotal: 5 kB\n", file);
	fclose(file);
	cr_assert(holdfast_huge_page_default(path) == (Size) 2 << 20, "no such line");
	cr_assert(unlink(path) == 0);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	stop();
}

/* Another file under the number that the record tells is not taken for the block. */
Test(block, a_number_alone_opens_nothing)
{
	BlockRecord record;
	int fd;

	cr_assert(serve(&plain_mmap) == HOLDFAST_OK);
	record = interlock()->block;
	fd = holdfast_block_open(&record, getpid(), false);
	cr_assert(fd >= 0);
	close(fd);
	record.inode++;
	cr_assert(holdfast_block_open(&record, getpid(), false) == -1 && errno == ENOENT);
	record.inode--;
	record.size += 4096;
	cr_assert(holdfast_block_open(&record, 0, false) == -1 && errno == ENOENT);
	stop();
}
