/*
 * html.c
 *		One page for people: the verdict, a table per part, each finding with its replay line, and every case.
 *
 * The page is one file that needs nothing else: no script, no other file, light or dark as the reader has it.  Every text of a
 * result is escaped.  Passed cases are short, so that ten thousand of them stay a page that opens.
 */
#include <inttypes.h>
#include <string.h>

#include <holdfast/holdfast.h>

#include "markup.h"
#include "origin.h"
#include "results.h"

static const char style[] =
	":root{color-scheme:light dark;--bg:#fff;--fg:#1c1e21;--dim:#667;--line:#d8dbe0;--code:#f3f4f6;"
	"--good:#1a7f37;--bad:#c4242f;--odd:#9a6700}"
	"@media(prefers-color-scheme:dark){:root{--bg:#15181c;--fg:#e4e6ea;--dim:#99a;--line:#343a42;"
	"--code:#1f242a;--good:#4ac26b;--bad:#ff7b72;--odd:#d9a520}}"
	"body{font:15px/1.5 system-ui,sans-serif;background:var(--bg);color:var(--fg);max-width:76rem;"
	"margin:2rem auto;padding:0 1rem}"
	"h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem;margin:0}"
	"table{border-collapse:collapse;width:100%}"
	"th,td{text-align:left;padding:.2rem .6rem;border-bottom:1px solid var(--line);"
	"vertical-align:top;overflow-wrap:anywhere}"
	"th{font-weight:600}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
	"tr.part{font-weight:600}tr.part td:first-child,.s{white-space:nowrap}"
	"tr.scenario td:first-child{padding-left:1.8rem}"
	"code,pre{font:13px/1.45 ui-monospace,monospace;background:var(--code)}"
	"code{padding:.1rem .3rem}pre{padding:.6rem;overflow-x:auto;white-space:pre-wrap}"
	"article{border-left:4px solid var(--bad);padding:.2rem .9rem;margin:1rem 0}"
	"article.known,article.flaky{border-color:var(--odd)}"
	".good,.pass{color:var(--good)}.bad,.fail,.error{color:var(--bad)}"
	".odd,.skip,.known,.flaky{color:var(--odd)}article{color:var(--fg)}.dim{color:var(--dim)}"
	"summary{cursor:pointer}";

/* ---- sums ---- */

typedef struct Sum
{
	size_t cases, by_status[SCENARIO_STATUS_COUNT], known;
	double milliseconds;
} Sum;

/* "run" of "run.c10-kill-mid-lock"; the whole of it when there is no such part. */
static size_t
part_length(const char *scenario)
{
	return strcspn(scenario, ".");
}

static bool
same_part(const char *left, const char *right)
{
	return part_length(left) == part_length(right) && strncmp(left, right, part_length(left)) == 0;
}

static bool
same_scenario(const char *left, const char *right)
{
	return strcmp(left, right) == 0;
}

typedef bool (*Same)(const char *left, const char *right);

static Sum
sum_of(const ResultList *list, size_t which, Same same)
{
	Sum sum = {0};

	for (size_t i = 0; i < list->count; i++)
	{
		const ScenarioResult *result = &list->item[i];

		if (!same(result->scenario, list->item[which].scenario))
			continue;
		sum.cases++;
		sum.by_status[result->status]++;
		sum.known += result->known;
		sum.milliseconds += result->milliseconds;
	}
	return sum;
}

static bool
is_first(const ResultList *list, size_t which, Same same)
{
	const char *scenario = list->item[which].scenario;

	/* Lists are sorted, mostly: the neighbour answers for nearly all. */
	if (which > 0 && same(list->item[which - 1].scenario, scenario))
		return false;
	for (size_t i = 0; i < which; i++)
	{
		if (same(list->item[i].scenario, scenario))
			return false;
	}
	return true;
}

/* ---- the table ---- */

static void
put_count(size_t count, const char *class, FILE *out)
{
	(void) fprintf(out, "<td class=\"n%s%s\">%zu</td>", count > 0 ? " " : "",
				   count > 0 ? class : "", count);
}

static void
put_row(const char *class, const char *name, size_t length, const Sum *sum, FILE *out)
{
	(void) fprintf(out, "<tr class=\"%s\"><td>", class);
	markup_bytes(name, length, out);
	(void) fputs("</td>", out);
	put_count(sum->cases, "", out);
	put_count(sum->by_status[SCENARIO_PASS], "pass", out);
	put_count(sum->by_status[SCENARIO_FAIL], "fail", out);
	put_count(sum->by_status[SCENARIO_ERROR], "error", out);
	put_count(sum->by_status[SCENARIO_SKIP] - sum->known, "skip", out);
	put_count(sum->known, "known", out);
	(void) fprintf(out, "<td class=\"n\">%.1f</td></tr>\n", sum->milliseconds / 1000);
}

static void
put_part(const ResultList *list, size_t first, FILE *out)
{
	const char *part = list->item[first].scenario;
	Sum sum = sum_of(list, first, same_part);

	put_row("part", part, part_length(part), &sum, out);
	for (size_t i = first; i < list->count; i++)
	{
		const char *scenario = list->item[i].scenario;

		if (!same_part(scenario, part) || scenario[part_length(scenario)] == '\0' ||
			!is_first(list, i, same_scenario))
			continue;
		sum = sum_of(list, i, same_scenario);
		put_row("scenario", result_scenario_id(scenario), strlen(result_scenario_id(scenario)),
				&sum, out);
	}
}

static void
put_table(const ResultList *list, FILE *out)
{
	(void) fputs("<h2>Parts</h2>\n<table>\n<tr><th>part</th><th class=\"n\">cases</th>"
				 "<th class=\"n\">passed</th><th class=\"n\">failed</th><th class=\"n\">errors</th>"
				 "<th class=\"n\">skipped</th><th class=\"n\">known</th>"
				 "<th class=\"n\">seconds</th></tr>\n",
				 out);
	for (size_t i = 0; i < list->count; i++)
	{
		if (is_first(list, i, same_part))
			put_part(list, i, out);
	}
	(void) fputs("</table>\n", out);
}

/* ---- findings ---- */

static const char *
label_of(const ResultList *list, const ScenarioResult *result)
{
	if (result->known)
		return "known";
	if (result_is_finding(result) && result_is_flaky(list, result))
		return "flaky";
	return scenario_status_name(result->status);
}

static void
put_place(const ScenarioResult *result, FILE *out)
{
	ResultOrigin origin;

	result_origin(result, &origin);
	if (origin.file[0] == '\0')
		return;
	(void) fputs("<p class=\"dim\">", out);
	markup_text(origin.file, out);
	if (origin.line > 0)
		(void) fprintf(out, ":%u", origin.line);
	(void) fputs("</p>\n", out);
}

static void
put_finding(const ResultList *list, const ScenarioResult *result, FILE *out)
{
	const char *label = label_of(list, result);

	(void) fprintf(out, "<article class=\"%s\"><h3><span class=\"%s\">%s</span> ", label, label,
				   label);
	markup_text(result->scenario, out);
	(void) fputs(" / ", out);
	markup_text(result->case_name, out);
	(void) fputs("</h3>\n<p>", out);
	markup_bytes(result->message.bytes, result->message.length, out);
	(void) fputs("</p>\n", out);
	put_place(result, out);
	if (result->replay != NULL)
	{
		(void) fputs("<p>replay: <code>", out);
		markup_text(result->replay, out);
		(void) fputs("</code></p>\n", out);
	}
	if (result->detail.length > 0)
	{
		(void) fputs("<details><summary>what was seen</summary><pre>", out);
		markup_bytes(result->detail.bytes, result->detail.length, out);
		(void) fputs("</pre></details>\n", out);
	}
	(void) fputs("</article>\n", out);
}

static void
put_findings(const ResultList *list, FILE *out)
{
	size_t found = 0;

	for (size_t i = 0; i < list->count; i++)
	{
		if (!result_is_finding(&list->item[i]))
			continue;
		if (found++ == 0)
			(void) fputs("<h2>Findings</h2>\n", out);
		put_finding(list, &list->item[i], out);
	}
	if (found == 0)
		(void) fputs("<h2>Findings</h2>\n<p>None.</p>\n", out);
}

/* ---- every case ---- */

static void
put_case(const ResultList *list, const ScenarioResult *result, FILE *out)
{
	const char *label = label_of(list, result);

	(void) fprintf(out, "<tr><td class=\"s %s\">%s</td><td>", label, label);
	if (result->scenario[part_length(result->scenario)] != '\0')
	{
		markup_text(result_scenario_id(result->scenario), out);
		(void) fputc('/', out);
	}
	markup_text(result->case_name, out);
	if (result->status == SCENARIO_SKIP)
	{
		(void) fputs(" <span class=\"dim\">", out);
		markup_bytes(result->message.bytes, result->message.length, out);
		(void) fputs("</span>", out);
	}
	(void) fprintf(out, "</td><td class=\"n\">%.3f</td></tr>\n", result->milliseconds / 1000);
}

static void
put_cases(const ResultList *list, FILE *out)
{
	(void) fputs("<h2>Every case</h2>\n", out);
	for (size_t i = 0; i < list->count; i++)
	{
		const char *part = list->item[i].scenario;

		if (!is_first(list, i, same_part))
			continue;
		(void) fputs("<details><summary>", out);
		markup_bytes(part, part_length(part), out);
		(void) fputs("</summary>\n<table>\n", out);
		for (size_t j = i; j < list->count; j++)
		{
			if (same_part(list->item[j].scenario, part))
				put_case(list, &list->item[j], out);
		}
		(void) fputs("</table></details>\n", out);
	}
}

/* ---- the page ---- */

static void
put_head(const ResultList *list, const RunInfo *info, FILE *out)
{
	const RunnerSummary *summary = info->summary;
	const char *class = info->exit_code == 0                            ? "good"
						: info->exit_code == 1 || info->exit_code == 70 ? "bad"
																		: "odd";
	size_t known = 0;

	for (size_t i = 0; i < list->count; i++)
		known += list->item[i].known;
	(void) fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
				 "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
				 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
				 "style-src 'unsafe-inline'\">\n"
				 "<title>holdfast: ",
				 out);
	markup_text(info->outcome, out);
	(void) fprintf(out, "</title>\n<style>%s</style>\n</head>\n<body>\n<h1>holdfast: ", style);
	(void) fprintf(out, "<span class=\"%s\">", class);
	markup_text(info->outcome, out);
	(void) fprintf(out,
				   "</span></h1>\n<p>%zu of %zu cases run: %zu passed, %zu failed, %zu errors, %zu "
				   "skipped",
				   summary->run, summary->selected, summary->by_status[SCENARIO_PASS],
				   summary->by_status[SCENARIO_FAIL], summary->by_status[SCENARIO_ERROR],
				   summary->by_status[SCENARIO_SKIP] - known);
	(void) fprintf(out,
				   ", %zu known, %zu flaky, %zu not run; %.1f s, seed %" PRIu64
				   ", exit code %d, holdfast %s</p>\n",
				   known, summary->flaky, summary->not_run, summary->milliseconds / 1000,
				   info->seed, info->exit_code, HOLDFAST_VERSION);
	if (info->plan != NULL)
	{
		(void) fputs("<p>plan: <code>", out);
		markup_text(info->plan, out);
		(void) fputs("</code></p>\n", out);
	}
}

bool
results_write_html(const ResultList *list, const RunInfo *info, FILE *out)
{
	put_head(list, info, out);
	put_findings(list, out);
	put_table(list, out);
	put_cases(list, out);
	(void) fputs("</body>\n</html>\n", out);
	return ferror(out) == 0;
}
