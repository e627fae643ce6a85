/*
 * c75_disk_full.c
 *		The disk fills up while a server starts: for real, between two of its writes.
 *
 * The story: the data directory is a file system of its own with a few pages.  The starting server is held at a step, the rest
 * of the space is taken, and it goes on.
 *
 * PostgreSQL (postgresql.md j): when the lockfile cannot be created it refuses.  When line 7 cannot be added it only logs, and
 * RUNS without: the next start does not find its segment by the lockfile.
 * Ours: refuses, takes back what it made, and says why; or runs, fully recorded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "catalogue/catalogue.h"
#include "catalogue/story.h"
#include "oracle/leftovers.h"
#include "runner/faults.h"

static const char *const points[] = {"lockfile/create/guarded", "lockfile/create/judged",
									 "sysv/create/announced",   "lockfile/record/begin",
									 "sysv/create/recorded",    "shmem/create/ready"};

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t point = 0; point < sizeof(points) / sizeof(points[0]); point++)
	{
		ScenarioCase *added = scenario_case_add(list, "%s", points[point]);

		if (added != NULL)
			added->text = points[point];
	}
}

/* Writes until there is no room for a byte. */
static ScenarioStatus
fill_up(ScenarioContext *ctx, const char *path)
{
	static const char block[4096] = {1};
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ssize_t wrote = 0;

	for (size_t size = sizeof(block); fd >= 0 && size > 0; size /= 2)
		while ((wrote = write(fd, block, size)) > 0)
			continue;
	SCENARIO_REQUIRE(ctx, fd >= 0 && wrote < 0 && errno == ENOSPC, "the disk does not fill up: %s",
					 strerror(errno));
	close(fd);
	return SCENARIO_PASS;
}

/* Either it refused and nothing is left, or it runs and its lockfile says all. */
static ScenarioStatus
refused_or_recorded(ScenarioContext *ctx, Served *served)
{
	SCENARIO_TRY(served_wait(ctx, served));
	if (served->ready)
	{
		SCENARIO_TRY(recorded_key(ctx, NULL, NULL));
		SCENARIO_TRY(expect_inspect(ctx, HOLDFAST_INSPECT_IN_USE, 1));
		scenario_log(ctx, "it runs");
		return served_down(ctx, served);
	}
	SCENARIO_TRY(served_refused(ctx, served, "No space left on device", NULL));
	scenario_log(ctx, "it refused");
	return SCENARIO_PASS;
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Served served = {.config = served_config(ctx)};
	char filler[4096];

	if (mount("tmpfs", ctx->data_dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=64k") < 0)
		return scenario_skip(ctx, "cannot mount a small file system: %s", strerror(errno));
	snprintf(filler, sizeof(filler), "%s/filler", ctx->data_dir);
	SCENARIO_TRY(faults_arm(ctx, "%s=#1 pause(full)[proc=supervisor]", which->text));
	SCENARIO_TRY(served_start(ctx, &served));
	SCENARIO_TRY(faults_wait_reached(ctx, "full", 1));
	SCENARIO_TRY(fill_up(ctx, filler));
	inject_release("full");
	SCENARIO_TRY(refused_or_recorded(ctx, &served));
	SCENARIO_TRY(faults_disarm(ctx));
	SCENARIO_REQUIRE(ctx, leftovers_count_segments() == 0, "a segment was left");
	SCENARIO_REQUIRE(ctx, unlink(filler) == 0, "unlink: %s", strerror(errno));
	SCENARIO_TRY(expect_nothing_left(ctx));
	SCENARIO_TRY(served_clean_life(ctx));
	SCENARIO_REQUIRE(ctx, umount(ctx->data_dir) == 0, "umount: %s", strerror(errno));
	return SCENARIO_PASS;
}

static const char *const mutants[] = {"174-runs-unrecorded", NULL};

static const ScenarioHole holes[] = {
	{"j", "refuses when the lockfile cannot be made; RUNS without line 7 when that cannot be added",
	 "refuses and leaves nothing, or runs fully recorded", "*"},
	{0},
};

const Scenario scenario_c75_disk_full = {
	.id = "c75-disk-full",
	.summary = "the disk fills up at each step of a start: refused and clean, or fully recorded",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
