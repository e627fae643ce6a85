/*
 * cmd_merge.c
 *		`holdfast merge`: the result files of the parts of a run made one, as if it had been run whole.
 */
#include "command.h"
#include "load.h"
#include "reports.h"

static struct
{
	const char *output;
	ReportFiles files;
} opt;

static const Option *
merge_options(void)
{
	static const Option options[] = {
		{"--output|-o", OPTION_STRING, &opt.output, "FILE", "where it goes; default: stdout"},
		REPORT_OPTIONS_BUT_JSON(opt.files),
		{0},
	};

	return options;
}

static int
merge_files(int count, char **paths)
{
	ResultsFile whole = {0};
	RunInfo info;
	int code;

	code = load_results(&whole, count, paths, true);
	if (code == EXIT_GOOD)
	{
		results_conclude(&whole);
		info = results_info(&whole);
		code = info.exit_code;
		opt.files.json = opt.output != NULL ? opt.output : "-";
		if (!reports_write(&opt.files, &whole.list, &info, NULL, NULL, NULL))
			code = EXIT_INTERNAL;
	}
	results_file_free(&whole);
	return code;
}

static int
run_merge(int argc, char **argv)
{
	int count;
	int status = command_options(&command_merge, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count == 0)
		return usage_error("merge wants the files that --json wrote");
	return merge_files(count, argv);
}

const Command command_merge = {
	.name = "merge",
	.usage = "FILE... [-o FILE] [OPTION...]",
	.summary = "make one result file of those of a run's parts",
	.run = run_merge,
	.options = merge_options,
	.examples = "  holdfast run --shard 1/2 --seed 7 --json a.json; holdfast run --shard 2/2 "
				"--seed 7 --json b.json\n"
				"  holdfast merge a.json b.json -o whole.json\n",
};
