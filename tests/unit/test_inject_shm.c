/*
 * test_inject_shm.c
 *		The wrapped calls: every documented errno of each, death before and after, damage on the way; and the
 *		same calls in a program that knows nothing of us, by preload.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/pg_shmem.h>

#include "../support/arm.h"
#include "../support/fixture.h"
#include "inject/inject.h"
#include "inject/syscall/errno_table.h"

TestSuite(inject_shm, .timeout = 120);

/* What the library's calls are linked to. */
int __wrap_shmget(key_t key, size_t size, int flags);
void *__wrap_shmat(int shmid, const void *address, int flags);
int __wrap_shmdt(const void *address);
int __wrap_shmctl(int shmid, int command, struct shmid_ds *status);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *data, size_t count);
ssize_t __wrap_pread(int fd, void *data, size_t count, off_t offset);
ssize_t __wrap_write(int fd, const void *data, size_t count);
ssize_t __wrap_pwrite(int fd, const void *data, size_t count, off_t offset);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_unlink(const char *path);
pid_t __wrap_fork(void);

static int
outcome(pid_t pid)
{
	int status;

	cr_assert(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int
new_segment(void)
{
	int shmid = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	cr_assert(shmid >= 0);
	return shmid;
}

/* Gone, or only waiting for its last attachment. */
static void
remove_segment(int shmid)
{
	cr_assert(shmctl(shmid, IPC_RMID, NULL) == 0);
}

static uint64_t
point_hits(const char *name)
{
	InjectPointInfo info;

	cr_assert(inject_point_find(name, &info), "%s", name);
	return info.hits;
}

/* ---- every errno ---- */

/* The call that a point is before; true when it failed with `number`. */
static bool
fails_with(const char *point, int number, int shmid, void *attached)
{
	struct shmid_ds status;
	long result = 0;

	errno = 0;
	if (strcmp(point, "sysv/shm/shmget") == 0)
		result = __wrap_shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	else if (strcmp(point, "sysv/shm/shmat") == 0)
		result = (long) __wrap_shmat(shmid, NULL, 0);
	else if (strcmp(point, "sysv/shm/shmdt") == 0)
		result = __wrap_shmdt(attached);
	else if (strcmp(point, "sysv/shm/shmctl") == 0)
		result = __wrap_shmctl(shmid, IPC_STAT, &status);
	return result == -1 && errno == number;
}

Test(inject_shm, every_documented_errno_of_each_shm_call)
{
	int shmid = new_segment();
	void *attached = shmat(shmid, NULL, 0);
	struct shmid_ds status;
	int tried = 0;

	for (int i = 0; inject_call_spec_at(i) != NULL; i++)
	{
		const InjectCallSpec *spec = inject_call_spec_at(i);

		if (strncmp(spec->point, "sysv/shm/", 9) != 0 || spec->errnos == NULL)
			continue;
		for (int j = 0; spec->errnos[j] != 0; j++, tried++)
		{
			char plan[128];

			snprintf(plan, sizeof(plan), "%s=#1 errno(%s)", spec->point,
					 inject_errno_name(spec->errnos[j]));
			arm(plan);
			cr_expect(fails_with(spec->point, spec->errnos[j], shmid, attached), "%s: %s", plan,
					  strerror(errno));
			cr_expect(inject_unfired(NULL, 0, NULL) == 0, "%s", plan);
		}
	}
	cr_expect(tried == 20, "%d", tried);
	/* None of these calls was made. */
	cr_assert(shmctl(shmid, IPC_STAT, &status) == 0);
	cr_expect(status.shm_nattch == 1);
	shmdt(attached);
	remove_segment(shmid);
}

Test(inject_shm, an_errno_that_is_not_documented_is_refused)
{
	InjectError error;
	int refused = 0;

	cr_assert(inject_table_create(NULL) == INJECT_OK);
	for (int i = 0; inject_call_spec_at(i) != NULL; i++)
	{
		const InjectCallSpec *spec = inject_call_spec_at(i);
		char plan[128];

		snprintf(plan, sizeof(plan), "%s=errno(ENOTNAM)", spec->point);
		cr_expect(inject_arm(plan, &error) == INJECT_BAD_PLAN, "%s", plan);
		refused++;
	}
	cr_expect(refused > 15);
}

Test(inject_shm, the_argument_chooses_the_call)
{
	int shmid = new_segment();
	struct shmid_ds status;

	arm("sysv/shm/shmctl=errno(EPERM)[arg=IPC_RMID]; "
		"sysv/shm/shmget=errno(EINVAL)[arg=5000..6000]");
	cr_expect(__wrap_shmctl(shmid, IPC_STAT, &status) == 0);
	cr_expect(__wrap_shmctl(shmid, IPC_RMID, NULL) == -1 && errno == EPERM);
	cr_expect(__wrap_shmget(IPC_PRIVATE, 5500, IPC_CREAT | 0600) == -1 && errno == EINVAL);
	remove_segment(shmid);
	shmid = __wrap_shmget(IPC_PRIVATE, 4999, IPC_CREAT | 0600);
	cr_expect(shmid >= 0);
	remove_segment(shmid);
}

Test(inject_shm, the_library_meets_what_is_injected)
{
	void *address;
	IpcMemoryId shmid;
	uint64_t hits;

	cluster_start();
	arm("sysv/shm/shmget=errno(ENOSPC)");
	cr_expect(InternalIpcMemoryCreate(4711, 4096, &address, &shmid) == HOLDFAST_SYSTEM_ERROR);
	cr_expect(holdfast_last_error()->saved_errno == ENOSPC);
	cr_expect(strstr(holdfast_last_error()->hint, "SHMMNI") != NULL, "%s",
			  holdfast_last_error()->hint);
	hits = point_hits("sysv/shm/shmget");
	cr_expect(hits > 0);
	/* The test's own calls are its own. */
	remove_segment(new_segment());
	cr_expect(point_hits("sysv/shm/shmget") == hits);
	inject_disarm_all();
	cluster_stop();
}

/* ---- death around a call ---- */

static pid_t
child_that_creates(int pipe_end)
{
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int shmid = -1; shmid < 0;)
	{
		shmid = __wrap_shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
		if (shmid >= 0 && write(pipe_end, &shmid, sizeof(shmid)) != sizeof(shmid))
			_exit(1);
	}
	_exit(0);
}

static int
count_segments(void)
{
	struct shm_info info;

	cr_assert(shmctl(0, SHM_INFO, (struct shmid_ds *) (void *) &info) >= 0);
	return info.used_ids;
}

/* The segment of a corpse: created by pid `creator`. */
static int
find_segment_of(pid_t creator)
{
	struct shmid_ds status;
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *) (void *) &info);

	for (int i = 0; i <= last; i++)
	{
		int shmid = shmctl(i, SHM_STAT, &status);

		if (shmid >= 0 && status.shm_cpid == creator)
			return shmid;
	}
	return -1;
}

Test(inject_shm, death_before_shmget_leaves_none_and_after_it_one)
{
	int ends[2];
	int shmid;
	pid_t pid;

	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	arm("sysv/shm/shmget=kill");
	pid = child_that_creates(ends[1]);
	cr_expect(outcome(pid) == 1000 + SIGKILL);
	cr_expect(find_segment_of(pid) == -1);
	arm("sysv/shm/post-shmget=kill");
	pid = child_that_creates(ends[1]);
	cr_expect(outcome(pid) == 1000 + SIGKILL);
	shmid = find_segment_of(pid);
	cr_expect(shmid >= 0, "an orphan is what this point is for");
	if (shmid >= 0)
		remove_segment(shmid);
}

/* ---- damage ---- */

Test(inject_shm, a_byte_of_the_segment_is_changed_as_it_is_attached)
{
	int shmid = new_segment();
	unsigned char *attached;

	arm("sysv/shm/post-shmat=#1 corrupt(4100,0x81)");
	attached = __wrap_shmat(shmid, NULL, 0);
	cr_assert(attached != (void *) -1);
	/* the offset is taken modulo the size */
	cr_expect(attached[4] == 0x81 && attached[3] == 0 && attached[5] == 0);
	shmdt(attached);
	attached = __wrap_shmat(shmid, NULL, SHM_RDONLY);
	cr_expect(attached != (void *) -1 && attached[4] == 0x81);
	shmdt(attached);
	remove_segment(shmid);
}

static int
memory_file(const char *content)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	cr_assert(fd >= 0);
	cr_assert(pwrite(fd, content, strlen(content), 0) == (ssize_t) strlen(content));
	return fd;
}

static void
check_content(int fd, const char *expected)
{
	char content[64] = "";

	cr_assert(pread(fd, content, sizeof(content) - 1, 0) >= 0);
	cr_expect_str_eq(content, expected);
}

Test(inject_shm, writes_are_cut_torn_lost_and_changed)
{
	int fd = memory_file("");

	arm("file/write=#1 short(3)->#1 torn(2)->#1 skip->#1 corrupt(9,0x20)->#1 errno(ENOSPC)->"
		"#1 return(7)");
	cr_expect(__wrap_write(fd, "abcdef", 6) == 3);
	check_content(fd, "abc");
	cr_expect(__wrap_write(fd, "DEFGHI", 6) == 6);
	check_content(fd, "abcDE");
	cr_expect(__wrap_write(fd, "lost", 4) == 4);
	check_content(fd, "abcDE");
	cr_expect(__wrap_write(fd, "vwxyz", 5) == 5);
	check_content(fd, "abcDEvwxyZ");
	cr_expect(__wrap_write(fd, "full", 4) == -1 && errno == ENOSPC);
	cr_expect(__wrap_write(fd, "full", 4) == 7);
	cr_expect(__wrap_write(fd, "!", 1) == 1);
	check_content(fd, "abcDEvwxyZ!");
	close(fd);
}

Test(inject_shm, positioned_writes_are_damaged_in_place)
{
	int fd = memory_file("0123456789");

	arm("file/pwrite=#1 corrupt(1,0x20)->#1 torn(1)->#1 short(0)");
	cr_expect(__wrap_pwrite(fd, "abc", 3, 2) == 3);
	check_content(fd, "01aBc56789");
	cr_expect(__wrap_pwrite(fd, "xyz", 3, 7) == 3);
	check_content(fd, "01aBc56x89");
	/* libfiu's short counts divide by zero here */
	cr_expect(__wrap_pwrite(fd, "xyz", 3, 0) == 0);
	cr_expect(__wrap_pwrite(fd, "", 0, 0) == 0);
	check_content(fd, "01aBc56x89");
	close(fd);
}

Test(inject_shm, reads_are_cut_and_changed)
{
	int fd = memory_file("abcdef");
	char data[8] = "";

	arm("file/read=#1 short(2)->#1 corrupt(0,0x20)->#1 errno(EIO); file/pread=#1 corrupt(7,0x20)");
	cr_assert(lseek(fd, 0, SEEK_SET) == 0);
	cr_expect(__wrap_read(fd, data, 6) == 2 && memcmp(data, "ab", 2) == 0);
	cr_expect(__wrap_read(fd, data, 2) == 2 && memcmp(data, "Cd", 2) == 0);
	cr_expect(__wrap_read(fd, data, 2) == -1 && errno == EIO);
	cr_expect(__wrap_read(fd, data, 2) == 2 && memcmp(data, "ef", 2) == 0);
	cr_expect(__wrap_pread(fd, data, 6, 0) == 6 && memcmp(data, "aBcdef", 6) == 0);
	close(fd);
}

Test(inject_shm, a_failed_close_has_closed)
{
	int fd = memory_file("");

	arm("file/close=#1 errno(EIO)->#1 errno(EBADF); file/fsync=#1 skip->errno(EIO)");
	cr_expect(__wrap_fsync(fd) == 0);
	cr_expect(__wrap_fsync(fd) == -1 && errno == EIO);
	cr_expect(__wrap_close(fd) == -1 && errno == EIO);
	cr_expect(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
	fd = memory_file("");
	cr_expect(__wrap_close(fd) == -1 && errno == EBADF);
	cr_expect(fcntl(fd, F_GETFD) >= 0);
	cr_expect(__wrap_close(fd) == 0);
}

Test(inject_shm, other_calls_fail_as_they_are_told)
{
	arm("file/open=#1 errno(EMFILE); file/unlink=skip; process/fork=#1 errno(EAGAIN)");
	cr_expect(__wrap_open("/dev/null", O_RDONLY) == -1 && errno == EMFILE);
	cr_expect(__wrap_unlink("/nowhere/at/all") == 0);
	cr_expect(__wrap_fork() == -1 && errno == EAGAIN);
}

Test(inject_shm, errno_is_left_alone_where_nothing_fails)
{
	int shmid;

	arm("sysv/shm/*=print; sysv/shm/*=yield");
	errno = EXDEV;
	shmid = __wrap_shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	cr_expect(shmid >= 0 && errno == EXDEV);
	cr_expect(__wrap_shmctl(shmid, IPC_RMID, NULL) == 0 && errno == EXDEV);
}

/* ---- programs that know nothing of us ---- */

/* The module lies in the directory "lib" beside that of this program. */
static const char *
preload_path(void)
{
	static char path[PATH_MAX];
	char self[PATH_MAX] = "";

	cr_assert(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	cr_assert(snprintf(path, sizeof(path), "%s/../lib/holdfast_preload.so", dirname(self)) <
			  PATH_MAX);
	cr_assert(access(path, R_OK) == 0, "%s", path);
	return path;
}

typedef struct Output
{
	int outcome;
	char text[2048]; /* stdout and stderr */
} Output;

/* A shell command under preload; `plan` NULL: by the table of this process. */
static Output
run_preloaded(const char *plan, const char *command)
{
	Output output = {0};
	size_t length = 0;
	ssize_t got;
	int ends[2];
	pid_t pid;

	cr_assert(pipe(ends) == 0);
	pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		setenv("LD_PRELOAD", preload_path(), 1);
		if (plan != NULL)
			setenv(INJECT_PLAN_ENV, plan, 1);
		execl("/bin/sh", "sh", "-c", command, (char *) NULL);
		_exit(127);
	}
	close(ends[1]);
	while (length < sizeof(output.text) - 1 &&
		   (got = read(ends[0], output.text + length, sizeof(output.text) - 1 - length)) > 0)
		length += (size_t) got;
	close(ends[0]);
	output.outcome = outcome(pid);
	return output;
}

Test(inject_shm, any_program_meets_its_errno)
{
	Output output = run_preloaded("sysv/shm/shmget=#1 errno(ENOSPC)", "exec ipcmk -M 4096");

	cr_expect(output.outcome == 1, "%d: %s", output.outcome, output.text);
	cr_expect(strstr(output.text, strerror(ENOSPC)) != NULL, "%s", output.text);
}

Test(inject_shm, any_program_is_killed)
{
	int before = count_segments();

	cr_expect(run_preloaded("sysv/shm/shmget=kill", "exec ipcmk -M 4096").outcome ==
			  1000 + SIGKILL);
	cr_expect(count_segments() == before);
}

Test(inject_shm, a_bad_plan_ends_a_program_loudly)
{
	Output output = run_preloaded("sysv/shm/shmgte=kill", "echo not reached");

	cr_expect(output.outcome == 2);
	cr_expect_str_eq(output.text, "holdfast_preload: 1:1: no point is called \"sysv/shm/shmgte\"; "
								  "did you mean \"sysv/shm/shmget\"?\n");
}

Test(inject_shm, nothing_armed_changes_nothing)
{
	Output output = run_preloaded(NULL, "echo as ever; cat /proc/sys/kernel/ostype");

	cr_expect(output.outcome == 0);
	cr_expect_str_eq(output.text, "as ever\nLinux\n");
}

/* The shell's children attach to our table: one arm, numbers here, by process and name. */
Test(inject_shm, a_table_is_shared_with_what_is_executed)
{
	InjectProcInfo proc;
	bool found = false;
	Output output;

	arm("sysv/shm/shmget=errno(EINVAL)[proc=ipcmk.1]");
	cr_assert(inject_table_export(NULL) == INJECT_OK);
	output =
		run_preloaded(NULL, "one() { i=$(ipcmk -M 4096) && ipcrm -m ${i##* }; }; one && ! one");
	cr_expect(output.outcome == 0, "%d: %s", output.outcome, output.text);
	cr_expect(point_hits("sysv/shm/shmget") == 2);
	cr_expect(inject_unfired(NULL, 0, NULL) == 0);
	for (int i = 0; inject_proc_at(i, &proc); i++)
		if (strcmp(proc.role, "ipcmk") == 0 && proc.ordinal == 1)
		{
			found = true;
			cr_expect(!proc.live && proc.fires == 1);
			cr_expect_str_eq(proc.last_action, "errno");
		}
	cr_expect(found);
}

Test(inject_shm, a_table_that_somebody_closed_is_said_and_survived)
{
	Output output;

	setenv(INJECT_FD_ENV, "777", 1);
	output = run_preloaded(NULL, "echo still here");
	cr_expect(output.outcome == 0);
	cr_expect(strstr(output.text, "holdfast_preload: no control table") != NULL, "%s", output.text);
	cr_expect(strstr(output.text, "still here") != NULL);
	setenv(INJECT_FD_ENV, "1", 1);
	cr_expect(run_preloaded(NULL, "echo not reached").outcome == 2);
}

Test(inject_shm, programs_that_do_not_include_us_see_no_name_of_ours)
{
	/* What the module exports are the calls; everything else in it is hidden. */
	char command[PATH_MAX + 64];
	Output output;

	snprintf(command, sizeof(command), "nm -D --defined-only %s | grep -c -e inject -e fiu",
			 preload_path());
	output = run_preloaded(NULL, command);
	cr_expect_str_eq(output.text, "0\n");
}
