/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ends on one association is no business of another: a target that frees, closes or retires once too often hits what somebody
 * else has in use by then (Base 2.2, 8.3.4.4 and 8.3.4.5; docs/protocol.md 4 and 6.3).
 */
#include "suites/steps.h"

/* Without KATO a transaction has 120 s, else as long as KATO. */
enum { KATO_MS = 10000, WITHOUT_KATO_MS = 120000, LONG_KATO_MS = 600000 };

/* Makes the second host another identity, and leaves it in the middle of a re-authentication, its Reply not yet sent. */
static struct nvc_auth *bystander(struct test *t)
{
	struct nvc_host *other = test_second_host(t);
	struct identity_want want = ORDINARY;
	struct nvc_auth *waiting;

	want.other = true;
	other->kato = LONG_KATO_MS;
	if (test_running(t))
		test_identity(t, other, want);
	waiting = transaction(t, admin_ready(t, other), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	send_negotiate(t, waiting);
	receive_challenge(t, waiting);
	return waiting;
}

static void expect_untouched(struct test *t, struct nvc_auth *waiting)
{
	expect_open(t, REQ_C_184, waiting->queue);
	send_reply(t, waiting);
	expect_success1(t, REQ_C_184, waiting);
	expect_served(t, REQ_C_184, waiting->queue);
}

/* How the transaction of the first host ends, or its connection. */
enum ending { SUCCESS1, SUCCESS2, FAILURE1, FAILURE2, RESET, LOSS };

static const struct case_param endings[] = {{"success1", {SUCCESS1}}, {"success2", {SUCCESS2}},
	{"failure1", {FAILURE1}}, {"failure2", {FAILURE2}}, {"controller-reset", {RESET}},
	{"connection-loss", {LOSS}}, {NULL, {0}}};

static void end(struct test *t, struct nvc_auth *auth, enum ending ending)
{
	struct nvc_error err = {0};

	switch (ending) {
	case SUCCESS1:
	case SUCCESS2:
		authenticate(t, auth);
		return;
	case FAILURE1:
		auth->r1 = NVC_R1_FLIPPED;
		expect_refused(t, REQ_C_135, auth, CODES(NVC_RCODEEX_FAILED));
		expect_closed(t, REQ_C_172, auth->queue);
		return;
	case FAILURE2:
	case RESET:
	case LOSS:
		send_negotiate(t, auth);
		receive_challenge(t, auth);
		break;
	}
	if (ending == FAILURE2) {
		send_failure2(t, auth, NVC_RCODEEX_FAILED);
		expect_closed(t, REQ_C_155, auth->queue);
	} else if (ending == LOSS) {
		leave(t, auth->queue);
	} else if (test_running(t) && nvc_do_reset(auth->queue, &err) != NVC_OK) {
		test_inconclusive(t, "the controller could not be reset: %s", err.text);
	}
}

CASE(other_transaction, .id = "bystander.transaction",
	.title = "The end of one host's transaction or connection does not touch the transaction "
		 "of another host",
	.checks = {REQ_C_184}, .needs = NEED_BIDI, .teardown = TEARDOWN_USABLE, .params = endings)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY_BIDI));
	struct nvc_auth *waiting = bystander(t);

	end(t,
		transaction(t, admin, NVC_SC_C_NOSC,
			param[0] == SUCCESS2 ? NVC_AUTH_BIDIRECTIONAL : NVC_AUTH_UNIDIRECTIONAL),
		(enum ending)param[0]);
	expect_untouched(t, waiting);
	test_watch(t, waiting->queue);
}

/* Which timer of the first host expires. */
enum timer { INITIAL, AGAIN, KEEP_ALIVE };

static const struct case_param timers[] = {{"authentication", {INITIAL}},
	{"re-authentication", {AGAIN}}, {"keep-alive", {KEEP_ALIVE}}, {NULL, {0}}};

CASE(other_timer, .id = "bystander.timer",
	.title = "A timer that expires for one host does not touch the transaction of another host",
	.checks = {REQ_C_184}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .params = timers,
	.slow = true, .timeout_s = 300)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin;
	struct nvc_auth *waiting;

	host->kato = param[0] == INITIAL ? 0 : KATO_MS;
	admin = param[0] == INITIAL ? connect_admin(t, host) : admin_ready(t, host);
	waiting = bystander(t);
	if (param[0] != KEEP_ALIVE)
		send_negotiate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	pass_time(t, param[0] == INITIAL ? WITHOUT_KATO_MS + KATO_MS : 3 * KATO_MS,
		param[0] == AGAIN ? admin : NULL);
	expect_untouched(t, waiting);
	test_watch(t, waiting->queue);
}

static const struct case_param directions[] = {
	{"one-way", {NVC_AUTH_CONCAT_UNI}}, {"two-way", {NVC_AUTH_BIDIRECTIONAL}}, {NULL, {0}}};

CASE(other_psk, .id = "bystander.psk",
	.title = "A replacement on one association leaves the PSK of another association of the "
		 "same host in use",
	.checks = {REQ_C_190}, .needs = NEED_CONCAT | NEED_BIDI, .teardown = TEARDOWN_USABLE,
	.params = directions)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	struct nvc_queue *first = admin_from_newtlspsk(t, host, NULL);
	struct nvc_tls_psk psk = host->psk;
	struct nvc_queue *second = admin_from_newtlspsk(t, host, NULL);

	authenticate(
		t, transaction(t, second, NVC_SC_C_REPLACETLSPSK, (enum nvc_auth_mode)param[0]));
	expect_tls(t, REQ_C_190, host, &psk);
	expect_served(t, REQ_C_184, first);
	test_watch(t, second);
	nvc_secret_wipe(&psk.psk);
}
