/*
 * startup.c
 *		See startup.h.
 */
#include "step/startup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/lwlock.h>
#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#include "step/world.h"

#define TRANCHE "server"

/* ---- a server, in pieces ---- */

static bool
good(StepWorld *world, HoldfastStatus status, const char *what)
{
	return status >= 0 || world_complain(world, "%s: %s: %s", what, holdfast_status_name(status),
										 holdfast_last_error()->message);
}

static bool
set_directory(StepWorld *world)
{
	return good(world, holdfast_set_data_directory(world->directory), "data directory");
}

static bool
take_lockfile(StepWorld *world)
{
	return good(world, CreateDataDirLockFile(true), "lockfile");
}

static bool
make_segment(StepWorld *world)
{
	HoldfastShmemConfig config = {.max_procs = 2, .user_size = 128};

	return good(world, holdfast_shmem_create(&config), "segment") &&
		   good(world, holdfast_shmem_publish(), "publish");
}

static bool
ask_for_locks(StepWorld *world)
{
	return good(world, RequestNamedLWLockTranche(TRANCHE, 1), "tranche");
}

static LWLock *
the_lock(void)
{
	LWLockPadded *locks = GetNamedLWLockTranche(TRANCHE);

	return locks != NULL ? &locks->lock : NULL;
}

static bool
take_lock(StepWorld *world)
{
	return good(world, InitProcess("server"), "slot") && the_lock() != NULL &&
		   good(world, LWLockAcquire(the_lock(), LW_EXCLUSIVE), "lock");
}

/* ---- prepared ---- */

bool
startup_has_directory(StepWorld *world)
{
	return set_directory(world);
}

bool
startup_has_lockfile(StepWorld *world)
{
	return set_directory(world) && take_lockfile(world) && ask_for_locks(world);
}

bool
startup_runs(StepWorld *world)
{
	return startup_has_lockfile(world) && make_segment(world);
}

bool
startup_runs_and_holds(StepWorld *world)
{
	return startup_runs(world) && take_lock(world);
}

static pid_t
fork_server(StepWorld *world, bool (*body)(StepWorld *))
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (!body(world))
		_exit(1);
	(void) raise(SIGKILL);
	_exit(1);
}

static bool
reap_with(pid_t pid, int wanted)
{
	int status = 0;

	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return pid > 0 && (wanted != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == wanted
								   : WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

bool
startup_has_remains(StepWorld *world)
{
	return (reap_with(fork_server(world, startup_runs), SIGKILL) ||
			world_complain(world, "the server before did not die as it should")) &&
		   set_directory(world);
}

/* ---- bodies ---- */

static void
expect(bool done)
{
	if (!done)
		_exit(2);
}

void
startup_lock(StepWorld *world)
{
	expect(take_lockfile(world));
}

void
startup_create(StepWorld *world)
{
	expect(make_segment(world));
}

void
startup_append(StepWorld *world)
{
	expect(good(world, AddToDataDirLockFile(LOCK_FILE_LINE_PM_STATUS, "ready"), "append"));
}

void
startup_unlink(StepWorld *world)
{
	(void) world;
	UnlinkLockFiles(0, 0);
}

void
startup_exit(StepWorld *world)
{
	(void) world;
	proc_exit(0);
}

/* ---- what a death leaves ---- */

static uint64_t
mix(uint64_t hash, const void *bytes, size_t length)
{
	const unsigned char *byte = bytes;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t
mix_file(uint64_t hash, int directory, const char *name)
{
	char bytes[8192];
	struct stat info;
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t length;

	hash = mix(hash, name, strlen(name) + 1);
	if (fd < 0)
		return hash;
	if (fstat(fd, &info) == 0)
		hash = mix(hash, &info.st_nlink, sizeof(info.st_nlink));
	length = read(fd, bytes, sizeof(bytes));
	if (length > 0)
		hash = mix(hash, bytes, (size_t) length);
	(void) close(fd);
	return hash;
}

static int
not_a_dot(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Of each segment all but who is attached just now: the kernel detaches the dead, and we are attached ourselves. */
static uint64_t
mix_segments(uint64_t hash)
{
	FILE *file = fopen("/proc/sysvipc/shm", "re");
	char line[512];
	long key;
	int id, mode;
	unsigned long size;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		if (sscanf(line, "%ld %d %o %lu", &key, &id, (unsigned *) &mode, &size) != 4)
			continue;
		hash = mix(hash, &key, sizeof(key));
		hash = mix(hash, &id, sizeof(id));
		hash = mix(hash, &mode, sizeof(mode));
	}
	if (file != NULL)
		(void) fclose(file);
	return hash;
}

uint64_t
startup_fingerprint(const char *path)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, not_a_dot, alphasort);

	for (int i = 0; i < count; i++)
	{
		if (directory >= 0)
			hash = mix_file(hash, directory, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	if (directory >= 0)
		(void) close(directory);
	return mix_segments(hash) | 1;
}

static int
count_segments(void)
{
	FILE *file = fopen("/proc/sysvipc/shm", "re");
	char line[512];
	long key;
	int id, count = 0;
	unsigned mode;

	/* One that is marked for removal goes with its last process. */
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		count += sscanf(line, "%ld %d %o", &key, &id, &mode) == 3 && (mode & SHM_DEST) == 0;
	if (file != NULL)
		(void) fclose(file);
	return count;
}

uint64_t
startup_shape(const char *path)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, not_a_dot, alphasort);
	int segments = count_segments();

	for (int i = 0; i < count; i++)
	{
		char name[4096];
		struct stat info = {0};
		bool empty;

		(void) snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		(void) stat(name, &info);
		empty = info.st_size == 0;
		hash = mix(hash, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
		hash = mix(hash, &info.st_nlink, sizeof(info.st_nlink));
		hash = mix(hash, &empty, sizeof(empty));
		free(entries[i]);
	}
	free(entries);
	return mix(hash, &segments, sizeof(segments));
}

/* ---- the next server ---- */

static bool
serve_once(StepWorld *world)
{
	if (!startup_runs_and_holds(world) || !good(world, LWLockRelease(the_lock()), "release"))
		return false;
	proc_exit(0);
}

static bool
segments_are_gone(void)
{
	FILE *file = fopen("/proc/sysvipc/shm", "re");
	char line[512];
	int lines = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		lines++;
	if (file != NULL)
		(void) fclose(file);
	return lines == 1;
}

static bool
only_guard_is_left(const char *path)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, not_a_dot, alphasort);
	bool only = count == 1 && strcmp(entries[0]->d_name, HOLDFAST_LOCKFILE_GUARD) == 0;

	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	return only;
}

bool
startup_succeeds(StepWorld *world)
{
	char guard[4096];

	if (!reap_with(fork_server(world, serve_once), 0))
		return world_complain(world, "the next server did not start, or not end");
	if (!segments_are_gone())
		return world_complain(world, "a segment is left");
	if (!only_guard_is_left(world->directory))
		return world_complain(world, "a file is left");
	/* The next story begins in an empty directory, as the first did. */
	(void) snprintf(guard, sizeof(guard), "%s/" HOLDFAST_LOCKFILE_GUARD, world->directory);
	return unlink(guard) == 0;
}
