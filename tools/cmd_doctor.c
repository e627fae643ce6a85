/*
 * cmd_doctor.c
 *		`holdfast doctor`: what this machine lets us do, and what to do about the rest.
 *
 * Each check really tries the thing (makes a segment, enters a namespace, opens a pidfd) in a child where it could leave
 * traces.  "fix": something that scenarios need is missing, exit 3.  "warn": something optional is.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "inject/carrier/carrier.h"
#include "results/json_writer.h"

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

typedef enum Verdict
{
	DOCTOR_OK,
	DOCTOR_WARN,
	DOCTOR_FIX,
} Verdict;

typedef struct Check
{
	const char *name;
	Verdict (*look)(char *text, size_t size);
} Check;

/* ---- helpers ---- */

static Verdict say(Verdict verdict, char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static Verdict
say(Verdict verdict, char *text, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void) vsnprintf(text, size, format, args);
	va_end(args);
	return verdict;
}

/* Runs try() in a child; its errno, 0 when it went well. */
static int
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

static bool
read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool got;

	if (file == NULL)
		return false;
	got = fgets(line, (int) size, file) != NULL;
	(void) fclose(file);
	if (got)
		line[strcspn(line, "\n")] = '\0';
	return got;
}

/* The first of these programs that PATH, or an absolute name, leads to. */
static const char *
find_program(const char *const *names, char *found, size_t size)
{
	const char *path = getenv("PATH");

	for (; *names != NULL; names++)
	{
		if (**names == '/')
		{
			if (access(*names, X_OK) == 0)
				return *names;
			continue;
		}
		for (const char *at = path; at != NULL && *at != '\0';)
		{
			size_t length = strcspn(at, ":");

			(void) snprintf(found, size, "%.*s/%s", (int) length, at, *names);
			if (access(found, X_OK) == 0)
				return found;
			at += length + (at[length] == ':');
		}
	}
	return NULL;
}

/* ---- shared memory ---- */

static Verdict
look_shm(char *text, size_t size)
{
	struct shm_info used;
	struct shminfo limits;
	int shmid = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	void *address;

	if (shmid < 0)
		return say(DOCTOR_FIX, text, size, "cannot make a segment: %s%s", strerror(errno),
				   errno == ENOSPC ? "; raise kernel.shmmni, or see `holdfast orphans`" : "");
	address = shmat(shmid, NULL, 0);
	(void) shmctl(shmid, IPC_RMID, NULL);
	if (address == (void *) -1)
		return say(DOCTOR_FIX, text, size, "cannot attach a segment: %s", strerror(errno));
	(void) shmdt(address);
	if (shmctl(0, SHM_INFO, (struct shmid_ds *) (void *) &used) < 0 ||
		shmctl(0, IPC_INFO, (struct shmid_ds *) (void *) &limits) < 0)
		return say(DOCTOR_WARN, text, size, "limits are unknown: %s", strerror(errno));
	return say(DOCTOR_OK, text, size, "%d of SHMMNI=%lu segments used", used.used_ids,
			   limits.shmmni);
}

/* ---- namespaces ---- */

static int
try_plain_namespaces(void)
{
	return unshare(CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNS) == 0 ? 0 : errno;
}

static int
try_user_namespaces(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNS) == 0 ? 0 : errno;
}

static Verdict
look_namespaces(char *text, size_t size)
{
	int plain = errno_in_child(try_plain_namespaces);
	int user;

	if (plain == 0)
		return say(DOCTOR_OK, text, size, "ipc, pid and mount, as root");
	user = errno_in_child(try_user_namespaces);
	if (user == 0)
		return say(DOCTOR_OK, text, size, "ipc, pid and mount, through a user namespace");
	return say(DOCTOR_FIX, text, size,
			   "none (%s): run as root, or allow user namespaces "
			   "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)",
			   strerror(user));
}

/* ---- processes ---- */

static Verdict
look_pidfd(char *text, size_t size)
{
	int fd = (int) syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		return say(DOCTOR_FIX, text, size, "pidfd_open: %s; Linux 5.3 or newer is needed",
				   strerror(errno));
	(void) close(fd);
	return say(DOCTOR_OK, text, size, "works");
}

static Verdict
look_start_time(char *text, size_t size)
{
	if (access("/proc/self/stat", R_OK) != 0)
		return say(DOCTOR_FIX, text, size, "/proc is not mounted");
	return say(DOCTOR_OK, text, size, "mounted");
}

static int
try_ptrace(void)
{
	pid_t pid = fork();
	int status;
	int error = 0;

	if (pid == 0)
	{
		(void) ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void) raise(SIGSTOP);
		_exit(0);
	}
	(void) waitpid(pid, &status, WUNTRACED);
	if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
		error = errno;
	(void) kill(pid, SIGKILL);
	(void) waitpid(pid, &status, 0);
	return error;
}

static Verdict
look_ptrace(char *text, size_t size)
{
	int error = errno_in_child(try_ptrace);

	if (error != 0)
		return say(DOCTOR_WARN, text, size, "%s: single-stepping will not work", strerror(error));
	return say(DOCTOR_OK, text, size, "single-stepping works");
}

static Verdict
look_carrier(char *text, size_t size, const Carrier *carrier, const char *remedy)
{
	InjectError error;

	if (carrier->probe(&error) != INJECT_OK)
		return say(DOCTOR_WARN, text, size, "%s: %s", error.message, remedy);
	return say(DOCTOR_OK, text, size, "works: exec --via %s", carrier->name);
}

static Verdict
look_seccomp(char *text, size_t size)
{
	return look_carrier(
		text, size, &carrier_seccomp,
		"static programs are not reached; Linux 5.0 or newer, and a container that allows it");
}

static Verdict
look_strace(char *text, size_t size)
{
	return look_carrier(text, size, &carrier_strace, "apt install strace, for exec --via strace");
}

static Verdict
look_core_pattern(char *text, size_t size)
{
	char pattern[200];

	if (!read_line("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern)))
		return say(DOCTOR_WARN, text, size, "unknown");
	if (pattern[0] == '|')
		return say(DOCTOR_WARN, text, size,
				   "cores go to a program (%.80s); AFL++ wants "
				   "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1",
				   pattern);
	return say(DOCTOR_OK, text, size, "%.100s", pattern);
}

/* ---- programs ---- */

static Verdict
look_program(char *text, size_t size, const char *const *names, const char *what)
{
	char found[4096];
	const char *path = find_program(names, found, sizeof(found));

	if (path == NULL)
		return say(DOCTOR_WARN, text, size, "not found: %s", what);
	return say(DOCTOR_OK, text, size, "%s", path);
}

static Verdict
look_postgres(char *text, size_t size)
{
	static const char *const names[] = {"/usr/lib/postgresql/15/bin/postgres", "postgres", NULL};

	return look_program(text, size, names, "apt install postgresql-15, to run faults against it");
}

static Verdict
look_valgrind(char *text, size_t size)
{
	static const char *const names[] = {"valgrind", NULL};

	return look_program(text, size, names, "apt install valgrind");
}

/* The file that is loaded carries the version in its name; there is no other way to ask. */
static Verdict
look_libfiu(char *text, size_t size)
{
	Dl_info info;
	void *function = dlsym(RTLD_DEFAULT, "fiu_fail");
	char *path;
	Verdict verdict;

	if (function == NULL || dladdr(function, &info) == 0)
		return say(DOCTOR_FIX, text, size, "not loaded: apt install libfiu-dev, and build again");
	path = realpath(info.dli_fname, NULL);
	verdict = say(DOCTOR_OK, text, size, "%s", path != NULL ? path : info.dli_fname);
	free(path);
	return verdict;
}

static Verdict
look_fiu_run(char *text, size_t size)
{
	static const char *const names[] = {"fiu-run", NULL};

	return look_program(text, size, names, "apt install fiu-utils, to arm points with fiu-run");
}

static int
try_afl(void)
{
	return system("d=$(mktemp -d) && echo 'int main(void){return 0;}' >$d/a.c && "
				  "AFL_QUIET=1 afl-clang-fast -o $d/a $d/a.c >/dev/null 2>&1; "
				  "s=$?; rm -rf \"$d\"; exit $s") == 0
			   ? 0
			   : 1;
}

static Verdict
look_afl(char *text, size_t size)
{
	if (errno_in_child(try_afl) != 0)
		return say(DOCTOR_WARN, text, size,
				   "afl-clang-fast does not compile a program here: apt install afl++");
	return say(DOCTOR_OK, text, size, "afl-clang-fast compiles");
}

static const Check checks[] = {
	{"SysV shm", look_shm},        {"namespaces", look_namespaces},
	{"pidfd", look_pidfd},         {"/proc", look_start_time},
	{"ptrace", look_ptrace},       {"seccomp notify", look_seccomp},
	{"strace", look_strace},       {"core_pattern", look_core_pattern},
	{"libfiu", look_libfiu},       {"fiu-run", look_fiu_run},
	{"valgrind", look_valgrind},   {"AFL++", look_afl},
	{"PostgreSQL", look_postgres},
};

static int
run_doctor(int argc, char **argv)
{
	static const char *const words[] = {"ok", "warn", "fix"};
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
	}
	if (!opt.json)
		return code;
	json_array_end(&json);
	json_object_end(&json);
	return json_finish(&json) ? code : EXIT_INTERNAL;
}

const Command command_doctor = {
	.name = "doctor",
	.usage = "[--json]",
	.summary = "what this machine lets us do, and what to do about the rest",
	.run = run_doctor,
	.options = doctor_options,
};
