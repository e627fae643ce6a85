/*
 * program.c
 *		What the simulated processes do: letters, one operation each, and the checks that they make on the way.
 *
 *		S X		acquire shared, exclusive; use the data; release
 *		s x		the same, conditionally: nothing when it is busy
 *		T		exclusive, giving up after 5 ms
 *		O		exclusive or wait until it is free
 *		U		exclusive, with a new value of the variable
 *		W		wait for the variable to change, or for the holder to be gone
 *		N		exclusive on both locks, nested
 *		M		shared on the first, exclusive on the second, nested
 *		E		exclusive, and leave the cluster without releasing
 *
 * A writer stores into the two words of the lock's data, one after the other, with a stop before each; a reader and
 * every next writer find them equal and as they were committed.  Who is inside is noted without a stop.
 */
#include <holdfast/proc.h>
#include <holdfast/recovery.h>

#include "model.h"

#define TIMED_US 5000

static const char operations[] = "SXsxTOUWNME";

bool
sim_program_is_good(const char *program)
{
	size_t length = strlen(program);

	return length > 0 && length <= 8 && strspn(program, operations) == length;
}

void
sim_violate(SimViolation violation)
{
	SimNotes *notes = &sim_world->shared.notes;

	if (notes->violation != SIM_NOTHING)
		return;
	sim_set(&notes->violation, violation);
	sim_set(&notes->culprit, (uint64_t) sim.current);
	sim_note_stack(sim.at_violation);
}

static uint64_t
me_bit(void)
{
	return UINT64_C(1) << sim.current;
}

static LWLock *
lock_at(int i)
{
	return &sim_world->shared.segment.locks[i].lock;
}

static uint64_t *
data_at(int i)
{
	return sim_world->shared.segment.data[i];
}

static void
store_data(uint64_t *word, uint64_t value)
{
	sim_stop_here(STOP_WRITE, word);
	if (!sim.config->tso)
		sim_log(word);
	else
		sim_tso_before(word, sizeof(*word), STOP_WRITE, true);
	*word = value;
}

/* ---- inside ---- */

/* Who is inside is what sharers do not change for each other. */
static void
touch_holders(int i, bool writes)
{
	sim_touch(&sim_world->shared.notes.holds_exclusive[i], writes);
}

static void
touch_data(int i, bool commits)
{
	sim_touch(&data_at(i)[0], false);
	sim_touch(&data_at(i)[1], false);
	sim_touch(&sim_world->shared.notes.committed[i], commits);
}

static void
enter(int i, LWLockMode mode)
{
	SimNotes *notes = &sim_world->shared.notes;
	bool writes = mode == LW_EXCLUSIVE;

	touch_holders(i, writes);
	touch_data(i, false);

	if ((notes->holds_exclusive[i] & ~me_bit()) != 0 ||
		(writes && (notes->holds_shared[i] & ~me_bit()) != 0))
		sim_violate(SIM_MUTUAL_EXCLUSION);
	if (writes)
		sim_set(&notes->holds_exclusive[i], notes->holds_exclusive[i] | me_bit());
	else
		sim_set(&notes->holds_shared[i], notes->holds_shared[i] | me_bit());
	if (data_at(i)[0] != data_at(i)[1])
		sim_violate(SIM_TORN_DATA);
	else if (data_at(i)[0] != notes->committed[i])
		sim_violate(SIM_LOST_UPDATE);
}

static void
leave(int i, LWLockMode mode)
{
	SimNotes *notes = &sim_world->shared.notes;

	touch_holders(i, mode == LW_EXCLUSIVE);
	if (mode == LW_EXCLUSIVE)
		sim_set(&notes->holds_exclusive[i], notes->holds_exclusive[i] & ~me_bit());
	else
		sim_set(&notes->holds_shared[i], notes->holds_shared[i] & ~me_bit());
}

static void
use(int i, LWLockMode mode)
{
	SimNotes *notes = &sim_world->shared.notes;
	uint64_t next = data_at(i)[0] + 1;

	if (mode != LW_EXCLUSIVE)
		return;
	store_data(&data_at(i)[0], next);
	store_data(&data_at(i)[1], next);
	touch_data(i, true);
	sim_set(&notes->committed[i], next);
}

/* The data of a writer who died inside: what it began is finished. */
static void
mend(int i)
{
	SimNotes *notes = &sim_world->shared.notes;
	const SimKernel *kernel = &sim_world->shared.kernel;

	touch_data(i, false);
	if (data_at(i)[0] != data_at(i)[1])
		store_data(&data_at(i)[1], data_at(i)[0]);
	touch_data(i, true);
	touch_holders(i, true);
	sim_set(&notes->committed[i], data_at(i)[0]);
	for (int p = 0; p < sim.processes; p++)
	{
		if (kernel->dead[p])
			sim_set(&notes->holds_exclusive[i], notes->holds_exclusive[i] & ~(UINT64_C(1) << p));
	}
}

/* The tranche's callback. */
bool
sim_repair(LWLock *lock, int dead_slot, void *arg)
{
	SimNotes *notes = &sim_world->shared.notes;
	const SimKernel *kernel = &sim_world->shared.kernel;
	int i = lock == lock_at(1) ? 1 : 0;
	uint64_t other = notes->repairing[i];

	(void) arg;
	sim_touch(&notes->repairing[i], true);
	touch_holders(i, true);
	if (dead_slot >= 0 && dead_slot < sim.processes)
		sim_touch(&kernel->dead[dead_slot], false);
	if (dead_slot < 0 || dead_slot >= sim.processes || !kernel->dead[dead_slot])
		sim_violate(SIM_REPAIR_OF_THE_LIVING);
	if (other != 0 && other != (uint64_t) sim.current + 1 && !kernel->dead[other - 1])
		sim_violate(SIM_DOUBLE_RECOVERY);
	for (int p = 0; p < sim.processes; p++)
	{
		if (!kernel->dead[p] && ((notes->holds_exclusive[i] | notes->holds_shared[i]) >> p & 1))
			sim_violate(SIM_MUTUAL_EXCLUSION);
	}
	sim_set(&notes->repairing[i], (uint64_t) sim.current + 1);
	mend(i);
	sim_touch(&notes->repairing[i], true);
	sim_set(&notes->repairing[i], 0);
	return true;
}

/* Takes note of an acquisition's answer; true when the lock is held. */
static bool
is_held(int i, LWLockMode mode, HoldfastStatus status)
{
	if (status == HOLDFAST_OWNER_DEAD && sim.config->poison)
	{
		if (mode == LW_EXCLUSIVE)
		{
			mend(i);
			(void) LWLockMarkConsistent(lock_at(i));
		}
		return true;
	}
	if (status == HOLDFAST_OK || status == HOLDFAST_WAITED)
		return true;
	if (sim.config->poison && status == HOLDFAST_NOT_RECOVERABLE)
		return false;
	sim_violate(SIM_UNEXPECTED_STATUS);
	return false;
}

static void
release(int i)
{
	HoldfastStatus status;

	sim_history_call(SIM_ASK_RELEASE, i, 0);
	status = LWLockRelease(lock_at(i));
	sim_history_return(status, 0);
	if (status != HOLDFAST_OK)
		sim_violate(SIM_UNEXPECTED_STATUS);
}

static HoldfastStatus
acquire(int i, LWLockMode mode)
{
	HoldfastStatus status;

	sim_history_call(mode == LW_EXCLUSIVE ? SIM_ASK_EXCLUSIVE : SIM_ASK_SHARED, i, 0);
	status = LWLockAcquire(lock_at(i), mode);
	sim_history_return(status, 0);
	return status;
}

static void
hold(int i, LWLockMode mode, HoldfastStatus status)
{
	if (!is_held(i, mode, status))
		return;
	if (status == HOLDFAST_OWNER_DEAD && mode != LW_EXCLUSIVE)
	{
		release(i); /* a reader sees that the data is bad, and leaves it */
		return;
	}
	enter(i, mode);
	use(i, mode);
	leave(i, mode);
	release(i);
}

/* ---- operations ---- */

/* Busy is an answer only if somebody held the lock, or waited for it or recovered it, while we asked. */
static void
conditional(LWLockMode mode)
{
	SimNotes *notes = &sim_world->shared.notes;
	HoldfastStatus status;

	/* The judge looks at each value of the word meanwhile. */
	sim_touch(&lock_at(0)->state, false);
	sim_set(&notes->busy_seen, notes->busy_seen & ~me_bit());
	sim_set(&notes->trying, notes->trying | me_bit());
	sim_history_call(mode == LW_EXCLUSIVE ? SIM_ASK_IF_FREE_EXCLUSIVE : SIM_ASK_IF_FREE_SHARED, 0,
					 0);
	status = LWLockConditionalAcquire(lock_at(0), mode);
	sim_history_return(status, 0);
	sim_touch(&lock_at(0)->state, false);
	sim_set(&notes->trying, notes->trying & ~me_bit());
	if (status == HOLDFAST_BUSY)
	{
		if (!(notes->busy_seen & me_bit()))
			sim_violate(SIM_BUSY_UNJUSTIFIED);
		sim_set(&notes->busy_seen, notes->busy_seen & ~me_bit());
		return;
	}
	sim_set(&notes->busy_seen, notes->busy_seen & ~me_bit());
	hold(0, mode, status);
}

static void
update_var(void)
{
	uint64_t *var = &sim_world->shared.segment.var;
	HoldfastStatus status = acquire(0, LW_EXCLUSIVE);

	if (!is_held(0, LW_EXCLUSIVE, status))
		return;
	enter(0, LW_EXCLUSIVE);
	sim_touch(var, false);
	sim_history_call(SIM_ASK_SET, 0, *var + 1);
	status = LWLockUpdateVar(lock_at(0), var, *var + 1);
	sim_history_return(status, 0);
	if (status != HOLDFAST_OK)
		sim_violate(SIM_UNEXPECTED_STATUS);
	use(0, LW_EXCLUSIVE);
	leave(0, LW_EXCLUSIVE);
	release(0);
}

static void
wait_for_var(void)
{
	uint64_t value = UINT64_MAX;
	HoldfastStatus status;

	sim_history_call(SIM_ASK_VALUE, 0, 0);
	status = LWLockWaitForVar(lock_at(0), &sim_world->shared.segment.var, 0, &value);
	sim_history_return(status, value);
	if (status == HOLDFAST_CHANGED ? value == 0 : status != HOLDFAST_OK)
		sim_violate(SIM_UNEXPECTED_STATUS);
}

static void
nested(LWLockMode outer)
{
	HoldfastStatus status = acquire(0, outer);

	if (!is_held(0, outer, status))
		return;
	if (status == HOLDFAST_OWNER_DEAD && outer != LW_EXCLUSIVE)
	{
		release(0); /* as in hold() */
		return;
	}
	enter(0, outer);
	hold(1, LW_EXCLUSIVE, acquire(1, LW_EXCLUSIVE));
	leave(0, outer);
	release(0);
}

static void
leave_holding(void)
{
	HoldfastStatus status = acquire(0, LW_EXCLUSIVE);

	if (!is_held(0, LW_EXCLUSIVE, status))
		return;
	enter(0, LW_EXCLUSIVE);
	use(0, LW_EXCLUSIVE);
	leave(0, LW_EXCLUSIVE);
	sim_history_call(SIM_ASK_RELEASE, 0, 0);
	ProcKill(0, 0);
	sim_history_return(HOLDFAST_OK, 0);
}

static void
begin_operation(void)
{
	SimNotes *notes = &sim_world->shared.notes;

	for (int i = 0; i < SIM_LOCKS; i++)
	{
		if (notes->passed_over[i] & me_bit())
			sim_set(&notes->passed_over[i], notes->passed_over[i] & ~me_bit());
	}
}

static void
operate(char operation)
{
	HoldfastStatus status;

	switch (operation)
	{
		case 'S':
			hold(0, LW_SHARED, acquire(0, LW_SHARED));
			break;
		case 'X':
			hold(0, LW_EXCLUSIVE, acquire(0, LW_EXCLUSIVE));
			break;
		case 's':
			conditional(LW_SHARED);
			break;
		case 'x':
			conditional(LW_EXCLUSIVE);
			break;
		case 'T':
			sim_history_call(SIM_ASK_EXCLUSIVE, 0, 0);
			status = LWLockAcquireTimed(lock_at(0), LW_EXCLUSIVE, TIMED_US);
			sim_history_return(status, 0);
			if (status != HOLDFAST_TIMED_OUT)
				hold(0, LW_EXCLUSIVE, status);
			break;
		case 'O':
			sim_history_call(SIM_ASK_IF_FREE_EXCLUSIVE, 0, 0);
			status = LWLockAcquireOrWait(lock_at(0), LW_EXCLUSIVE);
			sim_history_return(status, 0);
			if (status != HOLDFAST_BUSY)
				hold(0, LW_EXCLUSIVE, status);
			break;
		case 'U':
			update_var();
			break;
		case 'W':
			wait_for_var();
			break;
		case 'N':
			nested(LW_EXCLUSIVE);
			break;
		case 'M':
			nested(LW_SHARED);
			break;
		case 'E':
			leave_holding();
			break;
		default:
			sim_violate(SIM_UNEXPECTED_STATUS);
	}
}

void
sim_run_program(int process)
{
	for (const char *operation = sim.process[process].program; *operation != '\0'; operation++)
	{
		begin_operation();
		operate(*operation);
	}
	sim_tso_fence();
}

/* ---- recoverers ---- */

#define RECOVERY_DEADLINE_US 1000000

void
sim_run_supervisor(void)
{
	SimKernel *kernel = &sim_world->shared.kernel;

	for (;;)
	{
		sim_tso_fence();
		sim_stop_here(STOP_IDLE, NULL);
		for (int i = 0; i < sim.processes; i++)
		{
			sim_touch(&kernel->dead[i], false);
			sim_touch(&kernel->reaped[i], false);
			if (!kernel->dead[i] || kernel->reaped[i])
				continue;
			sim_set(&kernel->reaped[i], 1);
			if (holdfast_recover_pid(sim_pid(i), RECOVERY_DEADLINE_US, NULL) != HOLDFAST_OK)
				sim_violate(SIM_UNEXPECTED_STATUS);
		}
	}
}

/* The next supervisor knows nothing of its predecessor's work: it looks at everybody. */
void
sim_run_standby(void)
{
	SimKernel *kernel = &sim_world->shared.kernel;

	sim_stop_here(STOP_STANDBY, NULL);
	for (int i = 0; i < sim.processes; i++)
	{
		sim_touch(&kernel->dead[i], false);
		if (kernel->dead[i])
			sim_set(&kernel->reaped[i], 1);
	}
	if (holdfast_recover(RECOVERY_DEADLINE_US, NULL) != HOLDFAST_OK)
		sim_violate(SIM_UNEXPECTED_STATUS);
	sim_run_supervisor();
}
