/*
 * gate.h
 *		The parts of `holdfast gate`: each is a command of this program, started as a user would, with --json.
 *
 * What a part came to is what its result file says, never its exit code alone: a file that is missing, that cannot be read,
 * that is of another exit code or has no case is itself a failure.
 *
 * Owner: a GateRun owns its results and its directory.  Signals: between children_begin() and children_end().
 */
#ifndef HOLDFAST_TOOLS_GATE_H
#define HOLDFAST_TOOLS_GATE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "campaign.h"
#include "gate/baseline.h"
#include "results/merge.h"

#define GATE_PARTS        8
#define GATE_PATTERNS_MAX 64

typedef struct GatePart
{
	const char *name;
	const char *arguments[6]; /* of the command; NULL-terminated */
	const char *all; /* what stands for "all of it" when nothing is chosen; NULL: nothing */
	bool may_choose; /* PART/WHAT gives WHAT as an operand */
	unsigned weight; /* its share of the time that is left, beside those of the parts behind it */
	bool cheap;      /* may take a third of what is left, whatever its share */
	bool must_complete;                 /* the gate is incomplete when it is cut short */
	bool optional;                      /* not being built here is no defect of the machine */
	const char *time_option;            /* --budget or the like; NULL: none */
	uint64_t time_max_ms;               /* of it; 0: no limit */
	bool has_shard, has_jobs, has_seed; /* the option of that name */
} GatePart;

extern const GatePart gate_parts[GATE_PARTS];

/* Its place there; -1: no part is called so. */
int gate_part(const char *name);

typedef enum GateState
{
	GATE_NOT_CHOSEN,
	GATE_OTHER_SHARD, /* not divided, and another shard's */
	GATE_NOT_RUN,     /* no time was left */
	GATE_RAN,
	GATE_CUT, /* by its share of the time */
	GATE_UNFIT,
	GATE_NOT_BUILT, /* an optional part */
	GATE_NOTHING,   /* the filter selects nothing of it */
	GATE_BROKEN,    /* no result that could be believed */
	GATE_USAGE,     /* it refused what the user gave */
} GateState;

typedef struct GateRow
{
	GateState state;
	bool whole; /* chosen by its name */
	const char *pattern[GATE_PATTERNS_MAX];
	int patterns;
	int exit_code;
	uint64_t share_ms;
	double seconds;
	size_t cases, by_status[SCENARIO_STATUS_COUNT], known, not_run; /* `skip` without the known */
	char note[256]; /* "" when there is nothing to add */
} GateRow;

typedef struct GateOptions
{
	uint64_t budget_ms, seed, jobs;
	unsigned shard_index, shard_count; /* 0/0: all of it */
	const char *plan, *file, *mutant;  /* for run, run and explore; NULL: none */
	bool allow_unfit, allow_incomplete;
} GateOptions;

typedef struct GateRun
{
	GateOptions options;
	GateRow row[GATE_PARTS];
	Baseline baseline;
	ResultsFile whole; /* of all parts; scenarios are "PART.SCENARIO" */
	char directory[128], program[PATH_MAX];
	uint64_t begin_ms;
} GateRun;

/* From words of the command line: PART, PART/WHAT, or what `run` takes.  None: all parts.  An exit code, said. */
int gate_choose(GateRun *run, int count, char *const *words);

/* How much time this part may have; 0: none is left. */
uint64_t gate_share(const GateRun *run, int part);

/*
 * Runs it; what it came to is in the row, its cases in *part, which is empty when there are none.  False: a signal ended it.
 */
bool gate_run_part(GateRun *run, int which, ResultsFile *part, LiveLine *line);

/* Takes a case into the results of a part. */
void gate_add_case(ResultsFile *part, const ScenarioResult *result);

/* What the baseline lists becomes known: skipped, and told. */
void gate_mark_known(GateRun *run, ResultsFile *part);

/*
 * Follows the replay lines of the findings that are left, twice at most each.  One that does not come back is flaky: its
 * case has passed, too.
 */
void gate_follow_replays(GateRun *run, int which, ResultsFile *part, LiveLine *line);

/* Counts the cases into the row, and takes them into the whole; *part is empty then. */
bool gate_take_part(GateRun *run, int which, ResultsFile *part);

/* Entries of the baseline that this run proved to be gone are marked. */
void gate_mark_gone(GateRun *run);

/* table.c: what people read. */
void gate_print_head(FILE *out);
void gate_print_row(const GateRun *run, int which, FILE *out);
void gate_print_findings(const GateRun *run, FILE *out);
void gate_print_annotations(const GateRun *run, FILE *out);

#endif
