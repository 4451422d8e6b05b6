/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judging a capture: its packets become streams, TLS is decrypted where keys are at hand, NVMe/TCP is found by its first
 * PDU on any port, and the observer judges host and controller. What cannot be judged is said, with the reason: a capture
 * of which a part was not judged is never clean.
 */
#ifndef NVC_CAPTURE_REPLAY_H
#define NVC_CAPTURE_REPLAY_H

#include <stdio.h>

#include "capture/verify.h"
#include "observer/observer.h"

enum nvc_replay_kind {
	NVC_REPLAY_OPEN,	/* a connection begins; `text` says between whom */
	NVC_REPLAY_PDU,		/* `text` is the PDU in one line */
	NVC_REPLAY_END,		/* a side ended; `text` says how */
	NVC_REPLAY_KEY_UPDATE,	/* a side went on under its next TLS secret */
	NVC_REPLAY_NOTE,	/* something the reader has to know */
	NVC_REPLAY_UNJUDGED,	/* what is not judged, and why */
	NVC_REPLAY_VIOLATION,	/* `req` is violated; `text` is what was seen */
	NVC_REPLAY_CHECK,	/* `text` says what a secret proves, or why it proves nothing */
	NVC_REPLAY_ASSOCIATION, /* `text` says what connection `conn` is in `association` */
};

/* One line of what replay has to tell. Valid during the call only. */
struct nvc_replay_event {
	enum nvc_replay_kind kind;
	uint64_t frame; /* number in the file of the packet with which it became known */
	uint64_t time;	/* nanoseconds since 1970 */
	unsigned int conn;
	enum nvc_direction direction; /* of a PDU, an end or a KeyUpdate */
	unsigned int pdu;	      /* number of the PDU, over all connections */
	enum nvc_proof
		proof; /* of a CHECK about R1 or R2, whose PDU `pdu` is; else there is none */
	const char *text;
	enum req_id req;
	const char *expected;
	unsigned int association; /* 0: none, or not known */
	struct nvc_slice bytes;	  /* of a PDU; see struct nvc_observed_packet */
	/* Of OPEN, and of a NOTE about a TLS handshake that brought no data (whose `frame` is that of its first bytes): the port
	 * connected to, whether there is TLS, and the identity of NVMe/TCP offered in it, which may be empty. Else NULL. */
	const char *identity;
	uint16_t port;
	bool tls;
};

struct nvc_replay_sink {
	void *self;
	void (*event)(void *self, const struct nvc_replay_event *event);
};

/* Secrets that the caller knows, and whose they are. All is borrowed. */
struct nvc_replay_identity {
	const char *hostnqn, *subnqn;			  /* NULL or empty: anybody's */
	const struct nvc_dhchap_key *host_key, *ctrl_key; /* NULL: not known */
	const struct nvc_tls_key *psk;			  /* configured; NULL: not known */
};

/* How to go on where a capture ends for now: on a file that is being written, or an interface. */
struct nvc_replay_follow {
	void *self;
	/* Before each packet; with `wait`, after a moment, where there is none for now. False ends the judging. */
	bool (*more)(void *self, bool wait);
	/* What has come to the key log meanwhile, valid during the call of nvc_replay that follows; with `wait` after a moment. NULL: nothing comes. */
	struct nvc_slice (*keys)(void *self, bool wait);
	const char *interface; /* to read in place of a file; NULL: the file */
};

struct nvc_replay_options {
	struct nvc_slice keylog; /* NSS format, beside what the file holds; may be empty */
	const struct nvc_replay_identity *identities;
	size_t num_identities;
	unsigned int judge;			/* set of enum nvc_observer_judge; 0: both */
	const struct nvc_replay_follow *follow; /* NULL: the capture ends where it ends */
	bool brief; /* only violations and what is not judged are told: much faster */
};

enum nvc_replay_verdict { NVC_REPLAY_CLEAN, NVC_REPLAY_VIOLATED, NVC_REPLAY_CANNOT_JUDGE };

struct nvc_replay_result {
	enum nvc_replay_verdict verdict;
	uint64_t frames, segments;
	unsigned int connections;    /* of TCP */
	unsigned int nvme, nvme_tls; /* those that were judged, and how many of them over TLS */
	unsigned int unjudged;	     /* connections of which a part was not judged */
	unsigned int pdus;
	unsigned int violated; /* requirements of level shall, and our own */
	unsigned int warned;   /* requirements of level should */
	size_t secrets;	       /* TLS secrets at hand */
	unsigned int violations[NUM_REQS];
	unsigned int responses[NVC_NUM_PROOFS];	 /* R1 and R2, by what was found out about them */
	unsigned int identities[NVC_NUM_PROOFS]; /* of PSKs, one for each TLS connection */
	unsigned int binders[NVC_NUM_PROOFS];	 /* of those identities */
	unsigned int associations;
	uint64_t
		clock_jumped; /* the frame at which time first went back, or on by a day; 0: nowhere */
	char reason[256];     /* why it could not be judged: the first reason */
};

/* nvc_replay_checks returns the `index`th requirement that is judged with secrets, or over several connections, beside what the
 * observer judges, in the catalogue's order; REQ_NONE behind the last. */
enum req_id nvc_replay_checks(size_t index);

/*
 * nvc_replay judges the capture `in`, which must be seekable unless it is followed, and is closed in any case; NULL for an interface. NVC_OK when it was read, whatever
 * the verdict; NVC_E_MALFORMED or NVC_E_INVALID when it is no capture that can be read. A file that breaks off is judged as
 * far as it goes and cannot be clean.
 */
enum nvc_result nvc_replay(FILE *in, const struct nvc_replay_options *options,
	const struct nvc_replay_sink *sink, struct nvc_replay_result *result,
	struct nvc_error *err);

#endif
