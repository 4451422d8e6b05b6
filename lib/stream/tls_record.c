/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/tls_record.h"

#include <string.h>

#include <openssl/evp.h>

#include "crypto/hkdf.h"

enum { IV_LEN = 12, TAG_LEN = 16, HEADER_LEN = 5 };

enum nvc_result nvc_tls_sealer_init(
	struct nvc_tls_sealer *sealer, uint8_t hash_id, struct nvc_slice traffic_secret)
{
	const struct nvc_slice none = {NULL, 0};
	enum nvc_result result;

	sealer->sequence = 0;
	if (hash_id != 1 && hash_id != 2)
		return NVC_E_INVALID;
	result = nvc_hkdf_expand_label(hash_id, traffic_secret, "key", none, hash_id == 1 ? 16 : 32,
		NVC_KDF_RFC8446, &sealer->key);
	if (result != NVC_OK)
		return result;
	return nvc_hkdf_expand_label(
		hash_id, traffic_secret, "iv", none, IV_LEN, NVC_KDF_RFC8446, &sealer->iv);
}

/* The sequence number, big-endian, over the last bytes of the IV (RFC 8446, 5.3). */
static void next_nonce(struct nvc_tls_sealer *sealer, uint8_t nonce[IV_LEN])
{
	memcpy(nonce, sealer->iv.data, IV_LEN);
	for (int i = 0; i < 8; i++)
		nonce[IV_LEN - 1 - i] ^= (uint8_t)(sealer->sequence >> (8 * i));
	sealer->sequence++;
}

static bool encrypt(EVP_CIPHER_CTX *ctx, const struct nvc_tls_sealer *sealer, const uint8_t *nonce,
	const uint8_t header[HEADER_LEN], struct nvc_slice inner, uint8_t *out)
{
	const EVP_CIPHER *cipher = sealer->key.len == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
	int num = 0, last = 0;

	return EVP_EncryptInit_ex(ctx, cipher, NULL, sealer->key.data, nonce) == 1 &&
	       EVP_EncryptUpdate(ctx, NULL, &num, header, HEADER_LEN) == 1 &&
	       EVP_EncryptUpdate(ctx, out, &num, inner.data, (int)inner.len) == 1 &&
	       EVP_EncryptFinal_ex(ctx, out + num, &last) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + num + last) == 1;
}

enum nvc_result nvc_tls_seal(struct nvc_tls_sealer *sealer, uint8_t type, struct nvc_slice content,
	struct nvc_writer *writer)
{
	uint8_t inner[NVC_TLS_RECORD_MAX + 1], nonce[IV_LEN], sealed[sizeof(inner) + TAG_LEN];
	const size_t len = content.len + 1 + TAG_LEN;
	const uint8_t header[HEADER_LEN] = {
		NVC_TLS_APPLICATION_DATA, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};
	EVP_CIPHER_CTX *ctx;
	bool done;

	if (content.len > NVC_TLS_RECORD_MAX)
		return NVC_E_NO_SPACE;
	if (content.len)
		memcpy(inner, content.data, content.len);
	inner[content.len] = type;
	next_nonce(sealer, nonce);
	ctx = EVP_CIPHER_CTX_new();
	done = ctx &&
	       encrypt(ctx, sealer, nonce, header, nvc_slice_of(inner, content.len + 1), sealed);
	EVP_CIPHER_CTX_free(ctx);
	if (!done)
		return NVC_E_CRYPTO;
	nvc_write_bytes(writer, NVC_SLICE(header));
	nvc_write_bytes(writer, nvc_slice_of(sealed, len));
	return writer->failed ? NVC_E_NO_SPACE : NVC_OK;
}
