/*
 * bench.c
 *		holdfast-bench: the library beside its peers, in one run.
 *
 *		holdfast-bench [--filter GLOB] [--peers] [--json] [--svg FILE] [--rounds N] [--kills N]
 *
 * Works in an IPC namespace of its own where it may, so that counting and cleaning concern nobody else.  The table or
 * JSON goes to stdout at the end, progress to stderr.  What only another program can measure (fault points,
 * exploration) is asked of that program: figures.h.
 *
 * Exit code: 0 measured, 2 usage, 3 unfit or, with --peers, a peer is missing, 4 nothing selected, 70 could not write,
 * 130 interrupted.
 */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#include "bench.h"
#include "pg_server.h"

BenchArena *bench_arena;
LWLock *bench_lock;

char bench_directory[256];

static uint64_t
read_clock(clockid_t clock)
{
	struct timespec now;

	(void) clock_gettime(clock, &now);
	return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

uint64_t
bench_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t
bench_cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
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
	char data_dir[sizeof(bench_directory) + 8];
	bool found;

	(void) snprintf(data_dir, sizeof(data_dir), "%s/data", bench_directory);
	if (mkdir(data_dir, 0700) < 0 || holdfast_set_data_directory(data_dir) < 0 ||
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

/* ---- which benchmarks ---- */

typedef struct BenchOptions
{
	bool json;
	bool peers; /* a peer that is missing is an error */
	bool no_postgres;
	const char *svg;
	const char *filter; /* NULL: all */
	int rounds;
	int kills;
} BenchOptions;

/* These take their time in every round. */
static int
few_rounds(const BenchOptions *options)
{
	return options->rounds < 7 ? options->rounds : 7;
}

static void
run_pairs(const BenchOptions *options, int unused)
{
	(void) unused;
	bench_pairs(options->rounds);
}

static void
run_contention(const BenchOptions *options, int processes)
{
	bench_contention(few_rounds(options), processes);
}

static void
run_mixed(const BenchOptions *options, int processes)
{
	bench_mixed(few_rounds(options), processes);
}

static void
run_recovery(const BenchOptions *options, int unused)
{
	(void) unused;
	bench_recovery(options->kills);
}

static void
run_attach(const BenchOptions *options, int unused)
{
	(void) unused;
	bench_attach(options->rounds);
}

static void
run_start_up(const BenchOptions *options, int strangers)
{
	bench_start_up(few_rounds(options), strangers);
}

/* Linked with fault points, as this program is not; a build without libfiu has none. */
static void
run_inject(const BenchOptions *options, int unused)
{
	static const char *const argv[] = {"holdfast-bench-inject", NULL};

	(void) options;
	(void) unused;
	(void) figures_from_program(argv);
}

static void
run_runner(const BenchOptions *options, int unused)
{
	static const char *const argv[] = {"holdfast-bench-runner", NULL};

	(void) options;
	(void) unused;
	(void) figures_from_program(argv);
}

static void
run_campaign(const BenchOptions *options, int unused)
{
	(void) options;
	(void) unused;
	bench_campaign();
}

static const struct
{
	const char *name;
	bool has_postgres; /* PostgreSQL's lock is among the peers */
	void (*run)(const BenchOptions *options, int how_many);
	int how_many;
} benchmarks[] = {
	{"pair", true, run_pairs, 1},
	{"contention-2", true, run_contention, 2},
	{"contention-4", true, run_contention, 4},
	{"contention-16", true, run_contention, 16},
	{"contention-64", true, run_contention, 64},
	{"mixed-2", true, run_mixed, 2},
	{"mixed-16", true, run_mixed, 16},
	{"recovery", true, run_recovery, 1},
	{"attach", false, run_attach, 1},
	{"start-up", false, run_start_up, 4000},
	{"inject", false, run_inject, 1},
	{"campaign", false, run_campaign, 1},
	{"runner", false, run_runner, 1},
};
#define BENCHMARKS (sizeof(benchmarks) / sizeof(benchmarks[0]))

static bool
is_wanted(const BenchOptions *options, size_t which)
{
	if (options->filter == NULL)
		return !options->peers || benchmarks[which].has_postgres;
	return fnmatch(options->filter, benchmarks[which].name, 0) == 0;
}

/* False when every peer must be there and is not. */
static bool
find_peers(const BenchOptions *options)
{
	bool wanted = false;
	bool complete = true;
	const char *why;

	for (size_t i = 0; i < BENCHMARKS; i++)
		wanted = wanted || (benchmarks[i].has_postgres && is_wanted(options, i));
	if (!wanted)
		return true;
#ifndef HOLDFAST_BENCH_CK
	(void) fprintf(stderr, "holdfast-bench: without ck_rwlock: built without libck-dev\n");
	complete = false;
#endif
	if (options->no_postgres)
		return complete || !options->peers;
	if (!pg_server_start(&why))
	{
		(void) fprintf(stderr, "holdfast-bench: without PostgreSQL's LWLock: %s\n", why);
		complete = false;
	}
	return complete || !options->peers;
}

/* ---- command line ---- */

static bool
read_options(int argc, char **argv, BenchOptions *options)
{
	static const struct option names[] = {
		{"json", no_argument, NULL, 'j'},          {"peers", no_argument, NULL, 'p'},
		{"no-postgresql", no_argument, NULL, 'n'}, {"svg", required_argument, NULL, 's'},
		{"rounds", required_argument, NULL, 'r'},  {"kills", required_argument, NULL, 'k'},
		{"filter", required_argument, NULL, 'f'},  {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
	{
		switch (option)
		{
			case 'j':
				options->json = true;
				break;
			case 'p':
				options->peers = true;
				break;
			case 'n':
				options->no_postgres = true;
				break;
			case 's':
				options->svg = optarg;
				break;
			case 'r':
				options->rounds = atoi(optarg);
				break;
			case 'k':
				options->kills = atoi(optarg);
				break;
			case 'f':
				options->filter = optarg;
				break;
			default:
				return false;
		}
	}
	return optind == argc && options->rounds >= 1 && options->rounds <= BENCH_ROUNDS_MAX &&
		   options->kills >= 1;
}

static int
usage(void)
{
	(void) fprintf(stderr,
				   "usage: holdfast-bench [--filter GLOB] [--peers] [--json] [--svg FILE] "
				   "[--rounds 1..%d] [--kills N] [--no-postgresql]\nbenchmarks:",
				   BENCH_ROUNDS_MAX);
	for (size_t i = 0; i < BENCHMARKS; i++)
		(void) fprintf(stderr, " %s", benchmarks[i].name);
	(void) fputc('\n', stderr);
	return 2;
}

static bool
write_outputs(const BenchOptions *options)
{
	bool good = true;
	FILE *svg;

	if (options->json)
		good = figures_json(stdout);
	else
		figures_table(stdout);
	if (options->svg == NULL)
		return good;
	svg = fopen(options->svg, "w");
	if (svg == NULL || !figures_svg(svg) || fclose(svg) != 0)
	{
		(void) fprintf(stderr, "holdfast-bench: could not write \"%s\": %s\n", options->svg,
					   strerror(errno));
		return false;
	}
	return good;
}

static int
measure(const BenchOptions *options)
{
	bool selected = false;

	for (size_t i = 0; i < BENCHMARKS; i++)
		selected = selected || is_wanted(options, i);
	if (!selected)
	{
		(void) fprintf(stderr, "holdfast-bench: no benchmark matches \"%s\"\n", options->filter);
		return 4;
	}
	if (!find_peers(options))
		return 3;
	for (size_t i = 0; i < BENCHMARKS; i++)
	{
		if (!is_wanted(options, i))
			continue;
		(void) fprintf(stderr, "holdfast-bench: %s ...\n", benchmarks[i].name);
		benchmarks[i].run(options, benchmarks[i].how_many);
	}
	pg_server_stop();
	return write_outputs(options) ? 0 : 70;
}

/* ---- the process that measures, and the one that tidies up after it ---- */

static int
measure_here(const BenchOptions *options)
{
	if (unshare(CLONE_NEWIPC) < 0)
		(void) unshare(CLONE_NEWUSER | CLONE_NEWIPC);
	if (start())
		return measure(options);
	(void) fprintf(stderr, "holdfast-bench: %s\n", holdfast_last_error()->message);
	return 3;
}

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int signal_number)
{
	(void) signal_number;
	interrupted = 1;
}

/* Whatever the measuring process started ends with it, and is ours to reap. */
static int
wait_for_all(pid_t measuring)
{
	int code = 70;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR)
	{
		if (pid == measuring && WIFEXITED(status))
			code = WEXITSTATUS(status);
		if (interrupted && pid < 0)
			(void) kill(measuring,
						SIGKILL); /* not reaped yet, or waitpid() would not have waited */
	}
	return interrupted ? 130 : code;
}

static void
remove_directory(void)
{
	char command[sizeof(bench_directory) + 16];

	(void) snprintf(command, sizeof(command), "rm -rf '%s'", bench_directory);
	if (system(command) != 0)
		(void) fprintf(stderr, "holdfast-bench: could not remove \"%s\"\n", bench_directory);
}

int
main(int argc, char **argv)
{
	BenchOptions options = {.rounds = 15, .kills = 1000};
	struct sigaction action = {.sa_handler = on_interrupt};
	pid_t pid;
	int code;

	if (!read_options(argc, argv, &options))
		return usage();
	(void) snprintf(bench_directory, sizeof(bench_directory), "%s/holdfast-bench-XXXXXX",
					getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	if (mkdtemp(bench_directory) == NULL || chmod(bench_directory, 0755) < 0)
	{
		(void) fprintf(stderr, "holdfast-bench: could not make \"%s\": %s\n", bench_directory,
					   strerror(errno));
		return 3;
	}
	(void) prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void) sigaction(SIGINT, &action, NULL);
	(void) sigaction(SIGTERM, &action, NULL);
	pid = fork();
	if (pid == 0)
	{
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void) signal(SIGINT, SIG_IGN); /* a Ctrl-C is for our parent */
		(void) signal(SIGTERM, SIG_DFL);
		proc_exit(measure_here(&options));
	}
	code = pid < 0 ? 70 : wait_for_all(pid);
	remove_directory();
	return code;
}
