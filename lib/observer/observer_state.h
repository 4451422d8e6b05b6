/* SPDX-License-Identifier: BSD-3-Clause */
/* What the observer remembers of a connection; for the files of lib/observer only. */
#ifndef NVC_OBSERVER_OBSERVER_STATE_H
#define NVC_OBSERVER_OBSERVER_STATE_H

#include "observer/observer.h"
#include "wire/auth.h"
#include "wire/command.h"

enum {
	NVC_OBS_MAX_MESSAGE = 8192, /* data of one authentication command that is kept */
	NVC_OBS_MAX_T_IDS = 8,
	NVC_OBS_VALUE = 32, /* bytes of a value that are remembered */
	NVC_OBS_BUCKETS = 4096,
};

/* The time-out of a transaction where KATO is 0, in nanoseconds (Base 2.2, 8.3.4). */
#define NVC_OBS_AUTH_TIMEOUT UINT64_C(120000000000)
/* How long a connection may stay open behind AUTH_Failure1, in nanoseconds (C-172). */
#define NVC_OBS_END_BOUND UINT64_C(30000000000)

/* Bytes of one direction that do not make a whole PDU yet. */
struct nvc_obs_stream {
	uint8_t *data;
	size_t len, cap;
	bool lost; /* the bytes cannot be framed any more */
	bool ended;
};

/* What a Connect asked for; judged when it succeeds. */
struct nvc_obs_connect {
	uint16_t recfmt, qid, sqsize;
	uint8_t cattr;
	uint32_t kato;
	bool subnqn_bad, hostnqn_bad;
	uint64_t pair; /* a hash of host NQN and subsystem NQN */
	char *names;   /* both, with their NULs, where somebody wants to know */
};

/* An outstanding command. */
struct nvc_obs_command {
	uint16_t cid;
	uint8_t opc, fctype, sgl_id;
	uint32_t sgl_len;
	bool after_term;     /* sent after an H2CTermReq */
	bool after_failure;  /* sent after AUTH_Failure1 was given */
	uint64_t sent;	     /* when */
	unsigned int packet; /* its PDU, or that of the last part of its data */
	struct nvc_obs_connect connect;
	struct { /* of Authentication Send and Receive */
		uint8_t spsp0, spsp1, secp;
		uint32_t length;
	} auth;
	uint64_t received; /* bytes of C2HData so far */
	bool last;	   /* LAST_PDU was set */
	uint64_t asked;	   /* end of what R2Ts have asked for */
	uint64_t given;	   /* bytes of H2CData so far */
	uint64_t r2ts;	   /* not answered in full yet */
	uint8_t *message;  /* of an authentication command: its data, cut to the limit */
	size_t message_len;
	bool message_bad; /* its data was damaged or incomplete */
	bool applied;	  /* an Authentication Send that has reached the transaction */
};

enum nvc_obs_state {
	NVC_OBS_IDLE,	    /* a Negotiate is due */
	NVC_OBS_NEGOTIATED, /* a Challenge is due */
	NVC_OBS_CHALLENGED, /* a Reply is due */
	NVC_OBS_REPLIED,    /* a Success1 is due */
	NVC_OBS_UNKNOWN,    /* order is not judged until the next Negotiate */
};

struct nvc_obs_transaction {
	enum nvc_obs_state state;
	uint64_t begun; /* when AUTH_Negotiate was sent */
	bool expired;	/* its time was over: the controller may have dropped it */
	uint16_t t_ids[NVC_OBS_MAX_T_IDS]; /* of all messages of the host since it was idle */
	unsigned int num_t_ids;
	bool t_id_unknown; /* ... one of which could not be read */
	/* The controller may still have to refuse a message of the host that was sent between transactions, or wait for
	 * Success2: an AUTH_Failure1 to the next AUTH_Negotiate may be about that. */
	bool strayed, success2_due;
	bool negotiated_twice, replied_early, replied_twice;
	uint16_t t_id;
	uint8_t sc_c;
	bool offer_known;
	bool hash_offered[256], dh_offered[256];
	bool challenge_known;
	uint8_t hash_id, dhgid;
	uint8_t c1[NVC_MAX_HASH_LEN];
	bool reply_known;
	uint8_t cvalid;
	uint32_t s2;
};

struct nvc_obs_conn {
	struct nvc_observer *observer;
	struct nvc_obs_conn *next; /* in its bucket */
	unsigned int id;
	bool tls;
	struct nvc_obs_stream streams[2]; /* by enum nvc_direction */
	bool host_bent;			  /* what the host meant cannot be told any more */

	bool ic_req_seen, ic_resp_seen;
	struct nvc_ic ic_req;
	bool hdgst, ddgst;
	uint8_t cpda;
	bool h2c_term, c2h_term;

	bool connected;
	uint16_t qid;
	uint32_t queue_size;
	bool flow_off;	    /* SQ flow control is disabled */
	uint32_t authreq;   /* NVC_CONNECT_ATR, NVC_CONNECT_ASCR */
	bool authenticated; /* a Success1 was seen */
	bool replaced;	    /* ... of a REPLACETLSPSK over TLS */
	bool generated;	    /* TLS is under a generated PSK */
	bool concatenated;  /* ... of a NEWTLSPSK in clear */
	bool failed;	    /* an AUTH_Failure1 has refused a message */
	bool denied;	    /* ... of an authenticated queue */
	uint64_t failed_at;
	bool begun; /* a command was sent after Connect */
	uint64_t pair;
	uint16_t cntlid;

	struct nvc_obs_command *commands; /* in the order in which they were sent */
	size_t num_commands, cap_commands;
	struct nvc_obs_transaction transaction;
	bool reported[NUM_REQS];
};

/* What a Challenge or a Reply must not repeat. */
struct nvc_obs_values {
	uint64_t pair;
	uint32_t seqnum;		  /* S1 or S2; 0: there is none */
	uint8_t challenge[NVC_OBS_VALUE]; /* the first bytes of C1 or C2 */
	bool has_public;
	uint8_t public[NVC_OBS_VALUE]; /* the last bytes of the public value */
};

/* Those of one side: a ring once it has reached its limit. */
struct nvc_obs_memory {
	struct nvc_obs_values *values;
	size_t num, cap, next;
};

struct nvc_observer {
	struct nvc_observer_sink sink;
	unsigned int judge;
	unsigned int packets;
	uint64_t now;
	uint64_t patience; /* nanoseconds after which a controller may have dropped a transaction */
	struct nvc_obs_conn *buckets[NVC_OBS_BUCKETS]; /* by id */
	unsigned int num_conns;
	uint64_t end_bound; /* nanoseconds that a connection may stay open behind AUTH_Failure1 */
	struct nvc_obs_memory challenges, replies;
	unsigned int violations[NUM_REQS];
};

/* nvc_obs_violated reports `req` at the PDU under way, if that side is judged. */
void nvc_obs_violated(struct nvc_obs_conn *conn, enum req_id req, const char *expected,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* nvc_obs_judges tells whether `side` is judged. */
bool nvc_obs_judges(const struct nvc_obs_conn *conn, enum nvc_observer_judge side);

/* nvc_obs_show writes the PDU under way into the transcript. */
void nvc_obs_show(struct nvc_obs_conn *conn, enum nvc_direction direction, struct nvc_slice bytes,
	const char *text);

/* nvc_obs_host_is_bent gives up the checks that lean on what the host sent, and says why. */
void nvc_obs_host_is_bent(struct nvc_obs_conn *conn, const char *why);

/* nvc_obs_pdu takes one framed PDU. */
void nvc_obs_pdu(struct nvc_obs_conn *conn, enum nvc_direction direction, struct nvc_slice bytes);

/* ---- commands ---- */

/* nvc_obs_find returns the outstanding command `cid`; NULL where there is none or the host is
 * bent. */
struct nvc_obs_command *nvc_obs_find(struct nvc_obs_conn *conn, uint16_t cid);

/* nvc_obs_drop_command frees what `command` holds. */
void nvc_obs_drop_command(struct nvc_obs_command *command);

/* nvc_obs_command_sent takes a CapsuleCmd. */
void nvc_obs_command_sent(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu);

/* nvc_obs_h2c_data takes an H2CData. */
void nvc_obs_h2c_data(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu);

/* nvc_obs_keep_data keeps the data of a C2HData where it is that of an Authentication Receive. */
void nvc_obs_keep_data(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu);

/* nvc_obs_c2h_data judges a C2HData. */
void nvc_obs_c2h_data(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu);

/* nvc_obs_r2t judges an R2T. */
void nvc_obs_r2t(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu);

/* nvc_obs_response judges a CapsuleResp. */
void nvc_obs_response(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu);

/* nvc_obs_is_fabrics tells whether `command` is the Fabrics command `fctype`. */
bool nvc_obs_is_fabrics(const struct nvc_obs_command *command, enum nvc_fctype fctype);

/* nvc_obs_still_open judges that the controller had not ended `conn` at `time`. */
void nvc_obs_still_open(struct nvc_obs_conn *conn, uint64_t time);

/* nvc_obs_tls_admin returns the open admin queue over TLS of the association of `conn`; NULL where none is seen. */
const struct nvc_obs_conn *nvc_obs_tls_admin(const struct nvc_obs_conn *conn);

/* nvc_obs_status judges the status (SCT << 8 | SC) with which `command` ended. */
void nvc_obs_status(
	struct nvc_obs_conn *conn, const struct nvc_obs_command *command, uint16_t status);

/* ---- authentication ---- */

/* nvc_obs_auth_sent takes the message of an Authentication Send that reached the controller. */
void nvc_obs_auth_sent(struct nvc_obs_conn *conn, struct nvc_obs_command *command);

/* nvc_obs_auth_received judges the message of an Authentication Receive. */
void nvc_obs_auth_received(struct nvc_obs_conn *conn, const struct nvc_obs_command *command);

/* nvc_obs_challenge judges a Challenge of `message` bytes, of which the controller may have been
 * allowed `room`. Returns its length, 0 where that cannot be told. */
size_t nvc_obs_challenge(struct nvc_obs_conn *conn, struct nvc_slice message, size_t room);

/* nvc_obs_fresh_challenge judges whether the values of a Challenge are new in the run, and tells the sink of them. */
void nvc_obs_fresh_challenge(struct nvc_obs_conn *conn, const struct nvc_challenge *challenge);

/* nvc_obs_fresh_reply does the same for the Reply of a host that authenticates the controller; nobody is told. */
void nvc_obs_fresh_reply(struct nvc_obs_conn *conn, const struct nvc_reply *reply);

/* nvc_obs_host_message judges a message of the host before it changes the transaction. */
void nvc_obs_host_message(struct nvc_obs_conn *conn, struct nvc_slice message);

/* nvc_obs_host_pdu judges the header and the digests of a PDU of the host. */
void nvc_obs_host_pdu(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu, enum nvc_fes fes,
	struct nvc_slice bytes);

/* nvc_obs_host_command judges a command of the host. */
void nvc_obs_host_command(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu);

#endif
