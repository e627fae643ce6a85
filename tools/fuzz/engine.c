/*
 * engine.c
 *		Runs libFuzzer or AFL++ over a target, each job a process, and reads what they say of themselves.
 *
 * Corpora are kept in the build directory from run to run; the project's seeds, corpus and regressions are read beside
 * them and never written.
 */
#include "engine.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"

#define ARGUMENTS_MAX    40
#define INPUT_SECONDS    10 /* one input that takes longer is a hang */
#define GRACE_SECONDS    60 /* that an engine may take beyond its time before it is ended */
#define LIBFUZZER_MEMORY "2048"

static const char *const input_kinds[] = {"seeds", "corpus", "regress"};

/* Argument vectors whose strings live as long as the vector. */
typedef struct Arguments
{
	const char *argv[ARGUMENTS_MAX];
	char text[ARGUMENTS_MAX][FUZZ_PATH_SIZE];
	int count;
} Arguments;

static void add(Arguments *arguments, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
add(Arguments *arguments, const char *format, ...)
{
	char *text = arguments->text[arguments->count];
	va_list args;

	if (arguments->count + 1 >= ARGUMENTS_MAX)
		return;
	va_start(args, format);
	(void) vsnprintf(text, FUZZ_PATH_SIZE, format, args);
	va_end(args);
	arguments->argv[arguments->count++] = text;
	arguments->argv[arguments->count] = NULL;
}

void
fuzz_work_directory(const FuzzOrder *order, char path[FUZZ_PATH_SIZE])
{
	fuzz_text(path, FUZZ_PATH_SIZE, "%.4200s/work/%s", order->tree->build, order->target->name);
}

static double
now_seconds(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* ---- looking at what was written ---- */

/* The number after the last `label` in a file; 0 when there is none. */
static uint64_t
last_number(const char *path, const char *label)
{
	FILE *file = fopen(path, "re");
	char line[4096];
	uint64_t number = 0;

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
	{
		const char *at = strstr(line, label);

		if (at != NULL)
			number = strtoull(at + strlen(label), NULL, 10);
	}
	(void) fclose(file);
	return number;
}

/* Files of `directory` whose name begins so. */
static void
collect(const char *directory, const char *prefix, FuzzFigures *figures)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
	{
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		if (figures->findings < FUZZ_FINDINGS_MAX)
			fuzz_text(figures->finding[figures->findings], FUZZ_PATH_SIZE, "%.4400s/%s", directory,
					  entry->d_name);
		figures->findings++;
	}
	(void) closedir(dir);
}

/* ---- libFuzzer ---- */

static void
libfuzzer_arguments(const FuzzOrder *order, const char *work, unsigned job, Arguments *arguments)
{
	char path[FUZZ_PATH_SIZE];
	const char *target = order->target->name;

	add(arguments, "%.4200s/bin/fuzz_%s", order->tree->build, target);
	add(arguments, "-max_total_time=%" PRIu64, order->seconds);
	add(arguments, "-max_len=%u", order->target->max_length);
	add(arguments, "-timeout=%d", INPUT_SECONDS);
	add(arguments, "-rss_limit_mb=" LIBFUZZER_MEMORY);
	add(arguments, "-print_final_stats=1");
	add(arguments, "-artifact_prefix=%.4400s/found/", work);
	if (order->seed != 0)
		add(arguments, "-seed=%" PRIu64, order->seed + job);
	fuzz_text(path, sizeof(path), "%.4000s/fuzz/dict/%s.dict", order->tree->source, target);
	if (access(path, R_OK) == 0)
		add(arguments, "-dict=%s", path);
	add(arguments, "%.4400s/corpus", work);
	for (size_t i = 0; i < sizeof(input_kinds) / sizeof(input_kinds[0]); i++)
	{
		fuzz_text(path, sizeof(path), "%.4000s/fuzz/%s/%s", order->tree->root, input_kinds[i],
				  target);
		if (access(path, R_OK) == 0)
			add(arguments, "%s", path);
	}
}

static uint64_t
libfuzzer_executions(const char *log)
{
	uint64_t final = last_number(log, "stat::number_of_executed_units:");

	return final != 0 ? final : last_number(log, "#");
}

static void
libfuzzer_figures(const char *work, unsigned jobs, FuzzFigures *figures)
{
	char path[FUZZ_PATH_SIZE];

	for (unsigned job = 0; job < jobs; job++)
	{
		uint64_t covered;

		fuzz_text(path, sizeof(path), "%.4400s/job-%u.log", work, job);
		covered = last_number(path, "cov: ");
		figures->executions += libfuzzer_executions(path);
		if (covered > figures->covered)
			figures->covered = covered;
		/* "Loaded 1 PC tables (182 PCs)" */
		figures->coverable = last_number(path, "PC tables (");
	}
	fuzz_text(path, sizeof(path), "%.4400s/found", work);
	collect(path, "crash-", figures);
	collect(path, "leak-", figures);
	collect(path, "timeout-", figures);
	collect(path, "oom-", figures);
}

/* ---- AFL++ ---- */

static void
afl_arguments(const FuzzOrder *order, const char *work, unsigned job, Arguments *arguments)
{
	char path[FUZZ_PATH_SIZE];
	const char *target = order->target->name;

	add(arguments, "afl-fuzz");
	add(arguments, "-i");
	add(arguments, "%.4400s/in", work);
	add(arguments, "-o");
	add(arguments, "%.4400s/out", work);
	add(arguments, "-S");
	add(arguments, "job-%u", job);
	add(arguments, "-V");
	add(arguments, "%" PRIu64, order->seconds);
	add(arguments, "-m");
	add(arguments, "none"); /* the sanitizer's shadow is larger than any limit */
	add(arguments, "-t");
	add(arguments, "%d", INPUT_SECONDS * 100);
	add(arguments, "-G");
	add(arguments, "%u", order->target->max_length);
	if (order->seed != 0)
	{
		add(arguments, "-s");
		add(arguments, "%" PRIu64, order->seed + job);
	}
	fuzz_text(path, sizeof(path), "%.4000s/fuzz/dict/%s.dict", order->tree->source, target);
	if (access(path, R_OK) == 0)
	{
		add(arguments, "-x");
		add(arguments, "%s", path);
	}
	add(arguments, "--");
	add(arguments, "%.4200s/bin/fuzz_%s", order->tree->build, target);
}

/* What AFL++ wants to hear in a CI, so that its user need not know. */
static void
afl_settings(const FuzzOrder *order, Arguments *settings)
{
	add(settings, "AFL_CUSTOM_MUTATOR_LIBRARY=%.4200s/bin/fuzz_%s_mutator.so", order->tree->build,
		order->target->name);
	add(settings, "AFL_NO_UI=1");
	add(settings, "AFL_SKIP_CPUFREQ=1");
	add(settings, "AFL_NO_AFFINITY=1");
	add(settings, "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1");
	add(settings, "AFL_FAST_CAL=1");
	add(settings, "AFL_CMPLOG_ONLY_NEW=1");
	add(settings, "AFL_BENCH_UNTIL_CRASH=1");
	add(settings, "AFL_NO_ARITH=1");
	/* Each finding ends in a signal that AFL++ sees. */
	add(settings,
		"ASAN_OPTIONS=abort_on_error=1:detect_leaks=0:symbolize=0:allocator_may_return_null=1");
	add(settings, "UBSAN_OPTIONS=abort_on_error=1:halt_on_error=1:symbolize=0");
}

/* AFL++ reads one directory. */
static bool
afl_inputs(const FuzzOrder *order, const char *work)
{
	char gather[FUZZ_PATH_SIZE], log[FUZZ_PATH_SIZE];
	const char *argv[] = {
		"sh",
		"-c",
		"rm -rf \"$1/in\" \"$1/out\" && mkdir -p \"$1/in\" && "
		"for kind in seeds corpus regress; do for file in \"$2/$kind/$3\"/*; do "
		"[ -s \"$file\" ] && cp \"$file\" \"$1/in/$kind-${file##*/}\"; done; done; "
		"[ -n \"$(ls \"$1/in\")\" ] || echo >\"$1/in/line\"",
		"sh",
		work,
		gather,
		order->target->name,
		NULL};
	int status = 0;

	fuzz_text(gather, sizeof(gather), "%.4400s/fuzz", order->tree->root);
	fuzz_text(log, sizeof(log), "%.4400s/inputs.log", work);
	return child_run(argv, NULL, log, 0, &status) && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
afl_figures(const char *work, unsigned jobs, FuzzFigures *figures)
{
	char path[FUZZ_PATH_SIZE];

	for (unsigned job = 0; job < jobs; job++)
	{
		uint64_t covered;

		fuzz_text(path, sizeof(path), "%.4400s/out/job-%u/fuzzer_stats", work, job);
		figures->executions += last_number(path, "execs_done        :");
		figures->new_paths += last_number(path, "corpus_found      :");
		covered = last_number(path, "edges_found       :");
		if (covered > figures->covered)
			figures->covered = covered;
		figures->coverable = last_number(path, "total_edges       :");
		if (last_number(path, "saved_crashes     :") > 0)
		{
			fuzz_text(path, sizeof(path), "%.4400s/out/job-%u/crashes", work, job);
			collect(path, "id:", figures);
		}
		fuzz_text(path, sizeof(path), "%.4400s/out/job-%u/fuzzer_stats", work, job);
		if (last_number(path, "saved_hangs       :") > 0)
		{
			fuzz_text(path, sizeof(path), "%.4400s/out/job-%u/hangs", work, job);
			collect(path, "id:", figures);
		}
	}
}

/* ---- a run ---- */

static void
show(FuzzOrder *order, const char *work, double elapsed)
{
	char path[FUZZ_PATH_SIZE];
	uint64_t executions;

	if (!order->line.wanted)
		return;
	if (order->tree->engine == FUZZ_AFL)
	{
		fuzz_text(path, sizeof(path), "%.4400s/out/job-0/fuzzer_stats", work);
		executions = last_number(path, "execs_done        :");
	}
	else
	{
		fuzz_text(path, sizeof(path), "%.4400s/job-0.log", work);
		executions = last_number(path, "#");
	}
	live_line_show(&order->line, "%s  %.0f/%" PRIu64 " s  %" PRIu64 " executions",
				   order->target->name, elapsed, order->seconds, executions * order->jobs);
}

static bool
start_job(const FuzzOrder *order, const char *work, unsigned job, pid_t *child)
{
	static Arguments arguments, settings; /* large */
	char log[FUZZ_PATH_SIZE];

	arguments.count = settings.count = 0;
	add(&settings, "UBSAN_OPTIONS=print_stacktrace=1");
	if (order->tree->engine == FUZZ_AFL)
	{
		settings.count = 0;
		afl_settings(order, &settings);
		afl_arguments(order, work, job, &arguments);
	}
	else
		libfuzzer_arguments(order, work, job, &arguments);
	fuzz_text(log, sizeof(log), "%.4400s/job-%u.log", work, job);
	*child = child_start(arguments.argv, settings.argv, log);
	if (*child > 0)
		return true;
	(void) fprintf(stderr, "holdfast: could not start %s: %s\n", arguments.argv[0],
				   strerror(errno));
	return false;
}

/* Jobs that end by themselves end well or with a finding; the first finding ends the others. */
static int
wait_for_jobs(FuzzOrder *order, const char *work, pid_t *children)
{
	double begin = now_seconds();
	double end = begin + (double) order->seconds + GRACE_SECONDS;
	int worst = 0;
	unsigned running = order->jobs;
	bool ending = false;

	while (running > 0)
	{
		int status = 0;
		bool late = now_seconds() > end;

		if (child_wait(children, (int) order->jobs, 250, &status) >= 0)
		{
			running--;
			if (status != 0 && !ending)
				worst = status;
		}
		show(order, work, now_seconds() - begin);
		if ((worst == 0 && !children_interrupted() && !late) || (ending && !late))
			continue;
		for (unsigned job = 0; job < order->jobs; job++)
		{
			if (children[job] > 0)
				(void) kill(children[job], late ? SIGKILL : SIGTERM);
		}
		if (!ending)
			end = now_seconds() + 10; /* then by force */
		ending = true;
	}
	live_line_clear(&order->line);
	return worst;
}

static bool
prepare(const FuzzOrder *order, const char *work)
{
	char log[FUZZ_PATH_SIZE];
	const char *argv[] = {
		"sh", "-c", "mkdir -p \"$1/corpus\" && rm -rf \"$1/found\" && mkdir \"$1/found\"",
		"sh", work, NULL};
	int status = 0;

	fuzz_text(log, sizeof(log), "%.4400s/work.log", order->tree->build);
	if (!child_run(argv, NULL, log, 0, &status) || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
	{
		(void) fprintf(stderr, "holdfast: could not make %s\n", work);
		return false;
	}
	return order->tree->engine != FUZZ_AFL || afl_inputs(order, work);
}

static bool
engine_failed(const FuzzFigures *figures)
{
	char line[512];
	FILE *log = fopen(figures->log, "re");
	char last[3][512] = {"", "", ""};
	unsigned lines = 0;

	while (log != NULL && fgets(line, sizeof(line), log) != NULL)
		memcpy(last[lines++ % 3], line, sizeof(line));
	if (log != NULL)
		(void) fclose(log);
	for (unsigned i = 0; i < 3; i++)
		(void) fputs(last[(lines + i) % 3], stderr);
	(void) fprintf(stderr, "holdfast: the engine failed: %s\n", figures->log);
	return false;
}

bool
fuzz_engine_run(FuzzOrder *order, FuzzFigures *figures)
{
	char work[FUZZ_PATH_SIZE], corpus[FUZZ_PATH_SIZE];
	pid_t children[FUZZ_JOBS_MAX] = {0};
	size_t before;
	double begin;
	int worst;

	memset(figures, 0, sizeof(*figures));
	fuzz_work_directory(order, work);
	fuzz_text(figures->log, sizeof(figures->log), "%.4400s/job-0.log", work);
	if (!prepare(order, work))
		return false;
	fuzz_text(corpus, sizeof(corpus), "%.4400s/corpus", work);
	before = fuzz_count_files(corpus);
	begin = now_seconds();
	for (unsigned job = 0; job < order->jobs; job++)
	{
		if (!start_job(order, work, job, &children[job]))
			return false;
	}
	worst = wait_for_jobs(order, work, children);
	figures->seconds = now_seconds() - begin;
	if (order->tree->engine == FUZZ_AFL)
		afl_figures(work, order->jobs, figures);
	else
	{
		size_t after = fuzz_count_files(corpus);

		libfuzzer_figures(work, order->jobs, figures);
		figures->new_paths = after > before ? after - before : 0;
	}
	if (figures->findings == 0 && !children_interrupted() &&
		(worst != 0 || figures->executions == 0))
		return engine_failed(figures);
	return true;
}
