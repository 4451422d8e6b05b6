/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands before, during and after authentication; the Authentication commands themselves (docs/protocol.md 2.7, 2.8). */
#include "suites/pdu_steps.h"

static const struct case_param gated[] = {
	{"identify", {CMD_IDENTIFY}},
	{"get-log-page", {CMD_GET_LOG_PAGE}},
	{"keep-alive", {CMD_KEEP_ALIVE}},
	{"set-features", {CMD_SET_FEATURES}},
	{"async-event", {CMD_ASYNC_EVENT}},
	{NULL, {0}},
};

CASE(before, .id = "commands.before-authentication",
	.title = "Before authentication admin commands are answered by Authentication Required",
	.checks = {REQ_C_071}, .needs = NEED_ATR, .teardown = TEARDOWN_USABLE, .params = gated)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));

	/* A controller that is not enabled may check that first. */
	expect_status(t, REQ_C_071, admin, (enum command)param[0],
		CODES(NVC_SC_AUTH_REQUIRED, NVC_SC_COMMAND_SEQUENCE));
	expect_success(t, REQ_C_130, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
}

CASE(property_set_before, .id = "commands.property-set-before-authentication",
	.title = "Before authentication nobody can enable the controller", .checks = {REQ_C_072},
	.needs = NEED_ATR)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));

	expect_status(t, REQ_C_072, admin, CMD_PROPERTY_SET, CODES(NVC_SC_AUTH_REQUIRED));
}

CASE(property_get_before, .id = "commands.property-get-before-authentication",
	.title = "Before authentication Property Get is refused", .checks = {REQ_C_073},
	.needs = NEED_ATR)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));

	expect_status(t, REQ_C_073, admin, CMD_PROPERTY_GET, CODES(NVC_SC_AUTH_REQUIRED));
}

CASE(io_before, .id = "commands.io-without-authentication",
	.title = "A host that has not authenticated reads no data, on any queue",
	.checks = {REQ_C_072, REQ_C_074}, .needs = NEED_ATR | NEED_IO)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = connect_admin(t, host);
	const struct nvc_queue_options options = {.qid = 1, .admin = admin};
	struct nvc_completion done = {0};
	struct nvc_error err = {0};
	const char *last = "Connect of an I/O queue";
	struct nvc_queue *io;
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_step(t, "enable the controller without authentication");
	result = nvc_do_property_set(admin, NVC_PROP_CC, NVC_CC_ENABLE, &done, &err);
	if (result == NVC_OK && done.status == NVC_SC_SUCCESS)
		(void)nvc_do_enable(admin, NULL); /* waits until it is ready */
	else if (result == NVC_E_TIMEOUT)
		test_inconclusive(t, "Property Set: %s", err.text);
	else
		expect_denied(t, REQ_C_072, admin, "Property Set", result, done.status, &err);
	/* Denied or not, the data must not be within reach. */
	io = initialised_queue(t, host, &options);
	if (!test_running(t))
		return;
	test_step(t, "connect an I/O queue without authentication, and read");
	result = nvc_queue_connect(io, &options, &done, &err);
	if (result == NVC_OK && done.status == NVC_SC_SUCCESS) {
		last = "Read";
		result = nvc_do_read(io, 1, 0, test_block_len(t), &done, &err);
	}
	expect_denied(t, REQ_C_072, io, last, result, done.status, &err);
}

CASE(io_attr, .id = "commands.io-queue-authentication",
	.title = "An I/O queue whose Connect asks for authentication serves nothing before it",
	.checks = {REQ_C_074}, .needs = NEED_IO_ATR | NEED_IO, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_queue *io = connect_io(t, admin, 1, NULL);

	expect_status(t, REQ_C_074, io, CMD_READ, CODES(NVC_SC_AUTH_REQUIRED));
	authenticate(t, transaction(t, io, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	expect_served(t, REQ_C_130, io);
}

CASE(atr, .id = "commands.authreq-with-secret",
	.title = "Connect tells a host with a secret that authentication is required",
	.checks = {REQ_C_055, REQ_C_056}, .needs = NEED_ATR)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));

	if (test_running(t)) {
		const struct nvc_queue_info *info = nvc_queue_info(admin);
		expect_true(t, REQ_C_055, info->atr || info->ascr, "ATR=1 or ASCR=1",
			"ATR=%d ASCR=%d", info->atr, info->ascr);
		expect_true(t, REQ_C_056, !(info->atr && info->ascr), "ATR=0 when ASCR=1",
			"ATR=%d ASCR=%d", info->atr, info->ascr);
	}
}

CASE(open_host, .id = "commands.no-authentication-required",
	.title =
		"Without authentication required no command is answered by Authentication Required",
	.checks = {REQ_C_075, REQ_C_057}, .needs = NEED_OPEN_HOST, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, want_open()));

	if (test_running(t))
		expect_true(t, REQ_C_057,
			!nvc_queue_info(admin)->atr && !nvc_queue_info(admin)->ascr, "ATR=0 ASCR=0",
			"ATR=%d ASCR=%d", nvc_queue_info(admin)->atr, nvc_queue_info(admin)->ascr);
	expect_status(t, REQ_C_075, admin, CMD_PROPERTY_SET, CODES(NVC_SC_SUCCESS));
	enable(t, admin);
	expect_status(t, REQ_C_075, admin, CMD_IDENTIFY, CODES(NVC_SC_SUCCESS));
	expect_status(t, REQ_C_075, admin, CMD_KEEP_ALIVE, CODES(NVC_SC_SUCCESS));
	expect_status(t, REQ_C_075, admin, CMD_PROPERTY_GET, CODES(NVC_SC_SUCCESS));
}

static const struct case_param security_fields[] = {{"secp-00h", {0, 0x00}},
	{"secp-eah", {0, 0xea}}, {"spsp0-00h", {1, 0x00}}, {"spsp1-02h", {2, 0x02}}, {NULL, {0}}};

CASE(secp, .id = "commands.security-protocol",
	.title = "A wrong SECP or SPSP fails the command and leaves the transaction as it was",
	.checks = {REQ_C_076, REQ_C_077}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE,
	.params = security_fields)
{
	static const char *const names[] = {"secp", "spsp0", "spsp1"};
	enum req_id req = param[0] ? REQ_C_077 : REQ_C_076;
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	auth->send_bends = NVC_BENDS(
		{.field = names[param[0]], .kind = NVC_BEND_SET, .value = (uint64_t)param[1]});
	send_negotiate(t, auth);
	auth->send_bends = NULL;
	if (test_running(t))
		expect_true(t, req, auth->status != NVC_SC_SUCCESS, "an error status",
			"status %03Xh", auth->status);
	expect_success(t, REQ_C_082, auth);
}

CASE(faulty_between, .id = "commands.faulty-in-transaction",
	.title = "A command that fails for its fields between two messages leaves the transaction "
		 "as it was",
	.checks = {REQ_C_082, REQ_C_076}, .needs = NEED_AUTH, .params = security_fields)
{
	static const char *const names[] = {"secp", "spsp0", "spsp1"};
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	send_negotiate(t, auth);
	receive_challenge(t, auth);
	auth->send_bends = NVC_BENDS(
		{.field = names[param[0]], .kind = NVC_BEND_SET, .value = (uint64_t)param[1]});
	send_reply(t, auth);
	auth->send_bends = NULL;
	if (test_running(t))
		expect_true(t, REQ_C_076, auth->status != NVC_SC_SUCCESS, "an error status",
			"status %03Xh", auth->status);
	send_reply(t, auth);
	expect_success1(t, REQ_C_082, auth);
}

/* Receives with an AL that the message does not fit. */
static void expect_no_room(struct test *t, struct nvc_auth *auth, uint32_t al)
{
	enum { FAILURE1_LEN = 8 };
	struct nvc_auth_received received = {0};
	char text[256];

	auth->al = al;
	if (test_running(t))
		nvc_auth_receive(auth, &received, NULL);
	expect_true(t, REQ_C_080,
		received.kind == NVC_RECEIVED_STATUS ||
			(received.kind == NVC_RECEIVED_MESSAGE &&
				received.message == NVC_MSG_FAILURE1 && al >= FAILURE1_LEN &&
				received.raw.len <= al),
		"an error status, or an AUTH_Failure1 that fits", "%s",
		nvc_auth_received_text(&received, text, sizeof(text)));
}

static const struct case_param short_receives[] = {
	{"1", {1}}, {"16", {16}}, {"one-too-few", {16 + 32 + 256 - 1}}, {NULL, {0}}};

CASE(short_receive, .id = "commands.allocation-length",
	.title = "A Challenge that does not fit the allocation length is an error and never more "
		 "than AL bytes",
	.checks = {REQ_C_080}, .needs = NEED_AUTH, .params = short_receives)
{
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	offer(auth, NVC_HASH_SHA256, NVC_DH_2048);
	send_negotiate(t, auth);
	expect_no_room(t, auth, (uint32_t)param[0]);
}

/* {the response is wrong, AL} */
static const struct case_param short_answers[] = {{"success1-1", {0, 1}}, {"success1-16", {0, 16}},
	{"success1-one-too-few", {0, 16 + 32 - 1}}, {"failure1-1", {1, 1}}, {"failure1-4", {1, 4}},
	{"failure1-one-too-few", {1, 8 - 1}}, {NULL, {0}}};

CASE(short_answer, .id = "commands.allocation-length-of-answer",
	.title = "A Success1 or AUTH_Failure1 that does not fit the allocation length is an error "
		 "and never more than AL bytes",
	.checks = {REQ_C_080}, .needs = NEED_AUTH, .params = short_answers)
{
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	if (param[0])
		auth->r1 = NVC_R1_FLIPPED;
	send_negotiate(t, auth);
	receive_challenge(t, auth);
	send_reply(t, auth);
	expect_no_room(t, auth, (uint32_t)param[1]);
}

CASE(exact_receive, .id = "commands.allocation-length-exact",
	.title = "An allocation length of exactly the message is enough", .checks = {REQ_C_081},
	.needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	offer(auth, NVC_HASH_SHA256, NVC_DH_2048);
	auth->al = 16 + 32 + 256;
	send_negotiate(t, auth);
	expect_challenge(t, REQ_C_081, auth);
	auth->al = 16 + 32;
	send_reply(t, auth);
	expect_success1(t, REQ_C_081, auth);
}

CASE(r2t, .id = "commands.negotiate-by-r2t",
	.title = "An Authentication Send whose data follows an R2T is served",
	.checks = {REQ_C_029}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	auth->transport_sgl = true;
	test_little_work(t, auth->queue);
	expect_success(t, REQ_C_029, auth);
}

CASE(auth_first, .id = "commands.authentication-before-connect",
	.title = "Authentication Send before Connect is a command sequence error",
	.checks = {REQ_C_041}, .needs = NEED_AUTH)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *queue = NULL;
	struct nvc_auth *auth;
	struct nvc_error err = {0};

	if (test_running(t) && (nvc_queue_open(host, &(const struct nvc_queue_options){0}, &queue,
					&err) != NVC_OK ||
				       nvc_queue_ic(queue, NULL, &err) != NVC_OK))
		test_inconclusive(t, "%s", err.text);
	auth = transaction(t, queue, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	if (test_running(t)) {
		const enum nvc_result result = nvc_auth_send_negotiate(auth, &err);

		/* A close is seen too. */
		expect_denied(
			t, REQ_C_041, queue, "Authentication Send", result, auth->status, &err);
		if (result == NVC_OK)
			expect_auth_status(t, REQ_C_041, auth, CODES(NVC_SC_COMMAND_SEQUENCE));
	}
}

static const struct case_param own_nqns[] = {{"subnqn-as-hostnqn", {0}}, {NULL, {0}}};

CASE(same_nqn, .id = "commands.host-named-as-subsystem",
	.title = "A host whose NQN is the subsystem's own is refused", .checks = {REQ_C_050},
	.needs = NEED_AUTH, .params = own_nqns)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue_options options = {.hostnqn = host->subnqn};
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	result = nvc_queue_establish(host, &options, &queue, &err);
	if (result == NVC_OK || result == NVC_E_REFUSED)
		expect_true(t, REQ_C_050,
			queue && nvc_cqe_status(nvc_queue_info(queue)->connect.status_field) ==
					 NVC_SC_CONNECT_HOST,
			"status 184h Connect Invalid Host", "status %03Xh",
			queue ? nvc_cqe_status(nvc_queue_info(queue)->connect.status_field) : 0);
	else
		test_inconclusive(t, "%s", err.text);
}

CASE(foreign_host, .id = "commands.host-not-allowed",
	.title = "A host that is not allowed is refused by Connect", .checks = {REQ_C_049},
	.needs = NEED_AUTH)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue_options options = {
		.hostnqn = "nqn.2014-08.org.nvmexpress:nvme-conform:nobody-knows-me"};
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	result = nvc_queue_establish(host, &options, &queue, &err);
	if (result == NVC_OK || result == NVC_E_REFUSED)
		expect_true(t, REQ_C_049,
			queue && nvc_cqe_status(nvc_queue_info(queue)->connect.status_field) ==
					 NVC_SC_CONNECT_HOST,
			"status 184h Connect Invalid Host", "status %03Xh",
			queue ? nvc_cqe_status(nvc_queue_info(queue)->connect.status_field) : 0);
	else
		test_inconclusive(t, "%s", err.text);
}
