/* SPDX-License-Identifier: BSD-3-Clause */
/* Re-authentication of queues that are in use (Base 2.2, 8.3.4.2; docs/protocol.md 4.6). */
#include "suites/steps.h"

CASE(rounds, .id = "reauth.rounds",
	.title = "Five authentications in a row on one queue succeed, and the queue keeps serving",
	.checks = {REQ_C_179, REQ_C_085}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));

	for (int round = 0; round < 5; round++) {
		expect_success(t, REQ_C_179,
			transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
		test_judged(t, REQ_C_085, "AUTH_Negotiate began a re-authentication");
		expect_status(t, REQ_C_179, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
	}
}

CASE(rounds_on_tls, .id = "reauth.rounds-on-tls",
	.title = "Ordinary re-authentications in a row succeed on a TLS queue too",
	.checks = {REQ_C_179}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = admin_from_newtlspsk(t, host_as(t, ORDINARY), NULL);

	enable(t, admin);
	for (int round = 0; round < 3; round++) {
		expect_success(t, REQ_C_179,
			transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
		expect_status(t, REQ_C_179, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
	}
}

CASE(one_after_two, .id = "reauth.one-way-after-two-way",
	.title =
		"A one-way re-authentication after a two-way one is one-way: RVALID=0, no Success2",
	.checks = {REQ_C_180}, .needs = NEED_BIDI, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY_BIDI));
	struct nvc_auth *auth;

	authenticate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL));
	auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	expect_success(t, REQ_C_180, auth);
	expect_true(t, REQ_C_180, auth->r2 == NVC_R2_NOT_ASKED, "RVALID=0", "RVALID=%d",
		auth->r2 != NVC_R2_NOT_ASKED);
	expect_served(t, REQ_C_180, admin);
}

CASE(two_after_one, .id = "reauth.two-way-after-one-way",
	.title = "A two-way re-authentication after a one-way one carries a right R2",
	.checks = {REQ_C_181}, .needs = NEED_BIDI, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY_BIDI));

	authenticate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	expect_success(t, REQ_C_181, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL));
}

/* SHA-256 with ffdhe2048 first, then what is judged: `hash_id` with `dhgid`. */
static void expect_change(struct test *t, int hash_id, int dhgid)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, want_secret(NVC_HASH_SHA256, 32)));
	struct nvc_auth *first = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_auth *second;

	offer(first, NVC_HASH_SHA256, NVC_DH_2048);
	authenticate(t, first);
	second = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	offer(second, hash_id, dhgid);
	expect_success(t, REQ_C_182, second);
}

CASE(other_lists, .id = "reauth.other-algorithms",
	.title = "A re-authentication may offer another hash and group than the one before",
	.checks = {REQ_C_182}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	expect_change(t, NVC_HASH_SHA384, NVC_DH_3072);
}

CASE(null_after_group, .id = "reauth.null-after-group",
	.title = "A re-authentication with the NULL group has nothing of the session key before",
	.checks = {REQ_C_182}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	expect_change(t, NVC_HASH_SHA256, NVC_DH_NULL);
}

CASE(commands_meanwhile, .id = "reauth.commands-meanwhile",
	.title = "Commands are served between the messages of a re-authentication",
	.checks = {REQ_C_178}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	send_negotiate(t, auth);
	expect_status(t, REQ_C_178, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
	receive_challenge(t, auth);
	expect_status(t, REQ_C_178, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
	send_reply(t, auth);
	expect_status(t, REQ_C_178, admin, CMD_KEEP_ALIVE, CODES(NVC_SC_SUCCESS));
	expect_success1(t, REQ_C_178, auth);
}

CASE(failure_ends, .id = "reauth.failure-ends-association",
	.title = "A failed re-authentication on the admin queue ends the I/O queues too",
	.checks = {REQ_C_173}, .needs = NEED_AUTH | NEED_IO, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_queue *io = connect_io(t, admin, 1, NULL);
	struct nvc_auth *auth;

	if (test_running(t) && nvc_queue_info(io)->atr)
		authenticate(t, transaction(t, io, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	auth->r1 = NVC_R1_FLIPPED;
	expect_refused(t, REQ_C_135, auth, CODES(NVC_RCODEEX_FAILED));
	expect_closed(t, REQ_C_173, io);
	test_watch(t, admin);
}

CASE(outstanding, .id = "reauth.failure-ends-outstanding",
	.title = "Commands outstanding when a re-authentication fails end with Operation Denied or "
		 "with the connection",
	.checks = {REQ_C_174}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_completion done = {0};
	struct nvc_error err = {0};
	uint16_t tag = 0;

	if (test_running(t) && nvc_submit_async_event(admin, &tag, NULL) != NVC_OK)
		test_inconclusive(t, "the Asynchronous Event Request could not be sent");
	auth->r1 = NVC_R1_FLIPPED;
	expect_refused(t, REQ_C_135, auth, CODES(NVC_RCODEEX_FAILED));
	if (test_running(t)) {
		const enum nvc_result result =
			nvc_queue_wait(admin, tag, test_end_bound(t), &done, &err);

		expect_denied(t, REQ_C_174, admin, "Asynchronous Event Request", result,
			done.status, &err);
		if (result == NVC_OK)
			expect_true(t, REQ_C_174, done.status == NVC_SC_OPERATION_DENIED,
				"status 015h, or the end of the connection", "status %03Xh",
				done.status);
	}
}

CASE(parallel, .id = "reauth.two-queues-at-once",
	.title = "Authentications on the admin queue and an I/O queue do not disturb each other",
	.checks = {REQ_C_184}, .needs = NEED_AUTH | NEED_IO, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, want_secret(NVC_HASH_SHA256, 32)));
	struct nvc_queue *io = connect_io(t, admin, 1, NULL);
	struct nvc_auth *on_admin, *on_io;

	on_admin = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	on_io = transaction(t, io, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	offer(on_admin, NVC_HASH_SHA256, NVC_DH_2048);
	offer(on_io, NVC_HASH_SHA384, NVC_DH_3072);
	send_negotiate(t, on_admin);
	receive_challenge(t, on_admin);
	send_negotiate(t, on_io);
	receive_challenge(t, on_io);
	send_reply(t, on_admin);
	send_reply(t, on_io);
	expect_success1(t, REQ_C_184, on_admin);
	expect_success1(t, REQ_C_184, on_io);
	expect_served(t, REQ_C_184, io);
	expect_served(t, REQ_C_184, admin);
}

CASE(abandoned, .id = "reauth.abandoned-concat",
	.title = "A concatenation given up by AUTH_Negotiate of a fresh connection leaves nothing "
		 "behind",
	.checks = {REQ_C_185}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *left = connect_admin(t, host);
	struct nvc_queue *admin;

	send_negotiate(t, transaction(t, left, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI));
	leave(t, left);
	admin = connect_admin(t, host);
	expect_success(t, REQ_C_185, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
}
