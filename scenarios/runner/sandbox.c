/*
 * sandbox.c
 *		See sandbox.h.  This half runs in the runner: it makes the namespaces, watches and ends them.
 *
 * Crash safety: a runner that is killed takes its sandboxes along (PDEATHSIG on every init).
 * Errors: said in words; the caller turns them into the case's result.
 */
#include "runner/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/sandbox_init.h"

#define NAMESPACES (CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNS)

static bool
write_file(pid_t pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);

	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return false;

	bool written = write(fd, text, strlen(text)) == (ssize_t) strlen(text);

	close(fd);
	return written;
}

/* In its user namespace the case is root, and nobody else exists. */
static bool
map_users(pid_t pid)
{
	char uids[64], gids[64];

	snprintf(uids, sizeof(uids), "0 %u 1\n", (unsigned) geteuid());
	snprintf(gids, sizeof(gids), "0 %u 1\n", (unsigned) getegid());
	return write_file(pid, "setgroups", "deny") && write_file(pid, "uid_map", uids) &&
		   write_file(pid, "gid_map", gids);
}

/* fork(), into new namespaces, with a pidfd. */
static pid_t
clone_into(uint64_t namespaces, int *pidfd)
{
	struct clone_args args = {
		.flags = namespaces | CLONE_PIDFD,
		.pidfd = (uint64_t) (uintptr_t) pidfd,
		.exit_signal = SIGCHLD,
	};

	return (pid_t) syscall(SYS_clone3, &args, sizeof(args));
}

static bool
map_report(Sandbox *sandbox)
{
	void *page =
		mmap(NULL, sizeof(CaseReport), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return false;
	sandbox->report = page;
	sandbox->output_fd = memfd_create("case-output", MFD_CLOEXEC);
	return sandbox->output_fd >= 0 && fcntl(sandbox->output_fd, F_SETFL, O_APPEND) == 0;
}

static bool
start_failed(Sandbox *sandbox, char *problem, size_t size, const char *what)
{
	snprintf(problem, size, "%s: %s", what, strerror(errno));
	sandbox_kill(sandbox);
	sandbox_close(sandbox);
	return false;
}

bool
sandbox_start(const SandboxSpec *spec, Sandbox *sandbox, char *problem, size_t size)
{
	bool rootless = geteuid() != 0;
	SandboxInit init = {.spec = spec, .rootless = rootless};
	int go[2];

	*sandbox = (Sandbox){.pid = -1, .pidfd = -1, .output_fd = -1};
	if (!map_report(sandbox))
		return start_failed(sandbox, problem, size, "could not map the case's report");
	init.report = sandbox->report;
	init.output_fd = sandbox->output_fd;
	init.runner_pid = getpid();
	if (pipe2(go, O_CLOEXEC) < 0)
		return start_failed(sandbox, problem, size, "could not make a pipe");
	init.go_fd = go[0];
	init.go_write_fd = go[1];
	init.runner_pidfd = (int) syscall(SYS_pidfd_open, init.runner_pid, 0);

	pid_t pid = clone_into(rootless ? NAMESPACES | CLONE_NEWUSER : NAMESPACES, &sandbox->pidfd);

	if (pid == 0)
		sandbox_init_main(&init);
	close(go[0]);
	if (init.runner_pidfd >= 0)
		close(init.runner_pidfd);
	sandbox->pid = pid;
	if (pid < 0 || (rootless && !map_users(pid)))
	{
		int saved_errno = errno;

		close(go[1]);
		errno = saved_errno;
		return start_failed(sandbox, problem, size,
							pid < 0 ? "could not make IPC, PID and mount namespaces"
									: "could not map the user into its namespace");
	}
	if (write(go[1], "g", 1) != 1)
		case_report_log(sandbox->report, "could not start init: %s", strerror(errno));
	close(go[1]);
	return true;
}

void
sandbox_kill(const Sandbox *sandbox)
{
	if (sandbox->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, sandbox->pidfd, SIGKILL, NULL, 0);
}

void
sandbox_close(Sandbox *sandbox)
{
	if (sandbox->pid > 0)
		while (waitpid(sandbox->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	if (sandbox->pidfd >= 0)
		close(sandbox->pidfd);
	if (sandbox->output_fd >= 0)
		close(sandbox->output_fd);
	if (sandbox->report)
		munmap(sandbox->report, sizeof(CaseReport));
	*sandbox = (Sandbox){.pid = -1, .pidfd = -1, .output_fd = -1};
}

/* First line of /proc/PID/name without its newline; "" when it cannot be read. */
static void
read_line(const char *pid, const char *name, char *line, size_t size)
{
	char path[320];

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);

	FILE *file = fopen(path, "re");

	line[0] = '\0';
	if (!file)
		return;
	if (!fgets(line, (int) size, file))
		line[0] = '\0';
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
}

static bool
same_namespace(const char *pid, ino_t namespace_inode)
{
	char path[320];
	struct stat status;

	snprintf(path, sizeof(path), "/proc/%s/ns/pid", pid);
	return stat(path, &status) == 0 && status.st_ino == namespace_inode;
}

void
sandbox_describe(const Sandbox *sandbox, char *text, size_t size)
{
	char path[64];
	struct stat status;
	size_t used = 0;
	DIR *proc = opendir("/proc");

	text[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int) sandbox->pid);
	if (!proc || stat(path, &status) < 0)
	{
		if (proc)
			closedir(proc);
		return;
	}
	for (struct dirent *entry; (entry = readdir(proc)) != NULL && used + 1 < size;)
	{
		char stat_line[64], wchan[64], syscall_line[96];

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
			!same_namespace(entry->d_name, status.st_ino))
			continue;
		read_line(entry->d_name, "stat", stat_line, 40);
		read_line(entry->d_name, "wchan", wchan, sizeof(wchan));
		read_line(entry->d_name, "syscall", syscall_line, sizeof(syscall_line));

		int length = snprintf(text + used, size - used, "  process %s | in %s | syscall %s\n",
							  stat_line, wchan, syscall_line);

		used += length > 0 ? (size_t) length : 0;
	}
	closedir(proc);
}

static void
probe_list(ScenarioCaseList *list)
{
	scenario_case_add(list, "probe");
}

static ScenarioStatus
probe_run(ScenarioContext *ctx, const ScenarioCase *which)
{
	(void) ctx;
	(void) which;
	return SCENARIO_PASS;
}

bool
sandbox_probe(const char *work_dir, char *problem, size_t size)
{
	static const Scenario probe = {
		.id = "probe", .summary = "", .list = probe_list, .run = probe_run, .deadline_ms = 5000};
	static const ScenarioCase which = {.name = "probe"};
	SandboxSpec spec = {.scenario = &probe, .which = &which, .work_dir = work_dir, .user_plan = ""};
	Sandbox sandbox;

	if (!sandbox_start(&spec, &sandbox, problem, size))
		return false;

	struct pollfd done = {.fd = sandbox.pidfd, .events = POLLIN};
	uint64_t deadline = clock_deadline_ns(10000);
	int polled;

	while ((polled = poll(&done, 1, clock_ms_until(deadline))) < 0 && errno == EINTR)
		continue;

	bool good = polled == 1 && sandbox.report->returned && !sandbox.report->sandbox_failed;

	if (!good)
		snprintf(problem, size, "%.*s", (int) size - 1,
				 sandbox.report->message[0] ? sandbox.report->message
											: "a sandbox was made, but nothing ran in it");
	sandbox_kill(&sandbox);
	sandbox_close(&sandbox);
	return good;
}
