/*
 * locks.c
 *		The peers: every lock that can be had in shared memory, behind one pair of functions.
 */
#include "bench.h"

#ifdef HOLDFAST_BENCH_CK
#include <ck_rwlock.h>
_Static_assert(sizeof(ck_rwlock_t) <= sizeof(((BenchArena *) 0)->ck),
			   "a ck_rwlock_t fits its place");
#endif

static void
floor_acquire(void)
{
	uint64_t idle = 0;

	while (!__atomic_compare_exchange_n(&bench_arena->floor_word, &idle, 1, false, __ATOMIC_ACQUIRE,
										__ATOMIC_RELAXED))
		idle = 0;
}

static void
floor_release(void)
{
	(void) __atomic_fetch_sub(&bench_arena->floor_word, 1, __ATOMIC_RELEASE);
}

static void
exclusive_acquire(void)
{
	if (LWLockAcquire(bench_lock, LW_EXCLUSIVE) < 0)
		__builtin_trap();
}

static void
shared_acquire(void)
{
	if (LWLockAcquire(bench_lock, LW_SHARED) < 0)
		__builtin_trap();
}

static void
conditional_acquire(void)
{
	while (LWLockConditionalAcquire(bench_lock, LW_EXCLUSIVE) != HOLDFAST_OK)
		;
}

static void
ours_release(void)
{
	if (LWLockRelease(bench_lock) < 0)
		__builtin_trap();
}

static void
robust_acquire(void)
{
	(void) pthread_mutex_lock(&bench_arena->robust);
}

static void
robust_release(void)
{
	(void) pthread_mutex_unlock(&bench_arena->robust);
}

static void
rwlock_write(void)
{
	(void) pthread_rwlock_wrlock(&bench_arena->rwlock);
}

static void
rwlock_read(void)
{
	(void) pthread_rwlock_rdlock(&bench_arena->rwlock);
}

static void
rwlock_release(void)
{
	(void) pthread_rwlock_unlock(&bench_arena->rwlock);
}

#ifdef HOLDFAST_BENCH_CK
static void
ck_write(void)
{
	ck_rwlock_write_lock((ck_rwlock_t *) bench_arena->ck);
}

static void
ck_write_release(void)
{
	ck_rwlock_write_unlock((ck_rwlock_t *) bench_arena->ck);
}

static void
ck_read(void)
{
	ck_rwlock_read_lock((ck_rwlock_t *) bench_arena->ck);
}

static void
ck_read_release(void)
{
	ck_rwlock_read_unlock((ck_rwlock_t *) bench_arena->ck);
}
#endif

/*
 * A loop of its own for each: what is measured alone is the lock, not a call through a pointer that PostgreSQL's loop, in
 * PostgreSQL, does not make either.
 */
#define PAIRS(name_, acquire_, release_)                                                           \
	static void name_(uint64_t count)                                                              \
	{                                                                                              \
		for (uint64_t i = 0; i < count; i++)                                                       \
		{                                                                                          \
			acquire_();                                                                            \
			release_();                                                                            \
		}                                                                                          \
	}

PAIRS(exclusive_pairs, exclusive_acquire, ours_release)
PAIRS(shared_pairs, shared_acquire, ours_release)
PAIRS(conditional_pairs, conditional_acquire, ours_release)
PAIRS(floor_pairs, floor_acquire, floor_release)
PAIRS(robust_pairs, robust_acquire, robust_release)
PAIRS(rwlock_write_pairs, rwlock_write, rwlock_release)
PAIRS(rwlock_read_pairs, rwlock_read, rwlock_release)
#ifdef HOLDFAST_BENCH_CK
PAIRS(ck_write_pairs, ck_write, ck_write_release)
PAIRS(ck_read_pairs, ck_read, ck_read_release)
#endif

const BenchLock bench_locks[] = {
	{"holdfast exclusive", true, BENCH_EXCLUSIVE, exclusive_acquire, ours_release, exclusive_pairs},
	{"holdfast shared", true, BENCH_SHARED, shared_acquire, ours_release, shared_pairs},
	{"holdfast conditional", true, BENCH_OURS_ONLY, conditional_acquire, ours_release,
	 conditional_pairs},
	{"floor (CAS + fetch_sub)", false, BENCH_BOTH, floor_acquire, floor_release, floor_pairs},
	{"robust pthread_mutex", false, BENCH_BOTH, robust_acquire, robust_release, robust_pairs},
	{"pthread_rwlock write", false, BENCH_EXCLUSIVE, rwlock_write, rwlock_release,
	 rwlock_write_pairs},
	{"pthread_rwlock read", false, BENCH_SHARED, rwlock_read, rwlock_release, rwlock_read_pairs},
#ifdef HOLDFAST_BENCH_CK
	{"ck_rwlock write", false, BENCH_EXCLUSIVE, ck_write, ck_write_release, ck_write_pairs},
	{"ck_rwlock read", false, BENCH_SHARED, ck_read, ck_read_release, ck_read_pairs},
#endif
	{"PostgreSQL LWLock exclusive", false, BENCH_EXCLUSIVE, NULL, NULL, NULL},
	{"PostgreSQL LWLock shared", false, BENCH_SHARED, NULL, NULL, NULL},
	{0},
};

const BenchMix bench_mixes[] = {
	{"holdfast", true, shared_acquire, ours_release, exclusive_acquire, ours_release},
	{"pthread_rwlock", false, rwlock_read, rwlock_release, rwlock_write, rwlock_release},
#ifdef HOLDFAST_BENCH_CK
	{"ck_rwlock", false, ck_read, ck_read_release, ck_write, ck_write_release},
#endif
	{"PostgreSQL LWLock", false, NULL, NULL, NULL, NULL},
	{0},
};
