/* SPDX-License-Identifier: BSD-3-Clause */
/* A script while it is re-enacted; for the reenact files only. */
#ifndef NVC_ENGINE_REENACT_STATE_H
#define NVC_ENGINE_REENACT_STATE_H

#include <jansson.h>

#include "capture/script.h"
#include "harness/engine/profile.h"
#include "harness/engine/reference.h"
#include "host/host.h"
#include "observer/observer.h"

enum { REENACT_TEXT = 512 };

/* Who acts for a host of the capture. */
struct actor {
	struct reenact *reenact;
	unsigned int base; /* of the numbers under which the observer knows its connections */
	struct nvc_host host;
	int identity; /* in the profile */
};

/* A connection of the script on the new target. */
struct live_conn {
	struct actor *actor;
	struct nvc_queue *queue; /* NULL: not open, or over */
	unsigned int observed;	 /* number at the observer */
	bool unreached;		 /* what was to be done on it cannot be done any more */
	bool told_end;
	enum nvc_result opened;
	uint16_t cntlid;    /* that Connect brought */
	const char *subnqn; /* that Connect named; NULL: that of the host */
};

struct live_transaction {
	struct nvc_auth auth;
	bool ready;
	uint16_t last; /* message that came last, 0 at first */
	bool success1, complete;
	bool judged; /* its refusal was */
	/* the Reply as it went out */
	uint8_t *sent;
	struct nvc_slice r1, c2, dhval;
	uint32_t s2;
	uint8_t c1[NVC_MAX_HASH_LEN], peer[NVC_MAX_DH_LEN]; /* C1 and DHVAL of the Challenge */
	size_t c1_len, peer_len;
	struct nvc_tls_psk psk; /* that may come of it; identity empty: none */
};

struct live_command {
	bool sent, over;
	uint16_t tag, ttag;
};

/* What one re-enactment came to. */
struct reenact_counts {
	unsigned int same, captured, now;
	unsigned int violations[NUM_REQS];
	bool lost;	  /* the connection ended where AUTH_Failure1 had been the answer */
	char reason[256]; /* why a part could not be done: the first one */
};

struct reenact {
	const struct nvc_script *script;
	const struct profile *profile;
	const struct reference *reference; /* NULL: a real target */
	struct nvc_world world;
	uint64_t timeout, longest_wait;
	bool all_commands;
	struct actor *actors;
	size_t num_actors;
	struct live_conn *conns;
	struct live_transaction *transactions;
	struct live_command *commands; /* by step */
	struct nvc_outline outline;
	struct nvc_observer *observer;
	unsigned int opening; /* index of the connection that is being opened */
	uint64_t last_time;   /* in the capture, of the step before */
	uint64_t gap;	      /* ... between that one and this one */
	const struct nvc_script_step *current;
	json_t *lines;	    /* what there is to tell */
	json_t *violations; /* what the observer said since the last line */
	struct reenact_counts counts;
	/* what each step came to, for --save-case: the new line (NULL: not reached) */
	char **outcomes;
	enum nvc_result fatal;
	struct nvc_error *err;
};

/* reenact_all does the steps of the script in order. */
void reenact_all(struct reenact *re);

/* ---- telling ---- */

/* reenact_line tells one line: kind is "same", "captured", "new" or "note". */
void reenact_line(struct reenact *re, const char *kind, const struct nvc_script_step *step,
	bool h2c, const char *text);
/* reenact_compare tells what the step came to: one line, or the captured one and the new one (NULL: there is none). */
void reenact_compare(struct reenact *re, const struct nvc_script_step *step, const char *now);
/* reenact_note tells something the reader has to know. */
void reenact_note(struct reenact *re, const struct nvc_script_step *step, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* reenact_cannot is reenact_note about something that keeps the whole from being done; the first one becomes the reason. */
void reenact_cannot(struct reenact *re, const struct nvc_script_step *step, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* reenact_violates tells that the difference violates `req`, which the observer cannot know. */
void reenact_violates(struct reenact *re, const struct nvc_script_step *step, enum req_id req,
	const char *expected, const char *seen);

/* ---- connections ---- */

struct live_conn *reenact_live_conn(struct reenact *re, const struct nvc_script_step *step);
const struct nvc_script_conn *reenact_conn_of(
	const struct reenact *re, const struct nvc_script_step *step);
size_t reenact_index_of(const struct reenact *re, const struct nvc_script_step *step);
/* reenact_tell_end tells, once, that the new target ended the connection of `step`, on which nothing can be done any more. */
void reenact_tell_end(struct reenact *re, const struct nvc_script_step *step);
/* reenact_not_reached tells what was in the capture and cannot be done here, with the reason (NULL: it was told). */
void reenact_not_reached(struct reenact *re, const struct nvc_script_step *step, const char *why);
/* reenact_read makes the script of the capture that `config` names; `profile` is what is known of the new target. */
enum nvc_result reenact_read(const json_t *config, const struct profile *profile,
	struct nvc_script *script, struct nvc_error *err);

/* The steps of a connection. */
void reenact_open(struct reenact *re, const struct nvc_script_step *step);
void reenact_no_tls(struct reenact *re, const struct nvc_script_step *step);
void reenact_ic(struct reenact *re, const struct nvc_script_step *step);
void reenact_ic_resp(struct reenact *re, const struct nvc_script_step *step);
void reenact_key_update(struct reenact *re, const struct nvc_script_step *step);
void reenact_host_end(struct reenact *re, const struct nvc_script_step *step);
void reenact_ctrl_end(struct reenact *re, const struct nvc_script_step *step);
void reenact_term(struct reenact *re, const struct nvc_script_step *step);

/* ---- authentication ---- */

/* reenact_message makes the message of an Authentication Send for the new target. NVC_OK with `out` (the caller frees it), NVC_E_STATE
 * when it cannot be made here, with the reason in `why`. */
enum nvc_result reenact_message(struct reenact *re, const struct nvc_script_step *step,
	uint8_t **out, size_t *len, struct nvc_error *why);
/* reenact_send_answered takes the status of an Authentication Send. */
void reenact_send_answered(
	struct reenact *re, const struct nvc_script_step *command, uint16_t status);
/* reenact_received takes what an Authentication Receive brought, for the transaction of `command`. */
void reenact_received(struct reenact *re, const struct nvc_script_step *command,
	const struct nvc_auth_received *received);
/* reenact_go_on finishes an authentication that went better than in the capture: `answer` was refused there and is not here. */
void reenact_go_on(struct reenact *re, const struct nvc_script_step *answer);
/* reenact_psk finds the PSK under which connection `conn` is to be. False with the reason. */
bool reenact_psk(struct reenact *re, const struct nvc_script_conn *conn, struct nvc_tls_psk *psk,
	struct nvc_error *why);
/* reenact_psk_requirement returns the requirement that a PSK works (`works`) or does not, or REQ_NONE. */
enum req_id reenact_psk_requirement(
	const struct reenact *re, const struct nvc_script_conn *conn, bool works);

#endif
