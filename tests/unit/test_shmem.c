/*
 * test_shmem.c
 *		The segment's allocator and index.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/fixture.h"
#include "shmem_layout.h"

TestSuite(shmem, .timeout = 60);

Test(shmem, nothing_works_before_there_is_a_segment)
{
	HoldfastShmemConfig too_many = {.max_procs = HOLDFAST_PROCS_MAX + 1};
	HoldfastShmemConfig too_large = {.user_size = (Size) 1 << 50};
	bool found;

	cr_assert(ShmemAlloc(8) == NULL);
	cr_assert(holdfast_last_error()->status == HOLDFAST_MISUSE);
	cr_assert(ShmemInitStruct("x", 8, &found) == NULL && !found);
	cr_assert(holdfast_shmem_publish() == HOLDFAST_MISUSE);
	cr_assert(holdfast_shmem_create(&too_many) == HOLDFAST_MISUSE);
	cr_assert(holdfast_shmem_create(&too_large) == HOLDFAST_MISUSE);
	cr_assert(!ShmemAddrIsValid(&found));
}

Test(shmem, allocations_are_aligned_zero_and_disjoint)
{
	char *a, *b;

	cluster_start();
	a = ShmemAlloc(100);
	b = ShmemAlloc(100);
	cr_assert(a != NULL && b != NULL);
	cr_assert(shmem_offset(a) % 128 == 0 && shmem_offset(b) % 128 == 0);
	cr_assert(b >= a + 100);
	for (int i = 0; i < 100; i++)
		cr_assert(a[i] == 0);
	cr_assert(ShmemAddrIsValid(a) && !ShmemAddrIsValid(&a));
	cluster_stop();
}

static int
leave_and_join_again(int times)
{
	if (PGSharedMemoryDetach() < 0 || LWLockArray != NULL || ShmemAlloc(8) != NULL)
		return 1;
	for (int i = 0; i < times; i++)
	{
		if (holdfast_shmem_join() < 0)
			return 2;
		if (LWLockArray == NULL || InitProcess("joined") < 0)
			return 3;
		ProcKill(0, 0);
		if (PGSharedMemoryDetach() < 0 || holdfast_shmem.base != NULL)
			return 4;
	}
	return 0;
}

/* Nothing of a segment that one left may still be used, and one may come back: more often than there are exit slots. */
Test(shmem, a_process_that_detached_may_join_again)
{
	cluster_start();
	cr_assert(child_wait(child_start_without_slot(leave_and_join_again, 100)) == 0);
	cluster_stop();
}

Test(shmem, running_out_is_an_error_and_takes_nothing)
{
	uint64_t before;

	cluster_start();
	before = ((PGShmemHeader *) holdfast_shmem.base)->freeoffset;
	cr_assert(ShmemAlloc((Size) 1 << 30) == NULL);
	cr_assert(holdfast_last_error()->status == HOLDFAST_LIMIT);
	cr_assert(ShmemAlloc(SIZE_MAX) == NULL);
	cr_assert(((PGShmemHeader *) holdfast_shmem.base)->freeoffset == before);
	cr_assert(ShmemAlloc(64) != NULL);
	cluster_stop();
}

static int
find_it(int arg)
{
	bool found;
	uint64_t *structure = ShmemInitStruct("thing", sizeof(uint64_t), &found);

	(void) arg;
	if (structure == NULL || !found || *structure != 42)
		return 1;
	*structure = 43;
	return 0;
}

Test(shmem, a_structure_is_found_by_its_name)
{
	uint64_t *structure;
	bool found;

	cluster_start();
	structure = ShmemInitStruct("thing", sizeof(uint64_t), &found);
	cr_assert(structure != NULL && !found && *structure == 0);
	*structure = 42;
	cr_assert(child_wait(child_start(find_it, 0)) == 0);
	cr_assert(*structure == 43);
	cluster_stop();
}

Test(shmem, names_and_sizes_are_checked)
{
	char long_name[SHMEM_INDEX_KEYSIZE + 1];
	bool found;

	cluster_start();
	memset(long_name, 'n', sizeof(long_name));
	long_name[SHMEM_INDEX_KEYSIZE] = '\0';
	cr_assert(ShmemInitStruct(long_name, 8, &found) == NULL);
	long_name[SHMEM_INDEX_KEYSIZE - 1] = '\0';
	cr_assert(ShmemInitStruct(long_name, 8, &found) != NULL);
	cr_assert(ShmemInitStruct(NULL, 8, &found) == NULL);
	cr_assert(ShmemInitStruct("", 8, &found) == NULL);
	cr_assert(ShmemInitStruct("sized", 8, &found) != NULL);
	cr_assert(ShmemInitStruct("sized", 16, &found) == NULL);
	cr_assert(holdfast_last_error()->status == HOLDFAST_MISUSE);
	cr_assert(ShmemInitStruct("sized", 8, &found) != NULL && found, "the lock was released");
	cluster_stop();
}

Test(shmem, the_index_fills_up)
{
	char name[16];
	bool found;
	int count = 0;

	cluster_start();
	do
	{
		(void) snprintf(name, sizeof(name), "s%d", count++);
	} while (ShmemInitStruct(name, 8, &found) != NULL);
	cr_assert(holdfast_last_error()->status == HOLDFAST_LIMIT);
	cr_assert(count > 100 && count <= SHMEM_INDEX_SIZE);
	cluster_stop();
}

Test(shmem, an_entry_that_points_outside_is_refused)
{
	bool found;

	cluster_start();
	cr_assert(ShmemInitStruct("evil", 8, &found) != NULL);
	for (int i = 0; i < SHMEM_INDEX_SIZE; i++)
	{
		if (strcmp(holdfast_shmem.index->entry[i].name, "evil") == 0)
			holdfast_shmem.index->entry[i].offset = UINT64_MAX - 4;
	}
	cr_assert(ShmemInitStruct("evil", 8, &found) == NULL);
	cluster_stop();
}

Test(shmem, tables_are_believed_only_when_sane)
{
	ShmemAccess access;
	LWLockPadded *array;
	char *copy;
	PGShmemHeader *header;

	cluster_start();
	copy = malloc(holdfast_shmem.size);
	for (uint64_t where = sizeof(PGShmemHeader); where < sizeof(PGShmemHeader) + 4096; where += 8)
	{
		memcpy(copy, holdfast_shmem.base, holdfast_shmem.size);
		*(uint64_t *) (copy + where) ^= UINT64_C(0x5a5a5a5a5a5a5a5a);
		access = (ShmemAccess){.base = copy, .size = holdfast_shmem.size};
		(void) holdfast_shmem_find_tables(&access, &array); /* must only not crash */
	}
	memcpy(copy, holdfast_shmem.base, holdfast_shmem.size);
	access = (ShmemAccess){.base = copy, .size = holdfast_shmem.size};
	cr_assert(holdfast_shmem_find_tables(&access, &array));
	header = (PGShmemHeader *) copy;
	header->indexoffset = holdfast_shmem.size - 8;
	access = (ShmemAccess){.base = copy, .size = holdfast_shmem.size};
	cr_assert(!holdfast_shmem_find_tables(&access, &array));
	free(copy);
	cluster_stop();
}

/* ---- one word of the tables is wrong ---- */

static ShmemIndexEntry *
entry_of(ShmemIndexTable *index, const char *name)
{
	for (int i = 0; i < SHMEM_INDEX_SIZE; i++)
	{
		if (strcmp(index->entry[i].name, name) == 0)
			return &index->entry[i];
	}
	cr_assert_fail("no table is called %s", name);
	return NULL;
}

static bool
is_believed(char *copy)
{
	ShmemAccess access = {.base = copy, .size = holdfast_shmem.size};
	LWLockPadded *array;

	return holdfast_shmem_find_tables(&access, &array);
}

/* `word` lies in `copy`: with `value` in it nothing is believed, afterwards all is again. */
static void
expect_disbelief(char *copy, void *word, size_t size, uint64_t value, const char *what)
{
	uint64_t saved = 0;

	memcpy(&saved, word, size);
	memcpy(word, &value, size);
	cr_assert(!is_believed(copy), "believed: %s", what);
	memcpy(word, &saved, size);
	cr_assert(is_believed(copy), "not believed any more after: %s", what);
}

#define DISBELIEVES(word_, value_)                                                                 \
	expect_disbelief(copy, &(word_), sizeof(word_), (value_), #word_ " = " #value_)

Test(shmem, each_word_of_the_tables_must_be_right)
{
	static const char *const names[] = {SHMEM_NAME_TRANCHES, SHMEM_NAME_LOCKS,
										SHMEM_NAME_PROCGLOBAL, SHMEM_NAME_PROCS};
	char *copy;
	PGShmemHeader *header;
	ShmemIndexTable *index;
	LWLockTrancheTable *tranches;
	ProcGlobalData *global;

	cluster_start();
	copy = aligned_alloc(4096, (holdfast_shmem.size + 4095) & ~(Size) 4095);
	cr_assert_not_null(copy);
	memcpy(copy, holdfast_shmem.base, holdfast_shmem.size);
	header = (PGShmemHeader *) copy;
	index = (ShmemIndexTable *) (copy + header->indexoffset);
	tranches = (LWLockTrancheTable *) (copy + entry_of(index, SHMEM_NAME_TRANCHES)->offset);
	global = (ProcGlobalData *) (copy + entry_of(index, SHMEM_NAME_PROCGLOBAL)->offset);

	DISBELIEVES(header->indexoffset, 0);
	DISBELIEVES(header->indexoffset, header->indexoffset + 1);
	DISBELIEVES(header->indexoffset, SHMEM_ALIGN(holdfast_shmem.size) + 128);
	DISBELIEVES(header->indexoffset, (holdfast_shmem.size & ~(Size) 127) - 128);
	DISBELIEVES(index->magic, 0);
	DISBELIEVES(index->capacity, SHMEM_INDEX_SIZE + 1);
	DISBELIEVES(tranches->magic, 1);
	DISBELIEVES(tranches->nlocks, 0);
	DISBELIEVES(tranches->nlocks, UINT32_MAX);
	DISBELIEVES(global->magic, 1);
	DISBELIEVES(global->nprocs, 0);
	DISBELIEVES(global->nprocs, HOLDFAST_PROCS_MAX + 1);
	DISBELIEVES(global->nprocs, holdfast_shmem.nprocs + 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		ShmemIndexEntry *entry = entry_of(index, names[i]);

		DISBELIEVES(entry->ready, 0);
		DISBELIEVES(entry->name[0], 'x');
		DISBELIEVES(entry->size, 1);
		DISBELIEVES(entry->size, UINT64_MAX);
		DISBELIEVES(entry->offset, 0);
		DISBELIEVES(entry->offset, entry->offset + 8);
		DISBELIEVES(entry->offset, UINT64_MAX & ~UINT64_C(127));
	}
	free(copy);
	cluster_stop();
}

Test(shmem, a_scribbled_end_of_the_free_memory_gives_no_memory)
{
	PGShmemHeader *header;
	uint64_t right;

	cluster_start();
	header = (PGShmemHeader *) holdfast_shmem.base;
	right = header->freeoffset;
	header->freeoffset = UINT64_MAX - 3; /* wraps when it is aligned */
	cr_assert_null(ShmemAlloc(8));
	header->freeoffset = holdfast_shmem.size + 128;
	cr_assert_null(ShmemAlloc(8));
	cr_assert(holdfast_last_error()->status == HOLDFAST_LIMIT);
	header->freeoffset = right;
	cr_assert_not_null(ShmemAlloc(8));
	cr_assert(!ShmemAddrIsValid(holdfast_shmem.base - 1));
	cr_assert(!ShmemAddrIsValid(holdfast_shmem.base + holdfast_shmem.size));
	cluster_stop();
}

Test(shmem, who_has_a_segment_joins_no_other)
{
	void *base;

	cluster_start();
	base = holdfast_shmem.base;
	cr_assert(holdfast_shmem_join() == HOLDFAST_MISUSE);
	cr_assert(holdfast_shmem.base == base && LWLockArray != NULL);
	cluster_stop();
}

static int
look_up_without_slot(int arg)
{
	bool found;

	(void) arg;
	return ShmemInitStruct("board", sizeof(Board), &found) == NULL && !found &&
				   holdfast_last_error()->status == HOLDFAST_MISUSE
			   ? 0
			   : 1;
}

static int
die_with_the_index(int arg)
{
	(void) arg;
	return LWLockAcquire(SHMEM_INDEX_LOCK, LW_EXCLUSIVE) < 0 ? 1 : 0;
}

/* Entries become visible whole or not at all: a death with the lock on them is nobody's concern. */
Test(shmem, the_index_needs_a_slot_and_survives_a_death)
{
	bool found;

	cluster_start();
	cr_assert_eq(child_wait(child_start_without_slot(look_up_without_slot, 0)), 0);
	cr_assert_eq(child_wait(child_start(die_with_the_index, 0)), 0);
	cr_assert(holdfast_recover(1000000, NULL) == HOLDFAST_OK);
	cr_assert(SHMEM_INDEX_LOCK->state != 0, "poisoned");
	cr_assert(ShmemInitStruct("board", sizeof(Board), &found) == board && found);
	cr_assert(SHMEM_INDEX_LOCK->state == 0, "and mended");
	cluster_stop();
}

Test(shmem, more_locks_than_were_asked_for_are_nobodys)
{
	HoldfastShmemConfig config = {.max_locks = 40};
	HoldfastShmemConfig too_many = {.max_locks = 16 * 1024 * 1024 + 1};
	char dir[] = "/tmp/holdfast-test-XXXXXX";

	cr_assert(mkdtemp(dir) != NULL && holdfast_set_data_directory(dir) == HOLDFAST_OK);
	cr_assert(CreateDataDirLockFile(true) == HOLDFAST_OK);
	cr_assert(holdfast_shmem_create(&too_many) == HOLDFAST_MISUSE);
	cr_assert(holdfast_shmem_create(&config) == HOLDFAST_OK);
	cr_assert(holdfast_shmem.nlocks == 40);
	cr_assert_str_eq(GetLWLockIdentifier(LWLockArray[39].lock.tranche), "unknown");
	(void) snprintf(fixture_dir, sizeof(fixture_dir), "%s", dir);
	cluster_stop();
}
