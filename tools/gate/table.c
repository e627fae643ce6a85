/*
 * table.c
 *		What people read of a gate: a row per part, each finding with its replay line, and annotations where a CI shows them.
 */
#include <string.h>

#include "campaign.h"
#include "gate/gate.h"
#include "results/origin.h"

#define ANNOTATIONS_MAX 10 /* more are not shown per step */

/* ---- the table ---- */

static const char *
word_of(const GateRow *row)
{
	size_t bad = row->by_status[SCENARIO_FAIL] + row->by_status[SCENARIO_ERROR];

	if (row->state == GATE_BROKEN)
		return "BROKEN";
	if (bad > 0)
		return "FAIL";
	switch (row->state)
	{
		case GATE_NOT_CHOSEN:
		case GATE_OTHER_SHARD:
			return "-";
		case GATE_NOT_RUN:
			return "not run";
		case GATE_CUT:
			return "cut";
		case GATE_UNFIT:
			return "unfit";
		case GATE_NOT_BUILT:
			return "not built";
		case GATE_NOTHING:
			return "nothing";
		case GATE_USAGE:
			return "refused";
		default:
			return "ok";
	}
}

void
gate_print_head(FILE *out)
{
	(void) fprintf(out, "%-9s %-10s %6s %6s %6s %7s %6s %8s\n", "", "part", "cases", "passed",
				   "failed", "skipped", "known", "seconds");
}

void
gate_print_row(const GateRun *run, int which, FILE *out)
{
	const GateRow *row = &run->row[which];

	if (row->state == GATE_NOT_CHOSEN)
		return;
	(void) fprintf(out, "%-9s %-10s %6zu %6zu %6zu %7zu %6zu %8.1f", word_of(row),
				   gate_parts[which].name, row->cases, row->by_status[SCENARIO_PASS],
				   row->by_status[SCENARIO_FAIL] + row->by_status[SCENARIO_ERROR],
				   row->by_status[SCENARIO_SKIP], row->known, row->seconds);
	if (row->state == GATE_OTHER_SHARD)
		(void) fputs("  another shard's", out);
	else if (row->note[0] != '\0')
		(void) fprintf(out, "  %s", row->note);
	(void) fputc('\n', out);
	(void) fflush(out);
}

/* ---- findings ---- */

static void
print_finding(const ResultList *list, const ScenarioResult *result, FILE *out)
{
	const char *word = result->known                     ? "known"
					   : result_is_flaky(list, result)   ? "flaky"
					   : result->status == SCENARIO_FAIL ? "FAIL"
														 : "ERROR";
	char name[512];

	(void) snprintf(name, sizeof(name), "%-5s %.120s: %.380s", word, result->scenario,
					result->case_name);
	print_indented(out, "", name, strlen(name));
	if (result->message.length > 0)
		print_indented(out, "      ", result->message.bytes, result->message.length);
	if (result->known)
		return;
	if (result->detail.length > 0)
		print_indented(out, "      | ", result->detail.bytes, result->detail.length);
	if (result->replay != NULL)
		(void) fprintf(out, "      replay: %s\n", result->replay);
}

static void
print_entry(const Known *known, const char *word, FILE *out)
{
	char text[700];

	(void) snprintf(text, sizeof(text), "%-8s %.60s: %.300s: %.240s%s%.40s", word, known->kind,
					known->subject, known->signature, known->expired ? ", expired " : "",
					known->expired ? known->expires : "");
	print_indented(out, "", text, strlen(text));
}

void
gate_print_findings(const GateRun *run, FILE *out)
{
	const ResultList *list = &run->whole.list;

	for (size_t i = 0; i < list->count; i++)
	{
		if (result_is_finding(&list->item[i]))
			print_finding(list, &list->item[i], out);
	}
	for (size_t i = 0; i < run->baseline.count; i++)
	{
		const Known *known = &run->baseline.item[i];

		if (known->gone)
			print_entry(known, "fixed", out);
		else if (known->seen && known->expired)
			print_entry(known, "expired", out);
	}
}

/* ---- annotations ---- */

/* Of a workflow command: what would end it is written as %XX. */
static void
put_escaped(const char *bytes, size_t length, bool is_property, FILE *out)
{
	for (size_t i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) bytes[i];

		if (c == '%' || c < 0x20 || (is_property && (c == ':' || c == ',')))
			(void) fprintf(out, "%%%02X", c);
		else
			(void) fputc(c, out);
	}
}

void
gate_print_annotations(const GateRun *run, FILE *out)
{
	const ResultList *list = &run->whole.list;
	int count = 0;

	for (size_t i = 0; i < list->count && count < ANNOTATIONS_MAX; i++)
	{
		const ScenarioResult *result = &list->item[i];
		ResultOrigin origin;

		if (result->known || !result_is_finding(result))
			continue;
		count++;
		result_origin(result, &origin);
		(void) fprintf(out, "::%s ", result_is_flaky(list, result) ? "warning" : "error");
		if (origin.file[0] != '\0')
			(void) fprintf(out, "file=%s,line=%u,", origin.file, origin.line > 0 ? origin.line : 1);
		(void) fputs("title=", out);
		put_escaped(result->scenario, strlen(result->scenario), true, out);
		(void) fputs("::", out);
		put_escaped(result->case_name, strlen(result->case_name), false, out);
		(void) fputs(": ", out);
		put_escaped(result->message.bytes, result->message.length, false, out);
		if (result->replay != NULL)
		{
			(void) fputs("%0Areplay: ", out);
			put_escaped(result->replay, strlen(result->replay), false, out);
		}
		(void) fputc('\n', out);
	}
}
