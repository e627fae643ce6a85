/*
 * c60_bad_lockfile.c
 *		postmaster.pid holds something that no server wrote, and nobody runs.
 *
 * PostgreSQL (postgresql.md f, h): refuses an empty file and garbage; takes a numeric prefix for a PID, finds it dead and
 * deletes the file; refuses when the PID is by now some other process of the same user, even a thread or a zombie.
 * Ours: refuses what it cannot understand, clearly, and leaves it in place; what a dead server can have written is stale.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "catalogue/catalogue.h"
#include "runner/served.h"

typedef struct BadFile
{
	const char *name;
	const char *bytes;
	size_t length;       /* 0: strlen(bytes) */
	const char *message; /* refused with it; NULL: the file is stale, the server starts */
} BadFile;

#define BOGUS "bogus data in lock file"

static const BadFile files[] = {
	{"empty", "", 0, "is empty"},
	{"garbage", "no number at all\n", 0, BOGUS},
	{"binary", "\x7f\x45\x4c\x46\x00\x00\xff\xfe", 8, BOGUS},
	{"nul-bytes", "\0\0\0\0\0\0\0\0", 8, BOGUS},
	{"numeric-prefix", "-12abc\n/data\n", 0, BOGUS},
	{"pid-overflow", "99999999999999\n/data\n", 0, BOGUS},
	{"pid-zero", "0\n/data\n", 0, BOGUS},
	{"truncated-crc", "4194303\n/data\n1\n5432\n\n\n\nready\nholdfast 1\n12345\n", 0, BOGUS},
	{"dead-pid", "4194303\n/data\n1700000000\n5432\n\n\n", 0, NULL},
	{"dead-standalone", "-4194303\n/data\n1700000000\n5432\n\n\n", 0, NULL},
	{"dead-pid-lost-segment", "4194303\n/d\n1700000000\n5432\n\n\n  1234567   7654321\nready   \n",
	 0, NULL},
};
#define NFILES (sizeof(files) / sizeof(files[0]))

/* Cases beyond the table. */
enum
{
	CASE_HUGE = NFILES,
	CASE_DIRECTORY,
	CASE_UNREADABLE_DIRECTORY,
	CASE_MISSING_DIRECTORY,
	CASE_LIVING_STRANGER,
	CASE_COUNT,
};

static const char *const other_names[] = {"huge", "is-a-directory", "read-only-directory",
										  "missing-directory", "living-stranger"};

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t i = 0; i < CASE_COUNT; i++)
	{
		ScenarioCase *added =
			scenario_case_add(list, "%s", i < NFILES ? files[i].name : other_names[i - NFILES]);

		if (added)
			added->param[0] = (long) i;
	}
}

static ScenarioStatus
put_file(ScenarioContext *ctx, const char *path, const char *bytes, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, length) != (ssize_t) length)
		return scenario_error(ctx, "could not write %s: %s", path, strerror(errno));
	close(fd);
	return SCENARIO_PASS;
}

/* Refused, and the file is as it was. */
static ScenarioStatus
refused_untouched(ScenarioContext *ctx, Served *served, const char *path, const char *message)
{
	struct stat before, after;

	SCENARIO_REQUIRE(ctx, lstat(path, &before) == 0, "no file to begin with");
	SCENARIO_TRY(served_start(ctx, served));
	SCENARIO_TRY(served_refused(ctx, served, message, "HINT:"));
	SCENARIO_REQUIRE(ctx, lstat(path, &after) == 0, "the refused start removed the file");
	SCENARIO_REQUIRE(ctx, before.st_ino == after.st_ino && before.st_size == after.st_size,
					 "the refused start changed the file");
	SCENARIO_REQUIRE(ctx, remove(path) == 0, "could not remove %s", path);
	return served_clean_life(ctx);
}

static ScenarioStatus
run_huge(ScenarioContext *ctx, Served *served, const char *path)
{
	size_t length = 1 << 20;
	char *bytes = malloc(length);
	ScenarioStatus status;

	if (!bytes)
		return scenario_error(ctx, "out of memory");
	memset(bytes, '1', length);
	status = put_file(ctx, path, bytes, length);
	free(bytes);
	if (status == SCENARIO_PASS)
		status = refused_untouched(ctx, served, path, BOGUS);
	return status;
}

/* A plain PostgreSQL file whose PID belongs to a living process that is no relative of the server. */
static int
linger(ScenarioContext *ctx, void *arg)
{
	char byte;

	(void) ctx;
	return read(*(int *) arg, &byte, 1) < 0; /* until the pipe is closed */
}

static ScenarioStatus
run_living_stranger(ScenarioContext *ctx, Served *served, const char *path)
{
	Actor stranger;
	int pipe_fd[2];
	char bytes[128];

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return scenario_error(ctx, "pipe: %s", strerror(errno));
	SCENARIO_TRY(actor_start(ctx, &stranger, "stranger", 1, linger, &pipe_fd[0]));
	snprintf(bytes, sizeof(bytes), "%d\n/data\n1700000000\n5432\n\n\n", (int) stranger.pid);
	SCENARIO_TRY(put_file(ctx, path, bytes, strlen(bytes)));
	SCENARIO_TRY(served_start(ctx, served));
	SCENARIO_TRY(served_refused(ctx, served, "lock file \"postmaster.pid\" already exists",
								"Is another postmaster (PID"));
	/* It dies, and is not yet reaped: a zombie is dead. */
	SCENARIO_TRY(actor_signal(ctx, &stranger, SIGKILL));
	SCENARIO_TRY(wait_for_pid_gone(ctx, stranger.pid));
	SCENARIO_TRY(served_clean_life(ctx));
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return actor_expect_signal(ctx, &stranger, SIGKILL);
}

static ScenarioStatus
run_other(ScenarioContext *ctx, Served *served, const char *path, long which)
{
	char missing[4096];

	switch (which)
	{
		case CASE_HUGE:
			return run_huge(ctx, served, path);
		case CASE_DIRECTORY:
			SCENARIO_REQUIRE(ctx, mkdir(path, 0700) == 0, "mkdir: %s", strerror(errno));
			SCENARIO_TRY(served_start(ctx, served));
			SCENARIO_TRY(served_refused(ctx, served, "lock file", NULL));
			SCENARIO_REQUIRE(ctx, rmdir(path) == 0, "the refused start removed the directory");
			return served_clean_life(ctx);
		case CASE_UNREADABLE_DIRECTORY:
			if (!ctx->has_other_users)
				return scenario_skip(ctx, "needs a second user id: run it as root");
			SCENARIO_REQUIRE(ctx, chmod(ctx->data_dir, 0500) == 0, "chmod: %s", strerror(errno));
			served->uid = 65534; /* root may write anywhere */
			SCENARIO_REQUIRE(ctx, chown(ctx->data_dir, 65534, 65534) == 0, "chown: %s",
							 strerror(errno));
			SCENARIO_TRY(served_start(ctx, served));
			SCENARIO_TRY(served_refused(ctx, served, "could not create lock file",
										"must be able to write there"));
			return expect_nothing_left(ctx);
		case CASE_MISSING_DIRECTORY:
			snprintf(missing, sizeof(missing), "%s/no-such", ctx->data_dir);
			served->config.data_dir = missing;
			SCENARIO_TRY(served_start(ctx, served));
			SCENARIO_TRY(served_refused(ctx, served, "no-such", NULL));
			return expect_nothing_left(ctx);
		case CASE_LIVING_STRANGER:
			return run_living_stranger(ctx, served, path);
		default:
			return scenario_error(ctx, "no such case");
	}
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Served served = {.config = served_config(ctx)};
	const BadFile *file;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	if ((size_t) which->param[0] >= NFILES)
		return run_other(ctx, &served, path, which->param[0]);
	file = &files[which->param[0]];
	SCENARIO_TRY(
		put_file(ctx, path, file->bytes, file->length ? file->length : strlen(file->bytes)));
	if (file->message)
		return refused_untouched(ctx, &served, path, file->message);
	SCENARIO_TRY(served_clean_life(ctx));
	return expect_nothing_left(ctx);
}

static const ScenarioHole holes[] = {
	{"f", "refuses garbage; takes a numeric prefix for a dead PID and DELETES the file",
	 "refuses whatever no server wrote, and leaves it", "*"},
	{0},
};

static const char *const mutants[] = {"61-garbage-is-stale", NULL};

const Scenario scenario_c60_bad_lockfile = {
	.id = "c60-bad-lockfile",
	.summary = "a lockfile that no server wrote is refused and left alone; a dead one's is stale",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
