/*
 * c77_removeipc.c
 *		The user of the server logs out, and systemd (RemoveIPC=yes) removes what is his.
 *
 * The story: what systemd's logind does is done here: segments with nobody attached, semaphores, message queues and the
 * files of /dev/shm of one user are removed.  While the server runs; after it was killed; and in the one moment in which a
 * segment of a starting server has nobody attached, between shmget and shmat.
 *
 * PostgreSQL (postgresql.md k3): its segment is spared, its semaphores and /dev/shm files are not: the server CRASHES.
 * Ours: has nothing but attached segments, and futexes in them.  A start that loses its segment in that moment refuses
 * cleanly, and the next one is good.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalogue/catalogue.h"
#include "catalogue/story.h"
#include "oracle/leftovers.h"
#include "runner/faults.h"

/* By index, as ipcrm -a: the highest, and what makes an id of an index. */
static void
remove_semaphores_and_queues(void)
{
	struct seminfo summary;
	struct msginfo queues;
	int highest = semctl(0, 0, SEM_INFO,
						 (union {
							 int v;
							 void *p;
						 }){.p = &summary}
							 .p);

	for (int i = 0; i <= highest; i++)
	{
		struct semid_ds info;
		int id = semctl(i, 0, SEM_STAT, &info);

		if (id >= 0)
			(void) semctl(id, 0, IPC_RMID);
	}
	highest = msgctl(0, MSG_INFO, (struct msqid_ds *) (void *) &queues);
	for (int i = 0; i <= highest; i++)
	{
		struct msqid_ds info;
		int id = msgctl(i, MSG_STAT, &info);

		if (id >= 0)
			(void) msgctl(id, IPC_RMID, NULL);
	}
}

/* Returns how many segments went. */
static int
remove_unattached_segments(void)
{
	struct shm_info summary;
	int highest = shmctl(0, SHM_INFO, (struct shmid_ds *) (void *) &summary);
	int removed = 0;

	for (int i = 0; i <= highest; i++)
	{
		struct shmid_ds info;
		int id = shmctl(i, SHM_STAT, &info);

		if (id >= 0 && info.shm_nattch == 0 && shmctl(id, IPC_RMID, NULL) == 0)
			removed++;
	}
	return removed;
}

static int
log_out(void)
{
	remove_semaphores_and_queues();
	return remove_unattached_segments();
}

static ScenarioStatus
while_running(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = served_with(ctx, memory);

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_REQUIRE(ctx, leftovers_count_semaphores() == 0, "it has semaphores to lose");
	SCENARIO_REQUIRE(ctx, log_out() == 0, "a segment in use was removed");
	SCENARIO_TRY(expect_inspect(ctx, HOLDFAST_INSPECT_IN_USE, 1));
	/* A restart of everything in it works as well. */
	SCENARIO_TRY(faults_arm(ctx, "bank/transfer/half=#20 kill[proc=worker.1]"));
	SCENARIO_TRY(served_wait_said(ctx, &served, "recovered:"));
	SCENARIO_TRY(faults_disarm(ctx));
	return served_down(ctx, &served);
}

static ScenarioStatus
after_a_kill(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = served_with(ctx, memory);

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(actor_kill(ctx, &served.supervisor));
	served_close(&served);
	SCENARIO_TRY(workers_gone(ctx));
	SCENARIO_REQUIRE(ctx, log_out() == 1, "the dead server's segment was not removed");
	/* Line 7 now names a segment that does not exist. */
	return served_clean_life(ctx);
}

static ScenarioStatus
between_shmget_and_shmat(ScenarioContext *ctx, HoldfastMemoryType memory)
{
	Served served = served_with(ctx, memory);

	SCENARIO_TRY(faults_arm(ctx, "sysv/create/post-shmget=#1 pause(bare)[proc=supervisor]"));
	SCENARIO_TRY(served_start(ctx, &served));
	SCENARIO_TRY(faults_wait_reached(ctx, "bare", 1));
	SCENARIO_REQUIRE(ctx, log_out() == 1, "the segment was not removed");
	inject_release("bare");
	SCENARIO_TRY(served_refused(ctx, &served, "shmat(id=", NULL));
	SCENARIO_TRY(faults_disarm(ctx));
	SCENARIO_TRY(expect_nothing_left(ctx));
	return served_clean_life(ctx);
}

static const Story stories[] = {
	{"while-running", while_running, true},
	{"after-a-kill", after_a_kill, true},
	{"between-shmget-and-shmat", between_shmget_and_shmat, true},
	{0},
};

STORIES_AS_CASES(stories)

static const char *const mutants[] = {"175-gone-is-in-use", NULL};

static const ScenarioHole holes[] = {
	{"k3", "the segment is spared, semaphores and /dev/shm files are not: the server CRASHES",
	 "has neither: goes on; a start that loses its bare segment refuses cleanly", "*"},
	{0},
};

const Scenario scenario_c77_removeipc = {
	.id = "c77-removeipc",
	.summary = "a logout removes the user's IPC objects: the server has none to lose",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
	.holes = holes,
};
