/*
 * test_runner_sandbox.c
 *		A case can go wrong in many ways; each must come out as what it is, and leave nothing on this machine.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oracle/leftovers.h"
#include "runner/actor.h"
#include "runner/clock.h"
#include "runner/faults.h"
#include "runner/runner.h"

TestSuite(runner_sandbox, .timeout = 60);

/* What the listener saw last. */
static struct
{
	size_t count;
	ScenarioStatus status;
	char message[512], detail[4096], replay[512];
	double milliseconds;
} seen;

static void
copy_text(char *to, size_t size, ScenarioText from)
{
	size_t length = from.length < size - 1 ? from.length : size - 1;

	if (length)
		memcpy(to, from.bytes, length);
	to[length] = '\0';
}

static void
listen_to(const ScenarioResult *result, void *arg)
{
	(void) arg;
	seen.count++;
	seen.status = result->status;
	seen.milliseconds = result->milliseconds;
	copy_text(seen.message, sizeof(seen.message), result->message);
	copy_text(seen.detail, sizeof(seen.detail), result->detail);
	snprintf(seen.replay, sizeof(seen.replay), "%s", result->replay ? result->replay : "");
}

static void
no_list(ScenarioCaseList *list)
{
	(void) list;
}

/* Runs one case of a scenario made for the occasion. */
static RunnerOutcome
run_with(ScenarioStatus (*body)(ScenarioContext *, const ScenarioCase *), const char *plan,
		 unsigned repeat, RunnerSummary *summary)
{
	Scenario scenario = {.id = "t99-test",
						 .summary = "for a test",
						 .list = no_list,
						 .run = body,
						 .deadline_ms = 300,
						 .flags = SCENARIO_TAKES_PLAN};
	ScenarioCase which = {.name = "one"};
	RunnerItem item = {.scenario = &scenario, .which = &which, .has_seed = true, .seed = 0x7f3a};
	RunnerSelection selection = {.item = &item, .count = 1};
	RunnerConfig config = {
		.selection = &selection, .jobs = 2, .plan = plan, .repeat = repeat, .listener = listen_to};

	memset(&seen, 0, sizeof(seen));
	return runner_run(&config, summary);
}

static RunnerOutcome
run_one(ScenarioStatus (*body)(ScenarioContext *, const ScenarioCase *))
{
	RunnerSummary summary;
	int segments = leftovers_count_segments();
	RunnerOutcome outcome = run_with(body, NULL, 1, &summary);

	cr_assert_eq(summary.run, 1);
	cr_assert_eq(seen.count, 1);
	cr_assert_eq(leftovers_count_segments(), segments, "the case's segments are not ours");
	return outcome;
}

/* ---- good ---- */

static ScenarioStatus
good(ScenarioContext *ctx, const ScenarioCase *which)
{
	SCENARIO_REQUIRE(ctx, strcmp(which->name, "one") == 0, "wrong case");
	SCENARIO_REQUIRE(ctx, ctx->seed == 0x7f3a, "wrong seed");
	SCENARIO_REQUIRE(ctx, access(ctx->data_dir, W_OK) == 0, "no data directory");
	SCENARIO_REQUIRE(ctx, getppid() == 1, "not alone in its PID namespace");
	SCENARIO_REQUIRE(ctx, leftovers_count_segments() == 0, "not alone in its IPC namespace");
	return SCENARIO_PASS;
}

Test(runner_sandbox, a_good_case_passes)
{
	cr_assert_eq(run_one(good), RUNNER_GOOD, "%s", seen.message);
	cr_assert_eq(seen.status, SCENARIO_PASS);
	cr_assert_str_eq(seen.replay, "holdfast replay t99-test/one@7f3a");
}

static ScenarioStatus
skipped(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) which;
	return scenario_skip(ctx, "no %s here", "moon");
}

Test(runner_sandbox, a_skip_is_good_and_says_why)
{
	cr_assert_eq(run_one(skipped), RUNNER_GOOD);
	cr_assert_eq(seen.status, SCENARIO_SKIP);
	cr_assert_str_eq(seen.message, "no moon here");
}

/* ---- the oracle says no ---- */

static ScenarioStatus
fails_twice(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) which;
	scenario_log(ctx, "once upon a time");
	printf("words on stdout\n");
	fflush(stdout);
	scenario_fail(ctx, "the first reason");
	return scenario_fail(ctx, "the second reason");
}

Test(runner_sandbox, the_first_reason_is_the_message)
{
	cr_assert_eq(run_one(fails_twice), RUNNER_FINDINGS);
	cr_assert_eq(seen.status, SCENARIO_FAIL);
	cr_assert_str_eq(seen.message, "the first reason");
	cr_assert_not_null(strstr(seen.detail, "once upon a time"));
	cr_assert_not_null(strstr(seen.detail, "the second reason"));
	cr_assert_not_null(strstr(seen.detail, "words on stdout"));
}

/* ---- it does not come back ---- */

static ScenarioStatus
dies(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) which;
	scenario_log(ctx, "about to die");
	raise(SIGSEGV);
	return SCENARIO_PASS;
}

Test(runner_sandbox, a_case_that_dies_fails)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	sigaction(SIGSEGV, &action, NULL); /* sanitizers have one of their own */
	cr_assert_eq(run_one(dies), RUNNER_FINDINGS);
	cr_assert_not_null(strstr(seen.message, "signal 11"), "%s", seen.message);
	cr_assert_not_null(strstr(seen.detail, "about to die"));
}

static ScenarioStatus
exits(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) ctx;
	(void) which;
	_exit(0);
}

Test(runner_sandbox, a_case_that_exits_in_the_middle_fails_even_with_zero)
{
	cr_assert_eq(run_one(exits), RUNNER_FINDINGS);
	cr_assert_not_null(strstr(seen.message, "exit(0) in the middle"), "%s", seen.message);
}

static ScenarioStatus
hangs(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) ctx;
	(void) which;
	while (pause() < 0)
		continue;
	return SCENARIO_PASS;
}

Test(runner_sandbox, a_case_that_hangs_fails_at_its_deadline)
{
	cr_assert_eq(run_one(hangs), RUNNER_FINDINGS);
	cr_assert_not_null(strstr(seen.message, "no end after 300 ms"), "%s", seen.message);
	cr_assert_not_null(strstr(seen.detail, "process "), "what hangs is described");
	cr_assert(seen.milliseconds > 300 && seen.milliseconds < 5000);
}

/* ---- it leaves something ---- */

static ScenarioStatus
leaves_process(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) ctx;
	(void) which;
	if (fork() == 0)
		for (;;)
			pause();
	return SCENARIO_PASS;
}

static ScenarioStatus
leaves_segment(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) which;
	SCENARIO_REQUIRE(ctx, shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) >= 0, "no segment");
	return SCENARIO_PASS;
}

static ScenarioStatus
leaves_semaphore(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) which;
	SCENARIO_REQUIRE(ctx, semget(IPC_PRIVATE, 1, IPC_CREAT | 0600) >= 0, "no semaphore");
	return SCENARIO_PASS;
}

static ScenarioStatus
leaves_file(ScenarioContext *ctx, const ScenarioCase *which)
{
	char path[4096];

	(void) which;
	snprintf(path, sizeof(path), "%s/forgotten", ctx->data_dir);
	SCENARIO_REQUIRE(ctx, open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0, "no file");
	return SCENARIO_PASS;
}

static ScenarioStatus
leaves_lockfile(ScenarioContext *ctx, const ScenarioCase *which)
{
	char path[4096];

	(void) which;
	snprintf(path, sizeof(path), "%s/postmaster.pid", ctx->data_dir);
	SCENARIO_REQUIRE(ctx, open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0, "no file");
	return SCENARIO_PASS;
}

Test(runner_sandbox, whatever_is_left_fails_the_case)
{
	static const struct
	{
		ScenarioStatus (*body)(ScenarioContext *, const ScenarioCase *);
		const char *found;
	} cases[] = {
		{leaves_process, "processes:"},       {leaves_segment, "segments: [id"},
		{leaves_semaphore, "semaphore sets"}, {leaves_file, "file "},
		{leaves_lockfile, "/postmaster.pid"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		cr_assert_eq(run_one(cases[i].body), RUNNER_FINDINGS, "%s", cases[i].found);
		cr_assert_not_null(strstr(seen.message, "left behind"), "%s", seen.message);
		cr_assert_not_null(strstr(seen.message, cases[i].found), "%s", seen.message);
	}
}

static ScenarioStatus
leaves_what_it_declared(ScenarioContext *ctx, const ScenarioCase *which)
{
	scenario_leaves(ctx, SCENARIO_LEAVES_SEGMENT | SCENARIO_LEAVES_FILE | SCENARIO_LEAVES_PROCESS);
	SCENARIO_TRY(leaves_segment(ctx, which));
	SCENARIO_TRY(leaves_file(ctx, which));
	return leaves_process(ctx, which);
}

Test(runner_sandbox, what_was_declared_may_be_left)
{
	cr_assert_eq(run_one(leaves_what_it_declared), RUNNER_GOOD, "%s", seen.message);
}

/* ---- faults ---- */

static ScenarioStatus
forgets_its_fault(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) which;
	return faults_arm(ctx, "lwlock/acquire/held=#1 kill");
}

Test(runner_sandbox, a_fault_that_never_fired_is_an_error)
{
	cr_assert_eq(run_one(forgets_its_fault), RUNNER_FINDINGS);
	cr_assert_eq(seen.status, SCENARIO_ERROR);
	cr_assert_not_null(strstr(seen.message, "armed, never fired"), "%s", seen.message);
	cr_assert_not_null(strstr(seen.message, "lwlock/acquire/held"), "%s", seen.message);
}

static ScenarioStatus
arms_nonsense(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) which;
	return faults_arm(ctx, "lwlock/acquire/hold=#1 kill");
}

Test(runner_sandbox, a_plan_that_cannot_be_armed_is_an_error)
{
	cr_assert_eq(run_one(arms_nonsense), RUNNER_FINDINGS);
	cr_assert_eq(seen.status, SCENARIO_ERROR);
	cr_assert_not_null(strstr(seen.message, "1:1"), "%s", seen.message);
}

Test(runner_sandbox, a_bad_user_plan_runs_nothing)
{
	RunnerSummary summary;

	cr_assert_eq(run_with(good, "no/such/point=kill", 1, &summary), RUNNER_BAD_PLAN);
	cr_assert_eq(summary.run, 0);
	cr_assert_neq(summary.problem[0], '\0');
}

/* ---- the run ---- */

static ScenarioStatus
now_and_then(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) which;
	/* The directory of the run is there for all its cases: the inode of its tmpfs differs. */
	return getenv("RUNNER_TEST_FAILS") ? scenario_fail(ctx, "this time") : SCENARIO_PASS;
}

static void
fail_from_now_on(const ScenarioResult *result, void *arg)
{
	listen_to(result, arg);
	setenv("RUNNER_TEST_FAILS", "1", 1);
}

Test(runner_sandbox, passing_and_failing_is_flaky)
{
	Scenario scenario = {
		.id = "t99-test", .list = no_list, .run = now_and_then, .deadline_ms = 300};
	ScenarioCase which = {.name = "one"};
	RunnerItem item = {.scenario = &scenario, .which = &which};
	RunnerSelection selection = {.item = &item, .count = 1};
	RunnerConfig config = {
		.selection = &selection, .jobs = 1, .repeat = 2, .listener = fail_from_now_on};
	RunnerSummary summary;

	cr_assert_eq(runner_run(&config, &summary), RUNNER_FLAKY);
	cr_assert_eq(summary.flaky, 1);
	cr_assert_eq(summary.by_status[SCENARIO_PASS], 1);
	cr_assert_eq(summary.by_status[SCENARIO_FAIL], 1);
}

static ScenarioStatus
takes_its_time(ScenarioContext *ctx, const ScenarioCase *which)
{
	Latch never = {0};

	(void) which;
	(void) latch_wait(&never, 1, clock_now_ns() + 200 * NS_PER_MS);
	(void) ctx;
	return SCENARIO_PASS;
}

Test(runner_sandbox, a_spent_budget_is_incomplete)
{
	Scenario scenario = {
		.id = "t99-test", .list = no_list, .run = takes_its_time, .deadline_ms = 3000};
	ScenarioCase which = {.name = "one"};
	RunnerItem item = {.scenario = &scenario, .which = &which};
	RunnerSelection selection = {.item = &item, .count = 1};
	RunnerConfig config = {.selection = &selection, .jobs = 1, .repeat = 5, .budget_ms = 50};
	RunnerSummary summary;

	cr_assert_eq(runner_run(&config, &summary), RUNNER_INCOMPLETE);
	cr_assert_eq(summary.run, 1);
	cr_assert_eq(summary.not_run, 4);
}

/* A run in a child, which is interrupted while a case hangs. */
static int
run_that_hangs(int started_fd)
{
	Scenario scenario = {.id = "t99-test", .list = no_list, .run = hangs, .deadline_ms = 60000};
	ScenarioCase which = {.name = "one"};
	RunnerItem item = {.scenario = &scenario, .which = &which};
	RunnerSelection selection = {.item = &item, .count = 1};
	RunnerConfig config = {.selection = &selection, .jobs = 2, .repeat = 2};
	RunnerSummary summary;

	(void) started_fd;
	return (int) runner_run(&config, &summary);
}

/* Processes below `pid`; init of a sandbox counts, what is in it does not. */
static unsigned
count_children(pid_t pid)
{
	char path[64];
	unsigned count = 0;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) pid, (int) pid);

	FILE *file = fopen(path, "r");

	while (file && fscanf(file, "%d", &child) == 1)
		count++;
	if (file)
		fclose(file);
	return count;
}

/* Its directory is in one of the test's own: a runner that is killed cannot remove it. */
static char run_tmp[] = "/tmp/holdfast-test-XXXXXX";

static void
remove_run_tmp(void)
{
	DIR *dir = opendir(run_tmp);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	if (dir)
		closedir(dir);
	cr_assert_eq(rmdir(run_tmp), 0);
}

static pid_t
start_run_that_hangs(void)
{
	cr_assert(mkdtemp(run_tmp) && setenv("TMPDIR", run_tmp, 1) == 0);

	uint64_t deadline = clock_deadline_ns(20000);
	pid_t pid = fork();

	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		_exit(run_that_hangs(-1));
	}
	/* The probe's sandbox comes and goes; both cases at once are what we wait for. */
	while (count_children(pid) < 2 && clock_ms_until(deadline) > 0)
		usleep(1000);
	cr_assert_eq(count_children(pid), 2);
	return pid;
}

Test(runner_sandbox, an_interrupted_run_kills_its_cases)
{
	pid_t pid = start_run_that_hangs();
	int status;

	kill(pid, SIGINT);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), RUNNER_INTERRUPTED);
	cr_assert_eq(rmdir(run_tmp), 0, "it left its directory");
}

Test(runner_sandbox, a_killed_run_takes_its_cases_along)
{
	pid_t pid = start_run_that_hangs(), child = 0;
	char path[64];
	int status;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) pid, (int) pid);

	FILE *file = fopen(path, "r");

	cr_assert(file && fscanf(file, "%d", &child) == 1);
	fclose(file);

	/* Its end is all that counts: whoever inherits the zombie may take his time to reap it. */
	struct pollfd end = {.fd = (int) syscall(SYS_pidfd_open, child, 0), .events = POLLIN};

	cr_assert_geq(end.fd, 0);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(poll(&end, 1, 20000), 1, "a case outlived its runner");
	close(end.fd);
	remove_run_tmp();
}
