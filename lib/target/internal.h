/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the reference target share. Nothing outside lib/target includes this. */
#ifndef NVC_TARGET_INTERNAL_H
#define NVC_TARGET_INTERNAL_H

#include "crypto/dh.h"
#include "target/rules.h"
#include "target/target.h"
#include "wire/auth.h"
#include "wire/command.h"

enum {
	MAX_QUEUE_ENTRIES = 128, /* CAP.MQES + 1 */
	MAX_ADMIN_ENTRIES = 4096,
	MAX_ASYNC_EVENTS = 4, /* AERL + 1 */
	MAX_TRANSFER = 65536, /* MDTS 4, pages of 4096 bytes */
	MAX_AUTH_SEND = 8 + 255 * NVC_DESCRIPTOR_LEN,
	MAX_OUTPUT = 16 * 1024 * 1024, /* a host that reads nothing for so long is dropped */
	DEFAULT_TIMEOUT_MS = 120000,   /* Base 2.2 8.3.4: without KATO */
	TERM_WAIT_MS = 30000,	       /* TCP Transport 1.0: after a TermReq */
	MDTS = 4,
};

/* One subsystem with its namespace. `blocks` holds num_blocks * block_size bytes. */
struct subsystem {
	char nqn[NVC_NQN_MAX_LEN + 1];
	bool discovery, allow_any_host;
	uint32_t num_blocks, block_size;
	uint8_t *blocks;
};

struct host {
	char nqn[NVC_NQN_MAX_LEN + 1], subnqn[NVC_NQN_MAX_LEN + 1]; /* subnqn "": every subsystem */
	struct nvc_dhchap_key host_key, controller_key;
	uint32_t hashes, dhgroups;
	enum nvc_policy auth, concat;
	struct configured_psk *psks;
	size_t num_psks;
};

struct configured_psk {
	char subnqn[NVC_NQN_MAX_LEN + 1];
	struct nvc_tls_key key;
};

struct port {
	uint16_t port;
	enum nvc_tls_policy tls;
	char traddr[256], trsvcid[32];
};

/* S1 of a pair of entities: random at first, then one more for each transaction. */
struct sequence {
	struct sequence *next;
	const struct host *host;
	const struct subsystem *subsystem;
	uint32_t s1;
};

/* A PSK that a TLS client can name. Generated ones expire and belong to an association. */
struct psk_entry {
	struct psk_entry *next;
	char identity[NVC_PSK_IDENTITY_SIZE];
	char hostnqn[NVC_NQN_MAX_LEN + 1], subnqn[NVC_NQN_MAX_LEN + 1];
	bool generated;
	uint8_t hash_id;
	struct nvc_secret tls_psk;
	uint64_t expires;
};

/* An association: what is common to an admin queue and its I/O queues. */
struct controller {
	struct controller *next;
	uint16_t cntlid;
	const struct subsystem *subsystem;
	const struct host *host; /* NULL: a host without a row */
	char hostnqn[NVC_NQN_MAX_LEN + 1];
	uint8_t hostid[NVC_HOSTID_LEN];
	struct conn *admin;
	size_t num_queues; /* connections that point here */
	bool ended;
	bool tls;				  /* its admin queue is a TLS one */
	char psk_identity[NVC_PSK_IDENTITY_SIZE]; /* the PSK of the association; "" in clear */
	uint32_t cc, csts;
	uint32_t kato; /* ms, 0: none */
	uint64_t last_command;
};

enum auth_state {
	AUTH_IDLE,	 /* no transaction on this queue yet */
	AUTH_CHAL_READY, /* AUTH_Negotiate accepted, Challenge waits */
	AUTH_WAIT_REPLY,
	AUTH_SUCC1_READY,
	AUTH_WAIT_SUCC2,
	AUTH_FAIL, /* AUTH_Failure1 waits */
	AUTH_DONE, /* between transactions */
	NUM_AUTH_STATES
};

enum auth_event {
	EV_NEGOTIATE,
	EV_REPLY,
	EV_SUCCESS2,
	EV_FAILURE2,
	EV_FOREIGN, /* a message the controller sends itself, or none at all */
	EV_RECEIVE,
	NUM_AUTH_EVENTS
};

/* One authentication transaction: its values die with it. */
struct transaction {
	struct transaction *next; /* only in the list of what a defect forgot to free */
	bool initial;		  /* the queue was not usable when it began */
	uint16_t t_id;
	uint8_t sc_c, hash_id, dhgid, hl, rcodeex;
	bool concat; /* a PSK is to come of it: SC_C is not NOSC */
	bool two_way;
	uint32_t s1, s2;
	struct nvc_secret kh, kc, c1, c2, ks, r2;
	struct nvc_secret psk_key; /* what the generated PSK is keyed with: Ks */
	bool has_ks;		   /* false: the NULL group */
	struct nvc_dh_key *dh;
	struct psk_entry *psk; /* generated, not published */
};

struct command {
	struct command *next;
	uint8_t sqe[NVC_SQE_LEN];
	uint16_t cid;
	bool async_event;
	uint16_t ttag;
	uint8_t *data; /* what the R2T asked for */
	size_t len, num_received;
	bool data_wrong; /* a data digest was */
};

enum conn_phase {
	CONN_NEW, /* ICReq is due */
	CONN_READY,
	CONN_OVER, /* fatal error or teardown: nothing more is processed */
};

/* One connection, which is one queue. */
struct conn {
	struct conn *next;
	struct nvc_target *target;
	const struct port *port;

	/* channel */
	char identity[NVC_PSK_IDENTITY_SIZE];
	char tls_hostnqn[NVC_NQN_MAX_LEN + 1], tls_subnqn[NVC_NQN_MAX_LEN + 1];
	bool handshake; /* a TLS handshake has asked for a PSK */
	bool secured;	/* the bytes come out of TLS */
	bool generated; /* the identity is that of a generated PSK */
	bool knows_tls; /* what the queue's authentication believes about the channel (teardown.c) */

	/* PDUs */
	enum conn_phase phase;
	struct nvc_pdu_mode rx, tx;
	uint8_t *in, *out;
	size_t in_len, in_cap, out_pos, out_len, out_cap;
	enum nvc_end want_end;
	uint64_t close_at; /* NVC_NEVER, or when to give up waiting for the peer after a TermReq */

	/* queue */
	struct controller *controller;
	uint16_t qid, sqsize, sqhd, next_ttag;
	uint32_t authreq; /* NVC_CONNECT_ATR, NVC_CONNECT_ASCR or 0 */
	bool connected, no_flow_control, authenticated, denied;
	bool keeps_association; /* its end does not end the association (defects) */
	struct command *commands;
	size_t num_commands, num_async_events;

	/* authentication */
	enum auth_state auth;
	struct transaction *tx_auth; /* NULL outside a transaction */
	uint64_t auth_deadline;
	size_t last_ks_len; /* of the transaction before (defect stale-ks-length) */
	bool was_two_way;   /* the transaction before was (defect cvalid-sticky) */
	uint8_t last_sc_c;  /* of the transaction before (defect concat-sticky) */
};

struct nvc_target {
	struct nvc_service service;
	struct nvc_env env;
	struct rules rules;
	bool asked[NUM_RULES];		 /* of `rules` */
	struct nvc_target_config limits; /* numbers and log only; the arrays are below */
	struct subsystem *subsystems;
	size_t num_subsystems;
	struct host *hosts;
	size_t num_hosts;
	struct port *ports;
	size_t num_ports;
	struct conn *conns;
	struct controller *controllers;
	struct psk_entry *psks;
	bool psks_derived; /* the configured ones are in it */
	struct sequence *sequences;
	struct transaction *forgotten;			/* what a defect did not free */
	struct nvc_dh_key *reused_dh[NVC_NUM_DHGROUPS]; /* defect dh-key-reused */
	const struct host *locked_out;			/* defect host-lockout */
	uint8_t shared_hash; /* defect shared-hash-across-queues: the hash of the last AUTH_Negotiate */
	uint16_t next_cntlid;
	size_t num_authenticated, num_failed;
};

/* ---- target.c ---- */
#define KEPT(target_, rule_)	      nvc_rule_kept(&(target_)->rules, RULE_##rule_)
#define FIELD(target_, rule_, value_) nvc_rule_field(&(target_)->rules, RULE_##rule_, (value_))
#define HOW(target_, rule_)	      nvc_rule_how(&(target_)->rules, RULE_##rule_)

/* say writes one line to the log of the target: why it does what it does. No secrets. */
void nvc_target_say(const struct nvc_target *target, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* nvc_target_host_row finds what the target knows of a host at a subsystem; NULL for nothing. */
const struct host *nvc_target_host_row(
	const struct nvc_target *target, const char *hostnqn, const char *subnqn);
const struct subsystem *nvc_target_subsystem_row(const struct nvc_target *target, const char *nqn);
/* nvc_target_next_s1 returns the next S1 of a pair, never 0. */
uint32_t nvc_target_next_s1(
	struct nvc_target *target, const struct host *host, const struct subsystem *subsystem);

/* ---- controller.c ---- */
struct controller *nvc_controller_new(struct nvc_target *target);
struct controller *nvc_controller_find(const struct nvc_target *target, uint16_t cntlid);
/* nvc_controller_drop lets go of a queue's controller and frees it with its last queue. */
void nvc_controller_drop(struct conn *conn);
/* nvc_controller_deadline returns when KATO expires, NVC_NEVER without. */
uint64_t nvc_controller_deadline(const struct controller *controller);

/* ---- conn.c, pdu.c ---- */
extern const struct nvc_service nvc_target_service_ops;
void nvc_conn_send(struct conn *conn, const struct nvc_pdu *pdu);
/* nvc_conn_fatal sends C2HTermReq and stops the connection (TCP Transport 1.0, 3.5). */
void nvc_conn_fatal(struct conn *conn, enum nvc_fes fes, uint32_t fei, struct nvc_slice header);
/* nvc_conn_close ends the connection once its output is drained. */
void nvc_conn_close(struct conn *conn, enum nvc_end how);
void nvc_conn_pdu(struct conn *conn, struct nvc_slice bytes);
/* nvc_conn_header judges the header of a PDU of which the rest has not come yet. */
void nvc_conn_header(struct conn *conn, struct nvc_slice bytes);
void nvc_conn_drop_commands(struct conn *conn);

/* ---- commands.c ---- */
/* nvc_command_capsule serves one command capsule. */
void nvc_command_capsule(struct conn *conn, const struct nvc_pdu *pdu);
/* nvc_command_data takes H2CData of a command. */
void nvc_command_data(struct conn *conn, const struct nvc_pdu *pdu, struct nvc_slice header);
void nvc_command_complete(struct conn *conn, uint16_t cid, uint16_t status, uint64_t result);
/* nvc_command_abort_all completes all outstanding commands with `status`. */
void nvc_command_abort_all(struct conn *conn, uint16_t status);
/* nvc_command_return sends `data` by C2HData, then the completion. */
void nvc_command_return(struct conn *conn, const struct nvc_sqe_head *head, struct nvc_slice data);

/* A command in execution: what it is and the host's data, when it has any. */
struct request {
	struct conn *conn;
	struct nvc_slice sqe;
	struct nvc_sqe_head head;
	struct nvc_slice data;
};

/* The executors return a status; NVC_SC_SUCCESS with `done` set means that they have completed the command themselves. */
struct outcome {
	uint16_t status;
	uint64_t result;
	bool done;
};

struct outcome nvc_exec_connect(const struct request *req);
struct outcome nvc_exec_property(const struct request *req, bool set);
struct outcome nvc_exec_disconnect(const struct request *req);
struct outcome nvc_exec_admin(const struct request *req);
struct outcome nvc_exec_io(const struct request *req);
struct outcome nvc_exec_discovery_log(const struct request *req, const struct nvc_cmd_nvme *cmd);
struct outcome nvc_exec_auth_send(const struct request *req);
struct outcome nvc_exec_auth_receive(const struct request *req);

/* ---- policy.c ---- */
/* nvc_policy_authreq returns the AUTHREQ bits of a queue (Base 2.2, figures 750 to 754). */
uint32_t nvc_policy_authreq(const struct conn *conn);
/* nvc_policy_gate returns 0, or the status which refuses `sqe` before authentication. */
uint16_t nvc_policy_gate(const struct conn *conn, struct nvc_slice sqe);
/* nvc_policy_open tells whether a queue serves commands. */
bool nvc_policy_open(const struct conn *conn);

/* ---- auth.c, auth_negotiate.c, auth_reply.c ---- */
/* nvc_auth_timeout handles the expiry of the timer of a queue. */
void nvc_auth_timeout(struct conn *conn);
/* nvc_auth_start_timer starts or restarts the timer of a transaction. */
void nvc_auth_start_timer(struct conn *conn);
/* nvc_auth_free wipes and frees a transaction; NULL is allowed. */
void nvc_auth_free(struct transaction *tx);
/* nvc_auth_leave makes tx memory that nobody uses and the target's counters show (defects); NULL is allowed. */
void nvc_auth_leave(struct nvc_target *target, struct transaction *tx);
const char *nvc_auth_state_name(enum auth_state state);
/* nvc_auth_illegal tells whether the state machine has an error for `event` in `state`. */
bool nvc_auth_illegal(enum auth_state state, enum auth_event event);
/* The checks return 0 or the RCODEEX of the refusal. */
uint8_t nvc_auth_negotiate(struct conn *conn, struct transaction *tx, struct nvc_slice message);
uint8_t nvc_auth_reply(struct conn *conn, struct transaction *tx, struct nvc_slice message);

/* ---- psk_ring.c ---- */
/* nvc_psk_make derives the TLS PSK and identity of a finished transaction; NULL when none is defined. */
struct psk_entry *nvc_psk_make(struct conn *conn, const struct transaction *tx);
void nvc_psk_free(struct psk_entry *entry);
/* nvc_psk_publish puts `entry` (owned from now on) into the ring. */
void nvc_psk_publish(struct nvc_target *target, struct psk_entry *entry);
void nvc_psk_retire(struct nvc_target *target, const char *identity);
/* nvc_psk_publish_twin puts the PSK published last into the ring once more; nvc_psk_retire_another takes one more generated PSK of the
 * host out of it (defects). */
void nvc_psk_publish_twin(struct nvc_target *target);
void nvc_psk_retire_another(struct nvc_target *target, const char *hostnqn);
const struct psk_entry *nvc_psk_find(const struct nvc_target *target, const char *identity);
void nvc_psk_expire(struct nvc_target *target, uint64_t now);
/* nvc_psk_check tells whether a configured PSK can be used; its identities are derived when the first handshake asks for one. */
enum nvc_result nvc_psk_check(const struct nvc_tls_key *key, const char *hostnqn);
/* The TLS call-backs of the service. */
bool nvc_psk_for_tls(void *conn, const char *identity, struct nvc_secret *psk, uint8_t *hash_id);
void nvc_psk_secured(void *conn, const char *identity, uint16_t suite);

#endif
