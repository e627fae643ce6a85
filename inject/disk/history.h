/*
 * history.h
 *		What a program did to the files of one directory, as the disk sees it.
 *
 * Recorded by ptrace from a forked process: open, write, fsync, rename, link, unlink of names directly in the directory.  Paths
 * elsewhere are not of interest.  A history can also be written by hand, for a protocol that is only modelled.
 *
 * Owner: a DiskHistory owns its bytes; disk_history_free() gives them back.
 */
#ifndef HOLDFAST_INJECT_DISK_HISTORY_H
#define HOLDFAST_INJECT_DISK_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_NAME_SIZE 64
#define DISK_OPS_MAX   512

typedef enum DiskOpKind
{
	DISK_CREATE,   /* `name` is a new file */
	DISK_WRITE,    /* bytes at an offset */
	DISK_TRUNCATE, /* to no length */
	DISK_SYNC,     /* fsync of the file: what was written is there for good */
	DISK_SYNC_DIR, /* fsync of the directory: so are its names */
	DISK_RENAME,   /* `name` to `other` */
	DISK_LINK,     /* `other` beside `name` */
	DISK_UNLINK,
	DISK_PROMISE, /* the program said: what I did so far is there for good */
} DiskOpKind;

typedef struct DiskOp
{
	DiskOpKind kind;
	int file; /* number of the file, in order of creation; -1: none */
	char name[DISK_NAME_SIZE];
	char other[DISK_NAME_SIZE];
	uint64_t offset;
	size_t length;
	char *bytes;
} DiskOp;

typedef struct DiskHistory
{
	DiskOp op[DISK_OPS_MAX];
	size_t count;
	size_t base; /* power fails after op base..count; before that it does not */
	int files;
	bool overflow;
} DiskHistory;

/* Appends; `bytes` is copied. */
DiskOp *disk_history_add(DiskHistory *history, DiskOpKind kind, int file, const char *name,
						 const char *other);
DiskOp *disk_history_write(DiskHistory *history, int file, uint64_t offset, const char *bytes,
						   size_t length);
/* A new file under that name: its number. */
int disk_history_create(DiskHistory *history, const char *name);
/* The file that has the name when everything so far is done; -1: none. */
int disk_history_named(const DiskHistory *history, const char *name);
void disk_history_free(DiskHistory *history);

/*
 * Runs body(arg) in a child and appends what it does in `directory` (an absolute path).  *wait_status is how it ended: the
 * body may kill itself.  False with errno when nothing could be traced.
 */
bool disk_record(const char *directory, void (*body)(void *arg), void *arg, DiskHistory *history,
				 int *wait_status);

/* Called by a body that is recorded: a DISK_PROMISE.  Harmless elsewhere. */
void disk_promise(void);

/* One line, for people. */
void disk_op_describe(const DiskOp *op, char *text, size_t size);

#endif
