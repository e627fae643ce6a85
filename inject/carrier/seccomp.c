/*
 * seccomp.c
 *		A plan brought to a program by the kernel: calls that it names stop, and we say what becomes of them.
 *
 * The command's process puts the filter on itself and executes.  It shares its descriptors with us until then
 * (CLONE_FILES), so the listener is ours, too, without a word between us.  Decisions are those of the control
 * table, made here on behalf of whoever arrived; the answer is an errno, a value, or "go on".
 *
 *		sleep, spin		the answer is kept back; others are served meanwhile
 *		kill			SIGKILL to the process that waits for its answer: the call is not made
 *		signal, stop	sent before the answer, felt when the call returns
 *
 * Served until the last process under the filter is gone.  Those that the command leaves behind are waited for by
 * us (subreaper), SIGINT then ends that: what they ask afterwards fails with ENOSYS.
 *
 * Owner: the listener and the children are this file's.  One thread.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "carrier.h"
#include "inject/point/error.h"
#include "kernel_view.h"
#include "remote.h"
#include "seccomp_filter.h"

#define WATCHES_MAX 128
#define TICK_MS     100 /* how long a death may stay unseen when nobody arrives */

/* ---- what the plan names ---- */

typedef struct Watch
{
	const InjectCallSpec *spec;
	const RegistryPoint *point;
} Watch;

static Watch watches[WATCHES_MAX];
static int watch_count;

static void
find_watches(void)
{
	const InjectCallSpec *spec;

	watch_count = 0;
	for (int i = 0; (spec = inject_call_spec_at(i)) != NULL && watch_count < WATCHES_MAX; i++)
	{
		const RegistryPoint *point = registry_find(spec->point);

		if (kernel_view_blind(spec->point) == NULL && point != NULL && point->index != NO_POINT &&
			inject_table->armed[point->index] != 0)
			watches[watch_count++] = (Watch){spec, point};
	}
}

static int
find_numbers(long *numbers)
{
	int count = 0;

	for (int i = 0; i < watch_count; i++)
	{
		long these[KERNEL_VIEW_NUMBERS];
		int more = kernel_view_numbers(watches[i].spec, these);

		for (int j = 0; j < more && count < SECCOMP_NUMBERS_MAX; j++)
		{
			bool known = false;

			for (int k = 0; k < count; k++)
				known = known || numbers[k] == these[j];
			if (!known)
				numbers[count++] = these[j];
		}
	}
	return count;
}

/* ---- what it may ask ---- */

static const char *
cannot_act(InjectActionKind kind, const char *point)
{
	switch (kind)
	{
		case INJECT_SHORT:
		case INJECT_TORN:
		case INJECT_CORRUPT:
			return "arguments and data cannot be changed from outside";
		case INJECT_PAUSE:
		case INJECT_BARRIER:
			return "whoever waits there waits in the supervisor, which serves all";
		case INJECT_EXIT:
			return "a process cannot be made to exit from outside (kill is possible)";
		case INJECT_CALL:
		case INJECT_THROW:
			return "the function is in another program";
		case INJECT_SKIP:
			return strstr(point, "writev") != NULL ? "what it would have written is not known here"
												   : NULL;
		default:
			return NULL;
	}
}

static InjectStatus
check_step(const InjectStep *step, const char *point, InjectError *error)
{
	if (step->in[0] != '\0')
		return inject_fail_at(error, step->in_place, NULL,
							  "in= is not possible by seccomp: the kernel knows no functions");
	if (step->held[0] != '\0')
		return inject_fail_at(error, step->held_place, NULL,
							  "held= is not possible by seccomp: the locks are another program's");
	for (int i = 0; i < step->action_count; i++)
	{
		const InjectAction *action = &step->actions[i];
		const char *reason = cannot_act(action->kind, point);

		if (reason != NULL)
			return inject_fail_at(error, action->place, NULL, "%s is not possible by seccomp: %s",
								  inject_action_name(action->kind), reason);
		if (step->scope == INJECT_SCOPE_THREAD)
			return inject_fail_at(error, action->place, NULL,
								  "count=thread is not possible by seccomp");
	}
	return INJECT_OK;
}

/* A point that is named must be seen; one that a wildcard covers besides others need not. */
static InjectStatus
check_item(const InjectPlan *plan, const InjectItem *item, InjectError *error)
{
	InjectPointInfo info;
	const char *reason = "there is no such point";
	bool seen = false;

	for (int i = 0; inject_point_at(i, &info); i++)
	{
		const char *blind;

		if (!point_name_matches(item->point, info.name))
			continue;
		blind = kernel_view_blind(info.name);
		if (blind != NULL)
		{
			reason = blind;
			continue;
		}
		seen = true;
		for (int j = 0; j < item->step_count; j++)
		{
			InjectStatus status = check_step(&plan->steps[item->first_step + j], info.name, error);

			if (status != INJECT_OK)
				return status;
		}
	}
	if (!seen)
		return inject_fail_at(error, item->place, NULL, "\"%s\" is not possible by seccomp: %s",
							  item->point, reason);
	return INJECT_OK;
}

static InjectStatus
check(const InjectPlan *plan, InjectError *error)
{
	for (int i = 0; i < plan->item_count; i++)
	{
		InjectStatus status = check_item(plan, &plan->items[i], error);

		if (status != INJECT_OK)
			return status;
	}
	return INJECT_OK;
}

/* ---- answers ---- */

typedef struct Answer
{
	int64_t due_ns; /* 0: at once */
	pid_t pid;
	pid_t tid;
	int signals[INJECT_MAX_ACTIONS];
	int signal_count;
	bool killed; /* there is nobody to answer */
	struct seccomp_notif_resp response;
} Answer;

static Answer *kept; /* those that are due later */
static size_t kept_count;

static int64_t
now_ns(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
give(int listener, Answer *answer)
{
	for (int i = 0; i < answer->signal_count; i++)
		(void) syscall(SYS_tgkill, answer->pid, answer->tid, answer->signals[i]);
	/* ENOENT: it has died meanwhile, or was interrupted and will ask again */
	if (!answer->killed)
		(void) ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer->response);
}

static void
keep(int listener, Answer *answer)
{
	Answer *longer = realloc(kept, (kept_count + 1) * sizeof(*kept));

	if (longer == NULL)
	{
		give(listener, answer);
		return;
	}
	kept = longer;
	kept[kept_count++] = *answer;
}

/* Give what is due; milliseconds until the next is, at most TICK_MS. */
static int
give_due(int listener)
{
	int64_t now = kept_count > 0 ? now_ns() : 0;
	int64_t wait_ns = (int64_t) TICK_MS * 1000000;

	for (size_t i = kept_count; i-- > 0;)
	{
		if (kept[i].due_ns <= now)
		{
			give(listener, &kept[i]);
			kept[i] = kept[--kept_count];
		}
		else if (kept[i].due_ns - now < wait_ns)
			wait_ns = kept[i].due_ns - now;
	}
	return (int) ((wait_ns + 999999) / 1000000);
}

static void
add_signal(Answer *answer, int number)
{
	answer->signals[answer->signal_count++] = number;
	answer->killed = answer->killed || number == SIGKILL;
}

static void
replace(Answer *answer, int64_t value, int error)
{
	answer->response.flags = 0;
	answer->response.val = value;
	answer->response.error = -error;
}

/* "holdfast: file/fsync hit 3 process 4711 postgres.0", as the process itself would say it. */
static void
print_arrival(const InjectArrival *arrival, const Remote *remote)
{
	InjectRole role = self_role(arrival->self);

	(void) fprintf(stderr, "holdfast: %s hit %llu process %d %s.%d\n", arrival->site->name,
				   (unsigned long long) arrival->hit, (int) remote->pid, role.name, role.ordinal);
}

static void
act(const InjectArrival *arrival, const Remote *remote, const TableAction *action,
	const struct seccomp_notif *asked, Answer *answer)
{
	switch ((InjectActionKind) action->kind)
	{
		case INJECT_ERRNO:
			replace(answer, 0, (int) action->a);
			break;
		case INJECT_RETURN:
			replace(answer, action->a, 0);
			break;
		case INJECT_SKIP:
			/* a write claims what it was given */
			replace(answer,
					strcmp(arrival->site->name, "file/write") == 0 ||
							strcmp(arrival->site->name, "file/pwrite") == 0
						? (int64_t) asked->data.args[2]
						: 0,
					0);
			break;
		case INJECT_KILL:
			add_signal(answer, SIGKILL);
			break;
		case INJECT_ABORT:
			add_signal(answer, SIGABRT);
			break;
		case INJECT_STOP:
			add_signal(answer, SIGSTOP);
			break;
		case INJECT_SIGNAL:
			add_signal(answer, (int) action->a);
			break;
		case INJECT_SLEEP:
		case INJECT_SPIN:
			answer->due_ns = (answer->due_ns != 0 ? answer->due_ns : now_ns()) + action->a;
			break;
		case INJECT_PRINT:
			print_arrival(arrival, remote);
			break;
		default:
			/* off, count, yield: nothing is done, and the rest was refused */
			break;
	}
}

/* Which of the plan's points has been reached; NULL: none. */
static const Watch *
find_watch(const struct seccomp_notif *asked, int64_t *arg)
{
	for (int i = 0; i < watch_count; i++)
		if (kernel_view_matches(watches[i].spec, asked->data.nr,
								(const uint64_t *) asked->data.args, arg))
			return &watches[i];
	return NULL;
}

static void
decide(int listener, const struct seccomp_notif *asked, Answer *answer)
{
	int64_t arg = 0;
	const Watch *watch = find_watch(asked, &arg);
	Remote *remote = watch == NULL ? NULL : remote_of((pid_t) asked->pid);
	InjectArrival arrival;

	/* what was read of the process was its own only if it still waits */
	if (remote == NULL || ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &asked->id) != 0)
		return;
	answer->pid = remote->pid;
	remote_judge(remote, watch->point, watch->spec->argument >= 0, arg, &arrival);
	for (int i = 0; arrival.fires && i < arrival.step->action_count && i < INJECT_MAX_ACTIONS; i++)
		act(&arrival, remote, &arrival.step->actions[i], asked, answer);
}

static void
serve_one(int listener)
{
	struct seccomp_notif asked;
	Answer answer = {0};

	memset(&asked, 0, sizeof(asked));
	/* ENOENT: it was killed before we came */
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0)
		return;
	answer.tid = (pid_t) asked.pid;
	answer.response.id = asked.id;
	answer.response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	decide(listener, &asked, &answer);
	if (answer.due_ns != 0)
		keep(listener, &answer);
	else
		give(listener, &answer);
}

/* ---- the command ---- */

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int number)
{
	(void) number;
	interrupted = 1;
}

/* In the child, which has our descriptors until it executes. */
static _Noreturn void
become(char *const *command, const long *numbers, int count, int *listener)
{
	int fd;

	(void) signal(SIGINT, SIG_DFL);
	(void) signal(SIGQUIT, SIG_DFL);
	fd = seccomp_filter_install(numbers, count);
	/* one more than it is: 0 says that nothing was said yet */
	__atomic_store_n(listener, fd >= 0 ? fd + 1 : -errno, __ATOMIC_RELEASE);
	if (fd < 0)
		_exit(126);
	(void) execvp(command[0], command);
	(void) fprintf(stderr, "holdfast: could not run \"%s\": %s\n", command[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Until the child has said its listener, or has died of trying. */
static int
await_listener(const int *listener, pid_t child)
{
	siginfo_t ended = {0};
	int fd;

	while ((fd = __atomic_load_n(listener, __ATOMIC_ACQUIRE)) == 0)
	{
		if (waitid(P_PID, (id_t) child, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
			ended.si_pid == child)
			return -ECHILD;
		(void) sched_yield();
	}
	return fd > 0 ? fd - 1 : fd;
}

static pid_t
start(char *const *command, int *listener, InjectError *error)
{
	long numbers[SECCOMP_NUMBERS_MAX];
	int count = find_numbers(numbers);
	int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	if (word == MAP_FAILED)
	{
		(void) inject_fail_errno(error, "cannot map memory");
		return -1;
	}
	(void) fflush(NULL);
	child = (pid_t) syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (child == 0)
		become(command, numbers, count, word);
	if (child < 0)
		(void) inject_fail_errno(error, "cannot start a process");
	else
		*listener = await_listener(word, child);
	(void) munmap(word, 4096);
	if (child < 0 || *listener >= 0)
		return child;
	(void) kill(child, SIGKILL);
	(void) waitpid(child, NULL, 0);
	errno = -*listener;
	(void) inject_fail_errno(error, errno == EBUSY
										? "seccomp: somebody listens to this process already"
										: "seccomp user notification");
	return -1;
}

/* Every child of ours that has ended; whether the command is among them. */
static bool
reap(pid_t child, int *wait_status)
{
	bool ended = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == child)
		{
			*wait_status = status;
			ended = true;
		}
	return ended;
}

static void
serve(int listener, pid_t child, int *wait_status)
{
	struct pollfd wanted[2] = {{.fd = listener, .events = POLLIN},
							   {.fd = (int) syscall(SYS_pidfd_open, child, 0), .events = POLLIN}};
	struct sigaction action = {.sa_handler = on_interrupt};
	bool ended = false;

	while (!interrupted)
	{
		int wait_ms = give_due(listener);

		if (poll(wanted, 2, wait_ms) < 0)
			continue;
		if ((wanted[0].revents & POLLIN) != 0)
			serve_one(listener);
		/* the last of them is gone, and reaped */
		else if (ended && wanted[0].revents != 0)
			break;
		if (wanted[1].revents == 0 && wanted[0].revents != 0)
			continue;
		if (reap(child, wait_status) && !ended)
		{
			ended = true;
			(void) close(wanted[1].fd);
			wanted[1].fd = -1;
			(void) sigaction(SIGINT, &action, NULL);
		}
	}
	if (wanted[1].fd >= 0)
		(void) close(wanted[1].fd);
}

static InjectStatus
run(char *const *command, int *wait_status, InjectError *error)
{
	int listener = -1;
	pid_t child;

	find_watches();
	(void) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	child = start(command, &listener, error);
	if (child < 0)
		return INJECT_SYSTEM_ERROR;
	interrupted = 0;
	serve(listener, child, wait_status);
	(void) close(listener);
	remote_forget();
	free(kept);
	kept = NULL;
	kept_count = 0;
	return INJECT_OK;
}

/* ---- whether it works here ---- */

static InjectStatus
probe(InjectError *error)
{
	long number = SYS_shmget;
	int status;
	pid_t child = fork();

	if (child < 0)
		return inject_fail_errno(error, "cannot start a process");
	if (child == 0)
		_exit(seccomp_filter_install(&number, 1) >= 0 ? 0 : errno);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return inject_fail(error, INJECT_SYSTEM_ERROR, "seccomp: the child died");
	errno = WEXITSTATUS(status);
	return errno == 0 ? INJECT_OK : inject_fail_errno(error, "seccomp user notification");
}

const Carrier carrier_seccomp = {
	.name = "seccomp",
	.check = check,
	.run = run,
	.probe = probe,
};
