/* SPDX-License-Identifier: BSD-3-Clause */
/* The host side of authentication against scripted controllers; every exchange of vectors.json byte for byte. */
#include "host_script.h"
#include "vectors.h"

enum { NUM_EXCHANGES = 17 };

/* One exchange of the vectors and the host that has to speak it. */
struct exchange {
	json_t *root;
	const json_t *entry, *messages;
	struct hexed negotiate, challenge, reply, success1, success2, c2, y;
	uint8_t sc_c, cvalid;
	uint32_t s2;
	enum nvc_auth_mode mode;
};

static struct exchange exchange_at(size_t index)
{
	struct exchange ex = {.root = load_vectors()};

	ex.entry = json_array_get(section_of(ex.root, "dhchap", NUM_EXCHANGES), index);
	ex.messages = json_object_get(ex.entry, "messages");
	ex.negotiate = hex_of(ex.messages, "AUTH_Negotiate");
	ex.challenge = hex_of(ex.messages, "Challenge");
	ex.reply = hex_of(ex.messages, "Reply");
	ex.success1 = hex_of(ex.messages, "Success1");
	if (json_object_get(ex.messages, "Success2") != NULL)
		ex.success2 = hex_of(ex.messages, "Success2");
	if (json_object_get(ex.entry, "y_host") != NULL &&
		json_is_string(json_object_get(ex.entry, "y_host")))
		ex.y = hex_of(ex.entry, "y_host");
	ex.sc_c = (uint8_t)number_of(ex.entry, "sc_c");
	ex.cvalid = (uint8_t)number_of(ex.entry, "cvalid");
	ex.s2 = (uint32_t)number_of(ex.entry, "s2");
	if (ex.cvalid == 0)
		ex.mode = NVC_AUTH_UNIDIRECTIONAL;
	else
		ex.mode = ex.s2 == 0 ? NVC_AUTH_CONCAT_UNI : NVC_AUTH_BIDIRECTIONAL;
	if (ex.cvalid != 0)
		ex.c2 = hex_of(ex.entry, "c2");
	return ex;
}

static size_t index_of(const char *name)
{
	json_t *root = load_vectors();
	json_t *section = section_of(root, "dhchap", NUM_EXCHANGES);
	size_t found = NUM_EXCHANGES;

	for (size_t i = 0; i < NUM_EXCHANGES; i++)
		if (strcmp(text_of(json_array_get(section, i), "name"), name) == 0)
			found = i;
	json_decref(root);
	ck_assert_uint_lt(found, NUM_EXCHANGES);
	return found;
}

static struct nvc_dhchap_key key_of(const struct exchange *ex, const char *field)
{
	struct nvc_dhchap_key key;
	struct nvc_error err = {0};

	ck_assert_msg(nvc_dhchap_key_parse(nvc_slice_str(text_of(ex->entry, field)), &key, &err) ==
			      NVC_OK,
		"%s", err.text);
	return key;
}

/* Makes the host that of the vector and prepares its transaction. */
static void prepare(struct stage *stage, const struct exchange *ex, struct nvc_auth *auth)
{
	stage->host.hostnqn = text_of(ex->entry, "hostnqn");
	stage->host.subnqn = text_of(ex->entry, "subnqn");
	stage->host.host_key = key_of(ex, "host_secret_text");
	stage->host.ctrl_key = key_of(ex, "ctrl_secret_text");
	stage->host.has_host_key = stage->host.has_ctrl_key = true;
	stage->host.next_t_id = (uint16_t)number_of(ex->entry, "t_id");
	stage_connect(stage);
	ck_assert_int_eq(nvc_auth_init(auth, stage->queue, ex->sc_c, ex->mode), NVC_OK);
	auth->s2 = ex->s2;
	auth->c2 = HEXED(ex->c2);
	auth->private_exponent = HEXED(ex->y);
}

static void finish(struct stage *stage, struct exchange *ex, struct nvc_auth *auth)
{
	nvc_auth_fini(auth);
	stage_close(stage);
	json_decref(ex->root);
}

/* The four lines up to Success1, which the fifth line may follow. */
#define EXCHANGE(ex)                                                                               \
	OPENING, MESSAGE(take_message, HEXED((ex).negotiate)),                                     \
		MESSAGE(give_message, HEXED((ex).challenge)),                                      \
		MESSAGE(take_message, HEXED((ex).reply)),                                          \
		MESSAGE(give_message, HEXED((ex).success1))

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

static const uint8_t failure1_bytes[] = {0, 0xf1, 0, 0, 0x35, 0x12, 1, NVC_RCODEEX_FAILED};

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

/* ---- steps, bends and wrong responses ---- */

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
