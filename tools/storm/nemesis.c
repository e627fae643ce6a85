/*
 * nemesis.c
 *		The kinds of harm: when each strikes, whom, and what must follow.
 *
 * Each kind strikes at intervals of its own, exponentially distributed, so that no instant is likelier than another.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/lockfile.h>
#include <holdfast/recovery.h>

#include "runner/clock.h"
#include "storm.h"

#define NOTICE_LIMIT_MS 10000
#define VICTIM_TRIES    8

/* ---- when ---- */

static double
mean_ms(const Storm *storm, NemesisKind kind)
{
	double whole = (double) storm->config.duration_ms;

	switch (kind)
	{
		case NEMESIS_KILL:
			return 1000 / storm->config.kill_rate;
		case NEMESIS_STOP:
		case NEMESIS_SLOW:
			return 500;
		default: /* the cluster is some time in coming back: now and then, but in a short storm too */
			return whole / 4 < 4000 ? whole / 4 : 4000;
	}
}

static void
plan_next(Storm *storm, NemesisKind kind)
{
	double uniform = ((double) storm_random(storm, UINT64_C(1) << 53) + 1) / 9007199254740993.0;
	double ms = -log(uniform) * mean_ms(storm, kind);

	storm->next_ns[kind] = (storm->next_ns[kind] ? storm->next_ns[kind] : clock_now_ns()) +
						   (uint64_t) (ms * (double) NS_PER_MS);
}

/* ---- a victim ---- */

typedef struct Victim
{
	HistoryWorker *worker;
	uint32_t life;
	pid_t pid;
	int pidfd;
} Victim;

static bool
wait_dead(int pidfd, int ms)
{
	struct pollfd one = {.fd = pidfd, .events = POLLIN};

	return poll(&one, 1, ms) > 0;
}

/* A worker that lives: the PID in its block was still its own once the pidfd was open. */
static bool
take_victim(Storm *storm, Victim *victim)
{
	for (int i = 0; i < VICTIM_TRIES; i++)
	{
		HistoryWorker *worker = &storm->history->worker[storm_random(storm, storm->config.workers)];
		pid_t pid = __atomic_load_n(&worker->pid, __ATOMIC_ACQUIRE);

		*victim = (Victim){.worker = worker, .pid = pid, .life = worker->life, .pidfd = -1};
		if (pid > 0)
			victim->pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
		if (victim->pidfd >= 0 && !wait_dead(victim->pidfd, 0) &&
			__atomic_load_n(&worker->pid, __ATOMIC_ACQUIRE) == pid)
			return true;
		if (victim->pidfd >= 0)
			close(victim->pidfd);
	}
	return false;
}

static int
tell(const Victim *victim, int signal_number)
{
	return (int) syscall(SYS_pidfd_send_signal, victim->pidfd, signal_number, NULL, 0);
}

/* ---- the kinds; each says whether it found whom to harm ---- */

/* The last one of a dead supervisor: it is what the next start must be refused for. */
static bool
is_left_over(const Storm *storm, pid_t pid)
{
	for (int i = 0; storm->life.state != LIFE_READY && i < STOPPED_MAX; i++)
		if (storm->stopped[i].pidfd >= 0 && storm->stopped[i].pid == pid)
			return true;
	return false;
}

static bool
kill_worker(Storm *storm)
{
	Victim victim;

	if (!take_victim(storm, &victim))
		return false;
	if (is_left_over(storm, victim.pid))
	{
		close(victim.pidfd);
		return false;
	}
	__atomic_store_n(&victim.worker->kill_ns, clock_now_ns(), __ATOMIC_RELAXED);
	(void) tell(&victim, SIGKILL);
	if (!wait_dead(victim.pidfd, NOTICE_LIMIT_MS))
		storm_violation(storm, "a worker outlives SIGKILL");
	else
	{
		uint32_t stage =
			__atomic_load_n(&victim.worker->stage[victim.life % HISTORY_LIVES], __ATOMIC_RELAXED);

		storm->kills_in[stage < HISTORY_STAGES ? stage : HISTORY_STARTING]++;
	}
	close(victim.pidfd);
	return true;
}

/* A millisecond, or longer than any recovery waits: all magnitudes alike. */
static uint64_t
stop_length_ns(Storm *storm)
{
	double most = log(3.0 * storm->config.recover_ms);

	return (uint64_t) (exp(most * (double) storm_random(storm, 1000) / 1000) * (double) NS_PER_MS);
}

static bool
stop_worker_for(Storm *storm, uint64_t length_ns)
{
	Victim victim;
	int place = 0;

	while (place < STOPPED_MAX && storm->stopped[place].pidfd >= 0)
		place++;
	if (place == STOPPED_MAX || !take_victim(storm, &victim))
		return false;
	(void) tell(&victim, SIGSTOP);
	storm->stopped[place] =
		(Stopped){.pidfd = victim.pidfd, .pid = victim.pid, .until_ns = clock_now_ns() + length_ns};
	return true;
}

static bool
stop_worker(Storm *storm)
{
	return stop_worker_for(storm, stop_length_ns(storm));
}

/* Every other time one of its workers is stopped before: that one stays, and the next start must be refused. */
static bool
kill_supervisor(Storm *storm)
{
	if (storm->life.state == LIFE_NONE || storm->life.state == LIFE_LEAVING || storm->life.killed)
		return false;
	if (storm_random(storm, 2))
		(void) stop_worker_for(storm, (50 + storm_random(storm, 400)) * NS_PER_MS);
	storm->life.killed = true;
	storm->ipcrm_pending = false;
	(void) syscall(SYS_pidfd_send_signal, storm->life.pidfd, SIGKILL, NULL, 0);
	return true;
}

static bool
slow_worker(Storm *storm)
{
	struct sched_param none = {0};
	Victim victim;
	bool slowed;

	if (!take_victim(storm, &victim))
		return false;
	slowed = sched_setscheduler(victim.pid, SCHED_IDLE, &none) == 0;
	close(victim.pidfd);
	return slowed;
}

/* The segment that the lockfile names; -1 when it names none. */
static int
recorded_segment(const Storm *storm)
{
	HoldfastLockfile file;

	if (holdfast_lockfile_read(storm->data_dir, &file) < 0 || !file.has_segment)
		return -1;
	return (int) file.shmem_id;
}

static bool
remove_segment(Storm *storm)
{
	int segment = recorded_segment(storm);

	if (storm->life.state != LIFE_READY || storm->ipcrm_pending || segment < 0)
		return false;
	storm->ipcrm_epoch = storm->history->epoch;
	if (shmctl(segment, IPC_RMID, NULL) < 0)
		return false; /* a reset was quicker */
	storm->ipcrm_ns = clock_now_ns();
	storm->ipcrm_pending = true;
	return true;
}

static bool
may_lose_lockfile(const Storm *storm)
{
	return storm->life.state == LIFE_READY && !storm->life.killed &&
		   storm->rival.state == LIFE_NONE;
}

static void
must_leave(Storm *storm)
{
	storm->life.state = LIFE_LEAVING;
	storm->life.leave_ns = storm->outage_ns = clock_now_ns();
	storm->ipcrm_pending = false;
}

static bool
remove_lockfile(Storm *storm)
{
	if (!may_lose_lockfile(storm) || unlink(storm->lockfile) < 0)
		return false;
	must_leave(storm);
	life_start(storm, &storm->rival);
	storm->rival.alone = false;
	return true;
}

/* Another server's: whole, well formed, of another incarnation. */
static bool
write_stranger(Storm *storm, char *bytes, size_t *length)
{
	HoldfastLockfile file;

	if (holdfast_lockfile_read(storm->data_dir, &file) < 0)
		return false;
	file.cookie.word[0] ^= 1 + storm_random(storm, 1000);
	file.pid = getpid();
	file.has_segment = false;
	file.pid_start_time = holdfast_process_start_time(file.pid);
	*length = holdfast_lockfile_format(&file, bytes, HOLDFAST_LOCKFILE_SIZE_MAX);
	return *length > 0;
}

static bool
replace_lockfile(Storm *storm)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX], path[4300];
	size_t length;
	int fd;
	bool done;

	if (!may_lose_lockfile(storm) || !write_stranger(storm, bytes, &length))
		return false;
	snprintf(path, sizeof(path), "%s.stranger", storm->lockfile);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	done = fd >= 0 && write(fd, bytes, length) == (ssize_t) length;
	if (fd >= 0)
		close(fd);
	if (!done || rename(path, storm->lockfile) < 0)
	{
		(void) unlink(path);
		return false;
	}
	must_leave(storm);
	storm->replaced = true;
	return true;
}

/* ---- clocks ---- */

/* The next child lives where both clocks are `seconds` ahead of ours, or behind. */
static bool
jump(int64_t seconds)
{
	char text[128];
	int length = snprintf(text, sizeof(text), "monotonic %lld 0\nboottime %lld 0\n",
						  (long long) seconds, (long long) seconds);
	int fd;
	bool written;

	if (unshare(CLONE_NEWTIME) < 0)
		return false;
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	written = fd >= 0 && write(fd, text, (size_t) length) == length;
	if (fd >= 0)
		close(fd);
	return written;
}

static bool
jump_clock(Storm *storm)
{
	struct timespec uptime;
	int64_t seconds = (int64_t) storm_random(storm, 30 * 86400);

	clock_gettime(CLOCK_MONOTONIC, &uptime);
	if (storm_random(storm, 2))
		seconds = -(int64_t) storm_random(storm, (uint64_t) uptime.tv_sec / 2 + 1);
	if (storm->rival.state != LIFE_NONE || !kill_supervisor(storm))
		return false;
	/* Both become true for the next supervisor, and none other is started until this one is reaped. */
	if (!jump(seconds))
	{
		storm_violation(storm, "could not set the clocks %lld s on: %s", (long long) seconds,
						strerror(errno));
		return false;
	}
	storm->history->next_clock_offset_ns = seconds * 1000000000;
	return true;
}

/* ---- striking ---- */

static bool (*const strike[NEMESES])(Storm *) = {
	kill_worker,    kill_supervisor, stop_worker,      slow_worker,
	remove_segment, remove_lockfile, replace_lockfile, jump_clock,
};

bool
nemesis_prepare(Storm *storm)
{
	if ((storm->config.nemeses & 1u << NEMESIS_CLOCK) && !jump(0))
	{
		fprintf(stderr, "holdfast-storm: nemesis clock: no time namespace here: %s\n",
				strerror(errno));
		return false;
	}
	for (int kind = 0; kind < NEMESES; kind++)
		plan_next(storm, (NemesisKind) kind);
	return true;
}

uint64_t
nemesis_next_ns(const Storm *storm)
{
	uint64_t next = UINT64_MAX;

	for (int kind = 0; kind < NEMESES; kind++)
		if ((storm->config.nemeses & 1u << kind) && storm->next_ns[kind] < next)
			next = storm->next_ns[kind];
	for (int i = 0; i < STOPPED_MAX; i++)
		if (storm->stopped[i].pidfd >= 0 && storm->stopped[i].until_ns < next)
			next = storm->stopped[i].until_ns;
	return next;
}

void
nemesis_strike_due(Storm *storm)
{
	for (int kind = 0; kind < NEMESES; kind++)
	{
		if (!(storm->config.nemeses & 1u << kind) || storm->next_ns[kind] > clock_now_ns())
			continue;
		storm->strikes[kind] += strike[kind](storm);
		plan_next(storm, (NemesisKind) kind);
	}
}

void
nemesis_continue(Storm *storm, bool all)
{
	for (int i = 0; i < STOPPED_MAX; i++)
	{
		Stopped *one = &storm->stopped[i];

		if (one->pidfd < 0 || (!all && one->until_ns > clock_now_ns()))
			continue;
		(void) syscall(SYS_pidfd_send_signal, one->pidfd, SIGCONT, NULL, 0);
		close(one->pidfd);
		one->pidfd = -1;
	}
}

/* ---- what must follow ---- */

void
nemesis_follow(Storm *storm)
{
	if (storm->ipcrm_pending && storm->history->epoch != storm->ipcrm_epoch)
	{
		sample_add(&storm->ipcrm_noticed, storm->ipcrm_ns);
		storm->ipcrm_pending = false;
	}
	if (storm->ipcrm_pending && clock_now_ns() - storm->ipcrm_ns > NOTICE_LIMIT_MS * NS_PER_MS)
		storm_violation(storm, "the segment was removed, and nobody noticed in %d s",
						NOTICE_LIMIT_MS / 1000);
	if (storm->life.state == LIFE_LEAVING &&
		clock_now_ns() - storm->life.leave_ns > NOTICE_LIMIT_MS * NS_PER_MS)
		storm_violation(storm,
						"the lockfile was taken away, and the server is still there after %d s",
						NOTICE_LIMIT_MS / 1000);
}

void
nemesis_between_lives(Storm *storm)
{
	int segment = recorded_segment(storm);

	if (storm->replaced && unlink(storm->lockfile) < 0)
		storm_violation(storm, "a server removed a lockfile that was not its own");
	storm->replaced = false;
	if ((storm->config.nemeses & 1u << NEMESIS_IPCRM) && segment >= 0 && storm_random(storm, 2))
		(void) shmctl(segment, IPC_RMID, NULL);
}
