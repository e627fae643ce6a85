/*
 * table.c
 *		Open addressing over 16-byte slots.  Memory is mapped, so that what is not touched costs nothing.
 */
#include <sys/mman.h>

#include "table.h"

#define FIRST_SLOTS (UINT64_C(1) << 16)
#define STATE_BYTES 6 /* parent, move, flags */

static void *
map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
					-1, 0);

	if (at == MAP_FAILED)
		return NULL;
	/* Every look is at another page: few large ones. */
	(void) madvise(at, size, MADV_HUGEPAGE);
	return at;
}

static void
unmap(void *at, size_t size)
{
	if (at != NULL)
		(void) munmap(at, size);
}

bool
table_open(StateTable *table, uint64_t limit)
{
	/* Address space for as many states as fit the limit; pages come as they are touched. */
	size_t capacity = limit / (STATE_BYTES + sizeof(StateSlot));

	if (capacity > UINT32_MAX - 2)
		capacity = UINT32_MAX - 2;
	*table = (StateTable){.slots = FIRST_SLOTS, .capacity = capacity, .limit = limit};
	table->slot = map(table->slots * sizeof(StateSlot));
	table->parent = map(capacity * sizeof(*table->parent));
	table->move = map(capacity);
	table->flags = map(capacity);
	if (table->slot != NULL && table->parent != NULL && table->move != NULL && table->flags != NULL)
		return true;
	table_close(table);
	return false;
}

void
table_close(StateTable *table)
{
	unmap(table->slot, table->slots * sizeof(StateSlot));
	unmap(table->parent, table->capacity * sizeof(*table->parent));
	unmap(table->move, table->capacity);
	unmap(table->flags, table->capacity);
	*table = (StateTable){0};
}

uint64_t
table_bytes(const StateTable *table)
{
	return table->slots * sizeof(StateSlot) + table->states * STATE_BYTES;
}

static void
insert(StateSlot *slots, size_t count, StateSlot entry)
{
	size_t at = entry.hash_a & (count - 1);

	while (slots[at].number != 0)
		at = (at + 1) & (count - 1);
	slots[at] = entry;
}

static bool
grow(StateTable *table)
{
	size_t slots = table->slots * 2;
	StateSlot *grown;

	/* While it grows both are there. */
	if (table_bytes(table) + slots * sizeof(StateSlot) > table->limit)
		return false;
	grown = map(slots * sizeof(StateSlot));
	if (grown == NULL)
		return false;
	for (size_t i = 0; i < table->slots; i++)
	{
		if (table->slot[i].number != 0)
			insert(grown, slots, table->slot[i]);
	}
	unmap(table->slot, table->slots * sizeof(StateSlot));
	table->slot = grown;
	table->slots = slots;
	return true;
}

bool
table_find(StateTable *table, SimHash hash, uint32_t *number, bool *is_new)
{
	size_t at = hash.a & (table->slots - 1);
	uint32_t rest = (uint32_t) (hash.b >> 32);

	*is_new = false;
	for (; table->slot[at].number != 0; at = (at + 1) & (table->slots - 1))
	{
		const StateSlot *slot = &table->slot[at];

		if (slot->hash_a == hash.a && slot->hash_b == rest)
		{
			*number = slot->number - 1;
			return true;
		}
	}
	if (table->states == table->capacity)
		return false;
	if ((table->states + 1) * 10 > table->slots * 8)
	{
		/* A table that cannot grow any more fills up a little further. */
		if (!grow(table) && (table->states + 1) * 20 > table->slots * 19)
			return false;
		at = hash.a & (table->slots - 1);
		while (table->slot[at].number != 0)
			at = (at + 1) & (table->slots - 1);
	}
	*number = (uint32_t) table->states++;
	*is_new = true;
	table->slot[at] = (StateSlot){hash.a, rest, *number + 1};
	return true;
}
