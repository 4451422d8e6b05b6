/* SPDX-License-Identifier: BSD-3-Clause */
/* Records of TLS 1.3 sealed by hand (RFC 8446, 5.2 and 5.3), for what OpenSSL does not send: empty ones. */
#ifndef NVC_STREAM_TLS_RECORD_H
#define NVC_STREAM_TLS_RECORD_H

#include "crypto/secret.h"

enum {
	NVC_TLS_ALERT = 21,
	NVC_TLS_APPLICATION_DATA = 23,
	NVC_TLS_RECORD_MAX = 16384, /* bytes of plain text in a record */
	NVC_TLS_SEALED_MAX = NVC_TLS_RECORD_MAX + 5 + 1 + 16,
};

/* The keys of one direction. Wiped by its owner. */
struct nvc_tls_sealer {
	struct nvc_secret key, iv;
	uint64_t sequence; /* of the next record */
};

/* nvc_tls_sealer_init derives key and IV from an application traffic secret; `hash_id` 1 is TLS_AES_128_GCM_SHA256, 2
 * TLS_AES_256_GCM_SHA384. NVC_E_INVALID for another, NVC_E_CRYPTO. */
enum nvc_result nvc_tls_sealer_init(
	struct nvc_tls_sealer *sealer, uint8_t hash_id, struct nvc_slice traffic_secret);

/* nvc_tls_seal writes one record with `content` (may be empty) of content type `type`. NVC_E_NO_SPACE for more than NVC_TLS_RECORD_MAX bytes or a
 * writer without room, NVC_E_CRYPTO. */
enum nvc_result nvc_tls_seal(struct nvc_tls_sealer *sealer, uint8_t type, struct nvc_slice content,
	struct nvc_writer *writer);

#endif
