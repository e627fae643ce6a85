/*
 * pg_server.h
 *		A PostgreSQL server of our own, whose workers measure PostgreSQL's LWLock (pg_lwlock.c).
 *
 * Owner: the server, its directory and the control file belong to this process from pg_server_start() to
 * pg_server_stop(); the server ends with us, however we end.  As root it runs as "postgres" or "nobody".
 */
#ifndef HOLDFAST_BENCH_PG_SERVER_H
#define HOLDFAST_BENCH_PG_SERVER_H

#include <stdbool.h>
#include <stdint.h>

/* False when there is none here, or it does not start; *why says it in a line.  Takes some seconds. */
bool pg_server_start(const char **why);
bool pg_server_runs(void);
void pg_server_stop(void);

/* Nanoseconds per acquire + release of one worker, alone. */
double pg_pair_ns(bool shared, uint64_t pairs);

/* Acquisitions per second of all `processes` together.  reads_per_write 0: all in the one mode. */
double pg_contended_rate(bool shared, int processes, uint32_t reads_per_write, uint64_t run_ns);

/* Microseconds from the SIGKILL of the lock's holder to the first acquire after it; negative when it did not come back. */
double pg_recovery_us(void);

#endif
