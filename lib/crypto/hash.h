/* SPDX-License-Identifier: BSD-3-Clause */
/* The hashes of the authentication protocol (enum nvc_hash of wire/auth.h), alone and as HMAC. */
#ifndef NVC_CRYPTO_HASH_H
#define NVC_CRYPTO_HASH_H

#include "crypto/secret.h"

/* nvc_hash_ossl_name returns the OpenSSL name of a hash id ("SHA256"), or NULL for an id that is
 * not defined. */
const char *nvc_hash_ossl_name(uint8_t hash_id);

/* nvc_hash writes the digest of `data` under `hash_id`. NVC_E_INVALID for an id that is not
 * defined. `digest` may hold `data`. */
enum nvc_result nvc_hash(uint8_t hash_id, struct nvc_slice data, struct nvc_secret *digest);

/* nvc_hash_parts does the same over the `num` slices of `parts`, one after another. */
enum nvc_result nvc_hash_parts(
	uint8_t hash_id, const struct nvc_slice *parts, size_t num, struct nvc_secret *digest);

/* nvc_hmac writes HMAC under `hash_id` with `key` (may be empty) over the `num` slices of
 * `parts`, one after another. NVC_E_INVALID for an id that is not defined. `mac` may hold `key`
 * or a part. */
enum nvc_result nvc_hmac(uint8_t hash_id, struct nvc_slice key, const struct nvc_slice *parts,
	size_t num, struct nvc_secret *mac);

#endif
