/*
 * pg_server.c
 *		Starts and stops the server of pg_server.h, and gives its workers their jobs.
 */
#include "pg_server.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/futex.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "pg_control.h"

#ifdef HOLDFAST_BENCH_PG_BINDIR

#define START_NS   UINT64_C(60000000000)
#define RECOVER_NS UINT64_C(30000000000)

static char directory[300];
static char path_buffer[PATH_MAX];
static PgControl *control;
static pid_t server_pid;

static const char *
in_directory(const char *name)
{
	(void) snprintf(path_buffer, sizeof(path_buffer), "%s/%s", directory, name);
	return path_buffer;
}

static void
nap(void)
{
	struct timespec pause = {.tv_nsec = 1000000};

	(void) nanosleep(&pause, NULL);
}

/* Waits until *word is at least `count`.  False when the server ended or the time is over. */
static bool
wait_for_count(const uint32_t *word, uint32_t count, uint64_t limit_ns)
{
	uint64_t end = bench_now_ns() + limit_ns;

	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) < count)
	{
		if (bench_now_ns() > end || waitpid(server_pid, NULL, WNOHANG) != 0)
			return false;
		nap();
	}
	return true;
}

/* ---- start ---- */

/* PostgreSQL refuses to run as root. */
static const struct passwd *
server_user(void)
{
	const struct passwd *user = NULL;

	if (geteuid() == 0)
	{
		user = getpwnam("postgres");
		if (user == NULL)
			user = getpwnam("nobody");
	}
	return user;
}

/* The server's user may not be able to reach where we lie. */
static bool
copy_module(void)
{
	char self[PATH_MAX - 64], module[PATH_MAX], command[2 * PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length <= 0)
		return false;
	self[length] = '\0';
	(void) snprintf(module, sizeof(module), "%s/../lib/holdfast_bench_pg.so", dirname(self));
	(void) snprintf(command, sizeof(command), "cp '%s' '%s/'", module, directory);
	return access(module, R_OK) == 0 && system(command) == 0;
}

static bool
make_control(const struct passwd *user)
{
	int fd = open(in_directory("control"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*control)) < 0 ||
		(user != NULL && fchown(fd, user->pw_uid, user->pw_gid) < 0))
		return false;
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void) close(fd);
	return control != MAP_FAILED;
}

static pid_t
run_as(const struct passwd *user, const char *const argv[])
{
	pid_t parent = getpid();
	pid_t pid = fork();
	int log;

	if (pid != 0)
		return pid;
	log = open(in_directory("log"), O_WRONLY | O_CREAT | O_APPEND, 0644);
	(void) dup2(log, STDOUT_FILENO);
	(void) dup2(log, STDERR_FILENO);
	if (user != NULL && (setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0))
		_exit(127);
	(void) prctl(PR_SET_PDEATHSIG, SIGQUIT); /* after setuid(), which clears it */
	if (getppid() != parent)
		_exit(127);
	(void) setenv(PG_CONTROL_ENV, in_directory("control"), 1);
	if (chdir(directory) < 0)
		_exit(127);
	(void) execv(argv[0], (char *const *) argv);
	_exit(127);
}

static bool
run_initdb(const struct passwd *user)
{
	static const char *const argv[] = {HOLDFAST_BENCH_PG_BINDIR "/initdb",
									   "-D",
									   "data",
									   "-A",
									   "trust",
									   "--no-sync",
									   "--locale=C",
									   NULL};
	pid_t pid = run_as(user, argv);
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
		   WEXITSTATUS(status) == 0;
}

static bool
run_server(const struct passwd *user)
{
	static char path_setting[PATH_MAX + 32], sockets[PATH_MAX + 32];
	static const char *const argv[] = {HOLDFAST_BENCH_PG_BINDIR "/postgres",
									   "-D",
									   "data",
									   "-c",
									   path_setting,
									   "-c",
									   sockets,
									   "-c",
									   "shared_preload_libraries=holdfast_bench_pg",
									   "-c",
									   "listen_addresses=",
									   "-c",
									   "max_worker_processes=72",
									   "-c",
									   "max_connections=5",
									   "-c",
									   "shared_buffers=1MB",
									   "-c",
									   "autovacuum=off",
									   "-c",
									   "fsync=off",
									   NULL};

	(void) snprintf(path_setting, sizeof(path_setting), "dynamic_library_path=%s", directory);
	(void) snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", directory);
	server_pid = run_as(user, argv);
	return server_pid > 0 && wait_for_count(&control->alive, PG_CONTROL_WORKERS, START_NS);
}

bool
pg_server_start(const char **why)
{
	static char text[PATH_MAX + 64];
	const struct passwd *user = server_user();

	*why = text;
	(void) snprintf(text, sizeof(text), "no directory for it: %s", strerror(errno));
	(void) snprintf(directory, sizeof(directory), "%s/postgresql", bench_directory);
	if (mkdir(directory, 0755) < 0)
		return false;
	(void) snprintf(text, sizeof(text), "could not prepare \"%s\"", directory);
	if ((user == NULL || chown(directory, user->pw_uid, user->pw_gid) == 0) && make_control(user) &&
		copy_module() && run_initdb(user) && run_server(user))
		return true;
	pg_server_stop();
	return false;
}

bool
pg_server_runs(void)
{
	return server_pid > 0;
}

void
pg_server_stop(void)
{
	if (server_pid > 0)
	{
		(void) kill(server_pid, SIGQUIT);
		(void) waitpid(server_pid, NULL, 0);
	}
	server_pid = 0;
}

/* ---- jobs ---- */

static void
give_job(PgJobKind job)
{
	control->job = (uint32_t) job;
	control->ready = control->done = control->go = control->stop = 0;
	control->guarded = 0;
	(void) __atomic_add_fetch(&control->serial, 1, __ATOMIC_SEQ_CST);
	(void) syscall(SYS_futex, &control->serial, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void
must(bool condition)
{
	if (condition)
		return;
	(void) fprintf(stderr, "holdfast-bench: PostgreSQL's workers do not answer; see %s\n",
				   in_directory("log"));
	abort();
}

double
pg_pair_ns(bool shared, uint64_t pairs)
{
	control->shared = shared;
	control->pairs = pairs;
	give_job(PG_JOB_PAIRS);
	must(wait_for_count(&control->done, 1, START_NS));
	return (double) control->pairs_ns / (double) pairs;
}

double
pg_contended_rate(bool shared, int processes, uint32_t reads_per_write, uint64_t run_ns)
{
	uint64_t start, total = 0;

	control->shared = shared;
	control->processes = (uint32_t) processes;
	control->reads = reads_per_write;
	give_job(reads_per_write ? PG_JOB_MIX : PG_JOB_CONTEND);
	must(wait_for_count(&control->ready, (uint32_t) processes, START_NS));
	start = bench_now_ns();
	__atomic_store_n(&control->go, 1, __ATOMIC_RELEASE);
	while (bench_now_ns() - start < run_ns)
		nap();
	__atomic_store_n(&control->stop, 1, __ATOMIC_RELEASE);
	must(wait_for_count(&control->done, (uint32_t) processes, START_NS));
	start = bench_now_ns() - start;
	for (int i = 0; i < processes; i++)
		total += control->count[i];
	return (double) total * 1e9 / (double) start;
}

double
pg_recovery_us(void)
{
	uint64_t killed;

	control->holder_pid = 0;
	give_job(PG_JOB_HOLD);
	while (__atomic_load_n(&control->holder_pid, __ATOMIC_SEQ_CST) == 0)
		nap();
	control->job = PG_JOB_NONE;
	control->alive = 0;
	control->started_ns = 0;
	killed = bench_now_ns();
	(void) kill(control->holder_pid, SIGKILL);
	if (!wait_for_count(&control->alive, PG_CONTROL_WORKERS, RECOVER_NS))
		return -1;
	return (double) (control->started_ns - killed) / 1000;
}

#else

bool
pg_server_start(const char **why)
{
	*why = "built without PostgreSQL's server headers (postgresql-server-dev-15)";
	return false;
}

bool
pg_server_runs(void)
{
	return false;
}

void
pg_server_stop(void)
{
}

double
pg_pair_ns(bool shared, uint64_t pairs)
{
	(void) shared;
	(void) pairs;
	return -1;
}

double
pg_contended_rate(bool shared, int processes, uint32_t reads_per_write, uint64_t run_ns)
{
	(void) shared;
	(void) processes;
	(void) reads_per_write;
	(void) run_ns;
	return -1;
}

double
pg_recovery_us(void)
{
	return -1;
}

#endif
