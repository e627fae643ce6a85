/*
 * verdict.c
 *		The rules of a start, without the start: ours by our own parser, PostgreSQL's by a model of its code.
 *
 * Worst case in a world of reused PIDs: every number that a file may show belongs to somebody.
 */
#include <stdlib.h>
#include <string.h>

#include <holdfast/lockfile.h>

#include "powerloss/powerloss.h"

const char *
powerloss_world_name(PowerlossWorld world)
{
	static const char *const names[WORLD_COUNT] = {"new-boot", "new-boot+reused-pid", "same-boot",
												   "same-boot+reused-pid", "live"};

	return world < WORLD_COUNT ? names[world] : "unknown";
}

const char *
powerloss_history_name(PowerlossHistory history)
{
	static const char *const names[HISTORY_COUNT] = {"first-start", "after-a-crash", "errors",
													 "postgresql-model"};

	return history < HISTORY_COUNT ? names[history] : "unknown";
}

static bool
is_reused(PowerlossWorld world)
{
	return world == WORLD_NEW_BOOT_REUSED || world == WORLD_SAME_BOOT_REUSED;
}

/* judge_existing() of lockfile.c: what is ours carries the boot and the start time, and so is never taken for another's. */
static StartVerdict
judge_ours(const DiskFile *file, PowerlossWorld world)
{
	HoldfastLockfile lockfile;

	if (file->length == 0)
		return START_EMPTY;
	if (holdfast_lockfile_parse(file->bytes, file->length, &lockfile) < 0)
		return START_DAMAGED;
	return !lockfile.is_ours && is_reused(world) ? START_IN_USE : START_GOES_ON;
}

/* CreateLockFile() of PostgreSQL 15: atoi() of the first line, kill(pid, 0). */
static StartVerdict
judge_postgresql(const DiskFile *file, PowerlossWorld world)
{
	char text[64] = "";
	size_t length = file->length < sizeof(text) - 1 ? file->length : sizeof(text) - 1;

	if (file->length == 0)
		return START_EMPTY;
	memcpy(text, file->bytes, length);
	if (abs(atoi(text)) <= 0)
		return START_DAMAGED;
	return is_reused(world) ? START_IN_USE : START_GOES_ON;
}

StartVerdict
powerloss_judge(PowerlossHistory history, const DiskState *state, PowerlossWorld world)
{
	const DiskFile *file = disk_state_find(state, HOLDFAST_LOCKFILE_NAME);

	if (file == NULL)
		return START_GOES_ON;
	return history == HISTORY_POSTGRESQL ? judge_postgresql(file, world) : judge_ours(file, world);
}

/* ---- promises ---- */

static bool
is_lockfile(const char *name)
{
	return strcmp(name, HOLDFAST_LOCKFILE_NAME) == 0;
}

/* The last promise before `end`; `end` when there is none. */
static size_t
last_promise(const DiskHistory *history, size_t end)
{
	for (size_t i = end; i-- > 0;)
		if (history->op[i].kind == DISK_PROMISE)
			return i;
	return end;
}

/* Where what is the lockfile before `end` was written. */
static size_t
last_written(const DiskHistory *history, size_t end)
{
	int file = -1;

	for (size_t i = end; i-- > 0;)
	{
		const DiskOp *op = &history->op[i];
		bool names = (op->kind == DISK_CREATE && is_lockfile(op->name)) ||
					 ((op->kind == DISK_RENAME || op->kind == DISK_LINK) && is_lockfile(op->other));

		if (file < 0 && names)
		{
			file = op->file;
			i = end; /* the write may come before the name or after it */
		}
		else if (file >= 0 && op->kind == DISK_WRITE && op->file == file)
			return i;
	}
	return end;
}

bool
powerloss_keeps_promise(const DiskHistory *history, const DiskState *state)
{
	size_t promise = last_promise(history, state->crash_index);
	const DiskFile *file = disk_state_find(state, HOLDFAST_LOCKFILE_NAME);
	size_t write;

	if (promise == state->crash_index)
		return true; /* nothing was promised yet */
	write = last_written(history, promise);
	for (size_t i = promise; i < state->crash_index && file == NULL; i++)
		if (history->op[i].kind == DISK_UNLINK && is_lockfile(history->op[i].name))
			return true;
	for (size_t i = write; file != NULL && i < state->crash_index; i++)
		if (history->op[i].kind == DISK_WRITE && history->op[i].length == file->length &&
			memcmp(history->op[i].bytes, file->bytes, file->length) == 0)
			return true;
	return false;
}

/* ---- the model ---- */

#define MODEL_LINES_1_TO_5 "12345\n/srv/data\n1700000000\n5432\n/tmp\n"

static void
rewrite(DiskHistory *history, int file, const char *text)
{
	(void) disk_history_write(history, file, 0, text, strlen(text));
	(void) disk_history_add(history, DISK_SYNC, file, NULL, NULL);
}

bool
powerloss_model(DiskHistory *history)
{
	int file = disk_history_create(history, HOLDFAST_LOCKFILE_NAME);

	rewrite(history, file, MODEL_LINES_1_TO_5);
	rewrite(history, file, MODEL_LINES_1_TO_5 "localhost\n 16777234         7\n");
	rewrite(history, file, MODEL_LINES_1_TO_5 "localhost\n 16777234         7\nready   \n");
	(void) disk_history_add(history, DISK_UNLINK, file, HOLDFAST_LOCKFILE_NAME, NULL);
	return !history->overflow;
}
