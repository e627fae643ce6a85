/*
 * x40_collision.c
 *		The key that a starting server wants is taken: by a stranger, by its own past, by something in between.
 *
 * Each case is a function that sets up the collision and says what must come of it.  The rule behind all of them: what is not
 * ours is never touched, what is ours and dead is recycled, what is ours and alive forbids the start.
 *
 * PostgreSQL (postgresql.md d, e, i): takes the next key beside a stranger; leaks that next key's segment when the
 * stranger goes; leaks a segment without header for ever.  What it overlooks when it starts: c70, c71.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

#include "catalogue/catalogue.h"
#include "catalogue/collision.h"
#include "oracle/leftovers.h"
#include "runner/faults.h"

typedef struct CollisionCase
{
	const char *name;
	ScenarioStatus (*run)(ScenarioContext *ctx);
} CollisionCase;

/* ---- strangers ---- */

/* A server starts beside it, under another key, and leaves it alone. */
static ScenarioStatus
lives_beside(ScenarioContext *ctx, Stranger *stranger)
{
	Served served = {.config = served_config(ctx)};
	IpcMemoryKey key;

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(recorded_key(ctx, &key, NULL));
	SCENARIO_REQUIRE(ctx, key != stranger->key, "two segments under one key");
	SCENARIO_TRY(served_down(ctx, &served));
	SCENARIO_TRY(stranger_untouched(ctx, stranger));
	SCENARIO_REQUIRE(ctx, leftovers_count_segments() == 1, "%d segments instead of the stranger's",
					 leftovers_count_segments());
	return stranger_remove(ctx, stranger);
}

static ScenarioStatus
foreign_attached(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096, .attach = true};

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	return lives_beside(ctx, &stranger);
}

static ScenarioStatus
foreign_unattached(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096};

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	return lives_beside(ctx, &stranger);
}

static ScenarioStatus
foreign_tiny(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 1};

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	return lives_beside(ctx, &stranger);
}

static ScenarioStatus
foreign_huge(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 64 << 20, .attach = true};

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	return lives_beside(ctx, &stranger);
}

/* All zero, like a segment whose creator died: but nobody announced it. */
static ScenarioStatus
foreign_zeroed(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096, .zeroed = true, .creator_dead = true};

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	return lives_beside(ctx, &stranger);
}

/* PostgreSQL's own magic, another directory's device and inode. */
static ScenarioStatus
foreign_same_magic(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096, .postgres_magic = true, .creator_dead = true};

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	return lives_beside(ctx, &stranger);
}

/*
 * The server announces the key, and is killed before it asked for it.  The stranger's creator is dead too, nobody is
 * attached, the user is the same: everything as if the segment were the killed server's, except that it is not.
 */
static ScenarioStatus
foreign_under_announced_key(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096, .creator_dead = true};
	bool killed;

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	/* Second write of the lockfile: the one that announces the key. */
	SCENARIO_TRY(faults_arm(ctx, "lockfile/write/synced=#2 kill[proc=supervisor]"));
	SCENARIO_TRY(short_life(ctx, HOLDFAST_MEMORY_SYSV, &killed));
	SCENARIO_REQUIRE(ctx, killed, "the server was not killed");
	SCENARIO_TRY(faults_disarm(ctx));
	return lives_beside(ctx, &stranger);
}

static ScenarioStatus
unreadable(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096, .attach = true, .mode = 0600};
	Served served = {.config = served_config(ctx), .uid = 65534};

	if (!ctx->has_other_users)
		return scenario_skip(ctx, "needs a second user id: run it as root");
	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	SCENARIO_REQUIRE(ctx, chown(ctx->data_dir, 65534, 65534) == 0, "chown: %s", strerror(errno));
	/* Made by the first start, as root. */
	SCENARIO_TRY(remove_guard(ctx));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(served_down(ctx, &served));
	SCENARIO_TRY(stranger_untouched(ctx, &stranger));
	return stranger_remove(ctx, &stranger);
}

/* ---- our own past ---- */

static ScenarioStatus
own_dead(ScenarioContext *ctx)
{
	Served served = {.config = served_config(ctx)};
	IpcMemoryKey before, after;
	IpcMemoryId old_id, new_id;

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(recorded_key(ctx, &before, &old_id));
	SCENARIO_TRY(actor_kill(ctx, &served.supervisor));
	served_close(&served);
	SCENARIO_TRY(workers_gone(ctx));
	SCENARIO_TRY(expect_inspect(ctx, HOLDFAST_INSPECT_ORPHAN, 0));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(recorded_key(ctx, &after, &new_id));
	SCENARIO_REQUIRE(ctx, before == after, "the key moved: the old segment was not recycled");
	SCENARIO_REQUIRE(ctx, leftovers_count_segments() == 1, "%d segments",
					 leftovers_count_segments());
	return served_down(ctx, &served);
}

static ScenarioStatus
own_alive(ScenarioContext *ctx)
{
	Served first = {.config = served_config(ctx)}, second = {.config = served_config(ctx)};

	SCENARIO_TRY(served_up(ctx, &first));
	SCENARIO_TRY(served_start(ctx, &second));
	SCENARIO_TRY(served_refused(ctx, &second, "lock file \"postmaster.pid\" already exists",
								"Is another postmaster (PID"));
	SCENARIO_TRY(expect_inspect(ctx, HOLDFAST_INSPECT_IN_USE, 1));
	return served_down(ctx, &first);
}

static ScenarioStatus
half_made(ScenarioContext *ctx)
{
	Served served = {.config = served_config(ctx)};
	IpcMemoryKey before, after;
	bool killed;

	SCENARIO_TRY(first_key(ctx, &before));
	SCENARIO_TRY(faults_arm(ctx, "sysv/create/post-shmget=#1 kill[proc=supervisor]"));
	SCENARIO_TRY(short_life(ctx, HOLDFAST_MEMORY_SYSV, &killed));
	SCENARIO_TRY(faults_disarm(ctx));
	SCENARIO_REQUIRE(ctx, leftovers_count_segments() == 1, "no half-made segment was left");
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(recorded_key(ctx, &after, NULL));
	SCENARIO_REQUIRE(ctx, before == after, "the half-made segment was not recycled");
	SCENARIO_TRY(served_down(ctx, &served));
	return expect_nothing_left(ctx);
}

/* Half-made under the second key, because of a stranger under the first, who then goes: PostgreSQL's admitted leak. */
static ScenarioStatus
half_made_at_second_key(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096, .attach = true};
	bool killed;

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	SCENARIO_TRY(faults_arm(ctx, "sysv/create/post-shmget=#1 kill[proc=supervisor]"));
	SCENARIO_TRY(short_life(ctx, HOLDFAST_MEMORY_SYSV, &killed));
	SCENARIO_TRY(faults_disarm(ctx));
	SCENARIO_REQUIRE(ctx, leftovers_count_segments() == 2, "no half-made segment was left");
	SCENARIO_TRY(stranger_remove(ctx, &stranger));
	return served_clean_life(ctx);
}

/* ---- vanishing ---- */

/* The segment in the way is removed between shmget, which found it, and shmat. */
static ScenarioStatus
vanishes(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096};
	Served served = {.config = served_config(ctx)};

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	SCENARIO_TRY(faults_arm(ctx, "sysv/collision/found=#1 pause(found)[proc=supervisor]"));
	SCENARIO_TRY(served_start(ctx, &served));
	SCENARIO_TRY(faults_wait_reached(ctx, "found", 1));
	SCENARIO_TRY(stranger_remove(ctx, &stranger));
	inject_release("found");
	SCENARIO_TRY(served_wait(ctx, &served));
	SCENARIO_REQUIRE(ctx, served.ready, "a vanished segment stopped the start");
	SCENARIO_TRY(faults_disarm(ctx));
	return served_down(ctx, &served);
}

static ScenarioStatus
eidrm_at_shmat(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096};
	Served served = {.config = served_config(ctx)};

	SCENARIO_TRY(stranger_at_first_key(ctx, &stranger));
	SCENARIO_TRY(faults_arm(ctx, "sysv/shm/shmat=#1..4 errno(EIDRM)[proc=supervisor]"));
	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(faults_disarm(ctx));
	SCENARIO_TRY(served_down(ctx, &served));
	SCENARIO_TRY(stranger_untouched(ctx, &stranger));
	return stranger_remove(ctx, &stranger);
}

/* ---- limits ---- */

static ScenarioStatus
shmmni_full(ScenarioContext *ctx)
{
	Stranger stranger = {.size = 4096, .attach = true};
	Served served = {.config = served_config(ctx)};
	int fd = open("/proc/sys/kernel/shmmni", O_WRONLY | O_CLOEXEC);
	bool lowered = fd >= 0 && write(fd, "1\n", 2) == 2;

	if (fd >= 0)
		close(fd);
	if (!lowered)
		return scenario_skip(ctx, "cannot lower SHMMNI here: %s", strerror(errno));
	stranger.key = 4711;
	SCENARIO_TRY(stranger_make(ctx, &stranger));
	SCENARIO_TRY(served_start(ctx, &served));
	SCENARIO_TRY(served_refused(ctx, &served, "could not create shared memory segment", "SHMMNI"));
	SCENARIO_TRY(stranger_untouched(ctx, &stranger));
	SCENARIO_TRY(stranger_remove(ctx, &stranger));
	return served_clean_life(ctx);
}

static const CollisionCase cases[] = {
	{"foreign-attached", foreign_attached},
	{"foreign-unattached", foreign_unattached},
	{"foreign-tiny", foreign_tiny},
	{"foreign-huge", foreign_huge},
	{"foreign-zeroed", foreign_zeroed},
	{"foreign-same-magic", foreign_same_magic},
	{"foreign-under-announced-key", foreign_under_announced_key},
	{"unreadable", unreadable},
	{"own-dead", own_dead},
	{"own-alive", own_alive},
	{"half-made", half_made},
	{"half-made-at-second-key", half_made_at_second_key},
	{"vanishes", vanishes},
	{"eidrm-at-shmat", eidrm_at_shmat},
	{"shmmni-full", shmmni_full},
};

static void
list_cases(ScenarioCaseList *list)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		ScenarioCase *added = scenario_case_add(list, "%s", cases[i].name);

		if (added)
			added->param[0] = (long) i;
	}
}

static ScenarioStatus
run_case(ScenarioContext *ctx, const ScenarioCase *which)
{
	SCENARIO_TRY(cases[which->param[0]].run(ctx));
	return expect_nothing_left(ctx);
}

static const char *const mutants[] = {"62-strangers-are-recycled", "63-half-made-unseen", NULL};

const Scenario scenario_x40_collision = {
	.id = "x40-collision",
	.summary =
		"the wanted key is taken: strangers are left alone, the dead recycled, the living obeyed",
	.list = list_cases,
	.run = run_case,
	.deadline_ms = 15000,
	.mutants = mutants,
};
