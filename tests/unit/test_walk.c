/* SPDX-License-Identifier: BSD-3-Clause */
/* The random walks of suites/robustness.c without a target: what follows from a seed, what is printed, what shrinking leaves. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites/walk.h"
#include "wire/command.h"
#include "wire/pdu.h"

enum { SEEDS = 200 };

/* Structs have padding; the texts of two walks tell whether they are the same. */
static char *text_of_walk(uint64_t seed)
{
	const size_t size = WALK_STEPS * WALK_MAX_TEXT;
	struct walk_step steps[WALK_STEPS];
	char *out = calloc(1, size);
	size_t len = 0;

	ck_assert_ptr_nonnull(out);
	walk_generate(seed, steps, WALK_STEPS);
	for (size_t i = 0; i < WALK_STEPS; i++) {
		walk_text(&steps[i], out + len, WALK_MAX_TEXT);
		len += strlen(out + len);
	}
	return out;
}

START_TEST(same_seed_same_steps)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		char *once = text_of_walk(seed), *again = text_of_walk(seed);
		char *other = text_of_walk(seed + 1000);

		ck_assert_str_eq(once, again);
		ck_assert_str_ne(once, other);
		free(once);
		free(again);
		free(other);
	}
}
END_TEST

START_TEST(longer_walk_begins_alike)
{
	struct walk_step few[10], many[WALK_STEPS];
	char a[WALK_MAX_TEXT], b[WALK_MAX_TEXT];

	walk_generate(7, few, 10);
	walk_generate(7, many, WALK_STEPS);
	for (size_t i = 0; i < 9; i++)
		ck_assert_str_eq(
			walk_text(&few[i], a, sizeof(a)), walk_text(&many[i], b, sizeof(b)));
}
END_TEST

START_TEST(every_kind_and_slot_occurs)
{
	size_t kinds[NUM_WALK_KINDS] = {0}, slots[NUM_WALK_SLOTS] = {0},
	       r1[NVC_R1_OTHER_S1 + 1] = {0};
	struct walk_step steps[WALK_STEPS];

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		walk_generate(seed, steps, WALK_STEPS);
		for (size_t i = 0; i < WALK_STEPS; i++) {
			kinds[steps[i].kind]++;
			slots[steps[i].slot]++;
			r1[steps[i].r1]++;
		}
	}
	for (size_t i = 0; i < NUM_WALK_KINDS; i++)
		ck_assert_msg(kinds[i] >= SEEDS / 10, "kind %zu occurs %zu times", i, kinds[i]);
	for (size_t i = 0; i < NUM_WALK_SLOTS; i++)
		ck_assert_uint_ge(slots[i], SEEDS);
	for (size_t i = 0; i <= NVC_R1_OTHER_S1; i++)
		ck_assert_msg(
			(r1[i] != 0) == (i != NVC_R1_BYTES), "R1 of kind %zu: %zu times", i, r1[i]);
}
END_TEST

static size_t count_bends(const struct nvc_layout *layout, const char *field)
{
	struct walk_step steps[WALK_STEPS];
	size_t num = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		walk_generate(seed, steps, WALK_STEPS);
		for (size_t i = 0; i < WALK_STEPS; i++) {
			const bool reply =
				steps[i].kind == WALK_REPLY && layout == &nvc_reply_layout;
			const bool negotiate = steps[i].kind == WALK_NEGOTIATE &&
					       layout == &nvc_negotiate_layout &&
					       !steps[i].of_descriptor;

			num += (reply || negotiate) && walk_bends(&steps[i]) &&
			       strcmp(steps[i].bend.field, field) == 0;
		}
	}
	return num;
}

START_TEST(every_field_is_bent)
{
	static const struct nvc_layout *const layouts[] = {
		&nvc_reply_layout, &nvc_negotiate_layout};

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < layouts[i]->num_fields; j++)
			ck_assert_msg(count_bends(layouts[i], layouts[i]->fields[j].name) > 0,
				"%s of %s is never bent", layouts[i]->fields[j].name,
				layouts[i]->name);
}
END_TEST

START_TEST(no_value_is_out_of_bounds)
{
	struct walk_step steps[WALK_STEPS];

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		walk_generate(seed, steps, WALK_STEPS);
		for (size_t i = 0; i < WALK_STEPS; i++) {
			ck_assert_uint_le(steps[i].len, WALK_MAX_BYTES);
			if (steps[i].kind == WALK_WAIT)
				ck_assert_uint_lt(steps[i].value, WALK_MAX_WAIT);
			if (steps[i].kind == WALK_CLOSE)
				ck_assert(steps[i].value == NVC_END_FIN ||
					  steps[i].value == NVC_END_RST);
			ck_assert_uint_le(steps[i].offer.num_hashes, NVC_MAX_LIST);
		}
	}
}
END_TEST

/* The promise to whoever owns the namespace. */
START_TEST(no_random_command_writes)
{
	static const uint8_t harmless[] = {
		NVC_OPC_FABRICS, NVC_ADMIN_IDENTIFY, NVC_ADMIN_KEEP_ALIVE, NVC_IO_READ};
	uint8_t room[WALK_MAX_BYTES];
	size_t capsules = 0;

	for (uint32_t seed = 0; seed < 5000; seed++) {
		const struct nvc_slice pdu = walk_pdu(seed, 9 + seed % 600, 9 + seed % 600, room);

		ck_assert_uint_eq(pdu.len, 9 + seed % 600);
		ck_assert_uint_eq(nvc_get_le(pdu.data + 4, 4), pdu.len);
		ck_assert_ptr_nonnull(memchr(harmless, pdu.data[8], sizeof(harmless)));
		capsules += pdu.data[0] == NVC_PDU_CAPSULE_CMD;
	}
	ck_assert_uint_gt(capsules, 500);
}
END_TEST

START_TEST(random_message_is_a_reply_of_the_transaction)
{
	uint8_t room[WALK_MAX_BYTES];
	uint16_t kind = 0, t_id = 0;

	ck_assert(nvc_auth_peek(walk_message(99, 200, 0x1234, room), &kind, &t_id));
	ck_assert_uint_eq(kind, NVC_MSG_REPLY);
	ck_assert_uint_eq(t_id, 0x1234);
	ck_assert_uint_eq(walk_message(99, 100000, 1, room).len, WALK_MAX_BYTES);
	ck_assert_uint_eq(walk_message(99, 3, 1, room).len, 3);
}
END_TEST

/* ---- shrinking ---- */

/* A target that is hurt by a Negotiate somewhere before a Failure2. */
struct script {
	unsigned int calls;
	bool pair; /* false: hurt by anything */
};

static bool is_hurt(void *self, const struct walk_step *steps, size_t num)
{
	struct script *script = self;
	bool negotiated = false;

	script->calls++;
	if (!script->pair)
		return true;
	for (size_t i = 0; i < num; i++) {
		if (negotiated && steps[i].kind == WALK_FAILURE2)
			return true;
		negotiated = negotiated || steps[i].kind == WALK_NEGOTIATE;
	}
	return false;
}

static void fill_steps(struct walk_step *steps, size_t num, size_t first, size_t second)
{
	for (size_t i = 0; i < num; i++)
		steps[i] = (struct walk_step){.kind = WALK_KEEP_ALIVE};
	steps[first].kind = WALK_NEGOTIATE;
	steps[second].kind = WALK_FAILURE2;
}

START_TEST(shrinking_finds_the_pair)
{
	struct walk_step steps[WALK_STEPS];

	for (size_t first = 0; first < WALK_STEPS; first += 7)
		for (size_t second = first + 1; second < WALK_STEPS; second += 5) {
			struct script script = {.pair = true};

			fill_steps(steps, WALK_STEPS, first, second);
			ck_assert_uint_eq(
				walk_shrink(steps, WALK_STEPS, 1000, is_hurt, &script), 2);
			ck_assert_int_eq(steps[0].kind, WALK_NEGOTIATE);
			ck_assert_int_eq(steps[1].kind, WALK_FAILURE2);
			ck_assert_uint_lt(script.calls, 150);
		}
}
END_TEST

START_TEST(shrinking_is_bounded)
{
	struct walk_step steps[WALK_STEPS];
	struct script script = {.pair = true};
	size_t left;

	fill_steps(steps, WALK_STEPS, 3, 50);
	left = walk_shrink(steps, WALK_STEPS, 5, is_hurt, &script);
	ck_assert_uint_eq(script.calls, 5);
	ck_assert_uint_gt(left, 2);
	ck_assert(is_hurt(&script, steps, left));
}
END_TEST

START_TEST(shrinking_keeps_one_step)
{
	struct walk_step steps[WALK_STEPS];
	struct script script = {.pair = false};

	fill_steps(steps, 5, 0, 1);
	ck_assert_uint_eq(walk_shrink(steps, 5, 100, is_hurt, &script), 1);
	ck_assert_uint_eq(walk_shrink(steps, 1, 100, is_hurt, &script), 1);
}
END_TEST

/* ---- printing ---- */

static void collect(void *self, const char *text)
{
	char *all = self;

	ck_assert_uint_lt(strlen(all) + strlen(text) + 2, 4096);
	strcat(all, text);
	strcat(all, "\n");
}

START_TEST(printed_case_reads_like_one)
{
	const struct walk_step steps[] = {{.kind = WALK_OPEN},
		{.kind = WALK_NEGOTIATE, .offer = NVC_OFFER(NVC_HASH_SHA256, NVC_DH_2048)},
		{.kind = WALK_RECEIVE, .value = 4096},
		{.kind = WALK_REPLY, .bend = {.field = "hl"}},
		{.kind = WALK_RECEIVE, .value = 4096}};
	char all[4096] = "";

	walk_print(steps, 5, "ORDINARY", "C_139", WALK_BY_SUCCESS1, collect, all);
	ck_assert_ptr_nonnull(strstr(all, ".checks = {REQ_C_139}"));
	ck_assert_ptr_nonnull(strstr(all, "host_as(t, ORDINARY);"));
	ck_assert_ptr_nonnull(strstr(all, "NVC_BENDS({.field = \"hl\", .kind = NVC_BEND_SET, "
					  ".value = 0u});\n\tsend_reply(t, admin_auth);"));
	ck_assert_ptr_nonnull(strstr(all, "received.message != NVC_MSG_SUCCESS1"));
	ck_assert_ptr_null(strstr(all, "*tls"));
	ck_assert_ptr_null(strstr(all, "room"));
}
END_TEST

/* As the walk did, the case leaves its connections, the I/O queue first, before the right host comes. */
START_TEST(printed_case_ends_with_the_right_host)
{
	const struct walk_step steps[] = {
		{.kind = WALK_OPEN}, {.kind = WALK_OPEN, .slot = WALK_IO}, {.kind = WALK_WAIT}};
	char all[4096] = "";

	walk_print(steps, 3, "ORDINARY", "N_002", WALK_BY_SERVICE, collect, all);
	ck_assert_ptr_nonnull(strstr(all, "	nvc_queue_free(io);\n	nvc_queue_free(admin);\n"
					  "	expect_new_association(t, REQ_N_002, host);\n}\n"));
	ck_assert_ptr_null(strstr(all, "tls"));
}
END_TEST

START_TEST(text_is_cut_and_ended)
{
	const struct walk_step step = {.kind = WALK_NEGOTIATE, .offer = NVC_OFFER(1, 1)};
	char small[16];

	memset(small, 'x', sizeof(small));
	ck_assert_uint_eq(strlen(walk_text(&step, small, sizeof(small))), sizeof(small) - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("walk");
	TCase *tcase = tcase_create("walk");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, same_seed_same_steps);
	tcase_add_test(tcase, longer_walk_begins_alike);
	tcase_add_test(tcase, every_kind_and_slot_occurs);
	tcase_add_test(tcase, every_field_is_bent);
	tcase_add_test(tcase, no_value_is_out_of_bounds);
	tcase_add_test(tcase, no_random_command_writes);
	tcase_add_test(tcase, random_message_is_a_reply_of_the_transaction);
	tcase_add_test(tcase, shrinking_finds_the_pair);
	tcase_add_test(tcase, shrinking_is_bounded);
	tcase_add_test(tcase, shrinking_keeps_one_step);
	tcase_add_test(tcase, printed_case_reads_like_one);
	tcase_add_test(tcase, printed_case_ends_with_the_right_host);
	tcase_add_test(tcase, text_is_cut_and_ended);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
