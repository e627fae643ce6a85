/*
 * a30_lockfile_recheck.c
 *		Somebody removes or replaces the lockfile of a running server.
 *
 * PostgreSQL (postgresql.md g, g2): looks every 60 s, at the PID only, and shuts down at once within two minutes; a server
 * whose file was replaced deletes the other's file when it exits.
 * Ours: is told by the kernel (inotify), looks at inode and cookie, shuts down within a second, and never removes a file
 * that is not its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "catalogue/catalogue.h"
#include "oracle/leftovers.h"
#include "runner/clock.h"
#include "runner/served.h"

typedef enum Tampering
{
	TAMPER_REMOVED,
	TAMPER_REPLACED, /* by another server's */
	TAMPER_SAME_PID, /* by another incarnation's that happens to have our PID */
	TAMPER_GARBAGE,
	TAMPER_TOUCHED, /* written again, byte for byte: nothing to worry about */
	TAMPERINGS,
} Tampering;

static const char *const tampering_names[TAMPERINGS] = {"removed", "replaced", "same-pid",
														"garbage", "same-bytes"};

static void
list_cases(ScenarioCaseList *list)
{
	scenario_cases_named(list, tampering_names, TAMPERINGS);
}

/* Over what is there, so that nobody is judged by a file that is cut for a moment. */
static bool
write_file(const char *path, const char *bytes, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	bool written = fd >= 0 && write(fd, bytes, length) == (ssize_t) length &&
				   ftruncate(fd, (off_t) length) == 0;

	if (fd >= 0)
		close(fd);
	return written;
}

static ScenarioStatus
tamper(ScenarioContext *ctx, const char *path, Tampering how)
{
	HoldfastLockfile file;
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX];
	size_t length;

	SCENARIO_REQUIRE(ctx, holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK,
					 "could not read the lockfile");
	if (how == TAMPER_REPLACED)
		file.pid = 1;
	if (how == TAMPER_REPLACED || how == TAMPER_SAME_PID)
		file.cookie.word[0] ^= 1;
	length = holdfast_lockfile_format(&file, bytes, sizeof(bytes));
	SCENARIO_REQUIRE(ctx, length > 0, "could not format a lockfile");
	if (how == TAMPER_REMOVED)
		SCENARIO_REQUIRE(ctx, unlink(path) == 0, "could not remove the lockfile");
	else if (how == TAMPER_GARBAGE)
		SCENARIO_REQUIRE(ctx, write_file(path, "\x01garbage", 8), "could not write garbage");
	else
		SCENARIO_REQUIRE(ctx, write_file(path, bytes, length), "could not replace the lockfile");
	return SCENARIO_PASS;
}

static ScenarioStatus
must_shut_down(ScenarioContext *ctx, Served *served, const char *path, Tampering how)
{
	uint64_t begun = clock_now_ns();
	struct stat status;

	SCENARIO_TRY(actor_expect_exit(ctx, &served->supervisor, CLUSTER_IMMEDIATE));
	SCENARIO_REQUIRE(ctx, clock_now_ns() - begun < 5000 * NS_PER_MS, "it took %llu ms to notice",
					 (unsigned long long) ((clock_now_ns() - begun) / NS_PER_MS));
	SCENARIO_REQUIRE(ctx, served_said(served, "data directory lock file is invalid"),
					 "it did not say why it shut down");
	if (how == TAMPER_REMOVED)
		return SCENARIO_PASS;
	SCENARIO_REQUIRE(ctx, stat(path, &status) == 0, "it removed a lockfile that is not its own");
	SCENARIO_REQUIRE(ctx, unlink(path) == 0, "could not remove the lockfile");
	return SCENARIO_PASS;
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Served served = {.config = served_config(ctx)};
	Tampering how = (Tampering) which->param[0];
	char path[4096];
	ScenarioStatus status;

	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	if (how == TAMPER_TOUCHED)
		served.config.run_ms = 2200; /* at least one look at it */
	else
		served.config.recheck_ms = 60000; /* the kernel must tell */
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(tamper(ctx, path, how));
	status = how == TAMPER_TOUCHED ? actor_expect_exit(ctx, &served.supervisor, CLUSTER_STOPPED)
								   : must_shut_down(ctx, &served, path, how);
	if (status != SCENARIO_PASS)
	{
		served_log(ctx, &served);
		return status;
	}
	served_close(&served);
	return expect_nothing_left(ctx);
}

static const char *const mutants[] = {"52-recheck-by-pid", NULL};

const Scenario scenario_a30_lockfile_recheck = {
	.id = "a30-lockfile-recheck",
	.summary = "a server whose lockfile is taken away leaves, and leaves the other's alone",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
};
