/* SPDX-License-Identifier: BSD-3-Clause */
/* The TLS channel itself, under a generated PSK (TCP Transport 1.0, 3.6.1; docs/protocol.md 5.7). */
#include <stdio.h>

#include "stream/tls_hello.h"
#include "suites/pdu_steps.h"

/* A connection with an offer out of the ordinary. */
static void handshake(
	struct test *t, enum req_id req, struct nvc_host *host, const struct nvc_tls_options *tls)
{
	expect_handshake(t, req, host, &(const struct nvc_queue_options){.tls_options = tls});
}

/* Such an offer that no handshake must complete with. */
static void no_handshake(
	struct test *t, enum req_id req, struct nvc_host *host, const struct nvc_tls_options *tls)
{
	expect_no_handshake(t, req, host, &(const struct nvc_queue_options){.tls_options = tls});
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
	handshake(t, sha256 ? REQ_C_215 : REQ_C_216, host, &tls);
}

CASE(psk_dhe_ke, .id = "tls.psk-dhe-ke", .title = "psk_dhe_ke alone leads to a TLS session",
	.checks = {REQ_C_217}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_options tls = {.psk = &host->psk};

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	handshake(t, REQ_C_217, host, &tls);
}

/* ---- offers that OpenSSL does not make: judged by the ServerHello ---- */

/* Sends a ClientHello by hand; false when the case has its verdict. Silence violates `req`. */
static bool say_hello(struct test *t, enum req_id req, struct nvc_host *host,
	const struct nvc_tls_hello *hello, struct nvc_tls_hello_answer *answer)
{
	const struct nvc_tls_options tls = {.hello = hello, .hello_answer = answer};
	const struct nvc_queue_options options = {.tls_options = &tls};
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};

	if (!test_running(t))
		return false;
	test_step(t, "a ClientHello by hand");
	/* NVC_E_STATE: it ended with an answer. */
	if (nvc_queue_open(host, &options, &queue, &err) != NVC_E_STATE)
		expect_true(t, req, false, "an answer to the ClientHello", "%s", err.text);
	return test_running(t);
}

static const char *answer_text(const struct nvc_tls_hello_answer *answer, char text[80])
{
	if (answer->accepted)
		snprintf(text, 80, "ServerHello with identity %u and suite %04Xh%s",
			answer->selected, answer->suite, answer->key_share ? "" : ", no key share");
	else if (answer->end == NVC_END_TLS_ALERT)
		snprintf(text, 80, "TLS alert %u", answer->alert);
	else if (answer->end != NVC_END_OPEN)
		snprintf(text, 80, "%s", nvc_end_name(answer->end));
	else
		snprintf(text, 80, "%s without a PSK",
			answer->retry ? "HelloRetryRequest" : "ServerHello");
	return text;
}

CASE(psk_ke, .id = "tls.psk-ke",
	.title = "Whether psk_ke alone leads to a TLS session is on record", .checks = {REQ_C_218},
	.needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const struct nvc_tls_hello hello = {.psks = {&host->psk}, .num_psks = 1, .psk_ke = true};
	struct nvc_tls_hello_answer answer = {0};
	char text[80];

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	if (say_hello(t, REQ_C_218, host, &hello, &answer))
		test_observed(t, REQ_C_218, "psk_ke alone: %s", answer_text(&answer, text));
}

static const struct case_param orders[] = {
	{"sha256-first", {NVC_HASH_SHA256}}, {"sha384-first", {NVC_HASH_SHA384}}, {NULL, {0}}};

CASE(two_identities, .id = "tls.two-identities",
	.title = "Of two identities one is taken, with the suite of its hash",
	.checks = {REQ_C_224}, .needs = NEED_TLS_PSK, .teardown = TEARDOWN_ANY, .params = orders)
{
	struct nvc_tls_psk first, second;
	const struct nvc_tls_hello hello = {
		.psks = {&first, &second}, .num_psks = 2, .psk_dhe_ke = true};
	struct nvc_tls_hello_answer answer = {0};
	bool fits = false;
	char text[80];

	test_configured_psk(t, test_host(t), 1, (uint8_t)param[0], false, &first);
	test_configured_psk(t, test_host(t), 1,
		(uint8_t)(NVC_HASH_SHA256 + NVC_HASH_SHA384 - param[0]), false, &second);
	if (say_hello(t, REQ_C_224, test_host(t), &hello, &answer)) {
		if (answer.accepted && answer.selected < hello.num_psks)
			fits = answer.suite ==
			       (hello.psks[answer.selected]->hash_id == 1 ? 0x1301 : 0x1302);
		expect_true(t, REQ_C_224, fits, "one of the two, with the suite of its hash", "%s",
			answer_text(&answer, text));
	}
	nvc_secret_wipe(&first.psk);
	nvc_secret_wipe(&second.psk);
}

CASE(other_suite, .id = "tls.suite-of-other-hash",
	.title = "An identity offered with the suite of the other hash alone leads to no TLS "
		 "session",
	.checks = {REQ_C_224}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED, .params = suites)
{
	struct nvc_host *host = host_as(t, want_pair(param[0], param[1]));
	struct nvc_auth_offer one = NVC_OFFER(param[0], param[1]);
	struct nvc_tls_options tls = {.psk = &host->psk,
		.ciphersuites = param[0] == NVC_HASH_SHA256 ? "TLS_AES_256_GCM_SHA384"
							    : "TLS_AES_128_GCM_SHA256"};

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, &one);
	no_handshake(t, REQ_C_224, host, &tls);
	expect_tls(t, REQ_C_224, host, &host->psk);
}

CASE(nul, .id = "tls.identity-with-nul",
	.title = "Whether an identity that ends with a NUL leads to a TLS session is on record",
	.checks = {REQ_C_232}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const struct nvc_tls_options tls = {.psk = &host->psk, .nul = true};
	const struct nvc_queue_options options = {.tls_options = &tls};
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	if (test_running(t)) {
		const enum nvc_result result = nvc_queue_open(host, &options, &queue, &err);

		observe_connection(
			t, REQ_C_232, host, "an identity with a NUL", "taken", result, err.text);
	}
	nvc_queue_free(queue);
}

CASE(early_data, .id = "tls.early-data",
	.title = "Early data is not accepted, and an ICReq in it is not answered",
	.checks = {REQ_C_221}, .needs = NEED_CONCAT)
{
	const struct nvc_pdu icreq = {.ch.type = NVC_PDU_IC_REQ};
	struct nvc_host *host = host_as(t, ORDINARY);
	uint8_t bytes[NVC_PDU_IC_LEN];
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));
	struct nvc_tls_options tls = {.psk = &host->psk};
	const struct nvc_queue_options options = {.tls_options = &tls};
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	if (nvc_pdu_encode(&icreq, &(const struct nvc_pdu_mode){0}, NULL, &writer) != NVC_OK)
		test_error(t, "no ICReq could be made");
	tls.early_data = nvc_writer_slice(&writer);
	if (!test_running(t))
		return;
	if (nvc_queue_open(host, &options, &queue, &err) != NVC_OK) {
		/* Nothing was accepted, but perhaps for another reason. */
		test_inconclusive(t, "no handshake with early data completes: %s", err.text);
		return;
	}
	expect_true(t, REQ_C_221, !nvc_tls_early_data_accepted(nvc_queue_tls_stream(queue)),
		"early data is not accepted", "the server %s it",
		nvc_tls_early_data_accepted(nvc_queue_tls_stream(queue)) ? "accepted" : "refused");
	/* A second ICReq would be a fatal error. */
	expect_true(t, REQ_C_221, nvc_queue_ic(queue, NULL, &err) == NVC_OK,
		"ICResp to the ICReq after the handshake", "%s", err.text);
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
	handshake(t, param[0] ? REQ_C_220 : REQ_C_219, host, &tls);
}

CASE(no_psk, .id = "tls.no-psk", .title = "A ClientHello without a PSK leads to no TLS session",
	.checks = {REQ_C_222}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_options tls = {
		.psk = NULL, .ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"};

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	no_handshake(t, REQ_C_222, host, &tls);
	expect_tls(t, REQ_C_222, host, &host->psk);
}

CASE(tls12, .id = "tls.version-1.2", .title = "TLS 1.2 is refused", .checks = {REQ_C_214},
	.needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_tls_options tls = {.psk = NULL, .tls12_only = true};

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	no_handshake(t, REQ_C_214, host, &tls);
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
	test_little_work(t, admin);
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

CASE(no_close_notify, .id = "tls.no-close-notify",
	.title = "A host that leaves without close_notify leaves nothing behind",
	.checks = {REQ_C_186}, .needs = NEED_CONCAT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);
	enum nvc_end end = NVC_END_OPEN;

	if (test_running(t)) {
		nvc_tls_leave_out_close_notify(nvc_queue_tls_stream(admin));
		nvc_queue_close(admin, NVC_END_FIN);
		expect_true(t, REQ_C_186,
			nvc_queue_await_end(admin, test_end_bound(t), &end, NULL) == NVC_OK,
			"the end of the connection", "%s", nvc_end_name(end));
	}
	expect_tls(t, REQ_C_186, host, &host->psk);
}

/* {bytes of the handshake after which the connection is cut; 0: it is complete} */
static const struct case_param cuts[] = {{"in-hello", {60}}, {"after-handshake", {0}}, {NULL, {0}}};

CASE(reset, .id = "tls.host-leaves",
	.title =
		"A host that resets in the handshake or right after it leaves a target that serves",
	.checks = {REQ_N_002}, .needs = NEED_CONCAT, .params = cuts)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const struct nvc_fault_plan cut = {.cut_after = (size_t)param[0], .cut_end = NVC_END_RST};
	const struct nvc_queue_options options = {.tls = &host->psk, .fault = &cut};
	struct nvc_queue *queue = NULL;
	enum nvc_result result;

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	if (!test_running(t))
		return;
	result = nvc_queue_open(host, &options, &queue, NULL);
	if (result == NVC_OK)
		nvc_queue_close(queue, NVC_END_RST);
	else if (!param[0])
		test_inconclusive(t, "the handshake: %s", nvc_result_name(result));
	expect_tls(t, REQ_N_002, host, &host->psk);
}

/* ---- records ---- */

static const uint8_t bad_tag[5 + 40] = {23, 3, 3, 0, 40};
static const uint8_t bad_length[5 + 40] = {23, 3, 3, 0xff, 0xff};
static const uint8_t bad_type[5 + 40] = {99, 3, 3, 0, 40};
static const uint8_t bad_version[5 + 40] = {23, 9, 9, 0, 40};
static const uint8_t *const bad_records[] = {bad_tag, bad_length, bad_type, bad_version};
static const struct case_param bad_record_rows[] = {
	{"tag", {0}}, {"length", {1}}, {"type", {2}}, {"version", {3}}, {NULL, {0}}};

CASE(bad_record, .id = "tls.bad-record",
	.title = "A record that cannot be opened ends the connection and leaves a target that "
		 "serves",
	.checks = {REQ_N_002}, .needs = NEED_CONCAT, .params = bad_record_rows)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);
	const struct nvc_slice record = {bad_records[param[0]], sizeof(bad_tag)};

	if (test_running(t) &&
		nvc_tls_send_raw(nvc_queue_tls_stream(admin), record, NVC_NEVER) != NVC_OK)
		test_inconclusive(t, "the record could not be sent");
	expect_closed(t, REQ_N_002, admin);
	expect_tls(t, REQ_N_002, host, &host->psk);
}

/* {bytes in a record, PDUs share records, an empty record before each} */
static const struct case_param records[] = {{"1-byte", {1}}, {"7-bytes", {7}}, {"72-bytes", {72}},
	{"1000-bytes", {1000}}, {"shared", {NVC_TLS_RECORD_MAX, 1}}, {"empty", {64, 0, 1}},
	{NULL, {0}}};

CASE(records_, .id = "tls.records",
	.title = "PDUs that span TLS records, share them or have empty ones between are understood",
	.checks = {REQ_C_227}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE, .params = records,
	.timeout_s = 240)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const struct nvc_tls_options tls = {.psk = &host->psk, .empty_records = param[2]};
	const struct nvc_queue_options options = {.tls_options = &tls};
	/* An Authentication Send of no security protocol: as long as a capsule can be, and nothing comes of it. */
	const struct nvc_cmd_auth fields = {.head.opc = NVC_OPC_FABRICS,
		.fctype = NVC_FCTYPE_AUTH_SEND,
		.length = NVC_PDU_MAX_IN_CAPSULE};
	const struct nvc_command refused = {.layout = &nvc_cmd_auth_send_layout,
		.fields = &fields,
		.out = zeros(NVC_PDU_MAX_IN_CAPSULE)};
	enum { NUM_LONG = 3 };
	struct nvc_completion done = {0};
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};
	uint16_t cids[NUM_LONG];

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	if (!test_running(t))
		return;
	host->fault = (struct nvc_fault_plan){.record_len = (size_t)param[0], .merge = param[1]};
	/* A record is work, however short: a kernel built for debugging takes more than a millisecond for one. */
	host->timeout += NUM_LONG * NVC_PDU_MAX_IN_CAPSULE / (uint64_t)param[0] * NVC_MS(2);
	expect_true(t, REQ_C_227, nvc_queue_establish(host, &options, &queue, &err) == NVC_OK,
		"ICResp, and Connect succeeds", "%s",
		queue && nvc_queue_info(queue)->connected ? "both came" : err.text);
	/* Together more than a record holds. */
	for (size_t i = 0; i < NUM_LONG; i++)
		cids[i] = submit(t, queue, &refused);
	for (size_t i = 0; i < NUM_LONG; i++)
		wait_answer(t, REQ_C_227, queue, cids[i], &done);
	expect_served(t, REQ_C_227, queue);
}

/* The port that requires TLS serves a host over it; else nothing it does in clear says anything. */
static void served_over_tls(struct test *t, struct nvc_host *host, const struct nvc_tls_psk *psk)
{
	const struct nvc_queue_options options = {.port = NVC_PORT_TLS_ONLY, .tls = psk};

	leave(t, connect_as(t, host, &options));
}

CASE(tls_only_clear, .id = "tls.clear-on-tls-port",
	.title = "ICReq in clear on a port that requires TLS is not answered, and the connection "
		 "ends",
	.checks = {REQ_C_225}, .needs = NEED_TLS_PSK | NEED_TLS_ONLY_PORT)
{
	const struct nvc_queue_options options = {.port = NVC_PORT_TLS_ONLY};
	struct nvc_host *host = test_host(t);
	struct nvc_error err = {0};
	struct nvc_queue *queue;
	struct nvc_tls_psk psk;
	enum nvc_result result;

	test_configured_psk(t, host, 1, NVC_HASH_SHA256, false, &psk);
	served_over_tls(t, host, &psk);
	queue = open_queue(t, host, &options);
	if (test_running(t)) {
		test_step(t, "ICReq in clear");
		nvc_queue_set_timeout(queue, test_end_bound(t));
		result = nvc_queue_ic(queue, NULL, &err);
		expect_true(t, REQ_C_225, result != NVC_OK && result != NVC_E_TIMEOUT,
			"no ICResp, and the end of the connection", "%s",
			result == NVC_OK ? "ICResp" : err.text);
		expect_closed(t, REQ_C_225, queue);
	}
	served_over_tls(t, host, &psk);
	nvc_secret_wipe(&psk.psk);
}

CASE(plain_only_tls, .id = "tls.hello-on-plain-port",
	.title = "A ClientHello on a port without TLS is not answered, and the connection ends",
	.checks = {REQ_C_226}, .needs = NEED_CONCAT | NEED_PLAIN_ONLY_PORT)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const struct nvc_queue_options clear = {.port = NVC_PORT_PLAIN_ONLY};
	const struct nvc_queue_options options = {.port = NVC_PORT_PLAIN_ONLY, .tls = &host->psk};
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};
	enum nvc_result result;

	new_tls_psk(t, host, NVC_AUTH_CONCAT_UNI, NULL);
	/* A port that serves nobody refuses a ClientHello as well. */
	leave(t, initialised_queue(t, host, &clear));
	if (!test_running(t))
		return;
	result = nvc_queue_open(host, &options, &queue, &err);
	expect_true(t, REQ_C_226, result != NVC_OK && result != NVC_E_TIMEOUT,
		"the end of the connection, no TLS session", "%s",
		result == NVC_OK ? "the handshake completed" : err.text);
}
