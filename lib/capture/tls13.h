/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The record layer of TLS 1.3 (RFC 8446, 5) as a passive reader with the traffic secrets sees it: AES-GCM records, new
 * session tickets, KeyUpdate and alerts. The handshake itself is not decrypted: its records are those that the traffic
 * secrets do not open yet.
 */
#ifndef NVC_CAPTURE_TLS13_H
#define NVC_CAPTURE_TLS13_H

#include "capture/keylog.h"

enum nvc_tls13_state {
	NVC_TLS13_HELLO,   /* ServerHello has not been seen */
	NVC_TLS13_OPEN,	   /* records are or will be decrypted */
	NVC_TLS13_NO_KEYS, /* the key log knows nothing of this connection */
	NVC_TLS13_UNFIT,   /* the keys open no record */
	NVC_TLS13_BROKEN,  /* no TLS records, or one that was changed on its way */
	NVC_TLS13_OTHER,   /* another version or cipher suite */
};

struct nvc_tls13_sink {
	void *self;
	/* Decrypted bytes of `side`; 0 is the client. */
	void (*bytes)(void *self, int side, struct nvc_slice bytes);
	/* An alert of `side`: close_notify is 0. */
	void (*alert)(void *self, int side, uint8_t description);
	/* `side` goes on under its next secret. NULL: nobody wants to know. */
	void (*updated)(void *self, int side);
};

/* What the hellos say in clear. */
struct nvc_tls13_hellos {
	/* The first PSK identity offered that is one of NVMe/TCP ("NVMe0R01 ..."), or the one that ServerHello chose; empty
	 * where none was. */
	struct nvc_slice identity;
	bool chosen;	 /* ServerHello chose it */
	uint8_t hash_id; /* of the cipher suite that ServerHello chose; NVC_HASH_NONE before */
};

struct nvc_tls13;

/* nvc_tls13_new returns the reader of one connection, or NULL without memory. `keylog` is borrowed. */
struct nvc_tls13 *nvc_tls13_new(const struct nvc_keylog *keylog, const struct nvc_tls13_sink *sink);

/* nvc_tls13_free wipes and frees `tls`; NULL is allowed. */
void nvc_tls13_free(struct nvc_tls13 *tls);

/* nvc_tls13_feed takes the next bytes of the network that `side` sent. Returns the state after them; after NVC_TLS13_UNFIT,
 * _BROKEN and _OTHER nothing more is decrypted. */
enum nvc_tls13_state nvc_tls13_feed(struct nvc_tls13 *tls, int side, struct nvc_slice bytes);

/* nvc_tls13_names_nvme tells whether ClientHello offered a PSK whose identity is one of NVMe/TCP ("NVMe0R01 ..."). */
bool nvc_tls13_names_nvme(const struct nvc_tls13 *tls);

/* nvc_tls13_hellos tells what the hellos so far said; valid until the next nvc_tls13_feed. */
struct nvc_tls13_hellos nvc_tls13_hellos(const struct nvc_tls13 *tls);

/* nvc_tls13_bound is nvc_hellos_bound for the identity that nvc_tls13_hellos tells. */
enum nvc_result nvc_tls13_bound(
	const struct nvc_tls13 *tls, uint8_t hash_id, struct nvc_slice tls_psk);

/* nvc_tls13_has_keys tells whether the key log has both traffic secrets of the connection whose ClientHello was fed. */
bool nvc_tls13_has_keys(const struct nvc_tls13 *tls);

/* nvc_tls13_finish returns the final state, when both sides have ended: then records that nothing opened are too many to be
 * the handshake. */
enum nvc_tls13_state nvc_tls13_finish(const struct nvc_tls13 *tls);

/* nvc_tls13_unfinished returns how many bytes of a record that is not whole `side` has sent. */
size_t nvc_tls13_unfinished(const struct nvc_tls13 *tls, int side);

/* nvc_tls13_began tells whether any record was encrypted. */
bool nvc_tls13_began(const struct nvc_tls13 *tls);

#endif
