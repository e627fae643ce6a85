/*
 * storm.h
 *		holdfast-storm: random harm, at a rate, to a cluster on the production library, and whether it came through.
 *
 *		main.c		options, what is said at the end
 *		director.c	lives of the cluster: started, watched, started again; the loop
 *		nemesis.c	the kinds of harm, when each strikes, what must follow
 *		evidence.c	what is kept of a violation
 *		report.c	numbers, as text and JSON
 *
 * The director is neither supervisor nor worker: it is the parent and the reaper of all of them, and shares with them nothing but
 * their History.  It works in whatever namespaces it finds itself in; `holdfast storm` gives it its own.
 *
 * Owner: the director owns every process below it, and one foreign segment.  Threads: one.  Signals: none but SIGKILL's.
 * Errors: anything that must not be is a violation in the history: the first one ends the storm.
 */
#ifndef HOLDFAST_STORM_H
#define HOLDFAST_STORM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cluster/cluster.h"
#include "cluster/history.h"

typedef enum NemesisKind
{
	NEMESIS_KILL,            /* SIGKILL to a worker */
	NEMESIS_SUPERVISOR,      /* SIGKILL to the supervisor; the next one is started at once */
	NEMESIS_STOP,            /* SIGSTOP to a worker, SIGCONT some time later */
	NEMESIS_SLOW,            /* a worker that gets what processor time nobody else wants */
	NEMESIS_IPCRM,           /* the segment is removed: under the living, or when it is an orphan */
	NEMESIS_LOCKFILE_REMOVE, /* and a rival is started at once */
	NEMESIS_LOCKFILE_REPLACE, /* by another server's */
	NEMESIS_CLOCK, /* as supervisor; the next one's monotonic and boot clocks have jumped */
	NEMESES,
} NemesisKind;

extern const char *const nemesis_names[NEMESES];

/* "kill,stop", "all"; false: some word is none of them, *word (of `length` bytes) says which. */
bool nemesis_parse(const char *text, unsigned *mask, const char **word, size_t *length);

typedef struct StormConfig
{
	const char *work_dir; /* WORK/data is the data directory */
	const char *run_dir;  /* where logs and reports go; outlives the storm */
	const char *bundle;   /* NULL: nothing is kept of a violation */
	const char
		*holdfast; /* the command line, for `inspect`; NULL: no decoded segment in the bundle */
	uint64_t duration_ms;
	unsigned workers, accounts;
	double kill_rate; /* per second */
	uint64_t seed;
	unsigned nemeses; /* 1 << NemesisKind */
	ClusterOnCrash on_crash;
	unsigned recover_ms;
} StormConfig;

typedef enum LifeState
{
	LIFE_NONE,     /* no supervisor */
	LIFE_STARTING, /* neither ready nor refused yet */
	LIFE_READY,
	LIFE_LEAVING, /* its lockfile was taken: it must go by itself */
} LifeState;

/* A supervisor, our child. */
typedef struct Life
{
	LifeState state;
	pid_t pid;
	int pidfd;
	int ready_fd; /* -1 once it has said so */
	uint64_t started_ns;
	bool killed;       /* by us */
	bool alone;        /* nobody of an earlier life was there when it started */
	uint64_t leave_ns; /* since when it must */
} Life;

#define STOPPED_MAX 64

typedef struct Stopped
{
	int pidfd; /* -1: unused */
	pid_t pid;
	uint64_t until_ns;
} Stopped;

typedef struct Sample
{
	uint64_t count, sum_us, max_us;
} Sample;

typedef struct Storm
{
	StormConfig config;
	char data_dir[4096], lockfile[4200];
	History *history;
	uint64_t random;
	uint64_t started_ns, end_ns;
	uint64_t next_ns[NEMESES];

	Life life;          /* the one that serves, or is to */
	Life rival;         /* of a life that must leave: takes its place */
	uint64_t outage_ns; /* since when nobody serves; 0: somebody does */
	Stopped stopped[STOPPED_MAX];
	int foreign_segment;

	bool ipcrm_pending;
	uint32_t ipcrm_epoch;
	uint64_t ipcrm_ns;
	bool replaced; /* the lockfile there is ours, and nobody's */

	uint64_t strikes[NEMESES];
	uint64_t kills_in[HISTORY_STAGES];
	uint64_t lives, refusals, locks, stuck;
	Sample outage, lockfile_noticed, ipcrm_noticed;
	char leaks[1024];
	char audit[256]; /* the cluster's last word */
	HistoryChecked checked;
	double seconds;
} Storm;

/* ---- director.c ---- */

/* The whole storm.  False: it could not even begin, and said why.  Otherwise history->violations tells. */
bool storm_run(Storm *storm);

/* Starts a supervisor into *life; a failure to fork is a violation. */
void life_start(Storm *storm, Life *life);
/* Somebody of an earlier life may be there. */
bool storm_reap(Storm *storm);
uint64_t storm_random(Storm *storm, uint64_t below);
void sample_add(Sample *sample, uint64_t from_ns);

#define storm_violation(storm_, ...) history_violation((storm_)->history, __VA_ARGS__)

/* ---- nemesis.c ---- */

/* Whether those that were asked for can be done here; says why not. */
bool nemesis_prepare(Storm *storm);
void nemesis_strike_due(Storm *storm);
uint64_t nemesis_next_ns(const Storm *storm);
/* Lets go who was stopped long enough; `all`: everybody. */
void nemesis_continue(Storm *storm, bool all);
/* What a strike demands: has it come? */
void nemesis_follow(Storm *storm);
/* Before the next supervisor is started: harm to what the dead one left. */
void nemesis_between_lives(Storm *storm);

/* ---- evidence.c ---- */

void evidence_keep(Storm *storm);

/* ---- report.c ---- */

bool report_write(Storm *storm);
void report_token(const Storm *storm, char *text, size_t size);

#endif
