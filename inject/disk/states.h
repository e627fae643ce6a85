/*
 * states.h
 *		What may be on the disk when the power comes back.
 *
 * Power fails after any operation of a history.  Then
 *		- what was written to a file and not fsynced is there as nothing, a prefix, zeros, garbage or whole,
 *		- what was done to names and not fsynced with the directory is done or not, each for itself, in order,
 *		- what was fsynced is there.
 * That is less than some file systems promise, and no more than POSIX does.  States are compared by names and contents, each
 * is visited once.
 */
#ifndef HOLDFAST_INJECT_DISK_STATES_H
#define HOLDFAST_INJECT_DISK_STATES_H

#include "inject/disk/history.h"

#define DISK_STATE_FILES_MAX 8

typedef struct DiskFile
{
	char name[DISK_NAME_SIZE];
	int file; /* the same number: the same file under two names */
	const char *bytes;
	size_t length;
} DiskFile;

typedef struct DiskState
{
	uint64_t number;    /* from 1, of the distinct ones */
	size_t crash_index; /* so many operations had been done */
	DiskFile file[DISK_STATE_FILES_MAX];
	int files;
	bool running;  /* nothing was lost: what a death without a power cut leaves */
	char how[160]; /* what became of that which was under way */
} DiskState;

typedef struct DiskOptions
{
	bool every_byte; /* every cut of a prefix; else three */
} DiskOptions;

typedef struct DiskCount
{
	uint64_t visited;  /* combinations */
	uint64_t distinct; /* states */
} DiskCount;

/* visit() returns false to stop.  False when something did not fit, or memory was short: the count is no use then. */
bool disk_states_visit(const DiskHistory *history, const DiskOptions *options,
					   bool (*visit)(const DiskState *state, void *arg), void *arg,
					   DiskCount *count);

/* The file of that name; NULL: it is not there. */
const DiskFile *disk_state_find(const DiskState *state, const char *name);

/* Empties the directory (an absolute path, of plain files) and puts the state there. */
bool disk_state_put(const DiskState *state, const char *directory);

#endif
