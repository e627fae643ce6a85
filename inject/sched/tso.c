/*
 * tso.c
 *		Store buffers, as x86 has them: a store is seen by its own process at once, by the others later, in order.
 *
 * With `--memory tso` a store that another process could see goes to the end of its process's buffer; a flush, a move of the
 * schedule like any other, brings the oldest to memory.  Locked instructions, sequentially consistent stores and fences,
 * and calls to the kernel that sleep, wake or yield wait until the buffer is empty.
 *
 * While a process runs its buffer lies over memory, so that plain loads, which are not ours to answer, see its own stores;
 * when it stops memory is as the others see it.  Entries hold what is not visible at that moment: the new value while their
 * process stands, what lies below while it runs.
 *
 * A death empties the buffer: a SIGKILL takes effect on the way into the kernel, and stores that have retired are made.
 * So a dead process's buffer is a prefix that happened, and deaths between two stores are explored at the stop before each.
 *
 * Stores that are no stops (see hooks.c) go to memory directly, unless something in the buffer would then be older.  A buffer
 * holds SIM_BUFFERED stores; one more pushes out the oldest.
 */
#include "model.h"

static inline SimBuffer *
buffer_of(int process)
{
	return &sim_world->shared.buffer[process];
}

static inline unsigned char *
place_of(const SimStore *store)
{
	return (unsigned char *) SIM_ADDRESS + (store->where >> 8);
}

static inline size_t
size_of(const SimStore *store)
{
	return (size_t) (store->where & 0xff);
}

static void
swap(SimStore *store)
{
	uint64_t there = 0;

	__builtin_memcpy(&there, place_of(store), size_of(store));
	__builtin_memcpy(place_of(store), &store->value, size_of(store));
	store->value = there;
}

void
sim_tso_lay_over(void)
{
	SimBuffer *buffer = buffer_of(sim.current);

	for (uint64_t i = 0; i < buffer->count; i++)
		swap(&buffer->store[i]);
}

void
sim_tso_take_off(void)
{
	SimBuffer *buffer = buffer_of(sim.current);

	for (uint64_t i = buffer->count; i-- > 0;)
		swap(&buffer->store[i]);
}

bool
sim_can_flush(int process)
{
	return buffer_of(process)->count > 0;
}

/* Its buffer does not lie over memory. */
void
sim_tso_flush(int process)
{
	SimBuffer *buffer = buffer_of(process);
	SimStore oldest = buffer->store[0];

	sim_log(place_of(&oldest));
	__builtin_memcpy(place_of(&oldest), &oldest.value, size_of(&oldest));
	for (uint64_t i = 0; i < buffer->count; i++)
	{
		SimStore next = i + 1 < buffer->count ? buffer->store[i + 1] : (SimStore){0, 0};

		sim_set(&buffer->store[i].where, next.where);
		sim_set(&buffer->store[i].value, next.value);
	}
	sim_set(&buffer->count, buffer->count - 1);
}

void
sim_tso_empty(int process)
{
	while (sim_can_flush(process))
		sim_tso_flush(process);
}

void
sim_tso_drain(void)
{
	if (!sim_can_flush(sim.current))
		return;
	sim_tso_take_off();
	sim_tso_empty(sim.current);
}

/* The current process is about to store there. */
static void
append(const volatile void *address, size_t size)
{
	SimBuffer *buffer = buffer_of(sim.current);
	SimStore *store;
	uint64_t below = 0;

	if (buffer->count == SIM_BUFFERED)
	{
		sim_tso_take_off();
		sim_tso_flush(sim.current);
		sim_tso_lay_over();
	}
	__builtin_memcpy(&below, (const void *) address, size);
	store = &buffer->store[buffer->count];
	sim_set(&store->where, sim_offset((const void *) address) << 8 | size);
	sim_set(&store->value, below);
	sim_set(&buffer->count, buffer->count + 1);
}

static bool
word_is_buffered(const volatile void *address)
{
	const SimBuffer *buffer = buffer_of(sim.current);

	for (uint64_t i = 0; i < buffer->count; i++)
	{
		if ((buffer->store[i].where >> 8 ^ sim_offset((const void *) address)) < 8)
			return true;
	}
	return false;
}

/* `stops`: others could see it. */
void
sim_tso_before(const volatile void *address, size_t size, SimStop stop, bool stops)
{
	if (stop != STOP_WRITE || size > 8)
		sim_tso_drain();
	if (stop != STOP_WRITE)
		return;
	if (size <= 8 && (stops || word_is_buffered(address)))
		append(address, size);
	else
		sim_log((const void *) address);
}

/* Everything that has been stored is to be seen by all before the process goes on. */
void
sim_tso_fence(void)
{
	if (!sim.running || !sim_can_flush(sim.current))
		return;
	/* That others run before the last of it is seen must be possible here. */
	if (!sim.impatient)
	{
		sim.looks_without_stopping = false;
		sim_stop_here(STOP_RMW, buffer_of(sim.current));
	}
	sim_tso_drain();
}
