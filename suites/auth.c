/* SPDX-License-Identifier: BSD-3-Clause */
/* Authentication in one and both directions: hashes, groups, forms of secrets, and wrong responses. */
#include <stdlib.h>
#include <string.h>

#include "suites/pdu_steps.h"

CASE(one_way, .id = "auth.one-way",
	.title = "A host with the right secret is authenticated, with each hash and group",
	.checks = {REQ_C_130, REQ_C_091, REQ_C_092, REQ_C_093}, .needs = NEED_AUTH,
	.teardown = TEARDOWN_USABLE, .params = PARAMS_HASH_GROUP)
{
	struct nvc_host *host = host_as(t, want_pair(param[0], param[1]));
	struct nvc_queue *admin = connect_admin(t, host);
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	offer(auth, param[0], param[1]);
	expect_success(t, REQ_C_130, auth);
	expect_true(t, REQ_C_092, auth->hash_id == param[0], "the hash that was offered",
		"hash %02Xh", auth->hash_id);
	expect_true(t, REQ_C_093, auth->dhgid == param[1], "the group that was offered",
		"group %02Xh", auth->dhgid);
	if (param[0] == NVC_HASH_SHA256 && (param[1] == NVC_DH_2048 || param[1] == NVC_DH_3072))
		test_judged(t, REQ_C_091, "it was accepted");
	enable(t, admin);
	expect_status(t, REQ_C_130, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
}

CASE(two_way, .id = "auth.two-way",
	.title = "The controller proves itself by R2, and Success2 opens the queue",
	.checks = {REQ_C_132, REQ_C_134}, .needs = NEED_BIDI, .teardown = TEARDOWN_USABLE,
	.params = PARAMS_HASH_GROUP)
{
	struct nvc_host *host = host_as(t, want_both_ways(param[0], param[1]));
	struct nvc_queue *admin = connect_admin(t, host);
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL);

	offer(auth, param[0], param[1]);
	expect_success(t, REQ_C_132, auth);
	enable(t, admin);
	expect_status(t, REQ_C_134, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
}

static const struct case_param secret_forms[] = {
	{"00/32", {0, 32}},
	{"00/48", {0, 48}},
	{"00/64", {0, 64}},
	{"01/32", {1, 32}},
	{"01/48", {1, 48}},
	{"01/64", {1, 64}},
	{"02/32", {2, 32}},
	{"02/48", {2, 48}},
	{"02/64", {2, 64}},
	{"03/32", {3, 32}},
	{"03/48", {3, 48}},
	{"03/64", {3, 64}},
	{NULL, {0}},
};

CASE(secret_form, .id = "auth.secret",
	.title = "Secrets DHHC-1:00 to 03 of 32, 48 and 64 bytes work in both directions",
	.checks = {REQ_C_132, REQ_C_130}, .needs = NEED_BIDI, .teardown = TEARDOWN_USABLE,
	.params = secret_forms)
{
	struct nvc_host *host = host_as(t, want_secret(param[0], param[1]));
	struct nvc_queue *admin = connect_admin(t, host);

	expect_success(t, REQ_C_132, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL));
	expect_served(t, REQ_C_130, admin);
}

static const struct case_param wrong_responses[] = {
	{"one-bit", {NVC_R1_FLIPPED}},
	{"zero", {NVC_R1_ZERO}},
	{"foreign-secret", {NVC_R1_RANDOM_KEY}},
	{"other-sc-c", {NVC_R1_OTHER_SC_C}},
	{"other-t-id", {NVC_R1_OTHER_T_ID}},
	{"other-s1", {NVC_R1_OTHER_S1}},
	{"not-augmented", {NVC_R1_NOT_AUGMENTED}},
	{"controller-label", {NVC_R1_AS_CONTROLLER}},
	{NULL, {0}},
};

CASE(wrong_response, .id = "auth.wrong-response",
	.title = "A response that is not the right one is refused as authentication failed",
	.checks = {REQ_C_135}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = wrong_responses)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	/* Without Diffie-Hellman the challenge is not augmented, and one of the wrong responses would be right. */
	offer(auth, NVC_HASH_SHA256, NVC_DH_2048);
	auth->r1 = (enum nvc_r1_kind)param[0];
	auth->r1_sc_c = NVC_SC_C_NEWTLSPSK;
	expect_refused(t, REQ_C_135, auth, CODES(NVC_RCODEEX_FAILED));
}

CASE(untransformed, .id = "auth.untransformed-secret",
	.title = "A response made with the secret itself instead of the transformed key is refused",
	.checks = {REQ_C_136}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, want_secret(NVC_HASH_SHA256, 32));
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	auth->r1 = NVC_R1_UNTRANSFORMED;
	expect_refused(t, REQ_C_136, auth, CODES(NVC_RCODEEX_FAILED));
}

CASE(controller_key, .id = "auth.controller-secret-as-host",
	.title = "The controller's secret does not authenticate the host", .checks = {REQ_C_135},
	.needs = NEED_BIDI, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	auth->r1 = NVC_R1_CTRL_KEY;
	expect_refused(t, REQ_C_135, auth, CODES(NVC_RCODEEX_FAILED));
}

CASE(wrong_controller, .id = "auth.wrong-controller-secret",
	.title = "A host that finds R2 wrong says so with AUTH_Failure2, and the controller closes",
	.checks = {REQ_C_156}, .needs = NEED_BIDI, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL);
	struct nvc_dhchap_key foreign = host->ctrl_key;
	struct nvc_auth_outcome outcome = {0};
	char text[320];

	foreign.secret.data[0] ^= 1;
	auth->ctrl_key = &foreign;
	if (test_running(t))
		nvc_auth_run(auth, &outcome);
	expect_true(t, REQ_C_132,
		outcome.kind == NVC_OUTCOME_FAILURE2 && outcome.r2 == NVC_R2_WRONG,
		"an R2 that does not verify under another secret", "%s",
		nvc_auth_outcome_text(&outcome, text, sizeof(text)));
	expect_closed(t, REQ_C_156, auth->queue);
	nvc_secret_wipe(&foreign.secret);
}

CASE(opens, .id = "auth.opens-the-queue",
	.title = "After a one-way authentication the controller can be enabled and serves commands",
	.checks = {REQ_C_130}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));

	authenticate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	expect_status(t, REQ_C_130, admin, CMD_PROPERTY_SET, CODES(NVC_SC_SUCCESS));
	enable(t, admin);
	expect_status(t, REQ_C_130, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
}

CASE(after_wrong, .id = "auth.next-host-after-failure",
	.title = "A refused authentication does not keep the right host out afterwards",
	.checks = {REQ_C_185}, .needs = NEED_AUTH)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	auth->r1 = NVC_R1_FLIPPED;
	expect_refused(t, REQ_C_135, auth, CODES(NVC_RCODEEX_FAILED));
	expect_new_association(t, REQ_C_185, host);
}

static void leading_zero(struct test *t, enum req_id req, bool in_public)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_challenge challenge = {0};
	struct nvc_slice generator = {NULL, 0};
	uint8_t from[NVC_DH_PRIVATE_LEN], exponent[NVC_DH_PRIVATE_LEN];

	offer(auth, NVC_HASH_SHA256, NVC_DH_2048);
	send_negotiate(t, auth);
	if (!take_challenge(t, auth, &challenge))
		return;
	nvc_env_random(&host->world->env, from, sizeof(from));
	from[0] &= 0x7f; /* room to count up */
	if (test_running(t) &&
		nvc_dh_leading_zero(challenge.dhgid, in_public ? generator : challenge.dhval,
			NVC_SLICE(from), exponent) != NVC_OK)
		test_error(t, "no exponent with a leading zero byte was found");
	auth->private_exponent = NVC_SLICE(exponent);
	send_reply(t, auth);
	expect_success1(t, req, auth);
}

CASE(leading_zero_secret, .id = "auth.leading-zero.shared-secret",
	.title = "A shared secret that begins with a zero byte is hashed at full length",
	.checks = {REQ_C_137}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	leading_zero(t, REQ_C_137, false);
}

CASE(leading_zero_value, .id = "auth.leading-zero.public-value",
	.title = "A public value that begins with a zero byte is accepted at full length",
	.checks = {REQ_C_138}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	leading_zero(t, REQ_C_138, true);
}

CASE(replay, .id = "auth.replayed-reply",
	.title = "A Reply recorded in one transaction is worth nothing in the next",
	.checks = {REQ_C_163}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *first =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_auth *second;
	uint8_t reply[NVC_MAX_AUTH_MESSAGE];
	struct nvc_writer writer = nvc_writer_over(reply, sizeof(reply));
	static const uint8_t exponent[NVC_DH_PRIVATE_LEN] = {0x2a, 0x11};

	first->private_exponent = NVC_SLICE(exponent);
	send_negotiate(t, first);
	receive_challenge(t, first);
	if (test_running(t) && nvc_auth_encode_reply(first, &writer, NULL) != NVC_OK)
		test_error(t, "the Reply cannot be encoded");
	send_message(t, first, nvc_writer_slice(&writer));
	receive_success1(t, first);
	second = transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	second->t_id = first->t_id;
	send_negotiate(t, second);
	receive_challenge(t, second);
	send_message(t, second, nvc_writer_slice(&writer));
	expect_failure1(t, REQ_C_163, second, CODES(NVC_RCODEEX_FAILED));
}

CASE(reflection, .id = "auth.reflected-response",
	.title = "The controller's own response to the same challenge does not authenticate the "
		 "host",
	.checks = {REQ_C_164}, .needs = NEED_BIDI, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, want_both_ways(NVC_HASH_SHA256, NVC_DH_NULL));
	struct nvc_auth *victim =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_auth *oracle =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL);
	struct nvc_auth_received challenge = {0}, success1 = {0};

	offer(victim, NVC_HASH_SHA256, NVC_DH_NULL);
	offer(oracle, NVC_HASH_SHA256, NVC_DH_NULL);
	oracle->t_id = victim->t_id;
	send_negotiate(t, victim);
	if (test_running(t))
		nvc_auth_receive(victim, &challenge, NULL);
	if (challenge.kind != NVC_RECEIVED_MESSAGE || challenge.message != NVC_MSG_CHALLENGE)
		test_inconclusive(t, "no Challenge came");
	/* The second connection asks the controller to answer the first one's challenge, S1 included. */
	oracle->c2 = challenge.challenge.cval;
	oracle->s2 = challenge.challenge.seqnum;
	send_negotiate(t, oracle);
	receive_challenge(t, oracle);
	send_reply(t, oracle);
	if (test_running(t))
		nvc_auth_receive(oracle, &success1, NULL);
	if (success1.kind != NVC_RECEIVED_MESSAGE || success1.message != NVC_MSG_SUCCESS1)
		test_inconclusive(t, "no Success1 came on the second connection");
	victim->r1 = NVC_R1_BYTES;
	victim->r1_bytes = success1.success1.rval;
	send_reply(t, victim);
	expect_failure1(t, REQ_C_164, victim, CODES(NVC_RCODEEX_FAILED));
}

CASE(s2_extremes, .id = "auth.sequence-number-wraps",
	.title = "S2 of FFFFFFFFh is answered by a right R2", .checks = {REQ_C_165},
	.needs = NEED_BIDI, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL);

	auth->s2 = UINT32_MAX;
	expect_success(t, REQ_C_165, auth);
}

static const struct case_param t_ids[] = {{"0000h", {0}}, {"ffffh", {0xffff}}, {NULL, {0}}};

CASE(t_id_extremes, .id = "auth.t-id", .title = "Any 16-bit T_ID can be used",
	.checks = {REQ_C_109}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .params = t_ids)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	auth->t_id = (uint16_t)param[0];
	expect_success(t, REQ_C_109, auth);
}

CASE(fresh_challenges, .id = "auth.fresh-challenges",
	.title = "C1 is new in each of sixteen transactions", .checks = {REQ_C_124, REQ_C_123},
	.needs = NEED_AUTH)
{
	enum { ROUNDS = 16 };
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = connect_admin(t, host);
	uint8_t seen[ROUNDS][NVC_MAX_HASH_LEN] = {{0}};
	uint32_t last = 0;

	for (int round = 0; round < ROUNDS && test_running(t); round++) {
		struct nvc_auth *auth =
			transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
		struct nvc_auth_received received = {0};
		struct nvc_slice c1;

		send_negotiate(t, auth);
		nvc_auth_receive(auth, &received, NULL);
		if (received.kind != NVC_RECEIVED_MESSAGE ||
			received.message != NVC_MSG_CHALLENGE) {
			test_inconclusive(t, "no Challenge came in round %d", round + 1);
			break;
		}
		c1 = received.challenge.cval;
		for (int before = 0; before < round; before++)
			if (nvc_slice_equal(nvc_slice_of(seen[before], c1.len), c1))
				test_violated(t, REQ_C_124, "a C1 never sent before",
					"C1 of round %d came again in round %d", before + 1,
					round + 1);
		if (c1.len <= NVC_MAX_HASH_LEN)
			memcpy(seen[round], c1.data, c1.len);
		if (round && received.challenge.seqnum != (last == UINT32_MAX ? 1 : last + 1))
			test_observed(t, REQ_C_123, "S1 %08Xh follows %08Xh",
				received.challenge.seqnum, last);
		else if (round)
			test_judged(t, REQ_C_123, "S1 %08Xh follows %08Xh",
				received.challenge.seqnum, last);
		last = received.challenge.seqnum;
		send_reply(t, auth);
		receive_success1(t, auth);
	}
	expect_true(t, REQ_C_124, true, "", "sixteen different values of C1");
}

CASE(pipelined, .id = "auth.pipelined",
	.title = "Authentication commands that do not wait for one another do no harm",
	.checks = {REQ_N_002}, .needs = NEED_AUTH)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const struct nvc_cmd_auth receive = nvc_cmd_auth_of(NVC_FCTYPE_AUTH_RECEIVE, 4096);
	const struct nvc_command command = {
		.layout = &nvc_cmd_auth_receive_layout, .fields = &receive, .in_len = 4096};
	struct nvc_queue *admin = connect_admin(t, host);
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_completion done = {0};
	enum nvc_end end = NVC_END_OPEN;

	send_negotiate(t, auth);
	/* Nobody waits: Receive, a message of zeros, Receive, as fast as they go out. */
	for (int i = 0; i < 4; i++) {
		submit(t, admin, &command);
		submit_send(t, admin, 304, false, NULL);
	}
	if (test_running(t) && nvc_queue_usable(admin, 0, &done, NULL) != NVC_OK)
		(void)nvc_queue_await_end(admin, NVC_MS(20), &end, NULL);
	expect_new_association(t, REQ_N_002, host);
}
