/*
 * lwlock_ops.c
 *		Fuzz target: a program of lock operations and deaths, against a sequential model.
 *
 * Four actors and a supervisor share a segment; one acts at a time.  An operation may end its actor at the N-th point it
 * passes in the library, recovery's included: it never comes back, and what it left is the library's to mend.  The model
 * knows who holds what, and of the dead what they certainly or possibly held.
 *
 * After each operation, for each lock: the word agrees with the holds of the living; what else is in it is of the dead
 * that are not yet recovered; a death inside is told, and only such a death.  At the end the supervisor recovers, and gets
 * every lock: nothing is lost.
 *
 * Input: records of 4 bytes: actor and operation, lock, argument, after how many points to die (0: not).
 */
#include <setjmp.h>

#include "segment.h"

#include "proc.c" /* its idea of whose slot is whose must follow the acting one */

#define MORTALS    4
#define SUPERVISOR 4
#define ACTORS     5
#define OPS_MAX    64
#define DEADLINE   UINT64_C(10000000) /* never reached: nobody alive stands in a window */

typedef struct Actor
{
	bool alive;
	pid_t pid; /* 0: never was */
	PGPROC *proc;
	LWLockLocal local;
} Actor;

typedef struct Model
{
	int owner; /* -1: none alive */
	int shared[ACTORS];
	bool may_poison;        /* an exclusive holder may have died inside */
	bool must_poison;       /* it certainly did */
	bool may_be_lost, lost; /* not recoverable any more */
} Model;

static Actor actors[ACTORS], born[ACTORS];
static Model model[SEGMENT_LOCKS];
static int acting;
static pid_t last_pid;
static unsigned points_to_live; /* 0: for ever */
static sigjmp_buf death;
static bool may_reset;
static uint64_t variable;
static uint32_t
	journals_end; /* no journal has an entry there or behind: journals are stacks, and one operation adds one */

/* What is put back before each input. */
static char *segment;
static char *fresh;
static size_t changing_from, changing_size;

/* ---- the world ---- */

void
fuzz_point(const char *name)
{
	(void) name;
	if (points_to_live > 0 && --points_to_live == 0)
		siglongjmp(death, 1);
}

pid_t
fuzz_getpid(void)
{
	return actors[acting].pid;
}

FUZZ_UNSEEN bool
fuzz_pid_is_dead(pid_t pid, uint64_t start_time)
{
	for (int i = 0; i < ACTORS; i++)
	{
		if (actors[i].pid == pid)
		{
			REQUIRE(start_time == 0 || start_time == holdfast_process_start_time(pid));
			return !actors[i].alive;
		}
	}
	return true;
}

HoldfastStatus
holdfast_segment_join(PGShmemHeader **header)
{
	(void) header;
	return HOLDFAST_NOT_FOUND;
}

static void
enter(int who)
{
	acting = who;
	MyProc = actors[who].proc;
	my_proc_pid = actors[who].pid;
	holdfast_lwlock_local = actors[who].local;
}

static void
leave(void)
{
	actors[acting].proc = MyProc;
	actors[acting].local = holdfast_lwlock_local;
}

FUZZ_UNSEEN static bool
is_slot_of_dead(uint32_t number) /* slot + 1 */
{
	uint64_t life;

	if (number == 0 || number > holdfast_shmem.nprocs)
		return false;
	life = holdfast_shmem.procs[number - 1].life;
	return PROC_STATE(life) != PROC_FREE && fuzz_pid_is_dead(PROC_PID(life), 0);
}

static bool
is_unrecovered(int who)
{
	if (actors[who].alive || actors[who].pid == 0)
		return false;
	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
	{
		if (PROC_STATE(holdfast_shmem.procs[slot].life) != PROC_FREE &&
			PROC_PID(holdfast_shmem.procs[slot].life) == actors[who].pid)
			return true;
	}
	return false;
}

/* Some slot belongs to the dead; to such, too, as were born anew in another slot since. */
FUZZ_UNSEEN static bool
some_unrecovered(void)
{
	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
	{
		if (is_slot_of_dead(slot + 1))
			return true;
	}
	return false;
}

/* ---- the model ---- */

FUZZ_UNSEEN static int
living_sharers(const Model *lock)
{
	int count = 0;

	for (int who = 0; who < ACTORS; who++)
		count += lock->shared[who];
	return count;
}

static bool
is_held(const Model *lock)
{
	return lock->owner >= 0 || living_sharers(lock) > 0;
}

/* `unsure`: it died while it gave up its locks, so nobody knows which it still had. */
static void
model_death(int who, bool unsure, int operated_on, bool wanted_exclusive)
{
	actors[who].alive = false;
	for (int i = 0; i < SEGMENT_LOCKS; i++)
	{
		Model *lock = &model[i];
		bool owned = lock->owner == who;
		bool in_doubt = unsure || i == operated_on;

		if (owned)
			lock->owner = -1;
		lock->shared[who] = 0;
		if (owned && in_doubt && lock->must_poison)
			lock->may_be_lost = true; /* a release without LWLockMarkConsistent() */
		if (!owned && !(i == operated_on && wanted_exclusive))
			continue;
		if (i == LOCK_RESET)
			may_reset = true;
		if (i == LOCK_REPAIR)
			continue;
		lock->may_poison = true;
		if (owned && !in_doubt)
			lock->must_poison = true;
	}
}

static void
model_acquired(Model *lock, int who, LWLockMode mode, HoldfastStatus status)
{
	REQUIRE(!lock->lost);
	REQUIRE(lock->owner < 0);
	REQUIRE(mode == LW_SHARED || living_sharers(lock) == 0);
	lock->may_be_lost = false;
	if (status == HOLDFAST_OWNER_DEAD)
		REQUIRE(lock->may_poison);
	else
		REQUIRE(!lock->must_poison);
	lock->may_poison = lock->must_poison = status == HOLDFAST_OWNER_DEAD;
	if (mode == LW_EXCLUSIVE)
		lock->owner = who;
	else
		lock->shared[who]++;
}

static void
model_released(Model *lock, int who)
{
	/* The newest hold goes first; of one lock there are never two kinds. */
	if (lock->owner == who)
	{
		lock->owner = -1;
		if (lock->must_poison)
			lock->lost = true;
	}
	else
		lock->shared[who]--;
}

/* ---- what must be so, whatever was done ---- */

FUZZ_UNSEEN static int
entries_of_dead(uint64_t offset)
{
	int count = 0;

	for (uint32_t slot = 0; slot < holdfast_shmem.nprocs; slot++)
	{
		const PGPROC *proc = &holdfast_shmem.procs[slot];

		if (PROC_STATE(proc->life) == PROC_FREE || !fuzz_pid_is_dead(PROC_PID(proc->life), 0))
			continue;
		for (uint32_t i = 0; i < journals_end; i++)
			count += proc->entry[i] != 0 && ENTRY_OFFSET(proc->entry[i]) == offset;
	}
	return count;
}

FUZZ_UNSEEN static void
require_word(unsigned which, bool dead_around)
{
	const LWLock *lock = fuzz_segment_lock(which);
	const Model *expected = &model[which];
	uint64_t word = lock->state;
	uint32_t sharers = (uint32_t) living_sharers(expected);
	int dead = dead_around ? entries_of_dead(shmem_offset(lock)) : 0;

	REQUIRE(lw_is_legal(word, holdfast_shmem.nprocs));
	if (expected->owner >= 0)
		REQUIRE(lw_xowner(word) == actors[expected->owner].local.slot + 1);
	else
		REQUIRE(lw_xowner(word) == 0 || is_slot_of_dead(lw_xowner(word)));
	REQUIRE(lw_shared_count(word) >= sharers);
	REQUIRE(lw_shared_count(word) <= sharers + (uint32_t) dead);
	REQUIRE(lw_qowner(word) == 0 || is_slot_of_dead(lw_qowner(word)));
	REQUIRE((word & LW_RECOVERING) == 0 || dead > 0);
	REQUIRE((word & LW_POISONED) == 0 || expected->may_poison);
	REQUIRE((word & LW_NOT_RECOVERABLE) == 0 || expected->lost || expected->may_be_lost ||
			(which == LOCK_RESET && may_reset));
	REQUIRE(!expected->lost || (word & LW_NOT_RECOVERABLE) != 0);
	if (dead == 0)
		REQUIRE((word & (LW_HAS_WAITERS | LW_WAKING | LW_HANDOFF)) == 0);
}

FUZZ_UNSEEN static void
require_consistency(void)
{
	bool dead_around = some_unrecovered();

	for (unsigned i = 0; i < SEGMENT_LOCKS; i++)
		require_word(i, dead_around);
	REQUIRE(!holdfast_shmem.proc_global->reset_needed || may_reset);
}

/* ---- operations ---- */

static void
require_refusal(const Model *lock, int who, LWLockMode mode, HoldfastStatus status, bool patient)
{
	bool blocked = lock->owner >= 0 || (mode == LW_EXCLUSIVE && living_sharers(lock) > 0);
	bool dead_around = some_unrecovered() || holdfast_shmem.proc_global->reset_needed;

	switch (status)
	{
		case HOLDFAST_BUSY:
		case HOLDFAST_TIMED_OUT:
			REQUIRE((status == HOLDFAST_BUSY) != patient);
			REQUIRE(blocked || dead_around);
			return;
		case HOLDFAST_DEADLOCK:
			REQUIRE(patient && lock->owner == who);
			return;
		case HOLDFAST_NOT_RECOVERABLE:
			REQUIRE(lock->lost || lock->may_be_lost || may_reset);
			return;
		case HOLDFAST_RESET_NEEDED:
			REQUIRE(may_reset);
			return;
		default:
			REQUIRE(!"a status that has no reason");
	}
}

static void
note_loss(Model *lock, HoldfastStatus status)
{
	if (status == HOLDFAST_NOT_RECOVERABLE && lock->may_be_lost)
		lock->lost = true;
}

static void
acquire(int who, unsigned which, LWLockMode mode, bool patient)
{
	LWLock *lock = fuzz_segment_lock(which);
	bool surely = !is_held(&model[which]) && !some_unrecovered() && !model[which].lost &&
				  !model[which].may_be_lost && !may_reset;
	HoldfastStatus status =
		patient ? LWLockAcquireTimed(lock, mode, 0) : LWLockConditionalAcquire(lock, mode);

	if (status == HOLDFAST_OK || status == HOLDFAST_WAITED || status == HOLDFAST_OWNER_DEAD)
	{
		model_acquired(&model[which], who, mode, status);
		return;
	}
	REQUIRE(!surely);
	require_refusal(&model[which], who, mode, status, patient);
	note_loss(&model[which], status);
}

static void
acquire_or_wait(int who, unsigned which)
{
	HoldfastStatus status;

	/* Nothing that would make it wait. */
	if (is_held(&model[which]) || some_unrecovered() || model[which].lost ||
		model[which].may_be_lost || may_reset)
		return;
	status = LWLockAcquireOrWait(fuzz_segment_lock(which), LW_EXCLUSIVE);
	REQUIRE(status == HOLDFAST_OK || status == HOLDFAST_OWNER_DEAD);
	model_acquired(&model[which], who, LW_EXCLUSIVE, status);
}

static void
release(int who, unsigned which)
{
	Model *lock = &model[which];
	bool held = lock->owner == who || lock->shared[who] > 0;
	HoldfastStatus status = LWLockRelease(fuzz_segment_lock(which));

	REQUIRE(status == (held ? HOLDFAST_OK : HOLDFAST_MISUSE));
	if (held)
		model_released(lock, who);
}

static void
release_all(int who)
{
	LWLockReleaseAll();
	REQUIRE(holdfast_lwlock_local.top == 0);
	for (int i = 0; i < SEGMENT_LOCKS; i++)
	{
		while (model[i].owner == who || model[i].shared[who] > 0)
			model_released(&model[i], who);
	}
}

static void
mark_consistent(int who, unsigned which)
{
	HoldfastStatus status = LWLockMarkConsistent(fuzz_segment_lock(which));

	REQUIRE(status == (model[which].owner == who ? HOLDFAST_OK : HOLDFAST_MISUSE));
	if (status == HOLDFAST_OK)
		model[which].may_poison = model[which].must_poison = false;
}

static void
update_variable(int who, unsigned which, uint8_t value)
{
	HoldfastStatus status = LWLockUpdateVar(fuzz_segment_lock(which), &variable, value);

	REQUIRE(status == (model[which].owner == who ? HOLDFAST_OK : HOLDFAST_MISUSE));
	REQUIRE(status != HOLDFAST_OK || variable == value);
}

static void
wait_for_variable(int who, unsigned which)
{
	uint64_t now = 0;
	HoldfastStatus status;

	if (model[which].owner == who)
		return; /* would wait for itself */
	status = LWLockWaitForVar(fuzz_segment_lock(which), &variable, variable + 1, &now);
	REQUIRE(status == HOLDFAST_OK || status == HOLDFAST_CHANGED);
	REQUIRE(status != HOLDFAST_CHANGED || now == variable);
	REQUIRE(status != HOLDFAST_OK || model[which].owner < 0);
}

static void
ask(int who, unsigned which)
{
	const LWLock *lock = fuzz_segment_lock(which);
	bool exclusive = model[which].owner == who;
	bool shared = model[which].shared[who] > 0;

	REQUIRE(LWLockHeldByMe(lock) == (exclusive || shared));
	REQUIRE(LWLockHeldByMeInMode(lock, LW_EXCLUSIVE) == exclusive);
	REQUIRE(LWLockHeldByMeInMode(lock, LW_SHARED) == shared);
	REQUIRE(LWLockAnyHeldByMe(lock, 1, sizeof(LWLockPadded)) == (exclusive || shared));
}

static void
recover(int of)
{
	HoldfastRecovery result;
	HoldfastStatus status = of < 0 ? holdfast_recover(DEADLINE, &result)
								   : holdfast_recover_pid(actors[of].pid, DEADLINE, &result);

	REQUIRE(status == HOLDFAST_OK || (status == HOLDFAST_RESET_NEEDED && may_reset));
	REQUIRE(result.stopped_slot == -1);
	if (of < 0)
		REQUIRE(!some_unrecovered());
	else
		REQUIRE(!is_unrecovered(of));
}

static void
be_born(int who)
{
	HoldfastStatus status;

	REQUIRE(!actors[who].alive);
	actors[who] = (Actor){.alive = true, .pid = ++last_pid};
	enter(who);
	status = InitProcess("worker");
	REQUIRE(status == HOLDFAST_OK || status == HOLDFAST_LIMIT);
	if (status == HOLDFAST_LIMIT)
	{
		actors[who] = (Actor){0};
		return;
	}
	leave();
}

/* ---- the program ---- */

static void
act(int who, uint8_t operation, unsigned which, uint8_t argument)
{
	switch (operation)
	{
		case 0:
		case 1:
			acquire(who, which, LW_EXCLUSIVE, operation == 1);
			break;
		case 2:
		case 3:
			acquire(who, which, LW_SHARED, operation == 3);
			break;
		case 4:
		case 5:
			release(who, which);
			break;
		case 6:
			release_all(who);
			break;
		case 7:
			mark_consistent(who, which);
			break;
		case 8:
			recover(-1);
			break;
		case 9:
			/* Only of a corpse: the caller promises that it is one. */
			if (is_unrecovered(argument % MORTALS))
				recover(argument % MORTALS);
			break;
		case 10:
			acquire_or_wait(who, which);
			break;
		case 11:
			update_variable(who, which, argument);
			break;
		case 12:
			wait_for_variable(who, which);
			break;
		case 13:
			release_all(who);
			ProcKill(0, 0);
			actors[who].alive = false;
			actors[who].pid = 0;
			break;
		default:
			ask(who, which);
			break;
	}
}

static void
run_one(int who, uint8_t operation, unsigned which, uint8_t argument, uint8_t points)
{
	bool gives_all_up = operation == 6 || operation == 13;
	bool wants_exclusive = operation <= 1 || operation == 10;
	bool on_lock = operation <= 5 || operation == 10;

	if (!actors[who].alive)
	{
		if (is_unrecovered(who) && operation != 15)
			return;
		if (sigsetjmp(death, 0) == 0)
		{
			points_to_live = points;
			be_born(who);
		}
		else
			actors[who].alive = false;
		points_to_live = 0;
		return;
	}
	if (operation == 15)
	{
		model_death(who, false, -1, false);
		return;
	}
	enter(who);
	if (sigsetjmp(death, 0) == 0)
	{
		points_to_live = points;
		act(who, operation, which, argument);
		leave();
	}
	else
		model_death(who, gives_all_up, on_lock ? (int) which : -1, wants_exclusive);
	points_to_live = 0;
}

/* Whatever went before: the dead are recovered, and every lock that can be had is had. */
static void
require_nothing_lost(void)
{
	enter(SUPERVISOR);
	recover(-1);
	leave();
	require_consistency();
	for (int who = 0; who < ACTORS; who++)
	{
		if (!actors[who].alive)
			continue;
		enter(who);
		release_all(who);
		leave();
	}
	require_consistency();
	enter(SUPERVISOR);
	for (unsigned i = 0; i < SEGMENT_LOCKS; i++)
		acquire(SUPERVISOR, i, LW_EXCLUSIVE, false);
	leave();
	require_consistency();
}

static void
make_world(void)
{
	size_t size;

	segment = fuzz_segment_create(ACTORS, &size);
	last_pid = 100;
	for (int who = 0; who < ACTORS; who++)
	{
		be_born(who);
		born[who] = actors[who];
	}
	/* The lock array comes before the slots; what lies before it does not change. */
	changing_from = shmem_offset(LWLockArray);
	changing_size = size - changing_from;
	fresh = malloc(changing_size);
	REQUIRE(fresh != NULL);
	memcpy(fresh, segment + changing_from, changing_size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzBytes bytes = {.next = data, .end = data + size};

	if (segment == NULL)
		make_world();
	memcpy(segment + changing_from, fresh, changing_size);
	memcpy(actors, born, sizeof(actors));
	for (int i = 0; i < SEGMENT_LOCKS; i++)
		model[i] = (Model){.owner = -1};
	last_pid = actors[ACTORS - 1].pid;
	may_reset = false;
	variable = 0;
	journals_end = 0;
	for (int i = 0; i < OPS_MAX && fuzz_left(&bytes) > 0; i++)
	{
		uint8_t operation = fuzz_take_u8(&bytes);
		uint8_t which = fuzz_take_u8(&bytes);
		uint8_t argument = fuzz_take_u8(&bytes);
		uint8_t points = fuzz_take_u8(&bytes);

		journals_end++;
		run_one((operation >> 4) % MORTALS, operation & 15, which % SEGMENT_LOCKS, argument,
				points);
		require_consistency();
		if (holdfast_shmem.proc_global->reset_needed)
			return 0; /* the supervisor starts all over */
	}
	require_nothing_lost();
	return 0;
}
