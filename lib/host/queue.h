/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue of the host emulator: one TCP connection, with or without TLS, and the commands on it. It follows the
 * protocol by itself (R2T, C2HData, SUCCESS, digests) and believes nothing: what the controller does wrong is recorded, never
 * fatal to us, and every call is bounded by a timeout. Timeouts are nanoseconds; 0 means the queue's own.
 */
#ifndef NVC_HOST_QUEUE_H
#define NVC_HOST_QUEUE_H

#include "stream/tls.h"
#include "wire/command.h"

struct nvc_host;
struct nvc_queue;

enum {
	NVC_QUEUE_MAX_PENDING = 64,		      /* commands on their way at once */
	NVC_QUEUE_MAX_DATA = 1 << 20,		      /* bytes one command may ask for or send */
	NVC_QUEUE_MAX_PDU = NVC_QUEUE_MAX_DATA + 512, /* a longer PLEN is a lie */
};

/* Which of the addresses of the host is meant. */
enum nvc_port_kind {
	NVC_PORT_MAIN =
		0, /* the port under test: plain TCP, and TLS where concatenation is offered */
	NVC_PORT_PLAIN_ONLY, /* no TLS */
	NVC_PORT_TLS_ONLY,   /* nothing but TLS */
	NVC_NUM_PORT_KINDS
};

/* How a queue is opened, initialised and connected. The zero value is an ordinary plain admin queue. */
struct nvc_queue_options {
	/* the connection */
	enum nvc_port_kind port;
	const struct nvc_tls_psk *tls; /* the PSK of a TLS connection; NULL: plain TCP */
	const struct nvc_tls_options
		*tls_options; /* a TLS offer out of the ordinary; its psk counts, `tls` does not */
	const struct nvc_fault_plan *fault; /* NULL: that of the host */
	const char *label; /* for the observer; NULL: "admin", "io 1", ... Borrowed */
	uint64_t timeout;  /* of this queue; 0: that of the host */
	/* ICReq */
	const struct nvc_ic *ic; /* NULL: that of the host */
	const struct nvc_bends *ic_bends;
	/* Connect */
	uint16_t qid;		       /* 0: the admin queue */
	const struct nvc_queue *admin; /* of an I/O queue: whose CNTLID it gives; NULL: FFFFh */
	uint16_t sqsize;	       /* 0's based; 0: 31 (a bend can send 0) */
	uint8_t cattr;		       /* NVC_CATTR_DISSQFC */
	const char *hostnqn, *subnqn;  /* NULL: those of the host; cut at 256 bytes */
	const uint8_t *hostid;	       /* 16 bytes; NULL: that of the host */
	const struct nvc_bends *sqe_bends, *data_bends;
};

/* What is known about a queue; read through nvc_queue_info. */
struct nvc_queue_info {
	struct nvc_host *host;
	uint32_t
		connection; /* running number in the host, as told to the observer; 0: never opened */
	char label[32];
	uint16_t qid;
	bool tls;
	char tls_identity[sizeof(
		((struct nvc_tls_psk *)NULL)->identity)]; /* of the PSK offered, or empty */
	uint8_t tls_alert; /* description, when the handshake or the connection ended with one */
	/* after ICResp */
	bool initialised;
	struct nvc_ic icresp;
	struct nvc_pdu_mode mode;
	/* after the response to Connect */
	bool connected;		/* status 0 */
	struct nvc_cqe connect; /* all zero before */
	uint16_t cntlid;
	bool atr, ascr; /* AUTHREQ of the response */
	/* the end */
	enum nvc_end
		end; /* how the peer ended the connection; NVC_END_OPEN: it has not, as far as seen */
	enum nvc_end local_end; /* how we did */
	bool silent;		/* the last wait for something from the controller ran out */
	bool term_received;	/* C2HTermReq */
	struct nvc_term term;
	/* what the controller did wrong, in words; the first one, and how many */
	char violation[192];
	size_t num_violations;
	size_t pdus_sent, pdus_received;
};

/*
 * One command. `fields` is the struct nvc_cmd_* of `layout`; the host fills CID, PSDT and the SGL of its head. `out` goes to the
 * controller, in the capsule, or by R2T and H2CData with `transport_sgl`; `in_len` bytes are expected from it. `bends` are
 * applied to the 64 bytes of the SQE at last ("cid" too: the answer is then expected under the bent CID);
 * `pdu_bends` to the header of the capsule.
 */
struct nvc_command {
	const struct nvc_layout *layout;
	const void *fields;
	struct nvc_slice out; /* copied when needed beyond the call */
	bool transport_sgl;
	size_t in_len;
	const struct nvc_bends *bends, *pdu_bends;
};

/* What became of a command. */
struct nvc_completion {
	bool answered;	    /* a CapsuleResp came, or SUCCESS stood in for it */
	bool success_flag;  /* ... it was SUCCESS in C2HData */
	struct nvc_cqe cqe; /* zero unless answered */
	uint16_t status;    /* SCT << 8 | SC; 0 and not answered is no success */
	bool dnr;
	/* Bytes from offset 0 without a gap, also when the command was never answered (VM pitfall: a capsule can be
	 * lost). The buffer behind it is zeroed and in_len long. Valid until the next command is submitted. */
	struct nvc_slice data;
	bool data_last;		/* LAST came: the data is complete */
	bool data_digest_wrong; /* a DDGST did not match: the data must not be used */
};

/* ---- from TCP to Connect ---- */

/*
 * nvc_queue_open connects TCP, does TLS when asked and puts faults (below TLS) and the observer (above TLS) in
 * place. `*queue` is NULL when there is no connection; it belongs to `host`, which frees it at the latest in nvc_host_close_all. Errors
 * are those of the world's connect and of nvc_tls_connect; host->open_end and open_alert tell how a handshake ended.
 */
enum nvc_result nvc_queue_open(struct nvc_host *host, const struct nvc_queue_options *options,
	struct nvc_queue **queue, struct nvc_error *err);

/* nvc_queue_ic exchanges ICReq and ICResp (TCP 1.0, 3.6.2.2) and sets the digests on. NVC_E_MALFORMED when something else than
 * ICResp came, or one that turns on what was not asked for. `options` NULL: the ordinary ICReq. */
enum nvc_result nvc_queue_ic(
	struct nvc_queue *queue, const struct nvc_queue_options *options, struct nvc_error *err);

/* nvc_queue_take_icresp does the second half of nvc_queue_ic where the PDUs are sent and received one by one: it acts on what the controller
 * answered to ICReq; `dgst` is what was asked for. NVC_E_CLOSED for C2HTermReq; else the errors of nvc_queue_ic. */
enum nvc_result nvc_queue_take_icresp(
	struct nvc_queue *queue, const struct nvc_pdu *pdu, uint8_t dgst, struct nvc_error *err);

/* nvc_queue_connect sends Connect with its 1024 bytes in the capsule (Base 2.2, 6.3). NVC_OK when it was answered, with
 * whatever status: see `done` (may be NULL) and nvc_queue_info. `options` NULL: the ordinary admin queue. */
enum nvc_result nvc_queue_connect(struct nvc_queue *queue, const struct nvc_queue_options *options,
	struct nvc_completion *done, struct nvc_error *err);

/* nvc_queue_establish is open, ic and connect in one. NVC_E_REFUSED also when Connect was answered with an error status
 * (then info->connect holds it). `*queue` is set as soon as there is a connection, for a look at how far it came. */
enum nvc_result nvc_queue_establish(struct nvc_host *host, const struct nvc_queue_options *options,
	struct nvc_queue **queue, struct nvc_error *err);

/* nvc_queue_info returns what is known about `queue`; valid as long as the queue. */
const struct nvc_queue_info *nvc_queue_info(const struct nvc_queue *queue);

/* nvc_queue_next returns the queue that its host opened before this one and still has, or NULL; host->queues is the newest. */
struct nvc_queue *nvc_queue_next(const struct nvc_queue *queue);

/* nvc_queue_set_timeout changes the timeout of all later calls on `queue`; 0: that of the host. */
void nvc_queue_set_timeout(struct nvc_queue *queue, uint64_t timeout);

/* ---- commands ---- */

/* nvc_queue_submit sends a command without waiting. `tag` receives its CID. NVC_E_NO_SPACE with 64 commands on their way, NVC_E_INVALID
 * for a bend of an unknown field or too much data, else the errors of sending. Allowed in every state of the queue. */
enum nvc_result nvc_queue_submit(struct nvc_queue *queue, const struct nvc_command *command,
	uint16_t *tag, struct nvc_error *err);

/*
 * nvc_queue_wait takes PDUs until the command `tag` is answered. `done` is filled in every case. NVC_E_TIMEOUT (the command stays pending
 * and may be waited for again), NVC_E_CLOSED / _RESET / _TLS when the connection ended (the command is over; data that came before is
 * in `done`), NVC_E_MALFORMED when the stream cannot be followed any more, NVC_E_INVALID for an unknown tag.
 */
enum nvc_result nvc_queue_wait(struct nvc_queue *queue, uint16_t tag, uint64_t timeout,
	struct nvc_completion *done, struct nvc_error *err);

/* nvc_queue_do is submit and wait with the queue's timeout. `done` may be NULL. */
enum nvc_result nvc_queue_do(struct nvc_queue *queue, const struct nvc_command *command,
	struct nvc_completion *done, struct nvc_error *err);

/* nvc_queue_encode_sqe writes the 64 bytes nvc_queue_submit would send for `command` under `cid`, for authors of raw PDUs. */
enum nvc_result nvc_queue_encode_sqe(const struct nvc_queue *queue,
	const struct nvc_command *command, uint16_t cid, uint8_t sqe[NVC_SQE_LEN],
	struct nvc_error *err);

/* ---- below commands ---- */

/* nvc_queue_send_raw sends `bytes` as they are. */
enum nvc_result nvc_queue_send_raw(
	struct nvc_queue *queue, struct nvc_slice bytes, struct nvc_error *err);

/* nvc_queue_send_pdu encodes `pdu` under the queue's mode with `bends` (NULL: none) and sends it. */
enum nvc_result nvc_queue_send_pdu(struct nvc_queue *queue, const struct nvc_pdu *pdu,
	const struct nvc_bends *bends, struct nvc_error *err);

/* nvc_queue_recv_pdu takes the next PDU without acting on it. Its slices are valid until the next call on the queue. Errors as
 * those of nvc_queue_wait. */
enum nvc_result nvc_queue_recv_pdu(
	struct nvc_queue *queue, uint64_t timeout, struct nvc_pdu *pdu, struct nvc_error *err);

/* nvc_queue_stream returns the stream of application bytes (for nvc_tls_key_update: nvc_queue_tls_stream). Borrowed. */
struct nvc_stream *nvc_queue_stream(const struct nvc_queue *queue);
/* nvc_queue_tls_stream returns the TLS stream itself, or NULL on plain TCP. Borrowed. */
struct nvc_stream *nvc_queue_tls_stream(const struct nvc_queue *queue);

/* ---- the end ---- */

/* nvc_queue_close ends our side: NVC_END_FIN (TLS: close_notify before it), after which nothing can be sent but what the peer still
 * says and how it ends can be read; or NVC_END_RST, after which there is nothing any more (NVC_E_STATE). */
void nvc_queue_close(struct nvc_queue *queue, enum nvc_end how);

/* nvc_queue_free closes (FIN) what is still open and frees `queue`; NULL is allowed. */
void nvc_queue_free(struct nvc_queue *queue);

/* nvc_queue_await_end takes PDUs (acting on them as nvc_queue_wait does) until the peer ends the connection. NVC_OK with how it did in `end`;
 * also with NVC_END_OPEN after C2HTermReq (info->term_received): the controller then waits for us to close. NVC_E_TIMEOUT with
 * NVC_END_OPEN when nothing of that happened within `timeout`. */
enum nvc_result nvc_queue_await_end(
	struct nvc_queue *queue, uint64_t timeout, enum nvc_end *end, struct nvc_error *err);

/*
 * nvc_queue_usable does one round trip: Property Get CSTS on the admin queue, Read of one block on an I/O queue. NVC_OK when it was answered,
 * with the status in `done` (may be NULL): an unauthenticated queue answers too, with 191h.
 */
enum nvc_result nvc_queue_usable(struct nvc_queue *queue, uint64_t timeout,
	struct nvc_completion *done, struct nvc_error *err);

#endif
