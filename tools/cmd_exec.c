/*
 * cmd_exec.c
 *		`holdfast exec`: runs any dynamic program, and its children, under a fault plan.
 *
 * The program is started with holdfast_preload.so in front of what LD_PRELOAD already says and finds the control table
 * through an inherited descriptor.  Its stdin and stdout are its own; the report goes to stderr, or as JSON to a file.
 * It says for each process in which something fired what that was, at which hit of which point, and from where it was
 * called.  The exit code is the program's (128 + signal), or 1 when an armed fault never fired.
 */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "inject/carrier/carrier.h"
#include "inject/inject.h"
#include "plan_argument.h"
#include "plan_json.h"
#include "results/json_writer.h"

static struct
{
	const char *plan, *json, *preload, *via;
	bool quiet;
} opt;

static const Option *
exec_options(void)
{
	static const Option options[] = {
		{"--plan", OPTION_STRING, &opt.plan, "PLAN", "the faults, or @FILE"},
		{"--json", OPTION_STRING, &opt.json, "FILE", "the report as JSON"},
		{"--preload", OPTION_STRING, &opt.preload, "FILE", "another holdfast_preload.so"},
		{"--via", OPTION_STRING, &opt.via, "CARRIER", "preload (the default), seccomp or strace"},
		{"--quiet|-q", OPTION_FLAG, &opt.quiet, NULL, "no report on stderr"},
		{0},
	};

	return options;
}

/* ---- starting ---- */

static const char *const preload_places[] = {
	"../lib/holdfast_preload.so", "../lib/holdfast/holdfast_preload.so", "holdfast_preload.so"};

/* Beside this program, as built or as installed. */
static bool
find_preload(char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *directory;

	if (opt.preload != NULL)
		return realpath(opt.preload, path) != NULL && access(path, R_OK) == 0;
	if (length <= 0)
		return false;
	self[length] = '\0';
	directory = dirname(self);
	for (size_t i = 0; i < sizeof(preload_places) / sizeof(preload_places[0]); i++)
	{
		(void) snprintf(path, size, "%s/%s", directory, preload_places[i]);
		if (access(path, R_OK) == 0)
			return true;
	}
	return false;
}

/* In front of what is there: sanitizers and other preloads keep working. */
static bool
extend_ld_preload(const char *path)
{
	const char *before = getenv("LD_PRELOAD");
	char *value;
	bool set;

	if (before == NULL || before[0] == '\0')
		return setenv("LD_PRELOAD", path, 1) == 0;
	if (asprintf(&value, "%s:%s", path, before) < 0)
		return false;
	set = setenv("LD_PRELOAD", value, 1) == 0;
	free(value);
	return set;
}

static pid_t
start(const char *preload, char **command)
{
	InjectError error;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void) signal(SIGINT, SIG_DFL);
	(void) signal(SIGQUIT, SIG_DFL);
	if (inject_table_export(&error) == INJECT_OK && extend_ld_preload(preload))
	{
		(void) execvp(command[0], command);
		(void) fprintf(stderr, "holdfast: could not run \"%s\": %s\n", command[0], strerror(errno));
	}
	_exit(errno == ENOENT ? 127 : 126);
}

/* ---- reporting ---- */

static void
describe_end(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		(void) snprintf(text, size, "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	else
		(void) snprintf(text, size, "exit %d", WEXITSTATUS(status));
}

/* How a process ended by the fault that fired in it last, as far as the plan says. */
static void
print_proc(const InjectProcInfo *proc, FILE *out)
{
	(void) fprintf(out, "  pid %-8d %s at %s, hit %" PRIu64 "; %" PRIu64 " fired in all%s\n",
				   (int) proc->pid, proc->last_action, proc->last_point, proc->last_hit,
				   proc->fires, proc->live ? "" : "; it has ended");
	(void) fprintf(out, "               %s", proc->program);
	if (proc->role[0] != '\0')
		(void) fprintf(out, " as %s.%d", proc->role, proc->ordinal);
	if (proc->last_caller[0] != '\0')
		(void) fprintf(out, ", called from %s", proc->last_caller);
	else if (proc->last_file[0] != '\0')
		(void) fprintf(out, ", %s:%d", proc->last_file, proc->last_line);
	(void) fputc('\n', out);
}

static void
report_text(int status, FILE *out)
{
	InjectItemInfo item;
	InjectProcInfo proc;
	char end[64];

	describe_end(status, end, sizeof(end));
	(void) fprintf(out, "holdfast: %s\n", end);
	for (int i = 0; inject_item_at(i, &item); i++)
		(void) fprintf(out, "  %-44s reached %" PRIu64 ", fired %" PRIu64 "%s\n", item.text,
					   item.hits, item.fires,
					   item.fires == 0 && item.can_fire ? "  <- armed, never fired" : "");
	for (int i = 0; inject_proc_at(i, &proc); i++)
		if (proc.fires > 0)
			print_proc(&proc, out);
	if (inject_procs_recycled() > 0)
		(void) fprintf(out, "  and %" PRIu64 " processes that made room for later ones\n",
					   inject_procs_recycled());
}

static void
json_points_of(JsonWriter *json, int proc)
{
	InjectPointInfo point;
	uint64_t hits;
	uint64_t fires;

	json_array(json, "points");
	for (int i = 0; inject_point_at(i, &point); i++)
	{
		if (!inject_proc_point(proc, point.name, &hits, &fires) || hits == 0)
			continue;
		json_object(json, NULL);
		json_string(json, "name", point.name);
		json_uint(json, "hits", hits);
		json_uint(json, "fires", fires);
		json_object_end(json);
	}
	json_array_end(json);
}

static void
json_proc(JsonWriter *json, int index, const InjectProcInfo *proc)
{
	plan_json_proc(json, proc);
	json_uint(json, "last_hit", proc->last_hit);
	json_string(json, "last_action", proc->last_action);
	json_string(json, "last_file", proc->last_file);
	json_int(json, "last_line", proc->last_line);
	json_string(json, "last_caller", proc->last_caller);
	json_points_of(json, index);
	json_object_end(json);
}

static bool
report_json(int status, int unfired, FILE *out)
{
	InjectProcInfo proc;
	JsonWriter json;

	json_begin(&json, out);
	json_object(&json, NULL);
	json_int(&json, "schema_version", 1);
	json_string(&json, "plan", opt.plan);
	json_int(&json, WIFSIGNALED(status) ? "signal" : "exit",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	json_int(&json, "never_fired", unfired);
	plan_json_items(&json);
	json_array(&json, "procs");
	for (int i = 0; inject_proc_at(i, &proc); i++)
		if (proc.hits > 0)
			json_proc(&json, i, &proc);
	json_array_end(&json);
	json_uint(&json, "procs_recycled", inject_procs_recycled());
	json_object_end(&json);
	return json_finish(&json);
}

static int
report(int status)
{
	InjectError unfired_text;
	int unfired = inject_unfired(NULL, 0, &unfired_text);

	if (!opt.quiet)
		report_text(status, stderr);
	if (opt.json != NULL)
	{
		FILE *file = open_output(opt.json);

		if (file == NULL || !report_json(status, unfired, file) || !close_output(file, opt.json))
			return EXIT_INTERNAL;
	}
	if (unfired > 0)
	{
		(void) fprintf(stderr, "holdfast: armed, never fired: %s\n", unfired_text.message);
		return EXIT_FINDINGS;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In the kernel's way, or strace's; EXIT_GOOD when there is a wait status to report. */
static int
run_carried(const Carrier *carrier, char **command, int *wait_status)
{
	InjectError error;
	char text[400];
	int code = EXIT_GOOD;

	if (carrier_check_armed(carrier, &error) != INJECT_OK)
	{
		inject_error_text(&error, text, sizeof(text));
		return usage_error("plan: %s", text);
	}
	if (carrier->probe(&error) != INJECT_OK)
		code = EXIT_UNFIT;
	else
	{
		InjectStatus status = carrier->run(command, wait_status, &error);

		/* misuse: the carrier did other than the plan says */
		if (status != INJECT_OK)
			code = status == INJECT_MISUSE ? EXIT_FINDINGS : EXIT_INTERNAL;
	}
	if (code != EXIT_GOOD)
	{
		inject_error_text(&error, text, sizeof(text));
		(void) fprintf(stderr, "holdfast: exec --via %s: %s\n", carrier->name, text);
	}
	return code;
}

static int
run_preloaded(const char *preload, char **command, int *wait_status)
{
	const char *obstacle = carrier_preload_obstacle(command[0]);
	pid_t pid;

	if (obstacle != NULL)
		(void) fprintf(stderr, "holdfast: preload does not reach \"%s\": %s; --via seccomp does\n",
					   command[0], obstacle);
	pid = start(preload, command);
	if (pid < 0)
	{
		(void) fprintf(stderr, "holdfast: fork: %s\n", strerror(errno));
		return EXIT_INTERNAL;
	}
	while (waitpid(pid, wait_status, 0) < 0)
	{
		if (errno != EINTR)
			return EXIT_INTERNAL;
	}
	return EXIT_GOOD;
}

static int
run_under_plan(char **command)
{
	bool preloaded = opt.via == NULL || strcmp(opt.via, "preload") == 0;
	const Carrier *carrier = preloaded ? NULL : carrier_find(opt.via);
	char preload[PATH_MAX];
	char text[400];
	InjectError error;
	int wait_status;
	int code;

	if (!preloaded && carrier == NULL)
		return usage_error("--via %s: there are preload, seccomp and strace", opt.via);
	if (preloaded && !find_preload(preload, sizeof(preload)))
	{
		(void) fprintf(stderr, "holdfast: holdfast_preload.so is not beside this program; "
							   "--preload FILE says where it is\n");
		return EXIT_UNFIT;
	}
	if (inject_table_create(&error) != INJECT_OK)
	{
		inject_error_text(&error, text, sizeof(text));
		(void) fprintf(stderr, "holdfast: %s\n", text);
		return EXIT_UNFIT;
	}
	code = plan_argument_arm(opt.plan);
	if (code != EXIT_GOOD)
		return code;
	/* Ctrl-C is for the program; we stay to report. */
	(void) signal(SIGINT, SIG_IGN);
	(void) signal(SIGQUIT, SIG_IGN);
	code = preloaded ? run_preloaded(preload, command, &wait_status)
					 : run_carried(carrier, command, &wait_status);
	return code == EXIT_GOOD ? report(wait_status) : code;
}

static int
run_exec(int argc, char **argv)
{
	char **command;
	int count;
	int status = command_options(&command_exec, argc, argv, &count, &command);

	if (status != EXIT_GOOD)
		return status;
	if (command == NULL || command[0] == NULL || count > 0)
		return usage_error("exec wants a program after --: "
						   "holdfast exec --plan PLAN -- PROGRAM [ARGUMENT...]");
	if (opt.plan == NULL)
		return usage_error("exec wants a --plan; `holdfast list points` shows what it can name");
	return run_under_plan(command);
}

const Command command_exec = {
	.name = "exec",
	.usage = "--plan PLAN [OPTION...] -- PROGRAM [ARGUMENT...]",
	.summary = "run any program under a fault plan",
	.run = run_exec,
	.options = exec_options,
	.examples =
		"  holdfast exec --plan 'sysv/shm/shmget=#1 errno(ENOSPC)' -- ipcmk -M 4096\n"
		"  holdfast exec --via seccomp --plan 'file/fsync=#2../2 errno(EIO)' -- ./static-program\n",
};
