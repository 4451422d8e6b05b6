/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every requirement the project knows, once (DESIGN idea 1). Cases, the observer's checks and the
 * reference target's rules name requirements by id; nothing else in the tree states a rule. The
 * rows are in requirements.def.
 */
#ifndef NVC_CATALOGUE_CATALOGUE_H
#define NVC_CATALOGUE_CATALOGUE_H

#include <stddef.h>

/* REQ_C_001 is "C-001"; REQ_NONE is no requirement. Numbers may move, texts never. */
enum req_id {
	REQ_NONE = 0,
#define REQ(symbol, id, level, area, statement, stimulus, expected, citation, ends) REQ_##symbol,
#include "catalogue/requirements.def"
#undef REQ
	NUM_REQS
};

/* What a violation means: SHALL and OWN fail a target, SHOULD warns, the rest is reported. */
enum nvc_level {
	NVC_LEVEL_SHALL,
	NVC_LEVEL_SHOULD,
	NVC_LEVEL_IMPL, /* the specification leaves it open, or its text has not been seen */
	NVC_LEVEL_CONTRADICTION, /* the text contradicts itself: every reading is accepted */
	NVC_LEVEL_OWN,		 /* asked for by nvme-conform, not by a specification */
	NVC_NUM_LEVELS
};

/* The part of the protocol a requirement belongs to, in the order of docs/protocol.md chapter 8. */
enum nvc_area {
	NVC_AREA_TRANSPORT,
	NVC_AREA_CONNECT,   /* commands and Connect */
	NVC_AREA_AUTH,	    /* Authentication Send and Receive as commands */
	NVC_AREA_NEGOTIATE, /* AUTH_Negotiate */
	NVC_AREA_CHALLENGE, /* DH-HMAC-CHAP_Challenge */
	NVC_AREA_REPLY,	    /* DH-HMAC-CHAP_Reply, Success1 and Success2 */
	NVC_AREA_FAILURE,   /* failure, timeout, re-authentication */
	NVC_AREA_CHANNEL,   /* secure channel concatenation and TLS */
	NVC_AREA_HOST,	    /* what hosts do; only replay judges them yet */
	NVC_AREA_OWN,
	NVC_NUM_AREAS
};

/* What may become of the connection once the requirement has been met. How it closes (FIN, RST,
 * close_notify) is free. */
enum nvc_ends {
	NVC_ENDS_ANY,	       /* not stated: nothing is judged */
	NVC_ENDS_OPEN,	       /* it stays and serves the next command */
	NVC_ENDS_CLOSED,       /* the controller ends it within the bound */
	NVC_ENDS_AFTER_ANSWER, /* the controller ends it, and only after its answer could be read */
	NVC_NUM_ENDS
};

struct nvc_requirement {
	const char *id;	    /* "C-113" */
	const char *symbol; /* "C_113": what follows REQ_ in the source */
	enum nvc_level level;
	enum nvc_area area;
	const char *statement; /* one sentence on what the controller (or host) does */
	const char *stimulus;  /* what a tester does; "" where nothing special is needed */
	const char *expected;  /* acceptable reactions; F1(n), F2(n), Term(n): requirements.def */
	const char *citation;  /* document, revision, section */
	enum nvc_ends ends;
};

/* nvc_requirement returns the row of `id`; NULL for REQ_NONE and for a number that is none. Static
 * storage. To walk all rows, count from REQ_NONE + 1 up to NUM_REQS - 1: that is their order. */
const struct nvc_requirement *nvc_requirement(enum req_id id);

/* nvc_requirement_find returns the number of the text "C-113" (exact spelling), or REQ_NONE. */
enum req_id nvc_requirement_find(const char *text);

/* nvc_level_name returns "shall", "should", "implementation-defined", "contradiction" or
 * "nvme-conform's own". */
const char *nvc_level_name(enum nvc_level level);

/* nvc_area_name returns the heading of an area, e.g. "Concatenation and TLS". */
const char *nvc_area_name(enum nvc_area area);

/* nvc_ends_name returns what may become of the connection, e.g. "closed after the answer". */
const char *nvc_ends_name(enum nvc_ends ends);

#endif
