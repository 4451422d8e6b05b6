/* SPDX-License-Identifier: BSD-3-Clause */
/* The host side of authentication step by step: any order, in parallel, bent, with wrong responses. */
#include "host_exchange.h"

START_TEST(steps_in_any_order)
{
	struct exchange ex = exchange_at(index_of("h1_g1_bidir"));
	struct stage *stage = STAGE(OPENING, MESSAGE(take_message, HEXED(ex.success2)),
		MESSAGE(give_message, HEXED(ex.success1)),
		MESSAGE(take_message, HEXED(ex.negotiate)),
		MESSAGE(take_message, HEXED(ex.negotiate)),
		MESSAGE(give_message, HEXED(ex.challenge)));
	struct nvc_auth_received received;
	struct nvc_auth auth;
	struct nvc_error err = {0};
	char text[256];

	prepare(stage, &ex, &auth);
	ck_assert_int_eq(nvc_auth_send_reply(&auth, &err), NVC_E_STATE);
	ck_assert_str_eq(err.text, "there is no Challenge to reply to");
	ck_assert_int_eq(nvc_auth_send_success2(&auth, NULL), NVC_OK);
	ck_assert_int_eq(nvc_auth_receive(&auth, &received, NULL), NVC_OK);
	ck_assert_int_eq(received.kind, NVC_RECEIVED_MESSAGE);
	ck_assert_uint_eq(received.message, NVC_MSG_SUCCESS1);
	ck_assert_int_eq(received.r2, NVC_R2_UNASKED);
	ck_assert_int_eq(nvc_auth_send_negotiate(&auth, NULL), NVC_OK);
	ck_assert_int_eq(nvc_auth_send_negotiate(&auth, NULL), NVC_OK);
	ck_assert_int_eq(nvc_auth_receive(&auth, &received, NULL), NVC_OK);
	ck_assert_uint_eq(received.message, NVC_MSG_CHALLENGE);
	ck_assert_uint_eq(received.rcodeex, 0);
	ck_assert_uint_eq(received.challenge.hl, 32);
	ck_assert(auth.has_challenge && !received.trailing && !received.t_id_foreign);
	nvc_auth_received_text(&received, text, sizeof(text));
	ck_assert_msg(strstr(text, "Challenge") != NULL, "%s", text);
	finish(stage, &ex, &auth);
}
END_TEST

static void note_and_answer_later(struct script *script, const struct nvc_pdu *pdu)
{
	note_cid(script, pdu);
	if (script->num_cids < 3)
		return;
	/* Receive first, then the Sends, backwards. */
	say_data(script, script->cids[1], 0, NVC_SLICE(failure1_bytes), NVC_FLAG_LAST, NULL);
	say_cqe(script, (struct nvc_cqe){.cid = script->cids[2]});
	say_cqe(script, (struct nvc_cqe){.cid = script->cids[1]});
	say_cqe(script, (struct nvc_cqe){.cid = script->cids[0]});
}

START_TEST(steps_in_parallel)
{
	struct exchange ex = exchange_at(index_of("h1_g1_bidir"));
	struct stage *stage = STAGE(OPENING, COMMAND(note_and_answer_later),
		COMMAND(note_and_answer_later), COMMAND(note_and_answer_later));
	struct nvc_auth_received received;
	struct nvc_completion done;
	struct nvc_auth auth;
	uint16_t first, receive, second;

	prepare(stage, &ex, &auth);
	ck_assert_int_eq(nvc_auth_submit_negotiate(&auth, &first, NULL), NVC_OK);
	ck_assert_int_eq(nvc_auth_submit_receive(&auth, &receive, NULL), NVC_OK);
	ck_assert_int_eq(nvc_auth_submit_failure2(&auth, 1, &second, NULL), NVC_OK);
	ck_assert_int_eq(nvc_queue_wait(auth.queue, first, 0, &done, NULL), NVC_OK);
	ck_assert_int_eq(nvc_auth_finish_receive(&auth, receive, &received, NULL), NVC_OK);
	ck_assert_uint_eq(received.message, NVC_MSG_FAILURE1);
	ck_assert_uint_eq(received.failure.rcodeex, NVC_RCODEEX_FAILED);
	ck_assert_int_eq(nvc_queue_wait(auth.queue, second, 0, &done, NULL), NVC_OK);
	finish(stage, &ex, &auth);
}
END_TEST

static void give_with_zeros(struct script *script, const struct nvc_pdu *pdu)
{
	uint8_t bytes[NVC_AUTH_RECEIVE_LEN] = {0};

	memcpy(bytes, line_of(script)->message.data, line_of(script)->message.len);
	say_data(script, cid_of(pdu), 0, NVC_SLICE(bytes), NVC_FLAG_LAST, NULL);
	answer_success(script, pdu);
}

static void give_with_leftovers(struct script *script, const struct nvc_pdu *pdu)
{
	uint8_t bytes[NVC_AUTH_RECEIVE_LEN] = {0};

	bytes[sizeof(bytes) - 1] = 1;
	memcpy(bytes, line_of(script)->message.data, line_of(script)->message.len);
	say_data(script, cid_of(pdu), 0, NVC_SLICE(bytes), NVC_FLAG_LAST, NULL);
	answer_success(script, pdu);
}

START_TEST(all_of_al_may_travel)
{
	struct exchange ex = exchange_at(index_of("h1_g1_unidir"));
	/* SPDK leaves the R2 area out when RVALID is 0. */
	const struct nvc_slice short_success1 = nvc_slice_sub(HEXED(ex.success1), 0, 16);
	struct stage *stage = STAGE(OPENING, MESSAGE(give_with_zeros, HEXED(ex.challenge)),
		MESSAGE(give_with_leftovers, HEXED(ex.challenge)),
		MESSAGE(give_message, short_success1));
	struct nvc_auth_received received;
	struct nvc_auth auth;

	prepare(stage, &ex, &auth);
	ck_assert_int_eq(nvc_auth_receive(&auth, &received, NULL), NVC_OK);
	ck_assert_uint_eq(received.message_len, ex.challenge.len);
	ck_assert_uint_eq(received.raw.len, NVC_AUTH_RECEIVE_LEN);
	ck_assert(!received.trailing);
	ck_assert_int_eq(nvc_auth_receive(&auth, &received, NULL), NVC_OK);
	ck_assert(received.trailing);
	ck_assert_int_eq(nvc_auth_receive(&auth, &received, NULL), NVC_OK);
	ck_assert_int_eq(received.kind, NVC_RECEIVED_MESSAGE);
	ck_assert_uint_eq(received.rcodeex, 0);
	ck_assert_uint_eq(received.raw.len, 16);
	finish(stage, &ex, &auth);
}
END_TEST

/* Each wrong R1 differs from the right one and from all others; everything else of the Reply stays. */
START_TEST(wrong_responses_are_wrong_in_r1_only)
{
	struct exchange ex = exchange_at(index_of("h1_g2_newtlspsk_uni"));
	struct stage *stage = STAGE(OPENING);
	uint8_t replies[NVC_R1_OTHER_S1 + 1][NVC_MAX_AUTH_MESSAGE];
	const uint8_t bytes[32] = {1, 2, 3};
	struct nvc_auth auth;

	prepare(stage, &ex, &auth);
	auth.ctrl_key = &(const struct nvc_dhchap_key){.secret = {{9}, 32}};
	auth.r1_sc_c = NVC_SC_C_NOSC;
	auth.r1_bytes = NVC_SLICE(bytes);
	ck_assert_int_eq(nvc_auth_take_challenge(&auth, HEXED(ex.challenge), NULL), NVC_OK);
	for (int r1 = NVC_R1_RIGHT; r1 <= NVC_R1_OTHER_S1; r1++) {
		struct nvc_writer writer = nvc_writer_over(replies[r1], sizeof(replies[r1]));

		auth.r1 = (enum nvc_r1_kind)r1;
		ck_assert_int_eq(nvc_auth_encode_reply(&auth, &writer, NULL), NVC_OK);
		ck_assert_uint_eq(writer.len, ex.reply.len);
		expect_bytes("before R1", nvc_slice_sub(HEXED(ex.reply), 0, 16),
			nvc_slice_of(replies[r1], 16));
		expect_bytes("behind R1", nvc_slice_sub(HEXED(ex.reply), 48, SIZE_MAX),
			nvc_slice_of(replies[r1] + 48, writer.len - 48));
		for (int other = 0; other < r1; other++)
			ck_assert_msg(memcmp(replies[r1] + 16, replies[other] + 16, 32) != 0,
				"R1 %d is R1 %d", r1, other);
	}
	expect_bytes("right R1", nvc_slice_sub(HEXED(ex.reply), 16, 32),
		nvc_slice_of(replies[NVC_R1_RIGHT] + 16, 32));
	finish(stage, &ex, &auth);
}
END_TEST

START_TEST(negotiate_is_bent_at_will)
{
	struct exchange ex = exchange_at(index_of("h1_g1_bidir"));
	struct stage *stage = STAGE(OPENING);
	uint8_t message[512];
	const uint8_t extra[NVC_DESCRIPTOR_LEN] = {0x7e};
	struct nvc_writer writer;
	struct nvc_auth auth;

	prepare(stage, &ex, &auth);
	auth.offer = NVC_OFFER(NVC_HASH_SHA384, NVC_DH_3072);
	auth.extra_descriptors = NVC_SLICE(extra);
	auth.negotiate_bends = NVC_BENDS({.field = "sc_c", .kind = NVC_BEND_SET, .value = 9});
	auth.descriptor_bends = NVC_BENDS({.field = "halen", .kind = NVC_BEND_SET, .value = 31});
	writer = nvc_writer_over(message, sizeof(message));
	ck_assert_int_eq(nvc_auth_encode_negotiate(&auth, &writer, NULL), NVC_OK);
	ck_assert_uint_eq(writer.len, 8 + 2 * 64);
	ck_assert_uint_eq(message[6], 9);
	ck_assert_uint_eq(message[7], 2);
	ck_assert_uint_eq(message[8], 1);
	ck_assert_uint_eq(message[10], 31);
	ck_assert_uint_eq(message[12], NVC_HASH_SHA384);
	ck_assert_uint_eq(message[8 + 34], NVC_DH_3072);
	ck_assert_uint_eq(message[8 + 64], 0x7e);
	auth.negotiate_bends = NVC_BENDS({.field = "no such", .kind = NVC_BEND_SET});
	ck_assert_int_eq(nvc_auth_send_negotiate(&auth, NULL), NVC_E_INVALID);
	finish(stage, &ex, &auth);
}
END_TEST

START_TEST(new_transactions_are_new)
{
	struct exchange ex = exchange_at(index_of("h1_g1_bidir"));
	struct stage *stage = STAGE(OPENING);
	struct nvc_auth auth;
	uint32_t s2;
	uint16_t t_id;

	prepare(stage, &ex, &auth);
	s2 = stage->host.next_s2;
	t_id = auth.t_id;
	nvc_auth_renew(&auth);
	ck_assert_uint_eq(auth.t_id, (uint16_t)(t_id + 1));
	ck_assert_uint_eq(auth.s2, s2);
	ck_assert(!auth.has_challenge && !auth.has_reply);
	finish(stage, &ex, &auth);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host authentication, steps");
	TCase *tc = tcase_create("steps");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, steps_in_any_order);
	tcase_add_test(tc, steps_in_parallel);
	tcase_add_test(tc, all_of_al_may_travel);
	tcase_add_test(tc, wrong_responses_are_wrong_in_r1_only);
	tcase_add_test(tc, negotiate_is_bent_at_will);
	tcase_add_test(tc, new_transactions_are_new);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
