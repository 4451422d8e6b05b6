/* SPDX-License-Identifier: BSD-3-Clause */
/* Single PDUs and the fatal errors of the transport, as the cases say them. */
#include "suites/pdu_steps.h"

#include <stdio.h>

#include "suites/steps_internal.h"

struct nvc_queue *open_queue(
	struct test *t, struct nvc_host *host, const struct nvc_queue_options *options)
{
	struct nvc_error err = {0};
	struct nvc_queue *queue = NULL;
	enum nvc_result result;

	if (!test_running(t))
		return NULL;
	result = nvc_queue_open(host, options, &queue, &err);
	if (result != NVC_OK)
		not_reached(t, "opening a connection", result, err.text);
	else
		test_watch(t, queue);
	return queue;
}

struct nvc_queue *initialised_queue(
	struct test *t, struct nvc_host *host, const struct nvc_queue_options *options)
{
	struct nvc_queue *queue = open_queue(t, host, options);
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return queue;
	result = nvc_queue_ic(queue, options, &err);
	if (result != NVC_OK)
		not_reached(t, "ICReq", result, err.text);
	return queue;
}

bool connect_answer(struct test *t, enum req_id req, struct nvc_queue *queue,
	const struct nvc_queue_options *options, struct nvc_completion *done)
{
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return false;
	test_step(t, "Connect, queue %u", options->qid);
	result = nvc_queue_connect(queue, options, done, &err);
	if (result != NVC_OK)
		unanswered(t, req, nvc_queue_info(queue)->host, "an answer to Connect", result,
			err.text);
	return test_running(t);
}

bool command_answer(struct test *t, enum req_id req, struct nvc_queue *queue,
	const struct nvc_command *command, struct nvc_completion *done)
{
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return false;
	test_watch(t, queue);
	test_step(t, "%s", command->layout->name);
	result = nvc_queue_do(queue, command, done, &err);
	if (result != NVC_OK)
		unanswered(t, req, nvc_queue_info(queue)->host, "an answer to the command", result,
			err.text);
	return test_running(t);
}

void expect_answer_status(struct test *t, enum req_id req, const struct nvc_completion *done,
	const char *expected, struct codes statuses)
{
	expect_true(t, req, code_accepted(statuses, done->status), expected, "status %03Xh %s",
		done->status, nvc_status_name(done->status));
}

/* The end of the connection while we send is an answer; what kind of one is judged by who waits for it. */
static void sent(struct test *t, enum nvc_result result, const struct nvc_error *err)
{
	if (result != NVC_OK && result != NVC_E_CLOSED && result != NVC_E_RESET)
		not_reached(t, "sending", result, err->text);
}

void send_pdu(struct test *t, struct nvc_queue *queue, const struct nvc_pdu *pdu,
	const struct nvc_bends *bends)
{
	struct nvc_error err = {0};

	if (!test_running(t))
		return;
	test_step(t, "send a PDU of type %02Xh", pdu->ch.type);
	sent(t, nvc_queue_send_pdu(queue, pdu, bends, &err), &err);
}

void send_bytes(struct test *t, struct nvc_queue *queue, struct nvc_slice bytes)
{
	struct nvc_error err = {0};

	if (!test_running(t))
		return;
	test_step(t, "send %zu bytes", bytes.len);
	sent(t, nvc_queue_send_raw(queue, bytes, &err), &err);
}

uint16_t submit(struct test *t, struct nvc_queue *queue, const struct nvc_command *command)
{
	struct nvc_error err = {0};
	uint16_t cid = 0;

	if (test_running(t)) {
		test_step(t, "submit %s", command->layout->name);
		sent(t, nvc_queue_submit(queue, command, &cid, &err), &err);
	}
	return cid;
}

bool wait_answer(struct test *t, enum req_id req, struct nvc_queue *queue, uint16_t cid,
	struct nvc_completion *done)
{
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return false;
	result = nvc_queue_wait(queue, cid, 0, done, &err);
	if (result != NVC_OK)
		unanswered(t, req, nvc_queue_info(queue)->host, "an answer to the command", result,
			err.text);
	return test_running(t);
}

struct nvc_slice zeros(size_t len)
{
	static const uint8_t bytes[NVC_QUEUE_MAX_DATA];

	return nvc_slice_of(bytes, len);
}

uint16_t submit_send(struct test *t, struct nvc_queue *queue, size_t len, bool r2t,
	const struct nvc_bends *bends)
{
	const struct nvc_cmd_auth fields = nvc_cmd_auth_of(NVC_FCTYPE_AUTH_SEND, (uint32_t)len);

	return submit(t, queue,
		&(const struct nvc_command){.layout = &nvc_cmd_auth_send_layout,
			.fields = &fields,
			.out = zeros(len),
			.transport_sgl = r2t,
			.pdu_bends = bends});
}

struct nvc_slice capsule(struct test *t, struct nvc_queue *queue, uint16_t cid,
	const struct nvc_bends *bends, uint8_t out[128])
{
	const struct nvc_cmd_property fields = {.head.opc = NVC_OPC_FABRICS,
		.fctype = NVC_FCTYPE_PROPERTY_GET,
		.ofst = NVC_PROP_CSTS};
	const struct nvc_command command = {
		.layout = &nvc_cmd_property_get_layout, .fields = &fields};
	struct nvc_writer writer = nvc_writer_over(out, 128);
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD};

	if (!test_running(t))
		return nvc_slice_of(out, 0);
	if (nvc_queue_encode_sqe(queue, &command, cid, pdu.sqe, NULL) != NVC_OK ||
		nvc_pdu_encode(&pdu, &nvc_queue_info(queue)->mode, bends, &writer) != NVC_OK)
		test_error(t, "a CapsuleCmd cannot be encoded as asked");
	return nvc_writer_slice(&writer);
}

static const char *type_name(uint8_t type)
{
	const char *name = nvc_name_of(nvc_pdu_type_names, type);

	return name ? name : "a PDU of an undefined type";
}

bool take_pdu(struct test *t, struct nvc_queue *queue, enum nvc_pdu_type type, struct nvc_pdu *pdu)
{
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return false;
	result = nvc_queue_recv_pdu(queue, 0, pdu, &err);
	if (result != NVC_OK)
		not_reached(t, type_name((uint8_t)type), result, err.text);
	else if (pdu->ch.type != type)
		test_inconclusive(t, "%s came instead of %s", type_name(pdu->ch.type),
			type_name((uint8_t)type));
	return test_running(t);
}

bool expect_pdu(struct test *t, enum req_id req, struct nvc_queue *queue, enum nvc_pdu_type type,
	struct nvc_pdu *pdu)
{
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return false;
	result = nvc_queue_recv_pdu(queue, 0, pdu, &err);
	if (result != NVC_OK)
		unanswered(t, req, nvc_queue_info(queue)->host, type_name((uint8_t)type), result,
			err.text);
	else if (pdu->ch.type != type)
		test_violated(t, req, type_name((uint8_t)type), "%s", type_name(pdu->ch.type));
	else
		test_judged(t, req, "%s", type_name((uint8_t)type));
	return test_running(t);
}

uint16_t take_r2t(struct test *t, struct nvc_queue *queue, struct nvc_pdu *r2t)
{
	/* Linux asks for nothing up to the 16384 bytes of in-capsule data that its ports have at first. */
	enum { ENOUGH = 32768, SPARE = 4096 };
	const uint32_t max = test_running(t) ? nvc_queue_info(queue)->icresp.max : 0;
	const uint32_t len = (max > SPARE && max < ENOUGH ? max : ENOUGH) - SPARE;
	const uint16_t cid = submit_send(t, queue, len, true, NULL);

	if (take_pdu(t, queue, NVC_PDU_R2T, r2t) &&
		(r2t->xfer.offset != 0 || r2t->xfer.length != len))
		test_inconclusive(t, "the R2T asks for %u bytes from %u, not for %u from 0",
			r2t->xfer.length, r2t->xfer.offset, len);
	return cid;
}

/* ---- fatal errors ---- */

/* "C2HTermReq FES 01h or 06h, FEI 10, then the end" */
static const char *want_text(struct term_want want, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "C2HTermReq FES");

	for (unsigned int fes = 0, num = 0; fes < 32 && len < size; fes++)
		if (want.fes & FES(fes))
			len += (size_t)snprintf(
				out + len, size - len, "%s %02Xh", num++ ? " or" : "", fes);
	for (size_t i = 0; i < want.num_fei && len < size; i++)
		len += (size_t)snprintf(
			out + len, size - len, "%s %Xh", i ? " or" : ", FEI", want.fei[i]);
	if (len < size)
		snprintf(out + len, size - len, ", then the end of the connection");
	return out;
}

static bool term_fits(const struct nvc_term *term, struct term_want want)
{
	if (term->fes >= 32 || !(want.fes & FES(term->fes)))
		return false;
	for (size_t i = 0; i < want.num_fei; i++)
		if (term->fei == want.fei[i])
			return true;
	return want.num_fei == 0;
}

bool take_term(struct test *t, enum req_id req, struct nvc_queue *queue, struct term_want want,
	struct nvc_pdu *pdu)
{
	struct nvc_error err = {0};
	char expected[160];
	enum nvc_result result;

	if (!test_running(t))
		return false;
	test_watch(t, queue);
	want_text(want, expected, sizeof(expected));
	result = nvc_queue_recv_pdu(queue, test_end_bound(t), pdu, &err);
	if (result == NVC_E_CLOSED || result == NVC_E_RESET) {
		test_judged(t, req, "%s", err.text);
		test_violated(t, REQ_N_020, expected, "%s", err.text);
		return false;
	}
	if (result != NVC_OK)
		unanswered(t, req, nvc_queue_info(queue)->host, expected, result, err.text);
	else if (pdu->ch.type != NVC_PDU_C2H_TERM_REQ)
		test_violated(t, req, expected, "the controller went on with %s",
			type_name(pdu->ch.type));
	else if (!term_fits(&pdu->term, want))
		test_violated(t, req, expected, "C2HTermReq FES %02Xh, FEI %Xh", pdu->term.fes,
			pdu->term.fei);
	else
		test_judged(t, req, "C2HTermReq FES %02Xh, FEI %Xh", pdu->term.fes, pdu->term.fei);
	test_judged(t, REQ_N_020, "the fatal error was named");
	return test_running(t);
}

void expect_fatal(struct test *t, enum req_id req, struct nvc_queue *queue, struct term_want want)
{
	struct nvc_pdu pdu;

	if (take_term(t, req, queue, want, &pdu))
		nvc_queue_close(queue, NVC_END_FIN);
}

void expect_silent_end(struct test *t, enum req_id req, struct nvc_queue *queue)
{
	static const char expected[] = "the end of the connection, and no PDU before it";
	struct nvc_error err = {0};
	struct nvc_pdu pdu;
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_watch(t, queue);
	result = nvc_queue_recv_pdu(queue, test_end_bound(t), &pdu, &err);
	if (result == NVC_E_CLOSED || result == NVC_E_RESET)
		test_judged(t, req, "%s", err.text);
	else if (result == NVC_OK)
		test_violated(t, req, expected, "%s", type_name(pdu.ch.type));
	else
		unanswered(t, req, nvc_queue_info(queue)->host, expected, result, err.text);
}
