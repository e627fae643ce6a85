/*
 * setup.c
 *		Makes the simulated machine: memory at a fixed address, a segment with two locks, a slot for each process.
 *
 * The address is fixed so that the same step always writes the same bytes, pointers on stacks included: equal states are
 * equal bytes.
 */
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <holdfast/proc.h>
#include <holdfast/recovery.h>

#include "coroutine.h"
#include "lwlock_tranche.h"
#include "model.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define TRANCHE     LWTRANCHE_FIRST_USER
#define START_NS    UINT64_C(1000000000)
#define SLOT_OWNER  15                  /* class_of: nobody's */
#define ARENA_SIZE  (UINT64_C(1) << 30) /* address space, touched as far as it is used */
#define LOG_ENTRIES (1u << 22)

Sim sim;

static bool
map(void *address, size_t size, int flags, void *result)
{
	void *mapped =
		mmap(address, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*(void **) result = mapped == MAP_FAILED ? NULL : mapped;
	return mapped != MAP_FAILED;
}

static bool
map_world(char *problem, size_t size)
{
	void *at;
	size_t shared = offsetof(SimWorld, stack);

	if (map(SIM_ADDRESS, shared, MAP_SHARED | MAP_FIXED_NOREPLACE, &at) &&
		map(sim_world->stack, sizeof(sim_world->stack), MAP_PRIVATE | MAP_FIXED_NOREPLACE, &at) &&
		map(NULL, ARENA_SIZE, MAP_PRIVATE, &sim.arena) &&
		map(NULL, LOG_ENTRIES * sizeof(SimLogEntry), MAP_PRIVATE, &sim.log))
	{
		sim.arena_size = ARENA_SIZE;
		sim.log_capacity = LOG_ENTRIES;
		return true;
	}
	(void) snprintf(problem, size, "no memory at the address where the simulation lives");
	return false;
}

/* Asking for its address the long way makes the dynamic linker note where this module's block is. */
static _Thread_local volatile char anchor __attribute__((tls_model("global-dynamic")));

static int
find_tls(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t wanted = (uintptr_t) arg;

	(void) size;
	for (int i = 0; i < info->dlpi_phnum; i++)
	{
		uintptr_t start = (uintptr_t) info->dlpi_tls_data;

		if (info->dlpi_phdr[i].p_type != PT_TLS || start == 0 || wanted < start ||
			wanted >= start + info->dlpi_phdr[i].p_memsz)
			continue;
		sim.tls = (unsigned char *) start;
		sim.tls_size = info->dlpi_phdr[i].p_memsz;
		return 1;
	}
	return 0;
}

static void
make_segment(void)
{
	SimSegment *segment = &sim_world->shared.segment;
	LWLockPolicy policy = sim.config->poison ? LWLOCK_POISON : LWLOCK_REPAIR;

	segment->header.magic = PGShmemMagic;
	segment->header.totalsize = sizeof(*segment);
	segment->proc_global.magic = PROC_GLOBAL_MAGIC;
	segment->proc_global.nprocs = (uint32_t) sim.processes;
	segment->tranches.magic = LWLOCK_TABLE_MAGIC;
	segment->tranches.nlocks = SIM_LOCKS;
	segment->tranches.ntranches = TRANCHE + 1;
	segment->tranches.tranche[TRANCHE].count = SIM_LOCKS;
	segment->tranches.tranche[TRANCHE].ready = 1;
	for (int i = 0; i < SIM_LOCKS; i++)
		LWLockInitialize(&segment->locks[i].lock, TRANCHE);
	LWLockArray = segment->locks;
	holdfast_shmem = (ShmemAccess){
		.base = (char *) segment,
		.size = sizeof(*segment),
		.tranches = &segment->tranches,
		.proc_global = &segment->proc_global,
		.procs = segment->procs,
		.nprocs = (uint32_t) sim.processes,
		.nlocks = SIM_LOCKS,
	};
	if (LWLockRegisterTranche(TRANCHE, policy, sim.config->poison ? NULL : sim_repair, NULL) < 0)
		sim_violate(SIM_UNEXPECTED_STATUS);
}

/* ---- who can see what ---- */

static void
classify(const void *address, size_t size, SimClass class, int owner)
{
	for (size_t i = 0; i < size; i += 8)
		sim.class_of[(sim_offset(address) + i) >> 3] =
			(uint8_t) ((unsigned) class << 4 | (unsigned) owner);
}

static void
classify_all(void)
{
	SimSegment *segment = &sim_world->shared.segment;

	__builtin_memset(sim.class_of, SLOT_OWNER, sizeof(sim.class_of));
	classify(&segment->header, sizeof(segment->header), CLASS_CONSTANT, SLOT_OWNER);
	classify(&segment->tranches, sizeof(segment->tranches), CLASS_CONSTANT, SLOT_OWNER);
	for (int i = 0; i < SIM_LOCKS; i++)
	{
		/* One word holds the tranche and the count of recoveries: the one is constant, on the other nothing hangs. */
		classify(&segment->locks[i].lock.tranche, 8, CLASS_QUIET, SLOT_OWNER);
		classify(&segment->locks[i].lock.wait_head, 8, CLASS_QUEUE, SLOT_OWNER);
	}
	for (int i = 0; i < sim.processes; i++)
	{
		classify(segment->procs[i].entry, sizeof(segment->procs[i].entry), CLASS_JOURNAL, i);
		classify(segment->procs[i].counts, sizeof(segment->procs[i].counts), CLASS_QUIET,
				 SLOT_OWNER);
		classify(&segment->procs[i].life, 8, CLASS_LIFE, i);
		classify(&segment->procs[i].start_time, 8, CLASS_QUIET, SLOT_OWNER);
		classify(&segment->procs[i].wake, 8, CLASS_WAKE, i);
		classify(&segment->procs[i].wait_lock, 8, CLASS_LINK, i);
		classify(&segment->procs[i].wait_next, 8, CLASS_QUEUE, i);
	}
}

/* ---- processes ---- */

static void
entry(void)
{
	int me = sim.current;

	switch (sim.process[me].role)
	{
		case SIM_WORKER:
			sim_run_program(me);
			break;
		case SIM_SUPERVISOR:
			sim_run_supervisor();
			break;
		case SIM_STANDBY:
			sim_run_standby();
			break;
	}
	sim_set(&sim_world->shared.kernel.done[me], 1);
	sim_stop_here(STOP_DONE, NULL);
	__builtin_trap();
}

bool
sim_open(const ExploreConfig *config, char *problem, size_t size)
{
	__builtin_memset(&sim, 0, sizeof(sim));
	sim.config = config;
	sim.workers = config->workers;
	sim.processes =
		config->workers + (config->supervisor ? 1 + (int) config->recoverer_crashes : 0);
	if (config->workers < 1 || sim.processes > SIM_PROCESSES)
	{
		(void) snprintf(problem, size, "at most %d processes, supervisors included", SIM_PROCESSES);
		return false;
	}
	for (int i = 0; i < config->workers; i++)
	{
		if (config->program[i] == NULL || !sim_program_is_good(config->program[i]))
		{
			(void) snprintf(problem, size, "no program is called \"%.40s\"",
							config->program[i] != NULL ? config->program[i] : "");
			return false;
		}
		sim.slots_are_left = sim.slots_are_left || strchr(config->program[i], 'E') != NULL;
		sim.two_locks = sim.two_locks || strpbrk(config->program[i], "NM") != NULL;
	}
	anchor = 1;
	(void) dl_iterate_phdr(find_tls, &holdfast_lwlock_local);
	if (sim.tls == NULL || sim.tls_size > SIM_TLS_SIZE)
	{
		(void) snprintf(problem, size, "cannot find the library's thread-local variables");
		return false;
	}
	if (!map_world(problem, size))
		return false;
	if (!sim_history_open())
	{
		(void) snprintf(problem, size, "no memory for the history");
		return false;
	}
	classify_all();
	return true;
}

void
sim_close(void)
{
	if (sim.arena != NULL)
		(void) munmap(sim.arena, sim.arena_size);
	if (sim.log != NULL)
		(void) munmap(sim.log, sim.log_capacity * sizeof(SimLogEntry));
	(void) munmap(SIM_ADDRESS, sizeof(SimWorld));
	sim.arena = NULL;
	sim.log = NULL;
	sim_history_close();
}

void
sim_start(void)
{
	SimKernel *kernel = &sim_world->shared.kernel;
	bool coarse = sim.coarse;

	sim.running = false;
	__builtin_memset(&sim_world->shared, 0, sizeof(sim_world->shared));
	sim.log_count = sim.step_start = 0;
	sim.arena_used = 0;
	sim_history_begin();
	sim.shared_hash = (SimHash){0, 0};
	kernel->crashes_left = sim.config->crashes;
	kernel->recoverer_crashes_left = sim.config->recoverer_crashes;
	kernel->timeouts_left = sim.config->timeouts;
	make_segment();
	for (int i = 0; i < sim.processes; i++)
	{
		SimProcess *process = &sim.process[i];
		SimImage *image = (SimImage *) (sim.arena + sim.arena_used);

		process->role = i < sim.workers    ? SIM_WORKER
						: i == sim.workers ? SIM_SUPERVISOR
										   : SIM_STANDBY;
		process->program = i < sim.workers ? sim.config->program[i] : NULL;
		kernel->clock[i] = START_NS;
		sim.current = i;
		__builtin_memset(sim.tls, 0, sim.tls_size);
		if (InitProcess("sim") < 0)
			sim_violate(SIM_UNEXPECTED_STATUS);
		image->sp = sim_new_stack(sim_world->stack[i], SIM_STACK_SIZE, entry);
		image->size =
			(uint32_t) (sim_world->stack[i] + SIM_STACK_SIZE - (unsigned char *) image->sp);
		image->stop = STOP_NOT_STARTED;
		image->napped = 0;
		image->address = 0;
		image->hash[0] = image->hash[1] = (uint64_t) i;
		__builtin_memcpy(image->tls, sim.tls, sim.tls_size);
		__builtin_memcpy(image->bytes, image->sp, image->size);
		process->image = process->pure = image;
		sim.arena_used += (sizeof(*image) + image->size + 15) & ~(size_t) 15;
	}
	sim.running = true;
	sim.coarse = false;
	for (int i = 0; i < sim.processes && sim.config->strategy != EXPLORE_REAL; i++)
		(void) sim_move(MOVE_STEP, i); /* to its first stop: nothing shared is touched but notes */
	sim.coarse = coarse;
	sim_history_mark();
	sim.log_count = sim.step_start = 0; /* the start is not undone */
}
