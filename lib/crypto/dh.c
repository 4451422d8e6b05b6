/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto/dh.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

struct nvc_dh_key {
	uint8_t dhgid;
	EVP_PKEY *pkey; /* group and private exponent */
	size_t len;	/* of p and of the public value */
	uint8_t public_value[NVC_MAX_DH_LEN];
};

/* The primes as bytes, fetched from OpenSSL once: bytes need no clean-up and survive fork. */
static struct {
	size_t len; /* 0 where OpenSSL lacks the group */
	uint8_t data[NVC_MAX_DH_LEN];
} primes[NVC_NUM_DHGROUPS];
static CRYPTO_ONCE primes_once = CRYPTO_ONCE_STATIC_INIT;

static const char *group_name(uint8_t dhgid)
{
	static const char *const names[NVC_NUM_DHGROUPS] = {
		[NVC_DH_2048] = "ffdhe2048",
		[NVC_DH_3072] = "ffdhe3072",
		[NVC_DH_4096] = "ffdhe4096",
		[NVC_DH_6144] = "ffdhe6144",
		[NVC_DH_8192] = "ffdhe8192",
	};

	return dhgid < NVC_NUM_DHGROUPS ? names[dhgid] : NULL;
}

/* A key of the group from whichever of the two values is not NULL; neither gives the parameters
 * alone. */
static EVP_PKEY *pkey_of(uint8_t dhgid, const BIGNUM *private_value, const BIGNUM *public_value)
{
	int selection = private_value  ? EVP_PKEY_KEYPAIR
			: public_value ? EVP_PKEY_PUBLIC_KEY
				       : EVP_PKEY_KEY_PARAMETERS;
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *pkey = NULL;

	if (!builder)
		return NULL;
	if (OSSL_PARAM_BLD_push_utf8_string(
		    builder, OSSL_PKEY_PARAM_GROUP_NAME, group_name(dhgid), 0) != 1)
		goto out;
	if (private_value &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, private_value) != 1)
		goto out;
	if (public_value &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PUB_KEY, public_value) != 1)
		goto out;
	params = OSSL_PARAM_BLD_to_param(builder);
	ctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &pkey, selection, params) != 1)
		pkey = NULL;
out:
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(builder);
	return pkey;
}

static void load_primes(void)
{
	for (size_t dhgid = NVC_DH_2048; dhgid < NVC_NUM_DHGROUPS; dhgid++) {
		EVP_PKEY *pkey = pkey_of((uint8_t)dhgid, NULL, NULL);
		BIGNUM *p = NULL;

		if (pkey && EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_FFC_P, &p) == 1 &&
			BN_num_bytes(p) <= NVC_MAX_DH_LEN)
			primes[dhgid].len = (size_t)BN_bn2bin(p, primes[dhgid].data);
		BN_free(p);
		EVP_PKEY_free(pkey);
	}
}

struct nvc_slice nvc_dh_prime(uint8_t dhgid)
{
	if (!group_name(dhgid) || CRYPTO_THREAD_run_once(&primes_once, load_primes) != 1)
		return nvc_slice_of(NULL, 0);
	return nvc_slice_of(primes[dhgid].data, primes[dhgid].len);
}

enum nvc_dh_check nvc_dh_check_public(uint8_t dhgid, struct nvc_slice value)
{
	struct nvc_slice p = nvc_dh_prime(dhgid);
	struct nvc_slice head; /* all but the last byte */
	uint8_t last;
	int order;

	if (p.len == 0 || value.len != p.len)
		return NVC_DH_CHECK_WRONG_LENGTH;
	head = nvc_slice_sub(value, 0, value.len - 1);
	last = value.data[value.len - 1];
	if (nvc_slice_is_zero(head) && last <= 1)
		return last ? NVC_DH_CHECK_ONE : NVC_DH_CHECK_ZERO;
	order = memcmp(value.data, p.data, p.len);
	if (order >= 0)
		return NVC_DH_CHECK_NOT_BELOW_P;
	/* p is odd, so p - 1 differs in the last bit only. */
	if (memcmp(head.data, p.data, head.len) == 0 && last == p.data[p.len - 1] - 1)
		return NVC_DH_CHECK_P_MINUS_ONE;
	return NVC_DH_CHECK_OK;
}

const char *nvc_dh_check_name(enum nvc_dh_check check)
{
	static const char *const names[NVC_NUM_DH_CHECKS] = {
		[NVC_DH_CHECK_OK] = "ok",
		[NVC_DH_CHECK_WRONG_LENGTH] = "wrong length",
		[NVC_DH_CHECK_ZERO] = "0",
		[NVC_DH_CHECK_ONE] = "1",
		[NVC_DH_CHECK_P_MINUS_ONE] = "p - 1",
		[NVC_DH_CHECK_NOT_BELOW_P] = "not below p",
	};

	return (unsigned int)check < NVC_NUM_DH_CHECKS ? names[check] : "unknown check";
}

bool nvc_dh_has_order_q(uint8_t dhgid, struct nvc_slice value)
{
	struct nvc_slice prime = nvc_dh_prime(dhgid);
	BN_CTX *ctx = NULL;
	BIGNUM *p = NULL, *v = NULL;
	bool has = false;

	if (prime.len == 0 || value.len != prime.len)
		return false;
	ctx = BN_CTX_new();
	p = BN_bin2bn(prime.data, (int)prime.len, NULL);
	v = BN_bin2bn(value.data, (int)value.len, NULL);
	/* By Euler's criterion v^((p-1)/2) mod p is the Legendre symbol, which costs next to
	 * nothing. */
	if (ctx && p && v && BN_cmp(v, p) < 0)
		has = BN_kronecker(v, p, ctx) == 1;
	BN_free(v);
	BN_free(p);
	BN_CTX_free(ctx);
	return has;
}

/* peer^x mod p through EVP, |p| bytes; `peer` is known to be 2 to p - 2. */
static enum nvc_result derive(const struct nvc_dh_key *key, const BIGNUM *peer, uint8_t *out)
{
	EVP_PKEY *peer_key = pkey_of(key->dhgid, NULL, peer);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	enum nvc_result result = NVC_E_CRYPTO;
	unsigned int pad = 1; /* leading zeros stay: the hash over the shared secret needs them */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint(OSSL_EXCHANGE_PARAM_PAD, &pad),
		OSSL_PARAM_construct_end(),
	};
	size_t len = key->len;

	/* Not validated by OpenSSL (0): the range is checked already, and the test of the value's
	 * order that set_peer would add costs several times the exponentiation itself. */
	if (peer_key && ctx && EVP_PKEY_derive_init_ex(ctx, params) == 1 &&
		EVP_PKEY_derive_set_peer_ex(ctx, peer_key, 0) == 1 &&
		EVP_PKEY_derive(ctx, out, &len) == 1 && len == key->len)
		result = NVC_OK;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer_key);
	return result;
}

/* The public value is derived as if the peer had sent g: EVP has no call that completes a given
 * exponent. */
static enum nvc_result compute_public(struct nvc_dh_key *key)
{
	BIGNUM *g = BN_new();
	enum nvc_result result = NVC_E_NO_MEMORY;

	if (g && BN_set_word(g, 2) == 1)
		result = derive(key, g, key->public_value);
	BN_free(g);
	return result;
}

/* 1 <= x < p - 1 */
static bool exponent_in_range(const BIGNUM *x, const BIGNUM *p)
{
	BIGNUM *next = BN_dup(x);
	bool in_range = next && !BN_is_zero(x) && BN_add_word(next, 1) == 1 && BN_cmp(next, p) < 0;

	BN_clear_free(next);
	return in_range;
}

enum nvc_result nvc_dh_key_new(
	uint8_t dhgid, struct nvc_slice private_exponent, struct nvc_dh_key **out)
{
	struct nvc_slice prime = nvc_dh_prime(dhgid);
	struct nvc_dh_key *key = NULL;
	BIGNUM *x = NULL, *p = NULL;
	enum nvc_result result = NVC_E_NO_MEMORY;

	*out = NULL;
	if (prime.len == 0 || private_exponent.len == 0 || private_exponent.len > prime.len)
		return NVC_E_INVALID;
	key = calloc(1, sizeof(*key));
	x = BN_secure_new();
	p = BN_bin2bn(prime.data, (int)prime.len, NULL);
	if (!key || !x || !p || !BN_bin2bn(private_exponent.data, (int)private_exponent.len, x))
		goto out;
	if (!exponent_in_range(x, p)) {
		result = NVC_E_INVALID;
		goto out;
	}
	BN_set_flags(x, BN_FLG_CONSTTIME);
	key->dhgid = dhgid;
	key->len = prime.len;
	key->pkey = pkey_of(dhgid, x, NULL);
	result = key->pkey ? compute_public(key) : NVC_E_CRYPTO;
	if (result == NVC_OK) {
		*out = key;
		key = NULL;
	}
out:
	BN_free(p);
	BN_clear_free(x);
	nvc_dh_key_free(key);
	return result;
}

void nvc_dh_key_free(struct nvc_dh_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey); /* clears the exponent */
	OPENSSL_cleanse(key, sizeof(*key));
	free(key);
}

uint8_t nvc_dh_key_group(const struct nvc_dh_key *key)
{
	return key->dhgid;
}

struct nvc_slice nvc_dh_key_public(const struct nvc_dh_key *key)
{
	return nvc_slice_of(key->public_value, key->len);
}

/* Room for |p| bytes behind what `writer` holds, or NULL. */
static uint8_t *reserve(struct nvc_writer *writer, size_t len)
{
	if (writer->failed || writer->cap - writer->len < len) {
		writer->failed = true;
		return NULL;
	}
	return writer->data + writer->len;
}

enum nvc_result nvc_dh_derive(
	const struct nvc_dh_key *key, struct nvc_slice peer, struct nvc_writer *shared)
{
	uint8_t *out;
	BIGNUM *value;
	enum nvc_result result;

	if (nvc_dh_check_public(key->dhgid, peer) != NVC_DH_CHECK_OK)
		return NVC_E_INVALID;
	out = reserve(shared, key->len);
	if (!out)
		return NVC_E_NO_SPACE;
	value = BN_bin2bn(peer.data, (int)peer.len, NULL);
	result = value ? derive(key, value, out) : NVC_E_NO_MEMORY;
	if (result == NVC_OK)
		shared->len += key->len;
	BN_free(value);
	return result;
}

/* EVP refuses such values, so this is the one place that exponentiates by hand. */
enum nvc_result nvc_dh_derive_unchecked(
	const struct nvc_dh_key *key, struct nvc_slice peer, struct nvc_writer *shared)
{
	struct nvc_slice prime = nvc_dh_prime(key->dhgid);
	enum nvc_result result = NVC_E_NO_MEMORY;
	BIGNUM *p = NULL, *x = NULL, *value = NULL;
	BN_CTX *ctx = NULL;
	uint8_t *out;

	if (peer.len > NVC_MAX_DH_LEN)
		return NVC_E_INVALID;
	out = reserve(shared, key->len);
	if (!out)
		return NVC_E_NO_SPACE;
	ctx = BN_CTX_new();
	p = BN_bin2bn(prime.data, (int)prime.len, NULL);
	value = BN_bin2bn(peer.len ? peer.data : (const uint8_t *)"", (int)peer.len, NULL);
	if (!ctx || !p || !value)
		goto out;
	result = NVC_E_CRYPTO;
	if (EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &x) != 1)
		goto out;
	if (BN_mod_exp_mont_consttime(value, value, x, p, ctx, NULL) != 1 ||
		BN_bn2binpad(value, out, (int)key->len) < 0)
		goto out;
	shared->len += key->len;
	result = NVC_OK;
out:
	BN_clear_free(x);
	BN_clear_free(value);
	BN_free(p);
	BN_CTX_free(ctx);
	return result;
}

enum { LEADING_ZERO_TRIES = 65536 };

/* The search itself: value = base^x, then one factor more per try. */
static bool search_leading_zero(
	BN_CTX *ctx, const BIGNUM *base, const BIGNUM *p, BIGNUM *x, BIGNUM *value)
{
	const int limit = BN_num_bits(p) - 8;

	if (BN_mod_exp(value, base, x, p, ctx) != 1)
		return false;
	for (int tries = 0; tries < LEADING_ZERO_TRIES; tries++) {
		if (BN_num_bits(value) <= limit)
			return true;
		if (BN_add_word(x, 1) != 1 || BN_mod_mul(value, value, base, p, ctx) != 1)
			return false;
	}
	return false;
}

enum nvc_result nvc_dh_leading_zero(uint8_t dhgid, struct nvc_slice base, struct nvc_slice from,
	uint8_t out[NVC_DH_PRIVATE_LEN])
{
	struct nvc_slice prime = nvc_dh_prime(dhgid);
	enum nvc_result result = NVC_E_CRYPTO;
	BN_CTX *ctx = NULL;
	BIGNUM *p = NULL, *g = NULL, *x = NULL, *value = NULL;

	if (prime.len == 0 || from.len == 0 || from.len > NVC_DH_PRIVATE_LEN ||
		(base.len && nvc_dh_check_public(dhgid, base) != NVC_DH_CHECK_OK))
		return NVC_E_INVALID;
	ctx = BN_CTX_new();
	p = BN_bin2bn(prime.data, (int)prime.len, NULL);
	g = base.len ? BN_bin2bn(base.data, (int)base.len, NULL) : BN_new();
	x = BN_bin2bn(from.data, (int)from.len, NULL);
	value = BN_new();
	if (ctx && p && g && x && value && (base.len || BN_set_word(g, 2) == 1) &&
		search_leading_zero(ctx, g, p, x, value) &&
		BN_bn2binpad(x, out, NVC_DH_PRIVATE_LEN) == NVC_DH_PRIVATE_LEN)
		result = NVC_OK;
	BN_CTX_free(ctx);
	BN_free(p);
	BN_free(g);
	BN_clear_free(x);
	BN_clear_free(value);
	return result;
}
