/*
 * step_main.c
 *		holdfast-step: the program that `holdfast step` starts for each subject.  It is linked with the production library.
 *
 *		holdfast-step --list
 *		holdfast-step SUBJECT --dir DIR --out FILE [--engine ptrace|tf] [--event N | --instruction N] [--no-kills] [--no-list] [--gdb]
 *		holdfast-step --bench
 *
 * DIR must be empty and the IPC namespace this program's own: `holdfast step` sees to both.
 * Exit code: 0 a report was written, whatever it says; 2 usage; 70 not.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exit_codes.h"
#include "inject/step/symbols.h"
#include "results/json_writer.h"
#include "step/campaign.h"
#include "step/report.h"

typedef struct Arguments
{
	const char *subject, *directory, *out, *engine;
	uint32_t event, instruction;
	bool by_event, by_instruction, no_kills, no_list, gdb, list, bench;
} Arguments;

/* ---- the report ---- */

static const char *
syscall_name(long number)
{
	static const struct
	{
		long number;
		const char *name;
	} names[] = {
		{SYS_read, "read"},
		{SYS_write, "write"},
		{SYS_openat, "openat"},
		{SYS_close, "close"},
		{SYS_futex, "futex"},
		{SYS_shmget, "shmget"},
		{SYS_shmat, "shmat"},
		{SYS_shmctl, "shmctl"},
		{SYS_shmdt, "shmdt"},
		{SYS_fsync, "fsync"},
		{SYS_fcntl, "fcntl"},
		{SYS_getpid, "getpid"},
		{SYS_gettid, "gettid"},
		{SYS_kill, "kill"},
		{SYS_pidfd_open, "pidfd_open"},
		{SYS_getrandom, "getrandom"},
		{SYS_brk, "brk"},
		{SYS_mmap, "mmap"},
		{SYS_munmap, "munmap"},
		{SYS_clock_gettime, "clock_gettime"},
		{SYS_linkat, "linkat"},
		{SYS_unlinkat, "unlinkat"},
		{SYS_renameat, "renameat"},
		{SYS_exit_group, "exit_group"},
		{SYS_sched_yield, "sched_yield"},
		{SYS_rt_sigprocmask, "rt_sigprocmask"},
		{SYS_getppid, "getppid"},
		{SYS_geteuid, "geteuid"},
		{SYS_lseek, "lseek"},
		{SYS_ppoll, "ppoll"},
		{SYS_clock_nanosleep, "clock_nanosleep"},
		{SYS_newfstatat, "newfstatat"},
		{SYS_inotify_init1, "inotify_init1"},
		{SYS_inotify_add_watch, "inotify_add_watch"},
		{SYS_inotify_rm_watch, "inotify_rm_watch"},
		{SYS_fstat, "fstat"},
		{SYS_readlinkat, "readlinkat"},
		{SYS_mprotect, "mprotect"},
#ifdef SYS_open /* what only older machines have */
		{SYS_open, "open"},
		{SYS_stat, "stat"},
		{SYS_link, "link"},
		{SYS_unlink, "unlink"},
		{SYS_rename, "rename"},
		{SYS_poll, "poll"},
		{SYS_readlink, "readlink"},
		{SYS_access, "access"},
		{SYS_getdents64, "getdents64"},
#endif
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == number)
			return names[i].name;
	return NULL;
}

static const char *
outcome_name(const StepState *state)
{
	switch (state->verdict)
	{
		case VERDICT_RECOVERED:
			return "recovered";
		case VERDICT_KILLED:
			return "killed and recovered";
		case VERDICT_FAILED:
			return "failed";
		case VERDICT_NONE:
			break;
	}
	return "not looked at";
}

static void
write_instruction(JsonWriter *json, uint32_t number, uint32_t times,
				  const StepInstruction *instruction, const StepPlace *place,
				  const StepCampaign *campaign)
{
	uint32_t index = campaign->state_of_event[instruction->event];
	char text[64];

	json_object(json, NULL);
	json->compact = true;
	json_uint(json, "n", number);
	if (times > 1)
		json_uint(json, "times", times);
	(void) snprintf(text, sizeof(text), "0x%" PRIx64, place->module_offset);
	json_string(json, "address", text);
	json_string(json, "module", place->module);
	json_string(json, "symbol", place->symbol);
	json_uint(json, "offset", place->symbol_offset);
	json_string(json, "file", place->file);
	json_int(json, "line", place->line);
	json_uint(json, "words_changed", instruction->writes);
	if (instruction->syscall != STEP_NO_SYSCALL)
	{
		(void) snprintf(text, sizeof(text), "%" PRId32, instruction->syscall);
		json_string(json, "syscall",
					syscall_name(instruction->syscall) != NULL ? syscall_name(instruction->syscall)
															   : text);
	}
	json_uint(json, "event", instruction->event);
	json_uint(json, "state", index);
	json_string(json, "outcome", outcome_name(&campaign->state[index]));
	json_object_end(json);
	json->compact = false;
}

/* Memo: the same few thousand addresses come again and again. */
#define MEMO_SIZE 16384
static struct
{
	uint64_t address;
	StepPlace place;
} memo[MEMO_SIZE];

static const StepPlace *
place_of(StepSymbols *symbols, uint64_t address)
{
	size_t at = (size_t) ((address * UINT64_C(0x9e3779b97f4a7c15)) >> 50) % MEMO_SIZE;

	if (memo[at].address != address)
	{
		memo[at].address = address;
		step_symbols_find(symbols, address, &memo[at].place);
	}
	return &memo[at].place;
}

static void
describe_finding(const StepSubject *subject, const StepTrace *trace, StepSymbols *symbols,
				 const StepState *state, StepReport *report)
{
	char where[256] = "before the first instruction";
	char line[600];
	size_t used = strlen(report->detail);

	if (state->instruction > 0)
	{
		const StepPlace *place =
			place_of(symbols, trace->instruction[state->instruction - 1].address);

		(void) snprintf(where, sizeof(where), "after instruction %u, %s+0x%" PRIx64 " (%s:%d)",
						state->instruction, place->symbol != NULL ? place->symbol : "?",
						place->symbol_offset, place->file != NULL ? place->file : "?", place->line);
	}
	(void) snprintf(line, sizeof(line), "a death %s: %.300s", where, state->why);
	(void) snprintf(report->detail + used, sizeof(report->detail) - used,
					"%s\n  replay: holdfast replay step:subject=%s,event=%u,n=%u\n", line,
					subject->name, state->event, state->instruction);
	if (report->finding[0] != '\0')
		return;
	(void) snprintf(report->finding, sizeof(report->finding), "%s", line);
	(void) snprintf(report->token, sizeof(report->token), "step:subject=%s,event=%u,n=%u",
					subject->name, state->event, state->instruction);
}

/* A string instruction's rounds, as long as they change nothing, are one row. */
static uint32_t
count_rounds(const StepTrace *trace, uint32_t at)
{
	uint32_t times = 1;

	while (at + times < trace->instructions && !trace->instruction[at].is_event &&
		   !trace->instruction[at + times].is_event &&
		   trace->instruction[at + times].address == trace->instruction[at].address)
		times++;
	return times;
}

static void
write_list(JsonWriter *json, const StepTrace *trace, const StepCampaign *campaign,
		   StepSymbols *symbols)
{
	json_array(json, "instruction");
	for (uint32_t i = 0; i < trace->instructions;)
	{
		uint32_t times = count_rounds(trace, i);

		write_instruction(json, i + 1, times, &trace->instruction[i],
						  place_of(symbols, trace->instruction[i].address), campaign);
		i += times;
	}
	json_array_end(json);
}

static void
count_places(const StepTrace *trace, StepSymbols *symbols, StepReport *report)
{
	for (uint32_t i = 0; i < trace->instructions; i++)
	{
		const StepPlace *place = place_of(symbols, trace->instruction[i].address);

		report->placed += place->symbol != NULL;
		report->lined += place->line > 0;
	}
}

static void
fill_report(StepReport *report, const StepSubject *subject, const StepOptions *options,
			const StepTrace *trace, const StepCampaign *campaign, StepSymbols *symbols)
{
	report->version = STEP_REPORT_VERSION;
	report->instructions = trace->instructions;
	report->events = trace->events;
	report->states = campaign->nstates;
	report->kills = campaign->kills;
	report->failures = campaign->failures;
	report->step_ns = trace->nanoseconds;
	report->check_ns = campaign->check_ns;
	report->kill_ns = campaign->kill_ns;
	(void) snprintf(report->engine, sizeof(report->engine), "%s",
					options->engine == STEP_TF ? "tf" : "ptrace");
	(void) snprintf(report->problem, sizeof(report->problem), "%s", campaign->problem);
	count_places(trace, symbols, report);
	for (uint32_t i = 0; i < campaign->nstates; i++)
		if (campaign->state[i].verdict == VERDICT_FAILED)
			describe_finding(subject, trace, symbols, &campaign->state[i], report);
}

static void
write_json(FILE *out, const StepSubject *subject, const StepTrace *trace,
		   const StepCampaign *campaign, StepSymbols *symbols, const StepReport *report)
{
	JsonWriter json;
	double seconds = (double) trace->nanoseconds / 1e9;

	json_begin(&json, out);
	json_object(&json, NULL);
	json_string(&json, "subject", subject->name);
	json_string(&json, "summary", subject->summary);
	json_string(&json, "engine", report->engine);
	json_string(&json, "symbols", step_symbols_source());
	json_uint(&json, "instructions", trace->instructions);
	json_uint(&json, "events", trace->events);
	json_uint(&json, "states", campaign->nstates);
	json_uint(&json, "kills", campaign->kills);
	json_uint(&json, "failures", campaign->failures);
	json_milliseconds(&json, "step_ms", seconds * 1e3);
	json_uint(&json, "instructions_per_second",
			  seconds > 0 ? (uint64_t) (trace->instructions / seconds) : 0);
	json_milliseconds(&json, "check_ms", (double) campaign->check_ns / 1e6);
	json_milliseconds(&json, "kill_ms", (double) campaign->kill_ns / 1e6);
	if (campaign->problem[0] != '\0')
		json_string(&json, "problem", campaign->problem);
	write_list(&json, trace, campaign, symbols);
	json_object_end(&json);
	(void) json_finish(&json);
}

static int
write_report(const Arguments *arguments, const StepSubject *subject, const StepOptions *options,
			 const StepTrace *trace, const StepCampaign *campaign)
{
	static StepReport report;
	StepSymbols *symbols = step_symbols_open();
	FILE *out = fopen(arguments->out, "we");
	bool good;

	if (symbols == NULL || out == NULL)
	{
		(void) fprintf(stderr, "holdfast-step: could not write \"%s\": %s\n", arguments->out,
					   strerror(errno));
		return EXIT_INTERNAL;
	}
	fill_report(&report, subject, options, trace, campaign, symbols);
	(void) fwrite(&report, sizeof(report), 1, out);
	if (!arguments->no_list)
		write_json(out, subject, trace, campaign, symbols, &report);
	report.json_length = (uint64_t) ftell(out) - sizeof(report);
	rewind(out);
	good = fwrite(&report, sizeof(report), 1, out) == 1;
	good = fclose(out) == 0 && good;
	step_symbols_close(symbols);
	return good ? EXIT_GOOD : EXIT_INTERNAL;
}

/* ---- one subject ---- */

static void
run_gdb(pid_t victim, void *arg)
{
	char pid[16];
	pid_t child = fork();

	(void) arg;
	(void) snprintf(pid, sizeof(pid), "%d", (int) victim);
	if (child == 0)
	{
		(void) execlp("gdb", "gdb", "-q", "-p", pid, (char *) NULL);
		(void) fprintf(stderr, "holdfast-step: could not run gdb: %s\n", strerror(errno));
		_exit(127);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
}

/* The event that the n-th instruction of the record is, or comes after. */
static bool
find_event(const Arguments *arguments, const StepSubject *subject, StepOptions *options,
		   StepCampaign *campaign, StepTrace *trace)
{
	StepOptions record = *options;

	record.no_kills = true;
	record.only_state = false;
	if (!campaign_run(campaign, subject, &record, trace) ||
		arguments->instruction > trace->instructions)
		return false;
	options->event =
		arguments->instruction == 0 ? 0 : trace->instruction[arguments->instruction - 1].event;
	campaign_free(campaign);
	return true;
}

static int
run_subject(const Arguments *arguments)
{
	const StepSubject *subject = step_subject_find(arguments->subject);
	StepCampaign *campaign = campaign_make();
	StepTrace *trace = step_trace_make();
	StepOptions options = {
		.directory = arguments->directory,
		.only_state = arguments->by_event || arguments->by_instruction,
		.event = arguments->event,
		.no_kills = arguments->no_kills,
		.hold = arguments->gdb,
		.held = run_gdb,
	};

	if (subject == NULL || campaign == NULL || trace == NULL)
		return EXIT_INTERNAL;
	options.engine = campaign_engine(subject);
	if (arguments->gdb || (arguments->engine != NULL && strcmp(arguments->engine, "ptrace") == 0))
		options.engine = STEP_PTRACE;
	if (arguments->by_instruction && !arguments->by_event)
	{
		if (!find_event(arguments, subject, &options, campaign, trace))
		{
			(void) fprintf(stderr, "holdfast-step: %s has no instruction %u\n", subject->name,
						   arguments->instruction);
			return EXIT_INTERNAL;
		}
		campaign = campaign_make();
		if (campaign == NULL)
			return EXIT_INTERNAL;
	}
	if (!campaign_run(campaign, subject, &options, trace) && campaign->problem[0] == '\0')
		(void) snprintf(campaign->problem, sizeof(campaign->problem), "it did not come to an end");
	return write_report(arguments, subject, &options, trace, campaign);
}

/* ---- rates ---- */

#define BENCH_STEPS  20000
#define BENCH_ROUNDS 5

static unsigned char bench_bytes[64 * 1024] __attribute__((aligned(64)));

/* About as many instructions as the lock's fast path has between two changes of the segment. */
static void
bench_body(void *arg)
{
	volatile uint64_t *word = (uint64_t *) (void *) bench_bytes;

	(void) arg;
	for (uint64_t i = 0; i < BENCH_STEPS / 100; i++)
	{
		word[i % 16]++;
		for (volatile int j = 0; j < 15; j++)
			continue;
	}
}

static int
compare_rates(const void *a, const void *b)
{
	double difference = *(const double *) a - *(const double *) b;

	return difference < 0 ? -1 : difference > 0;
}

static bool
bench_engine(JsonWriter *json, StepEngine engine, StepTrace *trace)
{
	StepPlan plan = {.engine = engine,
					 .body = bench_body,
					 .region = {bench_bytes, sizeof(bench_bytes)},
					 .kill_after = STEP_KILL_NEVER};
	double bare[BENCH_ROUNDS], full[BENCH_ROUNDS];

	for (int i = 0; i < BENCH_ROUNDS; i++)
	{
		bare[i] = step_bare_rate(engine, BENCH_STEPS / 2);
		if (step_run(&plan, trace) != STEP_FINISHED || trace->nanoseconds == 0)
			return false;
		full[i] = trace->instructions * 1e9 / (double) trace->nanoseconds;
	}
	qsort(bare, BENCH_ROUNDS, sizeof(double), compare_rates);
	qsort(full, BENCH_ROUNDS, sizeof(double), compare_rates);
	json_object(json, NULL);
	json_string(json, "engine", engine == STEP_TF ? "tf" : "ptrace");
	json_uint(json, "instructions_per_second", (uint64_t) full[BENCH_ROUNDS / 2]);
	json_uint(json, "bare_steps_per_second", (uint64_t) bare[BENCH_ROUNDS / 2]);
	json_milliseconds(json, "ratio", full[BENCH_ROUNDS / 2] / bare[BENCH_ROUNDS / 2]);
	json_object_end(json);
	return true;
}

static int
run_bench(void)
{
	StepTrace *trace = step_trace_make();
	JsonWriter json;
	bool good = trace != NULL;

	json_begin(&json, stdout);
	json_object(&json, NULL);
	json_uint(&json, "schema_version", 1);
	json_uint(&json, "region_bytes", sizeof(bench_bytes));
	json_array(&json, "engines");
	good = good && bench_engine(&json, STEP_PTRACE, trace);
	if (step_engine_exists(STEP_TF))
		good = good && bench_engine(&json, STEP_TF, trace);
	json_array_end(&json);
	json_object_end(&json);
	return json_finish(&json) && good ? EXIT_GOOD : EXIT_INTERNAL;
}

/* ---- arguments ---- */

static int
list_subjects(void)
{
	for (const StepSubject *const *subject = step_subject_all(); *subject != NULL; subject++)
		(void) printf("%s\t%s\n", (*subject)->name, (*subject)->summary);
	return EXIT_GOOD;
}

static bool
read_arguments(int argc, char **argv, Arguments *arguments)
{
	for (int i = 1; i < argc; i++)
	{
		const char *word = argv[i];
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(word, "--list") == 0)
			arguments->list = true;
		else if (strcmp(word, "--bench") == 0)
			arguments->bench = true;
		else if (strcmp(word, "--no-kills") == 0)
			arguments->no_kills = true;
		else if (strcmp(word, "--no-list") == 0)
			arguments->no_list = true;
		else if (strcmp(word, "--gdb") == 0)
			arguments->gdb = true;
		else if (word[0] != '-')
			arguments->subject = word;
		else if (value == NULL)
			return false;
		else if (strcmp(word, "--dir") == 0)
			arguments->directory = argv[++i];
		else if (strcmp(word, "--out") == 0)
			arguments->out = argv[++i];
		else if (strcmp(word, "--engine") == 0)
			arguments->engine = argv[++i];
		else if (strcmp(word, "--event") == 0)
			arguments->by_event = sscanf(argv[++i], "%" SCNu32, &arguments->event) == 1;
		else if (strcmp(word, "--instruction") == 0)
			arguments->by_instruction = sscanf(argv[++i], "%" SCNu32, &arguments->instruction) == 1;
		else
			return false;
	}
	return arguments->list || arguments->bench ||
		   (arguments->subject != NULL && arguments->directory != NULL && arguments->out != NULL &&
			step_subject_find(arguments->subject) != NULL);
}

int
main(int argc, char **argv)
{
	Arguments arguments = {0};

	if (!read_arguments(argc, argv, &arguments))
	{
		(void) fprintf(stderr, "holdfast-step: started by `holdfast step`; see there\n");
		return EXIT_USAGE;
	}
	if (arguments.list)
		return list_subjects();
	return arguments.bench ? run_bench() : run_subject(&arguments);
}
