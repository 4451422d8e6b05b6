/* SPDX-License-Identifier: BSD-3-Clause */
/* The library call of replay over the golden captures: each gets the verdict that captures/manifest.json explains. */
#include <jansson.h>

#include "capture_frames.h"

static json_t *entries;

static const char *text(const json_t *entry, const char *member)
{
	const char *value = json_string_value(json_object_get(entry, member));

	return value ? value : "";
}

static void setup(void)
{
	json_error_t why;
	json_t *manifest = json_load_file(NVC_CAPTURES "/manifest.json", 0, &why);

	ck_assert_msg(manifest != NULL, "manifest.json: line %d: %s", why.line, why.text);
	entries = json_incref(json_object_get(manifest, "captures"));
	json_decref(manifest);
	ck_assert_uint_gt(json_array_size(entries), 0);
}

static void teardown(void)
{
	json_decref(entries);
}

static void judge(const json_t *entry, struct told *told)
{
	const struct nvc_replay_sink sink = {told, hear};
	const struct nvc_replay_options options = {.brief = true};
	char path[4096];
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", NVC_CAPTURES, text(entry, "file"));
	in = fopen(path, "rb");
	ck_assert_msg(in != NULL, "%s cannot be opened", path);
	memset(told, 0, sizeof(*told));
	told->read = nvc_replay(in, &options, &sink, &told->result, &told->err);
	ck_assert_msg(told->read == NVC_OK, "%s: %s", path, told->err.text);
}

static bool is_listed(const json_t *list, const char *id)
{
	const json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
	{
		if (strcmp(json_string_value(value), id) == 0)
			return true;
	}
	return false;
}

START_TEST(verdicts)
{
	static const char *const names[] = {"clean", "violated", "cannot-judge"};
	static struct told told;
	const json_t *entry;
	size_t i;

	json_array_foreach(entries, i, entry)
	{
		const char *file = text(entry, "file");
		unsigned int violated = 0;

		judge(entry, &told);
		ck_assert_msg(strcmp(names[told.result.verdict], text(entry, "verdict")) == 0,
			"%s: %s: %s", file, names[told.result.verdict], told.result.reason);
		for (int req = REQ_NONE + 1; req < NUM_REQS; req++) {
			const struct nvc_requirement *row = nvc_requirement((enum req_id)req);

			if (!told.result.violations[req] || row->level != NVC_LEVEL_SHALL)
				continue;
			violated++;
			ck_assert_msg(is_listed(json_object_get(entry, "violations"), row->id),
				"%s: %s is not in the manifest", file, row->id);
		}
		ck_assert_uint_eq(violated, json_array_size(json_object_get(entry, "violations")));
		ck_assert_int_eq((json_int_t)told.result.nvme_tls,
			json_integer_value(json_object_get(entry, "tls")));
		ck_assert_msg(strstr(told.result.reason, text(entry, "reason")) != NULL, "%s: %s",
			file, told.result.reason);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("golden captures");
	TCase *core = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_set_timeout(core, 60);
	tcase_add_checked_fixture(core, setup, teardown);
	tcase_add_test(core, verdicts);
	suite_add_tcase(suite, core);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
