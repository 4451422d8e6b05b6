/* SPDX-License-Identifier: BSD-3-Clause */
/* What a queue is made of; for the files of lib/host only. */
#ifndef NVC_HOST_QUEUE_STATE_H
#define NVC_HOST_QUEUE_STATE_H

#include "host/host.h"

enum {
	/* A controller that answers with so many PDUs without the one that is waited for floods us; without this bound a virtual clock
	 * that stands still would let it go on for ever. */
	NVC_QUEUE_MAX_IDLE_PDUS = 10000,
};

/* A command on its way. Its buffers stay with the slot, so that nothing is allocated per command. */
struct nvc_slot {
	bool used;    /* submitted and not yet handed out by nvc_queue_wait */
	uint64_t age; /* order of submission */
	uint16_t cid;
	uint8_t *in, *out;
	size_t in_cap, out_cap;
	size_t in_len, in_got;	  /* expected, arrived without a gap */
	size_t out_len, out_next; /* to be fetched by R2T, first byte not yet asked for */
	struct nvc_completion done;
};

struct nvc_queue {
	struct nvc_queue_info info;
	struct nvc_host *host;
	struct nvc_queue *next;
	struct nvc_stream *stream; /* outermost; NULL only while opening */
	struct nvc_stream *tls;	   /* inside `stream`, or NULL */
	uint64_t timeout;	   /* 0: that of the host */
	uint32_t network;	   /* number at struct nvc_host_network */
	enum nvc_result over;	   /* why nothing more can be received; NVC_OK while it can */
	uint8_t *rx;
	size_t rx_cap, rx_start, rx_end, rx_taken; /* taken: length of the PDU handed out last */
	uint8_t *tx;
	size_t tx_cap;
	uint16_t next_cid;
	uint64_t next_age;
	struct nvc_slot slots[NVC_QUEUE_MAX_PENDING];
};

/* nvc_queue_deadline returns the point in time `timeout` (0: the queue's) from now. */
uint64_t nvc_queue_deadline(const struct nvc_queue *queue, uint64_t timeout);

/* nvc_queue_violation records that the controller broke the protocol. */
void nvc_queue_violation(struct nvc_queue *queue, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* nvc_queue_send_bytes sends through the stream and notices the peer's end. */
enum nvc_result nvc_queue_send_bytes(
	struct nvc_queue *queue, struct nvc_slice bytes, uint64_t deadline, struct nvc_error *err);

/* nvc_queue_encode_pdu encodes into the queue's own buffer; the slice is valid until the next call. */
enum nvc_result nvc_queue_encode_pdu(struct nvc_queue *queue, const struct nvc_pdu *pdu,
	const struct nvc_bends *bends, struct nvc_slice *out, struct nvc_error *err);

/* nvc_queue_next_pdu takes the next PDU until `deadline`; see nvc_queue_recv_pdu. */
enum nvc_result nvc_queue_next_pdu(
	struct nvc_queue *queue, uint64_t deadline, struct nvc_pdu *pdu, struct nvc_error *err);

/* nvc_queue_dispatch acts on a PDU: completions, data, R2T, TermReq; the rest is a violation. Fails when an answer to
 * an R2T cannot be sent. */
enum nvc_result nvc_queue_dispatch(struct nvc_queue *queue, const struct nvc_pdu *pdu,
	uint64_t deadline, struct nvc_error *err);

#endif
