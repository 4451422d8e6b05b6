/* SPDX-License-Identifier: BSD-3-Clause */
/* TLS 1.3 with an external PSK in both roles (TCP Transport 1.0, 3.6.1; docs/protocol.md 5.7). OpenSSL does the protocol. */
#ifndef NVC_STREAM_TLS_H
#define NVC_STREAM_TLS_H

#include "crypto/secret.h"
#include "stream/service.h"
#include "stream/tls_record.h"

/* A PSK as the handshake needs it. */
struct nvc_tls_psk {
	char identity[640]; /* "NVMe1G01 HOSTNQN SUBNQN DIGEST", no NUL on the wire */
	struct nvc_secret psk;
	uint8_t hash_id; /* 1: TLS_AES_128_GCM_SHA256, 2: TLS_AES_256_GCM_SHA384 */
};

struct nvc_tls_hello;
struct nvc_tls_hello_answer;

/* What a client offers; the zero value of everything but `psk` is the ordinary offer. */
struct nvc_tls_options {
	const struct nvc_tls_psk *psk; /* NULL: no PSK is offered */
	const char *ciphersuites;      /* OpenSSL names; NULL: the suite of the PSK's hash */
	const char *groups; /* OpenSSL names; NULL: "X25519:P-256:P-384:ffdhe2048:ffdhe3072" */
	bool tls12_only;    /* offer TLS 1.2 at most, anonymous suites too */
	size_t record_len;  /* as in struct nvc_fault_plan */
	bool empty_records; /* an empty record goes before each record of application data */
	bool nul;	    /* the identity ends with a NUL, as TCP Transport 1.0 draws it */
	/* A ClientHello by hand instead of all this (stream/tls_hello.h): its answer, and no stream, is what comes of it. */
	const struct nvc_tls_hello *hello;
	struct nvc_tls_hello_answer *hello_answer;
	/* Sent before the handshake is complete (RFC 8446, 2.3); empty: nothing is. */
	struct nvc_slice early_data;
	/* One line of NSS key log format for each secret; NULL: none. */
	void (*keylog)(void *self, const char *line);
	void *keylog_self;
};

/*
 * nvc_tls_connect does the client handshake over `lower` and owns it from then on, also when it fails (then it is freed).
 * NVC_E_TLS: the peer sent an alert or nonsense; NVC_E_CLOSED / _RESET: it closed in mid handshake; `end` (may be NULL)
 * and `alert` (may be NULL) tell how. With options->hello it is NVC_E_STATE once there is an answer.
 */
enum nvc_result nvc_tls_connect(struct nvc_stream *lower, const struct nvc_world *world,
	const struct nvc_tls_options *options, uint64_t deadline, struct nvc_stream **out,
	enum nvc_end *end, uint8_t *alert, struct nvc_error *err);

/* nvc_tls_send_raw sends bytes below TLS as they are: records that nobody sealed. Errors are those of sending. */
enum nvc_result nvc_tls_send_raw(struct nvc_stream *tls, struct nvc_slice bytes, uint64_t deadline);

/* nvc_tls_leave_out_close_notify lets a TLS stream end without one. */
void nvc_tls_leave_out_close_notify(struct nvc_stream *tls);

/* nvc_tls_early_data_accepted tells whether the server took the early data of a TLS stream. */
bool nvc_tls_early_data_accepted(const struct nvc_stream *tls);

/* nvc_tls_key_update asks for a KeyUpdate of both directions with the next bytes sent on a TLS stream. NVC_E_STATE on one with empty records, whose
 * keys are not OpenSSL's to change. */
enum nvc_result nvc_tls_key_update(struct nvc_stream *tls);

/* ---- the sans-I/O server end, used by stream/sim.c and stream/server.c ---- */
struct nvc_tls_server;
/* nvc_tls_server_new returns a server end for the connection `conn` of a service; NULL without memory. */
struct nvc_tls_server *nvc_tls_server_new(const struct nvc_tls_accept *accept, void *conn);
void nvc_tls_server_free(struct nvc_tls_server *tls);
/* nvc_tls_server_keylog as in struct nvc_tls_options. */
void nvc_tls_server_keylog(
	struct nvc_tls_server *tls, void (*keylog)(void *self, const char *line), void *self);
/* nvc_tls_server_feed hands over bytes of the network. NVC_E_TLS: handshake or record failed (output may hold an alert). */
enum nvc_result nvc_tls_server_feed(struct nvc_tls_server *tls, struct nvc_slice bytes);
/* nvc_tls_server_take returns bytes for the network (at most `size`). */
size_t nvc_tls_server_take(struct nvc_tls_server *tls, uint8_t *out, size_t size);
/* nvc_tls_server_read returns the decrypted bytes of one record; `closed` is set once close_notify came. */
size_t nvc_tls_server_read(
	struct nvc_tls_server *tls, uint8_t out[NVC_TLS_RECORD_MAX], bool *closed);
/* nvc_tls_server_write encrypts all of `bytes`. Before the handshake is complete it fails with NVC_E_STATE. */
enum nvc_result nvc_tls_server_write(struct nvc_tls_server *tls, struct nvc_slice bytes);
/* nvc_tls_server_close queues close_notify. */
void nvc_tls_server_close(struct nvc_tls_server *tls);
bool nvc_tls_server_established(const struct nvc_tls_server *tls);

#endif
