/*
 * evidence.c
 *		What is kept of a violation, in one directory, while its processes are still there.
 *
 *		violation.txt	in words, the seed, the line that does it again
 *		segment.json	`holdfast inspect --json`: lockfile, segment, slots, locks, decoded
 *		segment.bin		its bytes
 *		lockfile		as it was
 *		history.txt		what each worker did last
 *		server.log		what the supervisors said
 *
 * Everybody is stopped first, so that the picture holds still.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/inspect.h>
#include <holdfast/recovery.h>

#include "storm.h"

#define HISTORY_TAIL 64

static void
stop_all(const Storm *storm)
{
	if (storm->life.pidfd >= 0)
		(void) syscall(SYS_pidfd_send_signal, storm->life.pidfd, SIGSTOP, NULL, 0);
	for (unsigned i = 0; i < storm->history->nworkers; i++)
	{
		const HistoryWorker *worker = &storm->history->worker[i];

		if (worker->pid > 0 && !holdfast_process_is_dead(worker->pid, worker->start_time))
			(void) kill(worker->pid, SIGSTOP);
	}
}

static FILE *
open_in(const Storm *storm, const char *name)
{
	char path[4300];

	snprintf(path, sizeof(path), "%s/%s", storm->config.bundle, name);
	return fopen(path, "we");
}

static void
copy_in(const Storm *storm, const char *from, const char *name)
{
	FILE *in = fopen(from, "re"), *out = open_in(storm, name);
	char bytes[4096];
	size_t got;

	while (in && out && (got = fread(bytes, 1, sizeof(bytes), in)) > 0)
		(void) fwrite(bytes, 1, got, out);
	if (in)
		fclose(in);
	if (out)
		fclose(out);
}

static void
keep_segment(const Storm *storm)
{
	HoldfastInspection *seen;
	FILE *out;
	void *bytes;

	if (holdfast_inspect(storm->data_dir, &seen) < 0)
		return;
	bytes = seen->state != HOLDFAST_INSPECT_NONE ? shmat(seen->segment.shmid, NULL, SHM_RDONLY)
												 : (void *) -1;
	out = bytes != (void *) -1 ? open_in(storm, "segment.bin") : NULL;
	if (out)
	{
		(void) fwrite(bytes, 1, seen->segment.size, out);
		fclose(out);
	}
	if (bytes != (void *) -1)
		(void) shmdt(bytes);
	holdfast_inspect_free(seen);
}

/* The command line decodes it, as for an operator. */
static void
decode_segment(const Storm *storm)
{
	char path[4300];
	pid_t pid;
	int out;

	if (!storm->config.holdfast)
		return;
	snprintf(path, sizeof(path), "%s/segment.json", storm->config.bundle);
	pid = fork();
	if (pid == 0)
	{
		out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (out >= 0 && dup2(out, STDOUT_FILENO) >= 0)
			(void) execl(storm->config.holdfast, "holdfast", "inspect", storm->data_dir, "--json",
						 (char *) NULL);
		_exit(127);
	}
	if (pid > 0)
		(void) waitpid(pid, NULL, 0);
}

void
evidence_keep(Storm *storm)
{
	char token[1024], log[4200];
	FILE *out;

	stop_all(storm);
	if (!storm->config.bundle)
		return;
	if (mkdir(storm->config.bundle, 0700) < 0 && errno != EEXIST)
	{
		fprintf(stderr, "holdfast-storm: could not make \"%s\": %s\n", storm->config.bundle,
				strerror(errno));
		return;
	}
	out = open_in(storm, "violation.txt");
	report_token(storm, token, sizeof(token));
	if (out)
	{
		fprintf(out, "%s\nreplay: holdfast replay %s\n", storm->history->violation, token);
		fclose(out);
	}
	out = open_in(storm, "history.txt");
	if (out)
	{
		history_print(storm->history, HISTORY_TAIL, out);
		fclose(out);
	}
	copy_in(storm, storm->lockfile, "lockfile");
	snprintf(log, sizeof(log), "%s/server.log", storm->config.run_dir);
	copy_in(storm, log, "server.log");
	keep_segment(storm);
	decode_segment(storm);
}
