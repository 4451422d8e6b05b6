/* SPDX-License-Identifier: BSD-3-Clause */
/* suites/order.def against the state machine of the reference target: no pair of state and message is left out, and what is illegal is so in
 * both. */
#include <check.h>
#include <stdlib.h>

#include "target/internal.h"

/* The rows of the pair that call it illegal, or those that call it legal. */
static unsigned int num_rows(enum auth_state state, enum auth_event event, bool illegal)
{
	static const struct {
		enum auth_state state;
		enum auth_event event;
		bool illegal;
	} rows[] = {
#define ORDER(state, message, name, req) {AUTH_##state, EV_##message, true},
#define ELSEWHERE(state, message, where) {AUTH_##state, EV_##message, true},
#define LEGAL(state, message, where)	 {AUTH_##state, EV_##message, false},
#include "suites/order.def"
#undef ORDER
#undef ELSEWHERE
#undef LEGAL
	};
	unsigned int num = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		num += rows[i].state == state && rows[i].event == event &&
		       rows[i].illegal == illegal;
	return num;
}

START_TEST(each_message_has_one_row)
{
	enum auth_state state = (enum auth_state)_i;

	for (enum auth_event event = 0; event < NUM_AUTH_EVENTS; event++) {
		const bool illegal = nvc_auth_illegal(state, event);

		ck_assert_msg(num_rows(state, event, illegal) == 1 &&
				      num_rows(state, event, !illegal) == 0,
			"state %s, event %d: %u rows of an illegal message, %u of a legal one",
			nvc_auth_state_name(state), (int)event, num_rows(state, event, true),
			num_rows(state, event, false));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("order of messages");
	TCase *tcase = tcase_create("rows");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, each_message_has_one_row, 0, NUM_AUTH_STATES);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
