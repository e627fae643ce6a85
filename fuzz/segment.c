/*
 * segment.c
 *		The library's own start-up on ordinary memory: what it asks of the kernel is answered here.
 */
#include <holdfast/ipc.h>
#include <holdfast/recovery.h>

#include "points.h"
#include "segment.h"
#include "segment_internal.h"

unsigned fuzz_segment_repairs;

static char *memory;

unsigned long UsedShmemSegID;
void *UsedShmemSegAddr;

static bool
repair(LWLock *lock, int dead_slot, void *arg)
{
	(void) lock;
	(void) arg;
	REQUIRE(dead_slot >= 0 && (uint32_t) dead_slot < holdfast_shmem.nprocs);
	fuzz_segment_repairs++;
	return true;
}

static int
tranche_of(const char *name)
{
	LWLockPadded *first = GetNamedLWLockTranche(name);

	REQUIRE(first != NULL);
	return first->lock.tranche;
}

char *
fuzz_segment_create(uint32_t nprocs, size_t *size)
{
	HoldfastShmemConfig config = {.max_procs = nprocs, .max_locks = 1 + SEGMENT_LOCKS};

	REQUIRE(RequestNamedLWLockTranche("poison", 2) == HOLDFAST_OK);
	REQUIRE(RequestNamedLWLockTranche("repair", 1) == HOLDFAST_OK);
	REQUIRE(RequestNamedLWLockTranche("reset", 1) == HOLDFAST_OK);
	REQUIRE(holdfast_shmem_create(&config) == HOLDFAST_OK);
	REQUIRE(LWLockRegisterTranche(tranche_of("repair"), LWLOCK_REPAIR, repair, NULL) ==
			HOLDFAST_OK);
	REQUIRE(LWLockRegisterTranche(tranche_of("reset"), LWLOCK_RESET, NULL, NULL) == HOLDFAST_OK);
	REQUIRE(holdfast_shmem_publish() == HOLDFAST_OK);
	*size = holdfast_shmem.size;
	return memory;
}

LWLock *
fuzz_segment_lock(unsigned which)
{
	return &LWLockArray[1 + which].lock;
}

/* ---- the kernel ---- */

HoldfastStatus
holdfast_segment_create(Size size, const HoldfastMemory *wanted, PGShmemHeader **header)
{
	(void) wanted;
	memory = aligned_alloc(128, size);
	REQUIRE(memory != NULL && size % 128 == 0);
	memset(memory, 0, size);
	*header = (PGShmemHeader *) memory;
	(*header)->magic = PGShmemMagic;
	(*header)->totalsize = size;
	(*header)->freeoffset = SHMEM_ALIGN(sizeof(PGShmemHeader));
	(*header)->version = HOLDFAST_SEGMENT_VERSION;
	(*header)->state = HOLDFAST_SEGMENT_INIT;
	return HOLDFAST_OK;
}

void
holdfast_segment_publish_interlock(const PGShmemHeader *block)
{
	(void) block;
}

HoldfastStatus
PGSharedMemoryDetach(void)
{
	return HOLDFAST_OK;
}

HoldfastStatus
on_shmem_exit(pg_on_exit_callback function, Datum arg)
{
	(void) function;
	(void) arg;
	return HOLDFAST_OK;
}

void
shmem_exit(int code)
{
	(void) code;
	REQUIRE(!"nothing fails here");
}

bool
holdfast_process_is_dead(pid_t pid, uint64_t start_time)
{
	return fuzz_pid_is_dead(pid, start_time);
}

uint64_t
holdfast_process_start_time(pid_t pid)
{
	return (uint64_t) pid + 1000;
}

static uint64_t clock_us;

int
fuzz_nap(void)
{
	clock_us += 50;
	return 0;
}

int
fuzz_clock(struct timespec *now)
{
	clock_us++;
	now->tv_sec = (time_t) (clock_us / 1000000);
	now->tv_nsec = (long) (clock_us % 1000000) * 1000;
	return 0;
}
