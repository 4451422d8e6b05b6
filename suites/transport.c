/* SPDX-License-Identifier: BSD-3-Clause */
/* ICReq, headers, digests and TermReq (docs/protocol.md 1.1 to 1.6, 1.8, 1.9). Data transfers are in transfer.c. */
#include "suites/pdu_steps.h"

static const struct case_param digests[] = {{"none", {0}}, {"header", {NVC_DGST_HEADER}},
	{"data", {NVC_DGST_DATA}}, {"both", {NVC_DGST_HEADER | NVC_DGST_DATA}}, {NULL, {0}}};

CASE(icresp, .id = "transport.icresp", .title = "ICReq is answered by a well-formed ICResp",
	.checks = {REQ_C_001, REQ_C_002, REQ_C_003, REQ_C_004, REQ_C_005, REQ_C_006},
	.params = digests)
{
	const struct nvc_pdu icreq = {.ch.type = NVC_PDU_IC_REQ, .ic.dgst = (uint8_t)param[0]};
	struct nvc_queue *queue = open_queue(t, test_host(t), NULL);
	struct nvc_pdu pdu = {0};
	const struct nvc_ch *ch = &pdu.ch;
	const struct nvc_ic *ic = &pdu.ic;

	send_pdu(t, queue, &icreq, NULL);
	if (!expect_pdu(t, REQ_C_001, queue, NVC_PDU_IC_RESP, &pdu))
		return;
	expect_true(t, REQ_C_001,
		ch->hlen == 128 && ch->plen == 128 && ch->pdo == 0 && ch->flags == 0,
		"HLEN 128, PLEN 128, PDO 0, FLAGS 0", "HLEN %u, PLEN %u, PDO %u, FLAGS %02Xh",
		ch->hlen, ch->plen, ch->pdo, ch->flags);
	expect_true(t, REQ_C_002, ic->pfv == 0, "PFV 0", "PFV %u", ic->pfv);
	expect_true(t, REQ_C_003, ic->pda <= 31, "CPDA of at most 31", "CPDA %u", ic->pda);
	expect_true(t, REQ_C_004, ic->max % 4 == 0, "a multiple of 4", "MAXH2CDATA %u", ic->max);
	expect_true(t, REQ_C_005, ic->max >= 4096, "4096 or more", "MAXH2CDATA %u", ic->max);
	expect_true(t, REQ_C_006, (ic->dgst & ~param[0]) == 0, "no digest that was not asked for",
		"DGST %02Xh for %02Xh", ic->dgst, (unsigned int)param[0]);
	if (test_running(t) &&
		nvc_queue_take_icresp(queue, &pdu, (uint8_t)param[0], NULL) == NVC_OK)
		connect_answer(t, REQ_C_001, queue, &(const struct nvc_queue_options){0},
			&(struct nvc_completion){0});
}

CASE(digest, .id = "transport.digests",
	.title = "A connection works with the digests that both sides want, and the digests are "
		 "right",
	.checks = {REQ_C_007, REQ_C_021, REQ_C_022}, .needs = NEED_AUTH,
	.teardown = TEARDOWN_USABLE, .params = digests)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const struct nvc_ic ic = {.dgst = (uint8_t)param[0]};
	const struct nvc_queue_options options = {.ic = &ic};
	struct nvc_queue *queue = NULL;
	const struct nvc_queue_info *info;
	struct nvc_error err = {0};

	if (!test_running(t))
		return;
	expect_true(t, REQ_C_007, nvc_queue_establish(host, &options, &queue, &err) == NVC_OK,
		"Connect succeeds", "%s",
		queue && nvc_queue_info(queue)->connected ? "Connect succeeded" : err.text);
	if (!test_running(t))
		return;
	info = nvc_queue_info(queue);
	if (info->icresp.dgst != param[0])
		test_observed(t, REQ_C_007, "DGST %02Xh was asked for, the ICResp says %02Xh",
			(unsigned int)param[0], info->icresp.dgst);
	expect_success(t, REQ_C_007, transaction(t, queue, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	expect_true(t, param[0] == NVC_DGST_DATA ? REQ_C_022 : REQ_C_021, info->num_violations == 0,
		"PDUs and digests in order", "%s",
		info->num_violations ? info->violation : "nothing wrong");
}

static const struct case_param alignments[] = {{"3", {3}}, {"7", {7}}, {"31", {31}}, {NULL, {0}}};

CASE(hpda, .id = "transport.hpda",
	.title = "C2HData is aligned as HPDA asks, or HPDA is refused as unsupported",
	.checks = {REQ_C_010}, .needs = NEED_AUTH, .params = alignments)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const struct nvc_cmd_auth receive = nvc_cmd_auth_of(NVC_FCTYPE_AUTH_RECEIVE, 4096);
	const struct nvc_command command = {
		.layout = &nvc_cmd_auth_receive_layout, .fields = &receive, .in_len = 4096};
	const unsigned int align = ((unsigned int)param[0] + 1) * 4;
	struct nvc_queue *queue = open_queue(t, host, NULL);
	struct nvc_ic ic = host->ic;
	const struct nvc_queue_options options = {.ic = &ic};
	struct nvc_error err = {0};
	struct nvc_pdu pdu = {0};

	ic.pda = (uint8_t)param[0];
	if (test_running(t) && nvc_queue_ic(queue, &options, &err) != NVC_OK) {
		const struct nvc_queue_info *info = nvc_queue_info(queue);

		expect_true(t, REQ_C_010,
			info->term_received
				? info->term.fes == NVC_FES_UNSUPPORTED && info->term.fei == 10
				: info->end != NVC_END_OPEN,
			"C2HTermReq FES 06h, FEI 10, where the HPDA is not supported", "%s",
			err.text);
		if (!info->term_received)
			test_violated(t, REQ_N_020, "C2HTermReq FES 06h, FEI 10", "%s", err.text);
		return;
	}
	if (test_running(t) && (nvc_queue_connect(queue, &options, NULL, &err) != NVC_OK ||
				       !nvc_queue_info(queue)->connected))
		test_inconclusive(t, "Connect with HPDA %d: %s", param[0], err.text);
	send_negotiate(t, transaction(t, queue, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	submit(t, queue, &command);
	if (take_pdu(t, queue, NVC_PDU_C2H_DATA, &pdu))
		expect_true(t, REQ_C_010, pdu.ch.pdo % align == 0,
			"PDO a multiple of (HPDA + 1) x 4", "PDO %u with HPDA %d", pdu.ch.pdo,
			param[0]);
}

/* ---- headers ---- */

/* A field of a header, where it lies, and the requirement on it. */
static const struct header_field {
	const char *name;
	uint32_t offset;
} header_fields[] = {{"hlen", 2}, {"pdo", 3}, {"plen", 4}, {"pfv", 8}, {"hpda", 10}};
enum { HLEN, PDO, PLEN, PFV, HPDA };

/* {field, value, requirement, FES} */
static const struct case_param icreq_faults[] = {
	{"pfv-1", {PFV, 1, REQ_C_008, FES(NVC_FES_UNSUPPORTED)}},
	{"pfv-ffffh", {PFV, 0xffff, REQ_C_008, FES(NVC_FES_UNSUPPORTED)}},
	{"hpda-32", {HPDA, 32, REQ_C_009, FES(NVC_FES_INVALID_FIELD) | FES(NVC_FES_UNSUPPORTED)}},
	{"hpda-255", {HPDA, 255, REQ_C_009, FES(NVC_FES_INVALID_FIELD) | FES(NVC_FES_UNSUPPORTED)}},
	{"plen-127", {PLEN, 127, REQ_C_011, FES(NVC_FES_INVALID_FIELD)}},
	{"plen-129", {PLEN, 129, REQ_C_011, FES(NVC_FES_INVALID_FIELD)}},
	{"hlen-24", {HLEN, 24, REQ_C_012, FES(NVC_FES_INVALID_FIELD)}},
	{"hlen-127", {HLEN, 127, REQ_C_012, FES(NVC_FES_INVALID_FIELD)}}, {NULL, {0}}};

CASE(icreq, .id = "transport.icreq",
	.title = "An ICReq with a wrong or unsupported field is a fatal error",
	.checks = {REQ_C_008, REQ_C_009, REQ_C_011, REQ_C_012, REQ_N_020},
	.teardown = TEARDOWN_CLOSED, .params = icreq_faults)
{
	const struct header_field *field = &header_fields[param[0]];
	const struct nvc_pdu icreq = {.ch.type = NVC_PDU_IC_REQ};
	struct nvc_queue *queue = open_queue(t, test_host(t), NULL);
	/* One byte more than any PLEN here says, so that nobody waits for it. */
	const struct nvc_bends *bends =
		NVC_BENDS({.field = field->name, .kind = NVC_BEND_SET, .value = (uint64_t)param[1]},
			{.kind = NVC_BEND_APPEND, .bytes = zeros(1)});

	send_pdu(t, queue, &icreq, bends);
	expect_fatal(
		t, (enum req_id)param[2], queue, TERM_AT((unsigned int)param[3], field->offset));
}

static const struct case_param capsule_faults[] = {{"hlen-71", {HLEN, 71, REQ_C_017}},
	{"hlen-73", {HLEN, 73, REQ_C_017}}, {"hlen-0", {HLEN, 0, REQ_C_017}},
	{"plen-8", {PLEN, 8, REQ_C_018}}, {"plen-71", {PLEN, 71, REQ_C_018}},
	{"plen-ffffffffh", {PLEN, -1, REQ_C_019}},
	{"plen-7fffffffh", {PLEN, 0x7fffffff, REQ_C_019}}, {"pdo-0", {PDO, 0, REQ_C_020}},
	{"pdo-in-header", {PDO, 8, REQ_C_020}}, {"pdo-not-aligned", {PDO, 77, REQ_C_020}},
	{NULL, {0}}};

CASE(capsule_header, .id = "transport.capsule",
	.title = "A CapsuleCmd whose HLEN, PLEN or PDO is wrong is a fatal error, told at once",
	.checks = {REQ_C_017, REQ_C_018, REQ_C_019, REQ_C_020}, .teardown = TEARDOWN_CLOSED,
	.params = capsule_faults)
{
	const struct header_field *field = &header_fields[param[0]];
	const struct nvc_bends *bends = NVC_BENDS(
		{.field = field->name, .kind = NVC_BEND_SET, .value = (uint32_t)param[1]});
	/* To who goes on behind a PLEN of 8 the SQE looks like a PDU, with NSID as its PLEN: one of another fault. */
	const struct nvc_cmd_nvme fields = {.head.opc = NVC_ADMIN_KEEP_ALIVE, .nsid = 64};
	const struct nvc_command keep_alive = {
		.layout = &nvc_cmd_nvme_layout, .fields = &fields, .pdu_bends = bends};
	struct nvc_queue *admin = connect_admin(t, test_host(t));

	if (param[0] == PDO)
		submit_send(t, admin, 72, false, bends);
	else
		submit(t, admin, &keep_alive);
	expect_fatal(t, (enum req_id)param[2], admin,
		TERM_AT(FES(NVC_FES_INVALID_FIELD), field->offset));
}

static const struct case_param undefined_types[] = {{"08h", {0x08}}, {"0ah", {0x0a}},
	{"0bh", {0x0b}}, {"80h", {0x80}}, {"ffh", {0xff}}, {NULL, {0}}};

CASE(undefined_type, .id = "transport.undefined-type",
	.title = "A PDU of an undefined type is a fatal error", .checks = {REQ_C_015},
	.teardown = TEARDOWN_CLOSED, .params = undefined_types)
{
	const struct nvc_pdu pdu = {.ch.type = NVC_PDU_H2C_TERM_REQ}; /* 24 bytes without digests */
	struct nvc_queue *queue = initialised_queue(t, test_host(t), NULL);

	send_pdu(t, queue, &pdu,
		NVC_BENDS({.field = "type", .kind = NVC_BEND_SET, .value = (uint64_t)param[0]}));
	expect_fatal(t, REQ_C_015, queue, TERM_AT(FES(NVC_FES_INVALID_FIELD), 0));
}

static const struct case_param controller_types[] = {{"icresp", {NVC_PDU_IC_RESP}},
	{"c2htermreq", {NVC_PDU_C2H_TERM_REQ}}, {"capsuleresp", {NVC_PDU_CAPSULE_RESP}},
	{"c2hdata", {NVC_PDU_C2H_DATA}}, {"r2t", {NVC_PDU_R2T}}, {NULL, {0}}};

CASE(controller_type, .id = "transport.controller-type",
	.title = "A PDU that only controllers send is a fatal error", .checks = {REQ_C_016},
	.teardown = TEARDOWN_CLOSED, .params = controller_types)
{
	const struct nvc_pdu pdu = {
		.ch.type = (uint8_t)param[0], .data = zeros(param[0] == NVC_PDU_C2H_DATA ? 8 : 0)};
	struct nvc_queue *queue = initialised_queue(t, test_host(t), NULL);

	send_pdu(t, queue, &pdu, NULL);
	expect_fatal(t, REQ_C_016, queue, TERM_AT(FES(NVC_FES_INVALID_FIELD), 0));
}

static const struct case_param first_types[] = {
	{"capsulecmd", {NVC_PDU_CAPSULE_CMD}}, {"h2cdata", {NVC_PDU_H2C_DATA}}, {NULL, {0}}};

CASE(first, .id = "transport.first-pdu",
	.title = "A first PDU other than ICReq is a sequence error", .checks = {REQ_C_013},
	.teardown = TEARDOWN_CLOSED, .params = first_types)
{
	struct nvc_queue *queue = open_queue(t, test_host(t), NULL);
	struct nvc_pdu pdu = {.ch.type = (uint8_t)param[0]};

	if (param[0] == NVC_PDU_H2C_DATA)
		pdu.data =
			zeros(128); /* as long as an ICReq, should somebody wait for all of one */
	else
		pdu.data = zeros(72);
	send_pdu(t, queue, &pdu, NULL);
	expect_fatal(t, REQ_C_013, queue, TERM(FES(NVC_FES_SEQUENCE)));
}

static const struct case_param second_icreqs[] = {
	{"after-icresp", {0}}, {"after-connect", {1}}, {NULL, {0}}};

CASE(second, .id = "transport.second-icreq", .title = "A second ICReq is a sequence error",
	.checks = {REQ_C_014}, .teardown = TEARDOWN_CLOSED, .params = second_icreqs)
{
	const struct nvc_pdu icreq = {.ch.type = NVC_PDU_IC_REQ};
	struct nvc_queue *queue = param[0] ? connect_admin(t, test_host(t))
					   : initialised_queue(t, test_host(t), NULL);

	send_pdu(t, queue, &icreq, NULL);
	expect_fatal(t, REQ_C_014, queue, TERM(FES(NVC_FES_SEQUENCE)));
}

/* ---- digests ---- */

/* A queue with one digest on; the case is skipped where the target leaves it off. */
static struct nvc_queue *with_digest(
	struct test *t, struct nvc_host *host, uint8_t dgst, bool connect)
{
	const struct nvc_ic ic = {.dgst = dgst};
	const struct nvc_queue_options options = {.ic = &ic};
	struct nvc_queue *queue =
		connect ? connect_as(t, host, &options) : initialised_queue(t, host, &options);

	if (test_running(t) && !(nvc_queue_info(queue)->icresp.dgst & dgst))
		test_skip(t, "the ICResp leaves the digest off (DGST %02Xh)",
			nvc_queue_info(queue)->icresp.dgst);
	return queue;
}

/* {byte of HDGST, bit} */
static const struct case_param flips[] = {
	{"first-bit", {0, 1}}, {"last-bit", {3, 0x80}}, {NULL, {0}}};

CASE(header_digest, .id = "transport.header-digest",
	.title = "A wrong header digest is a fatal error that names the digest received",
	.checks = {REQ_C_023}, .teardown = TEARDOWN_CLOSED, .params = flips)
{
	struct nvc_queue *queue = with_digest(t, test_host(t), NVC_DGST_HEADER, false);
	uint8_t bytes[128];
	struct nvc_slice pdu = capsule(t, queue, 1, NULL, bytes);

	bytes[NVC_PDU_CMD_HLEN + param[0]] ^= (uint8_t)param[1];
	send_bytes(t, queue, pdu);
	expect_fatal(t, REQ_C_023, queue,
		TERM_AT(FES(NVC_FES_HEADER_DIGEST),
			(uint32_t)nvc_get_le(bytes + NVC_PDU_CMD_HLEN, NVC_PDU_DIGEST_LEN)));
}

static const struct case_param data_ways[] = {{"in-capsule", {0}}, {"h2cdata", {1}}, {NULL, {0}}};

CASE(data_digest, .id = "transport.data-digest",
	.title = "A wrong data digest fails the command and leaves the connection and the "
		 "transaction alone",
	.checks = {REQ_C_024}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .params = data_ways)
{
	const struct nvc_bends *flip =
		NVC_BENDS({.field = "ddgst", .kind = NVC_BEND_XOR, .value = 1});
	struct nvc_queue *admin = with_digest(t, host_as(t, ORDINARY), NVC_DGST_DATA, true);
	struct nvc_completion done = {0};
	struct nvc_pdu pdu = {0};
	uint16_t cid;

	if (param[0]) {
		cid = take_r2t(t, admin, &pdu);
		pdu = (struct nvc_pdu){
			.ch = {.type = NVC_PDU_H2C_DATA, .flags = NVC_FLAG_LAST}, .xfer = pdu.xfer};
		pdu.data = zeros(pdu.xfer.length);
		send_pdu(t, admin, &pdu, flip);
	} else {
		cid = submit_send(t, admin, 72, false, flip);
	}
	if (wait_answer(t, REQ_C_024, admin, cid, &done))
		expect_answer_status(t, REQ_C_024, &done, "status 022h Transient Transport Error",
			CODES(NVC_SC_TRANSIENT_TRANSPORT));
	expect_success(t, REQ_C_024, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
}

/* ---- TermReq ---- */

/* {PLEN, bytes of data} */
static const struct case_param term_lengths[] = {{"plen-24", {24, 0}}, {"plen-96", {96, 72}},
	{"plen-152", {152, 128}}, {"plen-23", {23, 0}}, {"plen-153", {153, 129}},
	{"plen-4096", {4096, 4072}}, {NULL, {0}}};

CASE(h2c_term, .id = "transport.h2ctermreq",
	.title =
		"H2CTermReq ends the connection at once and without an answer, whatever its length",
	.checks = {REQ_C_025, REQ_C_026}, .teardown = TEARDOWN_CLOSED, .params = term_lengths)
{
	const struct nvc_pdu term = {.ch.type = NVC_PDU_H2C_TERM_REQ,
		.term.fes = NVC_FES_SEQUENCE,
		.data = zeros((size_t)param[1])};
	struct nvc_queue *admin = connect_admin(t, test_host(t));

	send_pdu(t, admin, &term,
		NVC_BENDS({.field = "plen", .kind = NVC_BEND_SET, .value = (uint64_t)param[0]}));
	expect_silent_end(t, param[0] >= 24 && param[0] <= 152 ? REQ_C_025 : REQ_C_026, admin);
}

CASE(c2h_term, .id = "transport.c2htermreq",
	.title = "C2HTermReq has no digests and quotes the header at fault", .checks = {REQ_C_027},
	.teardown = TEARDOWN_CLOSED)
{
	struct nvc_queue *queue = with_digest(t, test_host(t), NVC_DGST_HEADER, false);
	uint8_t bytes[128];
	struct nvc_slice sent = capsule(t, queue, 1,
		NVC_BENDS({.field = "hlen", .kind = NVC_BEND_SET, .value = 71}), bytes);
	struct nvc_pdu pdu = {0};

	send_bytes(t, queue, sent);
	if (!take_term(t, REQ_C_017, queue, TERM_AT(FES(NVC_FES_INVALID_FIELD), 2), &pdu))
		return;
	expect_true(t, REQ_C_027, !(pdu.ch.flags & (NVC_FLAG_HDGST | NVC_FLAG_DDGST)),
		"HDGSTF and DDGSTF clear", "FLAGS %02Xh", pdu.ch.flags);
	expect_true(t, REQ_C_027, pdu.ch.plen >= 24 && pdu.ch.plen <= 152, "PLEN 24 to 152",
		"PLEN %u", pdu.ch.plen);
	expect_true(t, REQ_C_027,
		pdu.data.len >= NVC_PDU_CH_LEN &&
			nvc_slice_equal(pdu.data, nvc_slice_sub(sent, 0, pdu.data.len)),
		"the header of the PDU at fault as data", "%zu bytes of data%s", pdu.data.len,
		pdu.data.len ? ", compared with what was sent" : "");
	if (test_running(t))
		nvc_queue_close(queue, NVC_END_FIN);
}

CASE(term_wait, .id = "transport.c2htermreq-then-close",
	.title = "After C2HTermReq the controller does not wait for the host for ever",
	.checks = {REQ_C_027}, .teardown = TEARDOWN_CLOSED, .slow = true, .timeout_s = 90)
{
	struct nvc_queue *queue = initialised_queue(t, test_host(t), NULL);
	const struct nvc_pdu icreq = {.ch.type = NVC_PDU_IC_REQ};
	struct nvc_error err = {0};
	struct nvc_pdu pdu;
	enum nvc_result result;

	send_pdu(t, queue, &icreq, NULL);
	if (!take_term(t, REQ_C_014, queue, TERM(FES(NVC_FES_SEQUENCE)), &pdu))
		return;
	result = nvc_queue_recv_pdu(queue, NVC_SEC(45), &pdu, &err);
	expect_true(t, REQ_C_027, result == NVC_E_CLOSED || result == NVC_E_RESET,
		"the end of the connection after 30 s", "%s",
		result == NVC_OK ? "another PDU" : err.text);
}

static const struct case_param terms[] = {{"c2htermreq", {0}}, {"h2ctermreq", {1}}, {NULL, {0}}};

CASE(after_term, .id = "transport.after-termreq",
	.title = "Nothing is processed after a TermReq, not even what came in the same segment",
	.checks = {REQ_C_028}, .teardown = TEARDOWN_CLOSED, .params = terms)
{
	struct nvc_queue *admin = connect_admin(t, test_host(t));
	const struct nvc_bends *bad =
		NVC_BENDS({.field = "hlen", .kind = NVC_BEND_SET, .value = 71});
	const struct nvc_pdu term = {.ch.type = NVC_PDU_H2C_TERM_REQ, .term.fes = NVC_FES_SEQUENCE};
	uint8_t bytes[256], good[128];
	struct nvc_slice first = capsule(t, admin, 100, bad, bytes);
	struct nvc_slice second = capsule(t, admin, 101, NULL, good);
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));
	struct nvc_pdu pdu;

	writer.len = first.len;
	if (param[0]) {
		writer.len = 0;
		nvc_pdu_encode(&term, &(const struct nvc_pdu_mode){0}, NULL, &writer);
	}
	nvc_write_bytes(&writer, second);
	send_bytes(t, admin, nvc_writer_slice(&writer));
	if (!param[0]) {
		if (!take_term(t, REQ_C_017, admin, TERM_AT(FES(NVC_FES_INVALID_FIELD), 2), &pdu))
			return;
		nvc_queue_close(admin, NVC_END_FIN);
	}
	expect_silent_end(t, REQ_C_028, admin);
}

/* {after ICReq, how} */
static const struct case_param early_ends[] = {{"at-once-fin", {0, NVC_END_FIN}},
	{"at-once-rst", {0, NVC_END_RST}}, {"after-icreq-fin", {1, NVC_END_FIN}},
	{"after-icreq-rst", {1, NVC_END_RST}}, {NULL, {0}}};

CASE(leaves_early, .id = "transport.host-leaves",
	.title = "A host that resets or closes around ICReq leaves a target that serves",
	.checks = {REQ_N_002}, .needs = NEED_AUTH, .params = early_ends)
{
	const struct nvc_pdu icreq = {.ch.type = NVC_PDU_IC_REQ};
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_queue *queue = open_queue(t, host, NULL);

	if (param[0])
		send_pdu(t, queue, &icreq, NULL);
	if (test_running(t))
		nvc_queue_close(queue, (enum nvc_end)param[1]);
	expect_new_association(t, REQ_N_002, host);
}
