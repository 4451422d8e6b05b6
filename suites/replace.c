/* SPDX-License-Identifier: BSD-3-Clause */
/* Key replacement: REPLACETLSPSK on the TLS admin queue, again and again (Base 2.2, 8.3.4.4.1; docs/protocol.md 6.3). */
#include "suites/steps.h"

static struct nvc_auth *replacing(struct test *t, struct nvc_queue *admin)
{
	return transaction(t, admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI);
}

/* The same with one hash and one group. */
static struct nvc_auth *replacing_by(struct test *t, struct nvc_queue *admin, const int pair[2])
{
	struct nvc_auth *auth = replacing(t, admin);

	offer(auth, pair[0], pair[1]);
	return auth;
}

CASE(replace_once, .id = "replace.once",
	.title = "REPLACETLSPSK succeeds on a TLS admin queue, and the queue goes on",
	.checks = {REQ_C_204}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE,
	.params = PARAMS_CONCAT_HASH_GROUP)
{
	struct nvc_host *host = host_as(t, want_pair(param[0], param[1]));
	struct nvc_auth_offer one = NVC_OFFER(param[0], param[1]);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, &one);

	expect_success(t, REQ_C_204, replacing_by(t, admin, param));
	expect_tls(t, REQ_C_204, host, &host->psk);
}

CASE(replace_twice, .id = "replace.second",
	.title = "A second REPLACETLSPSK on the same queue succeeds as the first did",
	.checks = {REQ_C_205}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE,
	.params = PARAMS_CONCAT_HASH)
{
	struct nvc_host *host = host_as(t, want_pair(param[0], param[1]));
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	authenticate(t, replacing(t, admin));
	expect_success(t, REQ_C_205, replacing(t, admin));
	expect_tls(t, REQ_C_205, host, &host->psk);
}

/* {rounds, hash, group} */
static const struct case_param rounds[] = {{"3", {3, NVC_HASH_SHA256, NVC_DH_2048}},
	{"3/sha384/ffdhe3072", {3, NVC_HASH_SHA384, NVC_DH_3072}},
	{"3/sha256/ffdhe4096", {3, NVC_HASH_SHA256, NVC_DH_4096}},
	{"3/sha384/ffdhe6144", {3, NVC_HASH_SHA384, NVC_DH_6144}},
	{"3/sha256/ffdhe8192", {3, NVC_HASH_SHA256, NVC_DH_8192}},
	{"10", {10, NVC_HASH_SHA256, NVC_DH_2048}}, {NULL, {0}}};

CASE(replace_repeats, .id = "replace.repeats",
	.title = "REPLACETLSPSK succeeds as often as the host asks for it, each PSK new",
	.checks = {REQ_C_205}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE, .params = rounds)
{
	struct nvc_host *host = host_as(t, want_pair(param[1], param[2]));
	struct nvc_auth_offer one = NVC_OFFER(param[1], param[2]);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, &one);

	authenticate(t, replacing_by(t, admin, param + 1));
	for (int round = 2; round <= param[0]; round++)
		expect_success(t, REQ_C_205, replacing_by(t, admin, param + 1));
	expect_true(t, REQ_C_205,
		!nvc_secret_equal(nvc_secret_slice(&host->psk.psk),
			nvc_secret_slice(&host->previous_psk.psk)),
		"each replacement yields another PSK", "the last two PSKs differ");
	expect_tls(t, REQ_C_205, host, &host->psk);
	expect_served(t, REQ_C_205, admin);
}

CASE(new_psk, .id = "replace.new-psk-works",
	.title = "After each of three replacements new connections work under the new PSK",
	.checks = {REQ_C_204, REQ_C_205}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	for (int round = 1; round <= 3; round++) {
		if (round == 1)
			authenticate(t, replacing(t, admin));
		else
			expect_success(t, REQ_C_205, replacing(t, admin));
		expect_tls(t, REQ_C_204, host, &host->psk);
	}
}

CASE(old_psk, .id = "replace.old-psk-retired",
	.title = "After a replacement new connections under the old PSK are refused",
	.checks = {REQ_C_206}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	authenticate(t, replacing(t, admin));
	expect_no_tls(t, REQ_C_206, host, &host->previous_psk);
	test_watch(t, admin);
}

CASE(old_psk_each, .id = "replace.old-psk-retired-each-time",
	.title = "After each of three replacements the PSK before it is refused, and the new one "
		 "works",
	.checks = {REQ_C_206, REQ_C_205}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	authenticate(t, replacing(t, admin));
	for (int round = 1; round <= 3; round++) {
		expect_tls(t, REQ_C_205, host, &host->psk);
		expect_no_tls(t, REQ_C_206, host, &host->previous_psk);
		if (round < 3)
			expect_success(t, REQ_C_205, replacing(t, admin));
	}
}

CASE(replace_queue_lives, .id = "replace.queue-keeps-serving",
	.title = "Admin and I/O commands on running TLS sessions go on through a replacement",
	.checks = {REQ_C_204, REQ_C_178}, .needs = NEED_CONCAT | NEED_IO,
	.teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);
	struct nvc_queue *io;
	struct nvc_auth *auth;

	enable(t, admin);
	io = connect_io(t, admin, 1, &host->psk);
	auth = replacing(t, admin);
	expect_served(t, REQ_C_202, io);
	send_negotiate(t, auth);
	expect_status(t, REQ_C_178, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
	expect_served(t, REQ_C_178, io);
	receive_challenge(t, auth);
	expect_status(t, REQ_C_178, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
	send_reply(t, auth);
	expect_success1(t, REQ_C_204, auth);
	expect_served(t, REQ_C_204, io);
	expect_served(t, REQ_C_204, admin);
}

CASE(replace_io_psk, .id = "replace.io-queue-under-new-psk",
	.title = "An I/O queue opened after a replacement works under the new PSK",
	.checks = {REQ_C_202, REQ_C_204}, .needs = NEED_CONCAT | NEED_IO,
	.teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	enable(t, admin);
	authenticate(t, replacing(t, admin));
	expect_io(t, REQ_C_202, admin, 1, &host->psk);
	expect_served(t, REQ_C_204, admin);
}

CASE(replace_bidi, .id = "replace.two-way",
	.title = "REPLACETLSPSK with authentication of the controller yields a usable PSK",
	.checks = {REQ_C_207}, .needs = NEED_CONCAT | NEED_BIDI, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	expect_success(t, REQ_C_207,
		transaction(t, admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_BIDIRECTIONAL));
	expect_tls(t, REQ_C_207, host, &host->psk);
	test_watch(t, admin);
}

CASE(replace_bidi_again, .id = "replace.after-two-way",
	.title = "After a two-way REPLACETLSPSK the next one succeeds too, and the first PSK is "
		 "retired, as is the second",
	.checks = {REQ_C_205, REQ_C_206}, .needs = NEED_CONCAT | NEED_BIDI,
	.teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);
	struct nvc_tls_psk first = host->psk;

	authenticate(t, transaction(t, admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_BIDIRECTIONAL));
	expect_success(t, REQ_C_205, replacing(t, admin));
	expect_tls(t, REQ_C_205, host, &host->psk);
	expect_no_tls(t, REQ_C_206, host, &first);
	expect_no_tls(t, REQ_C_206, host, &host->previous_psk);
	test_watch(t, admin);
	nvc_secret_wipe(&first.psk);
}

CASE(replace_failed, .id = "replace.wrong-response",
	.title = "A REPLACETLSPSK with a wrong response ends the association",
	.checks = {REQ_C_208}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth = replacing(t, admin_from_newtlspsk(t, host, NULL));

	auth->r1 = NVC_R1_FLIPPED;
	expect_refused(t, REQ_C_208, auth, CODES(NVC_RCODEEX_FAILED));
}

CASE(replace_failed_io, .id = "replace.wrong-response-ends-io",
	.title = "A failed REPLACETLSPSK ends the I/O queues of the association too",
	.checks = {REQ_C_173, REQ_C_208}, .needs = NEED_CONCAT | NEED_IO,
	.teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);
	struct nvc_queue *io;
	struct nvc_auth *auth = replacing(t, admin);

	enable(t, admin);
	io = connect_io(t, admin, 1, &host->psk);
	auth->r1 = NVC_R1_FLIPPED;
	expect_refused(t, REQ_C_208, auth, CODES(NVC_RCODEEX_FAILED));
	expect_closed(t, REQ_C_173, io);
}

static void note_old_psk(struct test *t, struct nvc_host *host)
{
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	result = nvc_host_admin_over_tls(host, NULL, &queue, &err);
	observe_connection(
		t, REQ_C_209, host, "a connection under the old PSK", "served", result, err.text);
}

CASE(failed_then_old, .id = "replace.old-psk-after-failure",
	.title = "What the old PSK is worth after a failed replacement is on record",
	.checks = {REQ_C_209}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth = replacing(t, admin_from_newtlspsk(t, host, NULL));

	auth->r1 = NVC_R1_FLIPPED;
	expect_refused(t, REQ_C_208, auth, CODES(NVC_RCODEEX_FAILED));
	note_old_psk(t, host);
}

CASE(given_up_then_old, .id = "replace.old-psk-after-failure2",
	.title = "What the old PSK is worth after AUTH_Failure2 in a replacement is on record",
	.checks = {REQ_C_209}, .needs = NEED_CONCAT | NEED_BIDI)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	struct nvc_auth *auth = transaction(t, admin_from_newtlspsk(t, host, NULL),
		NVC_SC_C_REPLACETLSPSK, NVC_AUTH_BIDIRECTIONAL);

	send_negotiate(t, auth);
	receive_challenge(t, auth);
	send_reply(t, auth);
	receive_success1(t, auth);
	send_failure2(t, auth, NVC_RCODEEX_FAILED);
	expect_closed(t, REQ_C_155, auth->queue);
	note_old_psk(t, host);
}

CASE(failed_then_again, .id = "replace.after-failed-replace",
	.title = "After a failed replacement a new association can replace its key again",
	.checks = {REQ_C_185, REQ_C_204}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *failing = replacing(t, admin_from_newtlspsk(t, host, NULL));
	struct nvc_queue *again;

	failing->r1 = NVC_R1_FLIPPED;
	expect_refused(t, REQ_C_208, failing, CODES(NVC_RCODEEX_FAILED));
	again = admin_from_newtlspsk(t, host, NULL);
	expect_served(t, REQ_C_185, again);
	expect_success(t, REQ_C_204, replacing(t, again));
	expect_success(t, REQ_C_205, replacing(t, again));
}

CASE(failed_psk, .id = "replace.failed-psk-unusable",
	.title = "The PSK of a failed replacement opens nothing", .checks = {REQ_C_193},
	.needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth = replacing(t, admin_from_newtlspsk(t, host, NULL));
	struct nvc_tls_psk psk = {.hash_id = 0};
	struct nvc_error err = {0};

	auth->r1 = NVC_R1_FLIPPED;
	expect_refused(t, REQ_C_208, auth, CODES(NVC_RCODEEX_FAILED));
	if (test_running(t) && nvc_auth_tls_psk(auth, NVC_KDF_RFC8446, &psk, &err) != NVC_OK)
		test_error(t, "%s", err.text);
	expect_no_tls(t, REQ_C_193, host, &psk);
	test_watch(t, auth->queue);
}

CASE(replace_after_reconnect, .id = "replace.after-reconnect",
	.title = "A queue opened under a replaced PSK can replace it again",
	.checks = {REQ_C_204, REQ_C_205}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	authenticate(t, replacing(t, admin));
	leave(t, admin);
	admin = connect_admin_tls(t, host, &host->psk);
	expect_success(t, REQ_C_204, replacing(t, admin));
	expect_success(t, REQ_C_205, replacing(t, admin));
	expect_tls(t, REQ_C_204, host, &host->psk);
}

CASE(replace_after_nosc, .id = "replace.after-plain-reauthentication",
	.title = "An ordinary re-authentication on the TLS queue does not take away the right to "
		 "replace the key",
	.checks = {REQ_C_205}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	authenticate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	expect_success(t, REQ_C_205, replacing(t, admin));
}

CASE(replace_in_clear, .id = "replace.in-clear",
	.title = "REPLACETLSPSK on a queue without TLS is a concatenation mismatch",
	.checks = {REQ_C_113}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);

	expect_refused(t, REQ_C_113, replacing(t, connect_admin(t, host)),
		CODES(NVC_RCODEEX_CONCAT_MISMATCH));
}

CASE(replace_after_new, .id = "replace.in-clear-after-newtlspsk",
	.title = "REPLACETLSPSK right after NEWTLSPSK on the same queue in clear is a "
		 "concatenation mismatch",
	.checks = {REQ_C_113}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = connect_admin(t, host);

	authenticate(t, transaction(t, admin, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI));
	expect_refused(t, REQ_C_113, replacing(t, admin), CODES(NVC_RCODEEX_CONCAT_MISMATCH));
}

CASE(replace_on_io, .id = "replace.on-io-queue",
	.title = "REPLACETLSPSK on an I/O queue is a concatenation mismatch", .checks = {REQ_C_210},
	.needs = NEED_CONCAT | NEED_IO, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	enable(t, admin);
	expect_refused(t, REQ_C_210, replacing(t, connect_io(t, admin, 1, &host->psk)),
		CODES(NVC_RCODEEX_CONCAT_MISMATCH));
}

CASE(replace_null, .id = "replace.null-group",
	.title = "REPLACETLSPSK that offers the NULL group is refused: a PSK needs Diffie-Hellman",
	.checks = {REQ_C_115}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth = replacing(t, admin_from_newtlspsk(t, host, NULL));

	offer(auth, NVC_HASH_SHA256, NVC_DH_NULL);
	expect_refused(t, REQ_C_115, auth, CODES(NVC_RCODEEX_DHGROUP));
}

CASE(replace_no_c2, .id = "replace.without-c2",
	.title = "REPLACETLSPSK without a valid C2 is refused", .checks = {REQ_C_194},
	.needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth = replacing(t, admin_from_newtlspsk(t, host, NULL));

	auth->mode = NVC_AUTH_UNIDIRECTIONAL;
	expect_refused(t, REQ_C_194, auth, CODES(NVC_RCODEEX_FAILED, NVC_RCODEEX_PAYLOAD));
}
