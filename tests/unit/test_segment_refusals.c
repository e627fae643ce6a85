/*
 * test_segment_refusals.c
 *		What segments, blocks and their announcements say when the kernel, or the caller, will not have it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>
#include <holdfast/shmem.h>

#include "../support/directory.h"
#include "data_directory.h"
#include "lockfile_disk.h"
#include "mmap_block.h"
#include "segment_internal.h"

TestSuite(refusals, .timeout = 60, .init = make_directory);

static void
serve(void)
{
	HoldfastShmemConfig config = {.max_procs = 2, .user_size = 4096};

	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	cr_assert(holdfast_shmem_create(&config) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	cr_assert(holdfast_shmem_publish() == HOLDFAST_OK);
}

static void
stop(void)
{
	shmem_exit(0);
	UnlinkLockFiles(0, 0);
	remove_directory();
}

static bool
last_error_says(HoldfastStatus status, const char *text)
{
	return holdfast_last_error()->status == status &&
		   strstr(holdfast_last_error()->message, text) != NULL;
}

/* In a child, which has its parent's mapping taken from it first; its exit status. */
static int
in_joiner(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		on_exit_reset();
		if (PGSharedMemoryDetach() != HOLDFAST_OK)
			_exit(90);
		_exit(body());
	}
	cr_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "status %#x", status);
	return WEXITSTATUS(status);
}

static int
joins_once(void)
{
	PGShmemHeader *header;

	if (holdfast_segment_join(&header) != HOLDFAST_OK)
		return 1;
	if (holdfast_segment_join(&header) != HOLDFAST_MISUSE || header != NULL)
		return 2;
	if (!RecheckDataDirLockFile()) /* a joiner is asked for the cookie alone */
		return 3;
	return PGSharedMemoryDetach() == HOLDFAST_OK ? 0 : 4;
}

static int
finds_it_gone(void)
{
	PGShmemHeader *header;

	return holdfast_segment_join(&header) == HOLDFAST_NOT_FOUND && header == NULL &&
				   last_error_says(HOLDFAST_NOT_FOUND, "its segment is gone")
			   ? 0
			   : 1;
}

Test(refusals, joining_twice_and_joining_what_is_gone)
{
	serve();
	cr_assert_eq(in_joiner(joins_once), 0);
	cr_assert(RecordSharedMemoryInLockFile(4711, 0x7ffffff0) == HOLDFAST_OK);
	cr_assert_eq(in_joiner(finds_it_gone), 0);
	stop();
}

Test(refusals, without_a_segment_there_is_nothing_to_allocate_or_publish)
{
	bool found;

	cr_assert_null(ShmemAlloc(8));
	cr_assert(last_error_says(HOLDFAST_MISUSE, "not attached"));
	cr_assert_null(ShmemInitStruct("a", 8, &found));
	cr_assert(holdfast_shmem_publish() == HOLDFAST_MISUSE);
	cr_assert(PGSharedMemoryDetach() == HOLDFAST_OK, "nothing to detach");
	cr_assert(holdfast_segment_recheck());
	cr_assert(rmdir(dir) == 0);
}

Test(refusals, structures_that_do_not_fit)
{
	HoldfastShmemConfig config = {.max_procs = 2};
	char name[32];
	bool found;
	int made = 0;

	serve();
	cr_assert(holdfast_shmem_create(&config) == HOLDFAST_MISUSE, "there is one already");
	stop();

	/* Unpublished, so that no lock and no slot is needed. */
	cr_assert(mkdir(dir, 0700) == 0);
	config.user_size = 1 << 20;
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	cr_assert(holdfast_shmem_create(&config) == HOLDFAST_OK);
	cr_assert_null(ShmemInitStruct("large", 1 << 30, &found));
	cr_assert(last_error_says(HOLDFAST_LIMIT, "not enough shared memory for data structure"));
	for (;; made++)
	{
		(void) snprintf(name, sizeof(name), "structure %d", made);
		if (ShmemInitStruct(name, 8, &found) == NULL)
			break;
		cr_assert(!found);
	}
	cr_assert(made < SHMEM_INDEX_SIZE);
	cr_assert(last_error_says(HOLDFAST_LIMIT, "could not create ShmemIndex entry"));
	stop();
}

Test(refusals, verdicts_that_cannot_be_had)
{
	PGShmemHeader *header;
	char away[80];
	HoldfastOrphan found;
	IpcMemoryState state;
	SegmentUse use;
	HoldfastStatus status;

	serve();
	cr_assert(!PGSharedMemoryIsInUse(0, (unsigned long) INT32_MAX + 1),
			  "no segment has such an id");
	/* The address speaks against it, not the segment. */
	cr_assert(PGSharedMemoryAttach((int) UsedShmemSegID, (void *) 1, &header) ==
			  SHMSTATE_ANALYSIS_FAILURE);
	cr_assert_null(header);

	(void) snprintf(away, sizeof(away), "%s.away", dir);
	cr_assert(rename(dir, away) == 0);
	state = PGSharedMemoryAttach((int) UsedShmemSegID, NULL, &header);
	use = holdfast_segments_in_use(&found);
	cr_assert(rename(away, dir) == 0);
	cr_assert(state == SHMSTATE_ANALYSIS_FAILURE && use == SEGMENTS_UNKNOWN);

	shmem_exit(0);
	cr_assert(rename(dir, away) == 0);
	status = PGSharedMemoryCreate(8192, &header);
	cr_assert(rename(away, dir) == 0);
	cr_assert(status == HOLDFAST_SYSTEM_ERROR);
	cr_assert(last_error_says(HOLDFAST_SYSTEM_ERROR, "could not stat data directory"));
	stop();
}

/* Runs with no descriptor left; gives them back. */
static HoldfastStatus
create_without_descriptors(const HoldfastMemory *memory)
{
	struct rlimit before, none;
	BlockRecord record;
	void *address;
	HoldfastStatus status;
	int lowest = dup(0);

	close(lowest);
	cr_assert(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = (struct rlimit){.rlim_cur = (rlim_t) lowest, .rlim_max = before.rlim_max};
	cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
	status = holdfast_block_create(8192, memory, &record, &address);
	cr_assert(setrlimit(RLIMIT_NOFILE, &before) == 0);
	return status;
}

Test(refusals, a_block_that_cannot_be_made_for_another_reason_has_no_hint)
{
	HoldfastMemory memory = {.type = HOLDFAST_MEMORY_MMAP};

	cr_assert(create_without_descriptors(&memory) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == EMFILE);
	cr_assert(holdfast_last_error()->hint[0] == '\0');
	memory.huge_pages = HOLDFAST_HUGE_PAGES_TRY;
	cr_assert(create_without_descriptors(&memory) == HOLDFAST_SYSTEM_ERROR);
	memory.huge_pages = HOLDFAST_HUGE_PAGES_ON;
	cr_assert(create_without_descriptors(&memory) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(rmdir(dir) == 0);
}

/* As long as it fails, it fails as one: nothing of a note that was cut is believed. */
Test(refusals, a_note_that_is_cut_short_is_none)
{
	GuardNote note = {.key = 77, .boot_id = "b", .ipc_namespace = 5}, back;
	struct rlimit before, few;
	char path[128];
	int fd;
	bool wrote;
	int error;

	(void) snprintf(path, sizeof(path), "%s/note", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert(fd >= 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	cr_assert(getrlimit(RLIMIT_FSIZE, &before) == 0);
	few = (struct rlimit){.rlim_cur = 20, .rlim_max = before.rlim_max};
	cr_assert(setrlimit(RLIMIT_FSIZE, &few) == 0);
	wrote = holdfast_guard_write_note(fd, &note);
	error = errno;
	cr_assert(setrlimit(RLIMIT_FSIZE, &before) == 0);
	cr_assert(!wrote && error == ENOSPC);
	cr_assert(!holdfast_guard_read_note(fd, &back));
	cr_assert(holdfast_guard_write_note(fd, &note) && holdfast_guard_read_note(fd, &back));
	close(fd);
	cr_assert(unlink(path) == 0 && rmdir(dir) == 0);
}

Test(refusals, a_directory_that_is_not_there_is_not_watched)
{
	cr_assert(holdfast_watch_open("/no/such/directory") == -1 && errno == ENOENT);
	cr_assert(!holdfast_watch_is_open());
	cr_assert(holdfast_watch_file("/no/such/file"), "none is open: nothing to do");
	cr_assert(rmdir(dir) == 0);
}

/* ---- headers that are not to be believed ---- */

static int joining_as; /* the status that a join is to have */

static int
join_has_that_status(void)
{
	PGShmemHeader *header;

	return holdfast_segment_join(&header) == (HoldfastStatus) joining_as && header == NULL ? 0 : 1;
}

/* With that header in place a join is refused so, and leaves again; `forged`: its checksum is right. */
static void
expect_no_join(const PGShmemHeader *bad, bool forged, HoldfastStatus status, const char *what)
{
	PGShmemHeader *header = UsedShmemSegAddr;
	PGShmemHeader good = *header;
	struct shmid_ds info;

	*header = *bad;
	if (forged)
		header->crc = holdfast_header_crc(header);
	joining_as = status;
	cr_assert_eq(in_joiner(join_has_that_status), 0, "%s", what);
	*header = good;
	cr_assert(shmctl((int) UsedShmemSegID, IPC_STAT, &info) == 0 && info.shm_nattch == 1,
			  "%s: still attached", what);
}

Test(refusals, a_joiner_believes_no_header_that_is_not_its_servers)
{
	PGShmemHeader good, bad;

	serve();
	good = *(PGShmemHeader *) UsedShmemSegAddr;
	bad = good;
	bad.magic = 0;
	expect_no_join(&bad, false, HOLDFAST_NOT_FOUND, "not whole yet");
	bad = good;
	bad.cookie.word[1] ^= 1;
	expect_no_join(&bad, true, HOLDFAST_NOT_FOUND, "another incarnation");
	bad = good;
	bad.version++;
	expect_no_join(&bad, true, HOLDFAST_DAMAGED, "another version");
	bad = good;
	bad.totalsize++;
	expect_no_join(&bad, true, HOLDFAST_DAMAGED, "another size");
	bad = good;
	bad.creatorPID++;
	expect_no_join(&bad, false, HOLDFAST_DAMAGED, "checksum");
	bad = good;
	bad.inode++;
	expect_no_join(&bad, true, HOLDFAST_DAMAGED, "another directory");
	bad = good;
	bad.device++;
	expect_no_join(&bad, true, HOLDFAST_DAMAGED, "another device");
	bad = good;
	bad.state = HOLDFAST_SEGMENT_INIT;
	expect_no_join(&bad, false, HOLDFAST_NOT_FOUND, "not published");
	bad = good;
	bad.kind = HOLDFAST_SEGMENT_INTERLOCK;
	expect_no_join(&bad, true, HOLDFAST_DAMAGED, "an interlock of that size");
	cr_assert_eq(in_joiner(joins_once), 0, "the right one is believed");
	stop();
}

Test(refusals, anothers_segment_under_our_key_is_left_alone)
{
	uint64_t device, inode;
	PGShmemHeader *header;
	struct shmid_ds info;
	int shmid;

	cr_assert(holdfast_data_directory_id(&device, &inode));
	shmid = shmget(holdfast_segment_key(device, inode, 0), 8192,
				   IPC_CREAT | IPC_EXCL | HOLDFAST_SEGMENT_MODE);
	cr_assert(shmid >= 0);
	header = shmat(shmid, NULL, 0);
	cr_assert(header != (void *) -1);
	header->device = device;
	header->inode = inode + 1;
	header->magic = PGShmemMagic;
	cr_assert(shmdt(header) == 0);

	serve();
	cr_assert(UsedShmemSegID != (unsigned long) shmid);
	cr_assert(shmctl(shmid, IPC_STAT, &info) == 0 && info.shm_nattch == 0);
	cr_assert(shmctl(shmid, IPC_RMID, NULL) == 0);
	stop();
}

Test(refusals, only_what_was_found_is_reaped)
{
	PGShmemHeader *header;
	HoldfastCookie cookie;
	int plain = shmget(IPC_PRIVATE, 64, IPC_CREAT | HOLDFAST_SEGMENT_MODE);
	int large = shmget(IPC_PRIVATE, 8192, IPC_CREAT | HOLDFAST_SEGMENT_MODE);

	serve();
	header = UsedShmemSegAddr;
	cookie = header->cookie;
	cr_assert(holdfast_segment_reap(plain, &cookie) == HOLDFAST_NOT_FOUND, "too small");
	cr_assert(holdfast_segment_reap(large, &cookie) == HOLDFAST_NOT_FOUND, "no header");
	cr_assert(holdfast_segment_reap((int) UsedShmemSegID, &cookie) == HOLDFAST_IN_USE);
	cookie.word[0]++;
	cr_assert(holdfast_segment_reap((int) UsedShmemSegID, &cookie) == HOLDFAST_NOT_FOUND);
	cookie.word[0]--;
	header->crc++;
	cr_assert(holdfast_segment_reap((int) UsedShmemSegID, &cookie) == HOLDFAST_NOT_FOUND);
	header->crc--;
	cr_assert(shmctl(plain, IPC_RMID, NULL) == 0 && shmctl(large, IPC_RMID, NULL) == 0);
	cr_assert(holdfast_segment_reap(plain, &cookie) == HOLDFAST_NOT_FOUND, "gone");
	stop();
}

static int
looks_as_nobody(void)
{
	PGShmemHeader *header;
	IpcMemoryState state;

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 2;
	state = PGSharedMemoryAttach(joining_as, NULL, &header);
	return state == SHMSTATE_FOREIGN && header == NULL ? 0 : 1;
}

Test(refusals, what_one_may_not_read_is_foreign)
{
	if (geteuid() != 0)
		cr_skip_test("only root can be another user");
	serve();
	joining_as = (int) UsedShmemSegID;
	cr_assert(chmod(dir, 0755) == 0);
	cr_assert_eq(in_joiner(looks_as_nobody), 0);
	stop();
}

Test(refusals, a_block_record_is_whole_or_none)
{
	BlockRecord good = {.magic = BLOCK_RECORD_MAGIC, .fd = 3, .size = 8192}, bad;

	good.crc = holdfast_block_record_crc(&good);
	cr_assert(holdfast_block_record_is_valid(&good));
	bad = good;
	bad.magic++;
	cr_assert(!holdfast_block_record_is_valid(&bad));
	bad = good;
	bad.inode++;
	cr_assert(!holdfast_block_record_is_valid(&bad));
	bad = good;
	bad.fd = -1;
	bad.crc = holdfast_block_record_crc(&bad);
	cr_assert(!holdfast_block_record_is_valid(&bad));
	bad = good;
	bad.size = 8;
	bad.crc = holdfast_block_record_crc(&bad);
	cr_assert(!holdfast_block_record_is_valid(&bad));
	cr_assert(rmdir(dir) == 0);
}
