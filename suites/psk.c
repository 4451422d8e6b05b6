/* SPDX-License-Identifier: BSD-3-Clause */
/* TLS under a configured PSK, without concatenation (TCP Transport 1.0, 3.6.1; docs/protocol.md 5.6 to 5.8). */
#include <stdio.h>
#include <string.h>

#include "suites/pdu_steps.h"

static const struct case_param hashes[] = {
	{"sha256", {NVC_HASH_SHA256}}, {"sha384", {NVC_HASH_SHA384}}, {NULL, {0}}};

CASE(version1, .id = "psk.version-1",
	.title = "A configured PSK opens a TLS session under its version 1 identity",
	.checks = {REQ_C_230}, .needs = NEED_TLS_PSK, .teardown = TEARDOWN_USABLE, .params = hashes)
{
	struct nvc_tls_psk psk;
	struct nvc_queue *admin;

	test_configured_psk(t, test_host(t), 1, (uint8_t)param[0], false, &psk);
	admin = expect_admin_tls(t, REQ_C_230, test_host(t), &psk);
	enable(t, admin);
	expect_status(t, REQ_C_230, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
	nvc_secret_wipe(&psk.psk);
}

CASE(version0, .id = "psk.version-0",
	.title = "Whether a configured PSK opens a TLS session under the old version 0 identity is "
		 "on record",
	.checks = {REQ_C_231}, .needs = NEED_TLS_PSK, .params = hashes)
{
	struct nvc_queue *queue = NULL;
	struct nvc_tls_psk psk;
	struct nvc_error err = {0};
	char what[64];

	test_configured_psk(t, test_host(t), 0, (uint8_t)param[0], false, &psk);
	snprintf(what, sizeof(what), "a connection under NVMe0R0%d", param[0]);
	if (test_running(t)) {
		const enum nvc_result result =
			nvc_host_admin_over_tls(test_host(t), &psk, &queue, &err);

		observe_connection(t, REQ_C_231, test_host(t), what, "served", result, err.text);
	}
	nvc_secret_wipe(&psk.psk);
}

CASE(data, .id = "psk.data",
	.title = "Data is read on an I/O queue over TLS under a configured PSK",
	.checks = {REQ_C_230}, .needs = NEED_TLS_PSK | NEED_IO, .teardown = TEARDOWN_USABLE)
{
	struct nvc_tls_psk psk;
	struct nvc_queue *admin;

	test_configured_psk(t, test_host(t), 1, NVC_HASH_SHA256, false, &psk);
	admin = connect_admin_tls(t, test_host(t), &psk);
	enable(t, admin);
	expect_io(t, REQ_C_230, admin, 1, &psk);
	nvc_secret_wipe(&psk.psk);
}

static const struct case_param spoilings[] = {
	{"psk", {0}}, {"hash-in-identity", {1}}, {"digest", {2}}, {NULL, {0}}};

CASE(wrong, .id = "psk.wrong",
	.title = "Another PSK, another hash or another digest than configured opens no TLS session",
	.checks = {REQ_C_223, REQ_C_197, REQ_C_198}, .needs = NEED_TLS_PSK, .params = spoilings)
{
	static const enum req_id reqs[] = {REQ_C_223, REQ_C_197, REQ_C_198};
	struct nvc_tls_psk right, psk;

	test_configured_psk(t, test_host(t), 1, NVC_HASH_SHA256, false, &right);
	psk = right;
	if (param[0] == 0)
		psk.psk.data[0] ^= 1;
	else if (param[0] == 1)
		psk.identity[7] = '2';
	else if (test_running(t))
		psk.identity[strlen(psk.identity) - 10] ^= 1;
	expect_no_tls(t, reqs[param[0]], test_host(t), &psk);
	expect_tls(t, REQ_C_230, test_host(t), &right);
	nvc_secret_wipe(&right.psk);
	nvc_secret_wipe(&psk.psk);
}

CASE(tls_only, .id = "psk.tls-only-port",
	.title = "A port that requires TLS serves a host with a configured PSK",
	.checks = {REQ_C_230}, .needs = NEED_TLS_PSK | NEED_TLS_ONLY_PORT,
	.teardown = TEARDOWN_USABLE, .params = hashes)
{
	struct nvc_tls_psk psk;
	struct nvc_queue *admin;

	test_configured_psk(t, test_host(t), 1, (uint8_t)param[0], false, &psk);
	admin = connect_as(t, test_host(t),
		&(const struct nvc_queue_options){.port = NVC_PORT_TLS_ONLY, .tls = &psk});
	expect_served(t, REQ_C_230, admin);
	nvc_secret_wipe(&psk.psk);
}

CASE(authenticates, .id = "psk.authentication",
	.title = "A host with a configured PSK and a secret can authenticate over TLS",
	.checks = {REQ_C_211}, .needs = NEED_TLS_PSK | NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_tls_psk psk;
	struct nvc_queue *admin;

	test_configured_psk(t, test_host(t), 1, NVC_HASH_SHA256, true, &psk);
	admin = connect_admin_tls(t, test_host(t), &psk);
	expect_success(t, REQ_C_211, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	enable(t, admin);
	expect_status(t, REQ_C_211, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
	nvc_secret_wipe(&psk.psk);
}

/* Connect over TLS under `options`->tls with a name that is not the one of its identity. */
static void expect_names_refused(
	struct test *t, struct nvc_host *host, const struct nvc_queue_options *options)
{
	/* A TLS session that does not come up says nothing of Connect. */
	struct nvc_queue *queue = initialised_queue(t, host, options);
	struct nvc_completion done = {0};
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_step(t, "Connect with another name than that of the identity");
	result = nvc_queue_connect(queue, options, &done, &err);
	expect_denied(t, REQ_C_200, queue, "Connect", result, done.status, &err);
	if (result == NVC_OK)
		expect_answer_status(t, REQ_C_200, &done, "status 182h or 184h",
			CODES(NVC_SC_CONNECT_PARAMETERS, NVC_SC_CONNECT_HOST));
}

CASE(other_host, .id = "psk.other-host",
	.title = "The PSK of one host does not let it connect in another host's name",
	.checks = {REQ_C_200}, .needs = NEED_TLS_PSK | NEED_OPEN_HOST)
{
	struct nvc_host *host = test_host(t);
	struct nvc_host *other = test_second_host(t);
	struct nvc_queue_options options = {0};
	struct nvc_tls_psk psk;

	test_configured_psk(t, host, 1, NVC_HASH_SHA256, false, &psk);
	test_identity(t, other, ORDINARY);
	options.tls = &psk;
	options.hostnqn = other->hostnqn;
	options.hostid = other->hostid;
	expect_names_refused(t, host, &options);
	nvc_secret_wipe(&psk.psk);
}

CASE(other_subsystem, .id = "psk.other-subsystem",
	.title = "The PSK for one subsystem does not let a host connect to another",
	.checks = {REQ_C_200}, .needs = NEED_TLS_PSK)
{
	struct nvc_tls_psk psk;
	/* The one other subsystem there may be at every address. */
	const struct nvc_queue_options options = {.tls = &psk, .subnqn = NVC_DISCOVERY_NQN};

	test_configured_psk(t, test_host(t), 1, NVC_HASH_SHA256, false, &psk);
	expect_names_refused(t, test_host(t), &options);
	nvc_secret_wipe(&psk.psk);
}

CASE(concat_as_well, .id = "psk.concatenation-as-well",
	.title = "What a target makes of NEWTLSPSK from a host with a configured PSK is on record",
	.checks = {REQ_C_235}, .needs = NEED_TLS_PSK | NEED_CONCAT)
{
	struct nvc_auth *auth;
	struct nvc_auth_outcome outcome = {0};
	struct nvc_tls_psk psk;
	char text[320];

	test_configured_psk(t, test_host(t), 1, NVC_HASH_SHA256, true, &psk);
	auth = transaction(
		t, connect_admin(t, test_host(t)), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);
	if (test_running(t))
		nvc_auth_run(auth, &outcome);
	expect_true(t, REQ_C_235,
		outcome.kind == NVC_OUTCOME_FAILURE1 &&
			outcome.rcodeex == NVC_RCODEEX_CONCAT_MISMATCH,
		"AUTH_Failure1 03h: the two have a PSK already", "%s",
		nvc_auth_outcome_text(&outcome, text, sizeof(text)));
	nvc_secret_wipe(&psk.psk);
}
