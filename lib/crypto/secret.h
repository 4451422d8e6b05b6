/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes that must not be seen: a type of their own, wiped when they die, shown only as a
 * fingerprint. */
#ifndef NVC_CRYPTO_SECRET_H
#define NVC_CRYPTO_SECRET_H

#include "wire/bytes.h"
#include "wire/result.h"

enum {
	NVC_MAX_SECRET = 64,	   /* the longest secret, key, digest and PSK of the protocol */
	NVC_FINGERPRINT_SIZE = 16, /* "sha256:1a2b3c4d" and its NUL */
};

/* A secret, key, PSK or digest of at most 64 bytes. {.len = 0} is an empty one. Wiped by its
 * owner. */
struct nvc_secret {
	uint8_t data[NVC_MAX_SECRET];
	size_t len;
};

/* nvc_secret_set copies `value` into `secret`, whose former bytes are wiped. `value` may lie inside
 * `secret`. NVC_E_NO_SPACE above 64 bytes; `secret` is empty then. */
enum nvc_result nvc_secret_set(struct nvc_secret *secret, struct nvc_slice value);

/* nvc_secret_wipe overwrites all of `secret` so that the compiler cannot leave it out, and makes it
 * empty. NULL is allowed. */
void nvc_secret_wipe(struct nvc_secret *secret);

/* nvc_secret_slice returns the bytes of `secret`, which must outlive the slice. */
struct nvc_slice nvc_secret_slice(const struct nvc_secret *secret);

/* nvc_secret_equal tells whether both hold the same bytes, in a time that depends on their lengths
 * only. */
bool nvc_secret_equal(struct nvc_slice a, struct nvc_slice b);

/* nvc_secret_fingerprint writes "sha256:" and the first 4 bytes of SHA-256("nvme-conform
 * fingerprint" 00h value) in hex, for logs and reports: two logs show whether they speak of the
 * same secret. 32 bits tell nothing about a random secret. An empty secret is "empty". Returns
 * `out`. */
char *nvc_secret_fingerprint(struct nvc_slice value, char out[NVC_FINGERPRINT_SIZE]);

#endif
