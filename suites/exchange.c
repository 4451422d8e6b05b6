/* SPDX-License-Identifier: BSD-3-Clause */
/* Authentications and secure channels, as the cases say them. */
#include <stdio.h>
#include <string.h>

#include "suites/steps_internal.h"

/* The end of a connection where AUTH_Failure1 was due may be a lost answer (docs/findings.md, Linux): the engine
 * repeats the case on fresh connections before anything is concluded. */
static void ended_without_failure1(struct test *t, enum nvc_end end)
{
	test_answer_lost(t, REQ_C_170, "AUTH_Failure1, then the end of the connection",
		"the connection ended (%s) without AUTH_Failure1", nvc_end_name(end));
}

/* No identity is defined for a PSK of SHA-512, and the NULL group yields no session key. */
static const struct nvc_auth_offer concat_offer = {
	.num_hashes = 2,
	.num_dhgroups = 5,
	.hash_ids = {NVC_HASH_SHA256, NVC_HASH_SHA384},
	.dh_ids = {NVC_DH_2048, NVC_DH_3072, NVC_DH_4096, NVC_DH_6144, NVC_DH_8192},
};

struct nvc_host *host_as(struct test *t, struct identity_want want)
{
	test_identity(t, test_host(t), want);
	return test_host(t);
}

struct nvc_auth *transaction(
	struct test *t, struct nvc_queue *queue, enum nvc_sc_c sc_c, enum nvc_auth_mode mode)
{
	struct nvc_auth *auth = test_auth(t);

	if (test_running(t) && nvc_auth_init(auth, queue, (uint8_t)sc_c, mode) != NVC_OK)
		test_error(t, "no memory for a transaction");
	if (sc_c != NVC_SC_C_NOSC)
		auth->offer = concat_offer;
	return auth;
}

void offer(struct nvc_auth *auth, int hash_id, int dhgid)
{
	auth->offer = NVC_OFFER(hash_id, dhgid);
}

static void describe_start(struct test *t, const struct nvc_auth *auth)
{
	const char *name = nvc_name_of(nvc_sc_c_names, auth->sc_c);

	test_watch(t, auth->queue);
	test_step(t, "authenticate on %s, SC_C %02Xh %s, T_ID %04Xh",
		nvc_queue_info(auth->queue)->label, auth->sc_c, name ? name : "(reserved)",
		auth->t_id);
}

void authenticate(struct test *t, struct nvc_auth *auth)
{
	struct nvc_auth_outcome outcome = {0};
	char text[320];

	if (!test_running(t))
		return;
	describe_start(t, auth);
	if (nvc_auth_run(auth, &outcome) == NVC_OUTCOME_SUCCESS)
		return;
	not_reached(t, "authentication",
		outcome.kind == NVC_OUTCOME_LOCAL ? NVC_E_INVALID : NVC_E_REFUSED,
		nvc_auth_outcome_text(&outcome, text, sizeof(text)));
}

void expect_success(struct test *t, enum req_id req, struct nvc_auth *auth)
{
	static const char expected[] = "the authentication succeeds";
	struct nvc_auth_outcome outcome = {0};
	char text[320];

	if (!test_running(t))
		return;
	describe_start(t, auth);
	nvc_auth_run(auth, &outcome);
	nvc_auth_outcome_text(&outcome, text, sizeof(text));
	if (outcome.kind == NVC_OUTCOME_SUCCESS)
		test_judged(t, req, "%s", text);
	else if (outcome.kind == NVC_OUTCOME_LOCAL)
		test_error(t, "%s", text);
	else if (outcome.kind == NVC_OUTCOME_TIMEOUT)
		unanswered(
			t, req, nvc_queue_info(auth->queue)->host, expected, NVC_E_TIMEOUT, text);
	else
		test_violated(t, req, expected, "%s", text);
}

/* "AUTH_Failure1 RCODEEX 03h or 06h" */
static const char *codes_text(struct codes codes, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "AUTH_Failure1 RCODEEX");

	for (size_t i = 0; i < codes.num && len < size; i++) {
		const char *name = nvc_name_of(nvc_rcodeex_names, codes.list[i]);

		len += (size_t)snprintf(out + len, size - len, "%s %02Xh (%s)", i ? " or" : "",
			codes.list[i], name ? name : "?");
	}
	return out;
}

void expect_refused(struct test *t, enum req_id req, struct nvc_auth *auth, struct codes codes)
{
	struct nvc_auth_outcome outcome = {0};
	char text[320], expected[320];

	if (!test_running(t))
		return;
	describe_start(t, auth);
	nvc_auth_run(auth, &outcome);
	nvc_auth_outcome_text(&outcome, text, sizeof(text));
	codes_text(codes, expected, sizeof(expected));
	if (outcome.kind == NVC_OUTCOME_FAILURE1 && code_accepted(codes, outcome.rcodeex))
		test_judged(t, req, "%s", text);
	else if (outcome.kind == NVC_OUTCOME_LOCAL)
		test_error(t, "%s", text);
	else if (outcome.kind == NVC_OUTCOME_ENDED)
		ended_without_failure1(t, outcome.end);
	else if (outcome.kind == NVC_OUTCOME_TIMEOUT)
		unanswered(
			t, req, nvc_queue_info(auth->queue)->host, expected, NVC_E_TIMEOUT, text);
	else
		test_violated(t, req, expected, "%s", text);
}

/* ---- single messages ---- */

static void sent(struct test *t, struct nvc_auth *auth, const char *message, enum nvc_result result,
	const struct nvc_error *err)
{
	test_watch(t, auth->queue);
	if (result != NVC_OK)
		not_reached(t, message, result, err->text);
}

void send_negotiate(struct test *t, struct nvc_auth *auth)
{
	struct nvc_error err = {0};

	if (test_running(t)) {
		test_step(t, "send AUTH_Negotiate");
		sent(t, auth, "AUTH_Negotiate", nvc_auth_send_negotiate(auth, &err), &err);
	}
}

void send_reply(struct test *t, struct nvc_auth *auth)
{
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_step(t, "send Reply");
	result = nvc_auth_send_reply(auth, &err);
	if (result == NVC_E_INVALID) /* the target's doing: its Challenge cannot be computed with */
		test_inconclusive(t, "Reply: %s", err.text);
	else
		sent(t, auth, "Reply", result, &err);
}

void send_success2(struct test *t, struct nvc_auth *auth)
{
	struct nvc_error err = {0};

	if (test_running(t)) {
		test_step(t, "send Success2");
		sent(t, auth, "Success2", nvc_auth_send_success2(auth, &err), &err);
	}
}

void send_failure2(struct test *t, struct nvc_auth *auth, uint8_t rcodeex)
{
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_step(t, "send AUTH_Failure2 RCODEEX %02Xh", rcodeex);
	result = nvc_auth_send_failure2(auth, rcodeex, &err);
	/* The end of the connection is due next, and may overtake the completion. */
	if (result == NVC_E_CLOSED || result == NVC_E_RESET)
		test_completion_lost(t, "AUTH_Failure2: %s", err.text);
	sent(t, auth, "AUTH_Failure2", result, &err);
}

void send_message(struct test *t, struct nvc_auth *auth, struct nvc_slice message)
{
	struct nvc_error err = {0};
	char text[200];

	if (test_running(t)) {
		test_step(t, "send %s", nvc_auth_describe(message, text, sizeof(text)));
		sent(t, auth, "Authentication Send", nvc_auth_send_raw(auth, message, &err), &err);
	}
}

static void receive_needed(
	struct test *t, struct nvc_auth *auth, uint16_t message, struct nvc_auth_received *received)
{
	struct nvc_error err = {0};
	char text[256];
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_watch(t, auth->queue);
	result = nvc_auth_receive(auth, received, &err);
	if (result != NVC_OK)
		not_reached(t, nvc_name_of(nvc_auth_message_names, message), result, err.text);
	else if (received->kind != NVC_RECEIVED_MESSAGE || received->message != message)
		test_inconclusive(t, "%s instead of %s",
			nvc_auth_received_text(received, text, sizeof(text)),
			nvc_name_of(nvc_auth_message_names, message));
	else if (received->rcodeex)
		test_inconclusive(t, "the message cannot be answered: %s", received->complaint);
}

void receive_challenge(struct test *t, struct nvc_auth *auth)
{
	receive_needed(t, auth, NVC_MSG_CHALLENGE, &(struct nvc_auth_received){0});
}

bool take_challenge(struct test *t, struct nvc_auth *auth, struct nvc_challenge *challenge)
{
	struct nvc_auth_received received = {0};

	receive_needed(t, auth, NVC_MSG_CHALLENGE, &received);
	if (test_running(t))
		*challenge = received.challenge;
	return test_running(t);
}

void receive_success1(struct test *t, struct nvc_auth *auth)
{
	receive_needed(t, auth, NVC_MSG_SUCCESS1, &(struct nvc_auth_received){0});
}

bool receive_answer(struct test *t, enum req_id req, struct nvc_auth *auth, const char *expected,
	struct nvc_auth_received *received)
{
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return false;
	test_watch(t, auth->queue);
	result = nvc_auth_receive(auth, received, &err);
	if (result == NVC_E_CLOSED || result == NVC_E_RESET)
		ended_without_failure1(t, nvc_queue_info(auth->queue)->end);
	else if (result != NVC_OK)
		unanswered(t, req, nvc_queue_info(auth->queue)->host, expected, result, err.text);
	return test_running(t);
}

static void expect_message(struct test *t, enum req_id req, struct nvc_auth *auth, uint16_t message)
{
	const char *expected = nvc_name_of(nvc_auth_message_names, message);
	struct nvc_auth_received received = {0};
	struct nvc_error err = {0};
	char text[256];
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_watch(t, auth->queue);
	result = nvc_auth_receive(auth, &received, &err);
	if (result != NVC_OK)
		unanswered(t, req, nvc_queue_info(auth->queue)->host, expected, result, err.text);
	else if (received.kind == NVC_RECEIVED_MESSAGE && received.message == message)
		test_judged(t, req, "%s", nvc_auth_received_text(&received, text, sizeof(text)));
	else
		test_violated(t, req, expected, "%s",
			nvc_auth_received_text(&received, text, sizeof(text)));
}

void expect_challenge(struct test *t, enum req_id req, struct nvc_auth *auth)
{
	expect_message(t, req, auth, NVC_MSG_CHALLENGE);
}

void expect_success1(struct test *t, enum req_id req, struct nvc_auth *auth)
{
	expect_message(t, req, auth, NVC_MSG_SUCCESS1);
}

void expect_failure1(struct test *t, enum req_id req, struct nvc_auth *auth, struct codes codes)
{
	struct nvc_auth_received received = {0};
	struct nvc_error err = {0};
	char text[256], expected[320];
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_watch(t, auth->queue);
	codes_text(codes, expected, sizeof(expected));
	result = nvc_auth_receive(auth, &received, &err);
	if (result == NVC_OK && received.kind == NVC_RECEIVED_MESSAGE &&
		received.message == NVC_MSG_FAILURE1 &&
		code_accepted(codes, received.failure.rcodeex))
		test_judged(t, req, "%s", nvc_auth_received_text(&received, text, sizeof(text)));
	else if (result == NVC_OK)
		test_violated(t, req, expected, "%s",
			nvc_auth_received_text(&received, text, sizeof(text)));
	else if (result == NVC_E_CLOSED || result == NVC_E_RESET)
		ended_without_failure1(t, nvc_queue_info(auth->queue)->end);
	else
		unanswered(t, req, nvc_queue_info(auth->queue)->host, expected, result, err.text);
}

/* ---- secure channels ---- */

void new_tls_psk(struct test *t, struct nvc_host *host, enum nvc_auth_mode mode,
	const struct nvc_auth_offer *offered)
{
	struct nvc_auth_outcome outcome = {0};
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_step(t, "NEWTLSPSK on a connection of its own");
	result =
		nvc_host_new_tls_psk(host, mode, offered ? offered : &concat_offer, &outcome, &err);
	if (result != NVC_OK)
		not_reached(t, "NEWTLSPSK", result, err.text);
	else if (!outcome.has_psk)
		test_inconclusive(
			t, "NEWTLSPSK succeeded with a hash for which no PSK identity is defined");
}

struct nvc_queue *admin_from_newtlspsk(
	struct test *t, struct nvc_host *host, const struct nvc_auth_offer *offered)
{
	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, offered);
	return test_running(t) ? connect_admin_tls(t, host, &host->psk) : NULL;
}

/* Judges the way to an answered Connect over TLS; NULL when it is not open. */
static struct nvc_queue *session(struct test *t, enum req_id req, struct nvc_host *host,
	const struct nvc_queue_options *options)
{
	static const char expected[] = "TLS and Connect succeed under the PSK";
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return NULL;
	test_step(t, "connect over TLS");
	result = nvc_queue_establish(host, options, &queue, &err);
	if (result == NVC_OK) {
		test_watch(t, queue);
		test_judged(t, req, "%s", expected);
	} else if (result == NVC_E_TIMEOUT) {
		unanswered(t, req, host, expected, result, err.text);
	} else if (tester_fault(result)) {
		test_error(t, "%s", err.text);
	} else if (handshake_lost(host, options, result)) {
		test_answer_lost(t, req, expected, "%s, and the next one completed", err.text);
	} else {
		test_violated(t, req, expected, "%s", err.text);
	}
	return queue;
}

struct nvc_queue *expect_admin_tls(
	struct test *t, enum req_id req, struct nvc_host *host, const struct nvc_tls_psk *psk)
{
	return session(t, req, host, &(const struct nvc_queue_options){.tls = psk});
}

void expect_handshake(struct test *t, enum req_id req, struct nvc_host *host,
	const struct nvc_queue_options *options)
{
	(void)session(t, req, host, options);
}

void expect_tls(
	struct test *t, enum req_id req, struct nvc_host *host, const struct nvc_tls_psk *psk)
{
	struct nvc_queue *watched = test_watched(t);

	nvc_queue_free(expect_admin_tls(t, req, host, psk));
	test_watch(t, watched);
}

void expect_no_handshake(struct test *t, enum req_id req, struct nvc_host *host,
	const struct nvc_queue_options *options)
{
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	result = nvc_queue_open(host, options, &queue, &err);
	if (result == NVC_OK) {
		if (!test_watched(t))
			test_watch(t, queue);
		test_violated(t, req, "the TLS handshake does not complete", "it completed");
		return;
	}
	test_turned_away(t, host->open_end);
	if (tester_fault(result))
		test_error(t, "%s", err.text);
	else if (result == NVC_E_TIMEOUT)
		test_inconclusive(
			t, "the handshake was neither completed nor refused: %s", err.text);
	else if (!target_alive(host))
		test_inconclusive(t,
			"the handshake failed, but the target serves nobody else either: %s",
			err.text);
	else
		test_judged(t, req, "the handshake is refused (%s)", nvc_end_name(host->open_end));
}

void expect_no_tls(
	struct test *t, enum req_id req, struct nvc_host *host, const struct nvc_tls_psk *psk)
{
	if (test_running(t))
		test_step(t, "connect over TLS with a PSK that must not work");
	expect_no_handshake(t, req, host, &(const struct nvc_queue_options){.tls = psk});
}

void observe_connection(struct test *t, enum req_id req, struct nvc_host *host, const char *what,
	const char *taken, enum nvc_result result, const char *text)
{
	if (result == NVC_OK)
		test_observed(t, req, "%s is %s", what, taken);
	else if (tester_fault(result))
		test_error(t, "%s", text);
	else if (result == NVC_E_TIMEOUT || !target_alive(host))
		test_inconclusive(t, "%s is neither %s nor refused: %s", what, taken, text);
	else
		test_observed(t, req, "%s is refused", what);
}
