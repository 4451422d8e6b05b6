/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/attempt.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "harness/engine/events.h"

/* What the child of Check runs; set before the fork. */
static struct {
	const struct run_config *run;
	const struct instance *const *instances;
	size_t num;
	struct test_how how;
} current;

static double milliseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

/* The exit handlers of fifteen libraries would copy pages shared with the engine and do nothing for it. Those of a sanitizer look for
 * leaks, those of a coverage build write the figures: the Makefile asks for them there. */
static void leave(void)
{
#ifndef NVC_EXIT_HANDLERS
	_exit(EXIT_SUCCESS);
#endif
}

static void run_in_child(int unused)
{
	(void)unused;
	if (!test_run(current.run, current.instances[0], current.how))
		ck_abort_msg("the case failed; its verdict is in the event stream");
	leave();
}

/* The mark behind each case tells that its process lived through the end of it, and what Check would have been told. */
static void run_batch_in_child(int unused)
{
	(void)unused;
	for (size_t i = 0; i < current.num; i++) {
		const struct instance *instance = current.instances[i];
		double start = milliseconds();
		bool good = test_run(current.run, instance, current.how);

		events_write(current.how.out,
			json_pack("{s:s, s:s, s:b, s:f}", "event", "case-end", "case", instance->id,
				"good", good, "duration_ms", milliseconds() - start));
	}
	leave();
}

/* Check's view of one process: an empty text when it passed. */
struct check_view {
	enum test_result result;
	char message[256];
};

static struct check_view run_under_check(TFun function, unsigned int timeout)
{
	const TTest ttest = {current.instances[0]->id, function, __FILE__, __LINE__};
	struct check_view view = {.result = CK_ERROR};
	Suite *suite = suite_create("nvme-conform");
	TCase *tcase = tcase_create(ttest.name);
	SRunner *runner;
	TestResult **results;

	tcase_set_timeout(tcase, timeout);
	tcase_add_test(tcase, &ttest);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_FORK);
	srunner_run_all(runner, CK_SILENT);
	results = srunner_results(runner);
	if (srunner_ntests_run(runner) == 1 && results) {
		view.result = (enum test_result)tr_rtype(results[0]);
		snprintf(view.message, sizeof(view.message), "%s",
			tr_msg(results[0]) ? tr_msg(results[0]) : "");
	} else {
		snprintf(view.message, sizeof(view.message), "Check did not run the case");
	}
	free(results);
	srunner_free(runner);
	return view;
}

static unsigned int time_limit(const struct run_config *run, const struct instance *instance)
{
	return instance->test_case->timeout_s ? instance->test_case->timeout_s
					      : run->case_timeout_s;
}

static json_t *missing_verdict(const struct instance *instance, const struct check_view *view)
{
	const struct nvc_requirement *row = nvc_requirement(instance->test_case->checks[0]);
	bool timed_out = strstr(view->message, "timeout") != NULL;
	char reason[320];

	snprintf(reason, sizeof(reason), "%s: %s",
		timed_out ? "the case did not end in its time"
			  : "the tester's process ended without a verdict",
		view->message);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:[], s:[]}", "event",
		"verdict", "case", instance->id, "behaviour", timed_out ? "inconclusive" : "error",
		"teardown", "none", "requirement", row->id, "citation", row->citation, "expected",
		"", "seen", "", "reason", events_text(reason), "packets", "judged");
}

/* Check and the case must agree: a crash after a verdict, or a failure nobody reported, is our fault and said so. */
static void merge(json_t *verdict, const struct check_view *view)
{
	const char *behaviour = json_string_value(json_object_get(verdict, "behaviour"));
	const char *teardown = json_string_value(json_object_get(verdict, "teardown"));
	bool bad = behaviour && teardown &&
		   (strcmp(behaviour, "fail") == 0 || strcmp(behaviour, "error") == 0 ||
			   strcmp(teardown, "fail") == 0);
	char reason[320];

	if (view->result == (bad ? CK_FAILURE : CK_PASS))
		return;
	snprintf(reason, sizeof(reason), "the case said '%s', but its process then failed: %s",
		behaviour ? behaviour : "?", view->message);
	json_object_set_new(verdict, "behaviour", json_string("error"));
	json_object_set_new(verdict, "reason", events_text(reason));
}

static FILE *event_file(struct nvc_error *err)
{
	int fd = memfd_create("nvme-conform events", MFD_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (!file) {
		nvc_fail(err, NVC_E_SYSTEM, "memfd_create: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	return file;
}

/* Returns the next event, or NULL at the end; what is no JSON was cut by the end of the process. */
static json_t *next_event(FILE *file, char **line, size_t *size)
{
	while (getline(line, size, file) > 0) {
		json_t *event = json_loads(*line, 0, NULL);
		if (event)
			return event;
	}
	return NULL;
}

static bool is(const json_t *event, const char *kind)
{
	const char *value = json_string_value(json_object_get(event, "event"));

	return value && strcmp(value, kind) == 0;
}

static void take(struct attempt *attempt, json_t *event)
{
	if (is(event, "verdict")) {
		json_decref(attempt->verdict);
		attempt->verdict = event;
	} else {
		json_array_append_new(attempt->lines, event);
	}
}

enum nvc_result attempt_run(const struct run_config *run, const struct instance *instance,
	bool last_attempt, struct attempt *out, struct nvc_error *err)
{
	FILE *file = event_file(err);
	struct check_view view;
	double start = milliseconds();
	char *line = NULL;
	size_t size = 0;
	json_t *event;

	*out = (struct attempt){.lines = json_array()};
	if (!file)
		return err->result;
	current.run = run;
	current.instances = &instance;
	current.num = 1;
	current.how = (struct test_how){.out = fileno(file), .last_attempt = last_attempt};
	view = run_under_check(run_in_child, time_limit(run, instance));
	rewind(file);
	while ((event = next_event(file, &line, &size)))
		take(out, event);
	free(line);
	fclose(file);
	out->rescued = !out->verdict;
	if (out->rescued)
		out->verdict = missing_verdict(instance, &view);
	else
		merge(out->verdict, &view);
	out->duration_ms = milliseconds() - start;
	return NVC_OK;
}

/* Reads the events of one case of a batch up to its mark; without the mark, nothing of it counts. */
static bool read_one(FILE *file, struct attempt *out)
{
	char *line = NULL;
	size_t size = 0;
	json_t *event;

	while ((event = next_event(file, &line, &size)) && !is(event, "case-end"))
		take(out, event);
	free(line);
	if (event && out->verdict) {
		bool good = json_is_true(json_object_get(event, "good"));
		struct check_view view = {
			good ? CK_PASS : CK_FAILURE, "its end was not its verdict"};
		merge(out->verdict, &view);
		out->duration_ms = json_real_value(json_object_get(event, "duration_ms"));
	} else {
		attempt_drop(out);
		out->lines = json_array();
	}
	json_decref(event);
	return out->verdict != NULL;
}

enum nvc_result attempt_batch(const struct run_config *run, const struct instance *const *instances,
	size_t num, struct attempt *out, struct nvc_error *err)
{
	FILE *file = event_file(err);
	struct check_view view;
	unsigned int limit = 0;
	bool whole = true;

	for (size_t i = 0; i < num; i++) {
		out[i] = (struct attempt){.lines = json_array()};
		if (time_limit(run, instances[i]) > limit)
			limit = time_limit(run, instances[i]);
	}
	if (!file)
		return err->result;
	current.run = run;
	current.instances = instances;
	current.num = num;
	current.how = (struct test_how){.out = fileno(file), .last_attempt = true, .shared = true};
	view = run_under_check(run_batch_in_child, limit);
	rewind(file);
	for (size_t i = 0; i < num && whole; i++)
		whole = read_one(file, &out[i]);
	fclose(file);
	/* The marks say how far it came. What is wrong behind the last one, such as a leak that a sanitizer found, may be anybody's. */
	for (size_t i = 0; i < num && whole && view.result != CK_PASS; i++) {
		attempt_drop(&out[i]);
		out[i].lines = json_array();
	}
	return NVC_OK;
}

void attempt_drop(struct attempt *attempt)
{
	json_decref(attempt->verdict);
	json_decref(attempt->lines);
	attempt->verdict = attempt->lines = NULL;
}
