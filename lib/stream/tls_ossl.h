/* SPDX-License-Identifier: BSD-3-Clause */
/* What both TLS roles share of OpenSSL. */
#ifndef NVC_STREAM_TLS_OSSL_H
#define NVC_STREAM_TLS_OSSL_H

#include <openssl/ssl.h>

#include "crypto/secret.h"

/* One end of a TLS connection over memory BIOs; first member of both roles, found from OpenSSL's callbacks by
 * SSL_get_app_data. */
struct nvc_ossl_end {
	SSL *ssl;
	BIO *from_net; /* owned by ssl */
	BIO *to_net;   /* owned by ssl */
	void (*keylog)(void *self, const char *line);
	void *keylog_self;
	struct nvc_secret
		*client_secret; /* where CLIENT_TRAFFIC_SECRET_0 is wanted; NULL: nowhere */
	bool fatal_seen;	/* the peer sent a fatal alert: */
	uint8_t alert;		/* its description */
};

/* Suites of TLS 1.2 without certificates, which an end has only when it is asked to. */
#define NVC_OSSL_ANONYMOUS "aNULL:@SECLEVEL=0"

/* nvc_ossl_context prepares a context of either role: TLS 1.3 alone, no tickets, no sessions, our callbacks. NULL without
 * memory. */
SSL_CTX *nvc_ossl_context(const SSL_METHOD *method);

/* nvc_ossl_end_init makes the SSL object and its BIOs. False without memory; nvc_ossl_end_fini is due in either case. */
bool nvc_ossl_end_init(struct nvc_ossl_end *end, SSL_CTX *context);
void nvc_ossl_end_fini(struct nvc_ossl_end *end);

/* nvc_ossl_suite returns the OpenSSL name of the suite of a PSK's hash id (1, 2), NULL for another. */
const char *nvc_ossl_suite(uint8_t hash_id);

/* nvc_ossl_suite_id returns its number, 1301h or 1302h; 0 for another hash id. */
uint16_t nvc_ossl_suite_id(uint8_t hash_id);

/* nvc_ossl_session wraps `psk` as OpenSSL wants external PSKs: a TLS 1.3 session whose suite has the PSK's hash and whose
 * master key is the PSK. The caller frees it; NULL on a bad hash id or without memory. */
SSL_SESSION *nvc_ossl_session(SSL *ssl, const struct nvc_secret *psk, uint8_t hash_id);

/* nvc_ossl_reason returns OpenSSL's words for the last error. Static storage. */
const char *nvc_ossl_reason(void);

#endif
