/* SPDX-License-Identifier: BSD-3-Clause */
/* The TLS channel itself, under a generated PSK (TCP Transport 1.0, 3.6.1; docs/protocol.md 5.7). */
#include "suites/steps.h"

/* A connection with an offer out of the ordinary: judged by whether the handshake completes. */
static void handshake(struct test *t, enum req_id req, struct nvc_host *host,
	const struct nvc_tls_options *tls, bool completes)
{
	const struct nvc_queue_options options = {.tls_options = tls};
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	result = nvc_queue_open(host, &options, &queue, &err);
	if (result == NVC_E_INVALID || result == NVC_E_NO_MEMORY)
		test_error(t, "%s", err.text);
	expect_true(t, req, (result == NVC_OK) == completes,
		completes ? "the handshake completes" : "no handshake completes", "%s",
		result == NVC_OK ? "it completed" : err.text);
	if (result == NVC_OK && completes) {
		result = nvc_queue_ic(queue, NULL, &err);
		expect_true(t, req, result == NVC_OK, "ICResp over TLS", "%s",
			result == NVC_OK ? "ICResp" : err.text);
	}
	nvc_queue_free(queue);
}

static const struct case_param suites[] = {{"aes-128-gcm", {NVC_HASH_SHA256, NVC_DH_2048}},
	{"aes-256-gcm", {NVC_HASH_SHA384, NVC_DH_3072}}, {NULL, {0}}};

CASE(suite, .id = "tls.cipher-suite",
	.title = "The cipher suite that belongs to the PSK's hash is supported",
	.checks = {REQ_C_215, REQ_C_216}, .needs = NEED_CONCAT, .params = suites)
{
	bool sha256 = param[0] == NVC_HASH_SHA256;
	struct nvc_host *host = host_as(t, want_pair(param[0], param[1]));
	struct nvc_auth_offer one = NVC_OFFER(param[0], param[1]);
	struct nvc_tls_options tls = {.psk = &host->psk,
		.ciphersuites = sha256 ? "TLS_AES_128_GCM_SHA256" : "TLS_AES_256_GCM_SHA384"};

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, &one);
	handshake(t, sha256 ? REQ_C_215 : REQ_C_216, host, &tls, true);
}

static const struct case_param groups[] = {{"ffdhe3072", {0}}, {"secp384r1", {1}}, {NULL, {0}}};

CASE(group, .id = "tls.group",
	.title = "The key exchange groups which the transport names are supported",
	.checks = {REQ_C_219, REQ_C_220}, .needs = NEED_CONCAT, .params = groups)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_options tls = {
		.psk = &host->psk, .groups = param[0] ? "P-384" : "ffdhe3072"};

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	handshake(t, param[0] ? REQ_C_220 : REQ_C_219, host, &tls, true);
}

CASE(no_psk, .id = "tls.no-psk", .title = "A ClientHello without a PSK leads to no TLS session",
	.checks = {REQ_C_222}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_options tls = {
		.psk = NULL, .ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"};

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	handshake(t, REQ_C_222, host, &tls, false);
	expect_tls(t, REQ_C_222, host, &host->psk);
}

CASE(tls12, .id = "tls.version-1.2", .title = "TLS 1.2 is refused", .checks = {REQ_C_214},
	.needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_options tls = {.psk = NULL, .tls12_only = true};

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	handshake(t, REQ_C_214, host, &tls, false);
	expect_tls(t, REQ_C_214, host, &host->psk);
}

CASE(key_update, .id = "tls.key-update",
	.title = "A KeyUpdate of the host does not disturb the connection", .checks = {REQ_C_228},
	.needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = admin_from_newtlspsk(t, host_as(t, ORDINARY), NULL);

	enable(t, admin);
	if (test_running(t) && nvc_tls_key_update(nvc_queue_tls_stream(admin)) != NVC_OK)
		test_error(t, "no KeyUpdate could be asked for");
	expect_status(t, REQ_C_228, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
	expect_status(t, REQ_C_228, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
}

CASE(close_notify, .id = "tls.close-notify",
	.title = "A close_notify of the host ends the connection on both sides",
	.checks = {REQ_C_229}, .needs = NEED_CONCAT)
{
	struct nvc_queue *admin = admin_from_newtlspsk(t, host_as(t, ORDINARY), NULL);
	enum nvc_end end = NVC_END_OPEN;

	if (test_running(t)) {
		nvc_queue_close(admin, NVC_END_FIN);
		expect_true(t, REQ_C_229,
			nvc_queue_await_end(admin, test_end_bound(t), &end, NULL) == NVC_OK,
			"the end of the connection", "%s", nvc_end_name(end));
	}
}

CASE(tls_only_clear, .id = "tls.clear-on-tls-port",
	.title = "ICReq in clear on a port that requires TLS is not answered",
	.checks = {REQ_C_225}, .needs = NEED_TLS_ONLY_PORT)
{
	const struct nvc_queue_options options = {.port = NVC_PORT_TLS_ONLY};
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};
	enum nvc_result result;

	host_as(t, ORDINARY);
	if (!test_running(t))
		return;
	if (nvc_queue_open(test_host(t), &options, &queue, &err) != NVC_OK)
		test_inconclusive(t, "%s", err.text);
	result = nvc_queue_ic(queue, NULL, &err);
	expect_true(t, REQ_C_225, result != NVC_OK, "no ICResp", "%s",
		result == NVC_OK ? "ICResp" : err.text);
}

CASE(plain_only_tls, .id = "tls.hello-on-plain-port",
	.title = "A ClientHello on a port without TLS is not answered, and the connection ends",
	.checks = {REQ_C_226}, .needs = NEED_CONCAT | NEED_PLAIN_ONLY_PORT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const struct nvc_queue_options options = {.port = NVC_PORT_PLAIN_ONLY, .tls = &host->psk};
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};
	enum nvc_result result;

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	if (!test_running(t))
		return;
	result = nvc_queue_open(host, &options, &queue, &err);
	expect_true(t, REQ_C_226, result != NVC_OK && result != NVC_E_TIMEOUT,
		"the end of the connection, no TLS session", "%s",
		result == NVC_OK ? "the handshake completed" : err.text);
}
