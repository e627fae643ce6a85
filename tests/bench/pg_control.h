/*
 * pg_control.h
 *		How holdfast-bench tells backends of a real PostgreSQL what to measure.
 *
 * A file that both map.  The bench writes a job and then a new serial number; the extension's background workers sleep on
 * that number.  While they are measured nothing but their own loop runs: no SQL, no protocol.
 *
 * This header is read by PostgreSQL's world and by ours, so it includes neither.
 */
#ifndef HOLDFAST_BENCH_PG_CONTROL_H
#define HOLDFAST_BENCH_PG_CONTROL_H

#include <stdint.h>

#define PG_CONTROL_ENV     "HOLDFAST_BENCH_CONTROL" /* path of the file, in the server's environment */
#define PG_CONTROL_WORKERS 64

typedef enum PgJobKind
{
	PG_JOB_NONE = 0,
	PG_JOB_PAIRS,   /* worker 0: `pairs` times acquire + release; pairs_ns says how long */
	PG_JOB_CONTEND, /* workers below `processes`, until stop; count[] says how often */
	PG_JOB_MIX,     /* the same, one write for each `reads` that read */
	PG_JOB_HOLD,    /* worker 1: takes the lock and keeps it until it is killed */
} PgJobKind;

typedef struct PgControl
{
	uint32_t serial; /* futex; a new number is a new job */
	uint32_t job;    /* PgJobKind */
	uint32_t shared; /* mode, for PAIRS and CONTEND */
	uint32_t processes;
	uint64_t pairs;
	uint32_t reads;
	uint32_t alive; /* workers that started and had the lock once */
	uint32_t ready; /* workers at the start line */
	uint32_t done;  /* workers that finished the job */
	uint64_t pairs_ns;
	int32_t holder_pid;
	uint64_t
		started_ns; /* CLOCK_MONOTONIC, when the first worker since it was zeroed had the lock */
	uint32_t go __attribute__((aligned(128)));
	uint32_t stop;
	uint64_t guarded __attribute__((aligned(128)));
	uint64_t count[PG_CONTROL_WORKERS] __attribute__((aligned(128)));
} PgControl;

#endif
