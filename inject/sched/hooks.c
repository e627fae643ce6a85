/*
 * hooks.c
 *		Where the lock sources' accesses to memory arrive: the functions that -fsanitize=thread calls.
 *
 * Each access to shared memory that another process could see is a stop: the process waits there for its turn, and what
 * it then does up to the next stop is one step.  Not stops, because nobody can tell when they happen:
 *		constants		the header, the tranche table, a lock's tranche
 *		a process's reads of its own journal and its own slot's life: nobody writes them while it lives
 *		a process's stores to its own journal, when nobody has died unrecovered or can still die: only recovery reads
 *						journals
 *		what one alone may touch now		the dead's journals by the recoverer, links of the list by the queue's owner; a
 *						step that breaks such a rule starts the search again without it
 *		counters		that nothing depends on
 *		the list's links, which only the owner of the queue touches; that is checked at each access
 *
 * A failed compare-and-swap is a read.  Weak ones do not fail without reason here.  Memory order: sequentially consistent,
 * or, with config->tso, that of x86 (tso.c); weaker orders are taken for what they are there.
 */
#include "model.h"

/* May a recoverer look at journals, now or later? */
static bool
journals_matter(void)
{
	const SimKernel *kernel = &sim_world->shared.kernel;
	const SimSegment *segment = &sim_world->shared.segment;

	if (sim.config->fine)
		return sim.config->crashes > 0 || sim.config->recoverer_crashes > 0;
	if (kernel->crashes_left > 0 || segment->proc_global.recovery_owner != 0)
		return true;
	for (int i = 0; i < sim.processes; i++)
	{
		if (kernel->dead[i] && PROC_STATE(segment->procs[i].life) != PROC_FREE)
			return true;
	}
	return false;
}

static bool
owns_a_queue(void)
{
	const SimSegment *segment = &sim_world->shared.segment;

	for (int i = 0; i < SIM_LOCKS; i++)
	{
		if (lw_qowner(segment->locks[i].lock.state) == (uint32_t) sim.current + 1)
			return true;
	}
	return false;
}

/*
 * The links are plain memory under the queue's owner.  That nobody else touches them is checked, so that they need not
 * be stops.
 */
static void
check_queue_owner(void)
{
	if (!owns_a_queue())
		sim_violate(SIM_QUEUE_RACE);
}

/* Can the current process still die? */
static bool
i_may_die(void)
{
	const SimKernel *kernel = &sim_world->shared.kernel;

	return (sim.current < sim.workers ? kernel->crashes_left : kernel->recoverer_crashes_left) > 0;
}

static bool
i_am_recoverer(void)
{
	return sim_world->shared.segment.proc_global.recovery_owner == (uint32_t) sim.current + 1;
}

/* With store buffers it is not said which of the others' stores an access meets. */
static bool
trusts_no_rule(void)
{
	return sim.config->fine || sim.config->tso;
}

/* A rule does not hold in this library: what follows from it does not, either.  All over again without. */
static void
is_broken(bool *rule_is_broken)
{
	sim.widened = sim.widened || !*rule_is_broken;
	*rule_is_broken = true;
}

/*
 * The journal of another's slot.  A dead one belongs to the one recoverer until that one lets go or dies: nobody can tell when
 * it reads there, nor, if it can no longer die, when it writes.
 */
static bool
is_stop_at_others_journal(int owner, bool writes)
{
	if (!sim_world->shared.kernel.dead[owner])
	{
		if (writes)
			is_broken(&sim.journals_are_anybodys);
		return true;
	}
	if (!i_am_recoverer())
		is_broken(&sim.journals_are_anybodys);
	return trusts_no_rule() || sim.journals_are_anybodys || (writes && i_may_die());
}

/*
 * The life of another's slot.  Marked DEAD it is changed by the one recoverer alone; and who lives and can no longer die stays
 * as it is.
 */
static bool
is_stop_at_others_life(int owner)
{
	const SimShared *shared = &sim_world->shared;
	bool is_marked = PROC_STATE(shared->segment.procs[owner].life) == PROC_DEAD;

	if (trusts_no_rule() || sim.slots_are_left || sim.journals_are_anybodys)
		return true;
	if (is_marked)
		return !i_am_recoverer();
	return shared->kernel.dead[owner] || shared->kernel.crashes_left > 0 ||
		   shared->kernel.recoverer_crashes_left > 0;
}

/* In which queue a slot is linked: changed by the owner of the queue alone, who therefore may read it at any time. */
static bool
is_stop_at_link(bool writes)
{
	bool owner = owns_a_queue();

	if (writes && !owner)
		is_broken(&sim.links_are_anybodys);
	return writes || !owner || trusts_no_rule() || sim.links_are_anybodys || sim.two_locks;
}

static inline bool
is_stop(const volatile void *address, bool writes)
{
	uint8_t word = sim.class_of[sim_offset((const void *) address) >> 3];
	SimClass class = (SimClass) (word >> 4);
	bool own = (word & 15) == sim.current;

	switch (class)
	{
		case CLASS_SHARED:
			return true;
		case CLASS_CONSTANT:
		case CLASS_QUIET:
			return false;
		case CLASS_JOURNAL:
			return own ? writes && journals_matter() : is_stop_at_others_journal(word & 15, writes);
		case CLASS_LIFE:
			return writes || (!own && is_stop_at_others_life(word & 15));
		case CLASS_LINK:
			return is_stop_at_link(writes);
		case CLASS_QUEUE:
			check_queue_owner();
			return sim.config->fine;
		case CLASS_WAKE:
			/* Upper half: the mode it waits in, which nobody reads before it is linked. */
			return ((uintptr_t) address & 4) == 0 || sim.config->fine ||
				   sim_world->shared.segment.procs[word & 15].wait_lock != 0;
	}
	return true;
}

/*
 * Who reads and who writes each word, over all that was ever run.  An access that nobody else's access to the same word
 * conflicts with is passed through by a coarse search.  Should one turn up later, the search starts again.
 */
static void
note(uint64_t word, uint8_t who, bool writes)
{
	uint8_t *bits = writes ? &sim.writers[word] : &sim.readers[word];

	sim.widened =
		sim.widened || (!(*bits & who) && ((sim.readers[word] | sim.writers[word]) & ~who) != 0);
	*bits |= who;
}

static uint8_t
bit_of(int process)
{
	/* Supervisors follow each other: what only they touch is one's own. */
	return (uint8_t) (1u << (process < sim.workers ? process : sim.workers));
}

static bool
runs_the_same(int a, int b)
{
	return a == b || (a < sim.workers && b < sim.workers &&
					  __builtin_strcmp(sim.process[a].program, sim.process[b].program) == 0);
}

/* What one does to another's slot, or to its own, all do who run the same to all who run the same. */
void
sim_note_access(int process, const volatile void *address, bool writes)
{
	const uint64_t word = sim_offset((const void *) address) / 8;
	const uint64_t first = sim_offset(sim_world->shared.segment.procs) / 8;
	const uint64_t size = sizeof(struct PGPROC) / 8;
	int owner = word - first < size * (uint64_t) sim.processes ? (int) ((word - first) / size) : -1;

	for (int p = 0; p < sim.processes; p++)
	{
		if (!runs_the_same(p, process))
			continue;
		if (owner < 0)
			note(word, bit_of(p), writes);
		for (int o = 0; owner >= 0 && o < sim.processes; o++)
		{
			if (runs_the_same(o, owner) && (o == p) == (owner == process))
				note(word + (uint64_t) (o - owner) * size, bit_of(p), writes);
		}
	}
}

static bool
has_conflicts(const volatile void *address, bool writes)
{
	uint64_t word = sim_offset((const void *) address) >> 3;
	uint8_t me = bit_of(sim.current);
	uint8_t *mine = writes ? &sim.writers[word] : &sim.readers[word];

	if (!(*mine & me))
		sim_note_access(sim.current, address, writes);
	return ((writes ? sim.readers[word] | sim.writers[word] : sim.writers[word]) & ~me) != 0;
}

/*
 * A lock word that was just read and is now compared and swapped: a change in between makes the swap fail, and whoever
 * swaps lock words tries again with what it sees then, as if it had read later.
 */
static inline bool
is_second_half(const volatile void *address, SimStop stop)
{
	return stop == STOP_SWAP && sim.just_read == address && !sim.config->fine;
}

static bool
is_lock_word(const volatile void *address)
{
	for (int i = 0; i < SIM_LOCKS; i++)
	{
		if (address == &sim_world->shared.segment.locks[i].lock.state)
			return true;
	}
	return false;
}

/* A swap that fails is a look. */
static inline void
has_read(const volatile void *address)
{
	if (sim.running && is_lock_word(address))
		sim.just_read = address;
}

static inline void
stop_before(const volatile void *address, SimStop stop)
{
	bool conflicts = !sim.learns || has_conflicts(address, stop != STOP_READ);

	if (!sim_looks(stop))
		return;
	if (sim.coarse && (!conflicts || is_second_half(address, stop)))
		sim.passed++;
	else
		sim_stop_here(stop == STOP_SWAP ? STOP_RMW : stop, (const void *) address);
	if (conflicts)
		sim.just_read = stop == STOP_READ && is_lock_word(address) ? address : NULL;
}

static __attribute__((noinline)) void
before_with_buffer(const volatile void *address, size_t size, SimStop stop)
{
	bool stops = is_stop(address, true);

	if (stops)
		stop_before(address, stop);
	sim_tso_before(address, size, stop, stops);
}

static inline void
before(const volatile void *address, size_t size, SimStop stop)
{
	if (!sim.running || !sim_is_shared((const void *) address))
		return;
	/* The hundred looks of a spin, at what its first look has read already. */
	if (sim.looks_without_stopping && stop == STOP_READ)
	{
		sim_touch(address, false);
		return;
	}
	if (sim.config->tso && stop != STOP_READ)
	{
		before_with_buffer(address, size, stop);
		return;
	}
	if (is_stop(address, stop != STOP_READ))
		stop_before(address, stop);
	sim_touch(address, false);
	if (stop == STOP_WRITE)
		sim_log((const void *) address);
}

static inline void
log_shared(const volatile void *address)
{
	if (sim.running && sim_is_shared((const void *) address))
		sim_log((const void *) address);
}

static inline void
changed_word(const volatile void *address, uint64_t old, uint64_t new)
{
	/* Nobody is passed over long enough where no time passes. */
	if (sim.running && sim.config->timeouts > 0 && is_lock_word(address))
		sim_judge_handoff(address, old, new);
}

/* A store that waits until it is seen by all. */
static inline bool
is_fence(int order)
{
	return order == __ATOMIC_SEQ_CST && sim.config != NULL && sim.config->tso;
}

/* ---- plain accesses: the compiler calls, then does it ---- */

#define HOOK_PLAIN(size_)                                                                          \
	void __tsan_read##size_(void *address);                                                        \
	void __tsan_write##size_(void *address);                                                       \
	void __tsan_unaligned_read##size_(void *address);                                              \
	void __tsan_unaligned_write##size_(void *address);                                             \
	void __tsan_read##size_(void *address)                                                         \
	{                                                                                              \
		before(address, (size_), STOP_READ);                                                       \
	}                                                                                              \
	void __tsan_write##size_(void *address)                                                        \
	{                                                                                              \
		before(address, (size_), STOP_WRITE);                                                      \
		if ((size_) > 8 && sim.running && sim_is_shared(address))                                  \
			sim_log((char *) address + 8);                                                         \
	}                                                                                              \
	void __tsan_unaligned_read##size_(void *address)                                               \
	{                                                                                              \
		__tsan_read##size_(address);                                                               \
	}                                                                                              \
	void __tsan_unaligned_write##size_(void *address)                                              \
	{                                                                                              \
		__tsan_write##size_(address);                                                              \
	}

HOOK_PLAIN(1)
HOOK_PLAIN(2)
HOOK_PLAIN(4)
HOOK_PLAIN(8)
HOOK_PLAIN(16)

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(void *address, unsigned long size);
void __tsan_write_range(void *address, unsigned long size);
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);

void
__tsan_init(void)
{
}

void
__tsan_func_entry(void *caller)
{
	(void) caller;
}

void
__tsan_func_exit(void)
{
}

void
__tsan_read_range(void *address, unsigned long size)
{
	for (unsigned long i = 0; i < size; i += 8)
		__tsan_read8((char *) address + i);
}

void
__tsan_write_range(void *address, unsigned long size)
{
	for (unsigned long i = 0; i < size; i += 8)
		__tsan_write8((char *) address + i);
}

void
__tsan_atomic_thread_fence(int order)
{
	if (is_fence(order))
		sim_tso_fence();
}

void
__tsan_atomic_signal_fence(int order)
{
	(void) order;
}

void *
sim_memset(void *to, int byte, size_t size)
{
	__tsan_write_range(to, size);
	return __builtin_memset(to, byte, size);
}

void *
sim_memcpy(void *to, const void *from, size_t size)
{
	__tsan_write_range(to, size);
	return __builtin_memcpy(to, from, size);
}

/* ---- atomic accesses: we do them ---- */

#define HOOK_FETCH(bits_, name_, change_)                                                          \
	uint##bits_##_t __tsan_atomic##bits_##_##name_(volatile uint##bits_##_t *address,              \
												   uint##bits_##_t value, int order);              \
	uint##bits_##_t __tsan_atomic##bits_##_##name_(volatile uint##bits_##_t *address,              \
												   uint##bits_##_t value, int order)               \
	{                                                                                              \
		uint##bits_##_t old;                                                                       \
                                                                                                   \
		(void) order;                                                                              \
		before(address, (bits_) / 8, STOP_RMW);                                                    \
		log_shared(address);                                                                       \
		old = *address;                                                                            \
		*address = (uint##bits_##_t)(change_);                                                     \
		if ((bits_) == 64)                                                                         \
			changed_word(address, old, *address);                                                  \
		return old;                                                                                \
	}

#define HOOK_ATOMIC(bits_)                                                                         \
	uint##bits_##_t __tsan_atomic##bits_##_load(const volatile uint##bits_##_t *address,           \
												int order);                                        \
	void __tsan_atomic##bits_##_store(volatile uint##bits_##_t *address, uint##bits_##_t value,    \
									  int order);                                                  \
	uint##bits_##_t __tsan_atomic##bits_##_compare_exchange_val(                                   \
		volatile uint##bits_##_t *address, uint##bits_##_t expected, uint##bits_##_t desired,      \
		int order, int failure_order);                                                             \
	int __tsan_atomic##bits_##_compare_exchange_strong(                                            \
		volatile uint##bits_##_t *address, uint##bits_##_t *expected, uint##bits_##_t desired,     \
		int order, int failure_order);                                                             \
	int __tsan_atomic##bits_##_compare_exchange_weak(                                              \
		volatile uint##bits_##_t *address, uint##bits_##_t *expected, uint##bits_##_t desired,     \
		int order, int failure_order);                                                             \
	uint##bits_##_t __tsan_atomic##bits_##_load(const volatile uint##bits_##_t *address,           \
												int order)                                         \
	{                                                                                              \
		(void) order;                                                                              \
		before(address, (bits_) / 8, STOP_READ);                                                   \
		return *address;                                                                           \
	}                                                                                              \
	void __tsan_atomic##bits_##_store(volatile uint##bits_##_t *address, uint##bits_##_t value,    \
									  int order)                                                   \
	{                                                                                              \
		before(address, (bits_) / 8, is_fence(order) ? STOP_RMW : STOP_WRITE);                     \
		if (is_fence(order))                                                                       \
			log_shared(address);                                                                   \
		*address = value;                                                                          \
	}                                                                                              \
	uint##bits_##_t __tsan_atomic##bits_##_compare_exchange_val(                                   \
		volatile uint##bits_##_t *address, uint##bits_##_t expected, uint##bits_##_t desired,      \
		int order, int failure_order)                                                              \
	{                                                                                              \
		uint##bits_##_t old;                                                                       \
                                                                                                   \
		(void) order;                                                                              \
		(void) failure_order;                                                                      \
		before(address, (bits_) / 8, STOP_SWAP);                                                   \
		old = *address;                                                                            \
		if (old != expected)                                                                       \
		{                                                                                          \
			has_read(address);                                                                     \
			return old;                                                                            \
		}                                                                                          \
		log_shared(address);                                                                       \
		*address = desired;                                                                        \
		if ((bits_) == 64)                                                                         \
			changed_word(address, old, desired);                                                   \
		return old;                                                                                \
	}                                                                                              \
	int __tsan_atomic##bits_##_compare_exchange_strong(                                            \
		volatile uint##bits_##_t *address, uint##bits_##_t *expected, uint##bits_##_t desired,     \
		int order, int failure_order)                                                              \
	{                                                                                              \
		uint##bits_##_t wanted = *expected;                                                        \
                                                                                                   \
		*expected = __tsan_atomic##bits_##_compare_exchange_val(address, wanted, desired, order,   \
																failure_order);                    \
		return *expected == wanted;                                                                \
	}                                                                                              \
	int __tsan_atomic##bits_##_compare_exchange_weak(                                              \
		volatile uint##bits_##_t *address, uint##bits_##_t *expected, uint##bits_##_t desired,     \
		int order, int failure_order)                                                              \
	{                                                                                              \
		return __tsan_atomic##bits_##_compare_exchange_strong(address, expected, desired, order,   \
															  failure_order);                      \
	}                                                                                              \
	HOOK_FETCH(bits_, exchange, value)                                                             \
	HOOK_FETCH(bits_, fetch_add, old + value)                                                      \
	HOOK_FETCH(bits_, fetch_sub, old - value)                                                      \
	HOOK_FETCH(bits_, fetch_and, old &value)                                                       \
	HOOK_FETCH(bits_, fetch_or, old | value)                                                       \
	HOOK_FETCH(bits_, fetch_xor, old ^ value)

HOOK_ATOMIC(8)
HOOK_ATOMIC(16)
HOOK_ATOMIC(32)
HOOK_ATOMIC(64)
