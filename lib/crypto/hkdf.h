/* SPDX-License-Identifier: BSD-3-Clause */
/* HKDF-Extract and HKDF-Expand-Label of TLS 1.3 (RFC 5869; RFC 8446, 7.1), and the ways peers got
 * it wrong. */
#ifndef NVC_CRYPTO_HKDF_H
#define NVC_CRYPTO_HKDF_H

#include "crypto/secret.h"

/*
 * How HkdfLabel is laid out. Everything but RFC 8446 is a bug that shipped: for diagnosis ("this
 * peer derives as Linux 6.16 did") and for defects of the reference target, never for conforming
 * traffic.
 */
enum nvc_kdf_variant {
	NVC_KDF_RFC8446 = 0,
	/* label and context without their length octets (Linux 6.15 to 6.17, libnvme to 1.15) */
	NVC_KDF_NO_LENGTH_OCTETS,
	/* the leading 16-bit output length missing (libnvme before 1.7) */
	NVC_KDF_NO_OUTLEN,
	/* the label's last character missing, its length octet unchanged (SPDK before 23.05) */
	NVC_KDF_LABEL_OFF_BY_ONE,
	NVC_NUM_KDF_VARIANTS
};

/* nvc_kdf_variant_name returns e.g. "no-length-octets". Static storage. */
const char *nvc_kdf_variant_name(enum nvc_kdf_variant variant);

/* nvc_hkdf_extract writes PRK = HKDF-Extract(salt = zeros of the hash's length, ikm). NVC_E_INVALID
 * for a hash id that is not defined or an empty `ikm`. */
enum nvc_result nvc_hkdf_extract(uint8_t hash_id, struct nvc_slice ikm, struct nvc_secret *prk);

/* nvc_hkdf_expand_label writes `len` bytes (1 to 64) of HKDF-Expand-Label(prk, label, context,
 * len); "tls13 " is put before `label`. NVC_E_INVALID for a context above 255 bytes, a label
 * that is empty or longer than 249, or another `len`. */
enum nvc_result nvc_hkdf_expand_label(uint8_t hash_id, struct nvc_slice prk, const char *label,
	struct nvc_slice context, size_t len, enum nvc_kdf_variant variant, struct nvc_secret *out);

#endif
