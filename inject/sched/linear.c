/*
 * linear.c
 *		The history of what the processes asked of the locks and were told, and whether one order explains it.
 *
 * Each operation took effect at one moment between its call and its return; in the order of those moments the lock behaves
 * as if there were no concurrency:
 *		take exclusive	nobody holds it				take shared		nobody holds it exclusively
 *		busy			somebody holds it who excludes us, or it is being recovered, or newcomers are to stand back
 *		release			we hold it					set				the variable has a new value
 *		saw free		nobody holds it exclusively	saw value		the variable has that value
 * An operation that a death cut short took effect or did not.  What the dead hold, and whether it was given back by then, is
 * nobody's any more once they are dead, though "busy" may still be said of it.
 *
 * The search for an order is Wing's and Gong's, with Lowe's memory of what has been tried: an operation may come next if
 * none that must come after its call returned before.  Locks are looked at one by one, which is enough.
 *
 * Only runs from the start to the end have a history: random and priority walks (those that an exhaustive search learns
 * from, too), replays.  It lies in memory that real processes share.
 */
#include <sys/mman.h>

#include "model.h"

#define CALLS_MAX    64 /* per lock; longer histories are not judged */
#define NEVER        UINT32_MAX
#define MEMORY_SLOTS 4096
#define TRIES_MAX    (MEMORY_SLOTS / 2)

typedef struct Call
{
	uint8_t process, lock;
	uint8_t ask, effect; /* SimAsk: what was asked, what happened */
	bool told_of_death;
	uint32_t begin, end; /* begin 0: has not moved since the call */
	uint64_t value;
} Call;

struct SimHistory
{
	uint32_t count, now, first_count, first_now;
	bool too_long;
	uint32_t open[SIM_PROCESSES]; /* call + 1 */
	uint32_t death[SIM_PROCESSES];
	Call call[CALLS_MAX * SIM_LOCKS];
};

bool
sim_history_open(void)
{
	void *at =
		mmap(NULL, sizeof(SimHistory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	sim.history = at == MAP_FAILED ? NULL : at;
	return sim.history != NULL;
}

void
sim_history_close(void)
{
	if (sim.history != NULL)
		(void) munmap(sim.history, sizeof(*sim.history));
	sim.history = NULL;
}

/* ---- recording ---- */

/* Nothing has happened; every process stands before its first stop. */
void
sim_history_begin(void)
{
	SimHistory *history = sim.history;

	sim.records = true;
	history->count = history->now = history->first_count = history->first_now = 0;
	history->too_long = false;
	for (int p = 0; p < SIM_PROCESSES; p++)
	{
		history->open[p] = 0;
		history->death[p] = NEVER;
	}
}

/* Every process stands at its first stop; sim_history_again() comes back to here. */
void
sim_history_mark(void)
{
	sim.history->first_count = sim.history->count;
	sim.history->first_now = sim.history->now;
}

void
sim_history_again(void)
{
	SimHistory *history = sim.history;

	history->count = history->first_count;
	history->now = history->first_now;
	history->too_long = false;
	for (int p = 0; p < SIM_PROCESSES; p++)
	{
		history->open[p] = 0;
		history->death[p] = NEVER;
	}
	for (uint32_t i = 0; i < history->count; i++)
	{
		history->call[i].begin = 0;
		history->call[i].end = NEVER;
		history->call[i].told_of_death = false;
		history->call[i].effect = history->call[i].ask;
		history->open[history->call[i].process] = i + 1;
	}
}

void
sim_history_call(SimAsk ask, int lock, uint64_t value)
{
	SimHistory *history = sim.history;

	if (!sim.records || history->too_long)
		return;
	if (history->count == CALLS_MAX * SIM_LOCKS)
	{
		history->too_long = true;
		return;
	}
	history->call[history->count] = (Call){.process = (uint8_t) sim.current,
										   .lock = (uint8_t) lock,
										   .ask = (uint8_t) ask,
										   .effect = (uint8_t) ask,
										   .end = NEVER,
										   .value = value};
	history->open[sim.current] = ++history->count;
}

/*
 * The process makes a step: a call that was the last it did is made now.  Before its first step a call has done nothing
 * that matters, and the later it begins the more is asked of it.
 */
void
sim_history_step(int process)
{
	SimHistory *history = sim.history;
	uint32_t open = sim.records ? history->open[process] : 0;

	if (open != 0 && history->call[open - 1].begin == 0)
		history->call[open - 1].begin = ++history->now;
}

/* What the call that is open turned out to be. */
static SimAsk
effect_of(const Call *call, HoldfastStatus status)
{
	bool taken =
		status == HOLDFAST_OK || status == HOLDFAST_WAITED || status == HOLDFAST_OWNER_DEAD;
	bool busy = status == HOLDFAST_BUSY;

	switch ((SimAsk) call->ask)
	{
		case SIM_ASK_EXCLUSIVE:
		case SIM_ASK_SHARED:
			return taken ? (SimAsk) call->ask : SIM_ASK_NOTHING; /* it waited in vain */
		case SIM_ASK_IF_FREE_EXCLUSIVE:
			return taken ? SIM_ASK_EXCLUSIVE : busy ? SIM_SAW_BUSY_EXCLUSIVE : SIM_ASK_NOTHING;
		case SIM_ASK_IF_FREE_SHARED:
			return taken ? SIM_ASK_SHARED : busy ? SIM_SAW_BUSY_SHARED : SIM_ASK_NOTHING;
		case SIM_ASK_VALUE:
			return status == HOLDFAST_CHANGED ? SIM_SAW_VALUE
				   : status == HOLDFAST_OK    ? SIM_SAW_FREE
											  : SIM_ASK_NOTHING;
		default:
			return (SimAsk) call->ask;
	}
}

void
sim_history_return(HoldfastStatus status, uint64_t value)
{
	SimHistory *history = sim.history;
	Call *call;

	if (!sim.records || history->too_long || history->open[sim.current] == 0)
		return;
	sim_history_step(sim.current);
	call = &history->call[history->open[sim.current] - 1];
	history->open[sim.current] = 0;
	call->end = ++history->now;
	call->effect = (uint8_t) effect_of(call, status);
	call->told_of_death = status == HOLDFAST_OWNER_DEAD;
	if (call->effect == SIM_SAW_VALUE)
		call->value = value;
}

void
sim_history_death(int process)
{
	if (sim.records)
		sim.history->death[process] = ++sim.history->now;
}

/* ---- the lock, without concurrency ---- */

typedef struct Lock
{
	uint32_t sharers; /* bit per process; none has more than one hold */
	int8_t owner;     /* or -1 */
	uint64_t value;
} Lock;

/* Holders whose holds count at the end of the call: those that had not died by then.  A death is an end, too. */
static uint32_t
living(const Call *call)
{
	const uint32_t *death = sim.history->death;
	uint32_t end = call->end < death[call->process] ? call->end : death[call->process];
	uint32_t bits = 0;

	for (int p = 0; p < sim.processes; p++)
	{
		if (death[p] > end)
			bits |= 1u << p;
	}
	return bits;
}

static uint32_t
owner_bit(const Lock *lock)
{
	return lock->owner < 0 ? 0 : 1u << lock->owner;
}

/* Somebody is dead, so it may be under recovery; or time may pass, so newcomers may be told to stand back. */
static bool
may_be_refused(uint32_t alive)
{
	return alive != (1u << sim.processes) - 1 || sim.config->timeouts > 0;
}

/* The lock after the call; false: it cannot happen now. */
static bool
apply(const Call *call, Lock *lock)
{
	uint32_t me = 1u << call->process;
	uint32_t alive = living(call);

	if (call->told_of_death && alive == (1u << sim.processes) - 1)
		return false;
	switch ((SimAsk) call->effect)
	{
		case SIM_ASK_EXCLUSIVE:
		case SIM_ASK_IF_FREE_EXCLUSIVE:
			if (((owner_bit(lock) | lock->sharers) & alive) != 0)
				return false;
			*lock = (Lock){.owner = (int8_t) call->process, .value = lock->value};
			return true;
		case SIM_ASK_SHARED:
		case SIM_ASK_IF_FREE_SHARED:
			if ((owner_bit(lock) & alive) != 0)
				return false;
			lock->owner = -1;
			lock->sharers |= me;
			return true;
		case SIM_ASK_RELEASE:
			if (((owner_bit(lock) | lock->sharers) & me) == 0)
				return false;
			lock->owner = lock->owner == call->process ? -1 : lock->owner;
			lock->sharers &= ~me;
			return true;
		case SIM_ASK_SET:
			lock->value = call->value;
			return owner_bit(lock) == me;
		case SIM_SAW_BUSY_EXCLUSIVE:
			return (owner_bit(lock) | lock->sharers) != 0 || may_be_refused(alive);
		case SIM_SAW_BUSY_SHARED:
			return lock->owner >= 0 || may_be_refused(alive);
		case SIM_SAW_FREE:
			return (owner_bit(lock) & alive) == 0;
		case SIM_SAW_VALUE:
			return lock->value == call->value;
		case SIM_ASK_VALUE:
		case SIM_ASK_NOTHING:
			return true;
	}
	return true;
}

/* ---- the search ---- */

typedef struct Order
{
	const Call *call[CALLS_MAX]; /* by their ends */
	uint32_t count;
	uint64_t returned; /* bit per call: it must be in the order */
	uint32_t tries;
	uint64_t number; /* of the history */
} Order;

/* What has been tried; entries of earlier histories have another number. */
static struct
{
	uint64_t done;
	Lock lock;
	uint64_t number;
} memory[MEMORY_SLOTS];

static bool
was_tried(Order *order, uint64_t done, const Lock *lock)
{
	uint64_t hash = (done ^ lock->value << 40 ^ (uint64_t) lock->owner << 32 ^ lock->sharers << 8) *
					UINT64_C(0x9e3779b97f4a7c15);
	uint32_t slot = (uint32_t) (hash >> 52) % MEMORY_SLOTS;

	for (; memory[slot].number == order->number; slot = (slot + 1) % MEMORY_SLOTS)
	{
		if (memory[slot].done == done && memory[slot].lock.owner == lock->owner &&
			memory[slot].lock.sharers == lock->sharers && memory[slot].lock.value == lock->value)
			return true;
	}
	memory[slot].done = done;
	memory[slot].lock = *lock;
	memory[slot].number = order->number;
	order->tries++;
	return false;
}

/* `first`: all calls before it are done. */
static bool
can_be_ordered(Order *order, uint64_t done, uint32_t first, const Lock *lock)
{
	uint32_t end = NEVER;

	if ((order->returned & ~done) == 0)
		return true;
	if (order->tries >= TRIES_MAX)
		return true; /* not found out */
	while (first < order->count && (done >> first & 1))
		first++;
	if (first < order->count)
		end = order->call[first]->end;
	for (uint32_t i = first; i < order->count; i++)
	{
		Lock after = *lock;

		if ((done >> i & 1) || order->call[i]->begin > end || !apply(order->call[i], &after))
			continue;
		/* The usual order needs no memory of it. */
		if (i != first && was_tried(order, done | UINT64_C(1) << i, &after))
			continue;
		if (can_be_ordered(order, done | UINT64_C(1) << i, first, &after))
			return true;
	}
	return false;
}

static void
insert(Order *order, const Call *call)
{
	uint32_t at = order->count++;

	for (; at > 0 && order->call[at - 1]->end > call->end; at--)
		order->call[at] = order->call[at - 1];
	order->call[at] = call;
}

bool
sim_is_linearizable(void)
{
	static uint64_t number;
	const SimHistory *history = sim.history;

	for (int i = 0; i < SIM_LOCKS && sim.records && !history->too_long; i++)
	{
		Order order = {.number = ++number};

		for (uint32_t c = 0; c < history->count && order.count < CALLS_MAX; c++)
		{
			if (history->call[c].lock == i && history->call[c].effect != SIM_ASK_NOTHING)
				insert(&order, &history->call[c]);
		}
		for (uint32_t c = 0; c < order.count; c++)
			order.returned |= (uint64_t) (order.call[c]->end != NEVER) << c;
		if (order.count < CALLS_MAX && !can_be_ordered(&order, 0, 0, &(Lock){.owner = -1}))
			return false;
	}
	return true;
}
