/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ClientHello made by hand, for offers that OpenSSL does not make: psk_ke alone, two identities (RFC 8446, 4.1.2 and 4.2.11). The
 * ServerHello is in clear and tells what the server takes of it; the handshake goes no further.
 */
#ifndef NVC_STREAM_TLS_HELLO_H
#define NVC_STREAM_TLS_HELLO_H

#include "stream/tls.h"

enum { NVC_HELLO_MAX_PSKS = 2 };

/* What is offered beside TLS 1.3, both suites, and a key share of ffdhe3072 unless psk_ke stands alone. */
struct nvc_tls_hello {
	/* In the order of the list, each with a right binder under its own hash. */
	const struct nvc_tls_psk *psks[NVC_HELLO_MAX_PSKS];
	size_t num_psks;
	bool psk_ke, psk_dhe_ke; /* psk_key_exchange_modes */
};

/* What the server made of it. */
struct nvc_tls_hello_answer {
	bool accepted;	   /* a ServerHello that takes a PSK: */
	uint16_t selected; /* its place in the list */
	uint16_t suite;	   /* 1301h, 1302h */
	bool key_share;	   /* there is a Diffie-Hellman exchange beside the PSK */
	bool retry;	   /* a HelloRetryRequest came instead: the server wants another group */
	enum nvc_end end;  /* or the server ended: */
	uint8_t alert;	   /* with NVC_END_TLS_ALERT */
};

/*
 * nvc_tls_hello sends `hello` on `lower` (borrowed) and waits for the answer. NVC_OK with any answer, an end included;
 * NVC_E_TIMEOUT, NVC_E_TLS for an answer that is no TLS, NVC_E_INVALID for a PSK whose hash is neither 1 nor 2 or a wrong number of them, and the
 * errors of sending.
 */
enum nvc_result nvc_tls_hello(struct nvc_stream *lower, const struct nvc_env *env,
	const struct nvc_tls_hello *hello, uint64_t deadline, struct nvc_tls_hello_answer *answer,
	struct nvc_error *err);

#endif
