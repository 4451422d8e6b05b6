/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TLS key logs in NSS format (draft-ietf-tls-keylogfile): the traffic secrets of TLS 1.3 by the random of ClientHello; and, in
 * lines of the same form, the ephemeral exponents of DH-HMAC-CHAP (NVC_DHCHAP_EXPONENT_LABEL).
 */
#ifndef NVC_CAPTURE_KEYLOG_H
#define NVC_CAPTURE_KEYLOG_H

#include "crypto/dhchap.h"

enum { NVC_TLS_RANDOM_LEN = 32, NVC_KEYLOG_MAX = 1 << 16 /* secrets that are kept */ };

/* What a log knows of one connection; empty secrets are not known. [0] is the client. */
struct nvc_keylog_entry {
	struct nvc_secret traffic[2]; /* CLIENT_ and SERVER_TRAFFIC_SECRET_0 */
	bool handshake;		      /* its handshake secrets are there */
	struct nvc_secret exponent;   /* of a public value, not of a connection */
};

struct nvc_keylog;

/* nvc_keylog_new returns an empty log, or NULL without memory. */
struct nvc_keylog *nvc_keylog_new(void);

/* nvc_keylog_free wipes and frees `keylog`; NULL is allowed. */
void nvc_keylog_free(struct nvc_keylog *keylog);

/* nvc_keylog_add takes the lines of `text`. What is no line of a key log is passed over; the number of secrets that were
 * understood is returned. Beyond NVC_KEYLOG_MAX connections nothing more is kept. */
size_t nvc_keylog_add(struct nvc_keylog *keylog, struct nvc_slice text);

/* nvc_keylog_find returns what is known of the connection whose ClientHello had `random`, or NULL. Valid until the next
 * nvc_keylog_add. */
const struct nvc_keylog_entry *nvc_keylog_find(
	const struct nvc_keylog *keylog, const uint8_t random[NVC_TLS_RANDOM_LEN]);

/* nvc_keylog_exponent returns the private exponent of a public value as it is on the wire, or NULL. Valid as above. */
const struct nvc_secret *nvc_keylog_exponent(
	const struct nvc_keylog *keylog, struct nvc_slice public_value);

#endif
