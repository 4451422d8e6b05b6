/* SPDX-License-Identifier: BSD-3-Clause */
/* What is left behind by many authentications. The in-process target tells its memory; a kernel's is the gate's business. */
#include "suites/steps.h"

enum { WARM_UP = 10, ROUNDS = 1000, FEWER = 30 };

/* One growth rule for all cases: what a round leaves behind is at least a transaction, and FEWER of these are more than this. */
static void judge_growth(struct test *t, size_t before, size_t after)
{
	expect_true(t, REQ_N_001, after <= before + 4096, "no growth with the number of rounds",
		"%zu bytes after the warm-up, %zu bytes at the end", before, after);
}

CASE(reauth, .id = "soak.reauthentication",
	.title = "A thousand re-authentications of one queue leave no memory behind",
	.checks = {REQ_N_001}, .needs = NEED_AUTH | NEED_SIM, .teardown = TEARDOWN_USABLE,
	.timeout_s = 120)
{
	struct nvc_queue *admin =
		connect_admin(t, host_as(t, want_pair(NVC_HASH_SHA256, NVC_DH_NULL)));
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	size_t before = 0;

	offer(auth, NVC_HASH_SHA256, NVC_DH_NULL);
	for (int round = 0; round < WARM_UP + ROUNDS && test_running(t); round++) {
		nvc_auth_renew(auth);
		authenticate(t, auth);
		if (round == WARM_UP)
			before = test_memory(t);
	}
	judge_growth(t, before, test_memory(t));
}

CASE(two_way, .id = "soak.two-way-reauthentication",
	.title = "Many two-way re-authentications of one queue leave no memory behind",
	.checks = {REQ_N_001}, .needs = NEED_BIDI | NEED_SIM, .teardown = TEARDOWN_USABLE,
	.timeout_s = 120)
{
	struct nvc_queue *admin =
		connect_admin(t, host_as(t, want_both_ways(NVC_HASH_SHA256, NVC_DH_NULL)));
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_BIDIRECTIONAL);
	size_t before = 0;

	offer(auth, NVC_HASH_SHA256, NVC_DH_NULL);
	for (int round = 0; round < WARM_UP + FEWER && test_running(t); round++) {
		nvc_auth_renew(auth);
		authenticate(t, auth);
		if (round == WARM_UP)
			before = test_memory(t);
	}
	judge_growth(t, before, test_memory(t));
}

CASE(leaving, .id = "soak.host-leaves",
	.title = "Many hosts that leave in the middle of a transaction leave no memory behind",
	.checks = {REQ_N_001, REQ_C_186}, .needs = NEED_AUTH | NEED_SIM, .timeout_s = 120)
{
	struct nvc_host *host = host_as(t, want_pair(NVC_HASH_SHA256, NVC_DH_NULL));
	size_t before = 0;

	for (int round = 0; round < WARM_UP + FEWER && test_running(t); round++) {
		struct nvc_queue *admin = connect_admin(t, host);
		struct nvc_auth auth = {0};

		if (test_running(t) && nvc_auth_init(&auth, admin, NVC_SC_C_NOSC,
					       NVC_AUTH_UNIDIRECTIONAL) == NVC_OK)
			send_negotiate(t, &auth);
		nvc_auth_fini(&auth);
		nvc_queue_free(admin);
		test_watch(t, NULL);
		if (round == WARM_UP)
			before = test_memory(t);
	}
	judge_growth(t, before, test_memory(t));
	expect_new_association(t, REQ_C_186, host);
}

CASE(replace, .id = "soak.replacement",
	.title = "Many key replacements on one queue leave no memory behind", .checks = {REQ_N_001},
	.needs = NEED_CONCAT | NEED_SIM, .teardown = TEARDOWN_USABLE, .timeout_s = 120)
{
	struct nvc_queue *admin = admin_from_newtlspsk(t, host_as(t, ORDINARY), NULL);
	struct nvc_auth *auth = transaction(t, admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI);
	size_t before = 0;

	for (int round = 0; round < WARM_UP + FEWER && test_running(t); round++) {
		nvc_auth_renew(auth);
		authenticate(t, auth);
		if (round == WARM_UP)
			before = test_memory(t);
	}
	judge_growth(t, before, test_memory(t));
}

CASE(failures, .id = "soak.failures",
	.title =
		"Many refused authentications leave no memory behind, and the right host is served",
	.checks = {REQ_N_001, REQ_C_185}, .needs = NEED_AUTH | NEED_SIM, .timeout_s = 120)
{
	struct nvc_host *host = host_as(t, want_pair(NVC_HASH_SHA256, NVC_DH_NULL));
	size_t before = 0;

	for (int round = 0; round < WARM_UP + FEWER && test_running(t); round++) {
		struct nvc_queue *admin = connect_admin(t, host);
		struct nvc_auth auth = {0};
		struct nvc_auth_outcome outcome = {0};
		if (test_running(t) && nvc_auth_init(&auth, admin, NVC_SC_C_NOSC,
					       NVC_AUTH_UNIDIRECTIONAL) == NVC_OK) {
			auth.r1 = NVC_R1_FLIPPED;
			if (nvc_auth_run(&auth, &outcome) != NVC_OUTCOME_FAILURE1)
				test_inconclusive(t, "a wrong response was not refused");
		}
		nvc_auth_fini(&auth);
		nvc_queue_free(admin);
		test_watch(t, NULL);
		if (round == WARM_UP)
			before = test_memory(t);
	}
	judge_growth(t, before, test_memory(t));
	expect_new_association(t, REQ_C_185, host);
}

CASE(handshakes, .id = "soak.failed-handshakes",
	.title = "Many TLS handshakes under a wrong PSK leave no memory behind, and the right one "
		 "works",
	.checks = {REQ_N_001, REQ_C_223}, .needs = NEED_CONCAT | NEED_SIM, .timeout_s = 120)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_psk wrong;
	size_t before = 0;

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	wrong = host->psk;
	wrong.psk.data[0] ^= 1;
	for (int round = 0; round < WARM_UP + FEWER && test_running(t); round++) {
		expect_no_tls(t, REQ_C_223, host, &wrong);
		if (round == WARM_UP)
			before = test_memory(t);
	}
	judge_growth(t, before, test_memory(t));
	expect_tls(t, REQ_C_223, host, &host->psk);
	nvc_secret_wipe(&wrong.psk);
}

enum { ASSOCIATIONS = 64 };

CASE(associations, .id = "soak.associations",
	.title = "64 associations at once, all in the middle of a transaction, are served",
	.checks = {REQ_C_187}, .needs = NEED_AUTH, .timeout_s = 120)
{
	struct nvc_host *host = host_as(t, want_pair(NVC_HASH_SHA256, NVC_DH_NULL));
	struct nvc_auth *auths[ASSOCIATIONS] = {NULL};

	for (size_t i = 0; i < ASSOCIATIONS && test_running(t); i++) {
		struct nvc_queue *admin = NULL;
		struct nvc_error err = {0};

		if (nvc_queue_establish(host, NULL, &admin, &err) != NVC_OK) {
			test_observed(t, REQ_C_187, "%zu associations at once: %s", i, err.text);
			return;
		}
		auths[i] = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
		offer(auths[i], NVC_HASH_SHA256, NVC_DH_NULL);
		send_negotiate(t, auths[i]);
		receive_challenge(t, auths[i]);
	}
	for (size_t i = 0; i < ASSOCIATIONS && test_running(t); i++) {
		send_reply(t, auths[i]);
		expect_success1(t, REQ_C_187, auths[i]);
	}
}
