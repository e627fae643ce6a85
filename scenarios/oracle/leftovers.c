/*
 * leftovers.c
 *		See leftovers.h.
 *
 * Thread and signal safety: single-threaded, no signals.  Errors: what cannot be looked at counts as left,
 * with the reason: a post-mortem that saw nothing must not pass for one that found nothing.
 */
#include "oracle/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#include "runner/clock.h"
#include "runner/scenario.h"

typedef struct Text
{
	char *at;
	size_t left;
} Text;

static void __attribute__((format(printf, 2, 3))) add(Text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int length = vsnprintf(text->at, text->left, format, args);
	va_end(args);
	if (length < 0)
		return;
	if ((size_t) length >= text->left)
		length = text->left > 0 ? (int) text->left - 1 : 0;
	text->at += length;
	text->left -= (size_t) length;
}

int
leftovers_count_segments(void)
{
	struct shm_info info;

	return shmctl(0, SHM_INFO, (struct shmid_ds *) &info) < 0 ? -1 : info.used_ids;
}

int
leftovers_count_semaphores(void)
{
	struct seminfo info;
	union
	{
		int val;
		struct semid_ds *buf;
		unsigned short *array;
		struct seminfo *info;
	} arg = {.info = &info};

	return semctl(0, 0, SEM_INFO, arg) < 0 ? -1 : info.semusz;
}

/* Reaps until nobody is left or the time is up.  True: nobody is left. */
static bool
reap_all(unsigned grace_ms)
{
	uint64_t deadline = clock_deadline_ns(grace_ms);
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	for (;;)
	{
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid > 0)
			continue;
		if (pid < 0)
			return errno == ECHILD;

		int left = clock_ms_until(deadline);
		struct timespec wait = {.tv_sec = left / 1000, .tv_nsec = (left % 1000) * 1000000L};

		if (left == 0)
			return false;
		if (sigtimedwait(&child, NULL, &wait) < 0 && errno != EAGAIN && errno != EINTR)
			return false;
	}
}

static void
describe_process(Text *text, const char *pid)
{
	char path[64], line[128] = "";

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);

	FILE *file = fopen(path, "re");

	if (file)
	{
		if (!fgets(line, 48, file)) /* pid, name and state come first; the rest is numbers */
			line[0] = '\0';
		fclose(file);
	}
	line[strcspn(line, "\n")] = '\0';
	add(text, " [%s]", line[0] ? line : pid);
}

static void
describe_processes(Text *text)
{
	DIR *proc = opendir("/proc");

	if (!proc)
	{
		add(text, " (/proc: %s)", strerror(errno));
		return;
	}
	for (struct dirent *entry; (entry = readdir(proc)) != NULL;)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && atol(entry->d_name) != getpid())
			describe_process(text, entry->d_name);
	closedir(proc);
}

static void
describe_segments(Text *text)
{
	struct shm_info info;
	int highest = shmctl(0, SHM_INFO, (struct shmid_ds *) &info);

	for (int index = 0; index <= highest; index++)
	{
		struct shmid_ds one;
		int id = shmctl(index, SHM_STAT_ANY, &one);

		if (id >= 0)
			add(text, " [id %d key 0x%08x size %zu nattch %lu creator %d]", id, one.shm_perm.__key,
				one.shm_segsz, (unsigned long) one.shm_nattch, (int) one.shm_cpid);
	}
}

/* Every file below `path`, but not the directories of the data directory's own making. */
static unsigned
find_files(const char *path, const char *data_dir, unsigned declared, Text *text)
{
	bool in_data = strcmp(path, data_dir) == 0;
	unsigned found = 0;
	DIR *dir = opendir(path);

	if (!dir)
	{
		add(text, "; cannot look into %s: %s", path, strerror(errno));
		return SCENARIO_LEAVES_FILE;
	}
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
	{
		char child[4096];
		struct stat status;
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, name);
		if (lstat(child, &status) == 0 && S_ISDIR(status.st_mode))
		{
			found |= find_files(child, data_dir, declared, text);
			continue;
		}
		if (in_data && strcmp(name, HOLDFAST_LOCKFILE_GUARD) == 0)
			continue; /* never unlinked, by design */

		unsigned kind = in_data && strcmp(name, HOLDFAST_LOCKFILE_NAME) == 0
							? SCENARIO_LEAVES_LOCKFILE
							: SCENARIO_LEAVES_FILE;

		if (kind & declared)
			continue;
		found |= kind;
		add(text, "; file %s", child);
	}
	closedir(dir);
	return found;
}

unsigned
leftovers_find(const char *work_dir, unsigned declared, unsigned grace_ms, char *buffer,
			   size_t size)
{
	Text text = {buffer, size};
	unsigned found = 0;
	char data_dir[4096];

	buffer[0] = '\0';
	snprintf(data_dir, sizeof(data_dir), "%s/data", work_dir);
	if (!reap_all((declared & SCENARIO_LEAVES_PROCESS) ? 0 : grace_ms) &&
		!(declared & SCENARIO_LEAVES_PROCESS))
	{
		found |= SCENARIO_LEAVES_PROCESS;
		add(&text, "; processes:");
		describe_processes(&text);
	}
	if (!(declared & SCENARIO_LEAVES_SEGMENT) && leftovers_count_segments() != 0)
	{
		found |= SCENARIO_LEAVES_SEGMENT;
		add(&text, "; segments:");
		describe_segments(&text);
	}
	if (!(declared & SCENARIO_LEAVES_SEMAPHORE) && leftovers_count_semaphores() != 0)
	{
		found |= SCENARIO_LEAVES_SEMAPHORE;
		add(&text, "; %d semaphore sets", leftovers_count_semaphores());
	}
	found |= find_files(work_dir, data_dir, declared, &text);
	if (strncmp(buffer, "; ", 2) == 0)
		memmove(buffer, buffer + 2, strlen(buffer + 2) + 1);
	return found;
}
