/*
 * cmd_inspect.c
 *		`holdfast inspect`: who holds what, who waits, who is dead, whose segment it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/inspect.h>

#include "command.h"
#include "results/json_writer.h"

static struct
{
	const char *dir;
	bool json;
	bool all;
	bool watch;
	uint64_t interval_ms;
	uint64_t count;
} opt = {.interval_ms = 1000};

static const Option *
inspect_options(void)
{
	static const Option options[] = {
		{"--data-dir|-D", OPTION_STRING, &opt.dir, "DIR", "the data directory"},
		{"--json", OPTION_FLAG, &opt.json, NULL, "as JSON, every lock"},
		{"--all", OPTION_FLAG, &opt.all, NULL, "idle locks too"},
		{"--watch|-w", OPTION_FLAG, &opt.watch, NULL, "look again and again, until Ctrl-C"},
		{"--interval", OPTION_TIME, &opt.interval_ms, "TIME", "with --watch: so often (1s)"},
		{"--count", OPTION_NUMBER, &opt.count, "N", "with --watch: N times"},
		{0},
	};

	return options;
}

static const char *
state_name(HoldfastInspectState state)
{
	static const char *const names[] = {"none", "in-use", "orphan", "foreign", "damaged"};

	return names[state];
}

/* What the lockfile alone says. */
static const char *
lockfile_verdict(const HoldfastInspection *in)
{
	if (in->lockfile_status == HOLDFAST_NOT_FOUND)
		return "none";
	if (in->lockfile_status < 0)
		return "damaged";
	return in->lockfile_pid_dead ? "stale" : "alive";
}

static const char *
mode_name(LWLockMode mode)
{
	return mode == LW_EXCLUSIVE ? "exclusive" : mode == LW_SHARED ? "shared" : "until-free";
}

/* Is it known whose memory it is, and of what kind? */
static bool
has_memory(const HoldfastInspection *in)
{
	return in->memory_size != 0;
}

static const char *
memory_name(const HoldfastInspection *in)
{
	return in->memory_type == HOLDFAST_MEMORY_MMAP ? "mmap" : "sysv";
}

/* ---- JSON ---- */

static void
json_lockfile(JsonWriter *json, const HoldfastInspection *in)
{
	bool known = in->lockfile_status == HOLDFAST_OK;

	json_object(json, "lockfile");
	json_string(json, "verdict", lockfile_verdict(in));
	if (known)
	{
		json_int(json, "pid", in->lockfile.pid);
		json_string(json, "status", in->lockfile.status);
		json_bool(json, "extended", in->lockfile.is_ours);
	}
	if (known && in->lockfile.has_segment)
	{
		json_uint(json, "key", in->lockfile.shmem_key);
		json_uint(json, "shmid", in->lockfile.shmem_id);
	}
	if (!known)
		json_string(json, "message", in->lockfile_message);
	json_object_end(json);
}

static void
json_segment(JsonWriter *json, const HoldfastInspection *in)
{
	json_object(json, "segment");
	json_string(json, "state", state_name(in->state));
	if (in->state != HOLDFAST_INSPECT_NONE)
	{
		json_uint(json, "nattch", in->segment.nattch);
		json_uint(json, "key", (uint32_t) in->segment.key);
		json_int(json, "shmid", in->segment.shmid);
		json_uint(json, "size", in->segment.size);
		json_bool(json, "removed", in->segment.removed);
	}
	if (has_memory(in))
	{
		json_object(json, "memory");
		json_string(json, "type", memory_name(in));
		json_uint(json, "size", in->memory_size);
		json_uint(json, "page_size", in->page_size);
		json_bool(json, "reachable", !in->memory_unreachable);
		json_object_end(json);
	}
	if (in->state_message[0] != '\0')
		json_string(json, "message", in->state_message);
	json_object_end(json);
}

static void
json_procs(JsonWriter *json, const HoldfastInspection *in)
{
	json_array(json, "procs");
	for (uint32_t i = 0; i < in->nprocs; i++)
	{
		const HoldfastProcView *proc = &in->procs[i];

		json_object(json, NULL);
		json_int(json, "slot", proc->slot);
		json_int(json, "pid", proc->pid);
		json_string(json, "role", proc->role);
		json_bool(json, "dead", proc->dead);
		json_uint(json, "held", proc->nheld);
		json_string(json, "wait_event", proc->wait_event[0] != '\0' ? proc->wait_event : NULL);
		if (proc->waiting_lock >= 0)
		{
			json_int(json, "waiting_for", proc->waiting_lock);
			json_string(json, "wait_mode", mode_name(proc->wait_mode));
		}
		json_object_end(json);
	}
	json_array_end(json);
}

static void
json_tranches(JsonWriter *json, const HoldfastInspection *in)
{
	json_uint(json, "lock_checks", in->checks);
	json_array(json, "tranches");
	for (uint32_t i = 0; i < in->ntranches; i++)
	{
		const HoldfastTrancheView *tranche = &in->tranches[i];

		json_object(json, NULL);
		json_string(json, "tranche", tranche->name);
		json_uint(json, "locks", tranche->nlocks);
		json_uint(json, "shared", tranche->shared);
		json_uint(json, "exclusive", tranche->exclusive);
		json_uint(json, "blocked", tranche->blocked);
		json_uint(json, "spin_delayed", tranche->spin_delayed);
		json_uint(json, "dequeued_self", tranche->dequeued_self);
		json_uint(json, "unwoken", tranche->unwoken);
		json_uint(json, "recoveries", tranche->recoveries);
		json_object_end(json);
	}
	json_array_end(json);
}

static void
json_locks(JsonWriter *json, const HoldfastInspection *in)
{
	json_array(json, "locks");
	for (uint32_t i = 0; i < in->nlocks; i++)
	{
		const HoldfastLockView *lock = &in->locks[i];
		char word[20];

		(void) snprintf(word, sizeof(word), "%016" PRIx64, lock->state);
		json_object(json, NULL);
		json_string(json, "tranche", lock->tranche);
		json_int(json, "index", lock->index);
		json_uint(json, "offset", lock->offset);
		json_string(json, "word", word);
		json_int(json, "owner_slot", lock->owner_slot);
		json_uint(json, "shared", lock->shared_count);
		json_bool(json, "waiters", lock->has_waiters);
		json_bool(json, "recovering", lock->recovering);
		json_bool(json, "poisoned", lock->poisoned);
		json_bool(json, "not_recoverable", lock->not_recoverable);
		json_uint(json, "recoveries", lock->recoveries);
		json_array(json, "holds");
		for (uint32_t j = 0; j < lock->nholds; j++)
		{
			json_object(json, NULL);
			json_int(json, "slot", lock->holds[j].slot);
			json_string(json, "mode", mode_name(lock->holds[j].mode));
			json_string(json, "kind", lock->holds[j].kind);
			json_object_end(json);
		}
		json_array_end(json);
		json_object_end(json);
	}
	json_array_end(json);
}

static int
print_json(const HoldfastInspection *in)
{
	JsonWriter json;

	json_begin(&json, stdout);
	json_object(&json, NULL);
	json_int(&json, "schema_version", 1);
	json_string(&json, "data_dir", opt.dir);
	json_lockfile(&json, in);
	json_segment(&json, in);
	json_procs(&json, in);
	json_tranches(&json, in);
	json_locks(&json, in);
	json_object_end(&json);
	return json_finish(&json) ? EXIT_GOOD : EXIT_INTERNAL;
}

/* ---- text ---- */

static const HoldfastProcView *
proc_in_slot(const HoldfastInspection *in, int slot)
{
	for (uint32_t i = 0; i < in->nprocs; i++)
	{
		if (in->procs[i].slot == slot)
			return &in->procs[i];
	}
	return NULL;
}

static void
print_holds(const HoldfastInspection *in, const HoldfastLockView *lock)
{
	for (uint32_t i = 0; i < lock->nholds; i++)
	{
		const HoldfastHoldView *hold = &lock->holds[i];
		const HoldfastProcView *proc = proc_in_slot(in, hold->slot);

		(void) printf("    %-9s %-10s slot %-4d pid %d%s\n", hold->kind, mode_name(hold->mode),
					  hold->slot, proc != NULL ? (int) proc->pid : 0,
					  proc != NULL && proc->dead ? "  DEAD" : "");
	}
}

static void
print_locks(const HoldfastInspection *in)
{
	uint32_t idle = 0;

	for (uint32_t i = 0; i < in->nlocks; i++)
	{
		const HoldfastLockView *lock = &in->locks[i];

		if (lock->state == 0 && lock->nholds == 0 && lock->recoveries == 0 && !opt.all)
		{
			idle++;
			continue;
		}
		(void) printf("lock %s[%d]  word %016" PRIx64, lock->tranche, lock->index, lock->state);
		if (lock->owner_slot >= 0)
			(void) printf("  exclusive by slot %d", lock->owner_slot);
		if (lock->shared_count > 0)
			(void) printf("  %u shared", lock->shared_count);
		(void) printf("%s%s%s%s", lock->has_waiters ? "  waiters" : "",
					  lock->recovering ? "  RECOVERING" : "", lock->poisoned ? "  POISONED" : "",
					  lock->not_recoverable ? "  NOT RECOVERABLE" : "");
		if (lock->recoveries > 0)
			(void) printf("  recovered %u times", lock->recoveries);
		(void) printf("\n");
		print_holds(in, lock);
	}
	(void) printf("%u locks idle\n", idle);
}

static bool
has_counts(const HoldfastTrancheView *tranche)
{
	return (tranche->shared | tranche->exclusive | tranche->blocked | tranche->spin_delayed |
			tranche->dequeued_self | tranche->unwoken | tranche->recoveries) != 0;
}

static void
print_tranches(const HoldfastInspection *in)
{
	bool counting = (in->checks & LWLOCK_COUNT_ACQUIRES) != 0;

	for (uint32_t i = 0; i < in->ntranches; i++)
	{
		const HoldfastTrancheView *tranche = &in->tranches[i];

		if (!has_counts(tranche) && !opt.all)
			continue;
		(void) printf("tranche %-16s", tranche->name);
		if (counting || tranche->shared + tranche->exclusive > 0)
			(void) printf("  %" PRIu64 " shared  %" PRIu64 " exclusive", tranche->shared,
						  tranche->exclusive);
		(void) printf("  %" PRIu64 " blocked  %" PRIu64 " spin-delayed  %" PRIu64
					  " dequeued-self  %" PRIu64 " unwoken  %" PRIu64 " recoveries\n",
					  tranche->blocked, tranche->spin_delayed, tranche->dequeued_self,
					  tranche->unwoken, tranche->recoveries);
	}
}

static void
print_text(const HoldfastInspection *in)
{
	(void) printf("lockfile  %s", lockfile_verdict(in));
	if (in->lockfile_status == HOLDFAST_OK)
		(void) printf("  pid %d  %s", (int) in->lockfile.pid, in->lockfile.status);
	else if (in->lockfile_status != HOLDFAST_NOT_FOUND)
		(void) printf("  %s", in->lockfile_message);
	(void) printf("\nsegment   %s", state_name(in->state));
	if (in->state != HOLDFAST_INSPECT_NONE)
		(void) printf("  id %d  key %u  %" PRIu64 " bytes  %" PRIu64 " attached%s",
					  in->segment.shmid, (unsigned) in->segment.key, in->segment.size,
					  in->segment.nattch, in->segment.removed ? "  removed" : "");
	(void) printf("\n");
	if (has_memory(in))
		(void) printf("memory    %s  %" PRIu64 " bytes  pages of %" PRIu64 " kB%s\n",
					  memory_name(in), in->memory_size, in->page_size / 1024,
					  in->memory_unreachable ? "  not to be read" : "");
	if (in->state_message[0] != '\0')
		(void) printf("          %s\n", in->state_message);
	for (uint32_t i = 0; i < in->nprocs; i++)
	{
		const HoldfastProcView *proc = &in->procs[i];

		(void) printf("slot %-4d pid %-8d %-12s holds %u%s", proc->slot, (int) proc->pid,
					  proc->role, proc->nheld, proc->dead ? "  DEAD" : "");
		if (proc->waiting_lock < 0 && proc->wait_event[0] != '\0')
			(void) printf("  %s", proc->wait_event);
		if (proc->waiting_lock >= 0)
			(void) printf("  waits for %s[%d] %s", in->locks[proc->waiting_lock].tranche,
						  in->locks[proc->waiting_lock].index, mode_name(proc->wait_mode));
		(void) printf("\n");
	}
	print_tranches(in);
	if (in->nlocks > 0)
		print_locks(in);
}

/* ---- again and again ---- */

static volatile sig_atomic_t interrupted;

static void
interrupt(int signal_number)
{
	(void) signal_number;
	interrupted = 1;
}

/* All tranches together. */
static HoldfastTrancheView
sum_of(const HoldfastInspection *in)
{
	HoldfastTrancheView sum = {0};

	for (uint32_t i = 0; i < in->ntranches; i++)
	{
		sum.shared += in->tranches[i].shared;
		sum.exclusive += in->tranches[i].exclusive;
		sum.blocked += in->tranches[i].blocked;
		sum.spin_delayed += in->tranches[i].spin_delayed;
		sum.unwoken += in->tranches[i].unwoken;
		sum.recoveries += in->tranches[i].recoveries;
	}
	return sum;
}

typedef struct Rates
{
	unsigned waiting, dead;
	double shared, exclusive, blocked, spin_delayed, recoveries; /* per second */
} Rates;

/* Of one interval; nothing of the kind when there was none, or the segment is another. */
static Rates
rates_between(const HoldfastInspection *before, const HoldfastInspection *now, double seconds)
{
	HoldfastTrancheView new = sum_of(now);
	HoldfastTrancheView old = new;
	Rates rates = {0};

	for (uint32_t i = 0; i < now->nprocs; i++)
	{
		rates.waiting += now->procs[i].wait_event[0] != '\0';
		rates.dead += now->procs[i].dead;
	}
	if (before != NULL && before->segment.shmid == now->segment.shmid && before->ntranches > 0)
		old = sum_of(before);
	rates.shared = (double) (new.shared - old.shared) / seconds;
	rates.exclusive = (double) (new.exclusive - old.exclusive) / seconds;
	rates.blocked = (double) (new.blocked - old.blocked) / seconds;
	rates.spin_delayed = (double) (new.spin_delayed - old.spin_delayed) / seconds;
	rates.recoveries = (double) (new.recoveries - old.recoveries) / seconds;
	return rates;
}

static bool
print_rates(const HoldfastInspection *in, const Rates *rates)
{
	JsonWriter json;

	if (!opt.json)
		return printf("%s  %u slots  %u waiting  %u dead  per second: %.0f shared  %.0f exclusive  "
					  "%.0f blocked  %.0f spin-delayed  %.1f recoveries\n",
					  state_name(in->state), in->nprocs, rates->waiting, rates->dead, rates->shared,
					  rates->exclusive, rates->blocked, rates->spin_delayed, rates->recoveries) > 0;
	json_begin(&json, stdout);
	json.compact = true;
	json_object(&json, NULL);
	json_int(&json, "schema_version", 1);
	json_string(&json, "state", state_name(in->state));
	json_uint(&json, "slots", in->nprocs);
	json_uint(&json, "waiting", rates->waiting);
	json_uint(&json, "dead", rates->dead);
	json_object(&json, "per_second");
	json_real(&json, "shared", rates->shared);
	json_real(&json, "exclusive", rates->exclusive);
	json_real(&json, "blocked", rates->blocked);
	json_real(&json, "spin_delayed", rates->spin_delayed);
	json_real(&json, "recoveries", rates->recoveries);
	json_object_end(&json);
	json_tranches(&json, in);
	json_object_end(&json);
	return json_finish(&json);
}

static void
sleep_until(struct timespec *next)
{
	next->tv_sec += (time_t) (opt.interval_ms / 1000);
	next->tv_nsec += (long) (opt.interval_ms % 1000) * 1000000;
	if (next->tv_nsec >= 1000000000)
	{
		next->tv_sec++;
		next->tv_nsec -= 1000000000;
	}
	while (!interrupted && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL) == EINTR)
		;
}

/* On a terminal the whole picture each time, elsewhere one line per interval. */
static int
watch(void)
{
	const struct sigaction action = {.sa_handler = interrupt};
	bool screen = isatty(STDOUT_FILENO) && !opt.json;
	HoldfastInspection *before = NULL, *now;
	struct timespec next;
	int status = EXIT_GOOD;

	(void) sigaction(SIGINT, &action, NULL);
	(void) sigaction(SIGTERM, &action, NULL);
	(void) clock_gettime(CLOCK_MONOTONIC, &next);
	for (uint64_t round = 0; status == EXIT_GOOD && (opt.count == 0 || round < opt.count); round++)
	{
		Rates rates;

		if (round > 0)
			sleep_until(&next);
		if (interrupted)
			break;
		if (holdfast_inspect(opt.dir, &now) < 0)
		{
			(void) fprintf(stderr, "holdfast: %s\n", holdfast_last_error()->message);
			status = EXIT_UNFIT;
			break;
		}
		rates = rates_between(before, now, (double) opt.interval_ms / 1000.0);
		if (screen)
			(void) printf("\033[H\033[2J");
		if (!print_rates(now, &rates))
			status = EXIT_INTERNAL;
		if (screen)
			print_text(now);
		(void) fflush(stdout);
		holdfast_inspect_free(before);
		before = now;
	}
	holdfast_inspect_free(before);
	return interrupted ? EXIT_INTERRUPTED : status;
}

static int
run_inspect(int argc, char **argv)
{
	HoldfastInspection *in;
	int count;
	int status = command_options(&command_inspect, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (opt.dir == NULL && count == 1)
		opt.dir = argv[0];
	else if (count > 0 || opt.dir == NULL)
		return usage_error("inspect wants one data directory");
	if (opt.interval_ms == 0)
		return usage_error("--interval must not be 0");
	if (opt.watch)
		return watch();
	if (holdfast_inspect(opt.dir, &in) < 0)
	{
		(void) fprintf(stderr, "holdfast: %s\n", holdfast_last_error()->message);
		return EXIT_UNFIT;
	}
	if (opt.json)
		status = print_json(in);
	else
		print_text(in);
	holdfast_inspect_free(in);
	return status;
}

const Command command_inspect = {
	.name = "inspect",
	.usage = "DIR [OPTION...]",
	.summary = "look into a data directory from outside: lockfile, segment, slots, locks",
	.run = run_inspect,
	.options = inspect_options,
};
