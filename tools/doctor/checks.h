/*
 * checks.h
 *		`holdfast doctor`: its checks.
 *
 * Each tries one thing and says in one line what came of it, and what to do when it does not work.
 */
#ifndef HOLDFAST_TOOLS_DOCTOR_CHECKS_H
#define HOLDFAST_TOOLS_DOCTOR_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef enum Verdict
{
	DOCTOR_OK,
	DOCTOR_WARN, /* something optional is missing */
	DOCTOR_FIX,  /* scenarios need it */
} Verdict;

Verdict say(Verdict verdict, char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Runs try() in a child; its errno, 0 when it went well. */
int errno_in_child(int (*try)(void));

typedef Verdict DoctorCheck(char *text, size_t size);

/* kernel.c */
DoctorCheck look_shm, look_namespaces, look_pidfd, look_proc, look_ptrace, look_seccomp,
	look_strace;
DoctorCheck look_pid_reuse, look_last_pid, look_shm_next_id, look_sem_next_id, look_boot_id,
	look_time_namespace;
DoctorCheck look_core_pattern, look_huge_pages, look_pmu, look_mmap_rnd_bits;

/* programs.c */
DoctorCheck look_libfiu, look_fiu_run, look_valgrind, look_gdb, look_afl, look_afl_gcc,
	look_libfuzzer, look_postgres;

#endif
