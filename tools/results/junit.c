/*
 * junit.c
 *		JUnit XML, as CI servers read it: a suite per scenario, a testcase per case.
 */
#include <inttypes.h>
#include <string.h>

#include "markup.h"
#include "results.h"

static void
put_attribute(const char *name, const char *bytes, size_t length, FILE *out)
{
	(void) fprintf(out, " %s=\"", name);
	markup_bytes(bytes, length, out);
	(void) fputc('"', out);
}

static void
put_problem(const char *element, const ScenarioResult *result, FILE *out)
{
	(void) fprintf(out, "      <%s", element);
	put_attribute("message", result->message.bytes, result->message.length, out);
	(void) fputc('>', out);
	markup_bytes(result->detail.bytes, result->detail.length, out);
	if (result->replay != NULL)
	{
		(void) fputs("\nreplay: ", out);
		markup_text(result->replay, out);
	}
	(void) fprintf(out, "</%s>\n", element);
}

static void
put_case(const ScenarioResult *result, FILE *out)
{
	(void) fputs("    <testcase", out);
	put_attribute("name", result->case_name, strlen(result->case_name), out);
	put_attribute("classname", result->scenario, strlen(result->scenario), out);
	(void) fprintf(out, " time=\"%.6f\"", result->milliseconds / 1000);
	switch (result->status)
	{
		case SCENARIO_PASS:
			(void) fputs("/>\n", out);
			return;
		case SCENARIO_SKIP:
			(void) fputs(">\n      <skipped", out);
			put_attribute("message", result->message.bytes, result->message.length, out);
			(void) fputs("/>\n", out);
			break;
		case SCENARIO_FAIL:
			(void) fputs(">\n", out);
			put_problem("failure", result, out);
			break;
		case SCENARIO_ERROR:
			(void) fputs(">\n", out);
			put_problem("error", result, out);
			break;
	}
	(void) fputs("    </testcase>\n", out);
}

/* The run of neighbours that share a scenario: results come in order of scenario, or nearly. */
static size_t
suite_end(const ResultList *list, size_t from, size_t by_status[SCENARIO_STATUS_COUNT], double *ms)
{
	size_t end = from;

	memset(by_status, 0, sizeof(size_t) * SCENARIO_STATUS_COUNT);
	*ms = 0;
	for (; end < list->count && strcmp(list->item[end].scenario, list->item[from].scenario) == 0;
		 end++)
	{
		by_status[list->item[end].status]++;
		*ms += list->item[end].milliseconds;
	}
	return end;
}

bool
results_write_junit(const ResultList *list, const RunInfo *info, FILE *out)
{
	const size_t *total = info->summary->by_status;

	(void) fprintf(out,
				   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
				   "<testsuites name=\"holdfast\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" "
				   "skipped=\"%zu\" time=\"%.6f\">\n",
				   list->count, total[SCENARIO_FAIL], total[SCENARIO_ERROR], total[SCENARIO_SKIP],
				   info->summary->milliseconds / 1000);
	for (size_t from = 0; from < list->count;)
	{
		size_t by_status[SCENARIO_STATUS_COUNT];
		double ms;
		size_t end = suite_end(list, from, by_status, &ms);

		(void) fputs("  <testsuite", out);
		put_attribute("name", list->item[from].scenario, strlen(list->item[from].scenario), out);
		(void) fprintf(
			out,
			" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"%.6f\">\n"
			"    <properties><property name=\"seed\" value=\"%" PRIu64 "\"/></properties>\n",
			end - from, by_status[SCENARIO_FAIL], by_status[SCENARIO_ERROR],
			by_status[SCENARIO_SKIP], ms / 1000, info->seed);
		for (; from < end; from++)
			put_case(&list->item[from], out);
		(void) fputs("  </testsuite>\n", out);
	}
	(void) fputs("</testsuites>\n", out);
	return ferror(out) == 0;
}
