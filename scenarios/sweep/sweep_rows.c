/*
 * sweep_rows.c
 *		From what was recorded to the rows of a sweep: which faults, where, to whom.
 *
 * Only faults that the registry calls legal at a point are made.  Rows are made in the order of the registry, then
 * of roles, so that the same recording gives the same sweep.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include "sweep/sweep.h"

#define SECONDS_PER_FIRST 3

static SweepRow *
add_row(Sweep *sweep, SweepKind kind, const char *point, const char *role, unsigned nth)
{
	SweepRow *row;

	if (sweep->count == sweep->capacity)
	{
		size_t capacity = sweep->capacity ? 2 * sweep->capacity : 512;
		SweepRow *grown = realloc(sweep->row, capacity * sizeof(*grown));

		if (!grown)
			return NULL;
		sweep->row = grown;
		sweep->capacity = capacity;
	}
	row = &sweep->row[sweep->count++];
	*row = (SweepRow){.kind = kind, .nth = nth};
	snprintf(row->point, sizeof(row->point), "%s", point);
	snprintf(row->role, sizeof(row->role), "%s", role);
	return row;
}

static void
role_filter(char *out, size_t size, const char *role)
{
	if (role[0])
		snprintf(out, size, "[proc=%s]", role);
	else
		out[0] = '\0';
}

static void
write_plan(SweepRow *row)
{
	char filter[INJECT_ROLE_SIZE + 8];
	const char *error = row->error ? inject_errno_name(row->error) : "";

	role_filter(filter, sizeof(filter), row->role);
	switch (row->kind)
	{
		case SWEEP_KILL:
		case SWEEP_STOP:
			snprintf(row->plan, sizeof(row->plan), "%s=#%u %s%s", row->point, row->nth,
					 row->kind == SWEEP_KILL ? "kill" : "stop", filter);
			break;
		case SWEEP_ERRNO_ONCE:
		case SWEEP_ERRNO_ON:
			snprintf(row->plan, sizeof(row->plan), "%s=#%u%s errno(%s)%s", row->point, row->nth,
					 row->kind == SWEEP_ERRNO_ON ? ".." : "", error, filter);
			break;
		case SWEEP_SHORT:
			snprintf(row->plan, sizeof(row->plan), "%s=#%u short(1)%s", row->point, row->nth,
					 filter);
			break;
		case SWEEP_SECOND:
			snprintf(row->plan, sizeof(row->plan), "%s=#1 kill%s; %s=after(%s) #1 kill[proc=%s]",
					 row->point, filter, row->second, row->point, row->second_role);
			break;
		case SWEEP_KINDS:
			break;
	}
}

/* What no kernel says for ever: a caller that tries again, or waits, is right. */
static const struct
{
	const char *point; /* "": any */
	int error;         /* 0: any */
	const char *why;
} cannot_last[] = {
	{"", EINTR, "cannot happen: no call is interrupted for ever"},
	{"file/unlink", ENOENT, "cannot happen: a file that is there is not missing for ever"},
	{"process/kill", 0, "cannot happen: nobody keeps a parent from ending its own child for ever"},
};

/* NULL: it can. */
static const char *
why_impossible(SweepKind kind, const char *point, int error)
{
	for (size_t i = 0; kind == SWEEP_ERRNO_ON && i < sizeof(cannot_last) / sizeof(cannot_last[0]);
		 i++)
		if ((cannot_last[i].point[0] == '\0' || strcmp(cannot_last[i].point, point) == 0) &&
			(cannot_last[i].error == 0 || cannot_last[i].error == error))
			return cannot_last[i].why;
	return NULL;
}

typedef struct RowMaker
{
	const SweepConfig *config;
	Sweep *sweep;
	const InjectPointInfo *point;
	const char *role;
	uint64_t hits;        /* 0: nobody comes here */
	const char *not_here; /* why, then */
} RowMaker;

static bool
make_row(const RowMaker *maker, SweepKind kind, int error, unsigned nth)
{
	SweepRow *row = add_row(maker->sweep, kind, maker->point->name, maker->role, nth);
	const char *why =
		maker->hits == 0 ? maker->not_here : why_impossible(kind, maker->point->name, error);

	if (!row)
		return false;
	row->error = error;
	write_plan(row);
	if (why)
	{
		row->outcome = SWEEP_NOT_REACHED;
		snprintf(row->reason, sizeof(row->reason), "%s", why);
	}
	return true;
}

/* All faults of one point and role. */
static bool
make_rows_of(const RowMaker *maker)
{
	unsigned most = maker->config->nth_max;
	bool good = true;

	if (maker->hits < most)
		most = maker->hits > 0 ? (unsigned) maker->hits : 1;
	for (unsigned nth = 1; nth <= most && good; nth++)
	{
		if (maker->point->actions & INJECT_CAN_DIE)
			good = make_row(maker, SWEEP_KILL, 0, nth) && make_row(maker, SWEEP_STOP, 0, nth);
		for (const int *error = maker->point->errnos; good && error && *error; error++)
			good = make_row(maker, SWEEP_ERRNO_ONCE, *error, nth) &&
				   make_row(maker, SWEEP_ERRNO_ON, *error, nth);
		if (good && (maker->point->actions & INJECT_CAN_SHORT))
			good = make_row(maker, SWEEP_SHORT, 0, nth);
	}
	return good;
}

bool
sweep_make_rows(const SweepConfig *config, Sweep *sweep)
{
	InjectPointInfo point;
	char not_here[96];
	RowMaker maker = {.config = config, .sweep = sweep, .point = &point, .not_here = not_here};

	snprintf(not_here, sizeof(not_here), "%s never comes here", config->scenario->id);
	for (int i = 0; inject_point_at(i, &point); i++)
	{
		bool seen = false;

		for (uint32_t j = 0; j < sweep->recorded->count; j++)
		{
			const Observed *observed = &sweep->recorded->item[j];

			if (strcmp(observed->point, point.name) != 0 || observed->life != 1)
				continue;
			seen = true;
			maker.role = observed->role;
			maker.hits = observed->hits;
			if (!make_rows_of(&maker))
				return false;
		}
		maker.role = "";
		maker.hits = 0;
		if (!seen && !make_rows_of(&maker))
			return false;
	}
	return true;
}

/* ---- second deaths ---- */

static bool
was_recorded(const CaseObservation *recorded, const Observed *observed)
{
	for (uint32_t i = 0; i < recorded->count; i++)
		if (strcmp(recorded->item[i].point, observed->point) == 0)
			return true;
	return false;
}

/* Something that happened because of the first death: in a successor, or nowhere without it. */
static bool
belongs_to_recovery(const Sweep *sweep, const SweepRow *first, const Observed *observed)
{
	InjectPointInfo info;

	if (strcmp(observed->point, first->point) == 0)
		return false; /* the plan's language has one chain per point; that one is spent */
	if (observed->role[0] == '\0')
		return false; /* the case's own process, which looks on */
	if (observed->life == 1 && was_recorded(sweep->recorded, observed))
		return false;
	return inject_point_find(observed->point, &info) && (info.actions & INJECT_CAN_DIE);
}

static size_t
candidates_of(const Sweep *sweep, const SweepRow *first, const Observed **candidate, size_t most)
{
	size_t count = 0;

	for (uint32_t i = 0; i < first->observation->count && count < most; i++)
		if (belongs_to_recovery(sweep, first, &first->observation->item[i]))
			candidate[count++] = &first->observation->item[i];
	return count;
}

static bool
add_second(Sweep *sweep, size_t first, const Observed *second)
{
	char point[INJECT_NAME_SIZE], role[INJECT_ROLE_SIZE];
	SweepRow *row;

	strcpy(point, sweep->row[first].point); /* the rows may move */
	strcpy(role, sweep->row[first].role);
	row = add_row(sweep, SWEEP_SECOND, point, role, 1);
	if (!row)
		return false;
	strcpy(row->second, second->point);
	strcpy(row->second_role, second->role);
	write_plan(row);
	return true;
}

bool
sweep_make_second_rows(const SweepConfig *config, Sweep *sweep)
{
	static const Observed *candidate[OBSERVED_MAX];
	size_t firsts = sweep->count;

	for (size_t i = 0; i < firsts; i++)
	{
		size_t count, chosen;

		if (!sweep->row[i].observation)
			continue;
		count = candidates_of(sweep, &sweep->row[i], candidate, OBSERVED_MAX);
		chosen = config->depth == SWEEP_SECOND_ALL || count < SECONDS_PER_FIRST ? count
																				: SECONDS_PER_FIRST;
		sweep->second_possible += count;
		/* Each first begins elsewhere, so that all second places have their turn; by its place alone, as in other parts. */
		for (size_t k = 0; k < chosen; k++)
			if (!add_second(sweep, i, candidate[(i * SECONDS_PER_FIRST + k) % count]))
				return false;
	}
	return true;
}
