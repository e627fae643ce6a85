/*
 * mmap_block.h
 *		The memory of a server whose shared_memory_type is mmap.  What the interlock segment says of it: shmem_layout.h.
 */
#ifndef HOLDFAST_MMAP_BLOCK_H
#define HOLDFAST_MMAP_BLOCK_H

#include "shmem_layout.h"

/*
 * Makes a zeroed block of at least `size` bytes in the pages that `memory` asks for, maps it, and describes it in *record.
 * FATAL as PostgreSQL words it when there is no such memory.  Nothing is left then.
 */
HOLDFAST_MUST_CHECK HoldfastStatus holdfast_block_create(Size size, const HoldfastMemory *memory,
														 BlockRecord *record, void **address);

/* Unmaps and closes this process's block, if it has one. */
void holdfast_block_release(void);

/* The record is whole and could be one of ours. */
bool holdfast_block_record_is_valid(const BlockRecord *record);
uint32_t holdfast_block_record_crc(const BlockRecord *record);

/*
 * The block of a running server, through the descriptor of any process that has it; `creator` is asked first.  -1 with
 * errno: ENOENT when no process that we may look at has it.
 */
int holdfast_block_open(const BlockRecord *record, pid_t creator, bool writable);

/* Maps that block as this process's own.  NULL with errno. */
void *holdfast_block_join(const BlockRecord *record, pid_t creator);

/* What /proc/meminfo at `path` says, else 2 MB. */
Size holdfast_huge_page_default(const char *path);

#endif
