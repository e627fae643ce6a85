/*
 * postgres.c
 *		See postgres.h.
 */
#include "catalogue/postgres.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#define BIN      "/usr/lib/postgresql/15/bin/"
#define SAID_MAX 16384

/* ---- trouble ---- */

#define LOAD(field)                                                                                \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) offsetof(struct seccomp_data, field))

static bool
install(struct sock_filter *code, unsigned short length)
{
	struct sock_fprog program = {.len = length, .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool
dies_at_shmat(void)
{
	struct sock_filter code[] = {
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_shmat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return install(code, sizeof(code) / sizeof(code[0]));
}

/* The low half of the third argument: little endian. */
static bool
no_space_at_line(void)
{
	struct sock_filter code[] = {
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwrite64, 0, 3),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 1024, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return install(code, sizeof(code) / sizeof(code[0]));
}

static bool
make_trouble(PostgresTrouble trouble)
{
	switch (trouble)
	{
		case POSTGRES_DIES_AT_SHMAT:
			return dies_at_shmat();
		case POSTGRES_NO_SPACE_AT_LINE:
			return no_space_at_line();
		case POSTGRES_FINE:
			break;
	}
	return true;
}

/* ---- running its programs ---- */

static int
become_user(void)
{
	if (setgid(POSTGRES_UID) == 0 && setuid(POSTGRES_UID) == 0)
		return 0;
	perror("could not become another user");
	return -1;
}

static int
initdb(ScenarioContext *ctx, void *arg)
{
	(void) arg;
	if (become_user() < 0 || chdir(ctx->work_dir) < 0)
		return 70;
	execl(BIN "initdb", "initdb", "-D", ctx->data_dir, "-U", "holdfast", "-A", "trust", "-E",
		  "UTF8", "--no-locale", "--no-sync", "--wal-segsize=1", (char *) NULL);
	return 71;
}

ScenarioStatus
postgres_prepare(ScenarioContext *ctx)
{
	Actor actor;

	if (access(BIN "postgres", X_OK) < 0 || access(BIN "initdb", X_OK) < 0)
		return scenario_skip(ctx, "no PostgreSQL 15 in " BIN);
	if (!ctx->has_other_users)
		return scenario_skip(ctx,
							 "PostgreSQL does not run as root, and there is no other user here");
	scenario_leaves(ctx, SCENARIO_LEAVES_FILE | SCENARIO_LEAVES_LOCKFILE | SCENARIO_LEAVES_SEGMENT |
							 SCENARIO_LEAVES_PROCESS | SCENARIO_LEAVES_SEMAPHORE);
	if (chown(ctx->data_dir, POSTGRES_UID, POSTGRES_UID) < 0)
		return scenario_error(ctx, "chown: %s", strerror(errno));
	SCENARIO_TRY(actor_start(ctx, &actor, "initdb", 1, initdb, NULL));
	return actor_expect_exit(ctx, &actor, 0);
}

static int
run_postgres(ScenarioContext *ctx, const Postgres *postgres)
{
	char sockets[4096];

	snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s/sockets.%u", ctx->work_dir,
			 postgres->number);
	if (dup2(postgres->said_fd, STDERR_FILENO) < 0 || dup2(postgres->said_fd, STDOUT_FILENO) < 0 ||
		become_user() < 0 || chdir(ctx->work_dir) < 0 || !make_trouble(postgres->trouble))
		return 70;
	execl(BIN "postgres", "postgres", "-D", ctx->data_dir, "-c", "listen_addresses=", "-c", sockets,
		  "-c", "shared_buffers=128kB", "-c", "max_connections=4", "-c", "autovacuum=off", "-c",
		  "max_wal_senders=0", "-c", "max_worker_processes=0", "-c", "fsync=off", "-c",
		  "dynamic_shared_memory_type=mmap", "-c", "logging_collector=off", (char *) NULL);
	return 71;
}

/* The first process of its namespaces. */
static int
run_as_init(ScenarioContext *ctx, const Postgres *postgres)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
	{
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
			mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
			_exit(70);
		_exit(run_postgres(ctx, postgres));
	}
	return pid < 0 || waitpid(pid, &status, 0) < 0 ? 70 : 128;
}

static int
serve(ScenarioContext *ctx, void *arg)
{
	const Postgres *postgres = arg;

	if (postgres->namespaces == 0)
		return run_postgres(ctx, postgres);
	if (unshare(postgres->namespaces) < 0)
		return 70;
	return run_as_init(ctx, postgres);
}

static bool
has_said(const Postgres *postgres, const char *text)
{
	char said[SAID_MAX];
	ssize_t got = pread(postgres->said_fd, said, sizeof(said) - 1, 0);

	said[got > 0 ? got : 0] = '\0';
	return strstr(said, text) != NULL;
}

static void
log_said(ScenarioContext *ctx, const Postgres *postgres)
{
	char said[SAID_MAX], *rest = said;
	ssize_t got = pread(postgres->said_fd, said, sizeof(said) - 1, 0);

	said[got > 0 ? got : 0] = '\0';
	for (char *line; (line = strsep(&rest, "\n")) != NULL;)
		if (line[0] != '\0')
			scenario_log(ctx, "postgres: %s", line);
}

static bool
ready_or_ended(void *arg)
{
	Postgres *postgres = arg;
	bool alive = actor_alive(&postgres->postmaster);

	postgres->ready = has_said(postgres, "database system is ready to accept connections");
	return postgres->ready || !alive;
}

ScenarioStatus
postgres_start(ScenarioContext *ctx, Postgres *postgres)
{
	char sockets[4096];
	static unsigned started;

	postgres->number = started++;
	snprintf(sockets, sizeof(sockets), "%s/sockets.%u", ctx->work_dir, postgres->number);
	postgres->said_fd = memfd_create("postgres-said", MFD_CLOEXEC);
	if (postgres->said_fd < 0 || fcntl(postgres->said_fd, F_SETFL, O_APPEND) < 0 ||
		mkdir(sockets, 0700) < 0 || chown(sockets, POSTGRES_UID, POSTGRES_UID) < 0)
		return scenario_error(ctx, "could not prepare a PostgreSQL: %s", strerror(errno));
	SCENARIO_TRY(actor_start(ctx, &postgres->postmaster, "postgres", (int) postgres->number + 1,
							 serve, postgres));
	SCENARIO_TRY(wait_until(ctx, ready_or_ended, postgres, "PostgreSQL to be ready, or to end"));
	log_said(ctx, postgres);
	return postgres->ready ? SCENARIO_PASS : actor_wait(ctx, &postgres->postmaster);
}

ScenarioStatus
postgres_up(ScenarioContext *ctx, Postgres *postgres)
{
	SCENARIO_TRY(postgres_start(ctx, postgres));
	SCENARIO_REQUIRE(ctx, postgres->ready, "PostgreSQL did not start");
	return SCENARIO_PASS;
}

ScenarioStatus
postgres_refuses(ScenarioContext *ctx, const char *saying)
{
	Postgres postgres = {0};

	SCENARIO_TRY(postgres_start(ctx, &postgres));
	SCENARIO_REQUIRE(ctx, !postgres.ready, "PostgreSQL started, though it is said to refuse");
	SCENARIO_REQUIRE(ctx, has_said(&postgres, saying), "it did not say \"%s\"", saying);
	close(postgres.said_fd);
	return SCENARIO_PASS;
}

ScenarioStatus
postgres_down(ScenarioContext *ctx, Postgres *postgres)
{
	SCENARIO_TRY(actor_signal(ctx, &postgres->postmaster, SIGINT));
	SCENARIO_TRY(actor_wait(ctx, &postgres->postmaster));
	close(postgres->said_fd);
	return SCENARIO_PASS;
}

/* ---- its processes ---- */

static pid_t
parent_of(pid_t pid)
{
	char path[64], text[512];
	const char *name_end;
	int fd, parent = 0;
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	name_end = strrchr(text, ')');
	if (name_end == NULL || sscanf(name_end, ") %*c %d", &parent) != 1)
		return 0;
	return parent;
}

static pid_t
any_child_of(pid_t parent)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (proc != NULL && found == 0 && (entry = readdir(proc)) != NULL)
	{
		pid_t pid = (pid_t) strtol(entry->d_name, NULL, 10);

		if (pid > 0 && parent_of(pid) == parent)
			found = pid;
	}
	if (proc != NULL)
		closedir(proc);
	return found;
}

ScenarioStatus
postgres_orphan(ScenarioContext *ctx, Postgres *postgres, pid_t *child)
{
	*child = any_child_of(postgres->postmaster.pid);
	SCENARIO_REQUIRE(ctx, *child > 0, "the postmaster has no child");
	SCENARIO_REQUIRE(ctx, kill(*child, SIGSTOP) == 0, "kill: %s", strerror(errno));
	SCENARIO_TRY(wait_for_pid_stopped(ctx, *child));
	SCENARIO_TRY(actor_kill(ctx, &postgres->postmaster));
	close(postgres->said_fd);
	return SCENARIO_PASS;
}

bool
postgres_segment(ScenarioContext *ctx, unsigned long *key, IpcMemoryId *shmid)
{
	HoldfastLockfile file;

	if (holdfast_lockfile_read(ctx->data_dir, &file) != HOLDFAST_OK || !file.has_segment)
		return false;
	*key = file.shmem_key;
	*shmid = (IpcMemoryId) file.shmem_id;
	return true;
}
