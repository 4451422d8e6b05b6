/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The verbs a case is written in. Two families: plain verbs reach the point under test, and leave the case
 * `inconclusive` when they do not succeed; expect_* verbs judge a requirement. Each is a no-op once the case has its verdict.
 */
#ifndef NVC_SUITES_STEPS_H
#define NVC_SUITES_STEPS_H

#include "suites/case.h"

/* host_as returns the host emulator of the case, acting as an identity that fits. */
struct nvc_host *host_as(struct test *t, struct identity_want want);

/* The identity of cases to which hash and group do not matter: SHA-256 and ffdhe2048, in one or both directions. */
#define ORDINARY      want_pair(NVC_HASH_SHA256, NVC_DH_2048)
#define ORDINARY_BIDI want_both_ways(NVC_HASH_SHA256, NVC_DH_2048)

/* ---- connections ---- */

/* connect_admin opens an admin queue in clear up to a successful Connect (no authentication). */
struct nvc_queue *connect_admin(struct test *t, struct nvc_host *host);
/* connect_admin_tls does the same over TLS under `psk`. */
struct nvc_queue *connect_admin_tls(
	struct test *t, struct nvc_host *host, const struct nvc_tls_psk *psk);
/* connect_as opens a queue with options of its own, up to a successful Connect. */
struct nvc_queue *connect_as(
	struct test *t, struct nvc_host *host, const struct nvc_queue_options *options);
/* connect_io opens I/O queue `qid` beside `admin` in clear, or over TLS under `psk`; no authentication on it. */
struct nvc_queue *connect_io(
	struct test *t, struct nvc_queue *admin, uint16_t qid, const struct nvc_tls_psk *psk);
/* admin_ready is connect_admin, authenticate when asked, CC.EN=1: an admin queue on which everything is allowed. */
struct nvc_queue *admin_ready(struct test *t, struct nvc_host *host);
/* enable sets CC.EN and waits for CSTS.RDY. */
void enable(struct test *t, struct nvc_queue *admin);
/* leave closes our side (FIN) of a queue and waits for the target to close its own. */
void leave(struct test *t, struct nvc_queue *queue);

/* ---- whole authentications ---- */

/* transaction prepares an authentication on `queue`; it is freed with the case. Change its members before the first step. Never NULL. With
 * a SC_C other than NOSC it offers what a PSK identity is defined for: SHA-256 and SHA-384, no NULL group. */
struct nvc_auth *transaction(
	struct test *t, struct nvc_queue *queue, enum nvc_sc_c sc_c, enum nvc_auth_mode mode);
/* offer narrows what a transaction offers to one hash and one group. */
void offer(struct nvc_auth *auth, int hash_id, int dhgid);
/* authenticate runs the exchange; success is what the case needs, not what it judges. */
void authenticate(struct test *t, struct nvc_auth *auth);
/* expect_success runs the exchange and judges that it succeeds (and that R2, where asked for, is right). */
void expect_success(struct test *t, enum req_id req, struct nvc_auth *auth);

/* Accepted codes or statuses, e.g. CODES(NVC_RCODEEX_PAYLOAD, NVC_RCODEEX_HASH). */
struct codes {
	uint16_t list[6];
	size_t num;
};
#define CODES(...)                                                                                 \
	((struct codes){{__VA_ARGS__}, sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t)})

/* expect_refused runs the exchange and judges that it ends in AUTH_Failure1 with one of `codes`. */
void expect_refused(struct test *t, enum req_id req, struct nvc_auth *auth, struct codes codes);

/* ---- single messages ---- */

void send_negotiate(struct test *t, struct nvc_auth *auth);
void send_reply(struct test *t, struct nvc_auth *auth);
void send_success2(struct test *t, struct nvc_auth *auth);
void send_failure2(struct test *t, struct nvc_auth *auth, uint8_t rcodeex);
void send_message(struct test *t, struct nvc_auth *auth, struct nvc_slice message);
/* receive_challenge and receive_success1 need that very message. */
void receive_challenge(struct test *t, struct nvc_auth *auth);
void receive_success1(struct test *t, struct nvc_auth *auth);
/* take_challenge is receive_challenge and hands the Challenge out; its slices last until the next receive. False when there is none. */
bool take_challenge(struct test *t, struct nvc_auth *auth, struct nvc_challenge *challenge);
/* receive_answer takes whatever comes where an answer is due, for the case to judge; `expected` says what, should none come. False when the
 * case has its verdict. */
bool receive_answer(struct test *t, enum req_id req, struct nvc_auth *auth, const char *expected,
	struct nvc_auth_received *received);
/* expect_challenge, expect_success1 and expect_failure1 judge which message comes next. */
void expect_challenge(struct test *t, enum req_id req, struct nvc_auth *auth);
void expect_success1(struct test *t, enum req_id req, struct nvc_auth *auth);
void expect_failure1(struct test *t, enum req_id req, struct nvc_auth *auth, struct codes codes);
/* expect_auth_status judges the status of the last Authentication Send or Receive. */
void expect_auth_status(
	struct test *t, enum req_id req, const struct nvc_auth *auth, struct codes statuses);

/* ---- secure channels ---- */

/* new_tls_psk does NEWTLSPSK on a connection of its own and leaves it; the PSK is host->psk. `offered` NULL: as
 * a transaction does. */
void new_tls_psk(struct test *t, struct nvc_host *host, enum nvc_auth_mode mode,
	const struct nvc_auth_offer *offered);
/* admin_from_newtlspsk is new_tls_psk, then an admin queue over TLS under it. */
struct nvc_queue *admin_from_newtlspsk(
	struct test *t, struct nvc_host *host, const struct nvc_auth_offer *offered);
/* expect_admin_tls judges that an admin queue over TLS under `psk` comes up as far as Connect, and returns it. */
struct nvc_queue *expect_admin_tls(
	struct test *t, enum req_id req, struct nvc_host *host, const struct nvc_tls_psk *psk);
/* expect_tls does the same on a connection beside the one under test, which is left again. */
void expect_tls(
	struct test *t, enum req_id req, struct nvc_host *host, const struct nvc_tls_psk *psk);
/* expect_no_tls judges that no handshake completes under `psk`, while the target is alive. */
void expect_no_tls(
	struct test *t, enum req_id req, struct nvc_host *host, const struct nvc_tls_psk *psk);
/* expect_handshake and expect_no_handshake do the same with an offer out of the ordinary. */
void expect_handshake(struct test *t, enum req_id req, struct nvc_host *host,
	const struct nvc_queue_options *options);
void expect_no_handshake(struct test *t, enum req_id req, struct nvc_host *host,
	const struct nvc_queue_options *options);
/* observe_connection puts on record whether `what` led to a connection (`result`, `text`) that is `taken` or was refused; when the target
 * was silent or is dead, nothing. */
void observe_connection(struct test *t, enum req_id req, struct nvc_host *host, const char *what,
	const char *taken, enum nvc_result result, const char *text);

/* ---- commands and connections ---- */

/* A command by name, for expect_status. */
enum command {
	CMD_IDENTIFY,
	CMD_KEEP_ALIVE,
	CMD_GET_LOG_PAGE,
	CMD_SET_FEATURES,
	CMD_ASYNC_EVENT,
	CMD_PROPERTY_GET,
	CMD_PROPERTY_SET,
	CMD_READ,
	CMD_FLUSH,
	CMD_DISCONNECT,
	NUM_COMMANDS
};
/* expect_status sends `command` and judges its status to be one of `statuses`. */
void expect_status(struct test *t, enum req_id req, struct nvc_queue *queue, enum command command,
	struct codes statuses);
/* expect_property_set writes `value` to the 4-byte property at `ofst` and judges the status to be one of `statuses`. */
void expect_property_set(struct test *t, enum req_id req, struct nvc_queue *queue, uint32_t ofst,
	uint32_t value, struct codes statuses);
/* expect_denied judges what became of a command on `queue` that must not be served, called `what`: an error status, or the end of the
 * connection. Silence is neither of them. */
void expect_denied(struct test *t, enum req_id req, struct nvc_queue *queue, const char *what,
	enum nvc_result result, uint16_t status, const struct nvc_error *err);
/* expect_io judges that I/O queue `qid` comes up beside `admin`, in clear or over TLS under `psk`, and serves a command. */
struct nvc_queue *expect_io(struct test *t, enum req_id req, struct nvc_queue *admin, uint16_t qid,
	const struct nvc_tls_psk *psk);
/* expect_served judges that the queue is open and a harmless command on it succeeds. */
void expect_served(struct test *t, enum req_id req, struct nvc_queue *queue);
/* expect_closed judges that the target ends the connection within the bound. */
void expect_closed(struct test *t, enum req_id req, struct nvc_queue *queue);
/* expect_new_association judges that a fresh connection is served: ICReq, Connect, authentication when asked. */
void expect_new_association(struct test *t, enum req_id req, struct nvc_host *host);

/* expect_true judges anything else: `holds`, what was expected, and what was seen. */
void expect_true(struct test *t, enum req_id req, bool holds, const char *expected,
	const char *seen, ...) __attribute__((format(printf, 5, 6)));

/* expect_open judges that the target has not ended the connection so far. */
void expect_open(struct test *t, enum req_id req, struct nvc_queue *queue);

/* pass_time lets `ms` milliseconds go by; with `keep` (may be NULL) a Keep Alive goes out on it every second. */
void pass_time(struct test *t, uint64_t ms, struct nvc_queue *keep);
/* expect_kept does so and judges that each Keep Alive is answered. */
void expect_kept(struct test *t, enum req_id req, uint64_t ms, struct nvc_queue *keep);

/* test_params of 3 hashes x 6 groups etc. are written once: {hash, group}. */
extern const struct case_param PARAMS_HASH_GROUP[]; /* value: hash id, group id */
extern const struct case_param
	PARAMS_CONCAT_HASH_GROUP[];		     /* SHA-256 and SHA-384 with the five groups */
extern const struct case_param PARAMS_CONCAT_HASH[]; /* SHA-256 and SHA-384 */

#endif
