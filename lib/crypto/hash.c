/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "wire/auth.h"

const char *nvc_hash_ossl_name(uint8_t hash_id)
{
	switch (hash_id) {
	case NVC_HASH_SHA256:
		return "SHA256";
	case NVC_HASH_SHA384:
		return "SHA384";
	case NVC_HASH_SHA512:
		return "SHA512";
	default:
		return NULL;
	}
}

/* OpenSSL's own static objects: nothing to free, and the fetch behind them is cached by the
 * library. */
static const EVP_MD *digest_of(uint8_t hash_id)
{
	switch (hash_id) {
	case NVC_HASH_SHA256:
		return EVP_sha256();
	case NVC_HASH_SHA384:
		return EVP_sha384();
	case NVC_HASH_SHA512:
		return EVP_sha512();
	default:
		return NULL;
	}
}

enum nvc_result nvc_hash(uint8_t hash_id, struct nvc_slice data, struct nvc_secret *digest)
{
	return nvc_hash_parts(hash_id, &data, 1, digest);
}

enum nvc_result nvc_hash_parts(
	uint8_t hash_id, const struct nvc_slice *parts, size_t num, struct nvc_secret *digest)
{
	const EVP_MD *md = digest_of(hash_id);
	EVP_MD_CTX *ctx = NULL;
	enum nvc_result result = NVC_E_CRYPTO;
	struct nvc_secret out = {.len = 0};
	unsigned int len = 0;

	if (!md)
		return NVC_E_INVALID;
	ctx = EVP_MD_CTX_new();
	if (!ctx)
		return NVC_E_NO_MEMORY;
	if (EVP_DigestInit_ex(ctx, md, NULL) != 1)
		goto out;
	for (size_t i = 0; i < num; i++)
		if (parts[i].len && EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) != 1)
			goto out;
	if (EVP_DigestFinal_ex(ctx, out.data, &len) != 1)
		goto out;
	out.len = len;
	*digest = out;
	result = NVC_OK;
out:
	nvc_secret_wipe(&out);
	EVP_MD_CTX_free(ctx);
	return result;
}

enum nvc_result nvc_hmac(uint8_t hash_id, struct nvc_slice key, const struct nvc_slice *parts,
	size_t num, struct nvc_secret *mac)
{
	const char *name = nvc_hash_ossl_name(hash_id);
	/* EVP_MAC_init takes a NULL key for "keep the key that is set", so an empty key needs an
	 * address. */
	const unsigned char *key_data = key.len ? key.data : (const unsigned char *)"";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)name, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *hmac = NULL;
	EVP_MAC_CTX *ctx = NULL;
	enum nvc_result result = NVC_E_CRYPTO;
	struct nvc_secret out = {.len = 0};

	if (!name)
		return NVC_E_INVALID;
	hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	if (!ctx || EVP_MAC_init(ctx, key_data, key.len, params) != 1)
		goto out;
	for (size_t i = 0; i < num; i++)
		if (parts[i].len && EVP_MAC_update(ctx, parts[i].data, parts[i].len) != 1)
			goto out;
	if (EVP_MAC_final(ctx, out.data, &out.len, sizeof(out.data)) != 1)
		goto out;
	*mac = out;
	result = NVC_OK;
out:
	nvc_secret_wipe(&out);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(hmac);
	return result;
}
