/*
 * world.c
 *		See world.h.
 *
 * A peer that waits is stopped by SIGSTOP once it sleeps: its own look-outs at growing intervals would change the segment
 * while the victim is being stepped.  What one that came first has asked for (HANDOFF) is taken back.
 */
#include "step/world.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/proc.h>
#include <holdfast/recovery.h>
#include <holdfast/shmem.h>

#include "lwlock_state.h"
#include "runner/clock.h"

#define TRANCHE     "step"
#define DEADLINE_MS 15000

bool
world_complain(StepWorld *world, const char *format, ...)
{
	va_list args;

	if (world->stage->why[0] != '\0')
		return false; /* the first complaint is the cause */
	va_start(args, format);
	(void) vsnprintf(world->stage->why, STEP_WHY_SIZE, format, args);
	va_end(args);
	return false;
}

static bool
said(StepWorld *world, HoldfastStatus status, const char *what)
{
	if (status >= 0)
		return true;
	return world_complain(world, "%s: %s: %s", what, holdfast_status_name(status),
						  holdfast_last_error()->message);
}

/* ---- making it ---- */

/* LWLockRepair. */
static bool
repair_pair(LWLock *lock, int dead_slot, void *arg)
{
	StepData *data = arg;

	(void) lock;
	(void) dead_slot;
	data->second = data->first;
	data->repairs++;
	return true;
}

bool
world_make(StepWorld *world, const StepSubject *subject, const char *directory)
{
	HoldfastShmemConfig config = {.max_procs = 8, .user_size = sizeof(StepData)};
	LWLockPadded *locks;
	bool found;

	*world = (StepWorld){.subject = subject, .directory = directory};
	world->stage =
		mmap(NULL, sizeof(StepStage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (world->stage == MAP_FAILED)
		return false;
	if (subject->setting == PLACE_DIRECTORY)
		return true;
	if (!said(world, holdfast_set_data_directory(directory), "data directory") ||
		!said(world, CreateDataDirLockFile(true), "lockfile") ||
		!said(world, RequestNamedLWLockTranche(TRANCHE, 2), "tranche") ||
		!said(world, holdfast_shmem_create(&config), "segment"))
		return false;
	world->base = UsedShmemSegAddr;
	world->size = ((PGShmemHeader *) world->base)->totalsize;
	locks = GetNamedLWLockTranche(TRANCHE);
	world->data = ShmemInitStruct("step data", sizeof(StepData), &found);
	if (locks == NULL || world->data == NULL ||
		!segment_view(world->base, world->size, &world->view))
		return world_complain(world, "the segment has no tables");
	world->lock = &locks[0].lock;
	world->other = &locks[1].lock;
	return said(
			   world,
			   LWLockRegisterTranche(world->lock->tranche, LWLOCK_REPAIR, repair_pair, world->data),
			   "policy") &&
		   said(world, holdfast_shmem_publish(), "publish") && world_enter(world, "supervisor");
}

bool
world_enter(StepWorld *world, const char *role)
{
	return said(world, InitProcess(role), "slot");
}

bool
world_visit(StepWorld *world, LWLockMode mode)
{
	HoldfastStatus status = LWLockAcquireTimed(world->lock, mode, DEADLINE_MS * 1000);
	bool equal;

	if (!said(world, status, mode == LW_EXCLUSIVE ? "exclusive" : "shared"))
		return false;
	equal = world->data->first == world->data->second;
	if (mode == LW_EXCLUSIVE)
	{
		world->data->first++;
		world->data->second++;
	}
	if (!said(world, LWLockRelease(world->lock), "release"))
		return false;
	if (status == HOLDFAST_OWNER_DEAD)
		return world_complain(world, "OWNER_DEAD, though the tranche repairs");
	return equal || world_complain(world, "the pair was not repaired");
}

/* ---- peers ---- */

static bool
act_holder(StepWorld *world, StepPeer kind, uint64_t deadline)
{
	StepStage *stage = world->stage;
	bool updates = kind == PEER_UPDATER;

	if (!said(world, LWLockAcquire(world->lock, LW_EXCLUSIVE), "holder"))
		return false;
	latch_add(&stage->in);
	if (!latch_wait(&stage->act, 1, deadline))
		return false;
	if (!said(world,
			  updates ? LWLockUpdateVar(world->lock, &world->data->variable, 1)
					  : LWLockRelease(world->lock),
			  "holder acts"))
		return false;
	latch_add(&stage->acted);
	return latch_wait(&stage->finale, 1, deadline) &&
		   (!updates || said(world, LWLockRelease(world->lock), "holder ends"));
}

static bool
act_sharer(StepWorld *world, uint64_t deadline)
{
	if (!said(world, LWLockAcquire(world->lock, LW_SHARED), "sharer"))
		return false;
	latch_add(&world->stage->in);
	return latch_wait(&world->stage->finale, 1, deadline) &&
		   said(world, LWLockRelease(world->lock), "sharer ends");
}

static bool
act_corpse(StepWorld *world, StepPeer kind)
{
	if (!said(world, LWLockAcquire(world->lock, kind == PEER_CORPSE ? LW_EXCLUSIVE : LW_SHARED),
			  "corpse"))
		return false;
	if (kind == PEER_CORPSE)
		world->data->first++; /* dies between the two */
	latch_add(&world->stage->in);
	for (;;)
		(void) pause();
}

static bool
act_watcher(StepWorld *world)
{
	uint64_t value = 0;

	return said(world, LWLockWaitForVar(world->lock, &world->data->variable, 0, &value), "watcher");
}

static bool
act(StepWorld *world, StepPeer kind)
{
	uint64_t deadline = clock_deadline_ns(4 * DEADLINE_MS);

	if (!world_enter(world, "peer"))
		return false;
	switch (kind)
	{
		case PEER_HOLDER:
		case PEER_UPDATER:
			return act_holder(world, kind, deadline);
		case PEER_SHARER:
			return act_sharer(world, deadline);
		case PEER_WAITER:
			return world_visit(world, LW_EXCLUSIVE);
		case PEER_WAITING_SHARER:
			return world_visit(world, LW_SHARED);
		case PEER_WATCHER:
			return act_watcher(world);
		case PEER_CORPSE:
		case PEER_DEAD_SHARER:
			return act_corpse(world, kind);
		case PEER_NONE:
			break;
	}
	return false;
}

static bool
sleeps_in_queue(StepPeer kind)
{
	return kind == PEER_WAITER || kind == PEER_WAITING_SHARER || kind == PEER_WATCHER;
}

static bool
dies_first(StepPeer kind)
{
	return kind == PEER_CORPSE || kind == PEER_DEAD_SHARER;
}

static pid_t
start(StepWorld *world, bool (*body)(StepWorld *, int), int argument)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void) signal(SIGALRM, SIG_DFL);
	if (body(world, argument))
	{
		ProcKill(0, 0);
		_exit(0);
	}
	_exit(1);
}

static void
reap(pid_t pid, int *status)
{
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		continue;
}

bool
world_wait(pid_t pid, unsigned deadline_ms, int *status)
{
	struct pollfd end = {.fd = (int) syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	uint64_t deadline = clock_deadline_ns(deadline_ms);
	int left = 0;
	bool in_time = end.fd < 0; /* then without a deadline */

	while (!in_time && (left = clock_ms_until(deadline)) > 0)
		in_time = poll(&end, 1, left) == 1;
	if (!in_time)
		(void) kill(pid, SIGKILL);
	reap(pid, status);
	if (end.fd >= 0)
		(void) close(end.fd);
	return in_time;
}

static bool
peer_main(StepWorld *world, int kind)
{
	return act(world, (StepPeer) kind);
}

/* In the queue, in its futex, and stopped there. */
static bool
park(StepWorld *world, pid_t pid)
{
	uint64_t deadline = clock_deadline_ns(DEADLINE_MS);
	const PGPROC *proc;
	int status;
	int slot;

	for (;; (void) sched_yield())
	{
		slot = holdfast_slot_of_pid(pid);
		proc = slot >= 0 ? &world->view.procs[slot] : NULL;
		if (proc != NULL && __atomic_load_n(&proc->wait_lock, __ATOMIC_ACQUIRE) != 0 &&
			__atomic_load_n(&proc->wake, __ATOMIC_RELAXED) == WAKE_ASLEEP)
			break;
		if (clock_now_ns() >= deadline)
			return world_complain(world, "a peer did not come to sleep");
	}
	if (kill(pid, SIGSTOP) < 0)
		return false;
	while (waitpid(pid, &status, WUNTRACED) < 0)
		if (errno != EINTR)
			return false;
	if (!WIFSTOPPED(status))
		return false;
	if (__atomic_load_n(&proc->wake, __ATOMIC_RELAXED) != WAKE_ASLEEP)
	{
		/* Awake for one of its look-outs just then: once more. */
		(void) kill(pid, SIGCONT);
		return park(world, pid);
	}
	/* A look-out that came before asked for the hand-off; it is legal to lose that, and the record begins without. */
	(void) __atomic_fetch_and(&world->lock->state, ~LW_HANDOFF, __ATOMIC_RELAXED);
	return true;
}

static bool
peers_come(StepWorld *world)
{
	uint32_t in = 0;

	for (int i = 0; world->subject->peer[i] != PEER_NONE; i++)
	{
		StepPeer kind = world->subject->peer[i];
		pid_t pid = start(world, peer_main, (int) kind);

		if (pid < 0)
			return world_complain(world, "could not fork");
		world->peer[world->npeers++] = pid;
		if (sleeps_in_queue(kind))
		{
			if (!park(world, pid))
				return false;
		}
		else if (!latch_wait(&world->stage->in, ++in, clock_deadline_ns(DEADLINE_MS)))
			return world_complain(world, "a peer did not take its place");
	}
	return true;
}

bool
world_scene(StepWorld *world)
{
	if (!peers_come(world))
		return false;
	for (int i = 0; i < world->npeers; i++)
	{
		if (!dies_first(world->subject->peer[i]))
			continue;
		(void) kill(world->peer[i], SIGKILL);
		reap(world->peer[i], NULL);
		world->peer[i] = 0;
	}
	return true;
}

bool
world_wake(StepWorld *world)
{
	if (world->subject->part == PART_UNTIL_SLEEP)
		return false;
	world->acted = true;
	latch_add(&world->stage->act);
	return latch_wait(&world->stage->acted, 1, clock_deadline_ns(DEADLINE_MS)) ||
		   world_complain(world, "the holder did not act");
}

void
world_kill_peers(StepWorld *world)
{
	for (int i = 0; i < world->npeers; i++)
	{
		if (world->peer[i] == 0)
			continue;
		(void) kill(world->peer[i], SIGKILL);
		reap(world->peer[i], NULL);
		world->peer[i] = 0;
	}
}

/* ---- the end of the story ---- */

static bool
survivor_main(StepWorld *world, int mode)
{
	return world_enter(world, "survivor") && world_visit(world, (LWLockMode) mode);
}

static bool
expect_good_end(StepWorld *world, pid_t pid, const char *who)
{
	int status = 0;

	if (!world_wait(pid, DEADLINE_MS, &status))
		return world_complain(world, "%s waits for ever", who);
	return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
		   world_complain(world, "%s ended with status %d", who, status);
}

bool
world_end(StepWorld *world)
{
	pid_t survivor[2];
	bool found;
	char why[STEP_WHY_SIZE];
	bool good = said(world, holdfast_recover(DEADLINE_MS * 1000, NULL), "recovery");

	if (!world->acted)
		latch_add(&world->stage->act);
	latch_add(&world->stage->finale);
	for (int i = 0; i < world->npeers; i++)
		if (world->peer[i] != 0)
			(void) kill(world->peer[i], SIGCONT);
	survivor[0] = start(world, survivor_main, LW_EXCLUSIVE);
	survivor[1] = start(world, survivor_main, LW_SHARED);
	for (int i = 0; i < 2; i++)
		good = survivor[i] > 0 && expect_good_end(world, survivor[i], "a survivor") && good;
	for (int i = 0; i < world->npeers; i++)
		if (world->peer[i] != 0)
			good = expect_good_end(world, world->peer[i], "a peer") && good;
	if (!good)
		return world_complain(world, "the story did not end well");
	if (ShmemInitStruct("step data", sizeof(StepData), &found) != world->data ||
		ShmemInitStruct("new", 64, &found) == NULL)
		return world_complain(world, "the index is of no use any more");
	if (!segment_is_sound(&world->view, why, sizeof(why)) ||
		!segment_is_idle(&world->view, holdfast_my_slot(), why, sizeof(why)))
		return world_complain(world, "at the end: %s", why);
	return true;
}
