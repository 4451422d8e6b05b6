/* SPDX-License-Identifier: BSD-3-Clause */
/* suites/order.def against the state machine of the reference target: no illegal message is left out, no legal one is in. */
#include <check.h>
#include <stdlib.h>

#include "target/internal.h"

static unsigned int num_rows(enum auth_state state, enum auth_event event)
{
	static const struct {
		enum auth_state state;
		enum auth_event event;
	} rows[] = {
#define ORDER(state, message, name, req) {AUTH_##state, EV_##message},
#define ELSEWHERE(state, message, where) {AUTH_##state, EV_##message},
#include "suites/order.def"
#undef ORDER
#undef ELSEWHERE
	};
	unsigned int num = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		num += rows[i].state == state && rows[i].event == event;
	return num;
}

START_TEST(each_illegal_message_has_one_row)
{
	enum auth_state state = (enum auth_state)_i;

	for (int event = 0; event < NUM_AUTH_EVENTS; event++)
		ck_assert_msg(num_rows(state, (enum auth_event)event) ==
				      nvc_auth_illegal(state, (enum auth_event)event),
			"state %s, event %d: %u rows", nvc_auth_state_name(state), event,
			num_rows(state, (enum auth_event)event));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("order of messages");
	TCase *tcase = tcase_create("rows");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, each_illegal_message_has_one_row, 0, NUM_AUTH_STATES);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
