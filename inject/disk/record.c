/*
 * record.c
 *		Records a history by PTRACE_SYSCALL: each call is looked at when it has succeeded.
 *
 * The tracee is a fork of the caller and does what it likes; only names directly in the directory count.  Its descriptors are
 * followed from open to close.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject/disk/history.h"
#include "inject/step/machine.h"

#define FDS_MAX      256
#define FD_NONE      (-1)
#define FD_DIRECTORY (-2)
#define BYTES_MAX    65536
#define PROMISE_FD   (-7001) /* never a descriptor: its fsync fails and is a word to the recorder */

typedef struct Recorder
{
	DiskHistory *history;
	const char *directory;
	pid_t pid;
	int file_of[FDS_MAX]; /* number of the file, or one of the above */
	uint64_t position[FDS_MAX];
} Recorder;

static bool
read_string(pid_t pid, uint64_t address, char *text, size_t size)
{
	struct iovec to = {.iov_base = text, .iov_len = size - 1};
	struct iovec from = {.iov_base = (void *) (uintptr_t) address, .iov_len = size - 1};
	ssize_t got = process_vm_readv(pid, &to, 1, &from, 1, 0);

	/* A string near the end of a page: what lies behind may not be there. */
	for (size_t part = size / 2; got < 0 && part > 0; part /= 2)
	{
		to.iov_len = from.iov_len = part;
		got = process_vm_readv(pid, &to, 1, &from, 1, 0);
	}
	if (got <= 0)
		return false;
	text[got] = '\0';
	return true;
}

/* The name of a path in the directory; "" for the directory itself; NULL: elsewhere. */
static const char *
name_in(const Recorder *recorder, int at_fd, const char *path)
{
	size_t length = strlen(recorder->directory);

	if (path[0] != '/' && at_fd >= 0 && at_fd < FDS_MAX && recorder->file_of[at_fd] == FD_DIRECTORY)
		return strchr(path, '/') == NULL ? path : NULL;
	if (strncmp(path, recorder->directory, length) != 0)
		return NULL;
	if (path[length] == '\0')
		return "";
	return path[length] == '/' && strchr(path + length + 1, '/') == NULL ? path + length + 1 : NULL;
}

static void
saw_open(Recorder *recorder, int at_fd, const char *path, uint64_t flags, int64_t fd)
{
	const char *name = name_in(recorder, at_fd, path);
	int file;

	if (fd < 0 || fd >= FDS_MAX)
		return;
	recorder->file_of[fd] = FD_NONE;
	recorder->position[fd] = 0;
	if (name == NULL)
		return;
	if (name[0] == '\0')
	{
		recorder->file_of[fd] = FD_DIRECTORY;
		return;
	}
	file = disk_history_named(recorder->history, name);
	if (file < 0 && (flags & O_CREAT) != 0)
		file = disk_history_create(recorder->history, name);
	else if (file >= 0 && (flags & O_TRUNC) != 0)
		(void) disk_history_add(recorder->history, DISK_TRUNCATE, file, NULL, NULL);
	recorder->file_of[fd] = file >= 0 ? file : FD_NONE;
}

static int
file_of(const Recorder *recorder, uint64_t fd)
{
	return fd < FDS_MAX ? recorder->file_of[fd] : FD_NONE;
}

static void
saw_write(Recorder *recorder, const MachineState *call, int64_t length, bool at_offset)
{
	static char bytes[BYTES_MAX];
	uint64_t fd = call->argument[0];
	int file = file_of(recorder, fd);
	uint64_t offset;
	struct iovec to = {.iov_base = bytes, .iov_len = (size_t) length};
	struct iovec from = {.iov_base = (void *) (uintptr_t) call->argument[1],
						 .iov_len = (size_t) length};

	if (file < 0 || length <= 0)
		return;
	offset = at_offset ? call->argument[3] : recorder->position[fd];
	if (!at_offset)
		recorder->position[fd] += (uint64_t) length;
	if (length > BYTES_MAX || process_vm_readv(recorder->pid, &to, 1, &from, 1, 0) != length)
		recorder->history->overflow = true;
	else
		(void) disk_history_write(recorder->history, file, offset, bytes, (size_t) length);
}

static void
saw_sync(Recorder *recorder, uint64_t fd)
{
	int file = file_of(recorder, fd);

	if (file == FD_DIRECTORY)
		(void) disk_history_add(recorder->history, DISK_SYNC_DIR, -1, NULL, NULL);
	else if (file >= 0)
		(void) disk_history_add(recorder->history, DISK_SYNC, file, NULL, NULL);
}

/* Two paths, or one when `other` is NULL. */
static void
saw_names(Recorder *recorder, DiskOpKind kind, int at_fd, const char *path, int other_fd,
		  const char *other)
{
	const char *name = name_in(recorder, at_fd, path);
	const char *second = other != NULL ? name_in(recorder, other_fd, other) : NULL;

	if (name == NULL || name[0] == '\0' || (other != NULL && second == NULL))
		return;
	(void) disk_history_add(recorder->history, kind, disk_history_named(recorder->history, name),
							name, second);
}

static bool
paths_of(const Recorder *recorder, uint64_t first, uint64_t second, char path[2][4096])
{
	return read_string(recorder->pid, first, path[0], sizeof(path[0])) &&
		   (second == 0 || read_string(recorder->pid, second, path[1], sizeof(path[1])));
}

/* Everything but reads and what concerns no file. */
static void
saw_call(Recorder *recorder, const MachineState *call, int64_t result)
{
	const uint64_t *a = call->argument;
	static char path[2][4096];

	if (call->entered == SYS_fsync && (int) a[0] == PROMISE_FD)
		(void) disk_history_add(recorder->history, DISK_PROMISE, -1, NULL, NULL);
	if (result < 0)
		return;
	switch (call->entered)
	{
		case SYS_openat:
			if (paths_of(recorder, a[1], 0, path))
				saw_open(recorder, (int) a[0], path[0], a[2], result);
			break;
		case SYS_write:
			saw_write(recorder, call, result, false);
			break;
		case SYS_pwrite64:
			saw_write(recorder, call, result, true);
			break;
		case SYS_fsync:
		case SYS_fdatasync:
			saw_sync(recorder, a[0]);
			break;
		case SYS_close:
			if (a[0] < FDS_MAX)
				recorder->file_of[a[0]] = FD_NONE;
			break;
		case SYS_ftruncate:
			if (file_of(recorder, a[0]) >= 0)
				(void) disk_history_add(recorder->history, DISK_TRUNCATE, file_of(recorder, a[0]),
										NULL, NULL);
			break;
		case SYS_linkat:
			if (paths_of(recorder, a[1], a[3], path))
				saw_names(recorder, DISK_LINK, (int) a[0], path[0], (int) a[2], path[1]);
			break;
#ifdef SYS_renameat
		case SYS_renameat:
#endif
		case SYS_renameat2:
			if (paths_of(recorder, a[1], a[3], path))
				saw_names(recorder, DISK_RENAME, (int) a[0], path[0], (int) a[2], path[1]);
			break;
		case SYS_unlinkat:
			if (paths_of(recorder, a[1], 0, path))
				saw_names(recorder, DISK_UNLINK, (int) a[0], path[0], AT_FDCWD, NULL);
			break;
#ifdef SYS_open /* what only older machines have */
		case SYS_open:
			if (paths_of(recorder, a[0], 0, path))
				saw_open(recorder, AT_FDCWD, path[0], a[1], result);
			break;
		case SYS_link:
		case SYS_rename:
			if (paths_of(recorder, a[0], a[1], path))
				saw_names(recorder, call->entered == SYS_link ? DISK_LINK : DISK_RENAME, AT_FDCWD,
						  path[0], AT_FDCWD, path[1]);
			break;
		case SYS_unlink:
			if (paths_of(recorder, a[0], 0, path))
				saw_names(recorder, DISK_UNLINK, AT_FDCWD, path[0], AT_FDCWD, NULL);
			break;
#endif
		default:
			break;
	}
}

void
disk_promise(void)
{
	(void) syscall(SYS_fsync, PROMISE_FD);
}

/* To the next stop of a system call; false: it has ended. */
static bool
next_stop(pid_t pid, int *status)
{
	int pending = 0;

	for (;;)
	{
		if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *) (intptr_t) pending) < 0)
			return false;
		while (waitpid(pid, status, __WALL) < 0)
			if (errno != EINTR)
				return false;
		if (!WIFSTOPPED(*status))
			return false;
		if (WSTOPSIG(*status) == (SIGTRAP | 0x80))
			return true;
		pending = WSTOPSIG(*status);
	}
}

static void
follow(Recorder *recorder, int *status)
{
	MachineState entered = {0}, left = {0};

	while (next_stop(recorder->pid, status))
	{
		if (!machine_read(recorder->pid, &entered) || !next_stop(recorder->pid, status) ||
			!machine_read(recorder->pid, &left))
			break;
		saw_call(recorder, &entered, left.result);
	}
}

bool
disk_record(const char *directory, void (*body)(void *arg), void *arg, DiskHistory *history,
			int *wait_status)
{
	Recorder recorder = {.history = history, .directory = directory};
	int status = 0;

	for (int i = 0; i < FDS_MAX; i++)
		recorder.file_of[i] = FD_NONE;
	recorder.pid = fork();
	if (recorder.pid == 0)
	{
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0)
			_exit(70);
		body(arg);
		_exit(0);
	}
	if (recorder.pid < 0 || waitpid(recorder.pid, &status, __WALL) != recorder.pid)
		return false;
	if (WIFSTOPPED(status) &&
		ptrace(PTRACE_SETOPTIONS, recorder.pid, NULL,
			   (void *) (uintptr_t) (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)) == 0)
		follow(&recorder, &status);
	*wait_status = status;
	return !history->overflow;
}
