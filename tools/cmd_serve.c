/*
 * cmd_serve.c
 *		`holdfast serve` and `holdfast stop`: the reference cluster, to be looked at and crashed by hand.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <holdfast/ipc.h>

#include "cluster/cluster.h"
#include "command.h"
#include "inject/inject.h"
#include "plan_argument.h"

static struct
{
	const char *dir, *on_crash, *plan, *mode, *memory_type, *huge_pages;
	uint64_t workers, accounts, audit_ms, run_ms, quit_ms, pace_us, timeout_ms, huge_page_kb;
	bool quiet;
} opt;

static const Option *
serve_options(void)
{
	static const Option options[] = {
		{"--data-dir|-D", OPTION_STRING, &opt.dir, "DIR", "the data directory"},
		{"--workers", OPTION_NUMBER, &opt.workers, "N", "worker processes; default 4"},
		{"--accounts", OPTION_NUMBER, &opt.accounts, "N", "accounts, each with a lock; default 16"},
		{"--on-crash", OPTION_STRING, &opt.on_crash, "repair|reset",
		 "after a worker's death: recover its locks, or restart all as PostgreSQL does"},
		{"--audit", OPTION_TIME, &opt.audit_ms, "TIME", "between two audits; default 1s"},
		{"--duration", OPTION_TIME, &opt.run_ms, "TIME", "stop by itself after that"},
		{"--quit-timeout", OPTION_TIME, &opt.quit_ms, "TIME",
		 "from SIGQUIT to SIGKILL; default 5s"},
		{"--pace-us", OPTION_NUMBER, &opt.pace_us, "N", "a worker's pause between transfers"},
		{"--shared-memory-type", OPTION_STRING, &opt.memory_type, "sysv|mmap",
		 "one segment, or a block without a name beside a small one; default sysv"},
		{"--huge-pages", OPTION_STRING, &opt.huge_pages, "off|on|try",
		 "of a block: huge pages, and if they fail: nothing, or normal ones; default off"},
		{"--huge-page-kb", OPTION_NUMBER, &opt.huge_page_kb, "N",
		 "their size; default the kernel's"},
		{"--plan", OPTION_STRING, &opt.plan, "PLAN",
		 "faults to inject into supervisor and workers, or @FILE"},
		{"--quiet|-q", OPTION_FLAG, &opt.quiet, NULL, "errors only"},
		{0},
	};

	return options;
}

/* The directory: -D, or the one operand. */
static int
read_directory(const char *command, int count, char **argv)
{
	if (opt.dir == NULL && count == 1)
		opt.dir = argv[0];
	else if (count > 0)
		return usage_error("%s takes one data directory", command);
	if (opt.dir == NULL)
		return usage_error("%s wants a data directory: -D DIR", command);
	return EXIT_GOOD;
}

static int
arm(void)
{
	InjectError error;
	char text[400];
	int code;

	if (opt.plan == NULL)
		return EXIT_GOOD;
	if (inject_table_create(&error) != INJECT_OK)
	{
		inject_error_text(&error, text, sizeof(text));
		return usage_error("plan: %s", text);
	}
	code = plan_argument_arm(opt.plan);
	if (code == EXIT_GOOD)
		inject_set_role("supervisor", 0);
	return code;
}

/* 1 when an armed fault never fired: the run proved nothing. */
static int
check_fired(int code)
{
	InjectError unfired;

	if (opt.plan == NULL || inject_unfired(NULL, 0, &unfired) == 0)
		return code;
	(void) fprintf(stderr, "holdfast: armed, never fired: %s\n", unfired.message);
	return code == EXIT_GOOD ? EXIT_FINDINGS : code;
}

static int
serve(const ClusterConfig *config)
{
	int code;

	if (!opt.quiet)
		holdfast_set_reporter(holdfast_report_to_stderr, NULL);
	code = check_fired(cluster_serve(config));
	proc_exit(code);
}

static int
run_serve(int argc, char **argv)
{
	ClusterConfig config = {.ready_fd = -1, .out = stdout};
	int count;
	int status = command_options(&command_serve, argc, argv, &count, NULL);

	if (status == EXIT_GOOD)
		status = read_directory("serve", count, argv);
	if (status != EXIT_GOOD)
		return status;
	if (opt.workers > CLUSTER_WORKERS_MAX || opt.accounts > CLUSTER_ACCOUNTS_MAX)
		return usage_error("serve has at most %d workers and %d accounts", CLUSTER_WORKERS_MAX,
						   CLUSTER_ACCOUNTS_MAX);
	if (opt.on_crash != NULL && !cluster_on_crash_parse(opt.on_crash, &config.on_crash))
		return usage_error("--on-crash is repair or reset, not \"%s\"", opt.on_crash);
	if (opt.memory_type != NULL && !cluster_memory_type_parse(opt.memory_type, &config.memory.type))
		return usage_error("--shared-memory-type is sysv or mmap, not \"%s\"", opt.memory_type);
	if (opt.huge_pages != NULL &&
		!cluster_huge_pages_parse(opt.huge_pages, &config.memory.huge_pages))
		return usage_error("--huge-pages is off, on or try, not \"%s\"", opt.huge_pages);
	config.memory.huge_page_size = (Size) opt.huge_page_kb * 1024;
	status = arm();
	if (status != EXIT_GOOD)
		return status;
	config.data_dir = opt.dir;
	config.workers = (unsigned) opt.workers;
	config.accounts = (unsigned) opt.accounts;
	config.audit_ms = (unsigned) opt.audit_ms;
	config.run_ms = (unsigned) opt.run_ms;
	config.quit_ms = (unsigned) opt.quit_ms;
	config.pace_us = (unsigned) opt.pace_us;
	config.quiet = opt.quiet;
	return serve(&config);
}

const Command command_serve = {
	.name = "serve",
	.usage = "-D DIR [OPTION...]",
	.summary = "the reference cluster: workers move money under locks until they are stopped",
	.run = run_serve,
	.options = serve_options,
	.examples = "  mkdir d; holdfast serve -D d &\n"
				"  holdfast inspect d\n"
				"  holdfast stop -D d\n",
};

/* ---- stop ---- */

static const Option *
stop_options(void)
{
	static const Option options[] = {
		{"--data-dir|-D", OPTION_STRING, &opt.dir, "DIR", "the data directory"},
		{"--mode", OPTION_STRING, &opt.mode, "fast|immediate",
		 "in order, or at once; default fast"},
		{"--timeout", OPTION_TIME, &opt.timeout_ms, "TIME", "how long to wait; default 30s"},
		{0},
	};

	return options;
}

static int
run_stop(int argc, char **argv)
{
	ClusterStopMode mode = CLUSTER_STOP_FAST;
	pid_t pid = 0;
	int count;
	int status = command_options(&command_stop, argc, argv, &count, NULL);

	if (status == EXIT_GOOD)
		status = read_directory("stop", count, argv);
	if (status != EXIT_GOOD)
		return status;
	if (opt.mode != NULL && strcmp(opt.mode, "immediate") == 0)
		mode = CLUSTER_STOP_IMMEDIATE;
	else if (opt.mode != NULL && strcmp(opt.mode, "fast") != 0)
		return usage_error("--mode is fast or immediate, not \"%s\"", opt.mode);

	switch (
		cluster_stop(opt.dir, mode, opt.timeout_ms != 0 ? (unsigned) opt.timeout_ms : 30000, &pid))
	{
		case HOLDFAST_OK:
			(void) printf("stopped %d\n", (int) pid);
			return EXIT_GOOD;
		case HOLDFAST_TIMED_OUT:
			(void) fprintf(stderr, "holdfast: process %d did not stop in time\n", (int) pid);
			return EXIT_INCOMPLETE;
		case HOLDFAST_NOT_FOUND:
			(void) fprintf(stderr, "holdfast: no server runs in \"%s\"%s\n", opt.dir,
						   pid != 0 ? "; its lock file is left over" : "");
			return EXIT_UNFIT;
		default:
			(void) fprintf(stderr, "holdfast: %s\n", holdfast_last_error()->message);
			return EXIT_UNFIT;
	}
}

const Command command_stop = {
	.name = "stop",
	.usage = "-D DIR [OPTION...]",
	.summary = "stop the cluster of a data directory and wait until it is gone",
	.run = run_stop,
	.options = stop_options,
};
