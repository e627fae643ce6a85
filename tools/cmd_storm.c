/*
 * cmd_storm.c
 *		`holdfast storm`: checks what the user says, makes the place, and starts holdfast-storm in it, which is linked with the
 *		production library, as this program is not.
 *
 * The storm is one case of the runner: namespaces of its own, a deadline, a post-mortem that finds nothing left.  What it came to
 * lies in a directory of this run, outside of the sandbox; that goes at the end.  The bundle of a violation stays.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "campaign.h"
#include "command.h"
#include "replay.h"
#include "reports.h"
#include "storm/storm.h"

#define GRACE_MS                                                                                   \
	120000 /* beyond the storm itself: starting, trying locks, stopping, on a loaded machine */

static struct
{
	const char *nemesis, *kill_rate, *on_crash, *bundle;
	ReportFiles files;
	uint64_t duration_ms, workers, accounts, seed, recover_ms;
	bool quiet;
} opt;

static const Option *
storm_options(void)
{
	static const Option options[] = {
		{"--duration", OPTION_TIME, &opt.duration_ms, "TIME", "default 10s"},
		{"--workers", OPTION_NUMBER, &opt.workers, "N", "worker processes; default 8"},
		{"--accounts", OPTION_NUMBER, &opt.accounts, "N", "accounts, each with a lock; default 16"},
		{"--kill-rate", OPTION_STRING, &opt.kill_rate, "N/s",
		 "workers killed per second; default 50/s"},
		{"--nemesis", OPTION_STRING, &opt.nemesis, "LIST",
		 "kill supervisor stop slow ipcrm lockfile-remove lockfile-replace clock, or all; default "
		 "kill,supervisor"},
		{"--on-crash", OPTION_STRING, &opt.on_crash, "repair|reset",
		 "after a worker's death: recover its locks, or restart all as PostgreSQL does"},
		{"--recover-timeout", OPTION_TIME, &opt.recover_ms, "TIME",
		 "how long a recovery waits for a stopped worker before it resets; default 300ms"},
		{"--seed", OPTION_NUMBER, &opt.seed, "N", "the same seed makes the same decisions"},
		{"--bundle", OPTION_STRING, &opt.bundle, "DIR",
		 "where the evidence of a violation goes; default holdfast-storm-SEED"},
		REPORT_OPTIONS(opt.files),
		{"--quiet|-q", OPTION_FLAG, &opt.quiet, NULL, "only a violation"},
		{0},
	};

	return options;
}

/* One storm: what this process and the case's share. */
typedef struct Run
{
	char dir[64]; /* report.json, summary.txt, server.log */
	char program[PATH_MAX], holdfast[PATH_MAX], bundle[2 * PATH_MAX];
	char token[1024];
	int *engine_exit; /* shared with the case; -1: it did not end */
	FILE *out;        /* where people read: stdout, or stderr when stdout carries a file */
	ResultList results;
} Run;

static Run run;

/* ---- in the sandbox ---- */

static void
exec_storm(const char *work_dir)
{
	char duration[24], workers[24], accounts[24], seed[24], recover[24];
	const char *argv[] = {"holdfast-storm",
						  "--work",
						  work_dir,
						  "--run",
						  run.dir,
						  "--duration-ms",
						  duration,
						  "--workers",
						  workers,
						  "--accounts",
						  accounts,
						  "--kill-rate",
						  opt.kill_rate,
						  "--seed",
						  seed,
						  "--nemesis",
						  opt.nemesis,
						  "--on-crash",
						  opt.on_crash,
						  "--recover-ms",
						  recover,
						  "--bundle",
						  run.bundle,
						  "--holdfast",
						  run.holdfast,
						  NULL};

	(void) snprintf(duration, sizeof(duration), "%llu", (unsigned long long) opt.duration_ms);
	(void) snprintf(workers, sizeof(workers), "%llu", (unsigned long long) opt.workers);
	(void) snprintf(accounts, sizeof(accounts), "%llu", (unsigned long long) opt.accounts);
	(void) snprintf(seed, sizeof(seed), "%llu", (unsigned long long) opt.seed);
	(void) snprintf(recover, sizeof(recover), "%llu", (unsigned long long) opt.recover_ms);
	(void) execv(run.program, (char *const *) (uintptr_t) argv);
	(void) fprintf(stderr, "could not run \"%s\": %s\n", run.program, strerror(errno));
	_exit(EXIT_UNFIT);
}

/* The line of summary.txt that starts so, without that; "" when there is none. */
static void
summary_line(const char *start, char *line, size_t size)
{
	char path[128];
	FILE *file;

	(void) snprintf(path, sizeof(path), "%s/summary.txt", run.dir);
	file = fopen(path, "re");
	line[0] = '\0';
	while (file != NULL && fgets(line, (int) size, file) != NULL)
	{
		if (strncmp(line, start, strlen(start)) == 0)
		{
			memmove(line, line + strlen(start), strlen(line + strlen(start)) + 1);
			line[strcspn(line, "\n")] = '\0';
			break;
		}
		line[0] = '\0';
	}
	if (file != NULL)
		(void) fclose(file);
}

static ScenarioStatus
run_storm_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	char violation[700];
	int status = 0;
	pid_t pid = fork();

	(void) which;
	if (pid == 0)
		exec_storm(ctx->work_dir);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return scenario_error(ctx, "could not start the storm: %s", strerror(errno));
	if (!WIFEXITED(status))
		return scenario_error(ctx, "the storm itself was ended by signal %d", WTERMSIG(status));
	*run.engine_exit = WEXITSTATUS(status);
	if (*run.engine_exit == EXIT_GOOD)
		return SCENARIO_PASS;
	summary_line("VIOLATION: ", violation, sizeof(violation));
	if (*run.engine_exit == EXIT_FINDINGS)
		return scenario_fail(ctx, "%s", violation);
	return scenario_error(ctx, "the storm ended with exit code %d", *run.engine_exit);
}

/* ---- around it ---- */

/* What the storm wrote there; false when it is not there, or could not be written. */
static bool
copy_from_run(const char *name, FILE *out)
{
	char path[128], bytes[4096];
	size_t got;
	FILE *file;

	(void) snprintf(path, sizeof(path), "%s/%s", run.dir, name);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	while ((got = fread(bytes, 1, sizeof(bytes), file)) > 0)
		(void) fwrite(bytes, 1, got, out);
	return fclose(file) == 0 && ferror(out) == 0;
}

/* ReportFigures: the members of the storm's own object. */
static void
write_numbers(JsonWriter *json, void *arg)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	bool copied = out != NULL && copy_from_run("report.json", out);
	const char *first, *last;

	(void) arg;
	if (out != NULL && fclose(out) != 0)
		copied = false;
	first = copied ? strchr(text, '{') : NULL;
	last = copied ? strrchr(text, '}') : NULL;
	if (first == NULL || last == NULL)
		json->broken = true;
	else
	{
		first += 1 + strspn(first + 1, " \n");
		while (last > first && (last[-1] == '\n' || last[-1] == ' '))
			last--;
		json_raw(json, NULL, first, (size_t) (last - first));
	}
	free(text);
}

static void
on_result(const ScenarioResult *result, void *arg)
{
	ScenarioResult own = *result;
	char replay[sizeof(run.token) + 32];

	(void) arg;
	/* The runner's own token is of a scenario of the catalogue, which this is not. */
	(void) snprintf(replay, sizeof(replay), "holdfast replay %s", run.token);
	own.replay = result->status == SCENARIO_PASS ? NULL : replay;
	results_add(&run.results, &own);
	if (own.status != SCENARIO_ERROR)
		return; /* the storm itself says what it found */
	print_indented(stderr, "holdfast: ", own.message.bytes, own.message.length);
	if (own.detail.length > 0)
		print_indented(stderr, "      | ", own.detail.bytes, own.detail.length);
}

static void
remove_run_dir(void)
{
	static const char *const names[] = {"report.json", "summary.txt", "server.log"};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		(void) snprintf(path, sizeof(path), "%s/%s", run.dir, names[i]);
		(void) unlink(path);
	}
	(void) rmdir(run.dir);
}

static bool
make_token(void)
{
	static ReplayToken token;

	if (!replay_token_begin(&token, "storm") ||
		!replay_token_add_number(&token, "seed", opt.seed) ||
		!replay_token_add_number(&token, "duration-ms", opt.duration_ms) ||
		!replay_token_add_number(&token, "workers", opt.workers) ||
		!replay_token_add_number(&token, "accounts", opt.accounts) ||
		!replay_token_add(&token, "kill-rate", opt.kill_rate) ||
		!replay_token_add_number(&token, "recover-ms", opt.recover_ms) ||
		!replay_token_add(&token, "on-crash", opt.on_crash) ||
		!replay_token_add(&token, "nemesis", opt.nemesis))
		return false;
	return replay_token_print(&token, run.token, sizeof(run.token)) < sizeof(run.token);
}

/* holdfast-storm lies beside this program. */
static bool
find_programs(void)
{
	ssize_t length = readlink("/proc/self/exe", run.holdfast, sizeof(run.holdfast) - 1);
	char *name;

	if (length <= 0)
		return false;
	run.holdfast[length] = '\0';
	name = strrchr(run.holdfast, '/');
	return name != NULL &&
		   (size_t) snprintf(run.program, sizeof(run.program), "%.*s/holdfast-storm",
							 (int) (name - run.holdfast), run.holdfast) < sizeof(run.program);
}

static bool
prepare(void)
{
	const char *tmp = getenv("TMPDIR");
	char cwd[PATH_MAX - 64];

	run.engine_exit =
		mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	(void) snprintf(run.dir, sizeof(run.dir), "%.40s/holdfast-run.XXXXXX",
					tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
	if (run.engine_exit == MAP_FAILED || getcwd(cwd, sizeof(cwd)) == NULL || !find_programs() ||
		!make_token() || mkdtemp(run.dir) == NULL)
		return false;
	*run.engine_exit = -1;
	if (opt.bundle != NULL && opt.bundle[0] == '/')
		(void) snprintf(run.bundle, sizeof(run.bundle), "%s", opt.bundle);
	else if (opt.bundle != NULL)
		(void) snprintf(run.bundle, sizeof(run.bundle), "%s/%.1000s", cwd, opt.bundle);
	else
		(void) snprintf(run.bundle, sizeof(run.bundle), "%s/holdfast-storm-%llu", cwd,
						(unsigned long long) opt.seed);
	return true;
}

/* What the storm said beats what the runner makes of it. */
static int
exit_code(RunnerOutcome outcome)
{
	if (outcome == RUNNER_INTERRUPTED || outcome == RUNNER_UNFIT || *run.engine_exit < 0 ||
		*run.engine_exit == EXIT_GOOD)
		return outcome_exit_code(outcome);
	return *run.engine_exit;
}

static int
tell(RunnerOutcome outcome, const RunnerSummary *summary)
{
	bool told = *run.engine_exit == EXIT_GOOD || *run.engine_exit == EXIT_FINDINGS;
	RunInfo info = {.seed = opt.seed,
					.outcome = exit_code_name(exit_code(outcome)),
					.exit_code = exit_code(outcome),
					.summary = summary};

	if (summary->problem[0] != '\0')
		(void) fprintf(stderr, "holdfast: %s\n", summary->problem);
	if (told && (!opt.quiet || *run.engine_exit == EXIT_FINDINGS))
		(void) copy_from_run("summary.txt", run.out);
	return reports_write(&opt.files, &run.results, &info, "storm", told ? write_numbers : NULL,
						 NULL)
			   ? info.exit_code
			   : EXIT_INTERNAL;
}

static int
run_storm(void)
{
	Scenario scenario = {.id = "storm",
						 .summary = "",
						 .run = run_storm_case,
						 .deadline_ms = (unsigned) (opt.duration_ms + GRACE_MS)};
	ScenarioCase which = {0};
	RunnerItem item = {.scenario = &scenario, .which = &which};
	RunnerSelection selection = {.item = &item, .count = 1, .capacity = 1};
	RunnerConfig config = {.selection = &selection, .jobs = 1, .listener = on_result};
	RunnerSummary summary = {0};
	RunnerOutcome outcome;
	int code;

	run = (Run){.out = reports_people(&opt.files)};
	if (!prepare())
	{
		(void) fprintf(stderr, "holdfast: could not prepare the storm: %s\n", strerror(errno));
		return EXIT_UNFIT;
	}
	(void) snprintf(which.name, sizeof(which.name), "%s", opt.nemesis);
	outcome = runner_run(&config, &summary);
	code = tell(outcome, &summary);
	results_free(&run.results);
	(void) munmap(run.engine_exit, sizeof(int));
	remove_run_dir();
	return code;
}

/* "50/s", "50": per second.  Leaves the number alone. */
static bool
read_rate(const char *text)
{
	static char number[32];
	char *end;
	double rate = strtod(text, &end);

	(void) snprintf(number, sizeof(number), "%g", rate);
	opt.kill_rate = number;
	return end != text && (strcmp(end, "/s") == 0 || *end == '\0') && rate >= 0.01 && rate <= 1e5;
}

static int
check(void)
{
	const char *word, *rate;
	size_t length;
	unsigned mask;
	ClusterOnCrash on_crash;

	if (opt.duration_ms == 0)
		opt.duration_ms = 10000;
	opt.workers = opt.workers != 0 ? opt.workers : 8;
	opt.accounts = opt.accounts != 0 ? opt.accounts : CLUSTER_ACCOUNTS_DEFAULT;
	opt.recover_ms = opt.recover_ms != 0 ? opt.recover_ms : 300;
	opt.kill_rate = opt.kill_rate != NULL ? opt.kill_rate : "50/s";
	opt.on_crash = opt.on_crash != NULL ? opt.on_crash : "repair";
	opt.nemesis = opt.nemesis != NULL ? opt.nemesis : "kill+supervisor";
	if (opt.workers > CLUSTER_WORKERS_MAX || opt.accounts < 2 ||
		opt.accounts > CLUSTER_ACCOUNTS_MAX)
		return usage_error("storm has 1 to %d workers, 2 to %d accounts", CLUSTER_WORKERS_MAX,
						   CLUSTER_ACCOUNTS_MAX);
	if (opt.duration_ms > 7 * UINT64_C(86400000) || opt.recover_ms > 3600000)
		return usage_error("a storm lasts a week at most, a recovery an hour");
	rate = opt.kill_rate;
	if (!read_rate(rate))
		return usage_error("--kill-rate wants a number per second, as in 50/s, not \"%s\"", rate);
	if (!cluster_on_crash_parse(opt.on_crash, &on_crash))
		return usage_error("--on-crash is repair or reset, not \"%s\"", opt.on_crash);
	if (!nemesis_parse(opt.nemesis, &mask, &word, &length))
	{
		const char *candidates[NEMESES + 2] = {[NEMESES] = "all"};
		char given[32];

		memcpy(candidates, nemesis_names, sizeof(nemesis_names));
		(void) snprintf(given, sizeof(given), "%.*s", (int) length, word);
		return usage_error("there is no nemesis \"%s\"%s", given, did_you_mean(given, candidates));
	}
	if (opt.seed == 0 && getrandom(&opt.seed, sizeof(opt.seed), 0) == sizeof(opt.seed))
		opt.seed = (opt.seed & UINT32_MAX) | 1; /* short enough to be typed */
	return EXIT_GOOD;
}

/* A token has no comma in its values. */
static void
join_with_plus(const char *text)
{
	static char joined[256];

	(void) snprintf(joined, sizeof(joined), "%s", text);
	for (char *at = joined; *at != '\0'; at++)
		if (*at == ',')
			*at = '+';
	opt.nemesis = joined;
}

static int
run_command(int argc, char **argv)
{
	int count;
	int status = command_options(&command_storm, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count > 0)
		return usage_error("storm takes options only, not \"%s\"", argv[0]);
	status = check();
	if (status != EXIT_GOOD)
		return status;
	join_with_plus(opt.nemesis);
	return run_storm();
}

const Command command_storm = {
	.name = "storm",
	.usage = "[OPTION...]",
	.summary = "kill, stop and rob a cluster on the production library at random, for a while",
	.run = run_command,
	.options = storm_options,
	.examples = "  holdfast storm\n"
				"  holdfast storm --duration 60s --workers 16 --kill-rate 50/s\n"
				"  holdfast storm --nemesis all --json storm.json\n",
};

int
replay_storm(const ReplayToken *token, const ReplayOptions *options)
{
	static const char *const keys[] = {"seed",     "duration-ms", "workers",
									   "accounts", "kill-rate",   "recover-ms",
									   "on-crash", "nemesis",     NULL};
	ReplayTokenError error;
	int code = EXIT_GOOD;

	if (!replay_token_only(token, keys, &error) ||
		!replay_token_number(token, "seed", 0, UINT64_MAX, &opt.seed, &error) ||
		!replay_token_number(token, "duration-ms", 0, UINT32_MAX, &opt.duration_ms, &error) ||
		!replay_token_number(token, "workers", 0, UINT32_MAX, &opt.workers, &error) ||
		!replay_token_number(token, "accounts", 0, UINT32_MAX, &opt.accounts, &error) ||
		!replay_token_number(token, "recover-ms", 0, UINT32_MAX, &opt.recover_ms, &error))
		return replay_refuse(&error);
	opt.kill_rate = replay_token_get(token, "kill-rate");
	opt.on_crash = replay_token_get(token, "on-crash");
	opt.nemesis = replay_token_get(token, "nemesis");
	opt.files = options->files;
	opt.quiet = options->quiet;
	code = check();
	for (uint64_t i = 0; code == EXIT_GOOD && i < (options->repeat != 0 ? options->repeat : 1); i++)
		code = run_storm();
	return code;
}
