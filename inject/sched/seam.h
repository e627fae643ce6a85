/*
 * seam.h
 *		Read before anything else by the lock sources when they are built for the simulator.
 *
 * Makes the tables small, so that a state is small, and sends the few calls that leave the library (futex, clock,
 * sleeping, thread keys) to kernel.c.  The sources themselves are the library's, unchanged; every access they make to
 * memory arrives in hooks.c through the compiler's own -fsanitize=thread calls.
 */
#ifndef HOLDFAST_SCHED_SEAM_H
#define HOLDFAST_SCHED_SEAM_H

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <holdfast/lwlock.h>
#include <holdfast/shmem.h>

/* A slot's journal and a queue walk are as long as these: the loops over them stay short. */
#undef HOLDFAST_PROCS_MAX
#define HOLDFAST_PROCS_MAX 8
#undef MAX_SIMUL_LWLOCKS
#define MAX_SIMUL_LWLOCKS 2
#undef LWLOCK_TRANCHES_MAX
#define LWLOCK_TRANCHES_MAX 4

/* Spinning is one look here: nothing changes while nobody else moves. */
#define SPIN_PAUSES_FIRST 1
#define SPIN_PAUSES_LAST  1

/* cpu_relax() of lwlock_internal.h. */
#define __builtin_ia32_pause() sim_pause()
#undef isb

#define syscall             sim_syscall
#define nanosleep           sim_nanosleep
#define sched_yield         sim_sched_yield
#define clock_gettime       sim_clock_gettime
#define getpid              sim_getpid
#define pthread_once        sim_pthread_once
#define pthread_key_create  sim_pthread_key_create
#define pthread_atfork      sim_pthread_atfork
#define pthread_setspecific sim_pthread_setspecific
#define memset              sim_memset
#define memcpy              sim_memcpy

void sim_pause(void);
long sim_syscall(long number, ...);
int sim_nanosleep(const struct timespec *request, struct timespec *left);
int sim_sched_yield(void);
int sim_clock_gettime(clockid_t clock, struct timespec *now);
pid_t sim_getpid(void);
int sim_pthread_once(pthread_once_t *once, void (*routine)(void));
int sim_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
int sim_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int sim_pthread_setspecific(pthread_key_t key, const void *value);
void *sim_memset(void *to, int byte, size_t size);
void *sim_memcpy(void *to, const void *from, size_t size);

#endif
