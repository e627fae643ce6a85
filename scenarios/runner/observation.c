/*
 * observation.c
 *		See observation.h.
 */
#include "runner/observation.h"

#include <string.h>
#include <sys/mman.h>

CaseObservation *
observation_make(void)
{
	void *memory = mmap(NULL, sizeof(CaseObservation), PROT_READ | PROT_WRITE,
						MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void
observation_free(CaseObservation *observation)
{
	if (observation)
		munmap(observation, sizeof(*observation));
}

void
observation_begin(void)
{
	inject_observe(true);
}

/* How many processes of the same role and ordinal there were up to this one. */
static unsigned
life_of(int index, const InjectProcInfo *proc)
{
	InjectProcInfo before;
	unsigned life = 1;

	for (int i = 0; i < index && inject_proc_at(i, &before); i++)
		life += before.ordinal == proc->ordinal && strcmp(before.role, proc->role) == 0;
	return life;
}

static Observed *
find_or_add(CaseObservation *observation, const char *point, const char *role, unsigned life)
{
	Observed *item;

	for (uint32_t i = 0; i < observation->count; i++)
	{
		item = &observation->item[i];
		if (item->life == life && strcmp(item->point, point) == 0 && strcmp(item->role, role) == 0)
			return item;
	}
	if (observation->count == OBSERVED_MAX)
	{
		observation->overflow = true;
		return NULL;
	}
	item = &observation->item[observation->count++];
	*item = (Observed){.life = life};
	strcpy(item->point, point);
	strcpy(item->role, role);
	return item;
}

static void
take_process(CaseObservation *observation, int index, const InjectProcInfo *proc)
{
	InjectPointInfo point;
	uint64_t hits, fires;

	for (int i = 0; inject_point_at(i, &point); i++)
	{
		Observed *item;

		if (!inject_proc_point(index, point.name, &hits, &fires) || hits == 0)
			continue;
		item = find_or_add(observation, point.name, proc->role, life_of(index, proc));
		if (item)
			item->hits += hits;
	}
}

void
observation_take(CaseObservation *observation)
{
	InjectProcInfo proc;

	for (int i = 0; inject_proc_at(i, &proc); i++)
		take_process(observation, i, &proc);
	observation->overflow |= inject_procs_recycled() > 0;
}
