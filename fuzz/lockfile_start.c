/*
 * lockfile_start.c
 *		Fuzz target: a start in a world that the input makes up, and the lockfile it finds there.
 *
 * lockfile.c and lockfile_judge.c are the real ones; the kernel under them is a fake: processes, segments, the guard, the
 * disk, and a clock that each look again advances, so that what is about to end does end while a start is patient.  The
 * rules are stated a second time, plainly, in expected(); whatever the world is, both must come to the same verdict.  Besides:
 *		refused		the file that was there is there, byte for byte; nothing is held
 *		started		the file is ours, its guard is held and shared, the keys that were announced in this boot and IPC namespace
 *					are known; the end takes all away
 *
 * Input: the lockfile, and in its last sizeof(World) bytes the world.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

/* What they ask of the kernel by name. */
static pid_t fake_getpid(void);
static pid_t fake_getppid(void);
static char *fake_getenv(const char *name);
static int fake_kill(pid_t pid, int signal_number);
static int fake_close(int fd);
static int fake_nanosleep(const struct timespec *step, struct timespec *rest);

#define getpid    fake_getpid
#define getppid   fake_getppid
#define getenv    fake_getenv
#define kill      fake_kill
#define close     fake_close
#define nanosleep fake_nanosleep
#include "lockfile.c"
#include "lockfile_judge.c"
#undef getpid
#undef getppid
#undef getenv
#undef kill
#undef close
#undef nanosleep

#define PROCESSES    3
#define GUARD_FD     100
#define FOR_EVER     255 /* a time after which something ends */
#define OUR_BOOT     "01234567-89ab-cdef-0123-456789abcdef"
#define ANOTHER_BOOT "00000000-0000-4000-8000-000000000000"
#define OUR_PID_NS   UINT64_C(4026531836)
#define OUR_IPC_NS   UINT64_C(4026531839)
#define NOTED_KEY    4711
#define OUR_COOKIE   UINT64_C(0x00c0ffee00c0ffee)

/* ---- the world ---- */

typedef struct WorldProcess
{
	uint8_t who;   /* 0-63: the file's PID, else its value */
	uint8_t birth; /* 0-127: the file's start time, 128-191: cannot be read, else its value */
	uint8_t ends;  /* at this time */
	uint8_t uid;   /* 128-: another user's */
} WorldProcess;

enum
{
	NO_FILE = 1 << 0,
	OTHER_BOOT = 1 << 1,
	OTHER_PID_NS = 1 << 2,
	GUARD_FAILS = 1 << 3,
	SEGMENTS_FAIL = 1 << 4,
	SHARE_FAILS = 1 << 5,
	STANDALONE = 1 << 6,
	HAS_GRANDPARENT = 1 << 7,
};

typedef struct World
{
	uint8_t flags;
	uint8_t self, parent, grandparent; /* 0-31: the file's PID, else 1000 and up */
	uint8_t guard_ends;                /* held by another until then */
	uint8_t recorded_ends;             /* the recorded segment is in use until then */
	uint8_t others_end;                /* another segment of this directory is in use until then */
	uint8_t disk;                      /* how put fails: see fake disk */
	uint8_t
		note; /* of the guard file: 0 none, 1 of this boot, 2 of another, 3 of another namespace */
	WorldProcess process[PROCESSES];
} World;

static World world;
static HoldfastLockfile found; /* what the file says, if it can be read */
static int now;                /* times it was looked again */
static int guards;             /* descriptors out */
static bool guard_shared;
static char grandparent_text[16];

/* The one file. */
static struct
{
	bool there;
	uint64_t inode;
	size_t length;
	char bytes[HOLDFAST_LOCKFILE_SIZE_MAX + 1];
} disk;

static const char *
boot(bool other)
{
	return ((world.flags & OTHER_BOOT) != 0) != other ? ANOTHER_BOOT : OUR_BOOT;
}

static bool
goes_on_at(uint8_t ends, int when)
{
	return ends == FOR_EVER || when < ends;
}

static pid_t
pid_by(uint8_t who)
{
	return who < 32 && found.pid != 0 ? found.pid : 1000 + who;
}

static pid_t
process_pid(const WorldProcess *process)
{
	return process->who < 64 && found.pid != 0 ? found.pid : 1000 + process->who;
}

static uint64_t
process_birth(const WorldProcess *process) /* 0: not to be read */
{
	if (process->birth < 128)
		return found.pid_start_time != 0 ? found.pid_start_time : 5;
	return process->birth < 192 ? 0 : UINT64_C(100000) + process->birth;
}

/* The first one of that number, whether it still runs or not. */
static const WorldProcess *
process_of(pid_t pid)
{
	for (int i = 0; i < PROCESSES; i++)
	{
		if (process_pid(&world.process[i]) == pid)
			return &world.process[i];
	}
	return NULL;
}

/* ---- the fake kernel ---- */

static pid_t
fake_getpid(void)
{
	return pid_by(world.self);
}

static pid_t
fake_getppid(void)
{
	return pid_by(world.parent);
}

static char *
fake_getenv(const char *name)
{
	return strcmp(name, "PG_GRANDPARENT_PID") == 0 && (world.flags & HAS_GRANDPARENT)
			   ? grandparent_text
			   : NULL;
}

static int
fake_kill(pid_t pid, int signal_number)
{
	const WorldProcess *process = process_of(pid);

	REQUIRE(signal_number == 0); /* it only asks */
	if (process == NULL)
		errno = ESRCH;
	else if (process->uid >= 128)
		errno = EPERM;
	else
		return 0; /* a zombie answers, too */
	return -1;
}

static int
fake_close(int fd)
{
	REQUIRE(fd == GUARD_FD && guards == 1);
	guards--;
	guard_shared = false;
	return 0;
}

static int
fake_nanosleep(const struct timespec *step, struct timespec *rest)
{
	(void) step;
	(void) rest;
	now++;
	return 0;
}

bool
holdfast_process_is_dead(pid_t pid, uint64_t start_time)
{
	const WorldProcess *process = process_of(pid);

	if (process == NULL || !goes_on_at(process->ends, now))
		return true;
	return start_time != 0 && process_birth(process) != 0 && process_birth(process) != start_time;
}

uint64_t
holdfast_process_start_time(pid_t pid)
{
	REQUIRE(pid == fake_getpid());
	return 77;
}

bool
holdfast_identity_boot_id(char out[40])
{
	strcpy(out, boot(false));
	return true;
}

bool
holdfast_identity_namespaces(uint64_t *pid_namespace, uint64_t *ipc_namespace)
{
	*pid_namespace = (world.flags & OTHER_PID_NS) ? 1 : OUR_PID_NS;
	*ipc_namespace = OUR_IPC_NS;
	return true;
}

bool
holdfast_identity_cookie(HoldfastCookie *out)
{
	*out = (HoldfastCookie){{OUR_COOKIE, OUR_COOKIE}};
	return true;
}

const char *
holdfast_data_directory(void)
{
	return "/data";
}

bool
PGSharedMemoryIsInUse(unsigned long key, unsigned long id)
{
	int steps = 0;

	(void) key;
	REQUIRE(found.has_segment && id == found.shmem_id);
	while (goes_on_at(world.recorded_ends, now))
	{
		if (steps++ == SETTLE_STEPS)
			return true;
		now++;
	}
	return false;
}

SegmentUse
holdfast_segments_in_use(HoldfastOrphan *orphan)
{
	memset(orphan, 0, sizeof(*orphan));
	if (world.flags & SEGMENTS_FAIL)
		return SEGMENTS_UNKNOWN;
	return goes_on_at(world.others_end, now) ? SEGMENTS_IN_USE : SEGMENTS_UNUSED;
}

GuardResult
holdfast_guard_take(bool alone, int *fd)
{
	REQUIRE(alone && guards == 0);
	*fd = -1;
	if (world.flags & GUARD_FAILS)
		return GUARD_FAILED;
	if (goes_on_at(world.guard_ends, now))
		return GUARD_HELD;
	*fd = GUARD_FD;
	guards++;
	return GUARD_TAKEN;
}

bool
holdfast_guard_share(int fd)
{
	REQUIRE(fd == GUARD_FD && guards == 1);
	guard_shared = (world.flags & SHARE_FAILS) == 0;
	return guard_shared;
}

HoldfastStatus
holdfast_lockfile_read_bytes(const char *data_dir, HoldfastLevel level, char *bytes, Size capacity,
							 Size *length)
{
	(void) data_dir;
	(void) level;
	*length = 0;
	if (!disk.there)
		return HOLDFAST_NOT_FOUND;
	*length = disk.length < capacity ? disk.length : capacity;
	memcpy(bytes, disk.bytes, *length);
	return HOLDFAST_OK;
}

/* 64-127: fails, nothing was done.  128-191: fails at the last step, with the file in place.  Only the first time. */
bool
holdfast_lockfile_put_bytes(const char *bytes, Size length, bool replace, FileId *id)
{
	uint8_t how = world.disk;

	world.disk = 0;
	REQUIRE(guards == 1); /* nobody writes who does not hold the guard */
	REQUIRE(replace == disk.there);
	if (how >= 64 && how < 128)
		return false;
	REQUIRE(length <= sizeof(disk.bytes));
	memcpy(disk.bytes, bytes, length);
	disk.length = length;
	disk.there = true;
	disk.inode++;
	(void) holdfast_lockfile_id(id);
	return how < 128 || how >= 192;
}

bool
holdfast_lockfile_id(FileId *id)
{
	*id = (FileId){.device = 1, .inode = disk.inode};
	return disk.there;
}

bool
holdfast_guard_write_note(int fd, const GuardNote *note)
{
	REQUIRE(fd == GUARD_FD && guards == 1);
	world.note = note->key == 0 ? 0 : 1;
	return true;
}

bool
holdfast_guard_read_note(int fd, GuardNote *note)
{
	REQUIRE(fd == GUARD_FD && guards == 1);
	if (world.note % 4 == 0)
		return false;
	*note = (GuardNote){.key = NOTED_KEY,
						.ipc_namespace = world.note % 4 == 3 ? OUR_IPC_NS + 1 : OUR_IPC_NS};
	strcpy(note->boot_id, boot(world.note % 4 == 2));
	return true;
}

/* Nobody watches here. */
int
holdfast_watch_open(const char *directory)
{
	(void) directory;
	REQUIRE(!"a start watches nothing");
	return -1;
}

bool
holdfast_watch_is_open(void)
{
	return false;
}

bool
holdfast_watch_file(const char *path)
{
	(void) path;
	return true;
}

void
holdfast_watch_drain(void)
{
}

void
holdfast_watch_close(void)
{
}

bool
holdfast_lockfile_remove(void)
{
	REQUIRE(disk.there && guards == 1);
	disk.there = false;
	return true;
}

HoldfastStatus
on_proc_exit(pg_on_exit_callback function, Datum arg)
{
	REQUIRE(function == UnlinkLockFiles && arg == 0);
	return HOLDFAST_OK;
}

/* ---- the rules, once more ---- */

/* Does something that ends then still go on after all patience?  Advances the model's clock. */
static bool
outlasts(uint8_t ends, int *clock)
{
	if (goes_on_at(ends, *clock + SETTLE_STEPS))
		return true;
	if (*clock < ends)
		*clock = ends;
	return false;
}

static bool
pid_forbids(const HoldfastLockfile *file, int *clock)
{
	const WorldProcess *process = process_of(file->pid);
	bool is_relative = file->pid == pid_by(world.self) || file->pid == pid_by(world.parent) ||
					   ((world.flags & HAS_GRANDPARENT) && file->pid == pid_by(world.grandparent));

	if (process == NULL)
		return false;
	if (file->is_ours)
	{
		uint64_t here = (world.flags & OTHER_PID_NS) ? 1 : OUR_PID_NS;

		if (file->pid_namespace != here)
			return false;
		if (file->pid_start_time != 0 && process_birth(process) != 0 &&
			process_birth(process) != file->pid_start_time)
			return false; /* the number was given to another */
	}
	else if (is_relative || process->uid >= 128)
		return false;
	return outlasts(process->ends, clock);
}

static HoldfastStatus
expected(HoldfastStatus parsed)
{
	int clock = 0;

	for (int look = 0;; look++)
	{
		bool guard_held = goes_on_at(world.guard_ends, clock);

		if (world.flags & GUARD_FAILS)
			return HOLDFAST_SYSTEM_ERROR;
		if (disk.there && parsed != HOLDFAST_OK)
			return HOLDFAST_DAMAGED;
		if (disk.there && (!found.is_ours || strcmp(found.boot_id, boot(false)) == 0))
		{
			if (pid_forbids(&found, &clock))
				return HOLDFAST_IN_USE;
			if (found.has_segment && outlasts(world.recorded_ends, &clock))
				return HOLDFAST_IN_USE;
		}
		if (world.flags & SEGMENTS_FAIL)
			return HOLDFAST_SYSTEM_ERROR;
		if (outlasts(world.others_end, &clock))
			return HOLDFAST_IN_USE;
		if (!guard_held)
			break;
		if (look == SETTLE_STEPS)
			return HOLDFAST_IN_USE;
		clock++;
	}
	if ((world.disk >= 64 && world.disk < 192) || (world.flags & SHARE_FAILS))
		return HOLDFAST_SYSTEM_ERROR;
	return HOLDFAST_OK;
}

/* ---- what must be so afterwards ---- */

static void
require_as_before(const uint8_t *text, size_t length)
{
	bool there = (world.flags & NO_FILE) == 0;

	REQUIRE(guards == 0 && !holdfast_lockfile_is_mine());
	REQUIRE(disk.there == there);
	if (there)
		REQUIRE(disk.length == length && memcmp(disk.bytes, text, length) == 0);
}

static void
require_started(void)
{
	HoldfastLockfile file;
	bool file_announces = found.is_ours && found.has_intent &&
						  strcmp(found.boot_id, boot(false)) == 0 &&
						  found.ipc_namespace == OUR_IPC_NS;
	bool note_announces = world.note % 4 == 1;
	IpcMemoryKey keys[2];
	int count = holdfast_lockfile_predecessor_intents(keys);

	REQUIRE(guards == 1 && guard_shared && holdfast_lockfile_is_mine());
	REQUIRE(disk.there);
	REQUIRE(holdfast_lockfile_parse(disk.bytes, disk.length, &file) == HOLDFAST_OK);
	REQUIRE(file.is_ours && file.cookie.word[0] == OUR_COOKIE && file.pid == fake_getpid());
	REQUIRE(file.standalone == ((world.flags & STANDALONE) != 0));
	REQUIRE(!file.has_segment && !file.has_intent);
	REQUIRE(count == file_announces + note_announces ||
			(count == 1 && file_announces && note_announces && found.intent_key == NOTED_KEY));
	REQUIRE(!note_announces || keys[0] == NOTED_KEY);
	REQUIRE(!file_announces || keys[count - 1] == found.intent_key);
	REQUIRE(RecheckDataDirLockFile());
	REQUIRE(AddToDataDirLockFile(LOCK_FILE_LINE_PM_STATUS, "ready   ") == HOLDFAST_OK);
	UnlinkLockFiles(0, 0);
	REQUIRE(!disk.there && guards == 0 && !holdfast_lockfile_is_mine());
}

static HoldfastStatus
make_world(const uint8_t *data, size_t size, size_t *text_length)
{
	HoldfastStatus parsed;

	memset(&world, 0, sizeof(world));
	*text_length = size;
	if (size >= sizeof(world))
	{
		*text_length = size - sizeof(world);
		memcpy(&world, data + *text_length, sizeof(world));
	}
	parsed = holdfast_lockfile_parse((const char *) data, *text_length, &found);
	if (parsed != HOLDFAST_OK || (world.flags & NO_FILE))
		memset(&found, 0, sizeof(found));
	disk.there = (world.flags & NO_FILE) == 0;
	disk.length = disk.there ? *text_length : 0;
	if (disk.length > 0)
		memcpy(disk.bytes, data, disk.length);
	now = 0;
	guards = 0;
	guard_shared = false;
	(void) snprintf(grandparent_text, sizeof(grandparent_text), "%d",
					(int) pid_by(world.grandparent));
	return parsed;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t text_length;
	HoldfastStatus parsed, verdict, status;

	if (size > HOLDFAST_LOCKFILE_SIZE_MAX)
		return 0;
	parsed = make_world(data, size, &text_length);
	verdict = expected(parsed);
	/* The process is a new one each time. */
	memset(&mine, 0, sizeof(mine));
	mine.guard_fd = -1;
	predecessor.length = 0;
	status = CreateDataDirLockFile((world.flags & STANDALONE) == 0);
	REQUIRE(status == verdict);
	if (status == HOLDFAST_OK)
		require_started();
	else
		require_as_before(data, text_length);
	return 0;
}
