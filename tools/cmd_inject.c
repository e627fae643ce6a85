/*
 * cmd_inject.c
 *		`holdfast inject`: the faults of processes that run already.
 *
 * Whoever runs under a control table (holdfast exec, HOLDFAST_PLAN, a test) has its descriptor open; it is found through
 * /proc/PID/fd, and one arm reaches all who share it.  Needs the rights that reading another process's descriptors
 * needs: the same user's, or root's.  Waiters of the plan before go on when a new one is armed or all is disarmed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "inject/inject.h"
#include "plan_argument.h"
#include "plan_json.h"
#include "results/json_writer.h"

static struct
{
	uint64_t pid;
	bool json;
} opt;

static const Option *
inject_options(void)
{
	static const Option options[] = {
		{"--pid|-p", OPTION_NUMBER, &opt.pid, "PID", "one of the processes that share the table"},
		{"--json", OPTION_FLAG, &opt.json, NULL, "status: as JSON"},
		{0},
	};

	return options;
}

/* ---- finding the table ---- */

/* memfds are shown as "/memfd:NAME (deleted)". */
static bool
looks_like_table(const char *path)
{
	char target[64];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	if (length <= 0)
		return false;
	target[length] = '\0';
	return strncmp(target, "/memfd:holdfast-inject", 22) == 0;
}

/* EXIT_GOOD with the table mapped, or what was said. */
static int
attach_to_process(void)
{
	char directory[64];
	char path[PATH_MAX];
	char text[400];
	InjectError error;
	InjectStatus status = INJECT_NO_TABLE;
	DIR *listing;

	(void) snprintf(directory, sizeof(directory), "/proc/%" PRIu64 "/fd", opt.pid);
	listing = opendir(directory);
	if (listing == NULL)
	{
		(void) fprintf(stderr, "holdfast: process %" PRIu64 ": %s\n", opt.pid,
					   errno == ENOENT ? "there is none" : strerror(errno));
		return EXIT_UNFIT;
	}
	for (struct dirent *entry = readdir(listing); entry != NULL && status == INJECT_NO_TABLE;
		 entry = readdir(listing))
	{
		int fd;

		(void) snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		if (!looks_like_table(path))
			continue;
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		status = inject_table_attach(fd, &error);
		(void) close(fd);
	}
	(void) closedir(listing);
	if (status == INJECT_OK)
		return EXIT_GOOD;
	if (status == INJECT_NO_TABLE)
		(void) snprintf(text, sizeof(text), "runs under no control table");
	else
		inject_error_text(&error, text, sizeof(text));
	(void) fprintf(stderr, "holdfast: process %" PRIu64 ": %s\n", opt.pid, text);
	return EXIT_UNFIT;
}

/* ---- what can be done ---- */

static int
disarm(const char *unused)
{
	(void) unused;
	inject_disarm_all();
	return EXIT_GOOD;
}

static int
release(const char *tag)
{
	int count = inject_release(tag);

	if (count < 0)
		return usage_error("the plan has no tag \"%s\"", tag);
	(void) printf("%d released\n", count);
	return EXIT_GOOD;
}

/* Points of the armed plan are on; the plan that was is shown too, with its numbers. */
static bool
is_armed(void)
{
	InjectPointInfo point;

	for (int i = 0; inject_point_at(i, &point); i++)
		if (point.armed)
			return true;
	return false;
}

static void
status_text(const char *plan, InjectWaiter *waiters, int count)
{
	InjectItemInfo item;
	InjectProcInfo proc;

	(void) printf("%s%s\n", is_armed() ? "armed: " : "disarmed", is_armed() ? plan : "");
	for (int i = 0; inject_item_at(i, &item); i++)
		(void) printf("  %-44s reached %" PRIu64 ", fired %" PRIu64 "\n", item.text, item.hits,
					  item.fires);
	for (int i = 0; inject_proc_at(i, &proc); i++)
		if (proc.hits > 0)
			(void) printf("  pid %-8d %s %s.%d reached %" PRIu64 ", fired %" PRIu64 "%s%s%s\n",
						  (int) proc.pid, proc.program, proc.role, proc.ordinal, proc.hits,
						  proc.fires, proc.last_point[0] != '\0' ? ", last at " : "",
						  proc.last_point, proc.live ? "" : "; it has ended");
	for (int i = 0; i < count; i++)
		(void) printf("  pid %-8d waits at %s (%s)\n", (int) waiters[i].pid, waiters[i].tag,
					  waiters[i].point);
}

static void
json_waiter(JsonWriter *json, const InjectWaiter *waiter)
{
	json_object(json, NULL);
	json_int(json, "pid", waiter->pid);
	json_int(json, "tid", waiter->tid);
	json_string(json, "tag", waiter->tag);
	json_string(json, "point", waiter->point);
	json_string(json, "role", waiter->role);
	json_int(json, "ordinal", waiter->ordinal);
	json_object_end(json);
}

static bool
status_json(const char *plan, const InjectWaiter *waiters, int count)
{
	InjectProcInfo proc;
	JsonWriter json;

	json_begin(&json, stdout);
	json_object(&json, NULL);
	json_int(&json, "schema_version", 1);
	json_bool(&json, "armed", is_armed());
	json_string(&json, "plan", plan);
	plan_json_items(&json);
	json_array(&json, "procs");
	for (int i = 0; inject_proc_at(i, &proc); i++)
	{
		if (proc.hits == 0)
			continue;
		plan_json_proc(&json, &proc);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_array(&json, "waiters");
	for (int i = 0; i < count; i++)
		json_waiter(&json, &waiters[i]);
	json_array_end(&json);
	json_uint(&json, "waits_expired", inject_waits_expired());
	json_object_end(&json);
	return json_finish(&json);
}

static int
show_status(const char *unused)
{
	static char plan[INJECT_PLAN_SIZE];
	static InjectWaiter waiters[256];
	int count = inject_waiters(waiters, 256);

	(void) unused;
	(void) inject_armed_text(plan, sizeof(plan));
	if (count > 256)
		count = 256;
	if (opt.json)
		return status_json(plan, waiters, count) ? EXIT_GOOD : EXIT_INTERNAL;
	status_text(plan, waiters, count);
	return EXIT_GOOD;
}

static const struct
{
	const char *name;
	const char *argument; /* NULL: none */
	int (*run)(const char *argument);
} deeds[] = {
	{"arm", "PLAN", plan_argument_arm},
	{"disarm", NULL, disarm},
	{"release", "TAG", release},
	{"status", NULL, show_status},
};

static int
run_inject(int argc, char **argv)
{
	static const char *const names[] = {"arm", "disarm", "release", "status", NULL};
	size_t deed = 0;
	int count;
	int status = command_options(&command_inject, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count == 0)
		return usage_error("inject wants one of: arm PLAN, disarm, release TAG, status");
	while (names[deed] != NULL && strcmp(names[deed], argv[0]) != 0)
		deed++;
	if (names[deed] == NULL)
		return usage_error("inject knows arm, disarm, release and status, not \"%s\"%s", argv[0],
						   did_you_mean(argv[0], names));
	if (count != (deeds[deed].argument != NULL ? 2 : 1))
		return usage_error("inject %s wants %s", names[deed],
						   deeds[deed].argument != NULL ? deeds[deed].argument : "nothing more");
	if (opt.pid == 0 || opt.pid > INT_MAX)
		return usage_error("inject wants --pid PID: one of the processes under the control table");
	status = attach_to_process();
	return status == EXIT_GOOD ? deeds[deed].run(argv[1]) : status;
}

const Command command_inject = {
	.name = "inject",
	.usage = "arm PLAN|disarm|release TAG|status --pid PID [--json]",
	.summary = "arm, disarm and watch the faults of processes that run already",
	.run = run_inject,
	.options = inject_options,
	.examples =
		"  holdfast exec --plan 'sysv/shm/shmget=off' -- postgres -D data &\n"
		"  holdfast inject arm 'file/fsync=#3 errno(EIO)' --pid $(head -1 data/postmaster.pid)\n",
};
