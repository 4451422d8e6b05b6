/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The observer (DESIGN idea 5): a passive checker of conversations. It is shown the bytes of every
 * connection, in clear and in the order in which the tester sent and received them, takes the PDUs
 * apart by itself and reports each requirement that it sees violated. It is attached to every
 * connection of every case and is the whole of replay.
 *
 * What it cannot know it does not judge: once a side's bytes cannot be framed or understood (the
 * host emulator sends such on purpose), checks that lean on them stop for that connection, and the
 * transcript says so.
 */
#ifndef NVC_OBSERVER_OBSERVER_H
#define NVC_OBSERVER_OBSERVER_H

#include "catalogue/catalogue.h"
#include "wire/pdu.h"

/* Whose side is judged. In live runs only the controller's: the host emulator misbehaves on
 * purpose. */
enum nvc_observer_judge { NVC_JUDGE_CONTROLLER = 1, NVC_JUDGE_HOST = 2, NVC_JUDGE_BOTH = 3 };

enum nvc_observed_kind {
	NVC_OBSERVED_PDU,
	NVC_OBSERVED_OPEN, /* `text` is the label given */
	NVC_OBSERVED_END,  /* `text` is the reason given */
	NVC_OBSERVED_NOTE, /* what is no longer judged, and why */
};

/* One line of the transcript. Valid during the call only. */
struct nvc_observed_packet {
	enum nvc_observed_kind kind;
	unsigned int packet; /* runs over all connections from 1; of an event: the PDU before */
	unsigned int conn;
	enum nvc_direction direction; /* of a PDU, an end or a note */
	uint64_t time;		      /* nanoseconds, as given by the caller */
	uint8_t type;		      /* of a PDU: enum nvc_pdu_type */
	struct nvc_slice bytes; /* of a PDU: all of it; its first 8 bytes where PLEN cannot be */
	const char *text; /* one line; the last C2HData of a message shows all of the message */
};

enum { NVC_OBSERVER_DIGEST_LEN = 16 };

/* A Connect that succeeded. Valid during the call only. */
struct nvc_observed_connect {
	unsigned int conn;
	uint16_t qid;
	uint16_t cntlid;	      /* of the response */
	const char *hostnqn, *subnqn; /* empty where there is no such name in the data */
};

/* A whole message of the authentication, in the order in which its receivers take them. Valid during the call only. */
struct nvc_observed_message {
	unsigned int conn;
	unsigned int packet; /* the PDU that brought it, or its last part */
	enum nvc_direction direction;
	uint16_t id; /* enum nvc_auth_message, or anything else */
	struct nvc_slice bytes;
	bool due; /* it is what the transaction awaits */
	bool late; /* the time of the transaction was over, by the clock: AUTH_Failure1 may be for that alone */
};

/* Whom the observer tells; all are called from within nvc_observer_open, _bytes and _end.
 * Any may be NULL; without `packet` no text is made. */
struct nvc_observer_sink {
	void *self;
	/* `packet` violates `req`: the first time on this connection; further ones are only
	 * counted. */
	void (*violation)(void *self, enum req_id req, const char *expected, const char *seen,
		unsigned int packet, unsigned int conn);
	void (*packet)(void *self, const struct nvc_observed_packet *packet);
	/* The rest of what one side of `conn` sends cannot be told apart any more, and is not judged. */
	void (*lost)(void *self, unsigned int conn, const char *why);
	void (*connected)(void *self, const struct nvc_observed_connect *connect);
	void (*message)(void *self, const struct nvc_observed_message *message);
	/* A Challenge has a value which no other one may have: C1 (C-124), S1 towards this host (C-123), or the public value
	 * (C-127). Told by a digest, for somebody who sees more conversations than this observer. May be NULL. */
	void (*fresh)(void *self, enum req_id req, const uint8_t digest[NVC_OBSERVER_DIGEST_LEN],
		unsigned int packet, unsigned int conn);
};

enum {
	NVC_OBSERVER_MAX_PDU = 1 << 20,	      /* a longer PLEN ends the judging of that direction */
	NVC_OBSERVER_MAX_CONNECTIONS = 16384, /* open at once */
	NVC_OBSERVER_MAX_COMMANDS = 1024,     /* outstanding on one connection */
	NVC_OBSERVER_MAX_CHALLENGES = 4096, /* remembered for freshness; the oldest are forgotten */
};

struct nvc_observer;

/* nvc_observer_checks returns the `index`th requirement that some check of the observer judges, in
 * the catalogue's order; REQ_NONE behind the last. */
enum req_id nvc_observer_checks(size_t index);

/* nvc_observer_new returns an observer that judges `judge` (a set of enum nvc_observer_judge)
 * and tells `sink` (copied), or NULL without memory. Freed by nvc_observer_free. */
struct nvc_observer *nvc_observer_new(const struct nvc_observer_sink *sink, unsigned int judge);

/* nvc_observer_free frees `observer` and all it knows; NULL is allowed. */
void nvc_observer_free(struct nvc_observer *observer);

/* nvc_observer_open begins connection `conn` (an id of the caller's choice that is not open). It
 * must be seen from its first byte; `tls` tells that the bytes come out of a TLS session.
 * NVC_E_NO_SPACE, NVC_E_NO_MEMORY or NVC_E_STATE (already open): then the connection is not
 * observed. */
enum nvc_result nvc_observer_open(struct nvc_observer *observer, unsigned int conn, bool tls,
	uint64_t time, const char *label);

/* nvc_observer_generated tells that TLS on connection `conn` is under a generated PSK, of which the bytes above TLS say nothing. */
void nvc_observer_generated(struct nvc_observer *observer, unsigned int conn);

/* nvc_observer_bytes shows bytes of connection `conn`, sent by the host (`h2c`) or by the
 * controller, cut in any way. Bytes of a connection that is not open are ignored. `time` is in
 * nanoseconds and never goes back: a transaction may be dropped by the controller when its time
 * is over. */
void nvc_observer_bytes(struct nvc_observer *observer, unsigned int conn, bool h2c,
	struct nvc_slice bytes, uint64_t time);

/* nvc_observer_end tells that one side ended the connection, with `reason` for the transcript
 * ("FIN"). The connection is forgotten when both have. */
void nvc_observer_end(struct nvc_observer *observer, unsigned int conn, bool h2c,
	const char *reason, uint64_t time);

/* nvc_observer_waited tells that bytes of the controller were looked for at `time`, and neither they nor its end had come. To
 * read late what came early shows no connection open, so that only this, or an answer to a late command, does (C-172). */
void nvc_observer_waited(struct nvc_observer *observer, unsigned int conn, uint64_t time);

/* nvc_observer_bear gives a slow controller `more` nanoseconds than the 30 s in which a connection has to end behind
 * AUTH_Failure1; UINT64_MAX where the times tell nothing, for ever. */
void nvc_observer_bear(struct nvc_observer *observer, uint64_t more);

/* nvc_observer_unfinished returns how many bytes of a PDU that is not whole one side of `conn` has sent; 0 where it cannot be told. */
size_t nvc_observer_unfinished(struct nvc_observer *observer, unsigned int conn, bool h2c);

/* nvc_observer_under_way returns what the two sides of `conn` have begun with each other and not ended, as text: NULL for nothing, or where
 * it cannot be told. */
const char *nvc_observer_under_way(struct nvc_observer *observer, unsigned int conn);

/* nvc_observer_forget drops connection `conn`, of which nothing more will be seen; its id can be
 * used again. */
void nvc_observer_forget(struct nvc_observer *observer, unsigned int conn);

/* nvc_observer_report books a violation that the caller found, who knows more than what is seen (secrets, other connections):
 * it is told and counted like the observer's own if that side is judged. `packet` is the PDU at fault, 0 for the last one;
 * `conn` need not be open. */
void nvc_observer_report(struct nvc_observer *observer, unsigned int conn, enum req_id req,
	unsigned int packet, const char *expected, const char *seen);

/* nvc_observer_packets returns the number of the last PDU. */
unsigned int nvc_observer_packets(const struct nvc_observer *observer);

/* nvc_observer_violations returns how often `req` was violated, repetitions on one connection
 * included. */
unsigned int nvc_observer_violations(const struct nvc_observer *observer, enum req_id req);

#endif
