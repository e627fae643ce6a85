/*
 * step.c
 *		One step of one process, and undoing it.
 */
#include "baton.h"
#include "coroutine.h"
#include "model.h"

static const SimImage dead_image = {.stop = STOP_DONE,
									.hash = {0x9e3779b97f4a7c15u, 0xd1b54a32d192ed03u}};

/* ---- hashing ---- */

#define K0 UINT64_C(0xa0761d6478bd642f)
#define K1 UINT64_C(0xe7037ed1a0b428db)
#define K2 UINT64_C(0x8ebc6af09c88c6e3)
#define K3 UINT64_C(0x589965cc75374cc3)

static inline uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

/* What a word of shared memory adds to the hash of the state; sums can be changed one word at a time. */
static inline SimHash
word_hash(uint64_t offset, uint64_t value)
{
	return (SimHash){fold(value ^ K0, (offset * K1) ^ K2), fold(value ^ K3, (offset * K2) ^ K1)};
}

static void
image_hash(SimImage *image, int process)
{
	const unsigned char *at = image->bytes;
	uint64_t a = K0 ^ (uint64_t) process, b = K3 + (uint64_t) process, x, y;

	for (uint32_t i = 0; i + 16 <= image->size; i += 16)
	{
		__builtin_memcpy(&x, at + i, 8);
		__builtin_memcpy(&y, at + i + 8, 8);
		a = fold(a ^ x ^ K1, y ^ K2);
		b = fold(b ^ y ^ K0, x ^ K3);
	}
	if (image->size & 8)
	{
		__builtin_memcpy(&x, at + (image->size & ~15u), 8);
		a = fold(a ^ x ^ K1, K2);
		b = fold(b ^ x ^ K2, K3);
	}
	for (uint32_t i = 0; i < SIM_TLS_SIZE && i < sim.tls_size; i += 8)
	{
		__builtin_memcpy(&x, image->tls + i, 8);
		a = fold(a ^ x, K1);
		b = fold(b ^ x, K2);
	}
	image->hash[0] = fold(a ^ image->size ^ (uint64_t) image->napped << 32, K0);
	image->hash[1] = fold(b ^ image->size ^ (uint64_t) image->napped << 32, K1);
}

static inline bool
is_summed(uint64_t offset)
{
	SimClass class = (SimClass) (sim.class_of[offset >> 3] >> 4);

	if (offset - offsetof(SimShared, kernel.timed) < sizeof(sim_world->shared.kernel.timed))
		return false;
	return class != CLASS_QUIET && class != CLASS_WAKE &&
		   (class != CLASS_QUEUE || (sim.class_of[offset >> 3] & 15) >= SIM_PROCESSES);
}

/*
 * Links of who is in no queue, and the futex word of who names no lock, are written before they are read again: what they
 * held last is no part of the state.
 */
static void
add_slot(SimHash *hash, int process)
{
	const PGPROC *proc = &sim_world->shared.segment.procs[process];
	uint64_t wake = (uint64_t) proc->wait_mode << 32 | proc->wake;
	SimHash part;

	if (proc->wait_lock == 0)
		wake &= UINT32_MAX;
	if ((proc->entry[0] | proc->entry[1] | proc->entry[JOURNAL_LINK]) == 0)
		wake = 0;
	part = word_hash(sim_offset(&proc->wake), wake);
	hash->a += part.a;
	hash->b += part.b;
	if (proc->wait_lock == 0)
		return;
	part =
		word_hash(sim_offset(&proc->wait_next), (uint64_t) proc->wait_next << 32 | proc->wait_prev);
	hash->a += part.a;
	hash->b += part.b;
}

/* When the sleep would end is asked of sleepers only. */
static void
add_time_out(SimHash *hash, int process)
{
	const SimKernel *kernel = &sim_world->shared.kernel;
	SimHash part;

	if (kernel->asleep[process] == 0)
		return;
	part = word_hash(sim_offset(&kernel->timed[process]), kernel->timed[process]);
	hash->a += part.a;
	hash->b += part.b;
}

SimHash
sim_state_hash(void)
{
	SimHash hash = sim.shared_hash;

	for (int i = 0; i < sim.processes; i++)
	{
		hash.a += sim.process[i].image->hash[0];
		hash.b += sim.process[i].image->hash[1];
		add_slot(&hash, i);
		add_time_out(&hash, i);
	}
	return hash;
}

/* ---- the log ---- */

void
sim_log(const void *address)
{
	uint64_t *word = (uint64_t *) ((uintptr_t) address & ~(uintptr_t) 7);

	if (!sim.running)
		return;
	sim.changed_something = true;
	sim.napped = false;
	if (__builtin_expect(sim.footprint != NULL, 0) &&
		(uintptr_t) word - (uintptr_t) &sim_world->shared.notes >= sizeof(SimNotes))
		sim_note_touch(word, true);
	if (sim.real)
		return;
	for (size_t i = sim.log_count; i-- > sim.step_start;)
	{
		if (sim.log[i].word == word)
			return;
	}
	if (sim.log_count == sim.log_capacity)
	{
		sim_violate(SIM_OVERRUN);
		return;
	}
	sim.log[sim.log_count++] = (SimLogEntry){word, *word};
}

static void
hash_changes(void)
{
	for (size_t i = sim.step_start; i < sim.log_count; i++)
	{
		uint64_t offset = sim_offset(sim.log[i].word);
		SimHash before = word_hash(offset, sim.log[i].before);
		SimHash after = word_hash(offset, *sim.log[i].word);

		if (!is_summed(offset))
			continue;
		sim.shared_hash.a += after.a - before.a;
		sim.shared_hash.b += after.b - before.b;
	}
}

/* ---- stopping and going on ---- */

static void *process_sp;

/* False: a look in a spin, which does not stop.  Anything else ends the spin. */
bool
sim_looks(SimStop stop)
{
	if (!sim.looks_without_stopping)
		return true;
	if (stop == STOP_READ)
		return false;
	sim.looks_without_stopping = sim.impatient = false;
	return true;
}

static inline void
stop_here(SimStop stop, const void *address)
{
	if (sim.real)
	{
		sim_baton_stop(stop, address);
		return;
	}
	sim.stop = stop;
	sim.stop_address = address != NULL ? sim_offset(address) : 0;
	do
	{
		if (sim.unwind != NULL)
			sim_note_stack(sim.unwind);
		sim_switch(&process_sp, sim.engine_sp);
	} while (sim.unwind != NULL);
}

static __attribute__((noinline)) void
stop_with_buffer(SimStop stop, const void *address)
{
	sim_tso_take_off();
	stop_here(stop, address);
	sim_tso_lay_over();
}

/* Leaves as little as can be on the stack: what is stale there makes equal states differ. */
void
sim_stop_here(SimStop stop, const void *address)
{
	if (!sim.running || !sim_looks(stop))
		return;
	if (sim.config->tso)
		stop_with_buffer(stop, address);
	else
		stop_here(stop, address);
}

static void
keep_image(int process)
{
	unsigned char *top = sim_world->stack[process] + SIM_STACK_SIZE;
	SimImage *image = (SimImage *) (sim.arena + sim.arena_used);
	uint32_t size = (uint32_t) (top - (unsigned char *) process_sp);
	size_t need = (sizeof(*image) + size + 15) & ~(size_t) 15;

	if (sim.arena_used + need > sim.arena_size || size > SIM_STACK_SIZE - SIM_STACK_CLEAN)
	{
		sim_violate(SIM_OVERRUN);
		return;
	}
	image->sp = process_sp;
	image->size = size;
	image->stop = (uint16_t) sim.stop;
	image->napped = sim.napped;
	image->address = sim.stop_address;
	__builtin_memset(image->tls, 0, sizeof(image->tls));
	__builtin_memcpy(image->tls, sim.tls, sim.tls_size);
	__builtin_memcpy(image->bytes, process_sp, size);
	if (!sim.walking)
		image_hash(image, process);
	sim.arena_used += need;
	sim.process[process].image = image;
	if (sim.changed_something)
		sim.process[process].pure = image;
}

static void
put_back(int process)
{
	const SimImage *image = sim.process[process].image;

	if (image->size > 0)
		__builtin_memcpy(image->sp, image->bytes, image->size);
}

static SimOutcome
run(int process, bool impatient)
{
	const SimImage *image = sim.process[process].image;

	sim.current = process;
	sim_history_step(process);
	sim.impatient = sim.looks_without_stopping = impatient;
	sim.timed_out = impatient;
	sim.naps = 0;
	sim.passed = 0;
	sim.just_read = NULL;
	sim.napped = image->napped != 0;
	sim.changed_something = image->stop == STOP_ASLEEP || image->stop == STOP_NOT_STARTED ||
							image->stop == STOP_IDLE || image->stop == STOP_STANDBY;
	__builtin_memcpy(sim.tls, image->tls, sim.tls_size);
	if (!sim.walking)
		__builtin_memset((unsigned char *) image->sp - SIM_STACK_CLEAN, 0, SIM_STACK_CLEAN);
	sim_switch(&sim.engine_sp, image->sp);
	sim.impatient = sim.looks_without_stopping = false;
	if (sim.stop == STOP_SPIN)
	{
		sim.process[process].image = sim.process[process].pure;
		put_back(process);
		return OUTCOME_SPUN;
	}
	if (sim.stop == STOP_DONE)
		sim.process[process].image = sim.process[process].pure = &dead_image;
	else
		keep_image(process);
	return OUTCOME_STEPPED;
}

void
sim_unwind(int process, ExploreStack *stack)
{
	const SimImage *image = sim.process[process].image;

	if (image->size == 0 || image->stop == STOP_NOT_STARTED)
		return;
	sim.unwind = stack;
	sim_switch(&sim.engine_sp, image->sp);
	sim.unwind = NULL;
}

/* ---- moves ---- */

static bool
somebody_to_reap(void)
{
	const SimKernel *kernel = &sim_world->shared.kernel;

	for (int i = 0; i < sim.processes; i++)
	{
		if (kernel->dead[i] && !kernel->reaped[i])
			return true;
	}
	return false;
}

static bool
all_supervisors_before_are_dead(int process)
{
	for (int i = sim.workers; i < process; i++)
	{
		if (!sim_world->shared.kernel.dead[i])
			return false;
	}
	return true;
}

bool
sim_can_step(int process)
{
	const SimImage *image = sim.process[process].image;

	switch ((SimStop) image->stop)
	{
		case STOP_DONE:
			return false;
		case STOP_ASLEEP:
			return sim_world->shared.kernel.asleep[process] == 0;
		case STOP_IDLE:
			return somebody_to_reap();
		case STOP_STANDBY:
			return all_supervisors_before_are_dead(process);
		default:
			return true;
	}
}

bool
sim_can_kill(int process)
{
	const SimKernel *kernel = &sim_world->shared.kernel;
	SimStop stop = (SimStop) sim.process[process].image->stop;

	if (stop == STOP_DONE || stop == STOP_IDLE || stop == STOP_STANDBY)
		return false;
	return sim.process[process].role == SIM_WORKER ? kernel->crashes_left > 0
												   : kernel->recoverer_crashes_left > 0;
}

/* `spinning`: its next step is known to end where it began. */
bool
sim_can_time_out(int process, bool spinning)
{
	const SimKernel *kernel = &sim_world->shared.kernel;

	if (kernel->timeouts_left == 0)
		return false;
	if (sim.process[process].image->stop == STOP_ASLEEP)
		return kernel->asleep[process] != 0 && kernel->timed[process] != UINT64_MAX;
	return spinning;
}

void
sim_note_death(int process)
{
	SimShared *shared = &sim_world->shared;
	uint64_t bit = UINT64_C(1) << process;
	uint64_t *budget = sim.process[process].role == SIM_WORKER
						   ? &shared->kernel.crashes_left
						   : &shared->kernel.recoverer_crashes_left;

	sim_set(budget, *budget - 1);
	if (shared->notes.trying & bit)
		sim_touch(&shared->segment.locks[0].lock.state, false);
	sim_set(&shared->kernel.dead[process], 1);
	sim_set(&shared->kernel.asleep[process], 0);
	sim_tso_empty(process);
	sim_history_death(process);
	/* A dead reader reads no more; a dead writer's mark stays until its data is mended. */
	for (int i = 0; i < SIM_LOCKS; i++)
	{
		if (shared->notes.holds_shared[i] & bit)
			sim_touch(&shared->notes.holds_exclusive[i], false);
		sim_set(&shared->notes.holds_shared[i], shared->notes.holds_shared[i] & ~bit);
	}
	sim_set(&shared->notes.trying, shared->notes.trying & ~bit);
	sim.process[process].image = sim.process[process].pure = &dead_image;
}

void
sim_note_time_out(int process)
{
	SimKernel *kernel = &sim_world->shared.kernel;

	sim_set(&kernel->timeouts_left, kernel->timeouts_left - 1);
	if (sim.process[process].image->stop != STOP_ASLEEP)
		return;
	sim_set(&kernel->clock[process], kernel->clock[process] + kernel->timed[process]);
	sim_set(&kernel->asleep[process], 0);
}

SimMark
sim_mark(int process)
{
	return (SimMark){
		.log_count = sim.log_count,
		.arena_used = sim.arena_used,
		.shared_hash = sim.shared_hash,
		.image = sim.process[process].image,
		.pure = sim.process[process].pure,
		.process = process,
	};
}

SimOutcome
sim_move(SimMove move, int process)
{
	SimOutcome outcome = OUTCOME_STEPPED;

	sim.step_start = sim.log_count;
	if (move == MOVE_KILL)
		sim_note_death(process);
	else if (move == MOVE_FLUSH)
		sim_tso_flush(process);
	else
	{
		bool asleep = sim.process[process].image->stop == STOP_ASLEEP;

		if (move == MOVE_TIMEOUT)
			sim_note_time_out(process);
		outcome = run(process, move == MOVE_TIMEOUT && !asleep);
	}
	sim_judge_step();
	if (!sim.walking)
		hash_changes();
	return outcome;
}

void
sim_undo(const SimMark *mark)
{
	while (sim.log_count > mark->log_count)
	{
		sim.log_count--;
		*sim.log[sim.log_count].word = sim.log[sim.log_count].before;
	}
	sim.arena_used = mark->arena_used;
	sim.shared_hash = mark->shared_hash;
	sim.process[mark->process].image = mark->image;
	sim.process[mark->process].pure = mark->pure;
	put_back(mark->process);
}

bool
sim_is_terminal(void)
{
	for (int i = 0; i < sim.processes; i++)
	{
		SimStop stop = (SimStop) sim.process[i].image->stop;

		if (stop == STOP_IDLE && !somebody_to_reap())
			continue;
		if (stop == STOP_STANDBY && !all_supervisors_before_are_dead(i))
			continue;
		if (stop != STOP_DONE)
			return false;
	}
	return true;
}

SimViolation
sim_violation(void)
{
	return (SimViolation) sim_world->shared.notes.violation;
}
