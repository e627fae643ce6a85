/*
 * powerloss.h
 *		A server's life is recorded, and the power cut in every way at every moment of it; then the next server starts.
 *
 * What a start says to a lockfile is asked twice: for every state and world by the parser and the rules themselves, in this
 * process; and for a sample of them by a real server, in a real directory, with a real process under the recorded PID and
 * another boot ID.  Both must give what is due.
 */
#ifndef HOLDFAST_POWERLOSS_POWERLOSS_H
#define HOLDFAST_POWERLOSS_POWERLOSS_H

#include "inject/disk/states.h"
#include "runner/scenario.h"

/* What the next start finds besides the disk. */
typedef enum PowerlossWorld
{
	WORLD_NEW_BOOT,        /* the recorded PID belongs to nobody */
	WORLD_NEW_BOOT_REUSED, /* it belongs to another process */
	WORLD_SAME_BOOT,       /* a snapshot came back: nothing but the processes is gone */
	WORLD_SAME_BOOT_REUSED,
	WORLD_LIVE, /* a server runs in this very directory, whatever its files look like: must be refused */
	WORLD_COUNT,
} PowerlossWorld;

const char *powerloss_world_name(PowerlossWorld world);

typedef enum PowerlossHistory
{
	HISTORY_FIRST_START,   /* in an empty directory */
	HISTORY_AFTER_A_CRASH, /* over what a dead server left */
	HISTORY_ERRORS,     /* the first again and again, with EIO, ENOSPC or EINTR at the n-th call */
	HISTORY_POSTGRESQL, /* a model of PostgreSQL's protocol: O_EXCL, written and rewritten in place */
	HISTORY_COUNT,
} PowerlossHistory;

const char *powerloss_history_name(PowerlossHistory history);

typedef struct PowerlossOptions
{
	bool every_byte;
	uint64_t real_max;   /* states of each world that a real server is started in; 0: none */
	uint64_t only_state; /* 0: all; else a real server in this one, in only_world */
	PowerlossWorld only_world;
	const char *bundle; /* with only_state: the files are put there too; NULL: not */
} PowerlossOptions;

typedef struct PowerlossWorldCount
{
	uint64_t asked, refused, wrong; /* of the rules */
	uint64_t real, real_wrong;      /* of servers */
	uint64_t pairs;                 /* two servers at once, exactly one of which must start */
} PowerlossWorldCount;

typedef struct PowerlossReport
{
	uint32_t operations;
	uint32_t histories; /* that were recorded: more than one with errors */
	DiskCount count;
	uint64_t empty, damaged, in_use; /* why the rules refused */
	uint64_t lost; /* states in which a lockfile is gone that a call had promised */
	uint64_t judge_ns;
	PowerlossWorldCount world[WORLD_COUNT];
	uint64_t wrong_state; /* the first */
	uint32_t wrong_world;
	char wrong[600];
	char operation[DISK_OPS_MAX][DISK_NAME_SIZE * 2 + 16];
} PowerlossReport;

/* In a case's sandbox.  A wrong verdict of ours fails; of PostgreSQL's model it is counted. */
ScenarioStatus powerloss_run(ScenarioContext *ctx, PowerlossHistory history,
							 const PowerlossOptions *options, PowerlossReport *report);

/* ---- verdict.c ---- */

typedef enum StartVerdict
{
	START_GOES_ON,
	START_EMPTY,   /* refused: the lockfile is empty */
	START_DAMAGED, /* refused: it cannot be understood */
	START_IN_USE,  /* refused: its PID is alive */
} StartVerdict;

/* What a start in that world says to the lockfile of a state. */
StartVerdict powerloss_judge(PowerlossHistory history, const DiskState *state,
							 PowerlossWorld world);

/*
 * When a call has returned, its lockfile survives: in the state it is there as it was then, or as it was written since.
 * False: it is not.
 */
bool powerloss_keeps_promise(const DiskHistory *history, const DiskState *state);

/* The model's history. */
bool powerloss_model(DiskHistory *history);

#endif
