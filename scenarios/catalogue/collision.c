/*
 * collision.c
 *		See collision.h.
 *
 * Owner: the case's first process; strangers go with the case's IPC namespace at the latest.
 */
#include "catalogue/collision.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

#include <holdfast/lockfile.h>

#define PATTERN 0x5a

static unsigned char
byte_at(const Stranger *stranger, size_t at)
{
	static const int32_t magic = PGShmemMagic;

	if (stranger->postgres_magic && at < sizeof(magic))
		return ((const unsigned char *) &magic)[at];
	return stranger->zeroed ? 0 : (unsigned char) (PATTERN ^ (at * 131));
}

static int
make(ScenarioContext *ctx, void *arg)
{
	Stranger *stranger = arg;
	int mode = stranger->mode ? stranger->mode : 0600;
	int id = shmget(stranger->key, stranger->size, IPC_CREAT | IPC_EXCL | mode);
	unsigned char *bytes = id < 0 ? NULL : shmat(id, NULL, 0);

	if (!bytes || bytes == (void *) -1)
	{
		scenario_log(ctx, "stranger: %s", strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < stranger->size; i++)
		bytes[i] = byte_at(stranger, i);
	stranger->shmid = id;
	shmdt(bytes);
	return 0;
}

ScenarioStatus
stranger_make(ScenarioContext *ctx, Stranger *stranger)
{
	Stranger *shared = shared_memory(ctx, sizeof(*shared));
	Actor creator;

	if (!shared)
		return SCENARIO_ERROR;
	*shared = *stranger;
	if (stranger->creator_dead)
	{
		SCENARIO_TRY(actor_start(ctx, &creator, "stranger", 1, make, shared));
		SCENARIO_TRY(actor_expect_exit(ctx, &creator, 0));
	}
	else if (make(ctx, shared) != 0)
		return scenario_error(ctx, "could not make a stranger's segment");
	stranger->shmid = shared->shmid;
	if (stranger->attach)
	{
		stranger->address = shmat(stranger->shmid, NULL, 0);
		if (stranger->address == (void *) -1)
			return scenario_error(ctx, "could not attach: %s", strerror(errno));
	}
	return SCENARIO_PASS;
}

ScenarioStatus
stranger_at_first_key(ScenarioContext *ctx, Stranger *stranger)
{
	SCENARIO_TRY(first_key(ctx, &stranger->key));
	return stranger_make(ctx, stranger);
}

ScenarioStatus
stranger_untouched(ScenarioContext *ctx, const Stranger *stranger)
{
	struct shmid_ds info;
	const unsigned char *bytes;
	bool same = true;

	SCENARIO_REQUIRE(ctx, shmctl(stranger->shmid, IPC_STAT, &info) == 0,
					 "the stranger's segment is gone: %s", strerror(errno));
	SCENARIO_REQUIRE(ctx, info.shm_segsz == stranger->size && info.shm_perm.__key == stranger->key,
					 "the stranger's segment was changed");
	bytes = shmat(stranger->shmid, NULL, SHM_RDONLY);
	SCENARIO_REQUIRE(ctx, bytes != (void *) -1, "cannot attach the stranger's segment: %s",
					 strerror(errno));
	for (size_t i = 0; i < stranger->size && same; i++)
		same = bytes[i] == byte_at(stranger, i);
	shmdt(bytes);
	SCENARIO_REQUIRE(ctx, same, "the stranger's bytes were changed");
	return SCENARIO_PASS;
}

ScenarioStatus
stranger_remove(ScenarioContext *ctx, Stranger *stranger)
{
	if (stranger->address)
		shmdt(stranger->address);
	stranger->address = NULL;
	if (shmctl(stranger->shmid, IPC_RMID, NULL) < 0)
		return scenario_fail(ctx, "the stranger's segment could not be removed: %s",
							 strerror(errno));
	return SCENARIO_PASS;
}

ScenarioStatus
recorded_key(ScenarioContext *ctx, IpcMemoryKey *key, IpcMemoryId *shmid)
{
	HoldfastLockfile file;

	SCENARIO_REQUIRE(
		ctx, holdfast_lockfile_read(ctx->data_dir, &file) == HOLDFAST_OK && file.has_segment,
		"the lockfile names no segment");
	if (key)
		*key = (IpcMemoryKey) file.shmem_key;
	if (shmid)
		*shmid = (IpcMemoryId) file.shmem_id;
	return SCENARIO_PASS;
}

ScenarioStatus
first_key(ScenarioContext *ctx, IpcMemoryKey *key)
{
	Served served = {.config = served_config(ctx)};

	SCENARIO_TRY(served_up(ctx, &served));
	SCENARIO_TRY(recorded_key(ctx, key, NULL));
	SCENARIO_TRY(served_down(ctx, &served));
	return expect_nothing_left(ctx);
}

ScenarioStatus
put_lockfile(ScenarioContext *ctx, const HoldfastLockfile *file)
{
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX], path[4096], other[4096];
	size_t length = holdfast_lockfile_format(file, bytes, sizeof(bytes));
	int fd;

	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	snprintf(other, sizeof(other), "%s/%s.other", ctx->data_dir, HOLDFAST_LOCKFILE_NAME);
	fd = open(other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (length == 0 || fd < 0 || write(fd, bytes, length) != (ssize_t) length || close(fd) < 0 ||
		rename(other, path) < 0)
		return scenario_error(ctx, "could not put a lockfile in place: %s", strerror(errno));
	return SCENARIO_PASS;
}

static ScenarioStatus
remove_in_data_dir(ScenarioContext *ctx, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", ctx->data_dir, name);
	SCENARIO_REQUIRE(ctx, unlink(path) == 0, "could not remove %s: %s", path, strerror(errno));
	return SCENARIO_PASS;
}

ScenarioStatus
remove_lockfile(ScenarioContext *ctx)
{
	return remove_in_data_dir(ctx, HOLDFAST_LOCKFILE_NAME);
}

ScenarioStatus
remove_guard(ScenarioContext *ctx)
{
	return remove_in_data_dir(ctx, HOLDFAST_LOCKFILE_GUARD);
}

ScenarioStatus
make_orphan(ScenarioContext *ctx, Served *served, pid_t *worker)
{
	pid_t workers[16];
	unsigned count;

	SCENARIO_TRY(served_pids(ctx, "worker", workers, 16, &count));
	SCENARIO_REQUIRE(ctx, count > 0, "no worker");
	*worker = workers[0];
	kill(*worker, SIGSTOP);
	SCENARIO_TRY(wait_for_pid_stopped(ctx, *worker));
	SCENARIO_TRY(actor_kill(ctx, &served->supervisor));
	served_close(served);
	for (unsigned i = 1; i < count; i++)
		SCENARIO_TRY(wait_for_pid_gone(ctx, workers[i]));
	return SCENARIO_PASS;
}
