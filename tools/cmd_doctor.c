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

#include "command.h"
#include "doctor/checks.h"
#include "results/json_writer.h"
#include "results/results.h"

static struct
{
	bool json;
} opt;

static const Option *
doctor_options(void)
{
	static const Option options[] = {
		{"--json", OPTION_FLAG, &opt.json, NULL, "as JSON"},
		{0},
	};

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

/* For `gate`: what is optional is skipped where it is missing. */
static void
add_result(ResultList *list, RunnerSummary *summary, const char *name, Verdict verdict,
		   const char *text)
{
	ScenarioResult result = {
		.scenario = "doctor",
		.case_name = name,
		.status = verdict == DOCTOR_OK ? SCENARIO_PASS : SCENARIO_SKIP,
		.message = {text, verdict == DOCTOR_OK ? 0 : strlen(text)},
	};

	results_add(list, &result);
	summary->selected++;
	summary->run++;
	summary->by_status[result.status]++;
}

static int
run_doctor(int argc, char **argv)
{
	static const char *const words[] = {"ok", "warn", "fix"};
	ResultList list = {0};
	RunnerSummary summary = {0};
	RunInfo info = {.summary = &summary};
	JsonWriter json;
	int code = EXIT_GOOD;
	int count;
	int status = command_options(&command_doctor, argc, argv, &count, NULL);

	if (status != EXIT_GOOD)
		return status;
	if (count > 0)
		return usage_error("doctor takes no operands");
	json_begin(&json, stdout);
	if (opt.json)
	{
		json_object(&json, NULL);
		json_int(&json, "schema_version", 1);
		json_array(&json, "checks");
	}
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
	{
		char text[4200];
		Verdict verdict = checks[i].look(text, sizeof(text));

		if (verdict == DOCTOR_FIX)
			code = EXIT_UNFIT;
		if (!opt.json)
		{
			(void) printf("%-4s %-14s %s\n", words[verdict], checks[i].name, text);
			(void) fflush(stdout);
			continue;
		}
		json_object(&json, NULL);
		json_string(&json, "name", checks[i].name);
		json_string(&json, "verdict", words[verdict]);
		json_string(&json, "text", text);
		json_object_end(&json);
		add_result(&list, &summary, checks[i].name, verdict, text);
	}
	if (!opt.json)
		return code;
	json_array_end(&json);
	info.exit_code = code;
	info.outcome = code == EXIT_GOOD ? "good" : "unfit";
	json_object(&json, "results");
	results_json_members(&json, &list, &info);
	json_object_end(&json);
	json_object_end(&json);
	code = json_finish(&json) && !list.out_of_memory ? code : EXIT_INTERNAL;
	results_free(&list);
	return code;
}

const Command command_doctor = {
	.name = "doctor",
	.usage = "[--json]",
	.summary = "what this machine lets us do, and what to do about the rest",
	.run = run_doctor,
	.options = doctor_options,
};
