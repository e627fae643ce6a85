/*
 * test_inject_defects.c
 *		More of what is wrong in libfiu and its preload library, and is not here.  docs/injection.md lists all.
 *
 * Where it can be shown in a line, libfiu's own behaviour is shown beside ours: a defect that was mended there fails
 * here, and the documentation is to be changed.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fiu-control.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIU_ENABLE
#include <fiu.h>

#include "../support/arm.h"
#include "inject/inject.h"

TestSuite(inject_defects, .timeout = 120);

/* What the library's calls are linked to. */
int __wrap_shmget(key_t key, size_t size, int flags);
int __wrap_munmap(void *address, size_t length);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *data, size_t count);

static void
reach(void)
{
	INJECT_POINT("test/defects/point", INJECT_ANYWHERE, "nothing");
}

static void
reach_other(void)
{
	INJECT_POINT("test/defects/other", INJECT_ANYWHERE, "nothing");
}

static uint64_t
fires(int index)
{
	InjectItemInfo info;

	cr_assert(inject_item_at(index, &info));
	return info.fires;
}

static int
child(int (*body)(void))
{
	pid_t parent = getpid();
	pid_t pid = fork();
	int status;

	cr_assert(pid >= 0);
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getppid() == parent ? body() : 99);
	}
	cr_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* ---- values that are wrong ---- */

/* libfiu's munmap "fails" with 0. */
Test(inject_defects, munmap_fails_with_minus_one)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	arm("posix/mm/munmap=#1 errno(EINVAL)");
	errno = 0;
	cr_expect(__wrap_munmap(page, 4096) == -1 && errno == EINVAL);
	cr_expect(__wrap_munmap(page, 4096) == 0);
}

/* libfiu's lists say EACCESS and EBADFD, so that EACCES and EBADF never come. */
Test(inject_defects, errnos_are_those_of_the_manual)
{
	char byte;

	arm("file/open=errno(EACCES); file/read=errno(EBADF)");
	cr_expect(__wrap_open("/dev/null", O_RDONLY) == -1 && errno == EACCES);
	cr_expect(__wrap_read(0, &byte, 1) == -1 && errno == EBADF);
	cr_expect(inject_arm("file/open=errno(EACCESS)", NULL) == INJECT_BAD_PLAN);
	cr_expect(inject_arm("file/read=errno(EBADFD)", NULL) == INJECT_BAD_PLAN);
}

/* libfiu's fiu_failinfo() is that of the last failure, whichever point it was at. */
Test(inject_defects, no_failure_is_taken_for_another)
{
	cr_assert(fiu_init(0) == 0);
	cr_assert(fiu_enable("elsewhere", 1, (void *) 17, 0) == 0);
	cr_assert(fiu_fail("elsewhere") == 1 && fiu_fail("not enabled") == 0);
	cr_expect(fiu_failinfo() == (void *) 17, "libfiu: stale after a miss");
	arm("sysv/shm/shmget=#1 errno(ENOSPC)->#1 errno(ENOMEM)");
	cr_expect(__wrap_shmget(-1, 0, 0) == -1 && errno == ENOSPC);
	cr_expect(__wrap_shmget(-1, 0, 0) == -1 && errno == ENOMEM);
	errno = 0;
	cr_expect(__wrap_shmget(-1, 0, 0) == -1 && errno == ENOENT, "the kernel's own");
}

/* libfiu divides by the count. */
Test(inject_defects, a_read_of_nothing_can_be_cut)
{
	char byte = 'x';
	int fd = open("/dev/zero", O_RDONLY);

	arm("file/read=short(1)");
	cr_expect(__wrap_read(fd, &byte, 0) == 0 && fires(0) == 1);
	cr_expect(__wrap_read(fd, &byte, 1) == 1);
	close(fd);
}

/* ---- chance ---- */

static int
libfiu_pattern(void)
{
	int bits = 0;

	for (int i = 0; i < 7; i++)
		bits |= fiu_fail("elsewhere") << i;
	return bits;
}

static int
our_pattern(void)
{
	int bits = 0;

	for (int i = 0; i < 7; i++)
	{
		uint64_t before = fires(0);

		reach();
		bits |= (int) (fires(0) - before) << i;
	}
	return bits;
}

Test(inject_defects, a_seed_does_not_repeat_in_each_child)
{
	int first[4];
	int differ = 0;

	cr_assert(fiu_init(0) == 0);
	fiu_set_prng_seed(7);
	cr_assert(fiu_enable_random("elsewhere", 1, NULL, 0, 0.5f) == 0);
	cr_expect(child(libfiu_pattern) == child(libfiu_pattern), "libfiu: one sequence in all");
	arm("seed=7; test/defects/point=50% count");
	for (int i = 0; i < 4; i++)
		first[i] = child(our_pattern);
	for (int i = 1; i < 4; i++)
		differ += first[i] != first[0];
	cr_expect(differ > 0);
}

/* ---- names ---- */

/* libfiu's exact name hides the wildcard even when it is spent. */
Test(inject_defects, a_spent_name_hides_no_wildcard)
{
	cr_assert(fiu_init(0) == 0);
	cr_assert(fiu_enable("defects/here", 1, NULL, FIU_ONETIME) == 0);
	cr_assert(fiu_enable("defects/*", 1, NULL, 0) == 0);
	cr_assert(fiu_fail("defects/here") == 1);
	cr_expect(fiu_fail("defects/here") == 0, "libfiu: the spent name hides the wildcard");
	arm("test/defects/point=1*count; test/defects/*=count");
	reach();
	reach();
	cr_expect(fires(0) == 1 && fires(1) == 1);
}

/* libfiu's fiu_disable() takes nothing out of a wildcard; which of two wildcards wins is not said. */
Test(inject_defects, a_name_can_be_taken_out_of_a_wildcard)
{
	arm("test/defects/other=off; test/defects/*=count; test/*=print");
	reach();
	reach_other();
	cr_expect(fires(1) == 1 && fires(2) == 0, "in the order of the plan");
}

/* ---- signals and jumps ---- */

static sigjmp_buf out;
static volatile sig_atomic_t in_handler;

static void
meet_a_fault_and_jump(int number)
{
	(void) number;
	in_handler = __wrap_shmget(-1, 0, 0) == -1 && errno == ENOSPC;
	siglongjmp(out, 1);
}

/* libfiu's preload marks a thread as inside while the real call blocks: handlers see no faults, and after a jump out the
 * thread never sees one again. */
Test(inject_defects, a_handler_amid_a_call_meets_faults_and_may_jump_out)
{
	struct sigaction action = {.sa_handler = meet_a_fault_and_jump};
	int ends[2];
	char byte;

	cr_assert(pipe(ends) == 0);
	arm("sysv/shm/shmget=errno(ENOSPC); file/read=#2 errno(EIO)");
	sigaction(SIGALRM, &action, NULL);
	if (sigsetjmp(out, 1) == 0)
	{
		ualarm(20000, 0);
		(void) __wrap_read(ends[0], &byte, 1); /* blocks for ever */
		cr_assert_fail("there was nothing to read");
	}
	cr_expect(in_handler == 1);
	cr_expect(__wrap_read(ends[0], &byte, 1) == -1 && errno == EIO);
	cr_expect(__wrap_shmget(-1, 0, 0) == -1 && errno == ENOSPC);
}

static void
reach_from_callback(const char *point, void *arg)
{
	(void) point;
	reach_other();
	if (arg != NULL)
		siglongjmp(out, 1);
}

/* libfiu's callbacks run under its lock: points in them do not fire, and a jump leaves it locked. */
Test(inject_defects, a_callback_meets_points_and_may_jump_out)
{
	cr_assert(inject_register_call("nested", reach_from_callback, NULL) == INJECT_OK);
	cr_assert(inject_register_call("jump", reach_from_callback, &out) == INJECT_OK);
	arm("test/defects/point=#1 call(nested)->#1 call(jump)->count; test/defects/other=count");
	reach();
	cr_expect(fires(1) == 1);
	if (sigsetjmp(out, 1) == 0)
	{
		reach();
		cr_assert_fail("it jumps");
	}
	reach();
	cr_expect(fires(0) == 3 && fires(1) == 2);
	cr_expect(fiu_enable("elsewhere", 1, NULL, 0) == 0, "libfiu's lock is free");
}

/* ---- control ---- */

/* Asking libfiu whether a point is armed is a hit of it. */
Test(inject_defects, looking_spends_nothing)
{
	InjectPointInfo info;
	InjectItemInfo item;

	arm("test/defects/point=1*count");
	for (int i = 0; i < 100; i++)
		cr_expect(inject_point_find("test/defects/point", &info) && info.armed && info.hits == 0 &&
				  inject_item_at(0, &item) && inject_unfired(NULL, 0, NULL) == 1);
	reach();
	cr_expect(fires(0) == 1);
}

/* fiu-ctrl waits for a process that is stopped, and reaches only those that it is told. */
Test(inject_defects, a_stopped_process_is_armed_and_holds_up_nobody)
{
	int status;
	pid_t pid;

	arm("test/defects/point=off");
	pid = fork();
	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		raise(SIGSTOP);
		reach();
		_exit(0);
	}
	cr_assert(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	arm("test/defects/point=exit(7)");
	cr_assert(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, 0) == pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static volatile bool reaching = true;

static void *
reach_all_the_time(void *arg)
{
	while (reaching)
		reach();
	return arg;
}

/* libfiu's lock prefers readers: whoever arms waits for a moment without any. */
Test(inject_defects, arming_is_not_starved)
{
	pthread_t threads[4];

	arm("test/defects/point=count");
	for (int i = 0; i < 4; i++)
		cr_assert(pthread_create(&threads[i], NULL, reach_all_the_time, NULL) == 0);
	for (int i = 0; i < 500; i++)
		arm(i % 2 == 0 ? "test/defects/point=count" : "test/defects/point=off");
	reaching = false;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static int
die_at_once(void)
{
	reach();
	_exit(3);
}

/* fiu-run's named pipes stay behind whoever is killed. */
Test(inject_defects, nothing_stays_behind_on_disk)
{
	char directory[] = "/tmp/holdfast-defects-XXXXXX";
	DIR *listing;
	int entries = 0;

	cr_assert(mkdtemp(directory) != NULL && chdir(directory) == 0);
	setenv("TMPDIR", directory, 1);
	arm("test/defects/point=exit(4)");
	cr_expect(child(die_at_once) == 4);
	listing = opendir(directory);
	cr_assert(listing != NULL);
	for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing))
		entries += entry->d_name[0] != '.';
	closedir(listing);
	cr_expect(entries == 0);
	cr_expect(chdir("/") == 0 && rmdir(directory) == 0);
}
