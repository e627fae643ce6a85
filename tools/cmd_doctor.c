/*
 * cmd_doctor.c
 *		`holdfast doctor`: what this machine lets us do, and what to do about the rest.
 *
 * Each check really tries the thing (doctor/kernel.c, doctor/programs.c).  "fix": something that scenarios need is
 * missing, exit 3.  "warn": something optional is.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "campaign.h"
#include "command.h"
#include "doctor/checks.h"
#include "reports.h"

static ReportFiles files;

static const Option *
doctor_options(void)
{
	static const Option options[] = {REPORT_OPTIONS(files), {0}};

	return options;
}

Verdict
say(Verdict verdict, char *text, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void) vsnprintf(text, size, format, args);
	va_end(args);
	return verdict;
}

int
errno_in_child(int (*try)(void))
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(try());
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static const struct
{
	const char *name;
	DoctorCheck *look;
} checks[] = {
	{"SysV shm", look_shm},
	{"namespaces", look_namespaces},
	{"pidfd", look_pidfd},
	{"/proc", look_proc},
	{"ptrace", look_ptrace},
	{"seccomp notify", look_seccomp},
	{"strace", look_strace},
	{"PID reuse", look_pid_reuse},
	{"ns_last_pid", look_last_pid},
	{"shm_next_id", look_shm_next_id},
	{"sem_next_id", look_sem_next_id},
	{"boot_id", look_boot_id},
	{"time namespace", look_time_namespace},
	{"core_pattern", look_core_pattern},
	{"huge pages", look_huge_pages},
	{"PMU", look_pmu},
	{"mmap_rnd_bits", look_mmap_rnd_bits},
	{"libfiu", look_libfiu},
	{"fiu-run", look_fiu_run},
	{"valgrind", look_valgrind},
	{"gdb", look_gdb},
	{"AFL++", look_afl},
	{"afl-gcc-fast", look_afl_gcc},
	{"libFuzzer", look_libfuzzer},
	{"PostgreSQL", look_postgres},
};

#define CHECKS (sizeof(checks) / sizeof(checks[0]))

static const char *const words[] = {"ok", "warn", "fix"};

static struct
{
	Verdict verdict;
	char text[4200];
} said[CHECKS];

/* ReportFigures */
static void
write_checks(JsonWriter *json, void *arg)
{
	(void) arg;
	json_array(json, "checks");
	for (size_t i = 0; i < CHECKS; i++)
	{
		json_object(json, NULL);
		json_string(json, "name", checks[i].name);
		json_string(json, "verdict", words[said[i].verdict]);
		json_string(json, "text", said[i].text);
		json_object_end(json);
	}
	json_array_end(json);
}

/* What is missing is no finding: nothing is wrong with what was to be tested. */
static int
write_files(int code)
{
	ResultList list = {0};
	RunnerSummary summary = {.selected = CHECKS, .run = CHECKS};
	RunInfo info = {.outcome = exit_code_name(code), .exit_code = code, .summary = &summary};
	bool written;

	for (size_t i = 0; i < CHECKS; i++)
	{
		bool good = said[i].verdict == DOCTOR_OK;
		ScenarioResult result = {
			.scenario = "doctor",
			.case_name = checks[i].name,
			.status = good ? SCENARIO_PASS : SCENARIO_SKIP,
			.message = {said[i].text, good ? 0 : strlen(said[i].text)},
		};

		results_add(&list, &result);
		summary.by_status[result.status]++;
	}
	written = reports_write(&files, &list, &info, "doctor", write_checks, NULL);
	results_free(&list);
	return written ? code : EXIT_INTERNAL;
}

static int
run_doctor(int argc, char **argv)
{
	int code = EXIT_GOOD;
	int count;
	int status = command_options(&command_doctor, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count > 0)
		return usage_error("doctor takes no operands");
	for (size_t i = 0; i < CHECKS; i++)
	{
		said[i].verdict = checks[i].look(said[i].text, sizeof(said[i].text));
		if (said[i].verdict == DOCTOR_FIX)
			code = EXIT_UNFIT;
		if (reports_people(&files) != stdout)
			continue;
		(void) printf("%-4s %-14s %s\n", words[said[i].verdict], checks[i].name, said[i].text);
		(void) fflush(stdout);
	}
	return write_files(code);
}

const Command command_doctor = {
	.name = "doctor",
	.usage = "[OPTION...]",
	.summary = "what this machine lets us do, and what to do about the rest",
	.run = run_doctor,
	.options = doctor_options,
};
