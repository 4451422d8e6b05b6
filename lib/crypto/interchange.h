/* SPDX-License-Identifier: BSD-3-Clause */
/* "PREFIX:hh:<base64 of secret and CRC-32>:", the form that DHHC-1 and NVMeTLSkey-1 share. */
#ifndef NVC_CRYPTO_INTERCHANGE_H
#define NVC_CRYPTO_INTERCHANGE_H

#include "crypto/secret.h"

/* What sets the two forms apart. */
struct nvc_interchange {
	const char *prefix;    /* with its colon, "DHHC-1:" */
	const char *what;      /* for messages, "DH-HMAC-CHAP secret" */
	uint8_t max_hash_id;   /* 0 to this are defined */
	size_t max_secret_len; /* lengths are 32, 48 and 64 up to this */
	const char *lengths;   /* for messages, "32, 48 or 64" */
};

/* nvc_interchange_parse reads `text` strictly; contract and messages as nvc_dhchap_key_parse. */
enum nvc_result nvc_interchange_parse(const struct nvc_interchange *form, struct nvc_slice text,
	uint8_t *hash_id, struct nvc_secret *secret, struct nvc_error *err);

/* nvc_interchange_format writes the text with its NUL; contract as nvc_dhchap_key_format. */
enum nvc_result nvc_interchange_format(const struct nvc_interchange *form, uint8_t hash_id,
	const struct nvc_secret *secret, char *text, size_t size);

#endif
