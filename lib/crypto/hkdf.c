/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto/hkdf.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypto/hash.h"
#include "wire/auth.h"

#define LABEL_PREFIX "tls13 "

enum {
	MAX_CONTEXT = 255,
	MAX_LABEL = 255 - (int)sizeof(LABEL_PREFIX) + 1,
	MAX_INFO = 2 + 1 + 255 + 1 + MAX_CONTEXT,
};

const char *nvc_kdf_variant_name(enum nvc_kdf_variant variant)
{
	static const char *const names[NVC_NUM_KDF_VARIANTS] = {
		[NVC_KDF_RFC8446] = "rfc8446",
		[NVC_KDF_NO_LENGTH_OCTETS] = "no-length-octets",
		[NVC_KDF_NO_OUTLEN] = "no-outlen",
		[NVC_KDF_LABEL_OFF_BY_ONE] = "label-off-by-one",
	};

	return (unsigned int)variant < NVC_NUM_KDF_VARIANTS ? names[variant] : "unknown variant";
}

/* OSSL_PARAM has no const pointers, though nothing is written through these. */
static OSSL_PARAM text_param(const char *key, const char *text)
{
	return OSSL_PARAM_construct_utf8_string(key, (char *)text, 0);
}

static OSSL_PARAM bytes_param(const char *key, struct nvc_slice in)
{
	return OSSL_PARAM_construct_octet_string(key, (void *)in.data, in.len);
}

static enum nvc_result run_kdf(
	const char *name, const OSSL_PARAM *params, size_t len, struct nvc_secret *out)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	struct nvc_secret derived = {.len = len};
	enum nvc_result result = NVC_E_CRYPTO;

	if (ctx && EVP_KDF_derive(ctx, derived.data, len, params) == 1) {
		*out = derived;
		result = NVC_OK;
	}
	nvc_secret_wipe(&derived);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return result;
}

enum nvc_result nvc_hkdf_extract(uint8_t hash_id, struct nvc_slice ikm, struct nvc_secret *prk)
{
	const char *digest = nvc_hash_ossl_name(hash_id);
	/* Without a salt TLS13-KDF extracts with zeros of the hash's length. */
	const OSSL_PARAM params[] = {
		text_param(OSSL_KDF_PARAM_DIGEST, digest),
		text_param(OSSL_KDF_PARAM_MODE, "EXTRACT_ONLY"),
		bytes_param(OSSL_KDF_PARAM_KEY, ikm),
		OSSL_PARAM_construct_end(),
	};

	/* TLS13-KDF takes no key for a key of zeros (RFC 8446 7.1), which is nobody's PSK. */
	if (!digest || ikm.len == 0)
		return NVC_E_INVALID;
	return run_kdf(OSSL_KDF_NAME_TLS1_3_KDF, params, nvc_hash_len(hash_id), prk);
}

/* HkdfLabel as a broken peer lays it out. */
static struct nvc_slice bent_info(enum nvc_kdf_variant variant, const char *label,
	struct nvc_slice context, size_t len, uint8_t info[MAX_INFO])
{
	struct nvc_writer writer = nvc_writer_over(info, MAX_INFO);
	size_t label_len = strlen(label);
	bool length_octets = variant != NVC_KDF_NO_LENGTH_OCTETS;

	if (variant != NVC_KDF_NO_OUTLEN) {
		nvc_write_le(&writer, len >> 8, 1); /* big-endian */
		nvc_write_le(&writer, len, 1);
	}
	if (length_octets)
		nvc_write_le(&writer, strlen(LABEL_PREFIX) + label_len, 1);
	nvc_write_bytes(&writer, nvc_slice_str(LABEL_PREFIX));
	nvc_write_bytes(&writer,
		nvc_slice_of(label, label_len - (variant == NVC_KDF_LABEL_OFF_BY_ONE ? 1 : 0)));
	if (length_octets)
		nvc_write_le(&writer, context.len, 1);
	nvc_write_bytes(&writer, context);
	return nvc_writer_slice(&writer);
}

static enum nvc_result expand_bent(const char *digest, struct nvc_slice prk, struct nvc_slice info,
	size_t len, struct nvc_secret *out)
{
	const OSSL_PARAM params[] = {
		text_param(OSSL_KDF_PARAM_DIGEST, digest),
		text_param(OSSL_KDF_PARAM_MODE, "EXPAND_ONLY"),
		bytes_param(OSSL_KDF_PARAM_KEY, prk),
		bytes_param(OSSL_KDF_PARAM_INFO, info),
		OSSL_PARAM_construct_end(),
	};

	return run_kdf(OSSL_KDF_NAME_HKDF, params, len, out);
}

enum nvc_result nvc_hkdf_expand_label(uint8_t hash_id, struct nvc_slice prk, const char *label,
	struct nvc_slice context, size_t len, enum nvc_kdf_variant variant, struct nvc_secret *out)
{
	const char *digest = nvc_hash_ossl_name(hash_id);
	uint8_t info[MAX_INFO];

	if (!digest || prk.len == 0 || len == 0 || len > NVC_MAX_SECRET ||
		context.len > MAX_CONTEXT || !*label || strlen(label) > MAX_LABEL)
		return NVC_E_INVALID;
	if (variant != NVC_KDF_RFC8446)
		return expand_bent(
			digest, prk, bent_info(variant, label, context, len, info), len, out);

	const OSSL_PARAM params[] = {
		text_param(OSSL_KDF_PARAM_DIGEST, digest),
		text_param(OSSL_KDF_PARAM_MODE, "EXPAND_ONLY"),
		bytes_param(OSSL_KDF_PARAM_KEY, prk),
		bytes_param(OSSL_KDF_PARAM_PREFIX, nvc_slice_str(LABEL_PREFIX)),
		bytes_param(OSSL_KDF_PARAM_LABEL, nvc_slice_str(label)),
		/* It takes no empty context, but none. */
		context.len ? bytes_param(OSSL_KDF_PARAM_DATA, context)
			    : OSSL_PARAM_construct_end(),
		OSSL_PARAM_construct_end(),
	};
	return run_kdf(OSSL_KDF_NAME_TLS1_3_KDF, params, len, out);
}
