/*
 * lockfile_disk.h
 *		The two files of a data directory as the kernel sees them: bytes and locks, no meaning.
 */
#ifndef HOLDFAST_LOCKFILE_DISK_H
#define HOLDFAST_LOCKFILE_DISK_H

#include <holdfast/lockfile.h>

/* Room for the path of either file, or of the temporary one. */
#define LOCKFILE_PATH_SIZE (sizeof(((HoldfastLockfile *) 0)->data_dir) + 64)

/*
 * Reads the lockfile of `data_dir`, at most `capacity` bytes.  HOLDFAST_NOT_FOUND is not reported: the caller decides
 * whether that is bad.  HOLDFAST_SYSTEM_ERROR is, at `level`.
 */
HoldfastStatus holdfast_lockfile_read_bytes(const char *data_dir, HoldfastLevel level, char *bytes,
											Size capacity, Size *length);

/* Which file it is, whatever it is called. */
typedef struct FileId
{
	uint64_t device, inode;
} FileId;

/*
 * Puts these bytes in place as a whole, durably: over the file that is there, or, without `replace`, only where there is
 * none (errno EEXIST).  False with errno: what was in place still is, unless only the last step failed, so that nobody
 * knows which of the two a power cut would leave.  *id becomes the new file's as soon as it is in place.
 */
bool holdfast_lockfile_put_bytes(const char *bytes, Size length, bool replace, FileId *id);

/* False with errno when there is none. */
bool holdfast_lockfile_id(FileId *id);

/* Removes the lockfile; false with errno. */
bool holdfast_lockfile_remove(void);

typedef enum GuardResult
{
	GUARD_TAKEN,
	GUARD_HELD,   /* by somebody else, in a way that excludes ours */
	GUARD_FAILED, /* errno */
} GuardResult;

/*
 * Opens and locks the guard file.  A starter takes it alone; once the directory is its own it shares it, so that
 * programs that join can hold it as well, each by an open of its own.  *fd is -1 unless TAKEN.
 */
GuardResult holdfast_guard_take(bool alone, int *fd);
bool holdfast_guard_share(int fd);

/* ---- guard_note.c ---- */

/* A key that may have a segment without header, in that IPC namespace of that boot.  0: none. */
typedef struct GuardNote
{
	IpcMemoryKey key;
	char boot_id[40];
	uint64_t ipc_namespace;
} GuardNote;

/* False with errno; then the old note may be gone. */
bool holdfast_guard_write_note(int fd, const GuardNote *note);

/* False when there is none that can be believed. */
bool holdfast_guard_read_note(int fd, GuardNote *note);

/* ---- lockfile_watch.c ---- */

/* The descriptor that polls readable when somebody touched what is watched; -1 with errno.  Opens it if need be. */
int holdfast_watch_open(const char *directory);
bool holdfast_watch_is_open(void); /* by this process */

/* Watches the file of that name from now on, by whatever name; false with errno.  Does nothing when none is open. */
bool holdfast_watch_file(const char *path);

/* Takes what happened so far; readable again when something else does. */
void holdfast_watch_drain(void);
void holdfast_watch_close(void);

#endif
