/*
 * report.c
 *		What there is, and what happened: points, processes, items, what never fired.
 *
 * Counters are those of the plan that is or was last armed.  They are read as they stand; for exact numbers
 * the processes that count have ended, or are parked.
 *
 * Thread safety: reads only.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "identity.h"
#include "registry.h"
#include "symbol.h"
#include "table.h"

static uint64_t
current_epoch(void)
{
	return active_epoch(active_load());
}

static uint32_t
bounded(uint32_t *count, uint32_t limit)
{
	/* acquire: pairs with the release that published the last entry */
	uint32_t value = __atomic_load_n(count, __ATOMIC_ACQUIRE);

	return value < limit ? value : limit;
}

/* ---- points ---- */

/* A fire is counted after its hit: whoever is between the two, or died there, has skipped so far. */
static uint64_t
rest_of(uint64_t hits, uint64_t fires)
{
	return hits > fires ? hits - fires : 0;
}

static void
describe_counters(unsigned index, InjectPointInfo *info)
{
	uint64_t active = active_load();
	uint32_t count = bounded(&inject_table->proc_count, INJECT_MAX_PROCS);

	/* COMMON_SLOT too */
	for (uint32_t i = 0; i <= count; i++)
	{
		const TableProc *proc = &inject_table->procs[i < count ? i : COMMON_SLOT];

		info->fires += counter_read(&proc->fires[index], active_epoch(active));
		info->hits += counter_read(&proc->hits[index], active_epoch(active));
	}
	info->skips = rest_of(info->hits, info->fires);
	info->armed = active_is_armed(active) && active_plan(active)->point_items[index] != 0;
}

static void
describe_spec(const InjectCallSpec *spec, InjectPointInfo *info)
{
	info->errnos = spec != NULL ? spec->errnos : NULL;
	info->arg = spec != NULL ? spec->arg : "";
}

static void
describe_local(const RegistryPoint *point, InjectPointInfo *info)
{
	memset(info, 0, sizeof(*info));
	strcpy(info->name, point->first->name);
	info->file = point->first->file;
	info->line = point->first->line;
	info->sites = point->sites;
	info->context = point->context;
	info->corpse = point->first->corpse;
	info->function = point->first->function != NULL ? point->first->function : "";
	info->actions = point->actions;
	describe_spec(point->spec, info);
	if (point->index != NO_POINT && inject_table != NULL)
		describe_counters(point->index, info);
}

static void
describe_foreign(unsigned index, InjectPointInfo *info)
{
	/* the table outlives what `info` is used for; its names are written once */
	const TablePoint *point = &inject_table->points[index];
	const InjectCallSpec *spec;

	memset(info, 0, sizeof(*info));
	memcpy(info->name, point->name, sizeof(info->name));
	info->name[sizeof(info->name) - 1] = '\0';
	spec = inject_call_spec(info->name);
	info->file = point->file;
	info->line = point->line;
	info->corpse = "";
	info->function = "";
	info->context = (int) point->context;
	info->actions = registry_actions(info->context, spec);
	describe_spec(spec, info);
	describe_counters(index, info);
}

/* The n-th point of the table that this program does not have; -1 past the end. */
static int
find_foreign(int nth)
{
	uint32_t count;

	if (inject_table == NULL)
		return -1;
	count = bounded(&inject_table->point_count, INJECT_MAX_POINTS);
	for (uint32_t i = 0; i < count; i++)
		if (registry_find(inject_table->points[i].name) == NULL && nth-- == 0)
			return (int) i;
	return -1;
}

bool
inject_point_at(int index, InjectPointInfo *info)
{
	const RegistryPoint *local = registry_at(index);
	int foreign;

	if (index < 0)
		return false;
	if (local != NULL)
	{
		describe_local(local, info);
		return true;
	}
	foreign = find_foreign(index - registry_count());
	if (foreign < 0)
		return false;
	describe_foreign((unsigned) foreign, info);
	return true;
}

bool
inject_point_find(const char *name, InjectPointInfo *info)
{
	const RegistryPoint *local = registry_find(name);
	unsigned index = inject_table != NULL ? table_find_point(name) : NO_POINT;

	if (local != NULL)
		describe_local(local, info);
	else if (index != NO_POINT)
		describe_foreign(index, info);
	return local != NULL || index != NO_POINT;
}

/* "shmget" is meant for "sysv/shm/shmget". */
static bool
ends_in(const char *name, const char *word)
{
	size_t name_length = strlen(name);
	size_t length = strlen(word);

	return length > 0 && name_length > length && name[name_length - length - 1] == '/' &&
		   strcmp(name + name_length - length, word) == 0;
}

const char *
inject_point_suggest(const char *name)
{
	static _Thread_local char found[INJECT_NAME_SIZE];
	const char *candidate = found;
	unsigned best = UINT_MAX;
	InjectPointInfo info;

	for (int i = 0; inject_point_at(i, &info); i++)
	{
		unsigned distance = ends_in(info.name, name) ? 0 : inject_edit_distance(name, info.name);

		if (distance >= best)
			continue;
		best = distance;
		memcpy(found, info.name, sizeof(found));
	}
	if (best == UINT_MAX)
		return NULL;
	return best == 0 ? found : inject_suggest(name, &candidate, 1);
}

/* ---- processes ---- */

/* Without those who had the slot before. */
static uint64_t
own_hits(const TableProc *proc, unsigned point, uint64_t epoch)
{
	return counter_read(&proc->hits[point], epoch) - counter_read(&proc->hits_before[point], epoch);
}

static uint64_t
own_fires(const TableProc *proc, unsigned point, uint64_t epoch)
{
	return counter_read(&proc->fires[point], epoch) -
		   counter_read(&proc->fires_before[point], epoch);
}

/* The n-th slot in use. */
static TableProc *
find_proc(int nth)
{
	uint32_t count;

	if (inject_table == NULL || nth < 0)
		return NULL;
	count = bounded(&inject_table->proc_count, INJECT_MAX_PROCS);
	for (uint32_t i = 0; i < count; i++)
	{
		TableProc *proc = &inject_table->procs[i];

		/* acquire: pairs with the release in take_slot() */
		if (__atomic_load_n(&proc->serial, __ATOMIC_ACQUIRE) != 0 && nth-- == 0)
			return proc;
	}
	return NULL;
}

static void
describe_caller(const TableProc *proc, InjectProcInfo *info)
{
	char module[TABLE_MODULE + 1] = "";
	char symbol[INJECT_NAME_SIZE];
	const char *name;

	memcpy(module, proc->last_module, TABLE_MODULE);
	if (module[0] == '\0')
		return;
	name = strrchr(module, '/') != NULL ? strrchr(module, '/') + 1 : module;
	/* the byte before: what is returned to may be the next function's */
	if (symbol_at(module, proc->last_offset, symbol, sizeof(symbol)))
		snprintf(info->last_caller, sizeof(info->last_caller), "%.63s (%.90s+0x%llx)", symbol, name,
				 (unsigned long long) proc->last_offset);
	else
		snprintf(info->last_caller, sizeof(info->last_caller), "%s+0x%llx", name,
				 (unsigned long long) proc->last_offset);
}

static void
describe_last_fire(const TableProc *proc, uint64_t epoch, InjectProcInfo *info)
{
	uint64_t last = __atomic_load_n(&proc->last_fire, __ATOMIC_RELAXED);
	const char *action = inject_action_name((InjectActionKind) (last >> 50 & 31));

	if (last == 0 || (last >> 34 & 0xffff) != (epoch & 0xffff))
		return;
	memcpy(info->last_point, inject_table->points[last >> 55].name, INJECT_NAME_SIZE);
	memcpy(info->last_file, proc->last_file, sizeof(info->last_file));
	info->last_file[sizeof(info->last_file) - 1] = '\0';
	info->last_line = proc->last_line;
	describe_caller(proc, info);
	info->last_hit = last & ((UINT64_C(1) << 34) - 1);
	if (action != NULL)
		snprintf(info->last_action, sizeof(info->last_action), "%s", action);
}

bool
inject_proc_at(int index, InjectProcInfo *info)
{
	const TableProc *proc = find_proc(index);
	uint64_t epoch;
	uint32_t count;

	if (proc == NULL)
		return false;
	epoch = current_epoch();
	memset(info, 0, sizeof(*info));
	info->pid = identity_pid(proc->identity);
	info->live = identity_alive(proc->identity);
	memcpy(info->role, proc->role, sizeof(info->role));
	info->role[sizeof(info->role) - 1] = '\0';
	info->ordinal = proc->ordinal;
	count = bounded(&inject_table->point_count, INJECT_MAX_POINTS);
	memcpy(info->program, proc->program, sizeof(info->program));
	info->program[sizeof(info->program) - 1] = '\0';
	for (uint32_t i = 0; i < count; i++)
	{
		info->hits += own_hits(proc, i, epoch);
		info->fires += own_fires(proc, i, epoch);
	}
	describe_last_fire(proc, epoch, info);
	return true;
}

bool
inject_proc_point(int index, const char *point, uint64_t *hits, uint64_t *fires)
{
	const TableProc *proc = find_proc(index);
	unsigned at = proc != NULL ? table_find_point(point) : NO_POINT;

	if (at == NO_POINT)
		return false;
	*hits = own_hits(proc, at, current_epoch());
	*fires = own_fires(proc, at, current_epoch());
	return true;
}

uint64_t
inject_procs_recycled(void)
{
	if (inject_table == NULL)
		return 0;
	return __atomic_load_n(&inject_table->procs_recycled, __ATOMIC_RELAXED);
}

uint64_t
inject_waits_expired(void)
{
	if (inject_table == NULL)
		return 0;
	return __atomic_load_n(&inject_table->waits_expired, __ATOMIC_RELAXED);
}

/* ---- items ---- */

bool
inject_item_at(int index, InjectItemInfo *info)
{
	uint64_t active;
	uint32_t count;
	const TableItem *item;

	if (inject_table == NULL || index < 0)
		return false;
	active = active_load();
	if ((uint32_t) index >= bounded(&active_plan(active)->item_count, INJECT_MAX_ITEMS))
		return false;
	item = &active_plan(active)->items[index];
	memcpy(info->point, item->point, sizeof(info->point));
	memcpy(info->text, item->text, sizeof(info->text));
	info->can_fire = item->can_fire != 0;
	count = bounded(&inject_table->proc_count, INJECT_MAX_PROCS);
	info->hits = info->fires = 0;
	for (uint32_t i = 0; i <= count; i++)
	{
		const TableProc *proc = &inject_table->procs[i < count ? i : COMMON_SLOT];

		info->fires += counter_read(&proc->item_fires[index], active_epoch(active));
		info->hits += counter_read(&proc->item_hits[index], active_epoch(active));
	}
	info->skips = rest_of(info->hits, info->fires);
	return true;
}

int
inject_unfired(int *items, int max, InjectError *error)
{
	InjectItemInfo info;
	char list[sizeof(error->message)] = "";
	size_t length = 0;
	int count = 0;

	for (int i = 0; inject_item_at(i, &info); i++)
	{
		int added;

		if (!info.can_fire || info.fires > 0)
			continue;
		if (items != NULL && count < max)
			items[count] = i;
		added = snprintf(list + length, sizeof(list) - length, "%s%s", count > 0 ? "; " : "",
						 info.text);
		length =
			length + (size_t) added < sizeof(list) ? length + (size_t) added : sizeof(list) - 1;
		count++;
	}
	if (count > 0)
		inject_fail(error, INJECT_OK, "%s", list);
	return count;
}

size_t
inject_armed_text(char *text, size_t size)
{
	const TablePlan *plan;
	size_t length;

	if (size > 0)
		text[0] = '\0';
	if (inject_table == NULL || current_epoch() == 0)
		return 0;
	plan = active_plan(active_load());
	length = strnlen(plan->text, sizeof(plan->text));
	if (size > 0)
		snprintf(text, size, "%.*s", (int) length, plan->text);
	return length;
}
