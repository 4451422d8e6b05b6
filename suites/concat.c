/* SPDX-License-Identifier: BSD-3-Clause */
/* Secure channel concatenation: NEWTLSPSK in clear, then TLS under the generated PSK (Base 2.2, 8.3.4.4.1; docs/protocol.md 6.2). */
#include <string.h>

#include "suites/pdu_steps.h"

CASE(new_psk, .id = "concat.new",
	.title = "NEWTLSPSK yields a PSK under which TLS, Connect and commands work",
	.checks = {REQ_C_190, REQ_C_195, REQ_C_196}, .needs = NEED_CONCAT,
	.teardown = TEARDOWN_USABLE, .params = PARAMS_CONCAT_HASH_GROUP)
{
	struct nvc_host *host = host_as(t, want_pair(param[0], param[1]));
	struct nvc_queue *admin = connect_admin(t, host);
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);

	offer(auth, param[0], param[1]);
	expect_success(t, REQ_C_190, auth);
	expect_true(t, REQ_C_195, auth->dhgid != NVC_DH_NULL, "a group other than NULL",
		"group %02Xh", auth->dhgid);
	leave(t, admin);
	admin = expect_admin_tls(t, REQ_C_190, host, &host->psk);
	test_judged(t, REQ_C_196, "TLS under the identity of hash %02Xh", host->psk.hash_id);
	enable(t, admin);
	expect_status(t, REQ_C_190, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
}

CASE(new_two_way, .id = "concat.new-two-way",
	.title = "NEWTLSPSK with authentication of the controller yields a usable PSK",
	.checks = {REQ_C_191}, .needs = NEED_CONCAT | NEED_BIDI, .params = PARAMS_CONCAT_HASH)
{
	struct nvc_host *host = host_as(t, want_both_ways(param[0], param[1]));
	struct nvc_queue *admin = connect_admin(t, host);

	expect_success(
		t, REQ_C_132, transaction(t, admin, NVC_SC_C_NEWTLSPSK, NVC_AUTH_BIDIRECTIONAL));
	leave(t, admin);
	expect_tls(t, REQ_C_191, host, &host->psk);
}

CASE(data, .id = "concat.data",
	.title = "Data is read on an I/O queue over TLS under the generated PSK",
	.checks = {REQ_C_202}, .needs = NEED_CONCAT | NEED_IO, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	enable(t, admin);
	expect_io(t, REQ_C_202, admin, 1, &host->psk);
}

CASE(clear_io, .id = "concat.clear-io-queue",
	.title = "Whether an I/O queue in clear may join a TLS association is on record",
	.checks = {REQ_C_203}, .needs = NEED_CONCAT | NEED_IO)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);
	const struct nvc_queue_options options = {.qid = 1, .admin = admin};
	struct nvc_completion done = {0};
	struct nvc_error err = {0};
	struct nvc_queue *io;

	enable(t, admin);
	io = initialised_queue(t, host, &options);
	if (test_running(t)) {
		const enum nvc_result result = nvc_queue_connect(io, &options, &done, &err);

		if (result == NVC_E_TIMEOUT)
			test_inconclusive(t, "neither connected nor refused: %s", err.text);
		expect_denied(t, REQ_C_203, io, "Connect of an I/O queue in clear", result,
			done.status, &err);
	}
}

CASE(connect_after_tls, .id = "concat.connect-over-tls",
	.title = "Connect over TLS under a generated PSK does not ask for concatenation again",
	.checks = {REQ_C_058}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	if (test_running(t))
		expect_true(t, REQ_C_058, !nvc_queue_info(admin)->ascr, "ASCR=0 over TLS",
			"ATR=%d ASCR=%d", nvc_queue_info(admin)->atr, nvc_queue_info(admin)->ascr);
}

CASE(wrong_identity_hash, .id = "concat.identity.other-hash",
	.title = "The identity of the other hash does not open a TLS session",
	.checks = {REQ_C_197}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_psk psk;

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	psk = host->psk;
	psk.identity[7] = '2'; /* NVMe1G01 -> NVMe1G02 */
	expect_no_tls(t, REQ_C_197, host, &psk);
}

static const struct case_param bent_identities[] = {
	{"one-character", {0}}, {"truncated", {1}}, {"extended", {2}}, {NULL, {0}}};

CASE(bent_identity, .id = "concat.identity.bent",
	.title = "An identity that is not exactly the generated one does not open a TLS session",
	.checks = {REQ_C_198}, .needs = NEED_CONCAT, .params = bent_identities)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_psk psk;
	size_t len;

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	psk = host->psk;
	len = strlen(psk.identity);
	if (test_running(t) && len > 60 && len < sizeof(psk.identity) - 2) {
		switch (param[0]) {
		case 0:
			psk.identity[len - 10] = psk.identity[len - 10] == 'A' ? 'B' : 'A';
			break;
		case 1:
			psk.identity[len - 4] = '\0';
			break;
		default:
			strcpy(psk.identity + len, "A");
		}
	}
	expect_no_tls(t, REQ_C_198, host, &psk);
}

CASE(foreign_identity, .id = "concat.identity.other-host",
	.title = "The PSK of one host does not open a TLS session in another host's name",
	.checks = {REQ_C_199}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_psk psk;
	char *name;

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	psk = host->psk;
	name = strstr(psk.identity, "nqn.");
	if (name)
		name[4] = name[4] == '1' ? '3' : '1';
	expect_no_tls(t, REQ_C_199, host, &psk);
}

CASE(wrong_psk, .id = "concat.wrong-psk",
	.title = "The right identity with another PSK does not open a TLS session",
	.checks = {REQ_C_223}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_psk psk;

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	psk = host->psk;
	psk.psk.data[0] ^= 1;
	expect_no_tls(t, REQ_C_223, host, &psk);
	nvc_secret_wipe(&psk.psk);
}

CASE(unfinished, .id = "concat.psk-before-reply",
	.title = "Before a Reply was accepted there is no PSK that opens a TLS session",
	.checks = {REQ_C_193}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);
	struct nvc_tls_psk psk = {.hash_id = 0};
	struct nvc_error err = {0};

	auth->r1 = NVC_R1_FLIPPED;
	expect_refused(t, REQ_C_135, auth, CODES(NVC_RCODEEX_FAILED));
	if (test_running(t) && nvc_auth_tls_psk(auth, NVC_KDF_RFC8446, &psk, &err) != NVC_OK)
		test_error(t, "%s", err.text);
	expect_no_tls(t, REQ_C_193, host, &psk);
	test_watch(t, auth->queue);
}

CASE(before_success1, .id = "concat.psk-before-success1",
	.title = "The PSK of a one-way NEWTLSPSK is usable when Success1 was read, and not before",
	.checks = {REQ_C_192, REQ_C_190}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);
	struct nvc_tls_psk psk = {.hash_id = 0};
	struct nvc_error err = {0};

	send_negotiate(t, auth);
	receive_challenge(t, auth);
	send_reply(t, auth);
	if (test_running(t) && nvc_auth_tls_psk(auth, NVC_KDF_RFC8446, &psk, &err) != NVC_OK)
		test_error(t, "%s", err.text);
	expect_no_tls(t, REQ_C_192, host, &psk);
	receive_success1(t, auth);
	expect_tls(t, REQ_C_190, host, &psk);
	nvc_secret_wipe(&psk.psk);
}

CASE(before_success2, .id = "concat.psk-before-success2",
	.title = "In a two-way NEWTLSPSK the PSK is not usable before Success2",
	.checks = {REQ_C_192}, .needs = NEED_CONCAT | NEED_BIDI)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_BIDIRECTIONAL);
	struct nvc_tls_psk psk = {.hash_id = 0};
	struct nvc_error err = {0};

	send_negotiate(t, auth);
	receive_challenge(t, auth);
	send_reply(t, auth);
	receive_success1(t, auth);
	if (test_running(t) && nvc_auth_tls_psk(auth, NVC_KDF_RFC8446, &psk, &err) != NVC_OK)
		test_error(t, "%s", err.text);
	expect_no_tls(t, REQ_C_192, host, &psk);
}

CASE(after_failure2, .id = "concat.psk-after-failure2",
	.title = "A two-way NEWTLSPSK that the host ends by AUTH_Failure2 leaves no usable PSK",
	.checks = {REQ_C_193}, .needs = NEED_CONCAT | NEED_BIDI, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_BIDIRECTIONAL);
	struct nvc_tls_psk psk = {.hash_id = 0};
	struct nvc_error err = {0};

	send_negotiate(t, auth);
	receive_challenge(t, auth);
	send_reply(t, auth);
	receive_success1(t, auth);
	send_failure2(t, auth, NVC_RCODEEX_FAILED);
	if (test_running(t) && nvc_auth_tls_psk(auth, NVC_KDF_RFC8446, &psk, &err) != NVC_OK)
		test_error(t, "%s", err.text);
	expect_no_tls(t, REQ_C_193, host, &psk);
	test_watch(t, auth->queue);
	nvc_secret_wipe(&psk.psk);
}

CASE(new_over_tls, .id = "concat.new-over-tls",
	.title = "NEWTLSPSK on a queue that has TLS is a concatenation mismatch",
	.checks = {REQ_C_114}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	expect_refused(t, REQ_C_114, transaction(t, admin, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI),
		CODES(NVC_RCODEEX_CONCAT_MISMATCH));
}

CASE(new_over_tls_later, .id = "concat.new-over-tls-after-replace",
	.title = "NEWTLSPSK stays a mismatch on a TLS queue after its key was replaced",
	.checks = {REQ_C_114}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	authenticate(t, transaction(t, admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI));
	expect_refused(t, REQ_C_114, transaction(t, admin, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI),
		CODES(NVC_RCODEEX_CONCAT_MISMATCH));
}

CASE(new_on_io, .id = "concat.new-on-io-queue",
	.title = "NEWTLSPSK on an I/O queue is a concatenation mismatch", .checks = {REQ_C_112},
	.needs = NEED_CONCAT | NEED_IO, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_ready(t, host);

	expect_refused(t, REQ_C_112,
		transaction(
			t, connect_io(t, admin, 1, NULL), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI),
		CODES(NVC_RCODEEX_CONCAT_MISMATCH));
}

static const struct case_param reserved_sc_c[] = {
	{"01h", {0x01}}, {"04h", {0x04}}, {"ffh", {0xff}}, {NULL, {0}}};

CASE(reserved, .id = "concat.reserved-sc-c", .title = "A reserved SC_C is a concatenation mismatch",
	.checks = {REQ_C_110}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = reserved_sc_c)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);

	auth->sc_c = (uint8_t)param[0];
	expect_refused(t, REQ_C_110, auth, CODES(NVC_RCODEEX_CONCAT_MISMATCH));
}

CASE(null_alone, .id = "concat.null-group",
	.title =
		"NEWTLSPSK that offers the NULL group alone is refused: a PSK needs Diffie-Hellman",
	.checks = {REQ_C_115}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);

	offer(auth, NVC_HASH_SHA256, NVC_DH_NULL);
	expect_refused(t, REQ_C_115, auth, CODES(NVC_RCODEEX_DHGROUP));
}

CASE(null_among, .id = "concat.null-group-among-others",
	.title = "NEWTLSPSK with the NULL group among others is refused", .checks = {REQ_C_115},
	.needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);

	auth->offer = (struct nvc_auth_offer){1, 2, {NVC_HASH_SHA256}, {NVC_DH_2048, NVC_DH_NULL}};
	expect_refused(t, REQ_C_115, auth, CODES(NVC_RCODEEX_DHGROUP));
}

CASE(no_c2, .id = "concat.without-c2", .title = "NEWTLSPSK without a valid C2 is refused",
	.checks = {REQ_C_194}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);

	auth->mode = NVC_AUTH_UNIDIRECTIONAL;
	expect_refused(t, REQ_C_194, auth, CODES(NVC_RCODEEX_FAILED, NVC_RCODEEX_PAYLOAD));
}

CASE(sha512, .id = "concat.sha512",
	.title = "What a target makes of NEWTLSPSK with SHA-512 alone, for which no identity "
		 "exists, is on record",
	.checks = {REQ_C_201}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, want_pair(NVC_HASH_SHA512, NVC_DH_2048));
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);
	struct nvc_auth_outcome outcome = {0};
	char text[320];

	offer(auth, NVC_HASH_SHA512, NVC_DH_2048);
	if (test_running(t))
		nvc_auth_run(auth, &outcome);
	expect_true(t, REQ_C_201,
		outcome.kind == NVC_OUTCOME_FAILURE1 &&
			(outcome.rcodeex == NVC_RCODEEX_HASH ||
				outcome.rcodeex == NVC_RCODEEX_CONCAT_MISMATCH),
		"AUTH_Failure1 04h or 03h: the PSK could not be used", "%s",
		nvc_auth_outcome_text(&outcome, text, sizeof(text)));
}

CASE(sc_c_in_r1, .id = "concat.sc-c-in-r1",
	.title = "R1 covers the SC_C of the Negotiate: one computed for NOSC is refused",
	.checks = {REQ_C_135}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);

	auth->r1 = NVC_R1_OTHER_SC_C;
	auth->r1_sc_c = NVC_SC_C_NOSC;
	expect_refused(t, REQ_C_135, auth, CODES(NVC_RCODEEX_FAILED));
}

CASE(sc_c_in_r2, .id = "concat.sc-c-in-r2",
	.title = "R2 of a two-way NEWTLSPSK covers the SC_C of the Negotiate",
	.checks = {REQ_C_132}, .needs = NEED_CONCAT | NEED_BIDI)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);

	expect_success(t, REQ_C_132,
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_BIDIRECTIONAL));
}

CASE(nosc_on_tls, .id = "concat.plain-reauthentication-on-tls",
	.title = "An ordinary one-way re-authentication works on a TLS queue after a concatenation",
	.checks = {REQ_C_211}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	expect_success(t, REQ_C_211, auth);
}

CASE(nosc_on_io, .id = "concat.plain-authentication-on-io-queue",
	.title = "An I/O queue can authenticate with NOSC after a concatenation on the admin queue",
	.checks = {REQ_C_212}, .needs = NEED_CONCAT | NEED_IO, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);
	struct nvc_queue *io;

	enable(t, admin);
	io = connect_io(t, admin, 1, &host->psk);
	expect_success(t, REQ_C_212, transaction(t, io, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
}

CASE(keep_alive, .id = "concat.commands-during-replace",
	.title = "A TLS queue that needs no authentication is not asked for one during "
		 "REPLACETLSPSK",
	.checks = {REQ_C_213}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	enable(t, admin);
	if (test_running(t) && nvc_queue_info(admin)->atr)
		test_skip(t, "the target asks for authentication on the TLS queue as well");
	send_negotiate(t, transaction(t, admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI));
	expect_status(t, REQ_C_213, admin, CMD_KEEP_ALIVE, CODES(NVC_SC_SUCCESS));
}

CASE(after_close, .id = "concat.reconnect",
	.title = "After the TLS association was left, the PSK opens the next one",
	.checks = {REQ_C_190}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);

	leave(t, admin);
	expect_tls(t, REQ_C_190, host, &host->psk);
}

CASE(clear_afterwards, .id = "concat.clear-queue-afterwards",
	.title = "Whether the queue in clear serves commands after NEWTLSPSK is on record",
	.checks = {REQ_N_022}, .needs = NEED_CONCAT)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));
	struct nvc_completion done = {0};
	enum nvc_result result;

	authenticate(t, transaction(t, admin, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI));
	if (!test_running(t))
		return;
	result = nvc_queue_usable(admin, 0, &done, NULL);
	test_observed(t, REQ_N_022, "Property Get in clear: %s, status %03Xh %s",
		nvc_result_name(result), done.status, nvc_status_name(done.status));
}

CASE(no_stray_psk, .id = "concat.no-psk-without-concatenation",
	.title = "An authentication with NOSC makes no PSK, after a concatenation either",
	.checks = {REQ_N_023}, .needs = NEED_CONCAT | NEED_BIDI)
{
	struct nvc_host *host = host_as(t, ORDINARY_BIDI);
	struct nvc_queue *admin = connect_admin(t, host);
	struct nvc_auth *auth;
	struct nvc_tls_psk stray = {0};
	struct nvc_error err = {0};

	authenticate(t, transaction(t, admin, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI));
	auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL);
	offer(auth, NVC_HASH_SHA256, NVC_DH_2048);
	authenticate(t, auth);
	if (test_running(t) && nvc_auth_tls_psk(auth, NVC_KDF_RFC8446, &stray, &err) != NVC_OK)
		test_error(t, "%s", err.text);
	leave(t, admin);
	expect_no_tls(t, REQ_N_023, host, &stray);
	expect_tls(t, REQ_C_190, host, &host->psk);
	nvc_secret_wipe(&stray.psk);
}
