/*
 * campaign.c
 *		See campaign.h.
 */
#include "campaign.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

int
outcome_exit_code(RunnerOutcome outcome)
{
	switch (outcome)
	{
		case RUNNER_GOOD:
			return EXIT_GOOD;
		case RUNNER_FINDINGS:
			return EXIT_FINDINGS;
		case RUNNER_FLAKY:
			return EXIT_FLAKY;
		case RUNNER_INCOMPLETE:
			return EXIT_INCOMPLETE;
		case RUNNER_NOTHING:
			return EXIT_NOTHING;
		case RUNNER_UNFIT:
			return EXIT_UNFIT;
		case RUNNER_BAD_PLAN:
			return EXIT_USAGE;
		case RUNNER_INTERRUPTED:
			return EXIT_INTERRUPTED;
		case RUNNER_INTERNAL:
			return EXIT_INTERNAL;
	}
	return EXIT_INTERNAL;
}

const char *
outcome_name(RunnerOutcome outcome)
{
	static const char *const names[] = {"good",  "findings", "flaky",       "incomplete", "nothing",
										"unfit", "bad plan", "interrupted", "internal"};

	return (size_t) outcome < sizeof(names) / sizeof(names[0]) ? names[outcome] : "internal";
}

const char *
exit_code_name(int code)
{
	for (int outcome = RUNNER_GOOD; outcome < RUNNER_INTERNAL; outcome++)
	{
		if (outcome_exit_code((RunnerOutcome) outcome) == code)
			return outcome_name((RunnerOutcome) outcome);
	}
	return outcome_name(RUNNER_INTERNAL);
}

/* ---- shards ---- */

/* A decimal number and nothing else. */
static bool
read_number(const char *text, unsigned *value)
{
	char *end;
	unsigned long number = text == NULL ? 0 : strtoul(text, &end, 10);

	if (text == NULL || text[0] < '0' || text[0] > '9' || *end != '\0' || number > 1000000)
		return false;
	*value = (unsigned) number;
	return true;
}

static int
refuse_shard(const char *what, const char *index, const char *count)
{
	return usage_error("%s: no shard %s of %s", what, index == NULL ? "(none)" : index,
					   count == NULL ? "(none)" : count);
}

/* `first`: what the first shard is called. */
static int
take_shard(const char *what, const char *index_text, const char *count_text, unsigned first,
		   unsigned *index, unsigned *count)
{
	if (!read_number(index_text, index) || !read_number(count_text, count) || *index < first ||
		*index - first >= *count)
		return refuse_shard(what, index_text, count_text);
	*index = *index - first + 1;
	return EXIT_GOOD;
}

static int
shard_of_option(const char *option, unsigned *index, unsigned *count)
{
	char text[32];
	char *slash;

	(void) snprintf(text, sizeof(text), "%s", option);
	slash = strchr(text, '/');
	if (slash == NULL)
		return usage_error("--shard wants I/N with 1 <= I <= N, not \"%s\"", option);
	*slash = '\0';
	return take_shard("--shard", text, slash + 1, 1, index, count);
}

static int
shard_of_environment(unsigned *index, unsigned *count)
{
	unsigned first = 1;

	if (getenv("TEST_SHARD_INDEX") != NULL || getenv("TEST_TOTAL_SHARDS") != NULL)
		return take_shard("TEST_SHARD_INDEX, TEST_TOTAL_SHARDS", getenv("TEST_SHARD_INDEX"),
						  getenv("TEST_TOTAL_SHARDS"), 0, index, count);
	/* The total alone is 1 in every job there. */
	if (getenv("CI_NODE_INDEX") != NULL)
		return take_shard("CI_NODE_INDEX, CI_NODE_TOTAL", getenv("CI_NODE_INDEX"),
						  getenv("CI_NODE_TOTAL"), 1, index, count);
	if (getenv("SLURM_ARRAY_TASK_ID") == NULL)
		return EXIT_GOOD;
	if (getenv("SLURM_ARRAY_TASK_MIN") != NULL &&
		!read_number(getenv("SLURM_ARRAY_TASK_MIN"), &first))
		return refuse_shard("SLURM_ARRAY_TASK_MIN", getenv("SLURM_ARRAY_TASK_MIN"), NULL);
	return take_shard("SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT", getenv("SLURM_ARRAY_TASK_ID"),
					  getenv("SLURM_ARRAY_TASK_COUNT"), first, index, count);
}

int
campaign_shard(const char *option, unsigned *index, unsigned *count)
{
	*index = *count = 0;
	return option != NULL ? shard_of_option(option, index, count)
						  : shard_of_environment(index, count);
}

/* ---- for people ---- */

LiveLine
live_line(void)
{
	const char *term = getenv("TERM");

	return (LiveLine){.wanted = isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0};
}

void
live_line_show(LiveLine *line, const char *format, ...)
{
	va_list args;

	if (!line->wanted)
		return;
	(void) fputs("\r\033[K", stderr);
	va_start(args, format);
	(void) vfprintf(stderr, format, args);
	va_end(args);
	(void) fflush(stderr);
	line->shown = true;
}

void
live_line_clear(LiveLine *line)
{
	if (line->shown)
		(void) fputs("\r\033[K", stderr);
	line->shown = false;
}

void
print_indented(FILE *out, const char *indent, const char *bytes, size_t length)
{
	(void) fputs(indent, out);
	for (size_t i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) bytes[i];

		if (c == '\n' && i + 1 < length)
			(void) fprintf(out, "\n%s", indent);
		else if (c != '\n')
			(void) fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
	}
	(void) fputc('\n', out);
}
