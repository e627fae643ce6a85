/*
 * cmd_step.c
 *		`holdfast step`: the production library, one machine instruction at a time.
 *
 * Each subject is a case in a sandbox of its own, where holdfast-step is started: that program is linked with the
 * production library, as this one is not.  Its report comes back in a file of the sandbox and is kept in memory that the
 * case shares with this process.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "campaign.h"
#include "cases.h"
#include "replay.h"
#include "step/report.h"

#define SUBJECTS_MAX 64
#define JSON_MAX     ((size_t) 60 << 20) /* less than a sandbox's file may have */

static CasesOptions opt;
static struct
{
	const char *engine;
	bool list, bench, no_kills;
} step_opt;

static const Option *
step_options(void)
{
	static const Option options[] = {
		{"--engine", OPTION_STRING, &step_opt.engine, "NAME",
		 "ptrace, or tf where a subject can; default: tf"},
		{"--no-kills", OPTION_FLAG, &step_opt.no_kills, NULL,
		 "clones only, no real kill in each state"},
		{"--list", OPTION_FLAG, &step_opt.list, NULL, "only name the subjects"},
		{"--bench", OPTION_FLAG, &step_opt.bench, NULL,
		 "steps per second beside bare ones, as JSON, and nothing else"},
		CASES_OPTIONS(opt),
		{0},
	};

	return options;
}

/* What comes back of a subject. */
typedef struct Returned
{
	StepReport report;
	char json[JSON_MAX];
} Returned;

typedef struct Subject
{
	char name[SCENARIO_CASE_NAME_SIZE];
	char summary[128];
} Subject;

static Subject subject[SUBJECTS_MAX];
static int nsubjects;
static Returned *returned; /* one per subject; shared with the cases */
static char program[PATH_MAX];

/* A replay's. */
static struct
{
	bool by_event, by_instruction;
	char event[16], instruction[16];
} aim;

/* ---- holdfast-step ---- */

static bool
find_program(void)
{
	if (cases_program("holdfast-step", program, sizeof(program)) && access(program, X_OK) == 0)
		return true;
	(void) fprintf(stderr, "holdfast: there is no holdfast-step beside this program\n");
	return false;
}

static bool
read_subjects(void)
{
	char command[PATH_MAX + 16];
	char line[sizeof(Subject)];
	FILE *list;

	(void) snprintf(command, sizeof(command), "exec '%s' --list", program);
	list = popen(command, "re");
	while (list != NULL && nsubjects < SUBJECTS_MAX && fgets(line, sizeof(line), list) != NULL)
		if (sscanf(line, "%127s %127[^\n]", subject[nsubjects].name, subject[nsubjects].summary) ==
			2)
			nsubjects++;
	return list != NULL && pclose(list) == 0 && nsubjects > 0;
}

/* Everything is bound before the first step: what the dynamic linker does is not the library's. */
static void
exec_program(char **arguments)
{
	(void) setenv("LD_BIND_NOW", "1", 1);
	(void) execv(program, arguments);
	(void) fprintf(stderr, "holdfast: could not run \"%s\": %s\n", program, strerror(errno));
	_exit(EXIT_UNFIT);
}

static int
start_and_wait(char **arguments)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
	{
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		exec_program(arguments);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_INTERNAL;
}

/* ---- one case, in its sandbox ---- */

static bool
read_back(const char *path, Returned *back)
{
	FILE *file = fopen(path, "re");
	bool good = file != NULL && fread(&back->report, sizeof(back->report), 1, file) == 1 &&
				back->report.version == STEP_REPORT_VERSION &&
				back->report.json_length <= JSON_MAX &&
				fread(back->json, 1, back->report.json_length, file) == back->report.json_length;

	if (file != NULL)
		(void) fclose(file);
	(void) unlink(path);
	return good;
}

static void
log_lines(ScenarioContext *ctx, const char *text)
{
	while (*text != '\0')
	{
		size_t length = strcspn(text, "\n");

		scenario_log(ctx, "%.*s", (int) length, text);
		text += length + (text[length] == '\n');
	}
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	Returned *back = &returned[which->param[0]];
	char out[PATH_MAX];
	char *arguments[16];
	int n = 0;
	int code;

	(void) snprintf(out, sizeof(out), "%s/step.out", ctx->work_dir);
	arguments[n++] = (char *) "holdfast-step";
	arguments[n++] = (char *) (uintptr_t) which->name;
	arguments[n++] = (char *) "--dir";
	arguments[n++] = (char *) (uintptr_t) ctx->data_dir;
	arguments[n++] = (char *) "--out";
	arguments[n++] = out;
	if (step_opt.engine != NULL)
	{
		arguments[n++] = (char *) "--engine";
		arguments[n++] = (char *) (uintptr_t) step_opt.engine;
	}
	if (step_opt.no_kills)
		arguments[n++] = (char *) "--no-kills";
	if (opt.files.json == NULL)
		arguments[n++] = (char *) "--no-list";
	if (aim.by_event || aim.by_instruction)
	{
		arguments[n++] = (char *) (aim.by_event ? "--event" : "--instruction");
		arguments[n++] = aim.by_event ? aim.event : aim.instruction;
	}
	arguments[n] = NULL;
	code = start_and_wait(arguments);
	if (code != EXIT_GOOD || !read_back(out, back))
		return scenario_error(ctx, "holdfast-step ended with code %d", code);
	if (back->report.failures > 0)
	{
		log_lines(ctx, back->report.detail);
		return scenario_fail(ctx, "%s", back->report.finding);
	}
	if (back->report.problem[0] != '\0')
		return scenario_error(ctx, "%s", back->report.problem);
	return SCENARIO_PASS;
}

static const Scenario step_scenario = {
	.id = "step",
	.summary = "a death at every machine instruction",
	.run = run_case,
	.deadline_ms = 600000,
};

/* ---- what people see ---- */

static const char *
token_of(const ScenarioCase *which)
{
	return returned[which->param[0]].report.token;
}

static uint64_t
per_second(uint64_t count, uint64_t ns)
{
	return ns == 0 ? 0 : (uint64_t) ((double) count * 1e9 / (double) ns);
}

static void
print_passed(const ScenarioCase *which, const ScenarioResult *result, FILE *out)
{
	const StepReport *report = &returned[which->param[0]].report;

	(void) fprintf(out,
				   "ok    %-29s %7u instructions %5u events %4u states %4u kills %7.2f s  %s\n",
				   which->name, report->instructions, report->events, report->states, report->kills,
				   result->milliseconds / 1000, report->engine);
}

static StepReport
total_of(const Cases *cases)
{
	StepReport total = {0};

	for (size_t i = 0; i < cases->list.count; i++)
	{
		const StepReport *report = &returned[cases->list.item[i].param[0]].report;

		total.instructions += report->instructions;
		total.events += report->events;
		total.states += report->states;
		total.kills += report->kills;
		total.failures += report->failures;
		total.placed += report->placed;
		total.lined += report->lined;
		total.step_ns += report->step_ns;
		total.check_ns += report->check_ns;
		total.kill_ns += report->kill_ns;
	}
	return total;
}

static void
print_total(const Cases *cases, const StepReport *total)
{
	(void) fprintf(cases->out,
				   "%zu of %zu subjects: %u instructions at %" PRIu64
				   "/s, %u events, %u distinct states, %u kills, %u failures; "
				   "%.1f%% named, %.1f%% with line; %.1f s%s\n",
				   cases->summary.run, cases->summary.selected, total->instructions,
				   per_second(total->instructions, total->step_ns), total->events, total->states,
				   total->kills, total->failures,
				   total->instructions > 0 ? 100.0 * total->placed / total->instructions : 0,
				   total->instructions > 0 ? 100.0 * total->lined / total->instructions : 0,
				   cases->summary.milliseconds / 1000,
				   cases->outcome == RUNNER_INTERRUPTED  ? "; interrupted"
				   : cases->outcome == RUNNER_INCOMPLETE ? "; budget spent"
														 : "");
}

typedef struct Told
{
	const Cases *cases;
	StepReport total;
} Told;

/* ReportFigures */
static void
write_figures(JsonWriter *json, void *arg)
{
	const Told *told = arg;
	const Cases *cases = told->cases;
	const StepReport *total = &told->total;

	json_uint(json, "instructions", total->instructions);
	json_uint(json, "instructions_named", total->placed);
	json_uint(json, "instructions_with_line", total->lined);
	json_uint(json, "instructions_per_second", per_second(total->instructions, total->step_ns));
	json_uint(json, "events", total->events);
	json_uint(json, "states", total->states);
	json_uint(json, "kills", total->kills);
	json_uint(json, "failures", total->failures);
	json_array(json, "subjects");
	for (size_t i = 0; i < cases->list.count; i++)
	{
		const Returned *back = &returned[cases->list.item[i].param[0]];

		if (back->report.json_length > 0)
			json_raw(json, NULL, back->json, back->report.json_length - 1); /* its line end */
	}
	json_array_end(json);
	cases_json_findings(cases, json, "subject");
}

/* ---- selection ---- */

static bool
is_chosen(const char *name, int count, char **patterns)
{
	for (int i = 0; i < count; i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	return count == 0;
}

static int
nothing_like(const char *pattern)
{
	const char *names[SUBJECTS_MAX + 1] = {NULL};

	for (int i = 0; i < nsubjects; i++)
		names[i] = subject[i].name;
	(void) fprintf(stderr, "holdfast: there is no subject \"%s\"%s\n", pattern,
				   did_you_mean(pattern, names));
	return EXIT_NOTHING;
}

static int
choose(Cases *cases, int count, char **patterns)
{
	for (int i = 0; i < count; i++)
	{
		int found = 0;

		for (int j = 0; j < nsubjects; j++)
			found += fnmatch(patterns[i], subject[j].name, 0) == 0;
		if (found == 0)
			return nothing_like(patterns[i]);
	}
	for (int i = 0; i < nsubjects; i++)
	{
		ScenarioCase *added;

		if (!is_chosen(subject[i].name, count, patterns))
			continue;
		added = scenario_case_add(&cases->list, "%s", subject[i].name);
		if (added == NULL)
			return EXIT_INTERNAL;
		added->param[0] = i;
	}
	return EXIT_GOOD;
}

/* Can one process step another here? */
static bool
may_trace(void)
{
	pid_t pid = fork();
	int status = 0;
	bool good;

	if (pid == 0)
	{
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(1);
		(void) raise(SIGSTOP);
		_exit(0);
	}
	good = pid > 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
		   ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0;
	if (pid > 0 && !WIFEXITED(status))
	{
		(void) kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) >= 0)
			continue;
	}
	return good;
}

static int
run_cases(int count, char **patterns)
{
	Cases cases = {
		.scenario = &step_scenario, .options = &opt, .token = token_of, .passed = print_passed};
	Told told = {.cases = &cases};
	int status = choose(&cases, count, patterns);

	if (status != EXIT_GOOD)
		return status;
	if (!may_trace())
	{
		(void) fprintf(stderr, "holdfast: this process may not trace its own children (ptrace)\n");
		return EXIT_UNFIT;
	}
	returned = mmap(NULL, (size_t) nsubjects * sizeof(*returned), PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (returned == MAP_FAILED)
		return EXIT_INTERNAL;
	status = cases_execute(&cases);
	if (status == EXIT_GOOD)
	{
		told.total = total_of(&cases);
		print_total(&cases, &told.total);
		status = cases_finish(&cases, "step", write_figures, &told);
	}
	(void) munmap(returned, (size_t) nsubjects * sizeof(*returned));
	return status;
}

static int
list_subjects(void)
{
	for (int i = 0; i < nsubjects; i++)
		(void) printf("%-29s %s\n", subject[i].name, subject[i].summary);
	return EXIT_GOOD;
}

static int
run_step(int argc, char **argv)
{
	static char name[] = "holdfast-step", bench[] = "--bench";
	char *bench_arguments[] = {name, bench, NULL};
	int count;
	int status = command_options(&command_step, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (step_opt.engine != NULL && strcmp(step_opt.engine, "ptrace") != 0 &&
		strcmp(step_opt.engine, "tf") != 0)
		return usage_error("--engine is ptrace or tf, not \"%s\"", step_opt.engine);
	if (!find_program())
		return EXIT_UNFIT;
	if (step_opt.bench)
		return start_and_wait(bench_arguments);
	if (!read_subjects())
		return EXIT_INTERNAL;
	return step_opt.list ? list_subjects() : run_cases(count, argv);
}

const Command command_step = {
	.name = "step",
	.usage = "[SUBJECT...] [OPTION...]",
	.summary = "kill at every machine instruction of the production library",
	.run = run_step,
	.options = step_options,
	.examples = "  holdfast step\n"
				"  holdfast step lwlock-acquire-exclusive --json -\n"
				"  holdfast step 'lwlock-release*' recover\n",
};

/* ---- replay ---- */

/* Interactive, so without a sandbox; in an IPC namespace of its own, where that can be had. */
static int
replay_in_gdb(char *name)
{
	char directory[] = "/tmp/holdfast-step.XXXXXX";
	char out[PATH_MAX], guard[PATH_MAX];
	char *arguments[] = {(char *) "holdfast-step",
						 name,
						 (char *) "--dir",
						 directory,
						 (char *) "--out",
						 out,
						 (char *) "--no-list",
						 (char *) "--gdb",
						 (char *) (aim.by_event ? "--event" : "--instruction"),
						 aim.by_event ? aim.event : aim.instruction,
						 NULL};
	int code;

	if (mkdtemp(directory) == NULL)
		return EXIT_UNFIT;
	(void) snprintf(out, sizeof(out), "%s.out", directory);
	(void) snprintf(guard, sizeof(guard), "%s/postmaster.pid.guard", directory);
	(void) unshare(CLONE_NEWIPC);
	code = start_and_wait(arguments);
	(void) unlink(out);
	(void) unlink(guard);
	(void) rmdir(directory);
	return code;
}

int
replay_step(const ReplayToken *token, const ReplayOptions *options)
{
	static const char *const keys[] = {"subject", "event", "n", NULL};
	ReplayTokenError error = {.position = 1};
	const char *name = replay_token_get(token, "subject");
	char *patterns[1] = {(char *) (uintptr_t) name};
	uint64_t event, instruction;
	int status = EXIT_GOOD;

	if (!replay_token_only(token, keys, &error) ||
		!replay_token_number(token, "event", UINT64_MAX, UINT32_MAX, &event, &error) ||
		!replay_token_number(token, "n", UINT64_MAX, UINT32_MAX, &instruction, &error))
		return replay_refuse(&error);
	if (name == NULL || (event == UINT64_MAX && instruction == UINT64_MAX))
		return usage_error("a step token wants subject=NAME and event=N or n=N");
	if (!find_program() || !read_subjects())
		return EXIT_UNFIT;
	aim.by_event = event != UINT64_MAX;
	aim.by_instruction = !aim.by_event;
	(void) snprintf(aim.event, sizeof(aim.event), "%" PRIu64, event);
	(void) snprintf(aim.instruction, sizeof(aim.instruction), "%" PRIu64, instruction);
	if (options->gdb)
		return replay_in_gdb(patterns[0]);
	opt = (CasesOptions){.files = options->files,
						 .budget_ms = options->budget_ms,
						 .verbose = options->verbose,
						 .quiet = options->quiet};
	for (uint64_t i = 0; i == 0 || i < options->repeat; i++)
	{
		int code = run_cases(1, patterns);

		status = code > status ? code : status;
	}
	return status;
}
