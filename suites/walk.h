/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random walks over a live target as data: a walk is a list of steps that follows from its seed alone, so that it can be
 * repeated, cut down to what matters and printed as a case. Nothing here touches a target; suites/robustness.c does.
 */
#ifndef NVC_SUITES_WALK_H
#define NVC_SUITES_WALK_H

#include "host/auth.h"

enum walk_kind {
	WALK_OPEN,	 /* a connection, up to Connect */
	WALK_OPEN_BARE,	 /* a connection on which nothing has been sent */
	WALK_OPEN_UNDUE, /* a TLS session under the PSK of a transaction that failed */
	WALK_IC,
	WALK_CONNECT, /* bend: of the SQE */
	WALK_NEGOTIATE,
	WALK_RECEIVE,
	WALK_REPLY,
	WALK_REPLY_BYTES, /* the head of a Reply, and random bytes */
	WALK_SUCCESS2,
	WALK_FAILURE2,
	WALK_PDU, /* random bytes in the shape of a PDU, lengths right or not */
	WALK_PROPERTY_GET,
	WALK_PROPERTY_SET,
	WALK_IDENTIFY,
	WALK_KEEP_ALIVE,
	WALK_READ,
	WALK_CLOSE,
	WALK_WAIT,
	NUM_WALK_KINDS
};

/* Which connection a step is about; there is one of each at a time. */
enum walk_slot {
	WALK_ADMIN, /* an admin queue in clear */
	WALK_TLS,   /* an admin queue under the newest generated PSK */
	WALK_IO,    /* I/O queue 1 beside the admin queue in clear */
	NUM_WALK_SLOTS
};

/* One step. Members that its kind does not name are zero. */
struct walk_step {
	enum walk_kind kind;
	enum walk_slot slot;
	/* NEGOTIATE: SC_C; RECEIVE: AL; FAILURE2: RCODEEX; PROPERTY_SET: CC; PDU: PLEN; CLOSE: enum nvc_end; WAIT: ms */
	uint32_t value;
	uint32_t len;		     /* REPLY_BYTES and PDU: bytes that are sent */
	uint32_t seed;		     /* ... and what they are made of */
	enum nvc_auth_mode mode;     /* NEGOTIATE */
	struct nvc_auth_offer offer; /* NEGOTIATE */
	enum nvc_r1_kind r1;	     /* REPLY */
	struct nvc_bend bend;	     /* CONNECT, NEGOTIATE, REPLY; kind SET without a field: none */
	bool of_descriptor;	     /* NEGOTIATE: the bend is one of the descriptor */
};

enum {
	WALK_MAX_TEXT = 900,	/* of one step, several lines */
	WALK_STEPS = 60,	/* of a walk */
	WALK_MAX_BYTES = 640,	/* of one message or PDU of random bytes */
	WALK_MAX_WAIT = 150000, /* ms; above the KATO and the time given to an authentication */
};

/* walk_generate writes the `num` steps that follow from `seed` into `steps`. */
void walk_generate(uint64_t seed, struct walk_step *steps, size_t num);

/* walk_bends tells whether the step bends a field. */
bool walk_bends(const struct walk_step *step);

/*
 * walk_message writes the random message of a WALK_REPLY_BYTES (T_ID `t_id`) into `room` and returns it; walk_pdu does so with the bytes of a
 * WALK_PDU. A CapsuleCmd among these has an opcode that changes no namespace, whatever else it says.
 */
struct nvc_slice walk_message(
	uint32_t seed, size_t len, uint16_t t_id, uint8_t room[WALK_MAX_BYTES]);
struct nvc_slice walk_pdu(uint32_t seed, size_t len, uint32_t plen, uint8_t room[WALK_MAX_BYTES]);

/* walk_text writes a step as the C that does the same in a case, on the variables that walk_print declares. Returns `out`. */
char *walk_text(const struct walk_step *step, char *out, size_t size);

/* By what a walk showed that something was wrong, for the last line of the case. */
enum walk_proof {
	WALK_BY_SUCCESS1, /* a Success1 came */
	WALK_BY_COMMAND,  /* the last command succeeded */
	WALK_BY_TLS,	  /* a TLS session came up */
	WALK_BY_SERVICE,  /* the right host is not served any more */
};

/* Takes one line of a printed case, without its end. */
typedef void (*walk_line)(void *self, const char *text);

/* walk_print writes the steps as a whole case, one call of `line` for each line. `identity` and `req` are C as well: "ORDINARY", "C_135". */
void walk_print(const struct walk_step *steps, size_t num, const char *identity, const char *req,
	enum walk_proof proof, walk_line line, void *self);

/*
 * walk_shrink removes steps as long as `fails` still says so of what is left, and returns how many are left: none of them can be
 * removed alone, unless `max_replays` calls were not enough. The order is kept.
 */
size_t walk_shrink(struct walk_step *steps, size_t num, unsigned int max_replays,
	bool (*fails)(void *self, const struct walk_step *steps, size_t num), void *self);

#endif
