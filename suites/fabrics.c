/* SPDX-License-Identifier: BSD-3-Clause */
/* Fabrics commands besides Connect, and the fields all of them have (docs/protocol.md 2.1 to 2.3, 2.5, 2.6). */
#include "suites/pdu_steps.h"

static const struct case_param early[] = {{"property-get", {CMD_PROPERTY_GET}},
	{"property-set", {CMD_PROPERTY_SET}}, {"identify", {CMD_IDENTIFY}},
	{"keep-alive", {CMD_KEEP_ALIVE}}, {NULL, {0}}};

CASE(first, .id = "fabrics.before-connect",
	.title = "A command before Connect is a command sequence error", .checks = {REQ_C_041},
	.params = early)
{
	expect_status(t, REQ_C_041, initialised_queue(t, test_host(t), NULL),
		(enum command)param[0], CODES(NVC_SC_COMMAND_SEQUENCE));
}

static const struct case_param fctypes[] = {
	{"02h", {0x02}}, {"3fh", {0x3f}}, {"7fh", {0x7f}}, {NULL, {0}}};

CASE(fctype, .id = "fabrics.unknown-fctype",
	.title = "A Fabrics command of a reserved type is an invalid field", .checks = {REQ_C_059},
	.needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .params = fctypes)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	const struct nvc_cmd_property fields = {
		.head.opc = NVC_OPC_FABRICS, .fctype = (uint8_t)param[0]};
	const struct nvc_command command = {
		.layout = &nvc_cmd_property_get_layout, .fields = &fields};
	struct nvc_completion done = {0};

	if (command_answer(t, REQ_C_059, admin, &command, &done))
		expect_answer_status(
			t, REQ_C_059, &done, "status 002h", CODES(NVC_SC_INVALID_FIELD));
}

/* ---- SGL ---- */

/* An Authentication Send of `len` zeros with a bent SQE; its answer is judged. */
static void expect_send_refused(struct test *t, enum req_id req, size_t len, bool r2t,
	const struct nvc_bends *bends, const char *expected, struct codes statuses)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));
	const struct nvc_cmd_auth fields = nvc_cmd_auth_of(NVC_FCTYPE_AUTH_SEND, (uint32_t)len);
	const struct nvc_command command = {.layout = &nvc_cmd_auth_send_layout,
		.fields = &fields,
		.out = zeros(len),
		.transport_sgl = r2t,
		.bends = bends};
	struct nvc_completion done = {0};

	if (command_answer(t, req, admin, &command, &done))
		expect_answer_status(t, req, &done, expected, statuses);
}

static const struct case_param sgl_types[] = {
	{"00h", {0x00}}, {"40h", {0x40}}, {"0fh", {0x0f}}, {"50h", {0x50}}, {NULL, {0}}};

CASE(sgl_type, .id = "fabrics.sgl-type",
	.title = "A kind of SGL descriptor which NVMe/TCP does not have is refused",
	.checks = {REQ_C_060}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .params = sgl_types)
{
	expect_send_refused(t, REQ_C_060, 72, false,
		NVC_BENDS({.field = "sgl_id", .kind = NVC_BEND_SET, .value = (uint64_t)param[0]}),
		"status 011h", CODES(NVC_SC_SGL_TYPE));
}

/* Offsets of the data in the capsule, which has 72 bytes; a negative one runs round to them when somebody adds without care. */
static const struct case_param offsets[] = {
	{"4", {4}}, {"72", {72}}, {"4096", {4096}}, {"minus-4", {-4}}, {NULL, {0}}};

CASE(sgl_offset, .id = "fabrics.sgl-offset",
	.title = "In-capsule data that lies outside its capsule is refused", .checks = {REQ_C_061},
	.needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .params = offsets)
{
	expect_send_refused(t, REQ_C_061, 72, false,
		NVC_BENDS({.field = "sgl_addr",
			.kind = NVC_BEND_SET,
			.value = (uint64_t)(int64_t)param[0]}),
		"status 016h or 002h", CODES(NVC_SC_SGL_OFFSET, NVC_SC_INVALID_FIELD));
}

/* {TL, SGL length, bytes sent, by R2T} */
static const struct case_param lengths[] = {
	{"tl-72-sgl-64", {72, 64, 64, 0}},
	{"tl-64-sgl-72", {64, 72, 72, 0}},
	{"tl-12288-sgl-20480-by-r2t", {12288, 20480, 20480, 1}},
	{"tl-20484-sgl-20480-by-r2t", {20484, 20480, 20480, 1}},
	{"tl-72-sgl-ffffffffh-by-r2t", {72, -1, 72, 1}},
	{"tl-ffffffffh-sgl-ffffffffh-by-r2t", {-1, -1, 72, 1}},
	{NULL, {0}},
};

CASE(sgl_length, .id = "fabrics.send-length",
	.title = "A TL that is not the length of the SGL is refused, and gigabytes are refused at "
		 "once",
	.checks = {REQ_C_079}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .params = lengths)
{
	expect_send_refused(t, REQ_C_079, (size_t)param[2], param[3],
		NVC_BENDS({.field = "tl", .kind = NVC_BEND_SET, .value = (uint32_t)param[0]},
			{.field = "sgl_len", .kind = NVC_BEND_SET, .value = (uint32_t)param[1]}),
		"status 00Fh or 002h", CODES(NVC_SC_DATA_SGL_LENGTH, NVC_SC_INVALID_FIELD));
}

/* {AL, SGL length} */
static const struct case_param receive_lengths[] = {{"al-4096-sgl-64", {4096, 64}},
	{"al-4092-sgl-4096", {4092, 4096}}, {"al-4096-sgl-ffffffffh", {4096, -1}}, {NULL, {0}}};

CASE(receive_length, .id = "fabrics.receive-length",
	.title = "An AL that is not the length of the SGL is refused, and gigabytes are refused at "
		 "once",
	.checks = {REQ_C_079}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE,
	.params = receive_lengths)
{
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	const struct nvc_cmd_auth receive = nvc_cmd_auth_of(NVC_FCTYPE_AUTH_RECEIVE, 4096);
	const struct nvc_command command = {.layout = &nvc_cmd_auth_receive_layout,
		.fields = &receive,
		.in_len = 4096,
		.bends = NVC_BENDS(
			{.field = "al", .kind = NVC_BEND_SET, .value = (uint32_t)param[0]},
			{.field = "sgl_len", .kind = NVC_BEND_SET, .value = (uint32_t)param[1]})};
	struct nvc_completion done = {0};

	send_negotiate(t, auth);
	if (command_answer(t, REQ_C_079, auth->queue, &command, &done))
		expect_answer_status(t, REQ_C_079, &done, "status 00Fh or 002h",
			CODES(NVC_SC_DATA_SGL_LENGTH, NVC_SC_INVALID_FIELD));
}

CASE(tail, .id = "fabrics.receive-tail",
	.title = "Behind the message an Authentication Receive returns zeros or nothing",
	.checks = {REQ_C_086, REQ_C_081}, .needs = NEED_AUTH)
{
	struct nvc_auth *auth = transaction(
		t, connect_admin(t, host_as(t, ORDINARY)), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	const struct nvc_cmd_auth receive = nvc_cmd_auth_of(NVC_FCTYPE_AUTH_RECEIVE, 8192);
	const struct nvc_command command = {
		.layout = &nvc_cmd_auth_receive_layout, .fields = &receive, .in_len = 8192};
	const size_t len = 16 + 32 + 256; /* of a Challenge for SHA-256 and ffdhe2048 */
	struct nvc_completion done = {0};

	offer(auth, NVC_HASH_SHA256, NVC_DH_2048);
	send_negotiate(t, auth);
	if (!command_answer(t, REQ_C_081, auth->queue, &command, &done))
		return;
	expect_true(t, REQ_C_081, done.status == NVC_SC_SUCCESS && done.data.len >= len,
		"a Challenge of 304 bytes", "status %03Xh, %zu bytes", done.status, done.data.len);
	expect_true(t, REQ_C_086, nvc_slice_is_zero(nvc_slice_sub(done.data, len, SIZE_MAX)),
		"zeros behind the message", "%zu bytes behind it", done.data.len - len);
}

CASE(tl_zero, .id = "fabrics.send-nothing",
	.title = "What becomes of an Authentication Send of no bytes is on record",
	.checks = {REQ_C_078}, .needs = NEED_AUTH)
{
	const struct nvc_cmd_auth fields = nvc_cmd_auth_of(NVC_FCTYPE_AUTH_SEND, 0);
	const struct nvc_command command = {.layout = &nvc_cmd_auth_send_layout, .fields = &fields};
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));
	struct nvc_completion done = {0};

	if (command_answer(t, REQ_C_078, admin, &command, &done))
		expect_true(t, REQ_C_078, done.status != NVC_SC_SUCCESS, "an error status",
			"status %03Xh %s", done.status, nvc_status_name(done.status));
	expect_success(t, REQ_C_082, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
}

static void expect_psdt(struct test *t, enum req_id req, uint8_t psdt)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *queue = initialised_queue(t, host, NULL);
	const struct nvc_queue_options options = {0};
	struct nvc_completion done = {0};

	host->psdt = psdt;
	if (connect_answer(t, req, queue, &options, &done))
		expect_answer_status(t, req, &done, "Connect succeeds", CODES(NVC_SC_SUCCESS));
	expect_success(t, req, transaction(t, queue, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
}

CASE(psdt_10b, .id = "fabrics.psdt-10b", .title = "Connect and authentication work with PSDT 10b",
	.checks = {REQ_C_062}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	expect_psdt(t, REQ_C_062, NVC_PSDT_SGL_10B);
}

CASE(psdt_01b, .id = "fabrics.psdt-01b",
	.title = "Whether Connect and authentication work with PSDT 01b, which hosts send, is on "
		 "record",
	.checks = {REQ_C_063}, .needs = NEED_AUTH)
{
	expect_psdt(t, REQ_C_063, NVC_PSDT_SGL_01B);
}

/* ---- Disconnect and properties ---- */

CASE(disconnect, .id = "fabrics.disconnect-on-admin-queue",
	.title = "Disconnect is refused on the admin queue, which stays in use",
	.checks = {REQ_C_064}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_identify_controller controller = {0};
	struct nvc_completion done = {0};
	struct nvc_error err = {0};

	if (test_running(t) &&
		(nvc_do_identify(admin, NVC_CNS_CONTROLLER, 0, &done, &err) != NVC_OK ||
			nvc_decode(&nvc_identify_controller_layout, done.data, &controller, NULL,
				&err) != NVC_OK))
		test_inconclusive(t, "Identify: %s", err.text);
	if (controller.ofcs & 1)
		expect_status(
			t, REQ_C_064, admin, CMD_DISCONNECT, CODES(NVC_SC_INVALID_QUEUE_TYPE));
	else /* not supported at all */
		expect_status(t, REQ_C_064, admin, CMD_DISCONNECT,
			CODES(NVC_SC_INVALID_QUEUE_TYPE, NVC_SC_INVALID_OPCODE));
	expect_served(t, REQ_C_064, admin);
}

/* What a property reads as after Connect, when nothing has been written yet. */
static bool value_ok(uint32_t ofst, uint64_t value)
{
	switch (ofst) {
	case NVC_PROP_CAP: /* MQES is 0's based, and at least 2 entries */
		return (value & 0xffff) != 0;
	case NVC_PROP_VS: /* 1.0 to 2.x */
		return value >> 16 >= 1 && value >> 16 <= 2 && (value >> 8 & 0xff) <= 9;
	default: /* CC and CSTS: not enabled, not ready */
		return value == 0;
	}
}

/* {offset, ATTRIB, whether that is its size} */
static const struct case_param properties[] = {
	{"cap", {NVC_PROP_CAP, 1, 1}},
	{"vs", {NVC_PROP_VS, 0, 1}},
	{"cc", {NVC_PROP_CC, 0, 1}},
	{"csts", {NVC_PROP_CSTS, 0, 1}},
	{"cap-as-4-bytes", {NVC_PROP_CAP, 0, 0}},
	{"vs-as-8-bytes", {NVC_PROP_VS, 1, 0}},
	{"cc-as-8-bytes", {NVC_PROP_CC, 1, 0}},
	{"csts-as-8-bytes", {NVC_PROP_CSTS, 1, 0}},
	{"undefined-offset", {0x0ff8, 0, 0}},
	{NULL, {0}},
};

CASE(property, .id = "fabrics.property-get",
	.title = "A property is read with its own size and offset, and with no other",
	.checks = {REQ_C_066}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE,
	.params = properties)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));
	const struct nvc_cmd_property fields = {.head.opc = NVC_OPC_FABRICS,
		.fctype = NVC_FCTYPE_PROPERTY_GET,
		.ofst = (uint32_t)param[0],
		.attrib = (uint8_t)param[1]};
	const struct nvc_command command = {
		.layout = &nvc_cmd_property_get_layout, .fields = &fields};
	struct nvc_completion done = {0};

	if (test_running(t) && nvc_queue_info(admin)->atr)
		authenticate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	if (!command_answer(t, REQ_C_066, admin, &command, &done))
		return;
	if (!param[2]) {
		expect_answer_status(
			t, REQ_C_066, &done, "status 002h", CODES(NVC_SC_INVALID_FIELD));
		return;
	}
	expect_answer_status(t, REQ_C_066, &done, "success", CODES(NVC_SC_SUCCESS));
	expect_true(t, REQ_C_066, value_ok((uint32_t)param[0], done.cqe.result),
		"the value of the property", "%llXh", (unsigned long long)done.cqe.result);
}

static const struct case_param property_commands[] = {
	{"get", {CMD_PROPERTY_GET}}, {"set", {CMD_PROPERTY_SET}}, {NULL, {0}}};

CASE(io_property, .id = "fabrics.property-on-io-queue",
	.title = "Property Get and Set are refused on an I/O queue", .checks = {REQ_C_067},
	.needs = NEED_AUTH, .params = property_commands)
{
	struct nvc_queue *io = connect_io(t, admin_ready(t, host_as(t, ORDINARY)), 1, NULL);

	if (test_running(t) && nvc_queue_info(io)->atr)
		authenticate(t, transaction(t, io, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	expect_status(t, REQ_C_067, io, (enum command)param[0], CODES(NVC_SC_INVALID_FIELD));
}

/* ---- completions ---- */

enum { NUM_AT_ONCE = 16 };

CASE(pipelined, .id = "fabrics.pipelined",
	.title = "Sixteen commands at once are each answered once, with CID, SQHD and status field "
		 "in order",
	.checks = {REQ_C_068}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_error err = {0};
	uint16_t cids[NUM_AT_ONCE] = {0};

	for (size_t i = 0; i < NUM_AT_ONCE && test_running(t); i++)
		if (nvc_submit_property_get(admin, NVC_PROP_CSTS, &cids[i], &err) != NVC_OK)
			test_inconclusive(t, "%s", err.text);
	for (size_t i = NUM_AT_ONCE; i-- > 0 && test_running(t);) {
		struct nvc_completion done = {0};
		bool answered = nvc_queue_wait(admin, cids[i], 0, &done, &err) == NVC_OK;

		expect_true(t, REQ_C_068, answered, "an answer under the CID of each command", "%s",
			answered ? "an answer" : err.text);
		expect_true(t, REQ_C_068, done.cqe.sqhd <= 31 && !(done.cqe.status_field & 1),
			"SQHD below 32, bit 0 of the status field zero",
			"SQHD %u, status field %04Xh", done.cqe.sqhd, done.cqe.status_field);
	}
	if (test_running(t))
		expect_true(t, REQ_C_068, nvc_queue_info(admin)->num_violations == 0,
			"one answer to each", "%s",
			nvc_queue_info(admin)->num_violations ? nvc_queue_info(admin)->violation
							      : "one answer to each");
}

/* ---- somebody else's controller ---- */

CASE(foreign, .id = "fabrics.foreign-controller",
	.title = "A host cannot add a queue to the controller of another host",
	.checks = {REQ_C_052}, .needs = NEED_AUTH)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	struct nvc_host *stranger = test_second_host(t);
	struct identity_want want = want_pair(-1, -1);
	const struct nvc_queue_options options = {.qid = 1, .admin = admin};
	struct nvc_completion done = {0};

	want.other = true;
	test_identity(t, stranger, want);
	if (connect_answer(t, REQ_C_052, initialised_queue(t, stranger, NULL), &options, &done))
		expect_answer_status(
			t, REQ_C_052, &done, "status 182h", CODES(NVC_SC_CONNECT_PARAMETERS));
}

CASE(impostor, .id = "fabrics.impostor",
	.title = "Who names another host's controller, NQN and HOSTID but has no secret reads no "
		 "data",
	.checks = {REQ_C_074}, .needs = NEED_ATR | NEED_IO)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_ready(t, host);
	struct nvc_host *impostor = test_second_host(t);
	const struct nvc_queue_options options = {
		.qid = 1, .admin = admin, .hostnqn = host->hostnqn, .hostid = host->hostid};
	struct nvc_completion done = {0};
	struct nvc_queue *io = initialised_queue(t, impostor, NULL);

	if (!connect_answer(t, REQ_C_074, io, &options, &done))
		return;
	if (done.status == NVC_SC_SUCCESS)
		expect_status(t, REQ_C_074, io, CMD_READ, CODES(NVC_SC_AUTH_REQUIRED));
	else
		test_judged(t, REQ_C_074, "Connect: status %03Xh", done.status);
}
