/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto/secret.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/hash.h"
#include "wire/auth.h"

enum nvc_result nvc_secret_set(struct nvc_secret *secret, struct nvc_slice value)
{
	if (value.len > sizeof(secret->data)) {
		nvc_secret_wipe(secret);
		return NVC_E_NO_SPACE;
	}
	if (value.len)
		memmove(secret->data, value.data, value.len);
	OPENSSL_cleanse(secret->data + value.len, sizeof(secret->data) - value.len);
	secret->len = value.len;
	return NVC_OK;
}

void nvc_secret_wipe(struct nvc_secret *secret)
{
	if (secret)
		OPENSSL_cleanse(secret, sizeof(*secret));
}

struct nvc_slice nvc_secret_slice(const struct nvc_secret *secret)
{
	return nvc_slice_of(secret->data, secret->len);
}

bool nvc_secret_equal(struct nvc_slice a, struct nvc_slice b)
{
	return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}

char *nvc_secret_fingerprint(struct nvc_slice value, char out[NVC_FINGERPRINT_SIZE])
{
	/* The prefix keeps the fingerprint from being a plain hash of the secret, which other tools
	 * may print. */
	static const char domain[] = "nvme-conform fingerprint";
	const struct nvc_slice parts[] = {nvc_slice_of(domain, sizeof(domain)), value};
	struct nvc_secret digest;
	size_t pos;

	if (value.len == 0) {
		snprintf(out, NVC_FINGERPRINT_SIZE, "empty");
		return out;
	}
	if (nvc_hash_parts(NVC_HASH_SHA256, parts, 2, &digest) != NVC_OK) {
		snprintf(out, NVC_FINGERPRINT_SIZE, "unknown");
		return out;
	}
	pos = (size_t)snprintf(out, NVC_FINGERPRINT_SIZE, "sha256:");
	nvc_hex(nvc_slice_of(digest.data, 4), out + pos, NVC_FINGERPRINT_SIZE - pos);
	return out;
}
