/*
 * strace.c
 *		A plan brought to a program by strace: a second opinion on the same plan.
 *
 * A part of the plan language has an equivalent in strace's -e inject=: errno, return, skip, kill, sleep, with `#`
 * and `N*`, counted by process.  The rest is refused.  What strace did is read from its log: each call is put
 * through our own decision, which counts it in the control table, and strace's mark must agree with ours.
 *
 * Owner: the log is a file of ours, unlinked at the end.  One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carrier.h"
#include "inject/point/error.h"
#include "kernel_view.h"
#include "remote.h"

#define NAMES_SIZE 32 /* the longest of kernel_names() */

/* ---- names ---- */

/* What the kernel calls it, where that is not the function's name; all that the C library may use. */
static const char *
kernel_names(const InjectCallSpec *spec)
{
	static const struct
	{
		const char *call;
		const char *names;
	} other[] = {
		{"open", "open,openat"},
		{"pread", "pread64"},
		{"pwrite", "pwrite64"},
		{"semop", "semop,semtimedop"},
		{"fork", "fork,clone"},
		{"waitpid", "wait4"},
		{"eventfd", "eventfd2"},
		{"nanosleep", "nanosleep,clock_nanosleep"},
		{"renameat", "renameat,renameat2"},
		{"epoll_wait", "epoll_wait,epoll_pwait"},
	};

	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		if (strcmp(other[i].call, spec->call) == 0)
			return other[i].names;
	return spec->call;
}

/* Whether "openat" is one of "open,openat". */
static bool
is_among(const char *name, size_t length, const char *names)
{
	while (*names != '\0')
	{
		size_t this_one = strcspn(names, ",");

		if (this_one == length && strncmp(names, name, length) == 0)
			return true;
		names += this_one + (names[this_one] == ',');
	}
	return false;
}

/* ---- what it may ask ---- */

static const char *
cannot(const InjectPlan *plan, const InjectItem *item)
{
	const InjectStep *step = &plan->steps[item->first_step];
	const InjectCallSpec *spec = inject_call_spec(item->point);

	if (spec == NULL || spec->call == NULL || kernel_view_blind(item->point) != NULL ||
		(spec->number < 0 && spec->also < 0))
		return spec == NULL ? "one call by its name is wanted" : "strace does not see it as such";
	if (strncmp(item->point, "linux/futex/", 12) == 0)
		return "strace does not tell futex operations apart";
	if (item->step_count != 1 || step->action_count != 1)
		return "one step with one action is wanted";
	if (step->chance != INJECT_ALWAYS || step->after_hits != 0 || step->role[0] != '\0' ||
		step->has_arg || step->held[0] != '\0' || step->in[0] != '\0' ||
		step->scope == INJECT_SCOPE_THREAD || step->scope == INJECT_SCOPE_GLOBAL)
		return "it knows neither chances nor filters";
	if ((step->nth != 0 || step->limit != INJECT_FOREVER) && step->scope != INJECT_SCOPE_PROC)
		return "it counts by process: say [count=proc]";
	if (step->nth != 0 && step->limit != INJECT_FOREVER)
		return "either # or N* is wanted";
	switch (step->actions[0].kind)
	{
		case INJECT_ERRNO:
		case INJECT_SLEEP:
		case INJECT_KILL:
			return NULL;
		case INJECT_RETURN:
			return step->actions[0].a >= 0 ? NULL : "it returns nothing negative";
		case INJECT_SKIP:
			return strncmp(item->point, "file/write", 10) == 0 ||
						   strncmp(item->point, "file/pwrite", 11) == 0
					   ? "it does not know what would have been written"
					   : NULL;
		default:
			return "it knows errno, return, skip, kill and sleep only";
	}
}

static InjectStatus
check(const InjectPlan *plan, InjectError *error)
{
	for (int i = 0; i < plan->item_count; i++)
	{
		const char *reason = cannot(plan, &plan->items[i]);

		if (reason != NULL)
			return inject_fail_at(error, plan->items[i].place, NULL,
								  "\"%s\" is not possible by strace: %s", plan->items[i].point,
								  reason);
	}
	return INJECT_OK;
}

/* ---- the plan in its words ---- */

static void
print_when(const InjectStep *step, char *text, size_t size)
{
	text[0] = '\0';
	if (step->limit != INJECT_FOREVER)
		(void) snprintf(text, size, ":when=1..%" PRIu64, step->limit);
	else if (step->nth != 0 && step->nth_end == INJECT_FOREVER)
		(void) snprintf(text, size, ":when=%" PRIu64 "+%" PRIu64, step->nth,
						step->every != 0 ? step->every : 1);
	else if (step->nth != 0 && step->every != 0)
		(void) snprintf(text, size, ":when=%" PRIu64 "..%" PRIu64 "+%" PRIu64, step->nth,
						step->nth_end, step->every);
	else if (step->nth != 0 && step->nth_end != step->nth)
		(void) snprintf(text, size, ":when=%" PRIu64 "..%" PRIu64, step->nth, step->nth_end);
	else if (step->nth != 0)
		(void) snprintf(text, size, ":when=%" PRIu64, step->nth);
}

static void
print_injection(const InjectPlan *plan, const InjectItem *item, char *text, size_t size)
{
	const InjectStep *step = &plan->steps[item->first_step];
	const InjectAction *action = &step->actions[0];
	char when[80];
	char what[80];

	print_when(step, when, sizeof(when));
	if (action->kind == INJECT_ERRNO)
		(void) snprintf(what, sizeof(what), "error=%" PRId64, action->a);
	else if (action->kind == INJECT_SLEEP)
		(void) snprintf(what, sizeof(what), "delay_enter=%" PRId64, action->a / 1000);
	else if (action->kind == INJECT_KILL)
		(void) snprintf(what, sizeof(what), "signal=KILL");
	else
		(void) snprintf(what, sizeof(what), "retval=%" PRId64,
						action->kind == INJECT_SKIP ? 0 : action->a);
	(void) snprintf(text, size, "inject=%s:%s%s", kernel_names(inject_call_spec(item->point)), what,
					when);
}

/* "trace=execve,...,shmget,fsync": nothing else is stopped.  The first few tell who is who. */
static void
print_trace(const InjectPlan *plan, char *text, size_t size)
{
	size_t length = (size_t) snprintf(text, size, "trace=execve,clone,clone3,?fork,?vfork");

	for (int i = 0; i < plan->item_count && length < size; i++)
		length += (size_t) snprintf(text + length, size - length, ",%s",
									kernel_names(inject_call_spec(plan->items[i].point)));
}

static _Noreturn void
become_strace(const InjectPlan *plan, const char *log, char *const *command)
{
	static char trace[(INJECT_MAX_ITEMS + 2) * NAMES_SIZE];
	static char injections[INJECT_MAX_ITEMS][256];
	size_t count = 0;
	size_t at = 0;
	const char **arguments;

	while (command[count] != NULL)
		count++;
	arguments = calloc(count + 2 * INJECT_MAX_ITEMS + 16, sizeof(*arguments));
	if (arguments == NULL)
		_exit(126);
	print_trace(plan, trace, sizeof(trace));
	arguments[at++] = "strace";
	arguments[at++] = "-f";
	arguments[at++] = "-o";
	arguments[at++] = log;
	arguments[at++] = "-e";
	arguments[at++] = trace;
	for (int i = 0; i < plan->item_count; i++)
	{
		print_injection(plan, &plan->items[i], injections[i], sizeof(injections[i]));
		arguments[at++] = "-e";
		arguments[at++] = injections[i];
	}
	arguments[at++] = "--";
	memcpy(arguments + at, command, count * sizeof(*arguments));
	(void) signal(SIGINT, SIG_DFL);
	(void) signal(SIGQUIT, SIG_DFL);
	(void) execvp("strace", (char *const *) (uintptr_t) arguments);
	(void) fprintf(stderr, "holdfast: could not run strace: %s\n", strerror(errno));
	_exit(126);
}

/* ---- what it did ---- */

/* A call that is not over, by thread: its end is on a later line. */
typedef struct Open
{
	long pid;
	InjectActionKind expected;
} Open;

typedef struct Log
{
	const InjectPlan *plan;
	InjectError *error;
	unsigned long line;
	Open open[256];
	size_t open_count;
} Log;

static InjectStatus
compare(Log *log, InjectActionKind expected, const char *rest)
{
	bool injected = strstr(rest, "(INJECTED)") != NULL;
	bool delayed = strstr(rest, "(DELAYED)") != NULL;
	bool wants_injected =
		expected == INJECT_ERRNO || expected == INJECT_RETURN || expected == INJECT_SKIP;

	if (injected == wants_injected && delayed == (expected == INJECT_SLEEP))
		return INJECT_OK;
	return inject_fail(log->error, INJECT_MISUSE,
					   "strace and the plan disagree in line %lu of its log: %s expected, %.100s",
					   log->line, inject_action_name(expected), rest);
}

/* Count it and decide it as we would have. */
static InjectActionKind
judge(long pid, const char *point)
{
	const RegistryPoint *registered = registry_find(point);
	Remote *remote = remote_of_ended((pid_t) pid);
	InjectArrival arrival;

	if (registered == NULL || registered->index == NO_POINT || remote == NULL)
		return INJECT_OFF;
	remote_judge(remote, registered, false, 0, &arrival);
	return arrival.fires ? (InjectActionKind) arrival.step->actions[0].kind : INJECT_OFF;
}

/* The item of the plan that a call's name belongs to. */
static const InjectItem *
find_item(const Log *log, const char *name, size_t length)
{
	for (int i = 0; i < log->plan->item_count; i++)
		if (is_among(name, length, kernel_names(inject_call_spec(log->plan->items[i].point))))
			return &log->plan->items[i];
	return NULL;
}

static InjectStatus
read_end(Log *log, long pid, const char *text)
{
	for (size_t i = 0; i < log->open_count; i++)
	{
		Open open = log->open[i];

		if (open.pid != pid)
			continue;
		log->open[i] = log->open[--log->open_count];
		return compare(log, open.expected, text);
	}
	return INJECT_OK;
}

/* An execve names the process (until the next try, when it fails), a fork its child as its parent. */
static void
learn_name(long pid, const char *text)
{
	static const char *const births[] = {"clone", "fork", "vfork"};
	const char *call = strncmp(text, "<... ", 5) == 0 ? text + 5 : text;
	const char *result = strrchr(text, '=');
	Remote *remote = remote_of_ended((pid_t) pid);
	long child = result == NULL ? -1 : strtol(result + 1, NULL, 10);

	if (remote != NULL && strncmp(call, "execve(\"", 8) == 0)
	{
		char path[PATH_MAX];

		(void) snprintf(path, sizeof(path), "%.*s", (int) strcspn(call + 8, "\""), call + 8);
		remote_name(remote, basename(path));
	}
	for (size_t i = 0; i < sizeof(births) / sizeof(births[0]) && remote != NULL && child > 0; i++)
	{
		Remote *born = NULL;

		if (strncmp(call, births[i], strlen(births[i])) == 0 && strstr(text, "_THREAD") == NULL)
			born = remote_of_ended((pid_t) child);
		if (born != NULL && born->program[0] == '\0')
			remote_name(born, remote->program);
	}
}

/* "4711 fsync(3) = -1 EIO (Input/output error) (INJECTED)" */
static InjectStatus
read_line(Log *log, char *line)
{
	char *text;
	long pid = strtol(line, &text, 10);
	const InjectItem *item;
	InjectActionKind expected;

	text += strspn(text, " ");
	learn_name(pid, text);
	if (strncmp(text, "<... ", 5) == 0)
		return read_end(log, pid, text);
	item = find_item(log, text, strcspn(text, "("));
	if (item == NULL)
		return INJECT_OK;
	expected = judge(pid, item->point);
	if (strstr(text, "<unfinished") == NULL)
		return compare(log, expected, text);
	if (log->open_count < sizeof(log->open) / sizeof(log->open[0]))
		log->open[log->open_count++] = (Open){pid, expected};
	return INJECT_OK;
}

static InjectStatus
read_log(const InjectPlan *plan, const char *path, InjectError *error)
{
	Log log = {.plan = plan, .error = error};
	FILE *file = fopen(path, "re");
	InjectStatus status = INJECT_OK;
	char *line = NULL;
	size_t size = 0;

	if (file == NULL)
		return inject_fail_errno(error, "the log of strace");
	while (status == INJECT_OK && getline(&line, &size, file) > 0)
	{
		log.line++;
		status = read_line(&log, line);
	}
	free(line);
	(void) fclose(file);
	return status;
}

static InjectStatus
run_with(const InjectPlan *plan, const char *log, char *const *command, int *wait_status,
		 InjectError *error)
{
	InjectStatus status;
	pid_t pid;

	(void) fflush(NULL);
	pid = fork();
	if (pid < 0)
		return inject_fail_errno(error, "cannot start a process");
	if (pid == 0)
		become_strace(plan, log, command);
	while (waitpid(pid, wait_status, 0) < 0)
		if (errno != EINTR)
			return inject_fail_errno(error, "waitpid");
	status = read_log(plan, log, error);
	remote_forget();
	return status;
}

static InjectStatus
run(char *const *command, int *wait_status, InjectError *error)
{
	char log[] = "/tmp/holdfast-strace-XXXXXX";
	char *text = malloc(INJECT_PLAN_SIZE);
	InjectPlan *plan = malloc(sizeof(*plan));
	InjectStatus status = INJECT_OK;
	int fd = mkstemp(log);

	if (text == NULL || plan == NULL || fd < 0)
		status = inject_fail_errno(error, "the log of strace");
	if (status == INJECT_OK)
		status = inject_plan_parse(text, inject_armed_text(text, INJECT_PLAN_SIZE), plan, error);
	if (status == INJECT_OK)
		status = run_with(plan, log, command, wait_status, error);
	if (fd >= 0)
	{
		(void) close(fd);
		(void) unlink(log);
	}
	free(text);
	free(plan);
	return status;
}

/* ---- whether it works here ---- */

static InjectStatus
probe(InjectError *error)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		return inject_fail_errno(error, "cannot start a process");
	if (child == 0)
	{
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void) dup2(null, STDERR_FILENO);
		(void) execlp("strace", "strace", "-f", "-e", "trace=shmget", "-e",
					  "inject=shmget:error=ENOSPC:when=1", "-o", "/dev/null", "--", "true",
					  (char *) NULL);
		_exit(127);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return inject_fail(error, INJECT_SYSTEM_ERROR, "strace died");
	if (WEXITSTATUS(status) == 127)
		return inject_fail(error, INJECT_SYSTEM_ERROR, "strace is not installed");
	if (WEXITSTATUS(status) != 0)
		return inject_fail(error, INJECT_SYSTEM_ERROR,
						   "strace cannot inject here (is ptrace allowed?)");
	return INJECT_OK;
}

const Carrier carrier_strace = {
	.name = "strace",
	.check = check,
	.run = run,
	.probe = probe,
};
