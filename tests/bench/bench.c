/*
 * bench.c
 *		holdfast-bench: the library beside its peers, in one run.
 *
 *		holdfast-bench [--json] [--rounds N] [--kills N] [--group pair|contention|recovery|start-up]...
 *
 * Works in an IPC namespace of its own where it may, so that counting and cleaning concern nobody else.
 */
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#include "bench.h"

BenchArena *bench_arena;
LWLock *bench_lock;

static bool as_json;
static bool first_figure = true;
static char data_dir[] = "/tmp/holdfast-bench-XXXXXX";

uint64_t
bench_now_ns(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

static int
compare(const void *a, const void *b)
{
	double left = *(const double *) a;
	double right = *(const double *) b;

	return (left > right) - (left < right);
}

void
bench_sort(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
}

double
bench_percentile(double *sorted, size_t count, double p)
{
	size_t at = (size_t) (p * (double) count);

	return sorted[at < count ? at : count - 1];
}

double
bench_median(double *values, size_t count)
{
	double copy[BENCH_ROUNDS_MAX];

	memcpy(copy, values, count * sizeof(*values));
	bench_sort(copy, count);
	return count % 2 ? copy[count / 2] : (copy[count / 2 - 1] + copy[count / 2]) / 2;
}

void
bench_figure(const char *group, const char *name, const char *unit, double value)
{
	if (as_json) /* names are our own: nothing in them needs escaping */
		(void) printf(
			"%s\n    {\"group\": \"%s\", \"name\": \"%s\", \"unit\": \"%s\", \"value\": %.4f}",
			first_figure ? "" : ",", group, name, unit, value);
	else
		(void) printf("%-14s %-54s %14.2f %s\n", group, name, value, unit);
	(void) fflush(stdout);
	first_figure = false;
}

pid_t
bench_fork(void (*body)(int), int arg)
{
	pid_t parent = getpid();
	pid_t pid;

	(void) fflush(stdout);
	pid = fork();
	if (pid < 0)
		abort();
	if (pid > 0)
		return pid;
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	on_exit_reset();
	if (InitProcess("bench") < 0)
		_exit(1);
	body(arg);
	ProcKill(0, 0);
	_exit(0);
}

void
bench_reap(pid_t pid)
{
	int status;

	(void) waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		abort();
}

void
bench_wait_ready(uint32_t count)
{
	while (__atomic_load_n(&bench_arena->ready, __ATOMIC_SEQ_CST) < count)
		(void) sched_yield();
}

/* ---- the arena ---- */

static void
init_peers(void)
{
	pthread_mutexattr_t mutex;
	pthread_rwlockattr_t rwlock;

	(void) pthread_mutexattr_init(&mutex);
	(void) pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	(void) pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
	(void) pthread_mutex_init(&bench_arena->robust, &mutex);
	(void) pthread_rwlockattr_init(&rwlock);
	(void) pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
	(void) pthread_rwlock_init(&bench_arena->rwlock, &rwlock);
}

static bool
start(void)
{
	HoldfastShmemConfig config = {.max_procs = 128, .user_size = sizeof(BenchArena)};
	bool found;

	(void) unshare(CLONE_NEWIPC);
	if (mkdtemp(data_dir) == NULL || holdfast_set_data_directory(data_dir) < 0 ||
		CreateDataDirLockFile(true) < 0 || RequestNamedLWLockTranche("bench", 1) < 0 ||
		holdfast_shmem_create(&config) < 0)
		return false;
	bench_arena = ShmemInitStruct("bench", sizeof(BenchArena), &found);
	bench_lock = &GetNamedLWLockTranche("bench")->lock;
	if (bench_arena == NULL || holdfast_shmem_publish() < 0 || InitProcess("bench") < 0)
		return false;
	init_peers();
	return true;
}

static void
remove_directory(int code, Datum arg)
{
	char guard[128];

	(void) code;
	(void) arg;
	(void) snprintf(guard, sizeof(guard), "%s/%s", data_dir, HOLDFAST_LOCKFILE_GUARD);
	(void) unlink(guard);
	(void) rmdir(data_dir);
}

typedef struct BenchOptions
{
	int rounds;
	int kills;
	const char *group; /* NULL: all */
} BenchOptions;

static bool
wants(const BenchOptions *options, const char *group)
{
	return options->group == NULL || strcmp(options->group, group) == 0;
}

static void
measure(const BenchOptions *options)
{
	static const int processes[] = {2, 4, 16, 64};

	if (wants(options, "pair"))
		bench_pairs(options->rounds);
	for (size_t i = 0; wants(options, "contention") && i < sizeof(processes) / sizeof(processes[0]);
		 i++)
		bench_contention(options->rounds < 7 ? options->rounds : 7, processes[i]);
	if (wants(options, "recovery"))
		bench_recovery(options->kills);
	if (wants(options, "start-up"))
		bench_segments(4000);
}

static bool
read_options(int argc, char **argv, BenchOptions *options)
{
	static const struct option names[] = {{"json", no_argument, NULL, 'j'},
										  {"rounds", required_argument, NULL, 'r'},
										  {"kills", required_argument, NULL, 'k'},
										  {"group", required_argument, NULL, 'g'},
										  {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
	{
		if (option == 'j')
			as_json = true;
		else if (option == 'r')
			options->rounds = atoi(optarg);
		else if (option == 'k')
			options->kills = atoi(optarg);
		else if (option == 'g')
			options->group = optarg;
		else
			return false;
	}
	return optind == argc && options->rounds >= 1 && options->rounds <= BENCH_ROUNDS_MAX &&
		   options->kills >= 1;
}

int
main(int argc, char **argv)
{
	BenchOptions options = {.rounds = 15, .kills = 1000};

	if (!read_options(argc, argv, &options))
	{
		(void) fprintf(stderr,
					   "usage: holdfast-bench [--json] [--rounds 1..%d] [--kills N] "
					   "[--group pair|contention|recovery|start-up]\n",
					   BENCH_ROUNDS_MAX);
		return 2;
	}
	if (on_proc_exit(remove_directory, 0) < 0 || !start())
	{
		(void) fprintf(stderr, "holdfast-bench: %s\n", holdfast_last_error()->message);
		proc_exit(3);
	}
	if (as_json)
		(void) printf("{\n  \"schema_version\": 1,\n  \"figures\": [");
	measure(&options);
	if (as_json)
		(void) printf("\n  ]\n}\n");
	proc_exit(0);
}
