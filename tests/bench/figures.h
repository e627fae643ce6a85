/*
 * figures.h
 *		What was measured, collected and then told: as a table, as JSON, as an SVG plot.
 *
 * A figure is the median over rounds, with the quartiles beside it.  A ratio may have a bound that it is meant to
 * reach; whether it did is part of every output.  Other programs deliver figures as lines (figures_from_program()):
 *		figure <TAB> group <TAB> name <TAB> unit <TAB> value [<TAB> "<=" bound, or ">=" bound]
 *
 * Owner: one list per process, never freed.  Threads: one.
 */
#ifndef HOLDFAST_BENCH_FIGURES_H
#define HOLDFAST_BENCH_FIGURES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define BENCH_ROUNDS_MAX 99

typedef enum FigureBound
{
	FIGURE_NO_BOUND,
	FIGURE_AT_MOST,
	FIGURE_AT_LEAST,
} FigureBound;

typedef struct Figure
{
	char group[32]; /* "pair", "2-processes" ... */
	char name[96];
	char unit[16];           /* "ns", "ops/s", "us", "ms", "count", "ratio" ... */
	double value, low, high; /* median and quartiles; all the same when there was one round */
	FigureBound bound;
	double want;
} Figure;

double median_of(const double *values, size_t count);
void sort_values(double *values, size_t count);
/* p in 0..1 of what is sorted. */
double percentile_of(const double *sorted, size_t count, double p);

/* Adds the median of `count` values.  Returns the figure, so that a bound can be set. */
Figure *figure_add(const char *group, const char *name, const char *unit, const double *values,
				   size_t count);
Figure *figure_add_one(const char *group, const char *name, const char *unit, double value);
bool figure_reached(const Figure *figure);

/* Another program that lies beside this one; what it writes to stdout is read from `out`. */
typedef struct Program
{
	char path[PATH_MAX];
	pid_t pid;
	FILE *out;
} Program;

/* argv[0] is its name.  False when it cannot be started. */
bool program_start(Program *program, const char *const argv[]);
/* False, after saying so on stderr, when it did not end with 0. */
bool program_end(Program *program);

/* Runs it and takes the figure lines of its output; other lines are ignored. */
bool figures_from_program(const char *const argv[]);

size_t figures_count(void);
void figures_table(FILE *out);
/* False when not all could be written. */
bool figures_json(FILE *out);
/* svg.c: one row of bars per group; bounds are drawn. */
bool figures_svg(FILE *out);

extern Figure *figures;

#endif
