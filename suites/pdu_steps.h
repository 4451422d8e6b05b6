/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The verbs of cases that speak below commands: single PDUs, right or wrong, and the fatal errors of the transport
 * (docs/protocol.md 1.5 and 1.9). They follow the rules of suites/steps.h.
 */
#ifndef NVC_SUITES_PDU_STEPS_H
#define NVC_SUITES_PDU_STEPS_H

#include "suites/steps.h"

/* open_queue opens a connection on which nothing has been sent. `options` NULL: an ordinary one. */
struct nvc_queue *open_queue(
	struct test *t, struct nvc_host *host, const struct nvc_queue_options *options);
/* initialised_queue is open_queue, ICReq and ICResp: a queue that waits for Connect. */
struct nvc_queue *initialised_queue(
	struct test *t, struct nvc_host *host, const struct nvc_queue_options *options);

/* connect_answer sends Connect on an initialised queue, and command_answer a command; both judge only that it is answered, with whatever
 * status. False when the case has its verdict. expect_answer_status judges the status; `expected` says which in words. */
bool connect_answer(struct test *t, enum req_id req, struct nvc_queue *queue,
	const struct nvc_queue_options *options, struct nvc_completion *done);
bool command_answer(struct test *t, enum req_id req, struct nvc_queue *queue,
	const struct nvc_command *command, struct nvc_completion *done);
void expect_answer_status(struct test *t, enum req_id req, const struct nvc_completion *done,
	const char *expected, struct codes statuses);

/* send_pdu and send_bytes send; a connection which the target ends meanwhile is left for the next step to judge. */
void send_pdu(struct test *t, struct nvc_queue *queue, const struct nvc_pdu *pdu,
	const struct nvc_bends *bends);
void send_bytes(struct test *t, struct nvc_queue *queue, struct nvc_slice bytes);
/* submit sends a command and returns its CID, to be waited for or looked at PDU by PDU. */
uint16_t submit(struct test *t, struct nvc_queue *queue, const struct nvc_command *command);
/* submit_send submits an Authentication Send of `len` zeros (at most NVC_QUEUE_MAX_DATA), which every queue takes right after Connect and
 * which harms nobody; its data goes into the capsule, or by R2T with `r2t`. `bends` are those of the PDU. */
uint16_t submit_send(struct test *t, struct nvc_queue *queue, size_t len, bool r2t,
	const struct nvc_bends *bends);
/* take_r2t submits an Authentication Send by R2T, of as many bytes as every known target asks for in this way and as fit into one
 * H2CData, and needs one R2T for all of them. Returns its CID. */
uint16_t take_r2t(struct test *t, struct nvc_queue *queue, struct nvc_pdu *r2t);
/* wait_answer waits for the answer to a submitted command and judges only that there is one. False when the case has its verdict. */
bool wait_answer(struct test *t, enum req_id req, struct nvc_queue *queue, uint16_t cid,
	struct nvc_completion *done);
/* zeros returns `len` bytes of such data. */
struct nvc_slice zeros(size_t len);
/* capsule writes a CapsuleCmd with a Property Get of CSTS under `cid`, as it would be sent on `queue`, into `out`. */
struct nvc_slice capsule(struct test *t, struct nvc_queue *queue, uint16_t cid,
	const struct nvc_bends *bends, uint8_t out[128]);

/* take_pdu needs a PDU of `type` next; expect_pdu judges that it comes. False when the case has its verdict. */
bool take_pdu(struct test *t, struct nvc_queue *queue, enum nvc_pdu_type type, struct nvc_pdu *pdu);
bool expect_pdu(struct test *t, enum req_id req, struct nvc_queue *queue, enum nvc_pdu_type type,
	struct nvc_pdu *pdu);

/* What a C2HTermReq may say: FES as bits, and FEI where it has a meaning. */
struct term_want {
	unsigned int fes;
	size_t num_fei; /* 0: FEI is reserved */
	uint32_t fei[2];
};
#define FES(fes_)	    (1u << (fes_))
#define TERM(fes_)	    ((struct term_want){.fes = (fes_)})
#define TERM_AT(fes_, fei_) ((struct term_want){.fes = (fes_), .num_fei = 1, .fei = {(fei_)}})

/*
 * expect_fatal judges that the controller treats what was sent as a fatal error: C2HTermReq that says `want`. The end of the connection
 * without one is accepted and put on record (N-020); going on or silence violates `req`. After C2HTermReq our side is closed, as a host does.
 */
void expect_fatal(struct test *t, enum req_id req, struct nvc_queue *queue, struct term_want want);
/* take_term is expect_fatal that leaves the connection and the C2HTermReq to the case. False when none came. */
bool take_term(struct test *t, enum req_id req, struct nvc_queue *queue, struct term_want want,
	struct nvc_pdu *pdu);
/* expect_silent_end judges that the controller ends the connection without another PDU. */
void expect_silent_end(struct test *t, enum req_id req, struct nvc_queue *queue);

#endif
