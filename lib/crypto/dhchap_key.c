/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto/dhchap_key.h"

#include "crypto/hash.h"
#include "crypto/interchange.h"
#include "wire/auth.h"

static const struct nvc_interchange form = {
	.prefix = "DHHC-1:",
	.what = "DH-HMAC-CHAP secret",
	.max_hash_id = NVC_HASH_SHA512,
	.max_secret_len = 64,
	.lengths = "32, 48 or 64",
};

enum nvc_result nvc_dhchap_key_parse(
	struct nvc_slice text, struct nvc_dhchap_key *key, struct nvc_error *err)
{
	return nvc_interchange_parse(&form, text, &key->hash_id, &key->secret, err);
}

enum nvc_result nvc_dhchap_key_format(const struct nvc_dhchap_key *key, char *text, size_t size)
{
	return nvc_interchange_format(&form, key->hash_id, &key->secret, text, size);
}

enum nvc_result nvc_dhchap_key_transform(
	const struct nvc_dhchap_key *key, struct nvc_slice nqn, struct nvc_secret *out)
{
	const struct nvc_slice parts[] = {nqn, nvc_slice_str("NVMe-over-Fabrics")};

	if (key->hash_id == NVC_HASH_NONE)
		return nvc_secret_set(out, nvc_secret_slice(&key->secret));
	return nvc_hmac(key->hash_id, nvc_secret_slice(&key->secret), parts, 2, out);
}
