/*
 * check.c
 *		See check.h.
 *
 * The library finds its segment by address, so the copy takes the place of the original in the checker.  Peers are real
 * processes that know nothing of it: whether they would be woken is a question to the oracle here, and to themselves when
 * the victim is killed for real.
 */
#include "step/check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/proc.h>
#include <holdfast/recovery.h>

#include "lwlock_state.h"

#define BOUND_US 5000000 /* more than any recovery takes, on a loaded machine too */

static bool
overlay(StepWorld *world, const void *image)
{
	void *copy = mmap(world->base, world->size, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (copy != world->base)
		return world_complain(world, "could not map the copy: %s", strerror(errno));
	memcpy(copy, image, world->size);
	return true;
}

static bool
sound(StepWorld *world, const char *when)
{
	char why[STEP_WHY_SIZE];

	return segment_is_sound(&world->view, why, sizeof(why)) ||
		   world_complain(world, "%s: %s", when, why);
}

static bool
recovered(StepWorld *world, HoldfastStatus status, const char *when)
{
	if (status == HOLDFAST_OK)
		return sound(world, when);
	return world_complain(world, "%s: recovery says %s", when, holdfast_status_name(status));
}

/* What a newcomer must get at once, seeing the word. */
static HoldfastStatus
deserved(uint64_t word, LWLockMode mode)
{
	bool held = mode == LW_EXCLUSIVE ? !lw_is_free(word) : (word & LW_XOWNER_MASK) != 0;

	if (held || (word & LW_HANDOFF) != 0)
		return HOLDFAST_BUSY;
	return word & LW_POISONED ? HOLDFAST_OWNER_DEAD : HOLDFAST_OK;
}

static bool
take(StepWorld *world, LWLock *lock, LWLockMode mode)
{
	HoldfastStatus wanted = deserved(lock->state, mode);
	HoldfastStatus status = LWLockConditionalAcquire(lock, mode);

	if (status != wanted)
		return world_complain(world, "recovered: %s instead of %s", holdfast_status_name(status),
							  holdfast_status_name(wanted));
	if (status == HOLDFAST_BUSY)
		return true;
	/* The index's lock has no repair: who takes it next says that there was nothing to mend. */
	if (status == HOLDFAST_OWNER_DEAD &&
		(lock != SHMEM_INDEX_LOCK || LWLockMarkConsistent(lock) != HOLDFAST_OK))
		return world_complain(world, "recovered: OWNER_DEAD, though the tranche repairs");
	if (lock == world->lock && world->data->first != world->data->second)
		return world_complain(world, "recovered: the pair was not repaired");
	return LWLockRelease(lock) == HOLDFAST_OK;
}

static bool
take_all(StepWorld *world)
{
	for (uint32_t i = 0; i < world->view.nlocks; i++)
		if (!take(world, &world->view.locks[i].lock, LW_EXCLUSIVE) ||
			!take(world, &world->view.locks[i].lock, LW_SHARED))
			return false;
	return true;
}

/* The peer lives; in the copy its slot is made that of another life of its PID, which the kernel knows to be over. */
static void
declare_dead(StepWorld *world, pid_t peer)
{
	int slot = holdfast_slot_of_pid(peer);

	if (slot >= 0)
		world->view.procs[slot].start_time++;
}

static bool
outlives_everybody(StepWorld *world)
{
	char why[STEP_WHY_SIZE];

	for (int i = 0; i < world->npeers; i++)
		if (world->peer[i] != 0)
			declare_dead(world, world->peer[i]);
	if (!recovered(world, holdfast_recover(BOUND_US, NULL), "the peers dead too"))
		return false;
	if (!take_all(world))
		return false;
	for (uint32_t i = 0; i < world->view.nlocks; i++)
		if (!lw_is_free(world->view.locks[i].lock.state) ||
			(world->view.locks[i].lock.state & LW_HANDOFF) != 0)
			return world_complain(world, "everybody is dead, lock %u is not free", i);
	for (int i = 0; i < world->npeers; i++)
		if (world->peer[i] != 0 && holdfast_slot_of_pid(world->peer[i]) >= 0)
			return world_complain(world, "everybody is dead, slots are taken");
	return segment_is_sound(&world->view, why, sizeof(why)) ||
		   world_complain(world, "everybody dead: %s", why);
}

static bool
check(StepWorld *world, const void *image)
{
	return overlay(world, image) && world_enter(world, "checker") &&
		   recovered(world, holdfast_recover(BOUND_US, NULL), "recovered") && take_all(world) &&
		   sound(world, "after use") && outlives_everybody(world);
}

bool
check_image(StepWorld *world, const void *image, char *why, size_t size)
{
	int status = 0;
	pid_t pid;

	world->stage->why[0] = '\0';
	pid = fork();
	if (pid == 0)
	{
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void) signal(SIGALRM, SIG_DFL);
		(void) alarm(60);
		_exit(check(world, image) ? 0 : 1);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (world->stage->why[0] != '\0')
		(void) snprintf(why, size, "%s", world->stage->why);
	else
		(void) snprintf(why, size, "the checker ended with status %d", status);
	world->stage->why[0] = '\0';
	return false;
}
