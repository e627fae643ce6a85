/*
 * test_replay_schedule.c
 *		Schedules in tokens: read strictly, printed as short as they go, the same again.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "replay/schedule.h"

TestSuite(replay_schedule, .timeout = 60);

static ExploreSchedule schedule;
static char out[8192];
static size_t position;

Test(replay_schedule, prints_as_it_was_read)
{
	static const char *const texts[] = {"-", "0", "0*14.K1.2*3.T0.F1*2", "K15", "3*4096"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		cr_expect(schedule_parse(texts[i], &schedule, &position), "%s", texts[i]);
		cr_expect(schedule_print(&schedule, out, sizeof(out)));
		cr_expect_str_eq(out, texts[i]);
	}
	cr_assert(schedule_parse("0.0.0.K1.K1", &schedule, &position));
	cr_assert(schedule.count == 5 && schedule.move[3].kind == 1 && schedule.move[3].process == 1);
	cr_assert(schedule_print(&schedule, out, sizeof(out)));
	cr_assert_str_eq(out, "0*3.K1*2");
}

Test(replay_schedule, what_is_no_schedule_is_refused)
{
	static const struct
	{
		const char *text;
		size_t position;
	} bad[] = {{"", 0},   {".", 0},   {"0.", 2},  {"0*", 2},     {"0*0", 3},
			   {"16", 1}, {"K", 1},   {"0 1", 1}, {"0*4097", 5}, {"0*4096.1", 8},
			   {"X1", 0}, {"KT1", 1}, {"--", 0}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		cr_expect_not(schedule_parse(bad[i].text, &schedule, &position), "%s", bad[i].text);
		cr_expect_eq(position, bad[i].position, "%s: %zu", bad[i].text, position);
	}
}

Test(replay_schedule, no_room_is_said)
{
	char little[6];

	cr_assert(schedule_parse("0.1.0.1", &schedule, &position));
	cr_assert_not(schedule_print(&schedule, little, sizeof(little)));
	cr_assert_str_eq(little, "0.1.0");
}
