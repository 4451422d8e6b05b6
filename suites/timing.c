/* SPDX-License-Identifier: BSD-3-Clause */
/* Timers: of the authentication, of re-authentication, of the association (docs/protocol.md 4.5). */
#include "suites/steps.h"

enum { KATO_MS = 10000, SMALL_KATO_MS = 1000, WITHOUT_KATO_MS = 120000 };

/* How far a host comes before it falls silent. */
enum silence {
	SILENT_AT_ONCE,
	SILENT_AFTER_NEGOTIATE,
	SILENT_AFTER_CHALLENGE,
	SILENT_AFTER_SUCCESS1
};

/* {how far, KATO in ms; 0: none, so that the timer of the authentication is the only one} */
static const struct case_param silences[] = {{"at-once", {SILENT_AT_ONCE, 0}},
	{"after-negotiate", {SILENT_AFTER_NEGOTIATE, 0}},
	{"after-challenge", {SILENT_AFTER_CHALLENGE, 0}},
	{"before-success2", {SILENT_AFTER_SUCCESS1, 0}},
	{"kato-10-s/at-once", {SILENT_AT_ONCE, KATO_MS}},
	{"kato-10-s/after-challenge", {SILENT_AFTER_CHALLENGE, KATO_MS}},
	{"kato-10-s/before-success2", {SILENT_AFTER_SUCCESS1, KATO_MS}},
	{"kato-1-s/at-once", {SILENT_AT_ONCE, SMALL_KATO_MS}},
	{"kato-1-s/after-challenge", {SILENT_AFTER_CHALLENGE, SMALL_KATO_MS}}, {NULL, {0}}};

CASE(initial, .id = "timing.initial-authentication",
	.title = "An initial authentication that is not finished in time ends the connection, and "
		 "not before that",
	.checks = {REQ_C_175}, .needs = NEED_ATR | NEED_BIDI, .slow = true, .timeout_s = 300,
	.params = silences)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	const struct nvc_env *env = &host->world->env;
	const uint64_t timer = NVC_MS(param[1] ? (uint64_t)param[1] : WITHOUT_KATO_MS);
	/* The timer begins with Connect or later; a tenth is for clocks that differ. */
	const uint64_t early = nvc_env_now(env) + timer / 10 * 9;
	struct nvc_queue *admin;
	struct nvc_auth *auth;
	enum nvc_end end = NVC_END_OPEN;

	host->kato = (uint32_t)param[1];
	admin = connect_admin(t, host);
	auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL);
	if (param[0] >= SILENT_AFTER_NEGOTIATE)
		send_negotiate(t, auth);
	if (param[0] >= SILENT_AFTER_CHALLENGE)
		receive_challenge(t, auth);
	if (param[0] >= SILENT_AFTER_SUCCESS1) {
		send_reply(t, auth);
		receive_success1(t, auth);
	}
	if (nvc_env_now(env) < early) {
		pass_time(t, (early - nvc_env_now(env)) / NVC_MS(1), NULL);
		expect_open(t, REQ_C_175, admin);
	}
	if (test_running(t))
		expect_true(t, REQ_C_175,
			nvc_queue_await_end(admin, 2 * timer + NVC_SEC(5), &end, NULL) == NVC_OK,
			"the end of the connection within twice KATO, or 120 s without one", "%s",
			nvc_end_name(end));
}

CASE(reauth, .id = "timing.reauthentication",
	.title = "A re-authentication that is not finished in time leaves the queue in use",
	.checks = {REQ_C_176}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .slow = true,
	.timeout_s = 90)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin;

	host->kato = KATO_MS;
	admin = admin_ready(t, host);
	send_negotiate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	expect_kept(t, REQ_C_176, 2 * KATO_MS, admin);
	expect_status(t, REQ_C_176, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
}

CASE(late, .id = "timing.late-reply",
	.title = "A Reply that comes after the re-authentication has expired is a command sequence "
		 "error",
	.checks = {REQ_C_177}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .slow = true,
	.timeout_s = 90)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin;
	struct nvc_auth *auth;

	host->kato = KATO_MS;
	admin = admin_ready(t, host);
	auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	send_negotiate(t, auth);
	receive_challenge(t, auth);
	pass_time(t, 2 * KATO_MS, admin);
	send_reply(t, auth);
	expect_auth_status(t, REQ_C_177, auth, CODES(NVC_SC_COMMAND_SEQUENCE));
}

CASE(replace_expired, .id = "timing.replace-expired",
	.title = "A REPLACETLSPSK that expires leaves the old PSK and the queue in use",
	.checks = {REQ_C_176}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE, .slow = true,
	.timeout_s = 90)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin;

	host->kato = KATO_MS;
	admin = admin_from_newtlspsk(t, host, NULL);
	enable(t, admin);
	send_negotiate(t, transaction(t, admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI));
	pass_time(t, 2 * KATO_MS, admin);
	expect_tls(t, REQ_C_176, host, &host->psk);
	expect_success(
		t, REQ_C_205, transaction(t, admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI));
}

CASE(kato, .id = "timing.keep-alive-expires",
	.title = "Without Keep Alive the association ends when KATO has passed",
	.checks = {REQ_C_069}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED, .slow = true,
	.timeout_s = 90)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin;
	enum nvc_end end = NVC_END_OPEN;

	host->kato = KATO_MS;
	admin = admin_ready(t, host);
	if (test_running(t))
		expect_true(t, REQ_C_069,
			nvc_queue_await_end(admin, NVC_MS(3 * KATO_MS), &end, NULL) == NVC_OK,
			"the end of the connection within three times KATO", "%s",
			nvc_end_name(end));
}

CASE(kato_max, .id = "timing.kato-maximum",
	.title = "The largest KATO does not make a transaction expire at once",
	.checks = {REQ_C_130}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth;

	host->kato = UINT32_MAX;
	auth = transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	send_negotiate(t, auth);
	receive_challenge(t, auth);
	pass_time(t, 500, NULL);
	expect_open(t, REQ_C_130, auth->queue);
	send_reply(t, auth);
	expect_success1(t, REQ_C_130, auth);
}

CASE(closed_before, .id = "timing.closed-before-expiry",
	.title = "The timer of a transaction whose connection is gone does no harm",
	.checks = {REQ_N_002}, .needs = NEED_AUTH, .slow = true, .timeout_s = 90)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin;

	host->kato = KATO_MS;
	admin = connect_admin(t, host);
	send_negotiate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	leave(t, admin);
	pass_time(t, 2 * KATO_MS, NULL);
	expect_new_association(t, REQ_N_002, host);
}
