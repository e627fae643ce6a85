/*
 * cluster.c
 *		Start-up and end of the reference cluster.
 *
 *		lockfile -> segment (INIT) -> bank -> publish -> own slot -> loop -> final audit -> shmem_exit
 *
 * The order is PostgreSQL's: the lockfile before anything that could hurt a running server, the segment's removal
 * before the lockfile's.  Each step that fails has reported why; what the steps before it made is undone by
 * the exit callbacks, here for the segment and in the caller's proc_exit() for the lockfile.
 * Signals: blocked from the beginning and read by the loop; the caller's mask comes back at the end.
 */
#include "cluster/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <holdfast/ipc.h>
#include <holdfast/lockfile.h>
#include <holdfast/proc.h>
#include <holdfast/shmem.h>

#include "cluster/history.h"
#include "cluster/role.h"
#include "cluster/supervisor.h"

#define SPARE_SLOTS    8 /* supervisor, inspectors, dead workers not yet recovered */
#define FINAL_AUDIT_US 2000000

void
cluster_log(const Cluster *cluster, const char *format, ...)
{
	va_list args;

	if (cluster->config.quiet)
		return;
	fputs("LOG:  ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

bool
cluster_on_crash_parse(const char *text, ClusterOnCrash *out)
{
	if (strcmp(text, "repair") == 0)
		*out = CLUSTER_REPAIR;
	else if (strcmp(text, "reset") == 0)
		*out = CLUSTER_RESET;
	else
		return false;
	return true;
}

bool
cluster_memory_type_parse(const char *text, HoldfastMemoryType *out)
{
	if (strcmp(text, "sysv") == 0)
		*out = HOLDFAST_MEMORY_SYSV;
	else if (strcmp(text, "mmap") == 0)
		*out = HOLDFAST_MEMORY_MMAP;
	else
		return false;
	return true;
}

bool
cluster_huge_pages_parse(const char *text, HoldfastHugePages *out)
{
	if (strcmp(text, "off") == 0)
		*out = HOLDFAST_HUGE_PAGES_OFF;
	else if (strcmp(text, "on") == 0)
		*out = HOLDFAST_HUGE_PAGES_ON;
	else if (strcmp(text, "try") == 0)
		*out = HOLDFAST_HUGE_PAGES_TRY;
	else
		return false;
	return true;
}

/* PostgreSQL's lines on stderr; when quiet, only those that say why something failed. */
static void
report_error(const HoldfastError *error, void *arg)
{
	const Cluster *cluster = arg;

	if (error->level >= HOLDFAST_ERROR || (!cluster->config.quiet && error->level >= HOLDFAST_LOG))
		holdfast_report_to_stderr(error, NULL);
}

static unsigned
or_default(unsigned value, unsigned otherwise, unsigned highest)
{
	if (value == 0)
		value = otherwise;
	return value < highest ? value : highest;
}

static void
fill_config(Cluster *cluster, const ClusterConfig *config)
{
	cluster->config = *config;
	cluster->config.workers =
		or_default(config->workers, CLUSTER_WORKERS_DEFAULT, CLUSTER_WORKERS_MAX);
	cluster->config.accounts =
		or_default(config->accounts, CLUSTER_ACCOUNTS_DEFAULT, CLUSTER_ACCOUNTS_MAX);
	if (cluster->config.accounts < 2)
		cluster->config.accounts = 2; /* a transfer has two sides */
	cluster->config.audit_ms = or_default(config->audit_ms, CLUSTER_AUDIT_MS_DEFAULT, 3600000);
	cluster->config.quit_ms = or_default(config->quit_ms, CLUSTER_QUIT_MS_DEFAULT, 3600000);
	cluster->config.recover_ms =
		or_default(config->recover_ms, CLUSTER_RECOVER_MS_DEFAULT, 3600000);
}

static HoldfastStatus
fill_segment(Cluster *cluster, unsigned slots)
{
	HoldfastStatus status =
		bank_open(&cluster->bank, cluster->config.accounts, slots,
				  cluster->config.on_crash == CLUSTER_RESET ? LWLOCK_RESET : LWLOCK_REPAIR);

	if (status == HOLDFAST_OK)
		status = holdfast_shmem_publish();
	if (status == HOLDFAST_OK)
		status = InitProcess("supervisor");
	return status;
}

HoldfastStatus
cluster_make_segment(Cluster *cluster)
{
	unsigned slots = cluster->config.workers + SPARE_SLOTS;
	HoldfastShmemConfig shape = {
		.max_procs = slots,
		.user_size = bank_size(cluster->config.accounts, slots),
		.memory = cluster->config.memory,
	};
	HoldfastStatus status = holdfast_shmem_create(&shape);

	if (status < 0)
		return status;
	history_new_epoch(cluster->config.history);
	status = fill_segment(cluster, slots);
	if (status < 0)
		shmem_exit(1);
	return status;
}

static bool
open_events(Cluster *cluster)
{
	sigset_t mask;

	cluster->signal_fd = -1;
	cluster->started_fd[0] = cluster->started_fd[1] = -1;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGQUIT);
	sigaddset(&mask, SIGHUP); /* read and ignored: there is no configuration to read again */
	sigaddset(&mask, SIGPIPE);
	sigprocmask(SIG_BLOCK, &mask, &cluster->saved_mask);
	cluster->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return cluster->signal_fd >= 0 && pipe2(cluster->started_fd, O_CLOEXEC | O_NONBLOCK) == 0;
}

static void
close_events(Cluster *cluster)
{
	if (cluster->signal_fd >= 0)
		close(cluster->signal_fd);
	if (cluster->started_fd[0] >= 0)
		close(cluster->started_fd[0]);
	if (cluster->started_fd[1] >= 0)
		close(cluster->started_fd[1]);
	sigprocmask(SIG_SETMASK, &cluster->saved_mask, NULL);
}

/* What the run came to: sum, and who died on the way. */
static int
final_audit(Cluster *cluster, const HoldfastSupervisorState *state)
{
	const BankCounters *counters = &cluster->bank.bank->counters;
	FILE *out = cluster->config.out;
	int64_t sum, expected = bank_expected(&cluster->bank);
	HoldfastStatus status = bank_audit(&cluster->bank, FINAL_AUDIT_US, &sum);
	bool balanced = status == HOLDFAST_OK && sum == expected && !cluster->unbalanced &&
					bank_unbalanced(&cluster->bank) == 0;

	for (unsigned i = 0; cluster->config.history && i < cluster->config.accounts; i++)
		history_end(cluster->config.history, i, cluster->bank.account[i].balance,
					cluster->bank.account[i].version);
	if (status != HOLDFAST_OK)
		fprintf(stderr, "FATAL:  no final audit: %s\n", holdfast_status_name(status));
	if (out)
		fprintf(out,
				"audit: %s, %lld of %lld in %u accounts; %llu transfers, %llu audits, "
				"%llu crashes, %llu recoveries, %llu resets\n",
				balanced ? "balanced" : "NOT BALANCED", (long long) sum, (long long) expected,
				cluster->bank.bank->naccounts, (unsigned long long) counters->transfers,
				(unsigned long long) counters->audits, (unsigned long long) state->crashes,
				(unsigned long long) state->recoveries, (unsigned long long) state->resets);
	return balanced ? CLUSTER_STOPPED : CLUSTER_UNBALANCED;
}

static int
run(Cluster *cluster)
{
	HoldfastSupervisorState state = {.state_lost = true};
	bool supervised = cluster_supervise(cluster);
	int code;

	if (cluster->supervisor)
		holdfast_supervisor_state(cluster->supervisor, &state);
	holdfast_supervisor_close(cluster->supervisor);
	if (!supervised)
		return CLUSTER_REFUSED;
	if (!state.state_lost)
		code = final_audit(cluster, &state);
	else
	{
		code = cluster->unbalanced ? CLUSTER_UNBALANCED : CLUSTER_IMMEDIATE;
		if (cluster->config.out)
			fprintf(cluster->config.out, "audit: none, the cluster was ended without order\n");
	}
	shmem_exit(code);
	cluster_log(cluster, "cluster is shut down");
	return code;
}

static bool
start(Cluster *cluster)
{
	if (holdfast_set_data_directory(cluster->config.data_dir) < 0 ||
		CreateDataDirLockFile(true) < 0 || bank_request(cluster->config.accounts) < 0)
		return false;
	return cluster_make_segment(cluster) >= 0;
}

int
cluster_serve(const ClusterConfig *config)
{
	Cluster *cluster = calloc(1, sizeof(*cluster));
	int code = CLUSTER_REFUSED;

	if (!cluster)
	{
		fprintf(stderr, "FATAL:  out of memory\n");
		return CLUSTER_REFUSED;
	}
	fill_config(cluster, config);
	cluster_set_role("supervisor", config->ordinal ? config->ordinal : 1);
	cluster->bank.history = config->history;
	cluster->bank.linger_us = config->linger_us;
	holdfast_set_reporter(report_error, cluster);
	if (!open_events(cluster))
		fprintf(stderr, "FATAL:  could not watch for signals: %s\n", strerror(errno));
	else if (start(cluster))
		code = run(cluster);
	close_events(cluster);
	fflush(NULL);
	/* The lockfile's callback still runs, and may have something to say: quiet or not, but without us. */
	holdfast_set_reporter(cluster->config.quiet ? NULL : holdfast_report_to_stderr, NULL);
	free(cluster);
	return code;
}
