/*
 * figures.c
 *		The list of figures; the table and the JSON made of it.
 */
#include "figures.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/holdfast.h>

#include "results/json_writer.h"

Figure *figures;
static size_t nfigures, capacity;

static int
compare(const void *a, const void *b)
{
	double left = *(const double *) a;
	double right = *(const double *) b;

	return (left > right) - (left < right);
}

void
sort_values(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
}

double
percentile_of(const double *sorted, size_t count, double p)
{
	size_t at = (size_t) (p * (double) count);

	return sorted[at < count ? at : count - 1];
}

static double
median_of_sorted(const double *sorted, size_t count)
{
	return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double
median_of(const double *values, size_t count)
{
	double copy[BENCH_ROUNDS_MAX];

	memcpy(copy, values, count * sizeof(*values));
	sort_values(copy, count);
	return median_of_sorted(copy, count);
}

Figure *
figure_add(const char *group, const char *name, const char *unit, const double *values,
		   size_t count)
{
	double copy[BENCH_ROUNDS_MAX];
	Figure *figure;

	if (nfigures == capacity)
	{
		capacity = capacity == 0 ? 64 : 2 * capacity;
		figures = realloc(figures, capacity * sizeof(*figures));
		if (figures == NULL)
			abort();
	}
	memcpy(copy, values, count * sizeof(*values));
	sort_values(copy, count);
	figure = &figures[nfigures++];
	*figure = (Figure){
		.value = median_of_sorted(copy, count),
		.low = percentile_of(copy, count, 0.25),
		.high = percentile_of(copy, count, 0.75),
	};
	(void) snprintf(figure->group, sizeof(figure->group), "%s", group);
	(void) snprintf(figure->name, sizeof(figure->name), "%s", name);
	(void) snprintf(figure->unit, sizeof(figure->unit), "%s", unit);
	return figure;
}

Figure *
figure_add_one(const char *group, const char *name, const char *unit, double value)
{
	return figure_add(group, name, unit, &value, 1);
}

bool
figure_reached(const Figure *figure)
{
	switch (figure->bound)
	{
		case FIGURE_AT_MOST:
			return figure->value <= figure->want;
		case FIGURE_AT_LEAST:
			return figure->value >= figure->want;
		case FIGURE_NO_BOUND:
			break;
	}
	return true;
}

size_t
figures_count(void)
{
	return nfigures;
}

/* ---- from other programs ---- */

static void
take_line(char *line)
{
	char *field[6];
	char *rest = line;
	int count = 0;
	Figure *figure;

	while (count < 6 && (field[count] = strsep(&rest, "\t\n")) != NULL)
		count++;
	if (count < 5 || strcmp(field[0], "figure") != 0)
		return;
	figure = figure_add_one(field[1], field[2], field[3], strtod(field[4], NULL));
	if (count < 6 || strlen(field[5]) < 3)
		return;
	figure->bound = field[5][0] == '<' ? FIGURE_AT_MOST : FIGURE_AT_LEAST;
	figure->want = strtod(field[5] + 2, NULL);
}

bool
program_start(Program *program, const char *const argv[])
{
	char self[PATH_MAX - 64];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int fds[2];

	if (length <= 0 || pipe2(fds, O_CLOEXEC) < 0)
		return false;
	self[length] = '\0';
	(void) snprintf(program->path, sizeof(program->path), "%s/%s", dirname(self), argv[0]);
	program->pid = fork();
	if (program->pid == 0)
	{
		(void) dup2(fds[1], STDOUT_FILENO);
		(void) execv(program->path, (char *const *) argv);
		(void) fprintf(stderr, "holdfast-bench: could not run \"%s\": %s\n", program->path,
					   strerror(errno));
		_exit(127);
	}
	(void) close(fds[1]);
	program->out = fdopen(fds[0], "r");
	if (program->out != NULL && program->pid > 0)
		return true;
	(void) close(fds[0]);
	return false;
}

bool
program_end(Program *program)
{
	int status;

	(void) fclose(program->out);
	if (waitpid(program->pid, &status, 0) == program->pid && WIFEXITED(status) &&
		WEXITSTATUS(status) == 0)
		return true;
	(void) fprintf(stderr, "holdfast-bench: \"%s\" did not end well\n", program->path);
	return false;
}

bool
figures_from_program(const char *const argv[])
{
	Program program;
	char line[512];

	if (!program_start(&program, argv))
		return false;
	while (fgets(line, sizeof(line), program.out) != NULL)
		take_line(line);
	return program_end(&program);
}

/* ---- outputs ---- */

static const char *
verdict(const Figure *figure)
{
	if (figure->bound == FIGURE_NO_BOUND)
		return "";
	return figure_reached(figure) ? "reached" : "missed";
}

void
figures_table(FILE *out)
{
	const char *group = "";

	for (size_t i = 0; i < nfigures; i++)
	{
		const Figure *figure = &figures[i];
		char want[32] = "";

		if (strcmp(group, figure->group) != 0)
			(void) fprintf(out, "%s%s\n", i == 0 ? "" : "\n", figure->group);
		group = figure->group;
		if (figure->bound != FIGURE_NO_BOUND)
			(void) snprintf(want, sizeof(want), "%s %.2f",
							figure->bound == FIGURE_AT_MOST ? "<=" : ">=", figure->want);
		(void) fprintf(out, "  %-56s %14.2f %-6s [%.2f .. %.2f] %s %s\n", figure->name,
					   figure->value, figure->unit, figure->low, figure->high, want,
					   verdict(figure));
	}
}

bool
figures_json(FILE *out)
{
	JsonWriter json;
	struct utsname host;

	json_begin(&json, out);
	json_object(&json, NULL);
	json_uint(&json, "schema_version", 2);
	json_string(&json, "version", HOLDFAST_VERSION);
	if (uname(&host) == 0)
	{
		json_string(&json, "machine", host.machine);
		json_string(&json, "kernel", host.release);
	}
	json_uint(&json, "processors", (uint64_t) sysconf(_SC_NPROCESSORS_ONLN));
	json_array(&json, "figures");
	for (size_t i = 0; i < nfigures; i++)
	{
		const Figure *figure = &figures[i];

		json_object(&json, NULL);
		json_string(&json, "group", figure->group);
		json_string(&json, "name", figure->name);
		json_string(&json, "unit", figure->unit);
		json_real(&json, "value", figure->value);
		json_real(&json, "low", figure->low);
		json_real(&json, "high", figure->high);
		if (figure->bound != FIGURE_NO_BOUND)
		{
			json_real(&json, figure->bound == FIGURE_AT_MOST ? "at_most" : "at_least",
					  figure->want);
			json_bool(&json, "reached", figure_reached(figure));
		}
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
	return json_finish(&json);
}
