/* SPDX-License-Identifier: BSD-3-Clause */
/* The DH-HMAC-CHAP secret as people hand it over, and the key made of it (Base 2.2, 8.3.4.5.8). */
#ifndef NVC_CRYPTO_DHCHAP_KEY_H
#define NVC_CRYPTO_DHCHAP_KEY_H

#include "crypto/secret.h"

enum {
	NVC_DHCHAP_KEY_TEXT_SIZE = 10 + 92 + 1 + 1
}; /* "DHHC-1:hh:", 68 bytes in base64, ":", NUL */

struct nvc_dhchap_key {
	uint8_t hash_id;	  /* of the transformation (enum nvc_hash), 0 for none */
	struct nvc_secret secret; /* 32, 48 or 64 bytes */
};

/*
 * nvc_dhchap_key_parse reads "DHHC-1:hh:<base64 of secret and CRC-32>:", strictly: nothing before,
 * nothing behind, canonical base64. NVC_E_INVALID with a diagnosis in `err` (may be NULL) which
 * names the character position, the length or the CRC at fault and shows nothing of the secret.
 * `key` is wiped on failure.
 */
enum nvc_result nvc_dhchap_key_parse(
	struct nvc_slice text, struct nvc_dhchap_key *key, struct nvc_error *err);

/* nvc_dhchap_key_format writes the text of `key` with its NUL; `size` of NVC_DHCHAP_KEY_TEXT_SIZE
 * always suffices. NVC_E_INVALID for a hash id or a length that has no representation,
 * NVC_E_NO_SPACE. The caller wipes `text`. */
enum nvc_result nvc_dhchap_key_format(const struct nvc_dhchap_key *key, char *text, size_t size);

/* nvc_dhchap_key_transform writes K: the secret itself for hash id 0, else HMAC(secret, nqn
 * "NVMe-over-Fabrics") (Base 2.2, 8.3.4.5). The host's secret goes with the host NQN, the
 * controller's with the subsystem NQN. */
enum nvc_result nvc_dhchap_key_transform(
	const struct nvc_dhchap_key *key, struct nvc_slice nqn, struct nvc_secret *out);

#endif
