/*
 * test_segment_corpses.c
 *		What a start, or a server, that died leaves behind, and what the next start makes of it.
 *
 * The dead are real: children that end by SIGKILL.  As root each test has an IPC namespace of its own and demands at the
 * end that it is empty.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
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

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/pg_shmem.h>

#include "../support/directory.h"
#include "identity.h"
#include "lockfile_disk.h"
#include "segment_internal.h"

static struct stat dir_info;

static void
own_namespace(void)
{
	make_directory();
	cr_assert(stat(dir, &dir_info) == 0);
}

TestSuite(corpse, .timeout = 60, .init = own_namespace);

/* Demanded in the test's body: an assertion in a .fini would not count. */
static void
nothing_is_left(void)
{
	cr_assert(access(path_of(HOLDFAST_LOCKFILE_NAME), F_OK) == -1);
	remove_directory();
	if (geteuid() == 0)
		cr_assert(count_segments() == 0, "%d segments are left", count_segments());
}

static void
skip(const char *why)
{
	(void) rmdir(dir);
	cr_skip_test("%s", why);
}

/* A child runs body(arg); 1000 + signal, or its exit status. */
static int
in_child(int (*body)(int), int arg)
{
	pid_t pid = fork();
	int status;

	cr_assert(pid >= 0);
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		on_exit_reset();
		_exit(body(arg));
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int
serve_and_die(int arg)
{
	PGShmemHeader *header;

	(void) arg;
	if (CreateDataDirLockFile(true) < 0)
		return 1;
	if (PGSharedMemoryCreate(8192, &header) < 0)
		return 2;
	return raise(SIGKILL);
}

static int
serve_in_order(int arg)
{
	PGShmemHeader *header;

	(void) arg;
	if (CreateDataDirLockFile(true) < 0)
		return 1;
	if (PGSharedMemoryCreate(8192, &header) < 0)
		return 2;
	proc_exit(0);
}

static void
starts_and_stops(void)
{
	cr_assert(in_child(serve_in_order, 0) == 0);
	nothing_is_left();
}

static IpcMemoryKey
key_at(uint32_t probe)
{
	return holdfast_segment_key(dir_info.st_dev, dir_info.st_ino, probe);
}

static int
squat(IpcMemoryKey key)
{
	int shmid = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);

	cr_assert(shmid >= 0);
	return shmid;
}

/* ---- half-made segments ---- */

/* As a start that dies right after shmget, or in the middle of the header. */
static int
die_half_made(int stores)
{
	PGShmemHeader *header;
	int shmid;

	if (CreateDataDirLockFile(true) < 0 || holdfast_lockfile_record_intent(key_at(1)) < 0)
		return 1;
	shmid = shmget(key_at(1), 8192, IPC_CREAT | IPC_EXCL | HOLDFAST_SEGMENT_MODE);
	if (shmid < 0)
		return 2;
	header = shmat(shmid, NULL, 0);
	if (stores > 0)
		header->device = dir_info.st_dev;
	if (stores > 1)
		header->inode = dir_info.st_ino;
	if (stores > 2)
		header->totalsize = 8192;
	return raise(SIGKILL);
}

Test(corpse, a_segment_without_header_is_recycled_whichever_store_came_last)
{
	for (int stores = 0; stores <= 3; stores++)
	{
		cr_assert(in_child(die_half_made, stores) == 1000 + SIGKILL);
		cr_assert(shmget(key_at(1), 0, 0) >= 0);
		cr_assert(in_child(serve_in_order, 0) == 0);
		cr_assert(shmget(key_at(1), 0, 0) == -1 && errno == ENOENT, "after %d stores", stores);
	}
	starts_and_stops();
}

static int
take_lockfile_and_die(int arg)
{
	(void) arg;
	return CreateDataDirLockFile(true) < 0 ? 1 : raise(SIGKILL);
}

Test(corpse, an_announced_key_outlives_a_second_death)
{
	cr_assert(in_child(die_half_made, 0) == 1000 + SIGKILL);
	cr_assert(in_child(take_lockfile_and_die, 0) == 1000 + SIGKILL);
	cr_assert(in_child(take_lockfile_and_die, 0) == 1000 + SIGKILL);
	starts_and_stops();
}

static int
announce_and_die(int arg)
{
	(void) arg;
	if (CreateDataDirLockFile(true) < 0 || holdfast_lockfile_record_intent(key_at(1)) < 0)
		return 1;
	return raise(SIGKILL);
}

static int
leave_data(int arg)
{
	char *data = shmat(squat(key_at(1)), NULL, 0);

	(void) arg;
	strcpy(data + 200, "precious");
	data[20] = 1;
	return 0;
}

/* The start died before its shmget, and the key went to another program, which has ended too. */
Test(corpse, data_of_others_under_an_announced_key_is_not_touched)
{
	int shmid;

	cr_assert(in_child(announce_and_die, 0) == 1000 + SIGKILL);
	cr_assert(in_child(leave_data, 0) == 0);
	shmid = shmget(key_at(1), 0, 0);
	cr_assert(in_child(serve_in_order, 0) == 0);
	cr_assert(shmget(key_at(1), 0, 0) == shmid, "somebody else's segment was removed");
	cr_assert(shmctl(shmid, IPC_RMID, NULL) == 0);
	nothing_is_left();
}

/* ---- the two places that announce a key ---- */

/* One of the two files is removed by hand after the death: the other still tells. */
Test(corpse, a_segment_without_header_is_recycled_though_one_file_was_removed)
{
	const char *const removed[] = {HOLDFAST_LOCKFILE_NAME, HOLDFAST_LOCKFILE_GUARD};

	for (int i = 0; i < 2; i++)
	{
		for (int stores = 0; stores <= 3; stores++)
		{
			cr_assert(in_child(die_half_made, stores) == 1000 + SIGKILL);
			cr_assert(unlink(path_of(removed[i])) == 0);
			cr_assert(in_child(serve_in_order, 0) == 0);
			cr_assert(shmget(key_at(1), 0, 0) == -1 && errno == ENOENT,
					  "after %d stores, without %s", stores, removed[i]);
		}
	}
	starts_and_stops();
}

static int
leave_zeros(int probe)
{
	return squat(key_at((uint32_t) probe)) < 0;
}

static void
survives_a_start(const char *whose)
{
	int shmid = shmget(key_at(0), 0, 0);

	cr_assert(shmid >= 0);
	cr_assert(in_child(serve_in_order, 0) == 0);
	cr_assert(shmget(key_at(0), 0, 0) == shmid, "%s was removed", whose);
	cr_assert(shmctl(shmid, IPC_RMID, NULL) == 0);
}

/* In all else it looks as if we had begun to make it: zeros, our key, our user, its creator dead, nobody attached. */
Test(corpse, an_announcement_ends_with_the_start_that_made_it)
{
	cr_assert(in_child(serve_in_order, 0) == 0);
	cr_assert(in_child(leave_zeros, 0) == 0);
	survives_a_start("a stranger's segment");

	cr_assert(in_child(serve_and_die, 0) == 1000 + SIGKILL);
	cr_assert(shmctl(shmget(key_at(0), 0, 0), IPC_RMID, NULL) == 0);
	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	cr_assert(in_child(leave_zeros, 0) == 0);
	survives_a_start("a stranger's segment at the key of a dead server");
	nothing_is_left();
}

static GuardNote
note_of(IpcMemoryKey key)
{
	GuardNote note = {.key = key};
	uint64_t pid_namespace;

	cr_assert(holdfast_identity_boot_id(note.boot_id));
	cr_assert(holdfast_identity_namespaces(&pid_namespace, &note.ipc_namespace));
	return note;
}

static void
write_note(const GuardNote *note)
{
	int fd = open(path_of(HOLDFAST_LOCKFILE_GUARD), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	cr_assert(fd >= 0 && holdfast_guard_write_note(fd, note));
	close(fd);
}

/* The key of another boot, or of another IPC namespace, is another thing's here. */
Test(corpse, an_announcement_counts_where_it_was_made)
{
	GuardNote note = note_of(key_at(0));

	cr_assert(in_child(leave_zeros, 0) == 0);
	note.boot_id[0] = note.boot_id[0] == '0' ? '1' : '0';
	write_note(&note);
	survives_a_start("a segment of another boot");

	cr_assert(in_child(leave_zeros, 0) == 0);
	note = note_of(key_at(0));
	note.ipc_namespace++;
	write_note(&note);
	survives_a_start("a segment of another namespace");

	/* And to show that only this keeps it. */
	cr_assert(in_child(leave_zeros, 0) == 0);
	note = note_of(key_at(0));
	write_note(&note);
	starts_and_stops();
}

Test(corpse, a_note_is_believed_only_as_it_was_written)
{
	GuardNote note = note_of(INT32_MAX), back;
	const char *const bogus[] = {"", "x", "announced -5 boot x ipc 1 crc 0\n", "announced 0"};
	int fd;

	write_note(&note);
	fd = open(path_of(HOLDFAST_LOCKFILE_GUARD), O_RDWR | O_CLOEXEC);
	cr_assert(holdfast_guard_read_note(fd, &back) && memcmp(&note, &back, sizeof(note)) == 0);
	for (off_t at = 0;; at++)
	{
		char was, is;

		if (pread(fd, &was, 1, at) == 0)
			break;
		for (int bit = 0; bit < 8; bit++)
		{
			is = (char) (was ^ 1 << bit);
			cr_assert(pwrite(fd, &is, 1, at) == 1);
			cr_assert(!holdfast_guard_read_note(fd, &back), "bit %d of byte %ld", bit, (long) at);
		}
		cr_assert(pwrite(fd, &was, 1, at) == 1);
	}
	cr_assert(write(fd, "", 0) == 0 && lseek(fd, 0, SEEK_END) > 0 && write(fd, "\n", 1) == 1);
	cr_assert(!holdfast_guard_read_note(fd, &back), "something follows");
	for (size_t i = 0; i < sizeof(bogus) / sizeof(bogus[0]); i++)
	{
		cr_assert(ftruncate(fd, 0) == 0);
		cr_assert(pwrite(fd, bogus[i], strlen(bogus[i]), 0) == (ssize_t) strlen(bogus[i]));
		cr_assert(!holdfast_guard_read_note(fd, &back), "\"%s\"", bogus[i]);
	}
	note.key = 0;
	cr_assert(holdfast_guard_write_note(fd, &note) && !holdfast_guard_read_note(fd, &back));
	close(fd);
	cr_assert(!holdfast_guard_write_note(fd, &note) && errno == EBADF);
	starts_and_stops();
}

/* ---- keys ---- */

/*
 * PostgreSQL's test 017_shm: collide, die, and the squatter goes.  PostgreSQL leaks the segment at the higher key until the
 * collision comes back; we find it by scanning.
 */
Test(corpse, a_segment_at_a_higher_key_is_not_leaked)
{
	int squatter = squat(key_at(0));
	HoldfastLockfile file;

	cr_assert(in_child(serve_and_die, 0) == 1000 + SIGKILL);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	cr_assert(file.shmem_key == (unsigned long) key_at(1));
	cr_assert(shmctl(squatter, IPC_RMID, NULL) == 0);
	starts_and_stops();
}

/* The key hole: an orphan in use at a higher key, the key before it free again, the lockfile removed by hand. */
Test(corpse, an_orphan_behind_a_key_hole_is_seen)
{
	int squatter = squat(key_at(0));
	void *worker;

	cr_assert(in_child(serve_and_die, 0) == 1000 + SIGKILL);
	worker = shmat(shmget(key_at(1), 0, 0), NULL, 0);
	cr_assert(worker != (void *) -1);
	cr_assert(shmctl(squatter, IPC_RMID, NULL) == 0);
	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_IN_USE);
	shmdt(worker);
	starts_and_stops();
}

Test(corpse, keys_are_positive_and_differ)
{
	for (uint32_t probe = 0; probe < HOLDFAST_KEY_PROBES; probe++)
	{
		cr_assert(key_at(probe) > 0);
		cr_assert(probe == 0 || key_at(probe) != key_at(probe - 1));
	}
	nothing_is_left();
}

Test(corpse, a_key_that_is_never_free_ends_in_an_error)
{
	PGShmemHeader *header;

	if (geteuid() != 0)
		skip("needs an IPC namespace of its own");
	for (uint32_t probe = 0; probe < HOLDFAST_KEY_PROBES; probe++)
	{
		/* Two probes may have the same key. */
		cr_assert(shmget(key_at(probe), 4096, IPC_CREAT | 0600) >= 0);
	}
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == EEXIST);
	UnlinkLockFiles(0, 0);
	for (uint32_t probe = 0; probe < HOLDFAST_KEY_PROBES; probe++)
		(void) shmctl(shmget(key_at(probe), 0, 0), IPC_RMID, NULL);
	nothing_is_left();
}

/* ---- damaged ---- */

Test(corpse, a_damaged_segment_is_refused_while_used_and_recycled_after)
{
	HoldfastLockfile file;
	PGShmemHeader *header;

	cr_assert(in_child(serve_and_die, 0) == 1000 + SIGKILL);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	header = shmat((int) file.shmem_id, NULL, 0);
	header->crc ^= 1;
	header->version = 77;
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_IN_USE);
	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_IN_USE);
	shmdt(header);
	starts_and_stops();
}

/* ---- refusals ---- */

static ssize_t
read_file(const char *path, char *bytes, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t got = read(fd, bytes, size);

	close(fd);
	return got;
}

/* Somebody attaches after the lockfile was taken: the start fails, and the old lockfile is back, byte for byte. */
Test(corpse, a_refused_start_gives_the_evidence_back)
{
	char before[8192], after[8192];
	ssize_t length;
	HoldfastLockfile file;
	PGShmemHeader *header;
	void *worker;

	cr_assert(in_child(serve_and_die, 0) == 1000 + SIGKILL);
	length = read_file(path_of(HOLDFAST_LOCKFILE_NAME), before, sizeof(before));
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	worker = shmat((int) file.shmem_id, NULL, 0);
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_IN_USE);
	cr_assert(strstr(holdfast_last_error()->message, "is still in use") != NULL);
	UnlinkLockFiles(0, 0);
	cr_assert(read_file(path_of(HOLDFAST_LOCKFILE_NAME), after, sizeof(after)) == length);
	cr_assert(memcmp(before, after, (size_t) length) == 0);
	shmdt(worker);
	starts_and_stops();
}

/* Refused once, then good: what is left at the end is ours to remove. */
Test(corpse, a_start_that_succeeds_at_last_leaves_nothing_of_its_predecessor)
{
	HoldfastLockfile file;
	PGShmemHeader *header;
	void *worker;

	cr_assert(in_child(serve_and_die, 0) == 1000 + SIGKILL);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	worker = shmat((int) file.shmem_id, NULL, 0);
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_IN_USE);
	shmdt(worker);
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_OK);
	shmem_exit(0);
	UnlinkLockFiles(0, 0);
	nothing_is_left();
}

/* ---- passing attachments ---- */

static bool
guard_is_locked(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path_of(HOLDFAST_LOCKFILE_GUARD), O_RDWR);

	(void) fcntl(fd, F_OFD_GETLK, &lock);
	close(fd);
	return lock.l_type != F_UNLCK;
}

/* Attaches, says so, and detaches only once a start is under way. */
static int
look_in_passing(int shmid, int ready)
{
	void *address = shmat(shmid, NULL, SHM_RDONLY);

	if (address == (void *) -1 || write(ready, "", 1) != 1)
		return 1;
	while (!guard_is_locked())
		sched_yield();
	return shmdt(address) == 0 ? 0 : 2;
}

Test(corpse, somebody_who_is_attached_only_to_look_does_not_stop_a_start)
{
	HoldfastLockfile file;
	int ready[2];
	int status;
	char byte;
	pid_t pid;

	cr_assert(in_child(serve_and_die, 0) == 1000 + SIGKILL);
	cr_assert(holdfast_lockfile_read(dir, &file) == HOLDFAST_OK);
	cr_assert(pipe(ready) == 0);
	pid = fork();
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(look_in_passing((int) file.shmem_id, ready[1]));
	}
	cr_assert(read(ready[0], &byte, 1) == 1);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK, "%s", holdfast_last_error()->message);
	waitpid(pid, &status, 0);
	cr_assert(status == 0);
	UnlinkLockFiles(0, 0);
	starts_and_stops();
}

/* ---- a creation that fails ---- */

static int calls;
static char lines[4096];

static void
count_call(int code, Datum arg)
{
	(void) code;
	(void) arg;
	calls++;
}

static void
collect(const HoldfastError *error, void *arg)
{
	(void) arg;
	strncat(lines, error->message, sizeof(lines) - strlen(lines) - 2);
	strcat(lines, "\n");
}

/* The lockfile is somebody else's by then: the segment cannot be recorded. */
Test(corpse, a_creation_that_fails_takes_back_its_own_callbacks_only)
{
	void *address;
	int shmid;

	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	cr_assert(on_shmem_exit(count_call, 0) == HOLDFAST_OK);
	cr_assert(unlink(path_of(HOLDFAST_LOCKFILE_NAME)) == 0);
	cr_assert(InternalIpcMemoryCreate(key_at(0), 8192, &address, &shmid) == HOLDFAST_IN_USE);
	cr_assert(address == NULL && UsedShmemSegAddr == NULL && UsedShmemSegID == 0);
	cr_assert(shmget(key_at(0), 0, 0) == -1 && errno == ENOENT, "the segment is left");
	cr_assert(calls == 0);
	holdfast_set_reporter(collect, NULL);
	shmem_exit(0);
	cr_assert(calls == 1);
	cr_assert_str_eq(lines, "");
	UnlinkLockFiles(0, 0);
	nothing_is_left();
}

Test(corpse, a_detached_creator_still_deletes_and_detaches_only_once)
{
	PGShmemHeader *header;

	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_OK);
	cr_assert(PGSharedMemoryDetach() == HOLDFAST_OK);
	holdfast_set_reporter(collect, NULL);
	shmem_exit(0);
	cr_assert_str_eq(lines, "");
	UnlinkLockFiles(0, 0);
	nothing_is_left();
}

static int
make_segment(int arg)
{
	(void) arg;
	return squat(4711) >= 0 ? 0 : 1;
}

Test(corpse, an_id_that_is_another_programs_by_now_is_not_deleted)
{
	int shmid;

	cr_assert(in_child(make_segment, 0) == 0);
	shmid = shmget(4711, 0, 0);
	holdfast_set_reporter(collect, NULL);
	IpcMemoryDelete(0, (Datum) shmid);
	cr_assert(strstr(lines, "left alone") != NULL);
	cr_assert(shmctl(shmid, IPC_RMID, NULL) == 0);
	lines[0] = '\0';
	IpcMemoryDelete(0, (Datum) shmid);
	cr_assert(strstr(lines, "failed: Invalid argument") != NULL, "%s", lines);
	IpcMemoryDetach(0, (Datum) &shmid);
	cr_assert(strstr(lines, "shmdt(") != NULL);
	nothing_is_left();
}

/* ---- limits ---- */

static void
set_limit(const char *name, const char *value)
{
	int fd = open(name, O_WRONLY);

	cr_assert(fd >= 0 && write(fd, value, strlen(value)) > 0);
	close(fd);
}

Test(corpse, the_kernels_limits_are_named)
{
	PGShmemHeader *header;

	if (geteuid() != 0)
		skip("needs an IPC namespace of its own");
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	set_limit("/proc/sys/kernel/shmmni", "0");
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == ENOSPC);
	cr_assert(strstr(holdfast_last_error()->hint, "does *not* mean that you have run out of disk"));
	cr_assert(strstr(holdfast_last_error()->hint, "SHMMNI") != NULL);
	set_limit("/proc/sys/kernel/shmmni", "4096");
	set_limit("/proc/sys/kernel/shmmax", "4096");
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(holdfast_last_error()->saved_errno == EINVAL);
	cr_assert(strstr(holdfast_last_error()->hint, "SHMMAX") != NULL);
	set_limit("/proc/sys/kernel/shmmax", "1000000");
	set_limit("/proc/sys/kernel/shmall", "1");
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_SYSTEM_ERROR);
	cr_assert(strstr(holdfast_last_error()->hint, "overall limit") != NULL);
	set_limit("/proc/sys/kernel/shmall", "1000000");
	cr_assert(PGSharedMemoryCreate(8192, &header) == HOLDFAST_OK, "nothing is in the way any more");
	shmem_exit(0);
	UnlinkLockFiles(0, 0);
	nothing_is_left();
}
