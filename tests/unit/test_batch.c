/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases that share a process: what dies there, and what is not the same alone, is judged alone (harness/engine/run.c). */
#include <check.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/engine/registry.h"
#include "harness/engine/run.h"
#include "suites/case.h"

static bool somebody_ran; /* in this process */

#define SELF(name, does)                                                                           \
	CASE(name, .id = "self." #name, .title = "A case of this test", .checks = {REQ_C_001})     \
	{                                                                                          \
		does;                                                                              \
		somebody_ran = true;                                                               \
	}

SELF(good, test_judged(t, REQ_C_001, "fine"))
SELF(bad, test_step(t, "do that"); test_violated(t, REQ_C_001, "this", "that"))
SELF(dies, test_step(t, "die"); raise(SIGKILL))
SELF(later, test_judged(t, REQ_C_001, "fine"))
SELF(elsewhere, test_judged(t, REQ_C_014, "fine"); test_observed(t, REQ_N_020, "so it is"))
SELF(stops, test_judged(t, REQ_C_014, "fine"); test_inconclusive(t, "not reached"))
SELF(first, if (somebody_ran) raise(SIGKILL); else test_judged(t, REQ_C_001, "fine"))
SELF(differs, if (somebody_ran) test_violated(t, REQ_C_001, "to be alone", "somebody ran before");
	else test_judged(t, REQ_C_001, "fine"))

#ifdef NVC_EXIT_HANDLERS
static void *volatile lost;
SELF(leaks, for (int i = 0; i < 20; i++) lost = malloc(77); lost = NULL;
	test_judged(t, REQ_C_001, "fine"))
#endif

/* What the engine said of each of `cases`, in one string: "self.good pass\nself.bad fail\n"; *log gets all its events. */
static const char *verdicts(json_t *config, json_t **log)
{
	static char said[1024];
	FILE *file = tmpfile();
	struct nvc_error err = {0};
	char line[4096];
	int out = dup(STDOUT_FILENO);
	enum nvc_result result;

	ck_assert_ptr_nonnull(file);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	result = engine_run(config, &err);
	dup2(out, STDOUT_FILENO);
	close(out);
	ck_assert_msg(result == NVC_OK, "%s", err.text);
	rewind(file);
	said[0] = '\0';
	*log = json_array();
	while (fgets(line, sizeof(line), file)) {
		json_t *event = json_loads(line, 0, NULL);
		const char *kind = json_string_value(json_object_get(event, "event"));
		ck_assert_ptr_nonnull(kind);
		json_array_append_new(*log, event);
		if (strcmp(kind, "verdict") != 0)
			continue;
		snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s %s\n",
			json_string_value(json_object_get(event, "case")),
			json_string_value(json_object_get(event, "behaviour")));
	}
	fclose(file);
	json_decref(config);
	return said;
}

static json_t *config_of(const char *const *cases, size_t num, int batch)
{
	json_t *list = json_array();

	for (size_t i = 0; i < num; i++)
		json_array_append_new(list, json_string(cases[i]));
	return json_pack("{s:s, s:i, s:i, s:o}", "target", "reference", "seed", 1, "batch", batch,
		"cases", list);
}

#define CASES(batch, ...)                                                                          \
	config_of((const char *const[]){__VA_ARGS__},                                              \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), batch)

static bool has_event(const json_t *log, const char *kind, const char *id)
{
	size_t i;
	json_t *event;

	json_array_foreach(log, i, event)
	{
		const char *of = json_string_value(json_object_get(event, "case"));
		if (strcmp(json_string_value(json_object_get(event, "event")), kind) == 0 && of &&
			strcmp(of, id) == 0)
			return true;
	}
	return false;
}

START_TEST(what_dies_takes_nobody_along)
{
	json_t *log;

	ck_assert_str_eq(
		verdicts(CASES(8, "self.good", "self.dies", "self.bad", "self.later"), &log),
		"self.good pass\nself.dies error\nself.bad fail\nself.later pass\n");
	json_decref(log);
}
END_TEST

START_TEST(what_dies_of_others_is_judged_alone)
{
	json_t *log;

	ck_assert_str_eq(verdicts(CASES(8, "self.good", "self.first", "self.later"), &log),
		"self.good pass\nself.first pass\nself.later pass\n");
	json_decref(log);
}
END_TEST

START_TEST(what_is_not_the_same_alone_is_an_error)
{
	json_t *log;

	ck_assert_str_eq(verdicts(CASES(8, "self.good", "self.differs"), &log),
		"self.good pass\nself.differs error\n");
	json_decref(log);
	ck_assert_str_eq(verdicts(CASES(1, "self.good", "self.differs"), &log),
		"self.good pass\nself.differs pass\n");
	json_decref(log);
}
END_TEST

#ifdef NVC_EXIT_HANDLERS
/* The process says so when all its cases have passed, and not which of them it was. */
START_TEST(what_leaks_is_found_among_others)
{
	json_t *log;

	ck_assert_str_eq(verdicts(CASES(8, "self.good", "self.leaks", "self.later"), &log),
		"self.good pass\nself.leaks error\nself.later pass\n");
	json_decref(log);
}
END_TEST
#endif

START_TEST(a_failure_tells_its_conversation)
{
	json_t *log;

	ck_assert_str_eq(verdicts(CASES(8, "self.good", "self.bad"), &log),
		"self.good pass\nself.bad fail\n");
	ck_assert(has_event(log, "step", "self.bad"));
	ck_assert(!has_event(log, "judged", "self.good"));
	json_decref(log);
}
END_TEST

/* "C-001,C-014": what the verdict on a case says that it judged. */
static const char *judged_by(const json_t *log, const char *id)
{
	static char said[64];
	size_t i, j;
	json_t *event, *ident;

	said[0] = '\0';
	json_array_foreach(log, i, event)
	{
		const char *of = json_string_value(json_object_get(event, "case"));
		if (!of || strcmp(of, id) != 0)
			continue;
		json_array_foreach(json_object_get(event, "judged"), j, ident)
			snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s%s",
				j ? "," : "", json_string_value(ident));
	}
	return said;
}

/* Alone and beside others: what a case lists is not what it came to. */
START_TEST(a_verdict_says_what_was_judged)
{
	for (int batch = 1; batch <= 8; batch += 7) {
		json_t *log;

		verdicts(CASES(batch, "self.elsewhere", "self.stops", "self.bad", "self.dies",
				 "self.good"),
			&log);
		ck_assert_str_eq(judged_by(log, "self.elsewhere"), "C-014,N-020");
		ck_assert_str_eq(judged_by(log, "self.stops"), "C-014");
		ck_assert_str_eq(judged_by(log, "self.bad"), "C-001");
		ck_assert_str_eq(judged_by(log, "self.dies"), "");
		ck_assert_str_eq(judged_by(log, "self.good"), "C-001");
		json_decref(log);
	}
}
END_TEST

START_TEST(what_needs_its_process_is_refused)
{
	struct nvc_error err = {0};
	json_t *config = CASES(2, "self.good");

	json_object_set_new(config, "transcript", json_string("all"));
	ck_assert_int_eq(engine_run(config, &err), NVC_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "batch"));
	json_object_del(config, "transcript");
	json_object_set_new(config, "batch", json_integer(65));
	ck_assert_int_eq(engine_run(config, &err), NVC_E_INVALID);
	json_decref(config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cases that share a process");
	TCase *tc = tcase_create("batch");
	struct nvc_error err = {0};
	SRunner *runner;
	int failed;

	if (registry_load(&err) != NVC_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	tcase_add_test(tc, what_dies_takes_nobody_along);
	tcase_add_test(tc, what_dies_of_others_is_judged_alone);
	tcase_add_test(tc, what_is_not_the_same_alone_is_an_error);
#ifdef NVC_EXIT_HANDLERS
	tcase_add_test(tc, what_leaks_is_found_among_others);
#endif
	tcase_add_test(tc, a_failure_tells_its_conversation);
	tcase_add_test(tc, a_verdict_says_what_was_judged);
	tcase_add_test(tc, what_needs_its_process_is_refused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
