/*
 * inject.c
 *		holdfast-bench-inject: what a point costs, beside fiu_fail() in the same run.
 *
 *		holdfast bench --filter inject			runs it and shows its figures
 *
 * Linked with holdfast_injected, as the other benchmarks are not; so it is a program of its own, which prints lines
 * for figures_from_program().  Each figure is the median over rounds of one call's time, the empty loop's taken off;
 * all contenders take turns in each round.  The process has one thread, as PostgreSQL's have.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIU_ENABLE
#include <fiu-control.h>
#include <fiu.h>

#include "figures.h"
#include "inject/inject.h"

#define ROUNDS 15
#define CALLS  400000

void bench_compiled_out(int calls);

static void
nothing(int calls)
{
	for (int i = 0; i < calls; i++)
		__asm__ volatile("" ::: "memory");
}

static void
point(int calls)
{
	for (int i = 0; i < calls; i++)
	{
		INJECT_POINT("bench/inject/point", INJECT_ANYWHERE, "nothing");
		__asm__ volatile("" ::: "memory");
	}
}

static __attribute__((noinline)) void
other_point(void)
{
	INJECT_POINT("bench/inject/other", INJECT_ANYWHERE, "nothing");
}

static void
libfiu(int calls)
{
	for (int i = 0; i < calls; i++)
		(void) fiu_fail("bench/inject/libfiu-point");
}

/* ---- contenders ---- */

static void
arm(const char *plan)
{
	InjectError error;

	if (plan == NULL)
		inject_disarm_all();
	else if (inject_arm(plan, &error) != INJECT_OK)
	{
		(void) fprintf(stderr, "holdfast-bench-inject: %s: %s\n", plan, error.message);
		exit(70);
	}
}

static void
enable(const char *name)
{
	(void) fiu_disable("bench/inject/another-point");
	(void) fiu_disable("bench/inject/libfiu-point");
	if (name != NULL)
		(void) fiu_enable(name, 1, NULL, 0);
}

static const struct
{
	const char *name;
	void (*prepare)(const char *argument);
	const char *argument;
	void (*run)(int calls);
	double ns_most; /* what is meant to be reached; 0: nothing said */
} contenders[] = {
	{"empty loop", NULL, NULL, nothing, 0},
	{"production: compiled out", NULL, NULL, bench_compiled_out, 0.1},
	{"disarmed", arm, NULL, point, 1},
	{"another point armed", arm, "bench/inject/other=count", point, 1},
	{"armed, for another role", arm, "bench/inject/point=#3 kill[proc=nobody.7]", point, 15},
	{"armed, its hit is over", arm, "bench/inject/point=#1 count", point, 15},
	{"armed, its hit is to come", arm, "bench/inject/point=#1000000000 kill", point, 15},
	{"armed, in another function", arm, "bench/inject/point=kill[in=other_point]", point, 0},
	{"armed, fires: count", arm, "bench/inject/point=count", point, 0},
	{"fiu_fail, nothing enabled", enable, NULL, libfiu, 0},
	{"fiu_fail, another enabled", enable, "bench/inject/another-point", libfiu, 0},
	{"fiu_fail, enabled", enable, "bench/inject/libfiu-point", libfiu, 0},
};
#define CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

static double ns[CONTENDERS][ROUNDS];

static double
measure(size_t which)
{
	struct timespec start, end;

	if (contenders[which].prepare != NULL)
		contenders[which].prepare(contenders[which].argument);
	contenders[which].run(CALLS / 100); /* warm */
	(void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	contenders[which].run(CALLS);
	(void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	return ((double) (end.tv_sec - start.tv_sec) * 1e9 + (double) (end.tv_nsec - start.tv_nsec)) /
		   CALLS;
}

static void
print_figure(const char *name, const char *unit, double value, double most)
{
	(void) printf("figure\tinject\t%s\t%s\t%.4f", name, unit, value);
	if (most > 0)
		(void) printf("\t<=%.1f", most);
	(void) putchar('\n');
}

/* What libfiu takes for the same state, as a multiple of ours; below a tenth of a nanosecond nothing can be told. */
static void
print_ratio(size_t peer, size_t ours, const double *median)
{
	char name[96];

	(void) snprintf(name, sizeof(name), "%s / %s", contenders[peer].name, contenders[ours].name);
	print_figure(name, "ratio", median[peer] / (median[ours] > 0.1 ? median[ours] : 0.1), 0);
}

int
main(void)
{
	double median[CONTENDERS];
	InjectError error;

	other_point();
	if (inject_table_create(&error) != INJECT_OK || fiu_init(0) != 0)
	{
		(void) fprintf(stderr, "holdfast-bench-inject: %s\n", error.message);
		return 3;
	}
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < CONTENDERS; i++)
			ns[i][round] = measure(i);
	for (size_t i = 0; i < CONTENDERS; i++)
	{
		for (int round = 0; i > 0 && round < ROUNDS; round++)
			ns[i][round] -= ns[0][round];
		median[i] = median_of(ns[i], ROUNDS);
		if (i > 0)
			print_figure(contenders[i].name, "ns", median[i] > 0 ? median[i] : 0,
						 contenders[i].ns_most);
	}
	print_ratio(9, 2, median);
	print_ratio(10, 4, median);
	print_ratio(10, 6, median);
	print_ratio(11, 8, median);
	return 0;
}
