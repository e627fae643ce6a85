/*
 * history.c
 *		Keeps a history; see history.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inject/disk/history.h"

DiskOp *
disk_history_add(DiskHistory *history, DiskOpKind kind, int file, const char *name,
				 const char *other)
{
	static DiskOp lost;
	DiskOp *op = &lost;

	if (history->count >= DISK_OPS_MAX)
		history->overflow = true;
	else
		op = &history->op[history->count++];
	*op = (DiskOp){.kind = kind, .file = file};
	(void) snprintf(op->name, sizeof(op->name), "%s", name != NULL ? name : "");
	(void) snprintf(op->other, sizeof(op->other), "%s", other != NULL ? other : "");
	return op;
}

DiskOp *
disk_history_write(DiskHistory *history, int file, uint64_t offset, const char *bytes,
				   size_t length)
{
	DiskOp *op = disk_history_add(history, DISK_WRITE, file, NULL, NULL);

	op->offset = offset;
	op->bytes = malloc(length + 1);
	if (op->bytes == NULL || history->overflow)
	{
		history->overflow = true;
		free(op->bytes);
		op->bytes = NULL;
		return op;
	}
	memcpy(op->bytes, bytes, length);
	op->length = length;
	return op;
}

int
disk_history_create(DiskHistory *history, const char *name)
{
	(void) disk_history_add(history, DISK_CREATE, history->files, name, NULL);
	return history->files++;
}

int
disk_history_named(const DiskHistory *history, const char *name)
{
	const char *wanted = name;

	/* Backwards: where did the name come from? */
	for (size_t i = history->count; i-- > 0;)
	{
		const DiskOp *op = &history->op[i];

		if (op->kind == DISK_CREATE && strcmp(op->name, wanted) == 0)
			return op->file;
		if ((op->kind == DISK_RENAME || op->kind == DISK_LINK) && strcmp(op->other, wanted) == 0)
			wanted = op->name;
		else if ((op->kind == DISK_UNLINK || op->kind == DISK_RENAME) &&
				 strcmp(op->name, wanted) == 0)
			return -1;
	}
	return -1;
}

void
disk_history_free(DiskHistory *history)
{
	for (size_t i = 0; i < history->count; i++)
		free(history->op[i].bytes);
	memset(history, 0, sizeof(*history));
}

void
disk_op_describe(const DiskOp *op, char *text, size_t size)
{
	switch (op->kind)
	{
		case DISK_CREATE:
			(void) snprintf(text, size, "create %s", op->name);
			break;
		case DISK_WRITE:
			(void) snprintf(text, size, "write %zu bytes to file %d", op->length, op->file);
			break;
		case DISK_TRUNCATE:
			(void) snprintf(text, size, "truncate file %d", op->file);
			break;
		case DISK_SYNC:
			(void) snprintf(text, size, "fsync file %d", op->file);
			break;
		case DISK_SYNC_DIR:
			(void) snprintf(text, size, "fsync the directory");
			break;
		case DISK_RENAME:
			(void) snprintf(text, size, "rename %s to %s", op->name, op->other);
			break;
		case DISK_LINK:
			(void) snprintf(text, size, "link %s as %s", op->name, op->other);
			break;
		case DISK_UNLINK:
			(void) snprintf(text, size, "unlink %s", op->name);
			break;
		case DISK_PROMISE:
			(void) snprintf(text, size, "(the call returns)");
			break;
	}
}
