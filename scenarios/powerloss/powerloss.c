/*
 * powerloss.c
 *		See powerloss.h.
 *
 * The boot ID that servers read is a file of ours, bound over the kernel's: the one of the record, until the next boot.  The
 * sandbox has its own mounts, PIDs and IPC objects; all of it goes with the sandbox.
 */
#include "powerloss/powerloss.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/shmem.h>

#include "runner/actor.h"
#include "runner/clock.h"
#include "runner/faults.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define RECORD_BOOT  "b0070000-0000-4000-8000-000000000001\n"
#define REAL_WAIT_MS 20000
#define CASE_MS      3600000
#define PAIR_EVERY   4 /* of the real ones, so many are two servers at once */
#define LIVE_MAX     8 /* each refusal looks again for a tenth of a second */

typedef struct Powerloss
{
	ScenarioContext *ctx;
	PowerlossHistory which;
	const PowerlossOptions *options;
	PowerlossReport *report;
	DiskHistory history;
	pid_t recorded_pid;
	PowerlossWorld world; /* that is being played */
	uint64_t stride;
	ScenarioStatus status;
} Powerloss;

/* ---- servers ---- */

typedef struct Decision /* shared by servers that start together */
{
	Latch decided;
} Decision;

/* After each call whose lockfile must survive from then on: a word to the recorder. */
static HoldfastStatus
start_server(const char *directory)
{
	HoldfastShmemConfig config = {.max_procs = 2, .user_size = 64};
	HoldfastStatus status = holdfast_set_data_directory(directory);

	if (status == HOLDFAST_OK)
		status = CreateDataDirLockFile(true);
	if (status == HOLDFAST_OK)
	{
		disk_promise();
		status = holdfast_shmem_create(&config);
	}
	if (status == HOLDFAST_OK)
	{
		disk_promise();
		status = holdfast_shmem_publish();
	}
	if (status == HOLDFAST_OK)
		status = AddToDataDirLockFile(LOCK_FILE_LINE_PM_STATUS, "ready");
	if (status == HOLDFAST_OK)
		disk_promise();
	return status;
}

/* Recorded: the whole life of a server, and one that is cut short. */
static void
live_and_leave(void *arg)
{
	const Powerloss *play = arg;

	if (start_server(play->ctx->data_dir) != HOLDFAST_OK)
		_exit(1);
	proc_exit(0);
}

static void
live_and_die(void *arg)
{
	const Powerloss *play = arg;

	if (start_server(play->ctx->data_dir) == HOLDFAST_OK)
		(void) raise(SIGKILL);
	_exit(1);
}

/* What a start came to, as an exit code. */
enum
{
	SERVER_STARTED = 0,
	SERVER_REFUSED = 3, /* in use */
	SERVER_FAILED = 4,
};

static int
code_of(HoldfastStatus status)
{
	return status == HOLDFAST_OK       ? SERVER_STARTED
		   : status == HOLDFAST_IN_USE ? SERVER_REFUSED
									   : SERVER_FAILED;
}

static pid_t
fork_starter(Powerloss *play, Decision *together, uint32_t starters, uint64_t stay_ms)
{
	pid_t pid = fork();
	HoldfastStatus status;

	if (pid != 0)
		return pid;
	on_exit_reset();
	status = start_server(play->ctx->data_dir);
	if (status != HOLDFAST_OK && status != HOLDFAST_IN_USE)
		scenario_log(play->ctx, "%s: %s", holdfast_status_name(status),
					 holdfast_last_error()->message);
	latch_add(&together->decided);
	/* Who has started stays until everybody knows where he stands. */
	if (status == HOLDFAST_OK)
		(void) latch_wait(&together->decided, starters, clock_deadline_ns(stay_ms));
	if (status == HOLDFAST_OK)
		proc_exit(SERVER_STARTED);
	_exit(code_of(status));
}

static int
wait_for(pid_t pid)
{
	int status = 0;

	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : SERVER_FAILED;
}

/* ---- the world ---- */

static bool
set_boot(const Powerloss *play, bool recorded)
{
	char path[4096];
	int fd;
	bool good;

	if (!recorded)
		return umount2(BOOT_ID_FILE, MNT_DETACH) == 0;
	(void) snprintf(path, sizeof(path), "%s/boot-id", play->ctx->work_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	good = fd >= 0 && write(fd, RECORD_BOOT, strlen(RECORD_BOOT)) == (ssize_t) strlen(RECORD_BOOT);
	if (fd >= 0)
		(void) close(fd);
	good = good && mount(path, BOOT_ID_FILE, NULL, MS_BIND, NULL) == 0;
	return unlink(path) == 0 && good;
}

/* A process that has the number and nothing else to do with it. */
static pid_t
occupy(pid_t number)
{
	pid_t wanted[1] = {number};
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t) (uintptr_t) wanted, .set_tid_size = 1};
	pid_t pid = (pid_t) syscall(SYS_clone3, &args, sizeof(args));

	while (pid == 0)
		(void) pause();
	return pid;
}

static void
end(pid_t pid)
{
	if (pid <= 0)
		return;
	(void) kill(pid, SIGKILL);
	(void) wait_for(pid);
}

/* ---- real servers ---- */

static bool
found_wrong(Powerloss *play, const DiskState *state, const char *what)
{
	PowerlossReport *report = play->report;
	char last[160] = "nothing";

	if (state->crash_index > 0)
		disk_op_describe(&play->history.op[state->crash_index - 1], last, sizeof(last));
	if (report->wrong_state == 0)
	{
		report->wrong_state = state->number;
		report->wrong_world = play->world;
		(void) snprintf(
			report->wrong, sizeof(report->wrong), "state %llu, %s after operation %zu (%s), %s: %s",
			(unsigned long long) state->number, state->running ? "a death" : "power lost",
			state->crash_index, last, state->how[0] != '\0' ? state->how : "all is there", what);
	}
	return false;
}

static bool
one_starts(Powerloss *play, const DiskState *state, Decision *together)
{
	int code = wait_for(fork_starter(play, together, 1, REAL_WAIT_MS));

	return code == SERVER_STARTED ||
		   found_wrong(play, state,
					   code == SERVER_REFUSED ? "a real server is refused" : "a real server fails");
}

static bool
one_of_two_starts(Powerloss *play, const DiskState *state, Decision *together)
{
	pid_t first = fork_starter(play, together, 2, REAL_WAIT_MS);
	pid_t second = fork_starter(play, together, 2, REAL_WAIT_MS);
	int codes[2] = {wait_for(first), wait_for(second)};

	play->report->world[play->world].pairs++;
	if (codes[0] + codes[1] == SERVER_STARTED + SERVER_REFUSED)
		return true;
	return found_wrong(play, state,
					   codes[0] == SERVER_STARTED && codes[1] == SERVER_STARTED
						   ? "two real servers own the directory"
						   : "neither of two real servers starts");
}

static size_t
read_lockfile(const Powerloss *play, char *bytes, size_t size)
{
	char path[4096];
	int fd;
	ssize_t length;

	(void) snprintf(path, sizeof(path), "%s/" HOLDFAST_LOCKFILE_NAME, play->ctx->data_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd >= 0 ? read(fd, bytes, size) : 0;
	if (fd >= 0)
		(void) close(fd);
	return length > 0 ? (size_t) length : 0;
}

/* A server runs here; its files were exchanged under it.  The second is refused and changes nothing. */
static bool
second_is_refused(Powerloss *play, const DiskState *state, Decision *together)
{
	char before[8192], after[8192];
	size_t length = read_lockfile(play, before, sizeof(before));
	int code = wait_for(fork_starter(play, together, 1, REAL_WAIT_MS));

	if (code != SERVER_REFUSED)
		return found_wrong(play, state,
						   code == SERVER_STARTED ? "a second server owns the directory"
												  : "a second server fails, and not for the first");
	return (read_lockfile(play, after, sizeof(after)) == length &&
			memcmp(before, after, length) == 0) ||
		   found_wrong(play, state, "a refused start changed the lockfile");
}

static bool
is_chosen(const Powerloss *play, const DiskState *state)
{
	if (play->options->only_state != 0)
		return state->number == play->options->only_state;
	return play->stride != 0 && state->number % play->stride == 1 % play->stride;
}

/* The files, and the story that led to them. */
static void
leave_bundle(const Powerloss *play, const DiskState *state)
{
	char path[4096];
	FILE *story;

	(void) disk_state_put(state, play->options->bundle);
	(void) snprintf(path, sizeof(path), "%s/STORY", play->options->bundle);
	story = fopen(path, "we");
	if (story == NULL)
		return;
	for (size_t i = 0; i < state->crash_index; i++)
		(void) fprintf(story, "%3zu %s\n", i + 1, play->report->operation[i]);
	(void) fprintf(story, "%s here; %s; world %s\n", state->running ? "a death" : "power lost",
				   state->how[0] != '\0' ? state->how : "all is there",
				   powerloss_world_name(play->world));
	(void) fclose(story);
}

static bool
visit_real(const DiskState *state, void *arg)
{
	Powerloss *play = arg;
	PowerlossWorldCount *count = &play->report->world[play->world];
	Decision *together;
	bool good;

	if (!is_chosen(play, state) || (play->world == WORLD_LIVE && count->real >= LIVE_MAX))
		return true;
	together = shared_memory(play->ctx, sizeof(*together));
	if (together == NULL || !disk_state_put(state, play->ctx->data_dir))
	{
		play->status = scenario_error(play->ctx, "could not put state %llu: %s",
									  (unsigned long long) state->number, strerror(errno));
		return false;
	}
	if (play->options->bundle != NULL)
		leave_bundle(play, state);
	count->real++;
	if (play->world == WORLD_LIVE)
		good = second_is_refused(play, state, together);
	else if (count->real % PAIR_EVERY == 0)
		good = one_of_two_starts(play, state, together);
	else
		good = one_starts(play, state, together);
	count->real_wrong += !good;
	return scenario_time_left_ms(play->ctx) > 0;
}

static bool
play_world(Powerloss *play)
{
	DiskOptions disk = {.every_byte = play->options->every_byte};
	DiskCount count;
	Decision *owner = shared_memory(play->ctx, sizeof(*owner));
	pid_t other = 0;
	bool reused = play->world == WORLD_NEW_BOOT_REUSED || play->world == WORLD_SAME_BOOT_REUSED;
	bool good;

	if (owner == NULL)
		return false;
	if (play->world == WORLD_LIVE)
	{
		other = fork_starter(play, owner, 2,
							 CASE_MS); /* until it is killed: no second one decides there */
		if (!latch_wait(&owner->decided, 1, clock_deadline_ns(REAL_WAIT_MS)))
			return false;
	}
	else if (reused && (other = occupy(play->recorded_pid)) < 0)
	{
		play->status = scenario_skip(play->ctx, "no process can be given a PID here (clone3): %s",
									 strerror(errno));
		return false;
	}
	good = disk_states_visit(&play->history, &disk, visit_real, play, &count);
	end(other);
	return good;
}

static bool
in_new_boot(PowerlossWorld world)
{
	return world == WORLD_NEW_BOOT || world == WORLD_NEW_BOOT_REUSED;
}

static ScenarioStatus
play_worlds(Powerloss *play)
{
	bool recorded = true;

	for (int world = WORLD_COUNT; world-- > 0;)
	{
		play->world = (PowerlossWorld) world;
		if (play->options->only_state != 0 && play->world != play->options->only_world)
			continue;
		if (in_new_boot(play->world) == recorded)
		{
			recorded = !in_new_boot(play->world);
			SCENARIO_REQUIRE(play->ctx, set_boot(play, recorded),
							 "could not change the boot ID: %s", strerror(errno));
		}
		if (!play_world(play) && play->status == SCENARIO_PASS)
			return scenario_error(play->ctx, "the states of world %s could not be played",
								  powerloss_world_name(play->world));
		if (play->status != SCENARIO_PASS)
			return play->status;
	}
	return SCENARIO_PASS;
}

/* ---- the rules ---- */

static bool
visit_judge(const DiskState *state, void *arg)
{
	Powerloss *play = arg;
	PowerlossReport *report = play->report;

	if (play->options->only_state != 0 && state->number != play->options->only_state)
		return true;
	play->world = WORLD_NEW_BOOT;
	if (!powerloss_keeps_promise(&play->history, state))
	{
		report->lost++;
		(void) found_wrong(play, state, "the lockfile is lost that a call had promised");
	}
	for (int world = 0; world < WORLD_LIVE; world++)
	{
		PowerlossWorldCount *count = &report->world[world];
		StartVerdict verdict = powerloss_judge(play->which, state, (PowerlossWorld) world);

		count->asked++;
		if (verdict == START_GOES_ON)
			continue;
		/* Nobody lives in any of these worlds: no refusal is due. */
		count->refused++;
		count->wrong++;
		report->empty += verdict == START_EMPTY;
		report->damaged += verdict == START_DAMAGED;
		report->in_use += verdict == START_IN_USE;
		play->world = (PowerlossWorld) world;
		(void) found_wrong(play, state,
						   verdict == START_EMPTY     ? "refused: the lockfile is empty"
						   : verdict == START_DAMAGED ? "refused: the lockfile cannot be understood"
													  : "refused: its PID is alive");
	}
	return true;
}

static ScenarioStatus
judge_all(Powerloss *play)
{
	DiskOptions disk = {.every_byte = play->options->every_byte};
	PowerlossReport *report = play->report;
	uint64_t start = clock_now_ns();
	DiskCount count;

	SCENARIO_REQUIRE(play->ctx, disk_states_visit(&play->history, &disk, visit_judge, play, &count),
					 "the states could not be enumerated");
	report->count.visited += count.visited;
	report->count.distinct += count.distinct;
	report->judge_ns += clock_now_ns() - start;
	report->operations += (uint32_t) (play->history.count - play->history.base);
	report->histories++;
	return SCENARIO_PASS;
}

/* ---- the record ---- */

static pid_t
pid_in(const DiskHistory *history)
{
	HoldfastLockfile lockfile;

	for (size_t i = history->count; i-- > 0;)
		if (history->op[i].kind == DISK_WRITE &&
			holdfast_lockfile_parse(history->op[i].bytes, history->op[i].length, &lockfile) ==
				HOLDFAST_OK)
			return lockfile.pid;
	return 0;
}

static ScenarioStatus
record(Powerloss *play)
{
	int status = 0;

	if (play->which == HISTORY_POSTGRESQL)
		return powerloss_model(&play->history)
				   ? SCENARIO_PASS
				   : scenario_error(play->ctx, "the model does not fit");
	SCENARIO_REQUIRE(play->ctx, set_boot(play, true), "could not set a boot ID: %s",
					 strerror(errno));
	if (play->which == HISTORY_AFTER_A_CRASH)
	{
		SCENARIO_REQUIRE(
			play->ctx,
			disk_record(play->ctx->data_dir, live_and_die, play, &play->history, &status),
			"could not record: %s", strerror(errno));
		SCENARIO_REQUIRE(play->ctx, WIFSIGNALED(status), "the first server did not start");
		play->history.base = play->history.count;
	}
	SCENARIO_REQUIRE(
		play->ctx, disk_record(play->ctx->data_dir, live_and_leave, play, &play->history, &status),
		"could not record: %s", strerror(errno));
	SCENARIO_REQUIRE(play->ctx, WIFEXITED(status) && WEXITSTATUS(status) == 0,
					 "the recorded server ended with status %d", status);
	play->recorded_pid = pid_in(&play->history);
	SCENARIO_REQUIRE(play->ctx, play->recorded_pid > 0, "no lockfile was written");
	return SCENARIO_PASS;
}

/* ---- errors on the way ---- */

/* One history, with the error at the n-th call.  *fired: there were so many. */
static ScenarioStatus
run_with_error(Powerloss *play, const char *point, const char *error, unsigned n, bool *fired)
{
	Decision *together = shared_memory(play->ctx, sizeof(*together));
	DiskState nothing = {.files = 0};
	int status = 0;

	SCENARIO_REQUIRE(play->ctx, together != NULL && disk_state_put(&nothing, play->ctx->data_dir),
					 "could not empty the directory: %s", strerror(errno));
	SCENARIO_TRY(faults_arm_nth(play->ctx, "%s=#%u errno(%s)[count=proc]", point, n, error));
	SCENARIO_REQUIRE(
		play->ctx, disk_record(play->ctx->data_dir, live_and_leave, play, &play->history, &status),
		"could not record: %s", strerror(errno));
	*fired = faults_fired() > 0;
	SCENARIO_REQUIRE(play->ctx, WIFEXITED(status) && WEXITSTATUS(status) <= 1,
					 "%s of call %u of %s: the server ended with status %d", error, n, point,
					 status);
	faults_end_loop();
	SCENARIO_TRY(judge_all(play));
	play->world = WORLD_SAME_BOOT;
	play->report->world[WORLD_SAME_BOOT].real++;
	if (wait_for(fork_starter(play, together, 1, REAL_WAIT_MS)) != SERVER_STARTED)
		return scenario_fail(play->ctx, "after %s of call %u of %s the next server does not start",
							 error, n, point);
	disk_history_free(&play->history);
	return SCENARIO_PASS;
}

static ScenarioStatus
run_errors(Powerloss *play)
{
	static const char *const points[] = {"file/open",   "file/write", "file/fsync", "file/close",
										 "file/rename", "file/link",  "file/unlink"};
	static const char *const errors[] = {"EIO", "ENOSPC", "EINTR"};

	for (size_t point = 0; point < sizeof(points) / sizeof(points[0]); point++)
		for (size_t error = 0; error < sizeof(errors) / sizeof(errors[0]); error++)
		{
			char plan[128], problem[256];
			bool fired = true;

			(void) snprintf(plan, sizeof(plan), "%s=#1 errno(%s)", points[point], errors[error]);
			if (!faults_plan_is_good(plan, problem, sizeof(problem)))
				continue; /* no such error of that call */
			for (unsigned n = 1; fired; n++)
				SCENARIO_TRY(run_with_error(play, points[point], errors[error], n, &fired));
		}
	return SCENARIO_PASS;
}

/* ---- all of it ---- */

static void
describe_operations(const Powerloss *play)
{
	PowerlossReport *report = play->report;

	for (size_t i = 0; i < play->history.count; i++)
		disk_op_describe(&play->history.op[i], report->operation[i], sizeof(report->operation[i]));
}

static ScenarioStatus
run_one(Powerloss *play)
{
	const PowerlossOptions *options = play->options;

	SCENARIO_TRY(record(play));
	describe_operations(play);
	SCENARIO_TRY(judge_all(play));
	if (play->which == HISTORY_POSTGRESQL || (options->real_max == 0 && options->only_state == 0))
		return SCENARIO_PASS;
	play->stride =
		options->real_max == 0 ? 0 : play->report->count.distinct / options->real_max + 1;
	/* A server that was killed last leaves what the next would recycle. */
	scenario_leaves(play->ctx,
					SCENARIO_LEAVES_SEGMENT | SCENARIO_LEAVES_LOCKFILE | SCENARIO_LEAVES_FILE);
	return play_worlds(play);
}

ScenarioStatus
powerloss_run(ScenarioContext *ctx, PowerlossHistory history, const PowerlossOptions *options,
			  PowerlossReport *report)
{
	static Powerloss play;
	ScenarioStatus status;

	play = (Powerloss){.ctx = ctx, .which = history, .options = options, .report = report};
	status = history == HISTORY_ERRORS ? run_errors(&play) : run_one(&play);
	disk_history_free(&play.history);
	if (status == SCENARIO_PASS && history != HISTORY_POSTGRESQL && report->wrong[0] != '\0')
		return scenario_fail(ctx, "%s, world %s", report->wrong,
							 powerloss_world_name((PowerlossWorld) report->wrong_world));
	return status;
}
