/*
 * supervisor_workers.c
 *		Workers are born, watched by pidfd, reaped, and recovered; what they leave behind is taken away.
 *
 * Owner: the supervisor's table; a PID in it is a child of ours that was not reaped, so that it cannot be another's.
 * Crash safety: said at each INJECT_POINT.  Errors: a fork() that fails is reported and tried again.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>

#include "inject_point.h"
#include "lwlock_internal.h"
#include "report.h"
#include "supervisor_internal.h"

/* ---- birth ---- */

void
holdfast_supervisor_forget_fds(HoldfastSupervisor *supervisor)
{
	for (uint32_t i = 0; i < supervisor->config.workers; i++)
	{
		if (supervisor->worker[i].pidfd >= 0)
			(void) close(supervisor->worker[i].pidfd);
		supervisor->worker[i].pidfd = -1;
	}
	if (supervisor->epoll_fd >= 0)
		(void) close(supervisor->epoll_fd);
	if (supervisor->timer_fd >= 0)
		(void) close(supervisor->timer_fd);
	supervisor->epoll_fd = supervisor->timer_fd = -1; /* the watch is the lockfile's */
}

static void
default_signals(bool stay_blocked)
{
	static const int numbers[] = {SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGCHLD, SIGPIPE};
	sigset_t none;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void) signal(numbers[i], SIG_DFL);
	if (stay_blocked)
		return;
	(void) sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child.  The death of the parent is asked for before anything else, and looked for after that. */
static __attribute__((noreturn)) void
be_worker(HoldfastSupervisor *supervisor, uint32_t index)
{
	HoldfastWorker self = {.index = index,
						   .incarnation = supervisor->state.spawned + 1,
						   .supervisor = supervisor->self};
	int code = 1;

	on_exit_reset();
	holdfast_supervisor_forget_fds(supervisor);
	if (prctl(PR_SET_PDEATHSIG, supervisor->config.death_signal) == 0 &&
		getppid() == supervisor->self)
	{
		default_signals(supervisor->config.signals_blocked);
		code = supervisor->config.worker(&self, supervisor->config.arg);
	}
	proc_exit(code);
}

static void
watch_worker(HoldfastSupervisor *supervisor, WorkerSlot *slot)
{
	struct epoll_event event = {.events = EPOLLIN};

	slot->pidfd = (int) syscall(SYS_pidfd_open, slot->pid, 0);
	if (slot->pidfd < 0)
		return;
	if (epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_ADD, slot->pidfd, &event) == 0)
		return;
	(void) close(slot->pidfd);
	slot->pidfd = -1;
}

/* The registration is taken back by name: a child that somebody forked keeps the descriptor open. */
static void
unwatch_worker(HoldfastSupervisor *supervisor, WorkerSlot *slot)
{
	if (slot->pidfd < 0)
		return;
	(void) epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_DEL, slot->pidfd, NULL);
	(void) close(slot->pidfd);
	slot->pidfd = -1;
}

static void
spawn(HoldfastSupervisor *supervisor, uint32_t index)
{
	WorkerSlot *slot = &supervisor->worker[index];
	sigset_t all, before;
	int saved_errno;

	(void) fflush(NULL); /* what is buffered must not come out twice */
	/* The caller's handlers must not run in the child. */
	(void) sigfillset(&all);
	(void) pthread_sigmask(SIG_BLOCK, &all, &before);
	slot->pid = fork();
	if (slot->pid == 0)
		be_worker(supervisor, index);
	saved_errno = errno;
	INJECT_POINT("supervisor/spawn/forked", INJECT_ANYWHERE,
				 "a worker whose supervisor is dead before it knows it: it gets death_signal");
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	slot->started_ns = holdfast_now_ns();
	if (slot->pid < 0)
	{
		slot->pid = 0;
		slot->respawn_ns = after_ms(slot->started_ns, supervisor->config.backoff_ms_max);
		(void) report(HOLDFAST_LOG, HOLDFAST_SYSTEM_ERROR, saved_errno, NULL, NULL,
					  "could not fork worker process: %m");
		return;
	}
	supervisor->state.spawned++;
	supervisor->state.alive++;
	watch_worker(supervisor, slot);
}

void
holdfast_supervisor_spawn_due(HoldfastSupervisor *supervisor)
{
	uint64_t now = holdfast_now_ns();

	if (supervisor->state.phase != HOLDFAST_SUPERVISOR_RUNNING)
		return;
	for (uint32_t i = 0; i < supervisor->config.workers; i++)
	{
		if (supervisor->worker[i].pid == 0 && supervisor->worker[i].respawn_ns <= now)
			spawn(supervisor, i);
	}
}

void
holdfast_supervisor_signal(const HoldfastSupervisor *supervisor, int signal_number)
{
	for (uint32_t i = 0; i < supervisor->config.workers; i++)
	{
		if (supervisor->worker[i].pid != 0)
			(void) kill(supervisor->worker[i].pid, signal_number);
	}
}

/* ---- death ---- */

/* A worker that cannot live is not started in a tight loop. */
static void
plan_respawn(HoldfastSupervisor *supervisor, WorkerSlot *slot)
{
	uint64_t now = holdfast_now_ns();

	slot->respawn_ns = 0;
	if (now - slot->started_ns >= supervisor->config.quick_death_ms * NS_PER_MS)
	{
		slot->quick_deaths = 0;
		return;
	}
	slot->respawn_ns = after_ms(now, backoff_ms(supervisor, slot->quick_deaths));
	slot->quick_deaths++;
}

static void
log_crash(const HoldfastWorkerEnd *end)
{
	if (end->wait_status == -1)
		(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
					  "worker (PID %d) ended, and somebody else reaped it", (int) end->pid);
	else if (WIFSIGNALED(end->wait_status))
		(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
					  "worker (PID %d) was terminated by signal %d: %s", (int) end->pid,
					  WTERMSIG(end->wait_status), strsignal(WTERMSIG(end->wait_status)));
	else
		(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
					  "worker (PID %d) exited with exit code %d", (int) end->pid,
					  WEXITSTATUS(end->wait_status));
}

static void
recover(HoldfastSupervisor *supervisor, HoldfastWorkerEnd *end)
{
	end->recovered = holdfast_recover_pid(end->pid, (uint64_t) supervisor->config.recover_ms * 1000,
										  &end->recovery);
	if (end->recovered < 0)
	{
		holdfast_supervisor_reset(supervisor,
								  end->recovery.stopped_slot >= 0
									  ? "a worker is stopped inside a lock and recovery "
										"cannot go on"
									  : "a lock cannot be repaired");
		return;
	}
	supervisor->state.recoveries++;
	(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
				  "recovered: %u locks, of these %u repaired and %u poisoned",
				  end->recovery.locks_recovered, end->recovery.locks_repaired,
				  end->recovery.locks_poisoned);
}

static void
crashed(HoldfastSupervisor *supervisor, HoldfastWorkerEnd *end)
{
	if (supervisor->state.phase == HOLDFAST_SUPERVISOR_RESETTING ||
		supervisor->state.phase == HOLDFAST_SUPERVISOR_QUITTING)
		return; /* we ended it ourselves, and its segment goes */
	end->crashed = true;
	supervisor->state.crashes++;
	log_crash(end);
	INJECT_POINT("supervisor/crash/reaped", INJECT_ANYWHERE,
				 "a dead worker, its locks not recovered, and no supervisor: survivors leave, the "
				 "next start makes a new segment");
	if (supervisor->config.on_crash == HOLDFAST_ON_CRASH_RESET)
		holdfast_supervisor_reset(supervisor, "a worker crashed");
	else
		recover(supervisor, end);
}

/*
 * True when it has ended: then it is reaped, whoever did it.  That somebody else has (ECHILD: SIGCHLD is ignored here, or
 * a thread of the caller's waits for just any child) is believed when the kernel agrees that the process is gone: to
 * recover the slot of one that lives would take its locks from it.
 */
static bool
take_end(pid_t pid, int *status)
{
	pid_t reaped;

	do
		reaped = waitpid(pid, status, WNOHANG);
	while (reaped < 0 && errno == EINTR);
	if (reaped >= 0)
		return reaped != 0;
	*status = -1;
	return holdfast_process_is_dead(pid, 0);
}

static void
bury(HoldfastSupervisor *supervisor, uint32_t index, int status)
{
	WorkerSlot *slot = &supervisor->worker[index];
	HoldfastWorkerEnd end = {
		.index = index, .pid = slot->pid, .wait_status = status, .recovery = {.stopped_slot = -1}};

	unwatch_worker(supervisor, slot);
	slot->pid = 0;
	supervisor->state.alive--;
	plan_respawn(supervisor, slot);
	if (supervisor->config.subreaper)
	{
		supervisor->sweep_ns = holdfast_now_ns();
		supervisor->quiet_sweeps = 0;
	}
	/* By proc_exit(0 or 1): it released everything. */
	if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
		crashed(supervisor, &end);
	if (supervisor->config.quick_deaths_max != 0 &&
		slot->quick_deaths >= supervisor->config.quick_deaths_max &&
		supervisor->state.phase == HOLDFAST_SUPERVISOR_RUNNING)
	{
		(void) report(HOLDFAST_LOG, HOLDFAST_OK, 0, NULL, NULL,
					  "worker %u died %u times in a row soon after its start; giving up", index,
					  slot->quick_deaths);
		holdfast_supervisor_give_up(supervisor, HOLDFAST_LIMIT);
		holdfast_supervisor_stop(supervisor, HOLDFAST_STOP_FAST);
	}
	if (supervisor->config.ended != NULL)
		supervisor->config.ended(&end, supervisor->config.arg);
}

void
holdfast_supervisor_reap(HoldfastSupervisor *supervisor)
{
	for (uint32_t i = 0; i < supervisor->config.workers; i++)
	{
		int status;

		if (supervisor->worker[i].pid != 0 && take_end(supervisor->worker[i].pid, &status))
			bury(supervisor, i, status);
	}
}

/* ---- grandchildren ---- */

static bool
is_worker(const HoldfastSupervisor *supervisor, pid_t pid)
{
	for (uint32_t i = 0; i < supervisor->config.workers; i++)
	{
		if (supervisor->worker[i].pid == pid)
			return true;
	}
	return false;
}

/* Field 4 of /proc/PID/stat; 0 when it cannot be read.  The name in field 2 may hold anything, ')' too. */
static pid_t
parent_of(const char *pid)
{
	char path[64];
	char text[512];
	const char *end;
	ssize_t got;
	int fd;

	(void) holdfast_format(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	(void) close(fd);
	text[got > 0 ? got : 0] = '\0';
	end = strrchr(text, ')');
	return end != NULL && strlen(end) > 4 ? (pid_t) strtol(end + 4, NULL, 10) : 0;
}

/* Children of ours that no worker is came to us when their parent died. */
static unsigned
kill_strangers(const HoldfastSupervisor *supervisor)
{
	DIR *proc = opendir("/proc");
	unsigned found = 0;
	struct dirent *entry;

	while (proc != NULL && (entry = readdir(proc)) != NULL)
	{
		pid_t pid;

		if (!isdigit((unsigned char) entry->d_name[0]) ||
			parent_of(entry->d_name) != supervisor->self)
			continue;
		pid = (pid_t) strtol(entry->d_name, NULL, 10);
		if (is_worker(supervisor, pid))
			continue;
		(void) kill(pid, SIGKILL); /* a child that only we reap: the PID is not another's */
		found++;
	}
	if (proc != NULL)
		(void) closedir(proc);
	return found;
}

static bool
reap_one_stranger(HoldfastSupervisor *supervisor)
{
	siginfo_t info = {.si_pid = 0};

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0 ||
		is_worker(supervisor, info.si_pid))
		return false;
	if (waitpid(info.si_pid, NULL, WNOHANG) != info.si_pid)
		return false;
	supervisor->state.orphans++;
	return true;
}

bool
holdfast_supervisor_sweep(HoldfastSupervisor *supervisor)
{
	bool any = kill_strangers(supervisor) > 0;

	while (reap_one_stranger(supervisor))
		any = true;
	/* Each that was killed may leave children of its own, and one pass over /proc may miss some. */
	supervisor->quiet_sweeps = any ? 0 : supervisor->quiet_sweeps + 1;
	return supervisor->quiet_sweeps < 2;
}
