/*
 * report.c
 *		What a storm came to, in numbers: RUN/summary.txt to be read, RUN/report.json to be parsed: the
 *		members that `holdfast storm` puts into its JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/json_writer.h"
#include "storm.h"

typedef struct Percentiles
{
	size_t count;
	double p50, p90, p99, max; /* microseconds */
} Percentiles;

static int
compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *) a, right = *(const uint64_t *) b;

	return (left > right) - (left < right);
}

static Percentiles
recovery_times(const Storm *storm)
{
	Percentiles out = {.count = storm->history->delays < HISTORY_DELAYS ? storm->history->delays
																		: HISTORY_DELAYS};
	uint64_t *sorted = calloc(out.count + 1, sizeof(*sorted));

	if (!sorted || out.count == 0)
	{
		free(sorted);
		return (Percentiles){0};
	}
	memcpy(sorted, storm->history->delay_ns, out.count * sizeof(*sorted));
	qsort(sorted, out.count, sizeof(*sorted), compare);
	out.p50 = (double) sorted[out.count / 2] / 1000;
	out.p90 = (double) sorted[out.count * 9 / 10] / 1000;
	out.p99 = (double) sorted[out.count * 99 / 100] / 1000;
	out.max = (double) sorted[out.count - 1] / 1000;
	free(sorted);
	return out;
}

static uint64_t
kills(const Storm *storm)
{
	uint64_t sum = 0;

	for (int i = 0; i < HISTORY_STAGES; i++)
		sum += storm->kills_in[i];
	return sum;
}

static uint64_t
kills_in_lock_functions(const Storm *storm)
{
	return storm->kills_in[HISTORY_ACQUIRING] + storm->kills_in[HISTORY_RELEASING] +
		   storm->kills_in[HISTORY_WAITING_VAR];
}

static void
nemeses_text(const Storm *storm, char between, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < NEMESES && used < size; i++)
		if (storm->config.nemeses & 1u << i)
			used += (size_t) snprintf(text + used, size - used, "%.*s%s", used > 0, &between,
									  nemesis_names[i]);
}

void
report_token(const Storm *storm, char *text, size_t size)
{
	char names[256];

	nemeses_text(storm, '+', names, sizeof(names));
	snprintf(text, size,
			 "storm:seed=%llu,duration-ms=%llu,workers=%u,accounts=%u,kill-rate=%.0f,recover-ms=%u,"
			 "on-crash=%s,nemesis=%s",
			 (unsigned long long) storm->config.seed,
			 (unsigned long long) storm->config.duration_ms, storm->config.workers,
			 storm->config.accounts, storm->config.kill_rate, storm->config.recover_ms,
			 storm->config.on_crash == CLUSTER_RESET ? "reset" : "repair", names);
}

static double
mean_ms(const Sample *sample)
{
	return sample->count ? (double) sample->sum_us / (double) sample->count / 1000 : 0;
}

/* ---- to be read ---- */

static void
print_sample(FILE *out, const char *what, const Sample *sample)
{
	if (sample->count)
		fprintf(out, "%s: %llu times, mean %.1f ms, at most %.1f ms\n", what,
				(unsigned long long) sample->count, mean_ms(sample),
				(double) sample->max_us / 1000);
}

static void
print_summary(const Storm *storm, FILE *out)
{
	Percentiles recovery = recovery_times(storm);
	char token[1024];

	fprintf(out,
			"storm: %.1f s, %u workers, seed %llu: %llu workers killed, %llu of them inside a "
			"lock function, %llu holding a lock\n",
			storm->seconds, storm->config.workers, (unsigned long long) storm->config.seed,
			(unsigned long long) kills(storm), (unsigned long long) kills_in_lock_functions(storm),
			(unsigned long long) storm->kills_in[HISTORY_INSIDE]);
	fprintf(out, "strikes:");
	for (int i = 0; i < NEMESES; i++)
		if (storm->config.nemeses & 1u << i)
			fprintf(out, " %s %llu", nemesis_names[i], (unsigned long long) storm->strikes[i]);
	fprintf(out, "\nsupervisors: %llu starts, %llu refused while old workers lived; %u segments\n",
			(unsigned long long) storm->lives, (unsigned long long) storm->refusals,
			storm->history->epoch);
	print_sample(out, "out of service", &storm->outage);
	print_sample(out, "lockfile taken, server gone", &storm->lockfile_noticed);
	print_sample(out, "segment removed, new one made", &storm->ipcrm_noticed);
	fprintf(
		out,
		"kill of a holder to the next acquire: %zu seen, p50 %.0f us, p90 %.0f us, p99 %.0f us, "
		"max %.0f us\n",
		recovery.count, recovery.p50, recovery.p90, recovery.p99, recovery.max);
	fprintf(out, "locks: %llu tried, %llu stuck\n", (unsigned long long) storm->locks,
			(unsigned long long) storm->stuck);
	fprintf(out, "history: %llu sections counted, %llu compared by the clock\n",
			(unsigned long long) storm->checked.sections,
			(unsigned long long) storm->checked.intervals);
	fprintf(out, "audit: %s\n", storm->audit[0] ? storm->audit : "none");
	if (storm->history->violations == 0)
	{
		fprintf(out, "nothing left: no process, segment, file\n");
		return;
	}
	report_token(storm, token, sizeof(token));
	fprintf(out, "VIOLATION: %s (%u in all)\n", storm->history->violation,
			storm->history->violations);
	if (storm->config.bundle)
		fprintf(out, "bundle: %s\n", storm->config.bundle);
	fprintf(out, "replay: holdfast replay %s\n", token);
}

/* ---- to be parsed ---- */

static void
json_sample(JsonWriter *json, const char *key, const Sample *sample)
{
	json_object(json, key);
	json_uint(json, "count", sample->count);
	json_milliseconds(json, "mean_ms", mean_ms(sample));
	json_milliseconds(json, "max_ms", (double) sample->max_us / 1000);
	json_object_end(json);
}

static void
json_kills(JsonWriter *json, const Storm *storm)
{
	json_object(json, "kills");
	json_uint(json, "workers", kills(storm));
	json_uint(json, "in_lock_functions", kills_in_lock_functions(storm));
	for (int i = 0; i < HISTORY_STAGES; i++)
		json_uint(json, history_stage_names[i], storm->kills_in[i]);
	json_object_end(json);
	json_object(json, "strikes");
	for (int i = 0; i < NEMESES; i++)
		if (storm->config.nemeses & 1u << i)
			json_uint(json, nemesis_names[i], storm->strikes[i]);
	json_object_end(json);
}

static void
json_times(JsonWriter *json, const Storm *storm)
{
	Percentiles recovery = recovery_times(storm);

	json_object(json, "recovery");
	json_uint(json, "count", recovery.count);
	json_milliseconds(json, "p50_us", recovery.p50);
	json_milliseconds(json, "p90_us", recovery.p90);
	json_milliseconds(json, "p99_us", recovery.p99);
	json_milliseconds(json, "max_us", recovery.max);
	json_object_end(json);
	json_sample(json, "outage", &storm->outage);
	json_sample(json, "lockfile_noticed", &storm->lockfile_noticed);
	json_sample(json, "segment_noticed", &storm->ipcrm_noticed);
}

static bool
write_json(const Storm *storm, FILE *out)
{
	char token[1024];
	JsonWriter json;

	report_token(storm, token, sizeof(token));
	json_begin(&json, out);
	json_object(&json, NULL);
	json_uint(&json, "seed", storm->config.seed);
	json_milliseconds(&json, "seconds", storm->seconds);
	json_uint(&json, "workers", storm->config.workers);
	json_uint(&json, "accounts", storm->config.accounts);
	json_string(&json, "on_crash", storm->config.on_crash == CLUSTER_RESET ? "reset" : "repair");
	json_kills(&json, storm);
	json_object(&json, "supervisors");
	json_uint(&json, "started", storm->lives);
	json_uint(&json, "refused", storm->refusals);
	json_uint(&json, "segments", storm->history->epoch);
	json_object_end(&json);
	json_times(&json, storm);
	json_object(&json, "locks");
	json_uint(&json, "tried", storm->locks);
	json_uint(&json, "stuck", storm->stuck);
	json_object_end(&json);
	json_object(&json, "history");
	json_uint(&json, "sections", storm->checked.sections);
	json_uint(&json, "intervals", storm->checked.intervals);
	json_object_end(&json);
	json_string(&json, "audit", storm->audit);
	json_string(&json, "leaks", storm->leaks);
	json_uint(&json, "violations", storm->history->violations);
	json_string(&json, "violation", storm->history->violations ? storm->history->violation : NULL);
	json_string(&json, "bundle", storm->history->violations ? storm->config.bundle : NULL);
	json_string(&json, "replay", token);
	json_object_end(&json);
	return json_finish(&json);
}

static FILE *
open_in_run(const Storm *storm, const char *name)
{
	char path[4300];

	snprintf(path, sizeof(path), "%s/%s", storm->config.run_dir, name);
	return fopen(path, "we");
}

bool
report_write(Storm *storm)
{
	FILE *json = open_in_run(storm, "report.json"), *text = open_in_run(storm, "summary.txt");
	bool good = json && text && write_json(storm, json);

	if (good)
		print_summary(storm, text);
	if (json && fclose(json) != 0)
		good = false;
	if (text && fclose(text) != 0)
		good = false;
	return good;
}
