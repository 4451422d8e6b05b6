/* SPDX-License-Identifier: BSD-3-Clause */
/* The catalogue is data: these tests are the lint that keeps its rows fit to be shown and cited. */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "catalogue/catalogue.h"

/* Rows of docs/protocol.md chapter 8; our own (N-) come on top as cases need them. */
enum { CONTROLLER_ROWS = 226, HOST_ROWS = 66 };

static bool is_printable_ascii(const char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			return false;
	}
	return true;
}

static bool has_any(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (strstr(text, *words))
			return true;
	}
	return false;
}

START_TEST(ids_are_unique_and_sorted)
{
	for (int i = REQ_NONE + 2; i < NUM_REQS; i++) {
		const char *before = nvc_requirement((enum req_id)(i - 1))->id;
		const char *here = nvc_requirement((enum req_id)i)->id;

		ck_assert_msg(strcmp(before, here) < 0, "%s stands before %s", before, here);
	}
}
END_TEST

START_TEST(symbol_is_the_id)
{
	for (int i = REQ_NONE + 1; i < NUM_REQS; i++) {
		const struct nvc_requirement *row = nvc_requirement((enum req_id)i);
		char symbol[16] = "";

		ck_assert_uint_lt(strlen(row->id), sizeof(symbol));
		strcpy(symbol, row->id);
		ck_assert_int_eq(symbol[1], '-');
		symbol[1] = '_';
		ck_assert_str_eq(symbol, row->symbol);
	}
}
END_TEST

START_TEST(every_row_can_be_shown)
{
	for (int i = REQ_NONE + 1; i < NUM_REQS; i++) {
		const struct nvc_requirement *row = nvc_requirement((enum req_id)i);
		const char *end = row->statement + strlen(row->statement);

		ck_assert_msg(
			strlen(row->statement) > 20 && end[-1] == '.', "%s: statement", row->id);
		ck_assert_msg(strlen(row->expected) > 0, "%s: expected", row->id);
		ck_assert_msg(strlen(row->citation) > 0, "%s: citation", row->id);
		ck_assert_msg(is_printable_ascii(row->statement) &&
				      is_printable_ascii(row->stimulus) &&
				      is_printable_ascii(row->expected) &&
				      is_printable_ascii(row->citation),
			"%s: not ASCII", row->id);
		ck_assert(row->level < NVC_NUM_LEVELS && row->area < NVC_NUM_AREAS &&
			  row->ends < NVC_NUM_ENDS);
	}
}
END_TEST

START_TEST(rows_stand_alone)
{
	static const char *const banned[] = {
		"same:", "nvmet", "SPDK", "Linux", "tlshd", "libnvme", "|", "TODO", "  ", NULL};

	for (int i = REQ_NONE + 1; i < NUM_REQS; i++) {
		const struct nvc_requirement *row = nvc_requirement((enum req_id)i);

		ck_assert_msg(!has_any(row->statement, banned) && !has_any(row->stimulus, banned) &&
				      !has_any(row->expected, banned),
			"%s names an implementation or another row", row->id);
	}
}
END_TEST

START_TEST(subject_fits_the_area)
{
	for (int i = REQ_NONE + 1; i < NUM_REQS; i++) {
		const struct nvc_requirement *row = nvc_requirement((enum req_id)i);
		const char *subject = row->area == NVC_AREA_HOST ? "The host "
				      : i == REQ_C_236		 ? "The discovery controller "
								 : "The controller ";

		ck_assert_int_eq(row->area == NVC_AREA_HOST, row->id[0] == 'H');
		ck_assert_int_eq(row->area == NVC_AREA_OWN, row->level == NVC_LEVEL_OWN);
		if (row->area == NVC_AREA_OWN && strncmp(row->statement, "The target ", 11) == 0)
			continue;
		ck_assert_msg(strncmp(row->statement, subject, strlen(subject)) == 0,
			"%s does not begin with \"%s\"", row->id, subject);
	}
}
END_TEST

/* The rows are counted, so that one lost in an edit is noticed. */
START_TEST(all_rows_are_there)
{
	int num[128] = {0};

	for (int i = REQ_NONE + 1; i < NUM_REQS; i++)
		num[(unsigned char)nvc_requirement((enum req_id)i)->id[0] % 128]++;
	ck_assert_int_eq(num['C'], CONTROLLER_ROWS);
	ck_assert_int_eq(num['H'], HOST_ROWS);
	ck_assert_int_eq(num['C'] + num['H'] + num['N'], NUM_REQS - 1);
}
END_TEST

START_TEST(find_is_exact)
{
	for (int i = REQ_NONE + 1; i < NUM_REQS; i++)
		ck_assert_int_eq(nvc_requirement_find(nvc_requirement((enum req_id)i)->id), i);
	ck_assert_int_eq(nvc_requirement_find("C-113"), REQ_C_113);
	ck_assert_int_eq(nvc_requirement_find("c-113"), REQ_NONE);
	ck_assert_int_eq(nvc_requirement_find("C-1130"), REQ_NONE);
	ck_assert_int_eq(nvc_requirement_find("C-089"), REQ_NONE);
	ck_assert_int_eq(nvc_requirement_find(""), REQ_NONE);
}
END_TEST

START_TEST(outside_is_nothing)
{
	ck_assert_ptr_null(nvc_requirement(REQ_NONE));
	ck_assert_ptr_null(nvc_requirement(NUM_REQS));
}
END_TEST

START_TEST(names_are_complete)
{
	for (int i = 0; i < NVC_NUM_LEVELS; i++)
		ck_assert_ptr_nonnull(nvc_level_name((enum nvc_level)i));
	for (int i = 0; i < NVC_NUM_AREAS; i++)
		ck_assert_ptr_nonnull(nvc_area_name((enum nvc_area)i));
	for (int i = 0; i < NVC_NUM_ENDS; i++)
		ck_assert_ptr_nonnull(nvc_ends_name((enum nvc_ends)i));
	ck_assert_str_eq(nvc_level_name(NVC_LEVEL_OWN), "nvme-conform's own");
}
END_TEST

/* Rows whose teardown other parts of the tree lean on, from docs/protocol.md 4.4 and 6.1. */
START_TEST(known_rows_say_what_they_should)
{
	const struct nvc_requirement *row = nvc_requirement(REQ_C_113);

	ck_assert_int_eq(row->level, NVC_LEVEL_SHALL);
	ck_assert_int_eq(row->ends, NVC_ENDS_AFTER_ANSWER);
	ck_assert_str_eq(row->citation, "Base 2.2 8.3.4.4.1");
	ck_assert_str_eq(row->expected, "F1(03h)");
	ck_assert_int_eq(nvc_requirement(REQ_C_051)->level, NVC_LEVEL_CONTRADICTION);
	ck_assert_int_eq(nvc_requirement(REQ_C_085)->level, NVC_LEVEL_CONTRADICTION);
	ck_assert_int_eq(nvc_requirement(REQ_C_206)->level, NVC_LEVEL_SHOULD);
	ck_assert_int_eq(nvc_requirement(REQ_C_205)->ends, NVC_ENDS_OPEN);
	ck_assert_int_eq(nvc_requirement(REQ_C_025)->ends, NVC_ENDS_CLOSED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("catalogue");
	TCase *rows = tcase_create("rows");
	SRunner *runner;
	int failed;

	tcase_add_test(rows, ids_are_unique_and_sorted);
	tcase_add_test(rows, symbol_is_the_id);
	tcase_add_test(rows, every_row_can_be_shown);
	tcase_add_test(rows, rows_stand_alone);
	tcase_add_test(rows, subject_fits_the_area);
	tcase_add_test(rows, all_rows_are_there);
	tcase_add_test(rows, find_is_exact);
	tcase_add_test(rows, outside_is_nothing);
	tcase_add_test(rows, names_are_complete);
	tcase_add_test(rows, known_rows_say_what_they_should);
	suite_add_tcase(suite, rows);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
