/*
 * cases.c
 *		See cases.h.
 */
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "campaign.h"
#include "cases.h"

bool
cases_program(const char *name, char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length <= 0)
		return false;
	self[length] = '\0';
	return (size_t) snprintf(path, size, "%s/%s", dirname(self), name) < size;
}

/* ---- results as they come ---- */

static const ScenarioCase *
case_of(const Cases *cases, const char *name)
{
	for (size_t i = 0; i < cases->list.count; i++)
		if (strcmp(cases->list.item[i].name, name) == 0)
			return &cases->list.item[i];
	return NULL;
}

static void
print_failure(const Cases *cases, const ScenarioResult *result)
{
	(void) fprintf(cases->out, "%-5s %s\n", result->status == SCENARIO_FAIL ? "FAIL" : "ERROR",
				   result->case_name);
	if (result->message.length > 0)
		print_indented(cases->out, "      ", result->message.bytes, result->message.length);
	if (result->detail.length > 0)
		print_indented(cases->out, "      | ", result->detail.bytes, result->detail.length);
	if (result->replay != NULL)
		(void) fprintf(cases->out, "      replay: %s\n", result->replay);
}

static void
on_result(const ScenarioResult *result, void *arg)
{
	Cases *cases = arg;
	ScenarioResult own = *result;
	const ScenarioCase *which = case_of(cases, result->case_name);
	const char *token = which != NULL && cases->token != NULL ? cases->token(which) : NULL;
	char replay[1024];

	/* The runner's own token is of a scenario of the catalogue, which this is not. */
	own.replay = NULL;
	if (token != NULL && token[0] != '\0' && result->status != SCENARIO_PASS)
	{
		(void) snprintf(replay, sizeof(replay), "holdfast replay %s", token);
		own.replay = replay;
	}
	results_add(&cases->results, &own);
	if (own.status == SCENARIO_FAIL || own.status == SCENARIO_ERROR)
		print_failure(cases, &own);
	else if (own.status == SCENARIO_PASS && which != NULL && cases->passed != NULL &&
			 !cases->options->quiet)
		cases->passed(which, &own, cases->out);
	/* Cases are cloned from this process: what is still buffered would come out of them again. */
	(void) fflush(cases->out);
}

/* ---- running ---- */

int
cases_execute(Cases *cases)
{
	const CasesOptions *options = cases->options;
	RunnerSelection selection = {.count = cases->list.count, .capacity = cases->list.count};
	RunnerConfig config = {
		.selection = &selection,
		.jobs = (unsigned) options->jobs,
		.seed = 1,
		.budget_ms = options->budget_ms,
		.verbose = options->verbose,
		.listener = on_result,
		.listener_arg = cases,
	};
	int status;

	cases->out = reports_people(&options->files);
	status = campaign_shard(options->shard, &config.shard_index, &config.shard_count);
	if (status != EXIT_GOOD)
		return status;
	selection.item = calloc(selection.count + 1, sizeof(*selection.item));
	if (selection.item == NULL || cases->list.out_of_memory)
		return EXIT_INTERNAL;
	for (size_t i = 0; i < selection.count; i++)
		selection.item[i] =
			(RunnerItem){.scenario = cases->scenario, .which = &cases->list.item[i]};
	cases->outcome = runner_run(&config, &cases->summary);
	cases->exit_code = outcome_exit_code(cases->outcome);
	free(selection.item);
	if (cases->summary.problem[0] != '\0')
		(void) fprintf(stderr, "holdfast: %s\n", cases->summary.problem);
	return EXIT_GOOD;
}

/* ---- files ---- */

void
cases_json_findings(const Cases *cases, JsonWriter *json, const char *what)
{
	json_array(json, "findings");
	for (size_t i = 0; i < cases->results.count; i++)
	{
		const ScenarioResult *result = &cases->results.item[i];

		if (result->status != SCENARIO_FAIL && result->status != SCENARIO_ERROR)
			continue;
		json_object(json, NULL);
		json_string(json, what, result->case_name);
		json_string(json, "status", scenario_status_name(result->status));
		json_bytes(json, "message", result->message.bytes, result->message.length);
		json_string(json, "replay", result->replay);
		json_object_end(json);
	}
	json_array_end(json);
}

int
cases_finish(Cases *cases, const char *command, ReportFigures figures, void *arg)
{
	RunInfo info = {.seed = 1,
					.outcome = outcome_name(cases->outcome),
					.exit_code = cases->exit_code,
					.summary = &cases->summary};
	bool written =
		reports_write(&cases->options->files, &cases->results, &info, command, figures, arg);

	results_free(&cases->results);
	scenario_cases_free(&cases->list);
	return written ? cases->exit_code : EXIT_INTERNAL;
}
