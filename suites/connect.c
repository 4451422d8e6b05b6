/* SPDX-License-Identifier: BSD-3-Clause */
/* Connect: what it refuses and what it answers (docs/protocol.md 2.4). Commands after it are in fabrics.c. */
#include <string.h>

#include "suites/pdu_steps.h"

enum { ANYWHERE = -1, IN_DATA = 1 << 16 /* IATTR */ };

/* Judges an error status of Connect, which is never Invalid Field, and for 182h the field that DW0 names. */
static void expect_connect_refused(struct test *t, enum req_id req,
	const struct nvc_completion *done, struct codes statuses, int where)
{
	const uint32_t dw0 = (uint32_t)done->cqe.result;

	expect_true(t, REQ_C_047, done->status != NVC_SC_INVALID_FIELD,
		"a status of the Connect class", "status %03Xh %s", done->status,
		nvc_status_name(done->status));
	expect_answer_status(t, req, done,
		statuses.num == 1 ? nvc_status_name(statuses.list[0]) : "status 182h or 184h",
		statuses);
	if (where != ANYWHERE && done->status == NVC_SC_CONNECT_PARAMETERS)
		expect_true(t, req, (dw0 & 0x1ffff) == (uint32_t)where,
			where & IN_DATA ? "IATTR 1 and the IPO of the field"
					: "IATTR 0 and the IPO of the field",
			"IATTR %u, IPO %u, should be %u", dw0 >> 16 & 1, dw0 & 0xffff,
			where & 0xffff);
}

/* ---- a faulty Connect for an admin queue ---- */

static const struct faulty {
	struct nvc_bend sqe, data;
	struct codes statuses;
	int where;
} faulty[] = {
	{.sqe = {.field = "recfmt", .value = 1},
		.statuses = {{NVC_SC_CONNECT_FORMAT}, 1},
		.where = ANYWHERE},
	{.sqe = {.field = "recfmt", .value = 0xffff},
		.statuses = {{NVC_SC_CONNECT_FORMAT}, 1},
		.where = ANYWHERE},
	{.sqe = {.field = "sqsize", .value = 0},
		.statuses = {{NVC_SC_CONNECT_PARAMETERS}, 1},
		.where = 44},
	{.data = {.field = "cntlid", .value = 1},
		.statuses = {{NVC_SC_CONNECT_PARAMETERS}, 1},
		.where = IN_DATA | 16},
};
enum { RECFMT_1, RECFMT_FFFFH, SQSIZE_0, CNTLID_1 };

/* {row above, requirement} */
static const struct case_param faults[] = {{"recfmt-1", {RECFMT_1, REQ_C_042}},
	{"recfmt-ffffh", {RECFMT_FFFFH, REQ_C_042}}, {"sqsize-0", {SQSIZE_0, REQ_C_043}},
	{"cntlid-0001h", {CNTLID_1, REQ_C_048}}, {NULL, {0}}};

CASE(fields, .id = "connect.fields",
	.title = "A Connect with a wrong field is refused, and the answer names the field",
	.checks = {REQ_C_042, REQ_C_043, REQ_C_048, REQ_C_047}, .params = faults)
{
	const struct faulty *row = &faulty[param[0]];
	const struct nvc_bends sqe = {&row->sqe, row->sqe.field != NULL},
			       data = {&row->data, row->data.field != NULL};
	const struct nvc_queue_options options = {.sqe_bends = &sqe, .data_bends = &data};
	struct nvc_completion done = {0};

	if (connect_answer(t, (enum req_id)param[1], initialised_queue(t, test_host(t), NULL),
		    &options, &done))
		expect_connect_refused(t, (enum req_id)param[1], &done, row->statuses, row->where);
}

enum name_fault { UNKNOWN, UNTERMINATED, TOO_LONG, EMPTY };

/* {which name, what is wrong, requirement} */
static const struct case_param names[] = {
	{"subnqn-unknown", {0, UNKNOWN, REQ_C_044}},
	{"subnqn-unterminated", {0, UNTERMINATED, REQ_C_045}},
	{"subnqn-224-characters", {0, TOO_LONG, REQ_C_045}},
	{"subnqn-empty", {0, EMPTY, REQ_C_045}},
	{"hostnqn-unterminated", {1, UNTERMINATED, REQ_C_046}},
	{"hostnqn-224-characters", {1, TOO_LONG, REQ_C_046}},
	{"hostnqn-empty", {1, EMPTY, REQ_C_046}},
	{NULL, {0}},
};

/* Writes a name that is no good into a field of 256 bytes. */
static void bad_name(uint8_t field[NVC_NQN_FIELD_LEN], int fault)
{
	static const char unknown[] = "nqn.2014-08.org.nvmexpress:nvme-conform:no-such-subsystem";

	memset(field, 0, NVC_NQN_FIELD_LEN);
	if (fault == UNKNOWN)
		memcpy(field, unknown, sizeof(unknown));
	else if (fault != EMPTY)
		memset(field, 'a', fault == TOO_LONG ? NVC_NQN_MAX_LEN + 1 : NVC_NQN_FIELD_LEN);
}

CASE(name, .id = "connect.names",
	.title = "A Connect with a name that is unknown, empty, too long or without end is refused",
	.checks = {REQ_C_044, REQ_C_045, REQ_C_046, REQ_C_047}, .params = names)
{
	uint8_t field[NVC_NQN_FIELD_LEN];
	const struct nvc_bends *bend = NVC_BENDS({.field = param[0] ? "hostnqn" : "subnqn",
		.kind = NVC_BEND_BYTES,
		.bytes = NVC_SLICE(field)});
	const struct nvc_queue_options options = {.data_bends = bend};
	/* A host without a proper name is also one that is not allowed, and either order of checks will do. */
	const struct codes statuses =
		param[0] || param[1] == UNKNOWN
			? CODES(NVC_SC_CONNECT_PARAMETERS, NVC_SC_CONNECT_HOST)
			: CODES(NVC_SC_CONNECT_PARAMETERS);
	struct nvc_completion done = {0};

	bad_name(field, param[1]);
	if (connect_answer(t, (enum req_id)param[2], initialised_queue(t, test_host(t), NULL),
		    &options, &done))
		expect_connect_refused(t, (enum req_id)param[2], &done, statuses,
			IN_DATA | (param[0] ? 512 : 256));
}

/* ---- the answer ---- */

CASE(result, .id = "connect.response",
	.title = "The answer to Connect has a CNTLID that can be one, and zeros where nothing is "
		 "defined",
	.checks = {REQ_C_054})
{
	struct nvc_queue *admin = connect_admin(t, test_host(t));
	uint32_t dw0;

	if (!test_running(t))
		return;
	dw0 = (uint32_t)nvc_queue_info(admin)->connect.result;
	expect_true(t, REQ_C_054, (dw0 & 0xffff) < 0xfff0, "CNTLID below FFF0h", "CNTLID %04Xh",
		dw0 & 0xffff);
	expect_true(t, REQ_C_054, (dw0 & 0xfff90000) == 0, "bit 16 and bits 31:19 zero",
		"DW0 %08Xh", dw0);
}

/* ---- twice ---- */

static void expect_not_served(struct test *t, const struct nvc_completion *done)
{
	expect_true(t, REQ_N_021, done->status != NVC_SC_SUCCESS, "an error status", "status %03Xh",
		done->status);
	expect_answer_status(t, REQ_C_051, done, "status 00Ch or 101h",
		CODES(NVC_SC_COMMAND_SEQUENCE, NVC_SC_INVALID_QUEUE_ID));
}

CASE(again, .id = "connect.twice",
	.title = "A second Connect on a connection is not served, and the connection goes on",
	.checks = {REQ_N_021, REQ_C_051}, .teardown = TEARDOWN_USABLE)
{
	const struct nvc_queue_options options = {0};
	struct nvc_queue *admin = connect_admin(t, test_host(t));
	struct nvc_completion done = {0};

	if (connect_answer(t, REQ_N_021, admin, &options, &done))
		expect_not_served(t, &done);
}

CASE(qid_twice, .id = "connect.queue-in-use",
	.title = "A Connect for a queue that exists is not served",
	.checks = {REQ_N_021, REQ_C_051}, .needs = NEED_AUTH)
{
	struct nvc_queue *admin = admin_ready(t, host_as(t, ORDINARY));
	const struct nvc_queue_options options = {.qid = 1, .admin = admin};
	struct nvc_completion done = {0};

	connect_io(t, admin, 1, NULL);
	if (connect_answer(t, REQ_N_021, initialised_queue(t, test_host(t), NULL), &options, &done))
		expect_not_served(t, &done);
}

/* ---- I/O queues ---- */

static const struct case_param strangers[] = {{"cntlid", {0, 16}}, {"hostid", {1, 0}},
	{"subnqn", {2, 256}}, {"hostnqn", {3, 512}}, {NULL, {0}}};

CASE(io_match, .id = "connect.io-mismatch",
	.title = "An I/O queue that does not name the controller, host and subsystem of its admin "
		 "queue is refused",
	.checks = {REQ_C_052, REQ_C_047}, .needs = NEED_AUTH, .params = strangers)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *admin = admin_ready(t, host);
	const uint16_t cntlid = test_running(t) ? nvc_queue_info(admin)->cntlid : 0;
	const struct nvc_bends *other = NVC_BENDS(
		{.field = "cntlid", .kind = NVC_BEND_SET, .value = (uint16_t)(cntlid ^ 0x4000)});
	const uint8_t hostid[NVC_HOSTID_LEN] = {0x6e, 0x6f, 0x74, 0x20, 0x6d, 0x65};
	struct nvc_queue_options options = {
		.qid = 1, .admin = admin, .data_bends = param[0] == 0 ? other : NULL};
	struct identity_want want = want_pair(-1, -1);
	struct nvc_completion done = {0};

	want.other = true;
	if (param[0] == 1)
		options.hostid = hostid;
	if (param[0] == 2)
		options.subnqn = NVC_DISCOVERY_NQN;
	if (param[0] == 3) { /* one that may connect, or 184h would be right as well */
		struct nvc_host *second = test_second_host(t);

		test_identity(t, second, want);
		options.hostnqn = second->hostnqn;
	}
	if (connect_answer(t, REQ_C_052, initialised_queue(t, host, NULL), &options, &done))
		expect_connect_refused(
			t, REQ_C_052, &done, CODES(NVC_SC_CONNECT_PARAMETERS), ANYWHERE);
}

CASE(io_early, .id = "connect.io-before-enable",
	.title = "An I/O queue is refused while the controller is not enabled",
	.checks = {REQ_C_053}, .needs = NEED_AUTH)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));
	const struct nvc_queue_options options = {.qid = 1, .admin = admin};
	struct nvc_completion done = {0};

	authenticate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	if (connect_answer(t, REQ_C_053, initialised_queue(t, test_host(t), NULL), &options, &done))
		expect_connect_refused(
			t, REQ_C_053, &done, CODES(NVC_SC_CONNECT_PARAMETERS), ANYWHERE);
}
