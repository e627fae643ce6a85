/*
 * campaign.h
 *		What commands that test have in common: which part is ours, what an outcome is called, a line that tells progress.
 */
#ifndef HOLDFAST_TOOLS_CAMPAIGN_H
#define HOLDFAST_TOOLS_CAMPAIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "runner/runner.h"

int outcome_exit_code(RunnerOutcome outcome);
const char *outcome_name(RunnerOutcome outcome);
const char *exit_code_name(int code); /* the outcome that ends with it */

/*
 * The part of the work that is ours: from --shard I/N, or, when `option` is NULL, from what a carrier puts into the
 * environment: TEST_SHARD_INDEX of TEST_TOTAL_SHARDS (from 0), CI_NODE_INDEX of CI_NODE_TOTAL (from 1),
 * SLURM_ARRAY_TASK_ID of SLURM_ARRAY_TASK_COUNT (from SLURM_ARRAY_TASK_MIN).  *index is from 1; 0/0: all of it.
 * EXIT_GOOD, or EXIT_USAGE after saying what is wrong: half a shard is no shard.
 */
int campaign_shard(const char *option, unsigned *index, unsigned *count);

/* One line on stderr that is written over; nothing unless a person watches. */
typedef struct LiveLine
{
	bool wanted;
	bool shown;
} LiveLine;

LiveLine live_line(void);
void live_line_show(LiveLine *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
void live_line_clear(LiveLine *line);

/* Text of several lines, each behind `indent`, control characters as "?". */
void print_indented(FILE *out, const char *indent, const char *bytes, size_t length);

#endif
