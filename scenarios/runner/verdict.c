/*
 * verdict.c
 *		See verdict.h.
 *
 * The report may have been written by a program that was dying: every string in it is bounded here, every
 * number checked.  A case passes only if it said so, returned, its post-mortem was done, and found nothing.
 */
#include "runner/verdict.h"

#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_SHOWN (16 * 1024)

static void __attribute__((format(printf, 2, 3))) say(Verdict *verdict, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(verdict->message, sizeof(verdict->message), format, args);
	va_end(args);
}

static const char *
message_or(const CaseReport *report, const char *otherwise)
{
	return report->message[0] ? report->message : otherwise;
}

/* How the case's own process ended, when it did not return. */
static ScenarioStatus
judge_death(const CaseReport *report, Verdict *verdict)
{
	int status = report->wait_status;

	if (!report->post_mortem_done)
		say(verdict, "the case's init was killed; last message: %.900s",
			message_or(report, "(none)"));
	else if (WIFSIGNALED(status))
		say(verdict, "the case's process was ended by signal %d (%s); last message: %.900s",
			WTERMSIG(status), strsignal(WTERMSIG(status)), message_or(report, "(none)"));
	else
		say(verdict, "the case's process ended by exit(%d) in the middle; last message: %.900s",
			WEXITSTATUS(status), message_or(report, "(none)"));
	return SCENARIO_FAIL;
}

static ScenarioStatus
judge(const CaseReport *report, const RunnerItem *item, const CaseEnd *end, Verdict *verdict)
{
	if (report->sandbox_failed)
	{
		say(verdict, "could not make the sandbox: %.900s", message_or(report, "(no reason)"));
		return SCENARIO_ERROR;
	}
	if (end->timed_out)
	{
		say(verdict, "no end after %u ms; last message: %.900s", item->scenario->deadline_ms,
			message_or(report, "(none)"));
		return SCENARIO_FAIL;
	}
	if (!report->returned || report->status >= SCENARIO_STATUS_COUNT)
		return judge_death(report, verdict);
	if (report->status != SCENARIO_PASS)
	{
		say(verdict, "%.1000s", message_or(report, "(no message)"));
		return (ScenarioStatus) report->status;
	}
	if (!report->post_mortem_done)
		return judge_death(report, verdict);
	if (report->leftover)
	{
		say(verdict, "left behind: %.1000s", report->leftover_text);
		return SCENARIO_FAIL;
	}
	return SCENARIO_PASS;
}

/* Last words on stdout and stderr. */
static size_t
read_output(int fd, char *out, size_t size)
{
	off_t end = lseek(fd, 0, SEEK_END);
	off_t from = end > (off_t) size ? end - (off_t) size : 0;

	if (end <= 0)
		return 0;

	ssize_t got = pread(fd, out, size, from);

	return got > 0 ? (size_t) got : 0;
}

static void
fill_detail(const Sandbox *sandbox, const CaseEnd *end, Verdict *verdict)
{
	const CaseReport *report = sandbox->report;
	size_t log = report->log_claimed < CASE_LOG_SIZE ? report->log_claimed : CASE_LOG_SIZE;
	size_t stuck = strlen(end->stuck), used = 0;
	size_t size = log + stuck + OUTPUT_SHOWN + 128;

	verdict->detail = malloc(size);
	if (!verdict->detail)
		return; /* the message alone then */
	memcpy(verdict->detail, report->log, log);
	used += log;
	if (report->log_claimed > CASE_LOG_SIZE)
		used += (size_t) sprintf(verdict->detail + used, "... %u more bytes of log were lost\n",
								 report->log_claimed - CASE_LOG_SIZE);
	memcpy(verdict->detail + used, end->stuck, stuck);
	used += stuck;
	used += read_output(sandbox->output_fd, verdict->detail + used, OUTPUT_SHOWN);
	verdict->result.detail = (ScenarioText){verdict->detail, used};
}

/* Appends as one word of a POSIX shell, on the same line: what is a line end becomes a blank. */
static char *
put_word(char *at, const char *word)
{
	bool plain = word[0] != '\0' && word[strspn(word, "abcdefghijklmnopqrstuvwxyz"
													  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
													  "0123456789/:.,-_@+=%")] == '\0';

	*at++ = ' ';
	if (plain)
		return stpcpy(at, word);
	*at++ = '\'';
	for (; *word; word++)
		if (*word == '\'')
			at = stpcpy(at, "'\\''");
		else
			*at++ = *word == '\n' || *word == '\r' ? ' ' : *word;
	return stpcpy(at, "'");
}

static void
fill_replay(const RunnerItem *item, const CaseEnd *end, Verdict *verdict)
{
	char token[SCENARIO_CASE_NAME_SIZE * 2 + 32];
	const char *plan = end->plan ? end->plan : "";
	char *at;

	if (!runner_token(item->scenario, item->which, end->seed, token, sizeof(token)))
		return;
	/* Quoting makes four bytes of one at most. */
	verdict->replay = malloc(4 * (strlen(plan) + strlen(token)) + 64);
	if (!verdict->replay)
		return;
	at = stpcpy(verdict->replay, "holdfast replay");
	if (plan[0])
		at = put_word(stpcpy(at, " --plan"), plan);
	(void) put_word(at, token);
	verdict->result.replay = verdict->replay;
}

void
verdict_of(const RunnerItem *item, const Sandbox *sandbox, const CaseEnd *end, Verdict *verdict)
{
	CaseReport *report = sandbox->report;

	memset(verdict, 0, sizeof(*verdict));
	report->message[sizeof(report->message) - 1] = '\0';
	report->leftover_text[sizeof(report->leftover_text) - 1] = '\0';
	verdict->result = (ScenarioResult){
		.scenario = item->scenario->id,
		.case_name = item->which->name,
		.milliseconds = end->milliseconds,
		.plan = end->plan,
		.has_seed = item->has_seed,
		.seed = item->seed,
	};
	verdict->result.status = judge(report, item, end, verdict);
	verdict->result.message = (ScenarioText){verdict->message, strlen(verdict->message)};
	/* Who brings faults of his own wants to see what they did, also when all is well. */
	if (verdict->result.status == SCENARIO_FAIL || verdict->result.status == SCENARIO_ERROR ||
		(end->plan && end->plan[0]))
		fill_detail(sandbox, end, verdict);
	fill_replay(item, end, verdict);
}

void
verdict_free(Verdict *verdict)
{
	free(verdict->detail);
	free(verdict->replay);
	verdict->detail = verdict->replay = NULL;
}
