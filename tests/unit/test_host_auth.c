/* SPDX-License-Identifier: BSD-3-Clause */
/* The host side of authentication against scripted controllers; every exchange of vectors.json byte for byte. */
#include "host_exchange.h"

static void expect_psk(const struct exchange *ex, const struct stage *stage,
	const struct nvc_auth_outcome *outcome, const struct nvc_auth *auth)
{
	const json_t *concat = json_object_get(ex->entry, "concat");
	struct nvc_tls_psk wrong;

	if (ex->sc_c == NVC_SC_C_NOSC || outcome->hash_id == NVC_HASH_SHA512) {
		ck_assert(!outcome->has_psk && !stage->host.has_psk);
		return;
	}
	const struct hexed want = hex_of(concat, "tls_psk_v1");

	ck_assert(outcome->has_psk && stage->host.has_psk);
	ck_assert_str_eq(stage->host.psk.identity, text_of(concat, "identity_v1"));
	expect_bytes("TLS PSK", HEXED(want), nvc_secret_slice(&stage->host.psk.psk));
	ck_assert_uint_eq(stage->host.psk.hash_id, outcome->hash_id);
	/* The historic derivation has the same identity and another PSK. */
	ck_assert_int_eq(nvc_auth_tls_psk(auth, NVC_KDF_NO_LENGTH_OCTETS, &wrong, NULL), NVC_OK);
	ck_assert_str_eq(wrong.identity, stage->host.psk.identity);
	ck_assert(!nvc_slice_equal(
		nvc_secret_slice(&wrong.psk), nvc_secret_slice(&stage->host.psk.psk)));
}

START_TEST(exchanges_are_byte_for_byte_the_vectors)
{
	struct exchange ex = exchange_at((size_t)_i);
	const bool two_way = ex.mode == NVC_AUTH_BIDIRECTIONAL;
	struct stage *stage =
		two_way ? STAGE(EXCHANGE(ex), MESSAGE(take_message, HEXED(ex.success2)))
			: STAGE(EXCHANGE(ex));
	/* The vector without C2 has the S2 that a Linux host sends there; ours is 0 unless bent. */
	const struct nvc_bend linux_s2 = {.field = "seqnum", .kind = NVC_BEND_SET, .value = ex.s2};
	const struct nvc_bends bends = {&linux_s2, 1};
	struct nvc_auth_outcome outcome;
	struct nvc_auth auth;
	char text[256];

	prepare(stage, &ex, &auth);
	if (ex.mode == NVC_AUTH_UNIDIRECTIONAL)
		auth.reply_bends = &bends;
	ck_assert_msg(nvc_auth_run(&auth, &outcome) == NVC_OUTCOME_SUCCESS, "%s: %s",
		text_of(ex.entry, "name"), nvc_auth_outcome_text(&outcome, text, sizeof(text)));
	ck_assert_uint_eq(outcome.hash_id, number_of(ex.entry, "hash_id"));
	ck_assert_uint_eq(outcome.dhgid, number_of(ex.entry, "dhgid"));
	ck_assert_int_eq(outcome.r2, two_way ? NVC_R2_RIGHT : NVC_R2_NOT_ASKED);
	expect_psk(&ex, stage, &outcome, &auth);
	finish(stage, &ex, &auth);
}
END_TEST

/* ---- what we refuse ---- */

static struct hexed failure2(const struct nvc_auth *auth, uint8_t rcodeex)
{
	const struct nvc_failure failure = {auth->t_id, NVC_RCODE_FAILURE, rcodeex};
	struct hexed out = {.len = 0};
	struct nvc_writer writer = nvc_writer_over(out.data, sizeof(out.data));

	ck_assert_int_eq(nvc_encode(&nvc_failure2_layout, &failure, NULL, &writer), NVC_OK);
	out.len = writer.len;
	return out;
}

/* A message of the controller, spoilt at one byte, and the RCODEEX it has to be refused with. */
struct spoilt {
	const char *exchange;
	bool success1; /* else the Challenge */
	size_t at;
	uint8_t value;
	size_t cut; /* the message ends here; 0: not cut */
	uint8_t rcodeex;
	const char *why;
};
static const struct spoilt spoilts[] = {
	{"h1_g1_bidir", false, 4, 0x77, 0, 7, "T_ID"},
	{"h1_g1_bidir", false, 6, 31, 0, 6, "HL 31 with HashID 01h"},
	{"h1_g1_bidir", false, 8, 0x7f, 0, 4, "HashID 7fh was not offered"},
	{"h1_g1_bidir", false, 9, 0x7f, 0, 5, "DHgID 7fh was not offered"},
	{"h1_g1_bidir", false, 9, 0, 0, 6, "DHVLEN 256 with DHgID 00h"},
	{"h1_g1_bidir", false, 10, 0xfc, 0, 6, "by its lengths"},
	{"h1_g1_bidir", false, 11, 0, 0, 6, "DHVLEN 0 with DHgID 01h"},
	{"h1_g1_bidir", false, 11, 0xff, 0, 6, "dhval takes 65280 bytes"},
	{"h1_g1_bidir", false, 0, 0, 0, 7, "is no message"},
	{"h1_g1_bidir", false, 1, 3, 0, 7, "Success1 came instead of Challenge"},
	{"h1_g1_bidir", false, 0, 1, 8, 6, "came"},
	{"h1_g1_bidir", false, 0, 1, 3, 6, "instead of a message"},
	{"h1_g2_newtlspsk_uni", false, 9, 0, 0, 5, "DHgID 00h was not offered"},
	{"h1_g1_bidir", true, 4, 0x77, 0, 7, "T_ID"},
	{"h1_g1_bidir", true, 6, 31, 0, 6, "HL 31"},
	{"h1_g1_bidir", true, 8, 0, 0, 1, "RVALID=0 though S2 was sent"},
	{"h1_g1_bidir", true, 20, 0x55, 0, 1, "R2 does not verify"},
	{"h2_g2_newtlspsk_bidir", true, 40, 0x55, 0, 1, "R2 does not verify"},
	{"h1_g1_bidir", true, 0, 1, 40, 6, "came"},
};

START_TEST(broken_messages_are_refused_with_their_code)
{
	const struct spoilt *spoilt = &spoilts[_i];
	struct exchange ex = exchange_at(index_of(spoilt->exchange));
	struct hexed bad = spoilt->success1 ? ex.success1 : ex.challenge;
	struct hexed refusal = {.len = 0};
	const struct nvc_auth who = {.t_id = (uint16_t)number_of(ex.entry, "t_id")};
	struct nvc_auth_outcome outcome;
	struct nvc_auth auth;
	struct stage *stage;

	bad.data[spoilt->at] = spoilt->value;
	if (spoilt->cut > 0)
		bad.len = spoilt->cut;
	refusal = failure2(&who, spoilt->rcodeex);
	stage = spoilt->success1 ? STAGE(OPENING, MESSAGE(take_message, HEXED(ex.negotiate)),
					   MESSAGE(give_message, HEXED(ex.challenge)),
					   MESSAGE(take_message, HEXED(ex.reply)),
					   MESSAGE(give_message, HEXED(bad)),
					   MESSAGE(take_message, HEXED(refusal)))
				 : STAGE(OPENING, MESSAGE(take_message, HEXED(ex.negotiate)),
					   MESSAGE(give_message, HEXED(bad)),
					   MESSAGE(take_message, HEXED(refusal)));
	prepare(stage, &ex, &auth);
	ck_assert_int_eq(nvc_auth_run(&auth, &outcome), NVC_OUTCOME_FAILURE2);
	ck_assert_uint_eq(outcome.rcodeex, spoilt->rcodeex);
	ck_assert_msg(strstr(outcome.why, spoilt->why) != NULL, "row %d: %s", _i, outcome.why);
	ck_assert_int_eq(outcome.step, spoilt->success1 ? NVC_STEP_SUCCESS1 : NVC_STEP_CHALLENGE);
	ck_assert(!outcome.has_psk && !stage->host.has_psk);
	finish(stage, &ex, &auth);
}
END_TEST

/* S1 = 0 and the DH values 0, 1 and p - 1. */
START_TEST(forbidden_values_of_the_challenge_are_refused)
{
	struct exchange ex = exchange_at(index_of("h1_g1_bidir"));
	struct hexed bad = ex.challenge;
	const struct nvc_auth who = {.t_id = (uint16_t)number_of(ex.entry, "t_id")};
	const struct hexed refusal = failure2(&who, NVC_RCODEEX_PAYLOAD);
	struct stage *stage = STAGE(OPENING, MESSAGE(take_message, HEXED(ex.negotiate)),
		MESSAGE(give_message, HEXED(bad)), MESSAGE(take_message, HEXED(refusal)));
	struct nvc_auth_outcome outcome;
	struct nvc_auth auth;

	if (_i == 0) {
		memset(bad.data + 12, 0, 4);
	} else if (_i < 3) {
		memset(bad.data + 48, 0, 256);
		bad.data[bad.len - 1] = (uint8_t)(_i - 1);
	} else {
		memcpy(bad.data + 48, nvc_dh_prime(NVC_DH_2048).data, 256);
		bad.data[bad.len - 1] ^= 1;
	}
	prepare(stage, &ex, &auth);
	ck_assert_int_eq(nvc_auth_run(&auth, &outcome), NVC_OUTCOME_FAILURE2);
	ck_assert_uint_eq(outcome.rcodeex, NVC_RCODEEX_PAYLOAD);
	finish(stage, &ex, &auth);
}
END_TEST

START_TEST(null_group_under_concatenation_is_refused)
{
	struct exchange ex = exchange_at(index_of("h1_g0_bidir"));
	const struct nvc_auth who = {.t_id = (uint16_t)number_of(ex.entry, "t_id")};
	const struct hexed refusal = failure2(&who, NVC_RCODEEX_PAYLOAD);
	struct stage *stage = STAGE(OPENING, COMMAND(answer_success),
		MESSAGE(give_message, HEXED(ex.challenge)), MESSAGE(take_message, HEXED(refusal)));
	struct nvc_auth_outcome outcome;
	struct nvc_auth auth;

	ex.sc_c = NVC_SC_C_NEWTLSPSK;
	prepare(stage, &ex, &auth);
	auth.offer = NVC_OFFER(NVC_HASH_SHA256, NVC_DH_NULL);
	ck_assert_int_eq(nvc_auth_run(&auth, &outcome), NVC_OUTCOME_FAILURE2);
	ck_assert_uint_eq(outcome.rcodeex, NVC_RCODEEX_PAYLOAD);
	ck_assert_str_eq(outcome.why, "Challenge: NULL group with SC_C 02h");
	finish(stage, &ex, &auth);
}
END_TEST

/* ---- what the controller refuses, and how else it can end ---- */

static void give_message_only(struct script *script, const struct nvc_pdu *pdu)
{
	say_data(script, cid_of(pdu), 0, line_of(script)->message, NVC_FLAG_LAST, NULL);
}

START_TEST(failure1_is_the_outcome)
{
	struct exchange ex = exchange_at(index_of("h1_g1_bidir"));
	static void (*const acts[])(struct script *, const struct nvc_pdu *) = {
		give_message, give_message_and_end, give_message_only};
	const bool lost = _i > 0;
	struct stage *stage = STAGE(OPENING, MESSAGE(take_message, HEXED(ex.negotiate)),
		MESSAGE(give_message, HEXED(ex.challenge)), MESSAGE(take_message, HEXED(ex.reply)),
		MESSAGE(acts[_i], NVC_SLICE(failure1_bytes)));
	struct nvc_auth_outcome outcome;
	struct nvc_auth auth;
	char text[256];

	prepare(stage, &ex, &auth);
	ck_assert_int_eq(nvc_auth_run(&auth, &outcome), NVC_OUTCOME_FAILURE1);
	ck_assert_uint_eq(outcome.rcodeex, NVC_RCODEEX_FAILED);
	ck_assert_int_eq(outcome.step, NVC_STEP_SUCCESS1);
	/* Linux loses the capsule at times; the message counts all the same, and it is told. */
	ck_assert_int_eq(outcome.capsule_lost, lost);
	nvc_auth_outcome_text(&outcome, text, sizeof(text));
	ck_assert_msg(strstr(text, "AUTH_Failure1 RCODEEX 01h") != NULL, "%s", text);
	ck_assert_int_eq(strstr(text, "lost") != NULL, lost);
	finish(stage, &ex, &auth);
}
END_TEST

static void answer_191(struct script *script, const struct nvc_pdu *pdu)
{
	say_cqe(script, (struct nvc_cqe){.cid = cid_of(pdu),
				.status_field = nvc_status_field(NVC_SC_AUTH_REQUIRED, true)});
}

static void half_a_message(struct script *script, const struct nvc_pdu *pdu)
{
	say_data(script, cid_of(pdu), 0, nvc_slice_sub(line_of(script)->message, 0, 6),
		NVC_FLAG_LAST, NULL);
	script->wants = NVC_END_FIN;
}

START_TEST(other_ends_are_told_apart)
{
	struct exchange ex = exchange_at(index_of("h1_g1_bidir"));
	static void (*const acts[])(struct script *, const struct nvc_pdu *) = {
		answer_191, just_end, note_cid, half_a_message};
	static const enum nvc_auth_outcome_kind kinds[] = {NVC_OUTCOME_COMMAND_STATUS,
		NVC_OUTCOME_ENDED, NVC_OUTCOME_TIMEOUT, NVC_OUTCOME_ENDED};
	struct stage *stage = STAGE(OPENING, MESSAGE(take_message, HEXED(ex.negotiate)),
		MESSAGE(acts[_i], NVC_SLICE(failure1_bytes)));
	struct nvc_auth_outcome outcome;
	struct nvc_auth auth;
	char text[256];

	prepare(stage, &ex, &auth);
	ck_assert_int_eq(nvc_auth_run(&auth, &outcome), kinds[_i]);
	ck_assert_int_eq(outcome.step, NVC_STEP_CHALLENGE);
	ck_assert_uint_eq(outcome.status, _i == 0 ? NVC_SC_AUTH_REQUIRED : 0);
	ck_assert_int_eq(outcome.end, _i == 1 || _i == 3 ? NVC_END_FIN : NVC_END_OPEN);
	nvc_auth_outcome_text(&outcome, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, nvc_auth_outcome_name(kinds[_i])) != NULL
				      ? text
				      : strstr(text, "191h"));
	finish(stage, &ex, &auth);
}
END_TEST

START_TEST(an_end_at_any_byte_is_no_success)
{
	struct exchange ex = exchange_at(index_of("h1_g0_bidir"));
	const size_t whole = 128 + 24 + 24 + (24 + ex.challenge.len + 24) + 24 +
			     (24 + ex.success1.len + 24) + 24;

	for (size_t cut = 128 + 24; cut <= whole; cut++) {
		struct stage *stage =
			STAGE(EXCHANGE(ex), MESSAGE(take_message, HEXED(ex.success2)));
		struct nvc_auth_outcome outcome;
		struct nvc_auth auth;

		stage->script.cut_after = cut;
		prepare(stage, &ex, &auth);
		nvc_auth_run(&auth, &outcome);
		if (cut < whole) {
			ck_assert_int_eq(outcome.kind, NVC_OUTCOME_ENDED);
			ck_assert_int_eq(outcome.end, NVC_END_FIN);
			ck_assert_str_ne(outcome.why, "");
		} else {
			ck_assert_int_eq(outcome.kind, NVC_OUTCOME_SUCCESS);
		}
		nvc_auth_fini(&auth);
		stage_close(stage);
	}
	json_decref(ex.root);
}
END_TEST

START_TEST(success1_without_its_capsule_is_no_success)
{
	struct exchange ex = exchange_at(index_of("h1_g1_unidir"));
	struct stage *stage = STAGE(OPENING, MESSAGE(take_message, HEXED(ex.negotiate)),
		MESSAGE(give_message, HEXED(ex.challenge)), COMMAND(answer_success),
		MESSAGE(_i == 0 ? give_message_and_end : give_message_only, HEXED(ex.success1)));
	struct nvc_auth_outcome outcome;
	struct nvc_auth auth;

	prepare(stage, &ex, &auth);
	ck_assert_int_eq(
		nvc_auth_run(&auth, &outcome), _i == 0 ? NVC_OUTCOME_ENDED : NVC_OUTCOME_TIMEOUT);
	ck_assert(outcome.capsule_lost);
	ck_assert_int_eq(outcome.step, NVC_STEP_SUCCESS1);
	finish(stage, &ex, &auth);
}
END_TEST

START_TEST(without_a_secret_nothing_is_sent)
{
	struct stage *stage = STAGE(OPENING);
	struct nvc_auth_outcome outcome;

	stage_connect(stage);
	ck_assert_int_eq(nvc_auth_authenticate(stage->queue, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL,
				 NULL, &outcome),
		NVC_OUTCOME_LOCAL);
	ck_assert_str_eq(outcome.why, "the host has no secret");
	stage_close(stage);
}
END_TEST

/* ---- TLS under the generated PSK ---- */

/* What the vectors say about the PSK of a concatenation, as the controller knows it. */
static struct nvc_tls_psk controller_psk(const struct exchange *ex)
{
	const json_t *concat = json_object_get(ex->entry, "concat");
	const struct hexed bytes = hex_of(concat, "tls_psk_v1");
	struct nvc_tls_psk psk = {.hash_id = (uint8_t)number_of(ex->entry, "hash_id")};

	strcpy(psk.identity, text_of(concat, "identity_v1"));
	ck_assert_int_eq(nvc_secret_set(&psk.psk, HEXED(bytes)), NVC_OK);
	return psk;
}

START_TEST(generated_psk_opens_tls)
{
	struct exchange ex =
		exchange_at(index_of(_i == 0 ? "h1_g2_newtlspsk_uni" : "h2_g3_replacetlspsk_uni"));
	struct stage *stage = STAGE(EXCHANGE(ex), OPENING, COMMAND(answer_success));
	const struct nvc_tls_psk psk = controller_psk(&ex);
	struct nvc_tls_psk wrong = psk;
	struct nvc_auth_outcome outcome;
	struct nvc_error err = {0};
	struct nvc_auth auth;
	struct nvc_queue *queue;

	prepare(stage, &ex, &auth);
	ck_assert_int_eq(nvc_host_admin_over_tls(&stage->host, NULL, &queue, NULL), NVC_E_STATE);
	ck_assert_int_eq(nvc_auth_run(&auth, &outcome), NVC_OUTCOME_SUCCESS);
	nvc_queue_free(stage->queue);
	stage->script.policy = NVC_TLS_REQUIRED;
	stage->script.psk = &psk;
	ck_assert_msg(nvc_host_admin_over_tls(&stage->host, NULL, &queue, &err) == NVC_OK, "%s",
		err.text);
	ck_assert(nvc_queue_info(queue)->tls && nvc_queue_info(queue)->connected);
	ck_assert_str_eq(nvc_queue_info(queue)->tls_identity, psk.identity);
	ck_assert_ptr_nonnull(nvc_queue_tls_stream(queue));
	ck_assert_int_eq(nvc_do_keep_alive(queue, NULL, NULL), NVC_OK);
	/* A PSK that differs in one bit opens nothing, and there is no queue to mistake for an open one. */
	wrong.psk.data[0] ^= 1;
	ck_assert_int_ne(nvc_host_admin_over_tls(&stage->host, &wrong, &queue, &err), NVC_OK);
	ck_assert_ptr_null(queue);
	ck_assert_int_ne(stage->host.open_end, NVC_END_OPEN);
	ck_assert_uint_eq(stage->script.num_secured, 1);
	finish(stage, &ex, &auth);
}
END_TEST
int main(void)
{
	Suite *suite = suite_create("host authentication");
	TCase *tc = tcase_create("host authentication");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, exchanges_are_byte_for_byte_the_vectors, 0, NUM_EXCHANGES);
	tcase_add_loop_test(tc, broken_messages_are_refused_with_their_code, 0,
		(int)(sizeof(spoilts) / sizeof(spoilts[0])));
	tcase_add_loop_test(tc, forbidden_values_of_the_challenge_are_refused, 0, 4);
	tcase_add_test(tc, null_group_under_concatenation_is_refused);
	tcase_add_loop_test(tc, failure1_is_the_outcome, 0, 3);
	tcase_add_loop_test(tc, other_ends_are_told_apart, 0, 4);
	tcase_add_test(tc, an_end_at_any_byte_is_no_success);
	tcase_add_loop_test(tc, success1_without_its_capsule_is_no_success, 0, 2);
	tcase_add_test(tc, without_a_secret_nothing_is_sent);
	tcase_add_loop_test(tc, generated_psk_opens_tls, 0, 2);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
