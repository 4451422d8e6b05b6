/* SPDX-License-Identifier: BSD-3-Clause */
/* Data on its way: in the capsule, by R2T and H2CData, in C2HData (docs/protocol.md 1.6, 1.7), and PDUs in pieces. */
#include "suites/pdu_steps.h"

enum { SEND_LEN = 72 };

CASE(r2t, .id = "transfer.r2t",
	.title = "An R2T names its command, begins at 0 and stays within TL", .checks = {REQ_C_029})
{
	struct nvc_queue *admin = connect_admin(t, test_host(t));
	uint16_t cid = submit_send(t, admin, SEND_LEN, true, NULL);
	struct nvc_pdu pdu = {0};
	const struct nvc_data *r2t = &pdu.xfer;

	test_little_work(t, admin);
	if (!expect_pdu(t, REQ_C_029, admin, NVC_PDU_R2T, &pdu))
		return;
	expect_true(t, REQ_C_029, r2t->cccid == cid, "the CID of the command",
		"CCCID %u for CID %u", r2t->cccid, cid);
	expect_true(t, REQ_C_029, r2t->offset == 0 && r2t->length > 0 && r2t->length <= SEND_LEN,
		"R2TO 0, R2TL 1 to TL", "R2TO %u, R2TL %u, TL %d", r2t->offset, r2t->length,
		SEND_LEN);
}

/* ---- H2CData that does not fit its R2T ---- */

enum fault { FAULT_CCCID, FAULT_TTAG, FAULT_ORDER, FAULT_BEFORE, FAULT_TOO_LONG, FAULT_BEHIND };

/* {what is wrong, value (of CCCID and TTAG: added, or with -1 its bits inverted), requirement} */
static const struct case_param faults[] = {
	{"cccid-plus-1", {FAULT_CCCID, 1, REQ_C_030}},
	{"cccid-inverted", {FAULT_CCCID, -1, REQ_C_030}},
	{"ttag-plus-1", {FAULT_TTAG, 1, REQ_C_031}},
	{"ttag-inverted", {FAULT_TTAG, -1, REQ_C_031}},
	{"ttag-0000h", {FAULT_TTAG, -2, REQ_C_031}},
	{"ttag-ffffh", {FAULT_TTAG, -3, REQ_C_031}},
	{"datao-gap", {FAULT_ORDER, 0, REQ_C_032}},
	{"datao-again", {FAULT_BEFORE, 0, REQ_C_032}},
	{"datal-past-r2t", {FAULT_TOO_LONG, 0, REQ_C_033}},
	{"datao-behind-r2t", {FAULT_BEHIND, 0, REQ_C_033}},
	{NULL, {0}},
};

static uint16_t other_tag(uint16_t tag, int how)
{
	switch (how) {
	case -1:
		return (uint16_t)~tag;
	case -2:
		return 0;
	case -3:
		return 0xffff;
	default:
		return (uint16_t)(tag + how);
	}
}

/* Turns an R2T into the H2CData that breaks the rule of `param`, and returns what the controller may answer. */
static struct term_want spoil(struct test *t, const int *param, struct nvc_pdu *pdu)
{
	struct nvc_data *xfer = &pdu->xfer;
	const uint32_t len = xfer->length;
	const uint16_t ttag = xfer->ttag;
	struct term_want want = TERM(FES(NVC_FES_SEQUENCE));

	switch (param[0]) {
	case FAULT_CCCID:
		xfer->cccid = other_tag(xfer->cccid, param[1]);
		want = TERM_AT(FES(NVC_FES_INVALID_FIELD), 8);
		break;
	case FAULT_TTAG:
		xfer->ttag = other_tag(ttag, param[1]);
		if (xfer->ttag == ttag)
			test_skip(t, "%04Xh is the TTAG of the R2T", ttag);
		want = TERM_AT(FES(NVC_FES_INVALID_FIELD), 10);
		break;
	case FAULT_ORDER: /* within the R2T, so that only the order is wrong */
		xfer->offset += 4;
		xfer->length = len - 8;
		break;
	case FAULT_BEFORE: /* the first half again */
		xfer->length = len / 2;
		break;
	case FAULT_TOO_LONG:
		xfer->length = len + 4;
		want = (struct term_want){FES(NVC_FES_OUT_OF_RANGE), 2, {12, 16}};
		break;
	default:
		xfer->offset += len; /* out of order too */
		want = TERM(FES(NVC_FES_OUT_OF_RANGE) | FES(NVC_FES_SEQUENCE));
	}
	return want;
}

CASE(h2c_data, .id = "transfer.h2cdata",
	.title = "An H2CData that does not fit its R2T is a fatal error",
	.checks = {REQ_C_030, REQ_C_031, REQ_C_032, REQ_C_033}, .teardown = TEARDOWN_CLOSED,
	.params = faults)
{
	struct nvc_queue *admin = connect_admin(t, test_host(t));
	struct nvc_pdu pdu = {0};
	struct term_want want;

	take_r2t(t, admin, &pdu);
	if (!test_running(t))
		return;
	pdu = (struct nvc_pdu){
		.ch = {.type = NVC_PDU_H2C_DATA, .flags = NVC_FLAG_LAST}, .xfer = pdu.xfer};
	if (param[0] == FAULT_BEFORE) {
		struct nvc_pdu first = pdu;

		first.ch.flags = 0;
		first.xfer.length /= 2;
		first.data = zeros(first.xfer.length);
		send_pdu(t, admin, &first, NULL);
	}
	want = spoil(t, param, &pdu);
	pdu.data = zeros(pdu.xfer.length);
	send_pdu(t, admin, &pdu, NULL);
	expect_fatal(t, (enum req_id)param[2], admin, want);
}

CASE(h2c_limit, .id = "transfer.maxh2cdata",
	.title = "An H2CData larger than MAXH2CDATA is a fatal error", .checks = {REQ_C_034},
	.teardown = TEARDOWN_CLOSED)
{
	struct nvc_queue *admin = connect_admin(t, test_host(t));
	struct nvc_pdu pdu = {0};
	size_t len;

	if (!test_running(t))
		return;
	len = (size_t)nvc_queue_info(admin)->icresp.max + 4;
	if (len <= 4 || len > NVC_QUEUE_MAX_DATA)
		test_skip(t, "MAXH2CDATA is %u bytes, and %d are the most this suite sends",
			nvc_queue_info(admin)->icresp.max, NVC_QUEUE_MAX_DATA);
	submit_send(t, admin, len, true, NULL);
	if (test_running(t) && nvc_queue_recv_pdu(admin, 0, &pdu, NULL) == NVC_OK &&
		pdu.ch.type == NVC_PDU_CAPSULE_RESP)
		test_skip(t,
			"the target takes no Authentication Send of %zu bytes, more than its "
			"MAXH2CDATA",
			len);
	if (test_running(t) && pdu.ch.type != NVC_PDU_R2T)
		test_inconclusive(t, "no R2T came");
	pdu = (struct nvc_pdu){.ch = {.type = NVC_PDU_H2C_DATA, .flags = NVC_FLAG_LAST},
		.xfer = pdu.xfer,
		.data = zeros(len)};
	pdu.xfer.length = (uint32_t)len;
	send_pdu(t, admin, &pdu, NULL);
	expect_fatal(t, REQ_C_034, admin, TERM(FES(NVC_FES_LIMIT_EXCEEDED)));
}

/* When nobody asked for data. */
static const struct case_param unasked[] = {
	{"before-connect", {0}}, {"after-connect", {1}}, {"data-in-capsule", {2}}, {NULL, {0}}};

CASE(unsolicited, .id = "transfer.h2cdata-without-r2t",
	.title = "An H2CData that no R2T asked for is a fatal error", .checks = {REQ_C_035},
	.teardown = TEARDOWN_CLOSED, .params = unasked)
{
	struct nvc_queue *queue = param[0] ? connect_admin(t, test_host(t))
					   : initialised_queue(t, test_host(t), NULL);
	struct nvc_pdu pdu = {
		.ch = {.type = NVC_PDU_H2C_DATA, .flags = NVC_FLAG_LAST}, .data = zeros(SEND_LEN)};
	struct nvc_completion done;

	pdu.xfer.length = SEND_LEN;
	if (param[0] == 2) {
		pdu.xfer.cccid = submit_send(t, queue, SEND_LEN, false, NULL);
		if (test_running(t) &&
			nvc_queue_wait(queue, pdu.xfer.cccid, 0, &done, NULL) != NVC_OK)
			test_inconclusive(t, "Authentication Send was not answered");
	}
	send_pdu(t, queue, &pdu, NULL);
	expect_fatal(t, REQ_C_035, queue, TERM(FES(NVC_FES_INVALID_FIELD) | FES(NVC_FES_SEQUENCE)));
}

/* ---- data that fits ---- */

CASE(in_capsule, .id = "transfer.in-capsule",
	.title = "8192 bytes in the capsule of an admin command are taken", .checks = {REQ_C_036})
{
	struct nvc_queue *admin = connect_admin(t, test_host(t));
	uint16_t cid = submit_send(t, admin, NVC_PDU_MAX_IN_CAPSULE, false, NULL);
	struct nvc_completion done = {0};

	/* The message is nonsense; which answer it gets does not matter as long as it is one to the message. */
	if (wait_answer(t, REQ_C_036, admin, cid, &done))
		expect_true(t, REQ_C_036,
			done.status != NVC_SC_DATA_SGL_LENGTH && done.status != NVC_SC_SGL_TYPE &&
				done.status != NVC_SC_SGL_OFFSET,
			"the command is processed", "status %03Xh %s", done.status,
			nvc_status_name(done.status));
}

/* What is seen of the C2HData of one command. */
struct seen_data {
	uint32_t next;
	unsigned int num_last, num_success;
	bool in_order, flags_ok, last_at_end;
};

static void see(struct seen_data *seen, const struct nvc_pdu *pdu)
{
	const bool last = pdu->ch.flags & NVC_FLAG_LAST;

	seen->in_order = seen->in_order && pdu->xfer.offset == seen->next &&
			 pdu->xfer.length == pdu->data.len;
	seen->next += pdu->xfer.length;
	seen->num_last += last;
	seen->last_at_end = last;
	seen->num_success += (pdu->ch.flags & NVC_FLAG_SUCCESS) != 0;
	seen->flags_ok = seen->flags_ok && !(pdu->ch.flags & 0xf0) &&
			 (last || !(pdu->ch.flags & NVC_FLAG_SUCCESS));
}

static struct seen_data identify_data(struct test *t, struct nvc_queue *admin)
{
	struct seen_data seen = {.in_order = true, .flags_ok = true};
	struct nvc_error err = {0};
	struct nvc_pdu pdu = {0};
	uint16_t cid;

	if (!test_running(t))
		return seen;
	test_step(t, "Identify");
	if (nvc_submit_identify(admin, NVC_CNS_CONTROLLER, 0, &cid, &err) != NVC_OK)
		test_inconclusive(t, "%s", err.text);
	while (test_running(t) && seen.num_success == 0 && seen.next < 2 * NVC_IDENTIFY_LEN) {
		if (nvc_queue_recv_pdu(admin, 0, &pdu, &err) != NVC_OK)
			test_inconclusive(t, "%s", err.text);
		else if (pdu.ch.type == NVC_PDU_C2H_DATA)
			see(&seen, &pdu);
		else
			break;
	}
	return seen;
}

static const struct case_param flow_controls[] = {
	{"flow-control", {0}}, {"dissqfc", {NVC_CATTR_DISSQFC}}, {NULL, {0}}};

CASE(c2h_data, .id = "transfer.c2hdata",
	.title = "C2HData is contiguous from 0, LAST_PDU is on the last, and SUCCESS only where it "
		 "may be",
	.checks = {REQ_C_037, REQ_C_038, REQ_C_040}, .needs = NEED_AUTH, .params = flow_controls)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const struct nvc_queue_options options = {.cattr = (uint8_t)param[0]};
	struct nvc_queue *admin = connect_as(t, host, &options);
	struct seen_data seen;

	if (test_running(t) && nvc_queue_info(admin)->atr)
		authenticate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	enable(t, admin);
	seen = identify_data(t, admin);
	if (!test_running(t))
		return;
	expect_true(t, REQ_C_037, seen.in_order && seen.next == NVC_IDENTIFY_LEN,
		"4096 bytes, contiguous from DATAO 0", "%s%u bytes",
		seen.in_order ? "" : "out of order: ", seen.next);
	expect_true(t, REQ_C_037, seen.num_last == 1 && seen.last_at_end,
		"LAST_PDU once, at the end", "LAST_PDU %u times%s", seen.num_last,
		seen.last_at_end ? "" : ", not at the end");
	expect_true(t, REQ_C_038,
		seen.num_success == 0 || nvc_queue_info(admin)->connect.sqhd == 0xffff,
		"SUCCESS only with DISSQFC granted", "SUCCESS %u times, SQHD of Connect %04Xh",
		seen.num_success, nvc_queue_info(admin)->connect.sqhd);
	expect_true(t, REQ_C_040, seen.flags_ok, "bits 7:4 of FLAGS zero, SUCCESS with LAST_PDU",
		"FLAGS %s", seen.flags_ok ? "in order" : "with other bits");
}

/* ---- TCP cuts and joins ---- */

static const struct case_param shapes[] = {
	{"1-byte", {1, 0}}, {"7-bytes", {7, 0}}, {"merged", {0, 1}}, {NULL, {0}}};

CASE(segments, .id = "transfer.segments",
	.title = "PDUs in pieces, and several in one piece, are understood", .checks = {REQ_C_039},
	.needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .params = shapes)
{
	const struct nvc_fault_plan plan = {.max_segment = (size_t)param[0], .merge = param[1]};
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *queue = NULL;
	struct nvc_error err = {0};

	if (!test_running(t))
		return;
	host->fault = plan;
	expect_true(t, REQ_C_039, nvc_queue_establish(host, NULL, &queue, &err) == NVC_OK,
		"ICResp, and Connect succeeds", "%s",
		queue && nvc_queue_info(queue)->connected ? "both came" : err.text);
	expect_success(t, REQ_C_039, transaction(t, queue, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
}

CASE(joined, .id = "transfer.joined-commands",
	.title = "Commands in one segment, the last of them in two, are each answered",
	.checks = {REQ_C_039, REQ_C_068}, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *admin = connect_admin(t, test_host(t));
	uint8_t bytes[4 * 128];
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));
	unsigned int answers = 0;
	struct nvc_pdu pdu = {0};
	size_t cut;

	for (uint16_t cid = 100; cid < 104; cid++) {
		uint8_t one[128];

		nvc_write_bytes(&writer, capsule(t, admin, cid, NULL, one));
	}
	cut = writer.len > 40 ? writer.len - 40 : 0;
	send_bytes(t, admin, nvc_slice_of(bytes, cut));
	send_bytes(t, admin, nvc_slice_of(bytes + cut, writer.len - cut));
	for (unsigned int i = 0;
		i < 4 && expect_pdu(t, REQ_C_039, admin, NVC_PDU_CAPSULE_RESP, &pdu); i++) {
		uint16_t cid = (uint16_t)nvc_get_le(pdu.cqe + 12, 2);

		if (cid >= 100 && cid < 104)
			answers |= 1u << (cid - 100);
	}
	expect_true(t, REQ_C_068, answers == 0xf, "each CID once", "CIDs 100 + bits %Xh", answers);
}
