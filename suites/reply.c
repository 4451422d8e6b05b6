/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DH-HMAC-CHAP_Reply: its lengths, its public value, C2 and T_ID (docs/protocol.md 3.4). Wherever an illegal Reply leaves the shared secret
 * known, R1 is right for it: a controller that does not look answers with Success1 and not by accident with AUTH_Failure1.
 */
#include <string.h>

#include "suites/steps.h"

/* An exchange that has come to its Challenge, for SHA-256 and the group of `want`. */
static struct nvc_auth *challenged(struct test *t, struct identity_want want,
	enum nvc_auth_mode mode, struct nvc_challenge *challenge)
{
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host_as(t, want)), NVC_SC_C_NOSC, mode);

	offer(auth, want.hash_id, want.dhgid);
	send_negotiate(t, auth);
	if (!take_challenge(t, auth, challenge))
		return auth;
	if (challenge->hash_id != want.hash_id || challenge->dhgid != want.dhgid)
		test_inconclusive(t,
			"the Challenge carries HashID %02Xh and DHgID %02Xh, which were not "
			"offered",
			challenge->hash_id, challenge->dhgid);
	else if (challenge->hl != nvc_hash_len(challenge->hash_id) ||
		 (challenge->dhgid != NVC_DH_NULL && nvc_dh_check_public(challenge->dhgid,
							     challenge->dhval) != NVC_DH_CHECK_OK))
		test_inconclusive(t, "nothing can be computed with the Challenge: HL %u, DHVLEN %u",
			challenge->hl, challenge->dhvlen);
	return auth;
}

/* The Reply as `auth` would send it, to be spoilt; its slices point into `room`. */
static struct nvc_reply good_reply(
	struct test *t, struct nvc_auth *auth, uint8_t room[NVC_MAX_AUTH_MESSAGE])
{
	struct nvc_writer writer = nvc_writer_over(room, NVC_MAX_AUTH_MESSAGE);
	struct nvc_reply reply = {.t_id = 0};
	struct nvc_error err = {0};

	if (!test_running(t))
		return reply;
	if (nvc_auth_encode_reply(auth, &writer, &err) != NVC_OK ||
		nvc_decode(&nvc_reply_layout, nvc_writer_slice(&writer), &reply, NULL, &err) !=
			NVC_OK)
		test_error(t, "no Reply can be made: %s", err.text);
	return reply;
}

/* Sends the first `len` bytes of a Reply, or all of it for 0. */
static void send_reply_cut(
	struct test *t, struct nvc_auth *auth, const struct nvc_reply *reply, size_t len)
{
	uint8_t message[16 + 2 * UINT8_MAX + NVC_MAX_DH_LEN + 8];
	struct nvc_writer writer = nvc_writer_over(message, sizeof(message));

	if (test_running(t) && nvc_encode(&nvc_reply_layout, reply, NULL, &writer) != NVC_OK)
		test_error(t, "the Reply does not fit");
	send_message(t, auth, nvc_slice_sub(nvc_writer_slice(&writer), 0, len ? len : SIZE_MAX));
}

/* R1 as a controller computes it whose session key is `ks`. */
static void r1_under(struct test *t, const struct nvc_auth *auth,
	const struct nvc_challenge *challenge, const struct nvc_secret *ks, struct nvc_secret *r1)
{
	struct nvc_secret key = {.len = 0}, ca1 = {.len = 0};
	struct nvc_dhchap_inputs in = {
		.hash_id = challenge->hash_id, .t_id = auth->t_id, .seqnum = challenge->seqnum};
	enum nvc_result result;

	if (!test_running(t))
		return;
	in.hostnqn = nvc_slice_str(auth->hostnqn);
	in.subnqn = nvc_slice_str(auth->subnqn);
	result = nvc_dhchap_key_transform(auth->host_key, in.hostnqn, &key);
	if (result == NVC_OK)
		result = nvc_dhchap_augment(challenge->hash_id, ks, challenge->cval, &ca1);
	in.key = nvc_secret_slice(&key);
	in.challenge = nvc_secret_slice(&ca1);
	if (result == NVC_OK)
		result = nvc_dhchap_r1(&in, r1);
	if (result != NVC_OK)
		test_error(t, "R1 cannot be computed: %s", nvc_result_name(result));
	nvc_secret_wipe(&key);
	nvc_secret_wipe(&ca1);
}

/* ---- lengths ---- */

enum { HL = 32, DHVLEN = 256 }; /* of the identities used here: SHA-256, ffdhe2048 */

/* {HL, bytes of R1 and of C2 in the message} */
static const struct case_param hash_lengths[] = {
	{"0", {0, 0}},
	{"0-with-responses", {0, HL}},
	{"16", {16, 16}},
	{"48", {48, 48}},
	{"255", {255, 255}},
	{"255-beyond-message", {255, HL}},
	{NULL, {0}},
};

CASE(hash_length, .id = "reply.hash-length",
	.title = "An HL that is not that of the chosen hash is an incorrect payload",
	.checks = {REQ_C_139}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = hash_lengths)
{
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_UNIDIRECTIONAL, &challenge);
	uint8_t room[NVC_MAX_AUTH_MESSAGE], r1[UINT8_MAX] = {0}, c2[UINT8_MAX] = {0};
	struct nvc_reply reply = good_reply(t, auth, room);

	/* The right R1 as far as there is room for it, then zeros. */
	if (test_running(t) && reply.rval.data)
		memcpy(r1, reply.rval.data, reply.rval.len);
	reply.hl = (uint8_t)param[0];
	reply.rval = nvc_slice_of(r1, (size_t)param[1]);
	reply.cval = nvc_slice_of(c2, (size_t)param[1]);
	send_reply_cut(t, auth, &reply, 0);
	expect_failure1(t, REQ_C_139, auth, CODES(NVC_RCODEEX_PAYLOAD));
}

static const struct case_param no_values[] = {
	{"absent", {0}}, {"uncounted", {DHVLEN}}, {NULL, {0}}};

CASE(no_value, .id = "reply.no-public-value",
	.title = "A Reply without a public value is an incorrect payload when a group was chosen",
	.checks = {REQ_C_140}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED, .params = no_values)
{
	static const struct nvc_secret empty = {.len = 0};
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_UNIDIRECTIONAL, &challenge);
	uint8_t room[NVC_MAX_AUTH_MESSAGE];
	struct nvc_reply reply = good_reply(t, auth, room);
	struct nvc_secret r1 = {.len = 0};

	r1_under(t, auth, &challenge, &empty, &r1);
	reply.rval = nvc_secret_slice(&r1);
	reply.dhvlen = 0;
	reply.dhval = nvc_slice_sub(reply.dhval, 0, (size_t)param[0]);
	send_reply_cut(t, auth, &reply, 0);
	expect_failure1(t, REQ_C_140, auth, CODES(NVC_RCODEEX_PAYLOAD));
}

static const struct case_param null_lengths[] = {{"4", {4}}, {"256", {256}}, {NULL, {0}}};

CASE(value_with_null, .id = "reply.public-value-with-null-group",
	.title = "A public value is an incorrect payload when the NULL group was chosen",
	.checks = {REQ_C_141}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = null_lengths)
{
	static const uint8_t value[DHVLEN] = {[3] = 2, [DHVLEN - 1] = 2};
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(
		t, want_pair(NVC_HASH_SHA256, NVC_DH_NULL), NVC_AUTH_UNIDIRECTIONAL, &challenge);
	uint8_t room[NVC_MAX_AUTH_MESSAGE];
	struct nvc_reply reply = good_reply(t, auth, room);

	reply.dhvlen = (uint16_t)param[0];
	reply.dhval = nvc_slice_of(value, (size_t)param[0]);
	send_reply_cut(t, auth, &reply, 0);
	expect_failure1(t, REQ_C_141, auth, CODES(NVC_RCODEEX_PAYLOAD));
}

static const struct case_param value_lengths[] = {
	{"1", {1}},
	{"4-too-few", {DHVLEN - 4}},
	{"1-too-few", {DHVLEN - 1}},
	{"1-too-many", {DHVLEN + 1}},
	{"4-too-many", {DHVLEN + 4}},
	{NULL, {0}},
};

CASE(value_length, .id = "reply.public-value-length",
	.title = "A public value that has not the size of its group is an incorrect payload",
	.checks = {REQ_C_142}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = value_lengths)
{
	/* With y = 1 the value is 2, the same number at any length, and R1 stays right. */
	static const uint8_t exponent[] = {1};
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_UNIDIRECTIONAL, &challenge);
	uint8_t room[NVC_MAX_AUTH_MESSAGE], value[DHVLEN + 4] = {0};
	struct nvc_reply reply;

	auth->private_exponent = NVC_SLICE(exponent);
	reply = good_reply(t, auth, room);
	value[param[0] - 1] = 2;
	reply.dhvlen = (uint16_t)param[0];
	reply.dhval = nvc_slice_of(value, (size_t)param[0]);
	send_reply_cut(t, auth, &reply, 0);
	expect_failure1(t, REQ_C_142, auth, CODES(NVC_RCODEEX_PAYLOAD));
}

static const struct case_param cuts[] = {
	{"15", {15}},
	{"16", {16}},
	{"after-r1", {16 + HL}},
	{"after-c2", {16 + 2 * HL}},
	{"last-byte", {16 + 2 * HL + DHVLEN - 1}},
	{NULL, {0}},
};

CASE(cut, .id = "reply.truncated",
	.title = "A Reply that is shorter than its lengths say is an incorrect payload",
	.checks = {REQ_C_148}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED, .params = cuts)
{
	/* With y = 8 the last byte of the value is 0: a controller that reads on and finds a zero has the right value. */
	static const uint8_t exponent[] = {8};
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_UNIDIRECTIONAL, &challenge);
	uint8_t room[NVC_MAX_AUTH_MESSAGE];
	struct nvc_reply reply;

	auth->private_exponent = NVC_SLICE(exponent);
	reply = good_reply(t, auth, room);
	send_reply_cut(t, auth, &reply, (size_t)param[0]);
	expect_failure1(t, REQ_C_148, auth, CODES(NVC_RCODEEX_PAYLOAD));
}

/* {DHVLEN, bytes sent} */
static const struct case_param overruns[] = {{"ffffh", {0xffff, 0}},
	{"ffffh-header-alone", {0xffff, 16}}, {"8000h", {0x8000, 0}}, {NULL, {0}}};

CASE(overrun, .id = "reply.public-value-beyond-message",
	.title = "A DHVLEN that reaches beyond the message is an incorrect payload, and the target "
		 "stays alive",
	.checks = {REQ_C_149, REQ_N_002}, .needs = NEED_AUTH, .params = overruns)
{
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_UNIDIRECTIONAL, &challenge);
	uint8_t room[NVC_MAX_AUTH_MESSAGE];
	struct nvc_reply reply = good_reply(t, auth, room);

	reply.dhvlen = (uint16_t)param[0];
	send_reply_cut(t, auth, &reply, (size_t)param[1]);
	expect_failure1(t, REQ_C_149, auth, CODES(NVC_RCODEEX_PAYLOAD));
	expect_new_association(t, REQ_N_002, test_host(t));
}

CASE(trailing, .id = "reply.trailing-bytes",
	.title = "What becomes of bytes behind a Reply is on record", .checks = {REQ_C_087},
	.needs = NEED_AUTH)
{
	static const uint8_t four[4] = {1, 2, 3, 4};
	static const char expected[] = "Success1, or AUTH_Failure1 06h";
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_UNIDIRECTIONAL, &challenge);
	struct nvc_auth_received received = {0};
	char text[256];

	auth->reply_bends = NVC_BENDS({.kind = NVC_BEND_APPEND, .bytes = NVC_SLICE(four)});
	send_reply(t, auth);
	if (!receive_answer(t, REQ_C_087, auth, expected, &received))
		return;
	expect_true(t, REQ_C_087,
		received.message == NVC_MSG_SUCCESS1 ||
			(received.message == NVC_MSG_FAILURE1 &&
				received.failure.rcodeex == NVC_RCODEEX_PAYLOAD),
		expected, "%s", nvc_auth_received_text(&received, text, sizeof(text)));
}

/* ---- public values nobody should send ---- */

enum number { ZERO, ONE, P_MINUS_ONE, P, P_PLUS_ONE, ALL_ONES };

static void write_number(enum number number, uint8_t out[DHVLEN])
{
	const struct nvc_slice p = nvc_dh_prime(NVC_DH_2048);
	size_t at = DHVLEN - 1;

	memset(out, number == ALL_ONES ? 0xff : 0, DHVLEN);
	if (number == ONE)
		out[at] = 1;
	if (number != P_MINUS_ONE && number != P && number != P_PLUS_ONE)
		return;
	memcpy(out, p.data, DHVLEN);
	if (number == P_MINUS_ONE)
		out[at]--; /* p is odd */
	if (number == P_PLUS_ONE)
		while (++out[at] == 0)
			at--;
}

/* {value, the shared secret that follows from it}; p - 1 yields either, as the controller's exponent is even or odd. What follows
 * from 2^2048 - 1 is not known without that exponent. */
static const struct case_param weak_values[] = {
	{"0", {ZERO, ZERO, REQ_C_143}},
	{"1", {ONE, ONE, REQ_C_144}},
	{"p-1/shared-1", {P_MINUS_ONE, ONE, REQ_C_145}},
	{"p-1/shared-p-1", {P_MINUS_ONE, P_MINUS_ONE, REQ_C_145}},
	{"p", {P, ZERO, REQ_C_146}},
	{"p+1", {P_PLUS_ONE, ONE, REQ_C_146}},
	{"all-ones", {ALL_ONES, ONE, REQ_C_146}},
	{NULL, {0}},
};

CASE(weak_value, .id = "reply.weak-public-value",
	.title = "A public value that gives the shared secret away is an incorrect payload",
	.checks = {REQ_C_143, REQ_C_144, REQ_C_145, REQ_C_146}, .needs = NEED_AUTH,
	.teardown = TEARDOWN_CLOSED, .params = weak_values)
{
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_UNIDIRECTIONAL, &challenge);
	uint8_t room[NVC_MAX_AUTH_MESSAGE], value[DHVLEN], shared[DHVLEN];
	struct nvc_reply reply = good_reply(t, auth, room);
	struct nvc_secret ks = {.len = 0}, r1 = {.len = 0};

	write_number((enum number)param[0], value);
	write_number((enum number)param[1], shared);
	if (test_running(t) &&
		nvc_dhchap_session_key(NVC_HASH_SHA256, NVC_SLICE(shared), &ks) != NVC_OK)
		test_error(t, "no session key can be computed");
	r1_under(t, auth, &challenge, &ks, &r1);
	reply.rval = nvc_secret_slice(&r1);
	reply.dhval = NVC_SLICE(value);
	send_reply_cut(t, auth, &reply, 0);
	expect_failure1(t, (enum req_id)param[2], auth, CODES(NVC_RCODEEX_PAYLOAD));
}

/* ---- format before cryptography: each fault comes with a wrong R1 ---- */

enum fault { HASH_LENGTH, VALUE_LENGTH, VALUE_ONE, TRUNCATED };

static const struct case_param faults[] = {
	{"hash-length", {HASH_LENGTH}},
	{"public-value-length", {VALUE_LENGTH}},
	{"public-value-1", {VALUE_ONE}},
	{"truncated", {TRUNCATED}},
	{NULL, {0}},
};

CASE(format_first, .id = "reply.format-before-response",
	.title = "A broken Reply with a wrong response is an incorrect payload, not a failed "
		 "authentication",
	.checks = {REQ_C_154}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED, .params = faults)
{
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_UNIDIRECTIONAL, &challenge);
	uint8_t room[NVC_MAX_AUTH_MESSAGE], responses[2][48] = {{0}}, one[DHVLEN];
	struct nvc_reply reply;

	auth->r1 = NVC_R1_FLIPPED;
	reply = good_reply(t, auth, room);
	write_number(ONE, one);
	if (param[0] == HASH_LENGTH) {
		reply.hl = sizeof(responses[0]);
		reply.rval = NVC_SLICE(responses[0]);
		reply.cval = NVC_SLICE(responses[1]);
	} else if (param[0] == VALUE_LENGTH) {
		reply.dhvlen = DHVLEN - 4;
		reply.dhval = nvc_slice_sub(reply.dhval, 4, SIZE_MAX);
	} else if (param[0] == VALUE_ONE) {
		reply.dhval = NVC_SLICE(one);
	}
	send_reply_cut(t, auth, &reply, param[0] == TRUNCATED ? 16 + 2 * HL + DHVLEN - 1 : 0);
	expect_failure1(t, REQ_C_154, auth, CODES(NVC_RCODEEX_PAYLOAD));
}

/* ---- C2, S2, CVALID ---- */

CASE(c2_is_c1, .id = "reply.c2-equals-c1",
	.title = "A Reply that sends the controller's challenge back to it is refused",
	.checks = {REQ_C_147}, .needs = NEED_BIDI, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY_BIDI, NVC_AUTH_BIDIRECTIONAL, &challenge);

	auth->c2 = challenge.cval;
	send_reply(t, auth);
	expect_failure1(t, REQ_C_147, auth, CODES(NVC_RCODEEX_FAILED));
}

CASE(c2_zero, .id = "reply.c2-zero",
	.title = "A C2 of zeros is answered by a right R2 when CVALID says that it is valid",
	.checks = {REQ_C_132}, .needs = NEED_BIDI, .teardown = TEARDOWN_USABLE)
{
	static const uint8_t zeros[HL];
	struct nvc_auth *auth = transaction(t, connect_admin(t, host_as(t, ORDINARY_BIDI)),
		NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL);

	offer(auth, NVC_HASH_SHA256, NVC_DH_2048);
	auth->c2 = NVC_SLICE(zeros);
	expect_success(t, REQ_C_132, auth);
}

static const struct case_param sequence_numbers[] = {{"s1", {0}}, {"1", {1}}, {NULL, {0}}};

CASE(any_s2, .id = "reply.sequence-number",
	.title = "Any S2 but 0 is answered by a right R2, the controller's own S1 too",
	.checks = {REQ_C_165}, .needs = NEED_BIDI, .teardown = TEARDOWN_USABLE,
	.params = sequence_numbers)
{
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY_BIDI, NVC_AUTH_BIDIRECTIONAL, &challenge);
	struct nvc_auth_received received = {0};
	char text[256];

	auth->s2 = param[0] ? (uint32_t)param[0] : challenge.seqnum;
	send_reply(t, auth);
	if (!receive_answer(t, REQ_C_165, auth, "Success1 with the right R2", &received))
		return;
	expect_true(t, REQ_C_165,
		received.message == NVC_MSG_SUCCESS1 && received.r2 == NVC_R2_RIGHT,
		"Success1 with the right R2", "%s",
		nvc_auth_received_text(&received, text, sizeof(text)));
	send_success2(t, auth);
}

CASE(s2_one_way, .id = "reply.sequence-number-without-c2",
	.title = "A sequence number does not make a Reply with CVALID 0 two-way: RVALID is 0",
	.checks = {REQ_C_130}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	/* As the Linux host sends it. */
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	auth->reply_bends =
		NVC_BENDS({.field = "seqnum", .kind = NVC_BEND_SET, .value = 0x12345678});
	expect_success(t, REQ_C_130, auth);
	expect_true(t, REQ_C_130, auth->r2 == NVC_R2_NOT_ASKED, "RVALID 0", "RVALID %d",
		auth->r2 != NVC_R2_NOT_ASKED);
}

/* {CVALID, requirement}: S2 is 0 and C2 is there, without concatenation. */
static const struct case_param odd_cvalids[] = {
	{"1", {1, REQ_C_152}}, {"2", {2, REQ_C_151}}, {"255", {255, REQ_C_151}}, {NULL, {0}}};

CASE(odd_cvalid, .id = "reply.cvalid",
	.title = "What becomes of a CVALID that has no meaning here is on record",
	.checks = {REQ_C_151, REQ_C_152}, .needs = NEED_AUTH, .params = odd_cvalids)
{
	static const char expected[] = "Success1 with RVALID 0, or AUTH_Failure1 06h";
	enum req_id req = (enum req_id)param[1];
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_CONCAT_UNI, &challenge);
	struct nvc_auth_received received = {0};
	char text[256];

	auth->reply_bends =
		NVC_BENDS({.field = "cvalid", .kind = NVC_BEND_SET, .value = (uint64_t)param[0]});
	send_reply(t, auth);
	if (!receive_answer(t, req, auth, expected, &received))
		return;
	test_observed(t, req, "CVALID %d: %s", param[0],
		nvc_auth_received_text(&received, text, sizeof(text)));
	expect_true(t, req,
		(received.message == NVC_MSG_SUCCESS1 && received.r2 == NVC_R2_NOT_ASKED) ||
			(received.message == NVC_MSG_FAILURE1 &&
				received.failure.rcodeex == NVC_RCODEEX_PAYLOAD),
		expected, "%s", text);
}

CASE(no_controller_secret, .id = "reply.two-way-without-controller-secret",
	.title = "A controller that cannot prove itself refuses the host which asks for it",
	.checks = {REQ_C_153}, .needs = NEED_AUTH)
{
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_BIDIRECTIONAL, &challenge);

	if (test_running(t) && auth->ctrl_key)
		test_skip(t, "every identity for SHA-256 and ffdhe2048 has a controller secret");
	send_reply(t, auth);
	expect_failure1(t, REQ_C_153, auth, CODES(NVC_RCODEEX_FAILED));
}

/* ---- T_ID ---- */

static const struct case_param t_id_hashed[] = {
	{"r1-of-transaction", {NVC_R1_RIGHT}}, {"r1-of-message", {NVC_R1_OTHER_T_ID}}, {NULL, {0}}};

CASE(foreign_t_id, .id = "reply.foreign-t-id",
	.title = "A Reply of another transaction brings the host no further",
	.checks = {REQ_N_004, REQ_C_150}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = t_id_hashed)
{
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_UNIDIRECTIONAL, &challenge);
	struct nvc_auth_received received = {0};
	uint8_t room[NVC_MAX_AUTH_MESSAGE];
	struct nvc_reply reply;
	char text[256];

	auth->r1 = (enum nvc_r1_kind)param[0];
	reply = good_reply(t, auth, room);
	reply.t_id++;
	send_reply_cut(t, auth, &reply, 0);
	if (!receive_answer(t, REQ_N_004, auth, "AUTH_Failure1", &received))
		return;
	nvc_auth_received_text(&received, text, sizeof(text));
	expect_true(t, REQ_N_004, received.message != NVC_MSG_SUCCESS1, "no Success1", "%s", text);
	expect_true(t, REQ_C_150,
		received.message == NVC_MSG_FAILURE1 &&
			received.failure.rcodeex == NVC_RCODEEX_MESSAGE,
		"AUTH_Failure1 07h", "%s", text);
}

/* A two-way exchange whose Success1 has been read. */
static struct nvc_auth *before_success2(struct test *t)
{
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY_BIDI, NVC_AUTH_BIDIRECTIONAL, &challenge);

	send_reply(t, auth);
	receive_success1(t, auth);
	return auth;
}

/* Judges that the controller cannot be enabled, which is the first thing anybody needs an admin queue for. */
static void expect_not_open(struct test *t, enum req_id req, struct nvc_queue *admin)
{
	struct nvc_completion done = {.status = 0};
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_step(t, "Property Set, which is not to be served");
	result = nvc_do_property_set(admin, NVC_PROP_CC, NVC_CC_ENABLE, &done, &err);
	expect_denied(t, req, admin, "Property Set", result, done.status, &err);
}

CASE(success2_needed, .id = "reply.before-success2",
	.title = "A two-way authentication opens the queue at Success2 and no sooner",
	.checks = {REQ_N_006, REQ_C_133, REQ_C_134}, .needs = NEED_BIDI | NEED_ATR,
	.teardown = TEARDOWN_USABLE)
{
	struct nvc_auth *auth = before_success2(t);

	expect_not_open(t, REQ_N_006, auth->queue);
	expect_status(t, REQ_C_133, auth->queue, CMD_PROPERTY_GET, CODES(NVC_SC_AUTH_REQUIRED));
	send_success2(t, auth);
	expect_status(t, REQ_C_134, auth->queue, CMD_PROPERTY_SET, CODES(NVC_SC_SUCCESS));
}

CASE(success1_needed, .id = "reply.before-success1",
	.title =
		"Whether a one-way authentication opens the queue before its Success1 is on record",
	.checks = {REQ_N_026}, .needs = NEED_AUTH | NEED_ATR)
{
	struct nvc_challenge challenge = {0};
	struct nvc_auth *auth = challenged(t, ORDINARY, NVC_AUTH_UNIDIRECTIONAL, &challenge);

	send_reply(t, auth);
	expect_not_open(t, REQ_N_026, auth->queue);
	receive_success1(t, auth);
}

CASE(success2_t_id, .id = "reply.success2-foreign-t-id",
	.title = "A Success2 of another transaction is refused and does not open the queue",
	.checks = {REQ_C_158}, .needs = NEED_BIDI | NEED_ATR, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_auth *auth = before_success2(t);

	auth->success2_bends = NVC_BENDS({.field = "t_id", .kind = NVC_BEND_XOR, .value = 0x40});
	send_success2(t, auth);
	expect_not_open(t, REQ_C_158, auth->queue);
	expect_failure1(t, REQ_C_158, auth, CODES(NVC_RCODEEX_MESSAGE, NVC_RCODEEX_PAYLOAD));
}

CASE(stray_success2, .id = "reply.success2-unasked",
	.title = "What becomes of a Success2 after a one-way authentication is on record",
	.checks = {REQ_C_157}, .needs = NEED_AUTH)
{
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	authenticate(t, auth);
	send_success2(t, auth);
	if (test_running(t) && auth->status == NVC_SC_SUCCESS)
		expect_failure1(t, REQ_C_157, auth, CODES(NVC_RCODEEX_MESSAGE));
	else
		expect_auth_status(t, REQ_C_157, auth, CODES(NVC_SC_COMMAND_SEQUENCE));
}
