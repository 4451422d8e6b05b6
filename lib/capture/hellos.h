/* SPDX-License-Identifier: BSD-3-Clause */
/* What the hellos of a TLS 1.3 handshake say in clear, and what a PSK proves of them (RFC 8446, 4.1 and 4.2.11). */
#ifndef NVC_CAPTURE_HELLOS_H
#define NVC_CAPTURE_HELLOS_H

#include "capture/keylog.h"

enum {
	NVC_HELLOS_NOBODY = -1,
	NVC_HELLOS_RETRY_MAX =
		256, /* bytes of a HelloRetryRequest: it has a cookie at most, and none of ours */
};

struct nvc_hellos {
	uint8_t random[NVC_TLS_RANDOM_LEN]; /* of ClientHello */
	bool client_seen, names_nvme;
	uint8_t *hello; /* the newest ClientHello, as far as its record had it */
	size_t hello_len;
	bool whole;
	struct nvc_slice
		identities; /* in it: a length of two bytes before each, an age of four behind it */
	struct nvc_slice binders; /* in it: a length of one byte before each */
	/* of the handshake that a HelloRetryRequest began anew */
	uint8_t retry[NVC_HELLOS_RETRY_MAX];
	size_t retry_len;
	struct nvc_secret
		first; /* digest of the first ClientHello; empty where that was not whole */
	int chosen;    /* identity that ServerHello chose; NVC_HELLOS_NOBODY before */
};

enum nvc_hellos_answer { NVC_HELLOS_SUITE, NVC_HELLOS_RETRY, NVC_HELLOS_OTHER };

/* nvc_hellos_init begins a handshake of which nothing has been seen; nvc_hellos_fini frees what it holds. */
void nvc_hellos_init(struct nvc_hellos *hellos);
void nvc_hellos_fini(struct nvc_hellos *hellos);

/* nvc_hellos_client takes a ClientHello: `message` begins with its type, and may be cut short. */
void nvc_hellos_client(struct nvc_hellos *hellos, struct nvc_slice message);

/* nvc_hellos_server takes a ServerHello. NVC_HELLOS_SUITE when it chose TLS 1.3 with AES-GCM: `hash_id` is that of the suite. */
enum nvc_hellos_answer nvc_hellos_server(
	struct nvc_hellos *hellos, struct nvc_slice message, uint8_t *hash_id);

/* nvc_hellos_identity returns the PSK identity that was chosen or, before that, the first offered that is one of NVMe/TCP; empty
 * where there is none. */
struct nvc_slice nvc_hellos_identity(const struct nvc_hellos *hellos);

/* nvc_hellos_bound tells whether the binder of that identity is the one of `tls_psk` under `hash_id`. NVC_E_MALFORMED when it is
 * another, NVC_E_TRUNCATED when not all that it covers was seen. */
enum nvc_result nvc_hellos_bound(
	const struct nvc_hellos *hellos, uint8_t hash_id, struct nvc_slice tls_psk);

#endif
