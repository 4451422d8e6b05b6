/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host side of an authentication transaction (Base 2.2, 8.3.4) as steps. Each step may be called in any order, any
 * number of times, and bent; nvc_auth_run strings them together as the specification does.
 */
#ifndef NVC_HOST_AUTH_H
#define NVC_HOST_AUTH_H

#include "crypto/dh.h"
#include "crypto/dhchap.h"
#include "crypto/dhchap_key.h"
#include "crypto/tls_psk.h"
#include "host/queue.h"
#include "wire/auth.h"

/* What AUTH_Negotiate offers, in order of preference. */
struct nvc_auth_offer {
	uint8_t num_hashes, num_dhgroups;
	uint8_t hash_ids[NVC_MAX_LIST];
	uint8_t dh_ids[NVC_MAX_LIST];
};

/* NVC_OFFER(hash, group) offers one of each. */
#define NVC_OFFER(hash, group)                                                                     \
	((struct nvc_auth_offer){1, 1, {(uint8_t)(hash)}, {(uint8_t)(group)}})

/* CVALID and S2 of the Reply. */
enum nvc_auth_mode {
	NVC_AUTH_UNIDIRECTIONAL, /* CVALID=0, S2=0, C2 zero */
	NVC_AUTH_BIDIRECTIONAL,	 /* CVALID=1, S2 from the host's counter */
	NVC_AUTH_CONCAT_UNI,	 /* CVALID=1, S2=0: C2 feeds the generated PSK only */
};

/* How the R1 of the Reply is made. */
enum nvc_r1_kind {
	NVC_R1_RIGHT = 0,
	NVC_R1_FLIPPED, /* right but for its last bit */
	NVC_R1_ZERO,
	NVC_R1_BYTES,	      /* auth->r1_bytes */
	NVC_R1_RANDOM_KEY,    /* under a key nobody has */
	NVC_R1_CTRL_KEY,      /* under the controller's key (reflection of roles) */
	NVC_R1_UNTRANSFORMED, /* under the secret itself */
	NVC_R1_OTHER_SC_C,    /* with auth->r1_sc_c hashed in place of SC_C */
	NVC_R1_NOT_AUGMENTED, /* over C1 instead of Ca1 */
	NVC_R1_AS_CONTROLLER, /* computed as an R2: "Controller", NQNs swapped */
	NVC_R1_OTHER_T_ID,    /* with T_ID + 1 hashed */
	NVC_R1_OTHER_S1,      /* with S1 + 1 hashed */
};

/* How the R2 of Success1 turned out. */
enum nvc_r2 {
	NVC_R2_NOT_ASKED = 0, /* no S2 was sent and none came */
	NVC_R2_RIGHT,
	NVC_R2_WRONG,
	NVC_R2_MISSING,	     /* S2 was sent but RVALID=0 */
	NVC_R2_UNASKED,	     /* RVALID=1 though no R2 was asked for */
	NVC_R2_UNVERIFIABLE, /* no controller secret, or no Challenge or Reply to verify against */
};

enum nvc_received_kind {
	NVC_RECEIVED_NOTHING = 0, /* no bytes and no status: the error of the call tells */
	NVC_RECEIVED_MESSAGE,	  /* a message, decoded */
	NVC_RECEIVED_STATUS,	  /* the command was answered with an error status */
	NVC_RECEIVED_MALFORMED, /* bytes that are no message, or a broken one: see complaint, raw, message */
};

/* What an Authentication Receive brought. Slices point into the transaction and last until the next receive on it. */
struct nvc_auth_received {
	enum nvc_received_kind kind;
	uint16_t status;   /* SCT << 8 | SC of the command */
	bool capsule_lost; /* the message came but the command was never answered */
	uint16_t message;  /* enum nvc_auth_message, as peeked; only with MESSAGE and MALFORMED */
	uint16_t t_id;
	bool t_id_foreign;    /* not the T_ID of this transaction */
	struct nvc_slice raw; /* all bytes that came */
	size_t message_len;   /* bytes of `raw` that are the message */
	bool trailing;	      /* bytes behind it that are not zero */
	union {
		struct nvc_challenge challenge;
		struct nvc_success1 success1;
		struct nvc_failure failure;
	};
	/* What a host has to object to by Base 2.2 8.3.4.5.3, 8.3.4.5.5: the RCODEEX for AUTH_Failure2 (0: nothing) and why. */
	uint8_t rcodeex;
	char complaint[160];
	enum nvc_r2 r2; /* of Success1 */
};

struct nvc_auth_state; /* keys and challenges of the transaction; auth.c */

/* A transaction. Set up by nvc_auth_init, then changed at will before the step that uses the member. */
struct nvc_auth {
	struct nvc_queue *queue; /* steps go to this queue; may be changed between steps */
	uint16_t t_id;
	uint8_t sc_c;
	enum nvc_auth_mode mode;
	struct nvc_auth_offer offer;
	/* AUTH_Negotiate: NAPD is 1 + extra / 64 unless `napd` says otherwise (a bend can write 0). */
	uint8_t napd;
	struct nvc_slice extra_descriptors; /* after ours; with `no_descriptor` instead of it */
	bool no_descriptor;
	/* Reply */
	uint32_t s2;
	struct nvc_slice c2;		   /* fixed C2; empty: random */
	struct nvc_slice private_exponent; /* fixed y; empty: random, 40 bytes */
	bool reuse_exponent;		   /* keep y of the Reply before on the same group */
	enum nvc_r1_kind r1;
	uint8_t r1_sc_c;
	struct nvc_slice r1_bytes;
	const struct nvc_dhchap_key *host_key,
		*ctrl_key; /* NULL: none; borrowed, those of the host at first */
	/* what is hashed; those of the queue's host at first */
	const char *hostnqn, *subnqn;
	/* bends of the messages, and of the SQE of Authentication Send and Receive; NULL: none */
	const struct nvc_bends *negotiate_bends, *descriptor_bends, *reply_bends, *success2_bends,
		*failure2_bends, *send_bends, *receive_bends;
	uint32_t al;	    /* 4096 at first */
	bool transport_sgl; /* Authentication Send by R2T instead of in the capsule */
	uint64_t timeout;   /* of each step; 0: that of the queue */
	/* results */
	uint16_t status;	/* of the last Authentication Send or Receive */
	uint8_t hash_id, dhgid; /* of the last Challenge that decoded */
	bool has_challenge, has_reply;
	enum nvc_r2 r2;
	struct nvc_auth_state *state;
};

/*
 * nvc_auth_init prepares a transaction on `queue`: next T_ID and (for NVC_AUTH_BIDIRECTIONAL) S2 of its host, the host's keys and lists (without
 * the NULL group when `sc_c` is not 0), AL 4096. NVC_AUTH_UNIDIRECTIONAL becomes NVC_AUTH_CONCAT_UNI when `sc_c` is not 0;
 * set `mode` afterwards to insist. NVC_E_NO_MEMORY.
 */
enum nvc_result nvc_auth_init(
	struct nvc_auth *auth, struct nvc_queue *queue, uint8_t sc_c, enum nvc_auth_mode mode);
/* nvc_auth_fini wipes and frees what the transaction holds. Safe on a zeroed struct. */
void nvc_auth_fini(struct nvc_auth *auth);
/* nvc_auth_renew gives `auth` the next T_ID and S2 and forgets the exchange so far: the same object for the next transaction. */
void nvc_auth_renew(struct nvc_auth *auth);

/* ---- steps: NVC_OK when the command was answered; its status is in auth->status ---- */

enum nvc_result nvc_auth_send_negotiate(struct nvc_auth *auth, struct nvc_error *err);
/* nvc_auth_receive takes whatever message comes. NVC_OK with MESSAGE, STATUS or MALFORMED, also when only the capsule was
 * lost; else the error of nvc_queue_wait and NOTHING. A Challenge is remembered for the Reply. `received` may be NULL. */
enum nvc_result nvc_auth_receive(
	struct nvc_auth *auth, struct nvc_auth_received *received, struct nvc_error *err);
/* nvc_auth_send_reply answers the last Challenge. NVC_E_STATE without one, or without a host key unless R1 needs none;
 * NVC_E_INVALID when the Challenge cannot be computed with (unknown hash or group, wrong length). */
enum nvc_result nvc_auth_send_reply(struct nvc_auth *auth, struct nvc_error *err);
enum nvc_result nvc_auth_send_success2(struct nvc_auth *auth, struct nvc_error *err);
enum nvc_result nvc_auth_send_failure2(
	struct nvc_auth *auth, uint8_t rcodeex, struct nvc_error *err);
/* nvc_auth_send_raw sends `message` in an Authentication Send, TL its length. */
enum nvc_result nvc_auth_send_raw(
	struct nvc_auth *auth, struct nvc_slice message, struct nvc_error *err);

/* The same without waiting. Sends are completed by nvc_queue_wait(auth->queue, tag, ...), receives by nvc_auth_finish_receive. */
enum nvc_result nvc_auth_submit_negotiate(
	struct nvc_auth *auth, uint16_t *tag, struct nvc_error *err);
enum nvc_result nvc_auth_submit_reply(struct nvc_auth *auth, uint16_t *tag, struct nvc_error *err);
enum nvc_result nvc_auth_submit_success2(
	struct nvc_auth *auth, uint16_t *tag, struct nvc_error *err);
enum nvc_result nvc_auth_submit_failure2(
	struct nvc_auth *auth, uint8_t rcodeex, uint16_t *tag, struct nvc_error *err);
enum nvc_result nvc_auth_submit_raw(
	struct nvc_auth *auth, struct nvc_slice message, uint16_t *tag, struct nvc_error *err);
enum nvc_result nvc_auth_submit_receive(
	struct nvc_auth *auth, uint16_t *tag, struct nvc_error *err);
enum nvc_result nvc_auth_finish_receive(struct nvc_auth *auth, uint16_t tag,
	struct nvc_auth_received *received, struct nvc_error *err);

/* ---- messages without sending them ---- */

/* nvc_auth_encode_negotiate, _reply append the message as the step would send it. Errors as those of the step. */
enum nvc_result nvc_auth_encode_negotiate(
	struct nvc_auth *auth, struct nvc_writer *out, struct nvc_error *err);
enum nvc_result nvc_auth_encode_reply(
	struct nvc_auth *auth, struct nvc_writer *out, struct nvc_error *err);

/* nvc_auth_take_challenge makes `raw` the last Challenge as if it had been received: NVC_E_MALFORMED when it does not decode. */
enum nvc_result nvc_auth_take_challenge(
	struct nvc_auth *auth, struct nvc_slice raw, struct nvc_error *err);

/*
 * nvc_auth_tls_psk derives what a secure channel concatenation agreed on after the Reply was sent: the generated PSK (Base 2.2, 8.3.4.5.9), its version 1 identity
 * "NVMe1G0h ..." and the TLS PSK. `variant` is NVC_KDF_RFC8446 but for diagnosis. NVC_E_STATE before the Reply, NVC_E_INVALID
 * for SHA-512 (no identity is defined), the NULL group (there is no Ks). The caller wipes psk->psk.
 */
enum nvc_result nvc_auth_tls_psk(const struct nvc_auth *auth, enum nvc_kdf_variant variant,
	struct nvc_tls_psk *psk, struct nvc_error *err);

/* ---- the whole exchange ---- */

enum nvc_auth_step {
	NVC_STEP_NEGOTIATE,
	NVC_STEP_CHALLENGE,
	NVC_STEP_REPLY,
	NVC_STEP_SUCCESS1,
	NVC_STEP_SUCCESS2,
	NVC_STEP_FAILURE2,
	NVC_NUM_AUTH_STEPS
};
/* nvc_auth_step_name returns "AUTH_Negotiate", "Challenge", "Reply", "Success1", "Success2" or "AUTH_Failure2". */
const char *nvc_auth_step_name(enum nvc_auth_step step);

enum nvc_auth_outcome_kind {
	NVC_OUTCOME_NONE = 0,
	NVC_OUTCOME_SUCCESS,
	NVC_OUTCOME_FAILURE1,	    /* the controller refused: rcode, rcodeex */
	NVC_OUTCOME_FAILURE2,	    /* we refused and said so: rcodeex, why */
	NVC_OUTCOME_COMMAND_STATUS, /* Authentication Send or Receive was answered with `status` */
	NVC_OUTCOME_ENDED,	    /* the connection ended: `end` */
	NVC_OUTCOME_TIMEOUT,
	NVC_OUTCOME_PROTOCOL, /* an answer that cannot be followed: why */
	NVC_OUTCOME_LOCAL,    /* our own side could not go on (no key, no memory): why */
	NVC_NUM_OUTCOMES
};

struct nvc_auth_outcome {
	enum nvc_auth_outcome_kind kind;
	enum nvc_auth_step step; /* at which it ended */
	uint8_t rcode, rcodeex;
	uint16_t status;
	enum nvc_end end;
	enum nvc_result result; /* of the call behind ENDED, TIMEOUT, PROTOCOL, LOCAL */
	bool capsule_lost;	/* the last message was read without its response capsule */
	uint8_t hash_id, dhgid; /* chosen by the controller; 0 before the Challenge */
	uint8_t sc_c;
	uint16_t t_id;
	enum nvc_r2 r2;
	bool has_psk; /* a PSK was generated: host->psk */
	char why[224];
};

/*
 * nvc_auth_run does the whole exchange with `auth` as it is set up (bends included). On success with SC_C other than 0 the PSK goes to the
 * host (nvc_host_keep_psk): host->psk is the newest, host->previous_psk the one before. With SHA-512 there is none (has_psk false). When a message
 * must be refused by the specification, AUTH_Failure2 is sent. AUTH_Failure1 counts without its response capsule, Challenge and Success1
 * do not (ENDED or TIMEOUT, capsule_lost set). Returns the outcome's kind, NVC_OUTCOME_SUCCESS or another.
 */
enum nvc_auth_outcome_kind nvc_auth_run(struct nvc_auth *auth, struct nvc_auth_outcome *outcome);

/* nvc_auth_authenticate is init, run and fini in one. `offer` NULL: that of the host. */
enum nvc_auth_outcome_kind nvc_auth_authenticate(struct nvc_queue *queue, uint8_t sc_c,
	enum nvc_auth_mode mode, const struct nvc_auth_offer *offer,
	struct nvc_auth_outcome *outcome);

/* nvc_auth_outcome_name returns "success", "AUTH_Failure1", ... */
const char *nvc_auth_outcome_name(enum nvc_auth_outcome_kind kind);

/* nvc_auth_outcome_text writes one line: "AUTH_Failure1 RCODEEX 03h (...) instead of Challenge". No secrets. Returns `out`. */
char *nvc_auth_outcome_text(const struct nvc_auth_outcome *outcome, char *out, size_t size);

/* nvc_auth_received_text writes one line about what came, for evidence. Returns `out`. */
char *nvc_auth_received_text(const struct nvc_auth_received *received, char *out, size_t size);

#endif
