/*
 * cmd_orphans.c
 *		`holdfast orphans`: segments whose incarnation is dead, of any data directory; --reap removes them.
 *
 * Only what carries our header, has nobody attached and whose creator is dead is an orphan; that is asked again for
 * each one right before it is removed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/pg_shmem.h>

#include "command.h"
#include "results/json_writer.h"

static struct
{
	bool json, reap, all;
} opt;

static const Option *
orphans_options(void)
{
	static const Option options[] = {
		{"--reap", OPTION_FLAG, &opt.reap, NULL, "remove them"},
		{"--all", OPTION_FLAG, &opt.all, NULL, "list the living too"},
		{"--json", OPTION_FLAG, &opt.json, NULL, "as JSON"},
		{0},
	};

	return options;
}

typedef struct Found
{
	HoldfastOrphan *item;
	size_t count, capacity;
	bool out_of_memory;
} Found;

static bool
collect(const HoldfastOrphan *orphan, void *arg)
{
	Found *found = arg;

	if (orphan->incarnation_alive && !opt.all)
		return true;
	if (found->count == found->capacity)
	{
		size_t capacity = found->capacity * 2 + 16;
		HoldfastOrphan *item = realloc(found->item, capacity * sizeof(*item));

		if (item == NULL)
		{
			found->out_of_memory = true;
			return false;
		}
		found->item = item;
		found->capacity = capacity;
	}
	found->item[found->count++] = *orphan;
	return true;
}

static const char *
fate(const HoldfastOrphan *orphan, int *failures)
{
	if (orphan->incarnation_alive)
		return "alive";
	if (!opt.reap)
		return "orphan";
	if (holdfast_segment_reap(orphan->shmid, &orphan->cookie) == HOLDFAST_OK)
		return "reaped";
	(void) fprintf(stderr, "holdfast: %s\n", holdfast_last_error()->message);
	(*failures)++;
	return "kept";
}

static void
print_one(JsonWriter *json, const HoldfastOrphan *orphan, const char *what)
{
	if (!opt.json)
	{
		(void) printf("%-7s id %-10d key %-10u %12" PRIu64 " bytes  %" PRIu64
					  " attached  creator %d  directory %" PRIu64 ":%" PRIu64 "\n",
					  what, orphan->shmid, (unsigned) orphan->key, orphan->size, orphan->nattch,
					  (int) orphan->creator_pid, orphan->device, orphan->inode);
		return;
	}
	json_object(json, NULL);
	json_string(json, "state", what);
	json_int(json, "shmid", orphan->shmid);
	json_uint(json, "key", (uint32_t) orphan->key);
	json_uint(json, "size", orphan->size);
	json_uint(json, "nattch", orphan->nattch);
	json_int(json, "creator_pid", orphan->creator_pid);
	json_bool(json, "removed", orphan->removed);
	json_uint(json, "device", orphan->device);
	json_uint(json, "inode", orphan->inode);
	json_object_end(json);
}

static int
print_found(const Found *found)
{
	JsonWriter json;
	int failures = 0;

	json_begin(&json, stdout);
	if (opt.json)
	{
		json_object(&json, NULL);
		json_int(&json, "schema_version", 1);
		json_array(&json, "segments");
	}
	for (size_t i = 0; i < found->count; i++)
		print_one(&json, &found->item[i], fate(&found->item[i], &failures));
	if (opt.json)
	{
		json_array_end(&json);
		json_object_end(&json);
		if (!json_finish(&json))
			return EXIT_INTERNAL;
	}
	else if (found->count == 0)
		(void) printf("no orphans\n");
	return failures > 0 ? EXIT_FINDINGS : EXIT_GOOD;
}

static int
run_orphans(int argc, char **argv)
{
	Found found = {0};
	int count;
	int status = command_options(&command_orphans, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count > 0)
		return usage_error("orphans takes no operands");
	if (holdfast_segments_visit(collect, &found) < 0)
	{
		(void) fprintf(stderr, "holdfast: %s\n", holdfast_last_error()->message);
		status = EXIT_UNFIT;
	}
	else
		status = found.out_of_memory ? EXIT_INTERNAL : print_found(&found);
	free(found.item);
	return status;
}

const Command command_orphans = {
	.name = "orphans",
	.usage = "[--reap] [OPTION...]",
	.summary = "segments of dead servers; --reap removes only those",
	.run = run_orphans,
	.options = orphans_options,
};
