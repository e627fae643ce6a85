/*
 * registry.c
 *		The points of this program: every INJECT_POINT() and every wrapped call linked into it.
 *
 * The linker collects a pointer to each in the section "holdfast_points" and names its ends.  A program
 * without any has no such section: the names are weak then, and both NULL.  Several places may carry one
 * name (an inline function, a step taken on two paths); they are one point.
 *
 * Owner: the entries are static data of whoever defined them; only their `armed` is written, here.
 * Thread safety: built once (pthread_once); registry_bind() belongs to the thread that maps the table.
 * No allocation.
 */
#include "registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

extern HoldfastInjectPoint *const __start_holdfast_points[]
	__attribute__((weak, visibility("hidden")));
extern HoldfastInjectPoint *const __stop_holdfast_points[]
	__attribute__((weak, visibility("hidden")));

const unsigned char holdfast_inject_disarmed = 0;

static RegistryPoint points[INJECT_MAX_POINTS];
static int point_count;
static bool overflowed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int
compare_sites(const HoldfastInjectPoint *left, const HoldfastInjectPoint *right)
{
	int order = strcmp(left->file, right->file);

	return order != 0 ? order : left->line - right->line;
}

/* Where `name` is, or should go. */
static int
find_position(const char *name, bool *found)
{
	int low = 0;
	int high = point_count;

	*found = false;
	while (low < high)
	{
		int middle = low + (high - low) / 2;
		int order = strcmp(name, points[middle].first->name);

		if (order == 0)
		{
			*found = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void
add_site(const HoldfastInjectPoint *site)
{
	bool found;
	int position = find_position(site->name, &found);
	RegistryPoint *point = &points[position];

	if (!found)
	{
		if (point_count == INJECT_MAX_POINTS)
		{
			overflowed = true;
			return;
		}
		memmove(point + 1, point, (size_t) (point_count - position) * sizeof(*point));
		*point = (RegistryPoint){.first = site, .index = NO_POINT};
		point->spec = inject_call_spec(site->name);
		point_count++;
	}
	else if (compare_sites(site, point->first) < 0)
		point->first = site;
	point->sites++;
	point->context |= site->context;
	point->actions = registry_actions(point->context, point->spec);
}

static void
build(void)
{
	for (HoldfastInjectPoint *const *entry = __start_holdfast_points;
		 entry < __stop_holdfast_points; entry++)
		if (*entry != NULL && strnlen((*entry)->name, INJECT_NAME_SIZE) < INJECT_NAME_SIZE)
			add_site(*entry);
}

unsigned
registry_actions(int context, const InjectCallSpec *spec)
{
	unsigned actions = INJECT_CAN_DIE | INJECT_CAN_WAIT;

	if ((context & INJECT_NO_SLEEP) == 0)
		actions |= INJECT_CAN_SLEEP;
	if ((context & INJECT_NO_MALLOC) == 0)
		actions |= INJECT_CAN_CALL;
	if ((context & (INJECT_NO_MALLOC | INJECT_NO_SLEEP)) == 0)
		actions |= INJECT_CAN_THROW;
	if ((context & INJECT_STEP_FOLLOWS) != 0)
		actions |= INJECT_CAN_SKIP;
	if (spec != NULL)
		actions |= spec->actions;
	return actions;
}

int
registry_count(void)
{
	pthread_once(&once, build);
	return point_count;
}

RegistryPoint *
registry_at(int index)
{
	return index >= 0 && index < registry_count() ? &points[index] : NULL;
}

RegistryPoint *
registry_find(const char *name)
{
	bool found;
	int position;

	pthread_once(&once, build);
	position = find_position(name, &found);
	return found ? &points[position] : NULL;
}

bool
registry_is_in(const char *point, const char *function, const char **nearest)
{
	const char *candidates[16];
	size_t count = 0;

	for (HoldfastInjectPoint *const *entry = __start_holdfast_points;
		 entry < __stop_holdfast_points; entry++)
	{
		if (*entry == NULL || strcmp((*entry)->name, point) != 0)
			continue;
		if ((*entry)->function == NULL || strcmp((*entry)->function, function) == 0)
			return true;
		if (count < sizeof(candidates) / sizeof(candidates[0]))
			candidates[count++] = (*entry)->function;
	}
	if (nearest != NULL && inject_suggest(function, candidates, count) != NULL)
		*nearest = inject_suggest(function, candidates, count);
	return false;
}

bool
registry_overflowed(void)
{
	pthread_once(&once, build);
	return overflowed;
}

void
registry_bind(const unsigned char *armed)
{
	for (HoldfastInjectPoint *const *entry = __start_holdfast_points;
		 entry < __stop_holdfast_points; entry++)
	{
		const unsigned char *byte = &holdfast_inject_disarmed;
		RegistryPoint *point = *entry == NULL ? NULL : registry_find((*entry)->name);

		if (armed != NULL && point != NULL && point->index != NO_POINT)
			byte = &armed[point->index];
		/* relaxed: threads start after this, or the caller broke the contract in inject.h */
		if (*entry != NULL)
			__atomic_store_n(&(*entry)->armed, byte, __ATOMIC_RELAXED);
	}
}
