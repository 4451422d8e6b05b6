/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a configured PSK (NVMeTLSkey-1) or an authentication to the PSK and the identity of the TLS
 * 1.3 handshake (NVMe/TCP 1.0, 3.6.1.3 to 3.6.1.5; version 1 as in NVMe/TCP 1.1).
 */
#ifndef NVC_CRYPTO_TLS_PSK_H
#define NVC_CRYPTO_TLS_PSK_H

#include "crypto/hkdf.h"

enum {
	NVC_TLS_KEY_TEXT_SIZE =
		16 + 72 + 1 + 1,      /* "NVMeTLSkey-1:hh:", 52 bytes in base64, ":", NUL */
	NVC_PSK_DIGEST_SIZE = 64 + 1, /* base64 of 32 or 48 bytes, NUL */
	NVC_MAX_NQN = 223,
	NVC_PSK_IDENTITY_SIZE =
		8 + 1 + NVC_MAX_NQN + 1 + NVC_MAX_NQN + 1 + 64 + 1, /* version 1, NUL */
};

enum nvc_psk_type { NVC_PSK_RETAINED = 'R', NVC_PSK_GENERATED = 'G' };

/* A configured PSK. */
struct nvc_tls_key {
	uint8_t hash_id;       /* of the retained PSK: NVC_HASH_NONE, _SHA256 or _SHA384 */
	struct nvc_secret psk; /* 32 or 48 bytes */
};

/* A PSK between two entities, and which of the TLS identities is meant. */
struct nvc_psk_params {
	uint8_t version; /* 0 or 1 */
	enum nvc_psk_type type;
	uint8_t hash_id;      /* NVC_HASH_SHA256 or NVC_HASH_SHA384, also of the cipher suite */
	struct nvc_slice psk; /* the retained or generated PSK */
	struct nvc_slice hostnqn, subnqn; /* 1 to 223 bytes each, no NUL, no space */
};

/* An identity taken apart; the slices point into it. */
struct nvc_psk_identity {
	uint8_t version;
	enum nvc_psk_type type;
	uint8_t hash_id;
	struct nvc_slice hostnqn, subnqn;
	struct nvc_slice digest; /* base64 characters; empty for version 0 */
};

/* nvc_tls_key_parse reads "NVMeTLSkey-1:hh:<base64 of PSK and CRC-32>:" as strictly and with the
 * same kind of diagnosis as nvc_dhchap_key_parse. `key` is wiped on failure. */
enum nvc_result nvc_tls_key_parse(
	struct nvc_slice text, struct nvc_tls_key *key, struct nvc_error *err);

/* nvc_tls_key_format writes the text of `key` with its NUL; NVC_TLS_KEY_TEXT_SIZE always suffices.
 * NVC_E_INVALID for a hash id or a length without representation, NVC_E_NO_SPACE. The caller wipes
 * `text`. */
enum nvc_result nvc_tls_key_format(const struct nvc_tls_key *key, char *text, size_t size);

/* nvc_psk_retained writes the retained PSK: the configured one for hash id 0, else
 * HKDF-Expand-Label(HKDF-Extract(0, configured), "HostNQN", hostnqn, its own length). NVC_E_INVALID
 * for a host NQN outside 1 to 223 bytes. */
enum nvc_result nvc_psk_retained(const struct nvc_tls_key *key, struct nvc_slice hostnqn,
	enum nvc_kdf_variant variant, struct nvc_secret *retained);

/* nvc_psk_generated writes HMAC(Ks, C1 C2) of a secure channel concatenation, of the length of the
 * negotiated hash (docs/protocol.md 5.5). C1 and C2 are the raw challenges. */
enum nvc_result nvc_psk_generated(uint8_t hash_id, struct nvc_slice ks, struct nvc_slice c1,
	struct nvc_slice c2, struct nvc_secret *generated);

/* nvc_psk_digest writes Base64(HMAC(psk, hostnqn " " subnqn " " "NVMe-over-Fabrics")) of version 1
 * with its NUL: 44 or 64 characters. NVC_E_INVALID for another hash than SHA-256 and SHA-384, for
 * which no identity is defined. */
enum nvc_result nvc_psk_digest(uint8_t hash_id, struct nvc_slice psk, struct nvc_slice hostnqn,
	struct nvc_slice subnqn, char digest[NVC_PSK_DIGEST_SIZE]);

/*
 * nvc_tls_psk_identity writes the identity with its NUL, which does not go into the handshake
 * (every implementation leaves it out): "NVMe0Thh hostnqn subnqn" or "NVMe1Thh hostnqn subnqn
 * digest". NVC_PSK_IDENTITY_SIZE always suffices. NVC_E_INVALID for a version, hash or NQN length
 * without identity, NVC_E_NO_SPACE.
 */
enum nvc_result nvc_tls_psk_identity(
	const struct nvc_psk_params *params, char *identity, size_t size);

/* nvc_tls_psk_identity_parse takes an identity apart. NVC_E_MALFORMED with a diagnosis in `err`
 * (may be NULL): version, type, hash, separators, NQN lengths, length and alphabet of the digest.
 * Whether the digest is right only a PSK can tell. */
enum nvc_result nvc_tls_psk_identity_parse(
	struct nvc_slice identity, struct nvc_psk_identity *out, struct nvc_error *err);

/* nvc_tls_psk_derive writes the TLS PSK, 32 or 48 bytes: HKDF-Expand-Label(HKDF-Extract(0, psk),
 * "nvme-tls-psk", context), the context being the identity (version 0; NVC_E_INVALID above 255
 * bytes) or "hh digest" (version 1). */
enum nvc_result nvc_tls_psk_derive(const struct nvc_psk_params *params,
	enum nvc_kdf_variant variant, struct nvc_secret *tls_psk);

/* nvc_tls_psk_binder writes what proves in ClientHello that its sender has the TLS PSK, an external one; `transcript` is the digest
 * of what it covers (RFC 8446, 4.2.11.2 and 7.1). NVC_E_INVALID for a hash id that is not defined or an empty PSK. `binder` may
 * hold `transcript`. */
enum nvc_result nvc_tls_psk_binder(uint8_t hash_id, struct nvc_slice tls_psk,
	struct nvc_slice transcript, struct nvc_secret *binder);

#endif
