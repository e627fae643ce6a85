/*
 * lockfile.h
 *		postmaster.pid: who owns the data directory, and which segment is its.
 *
 * Eight lines as PostgreSQL writes them (its tools can read the file), then ours:
 *		1 PID (negative: stand-alone)      9 "holdfast 1" (format version)
 *		2 data directory                  10 start time of that PID (clock ticks since boot)
 *		3 start time, seconds since 1970  11 boot id
 *		4 port                            12 PID namespace inode, IPC namespace inode
 *		5 socket directory                13 incarnation cookie, 32 hex digits
 *		6 listen addresses                14 intended key (written before shmget)
 *		7 shared memory key and id        15 CRC-32C of everything above, 8 hex digits
 *		8 status
 *
 * Beside it lies postmaster.pid.guard, never removed: every process of an incarnation holds an open file description
 * lock on it, its children by inheritance, joiners by their own, so "does any process of it live" has an answer in every
 * namespace.  It is exclusive while a server starts and shared from then on; fork keeps it, exec drops it.  While a server
 * makes its segment, the guard file also says under which key.
 *
 * Owner of both files: the process that called CreateDataDirLockFile().  Only it rewrites or unlinks, and
 * only a file that still carries its cookie.  Thread safety: one thread.  Signal safety: none.
 * Crash safety: the file is replaced as a whole (temporary file, fsync, link or rename, fsync of the
 * directory), so that after a crash or a power cut there is the old file, the new one, or none.  A start that is
 * refused leaves the old one, byte for byte.
 */
#ifndef HOLDFAST_LOCKFILE_H
#define HOLDFAST_LOCKFILE_H

#include <holdfast/holdfast.h>
#include <holdfast/pg_shmem.h>

#ifdef __cplusplus
extern "C"
{
#endif

#define HOLDFAST_LOCKFILE_NAME	   "postmaster.pid"
#define HOLDFAST_LOCKFILE_GUARD	   "postmaster.pid.guard"
#define HOLDFAST_LOCKFILE_SIZE_MAX 8192

/* Line numbers, as in PostgreSQL. */
#define LOCK_FILE_LINE_PID			 1
#define LOCK_FILE_LINE_DATA_DIR		 2
#define LOCK_FILE_LINE_START_TIME	 3
#define LOCK_FILE_LINE_PORT			 4
#define LOCK_FILE_LINE_SOCKET_DIR	 5
#define LOCK_FILE_LINE_LISTEN_ADDR	 6
#define LOCK_FILE_LINE_SHMEM_KEY	 7
#define LOCK_FILE_LINE_PM_STATUS	 8

/* A lockfile's contents, decoded.  Plain values: may be copied, compared and fuzzed. */
typedef struct HoldfastLockfile
{
	pid_t pid; /* always positive */
	bool standalone;
	char data_dir[1024];
	int64_t start_time_s;
	int port; /* 0 when the line is empty */
	char socket_dir[256];
	char listen_addr[256];
	bool has_segment; /* line 7 present */
	unsigned long shmem_key, shmem_id;
	char status[16];

	bool is_ours; /* lines 9..15 present and their CRC right; otherwise a plain PostgreSQL file */
	uint64_t pid_start_time;
	char boot_id[40];
	uint64_t pid_namespace, ipc_namespace;
	HoldfastCookie cookie;
	bool has_intent;
	IpcMemoryKey intent_key;
} HoldfastLockfile;

/*
 * Pure functions on bytes.  parse: HOLDFAST_DAMAGED with a message that says which line (empty, no PID,
 * garbage, NUL bytes, too long, cut short, CRC wrong).  A file of fewer than eight lines is legal, as in PostgreSQL.
 * format: returns the length written, 0 when it does not fit or could not be read back.  parse(format(x)) == x.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_lockfile_parse(const char *bytes, Size length,
																		HoldfastLockfile *out);
HOLDFAST_API HOLDFAST_MUST_CHECK Size holdfast_lockfile_format(const HoldfastLockfile *in, char *bytes,
															   Size capacity);

/* Reads DIR/postmaster.pid.  Errors: HOLDFAST_NOT_FOUND, HOLDFAST_DAMAGED, HOLDFAST_SYSTEM_ERROR. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_lockfile_read(const char *data_dir,
																	   HoldfastLockfile *out);

/*
 * Takes the data directory for this process: refuses if an incarnation lives (HOLDFAST_IN_USE, with
 * PostgreSQL's message and hint, both for a live PID and for a segment that is still in use), removes a
 * stale file, writes ours, registers UnlinkLockFiles with on_proc_exit.
 * Errors also: HOLDFAST_DAMAGED (the file that is there cannot be understood: remove it by hand),
 * HOLDFAST_SYSTEM_ERROR, HOLDFAST_MISUSE.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus CreateDataDirLockFile(bool amPostmaster);

/* Writes line 7.  Unlike PostgreSQL's, a failure is an error: a server must not run unrecorded. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus RecordSharedMemoryInLockFile(unsigned long memKey,
																			 unsigned long shmid);

/*
 * Writes line 14, and the same into the guard file, before shmget, so that a segment without header has a known key, even
 * if its creator dies and somebody removes the lockfile.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus holdfast_lockfile_record_intent(IpcMemoryKey key);

/* Replaces one of lines 4, 5, 6, 8.  Errors: HOLDFAST_MISUSE (line, newline in str), system errors. */
HOLDFAST_API HOLDFAST_MUST_CHECK HoldfastStatus AddToDataDirLockFile(int target_line, const char *str);

/*
 * True while the file is there, is the one that we put there (its inode), and carries our cookie; true too when that could
 * not be read (as in PostgreSQL).  Who joined, or is a child, is asked for the cookie only.  A file that somebody is
 * writing to is looked at again for 100 ms.  Makes holdfast_lockfile_watch_fd() quiet until something else happens.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK bool RecheckDataDirLockFile(void);

/*
 * A descriptor that polls readable (POLLIN) when it is time to call RecheckDataDirLockFile(): somebody removed, replaced,
 * wrote to or moved the lockfile, or the directory.  Never read from it.  It wakes nobody for other files; our own
 * updates wake it too, and cost a look.
 *
 *		struct pollfd watch = {.fd = holdfast_lockfile_watch_fd(), .events = POLLIN};	once, after CreateDataDirLockFile()
 *		...
 *		poll(&watch, 1, 1000);
 *		if ((watch.revents != 0 || a_second_has_passed) && !RecheckDataDirLockFile())
 *			shut down at once;
 *		if (a_second_has_passed && !holdfast_segment_recheck())
 *			... (pg_shmem.h)
 *
 * -1 with an error (HOLDFAST_SYSTEM_ERROR: no inotify left; HOLDFAST_MISUSE: not the lockfile's owner): poll() ignores
 * it, and calling RecheckDataDirLockFile() every second does the same, later.  Keep the slow look in any case: changes
 * made on another machine of a network file system give no event, and events that cannot be read make it fall silent.
 * Owner: the library, until UnlinkLockFiles() closes it.  A child must not use its parent's.
 */
HOLDFAST_API HOLDFAST_MUST_CHECK int holdfast_lockfile_watch_fd(void);

/* on_proc_exit callback: removes the lockfile if it is still ours. */
HOLDFAST_API void UnlinkLockFiles(int status, Datum arg);

/* The cookie of this process's incarnation: set by CreateDataDirLockFile or holdfast_segment_join. */
HOLDFAST_API HoldfastCookie holdfast_my_cookie(void);

#ifdef __cplusplus
}
#endif
#endif
