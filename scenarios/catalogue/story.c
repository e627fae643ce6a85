/*
 * story.c
 *		See story.h.
 */
#include "catalogue/story.h"

#include <signal.h>

void
stories_list(ScenarioCaseList *list, const Story *stories)
{
	for (long i = 0; stories[i].name != NULL; i++)
	{
		for (int memory = 0; memory <= (stories[i].twice ? 1 : 0); memory++)
		{
			ScenarioCase *added =
				scenario_case_add(list, "%s%s", stories[i].name, memory ? ":mmap" : "");

			if (added == NULL)
				return;
			added->param[0] = i;
			added->param[1] = memory ? HOLDFAST_MEMORY_MMAP : HOLDFAST_MEMORY_SYSV;
		}
	}
}

ScenarioStatus
stories_run(ScenarioContext *ctx, const ScenarioCase *which, const Story *stories)
{
	SCENARIO_TRY(stories[which->param[0]].run(ctx, (HoldfastMemoryType) which->param[1]));
	return expect_nothing_left(ctx);
}

Served
served_with(const ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = {.config = served_config(ctx)};

	served.config.memory.type = memory;
	return served;
}

ScenarioStatus
end_orphan(ScenarioContext *ctx, pid_t worker)
{
	kill(worker, SIGKILL);
	return wait_for_pid_gone(ctx, worker);
}

ScenarioStatus
segment_forbids_start(ScenarioContext *ctx)
{
	Served served = {.config = served_config(ctx)};

	SCENARIO_TRY(served_start(ctx, &served));
	return served_refused(ctx, &served, "pre-existing shared memory block",
						  "Terminate any old server processes");
}
