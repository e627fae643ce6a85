/*
 * cmd_report.c
 *		`holdfast report`: result files that were left earlier, in another format.
 */
#include <string.h>

#include "command.h"
#include "load.h"
#include "reports.h"

static ReportFiles files;

static const Option *
report_options(void)
{
	static const Option options[] = {REPORT_OPTIONS_BUT_JSON(files), {0}};

	return options;
}

/* One file keeps its own verdict; of several one is made, as `merge` does. */
static int
report_files(int count, char **paths)
{
	ResultsFile whole = {0};
	RunInfo info;
	int code = load_results(&whole, count, paths, false);

	if (code == EXIT_GOOD)
	{
		if (count > 1)
			results_conclude(&whole);
		info = results_info(&whole);
		if (!reports_write(&files, &whole.list, &info, NULL, NULL, NULL))
			code = EXIT_INTERNAL;
	}
	results_file_free(&whole);
	return code;
}

static int
run_report(int argc, char **argv)
{
	int count;
	int status = command_options(&command_report, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count == 0)
		return usage_error("report wants the files that --json wrote");
	if (!reports_wanted(&files))
		return usage_error("report wants a format: --html, --sarif, --junit or --tap, with a file");
	return report_files(count, argv);
}

const Command command_report = {
	.name = "report",
	.usage = "FILE... --html|--sarif|--junit|--tap FILE...",
	.summary = "turn result files into HTML, SARIF, JUnit or TAP",
	.run = run_report,
	.options = report_options,
	.examples =
		"  holdfast run --json results.json; holdfast report results.json --html page.html\n"
		"  holdfast report run.json sweep.json --sarif findings.sarif --junit -\n",
};
