/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/env.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

struct nvc_seeded {
	EVP_CIPHER_CTX *ctr;
};

uint64_t nvc_env_now(const struct nvc_env *env)
{
	return env->now(env->self);
}

void nvc_env_random(const struct nvc_env *env, void *out, size_t len)
{
	env->random(env->self, out, len);
}

static uint64_t system_now(void *self)
{
	struct timespec now;

	(void)self;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return NVC_SEC(now.tv_sec) + (uint64_t)now.tv_nsec;
}

static void system_random(void *self, uint8_t *out, size_t len)
{
	(void)self;
	while (len) {
		int part = len > INT_MAX ? INT_MAX : (int)len;

		/* A caller that cannot be told must not go on with guessable bytes. */
		if (RAND_bytes(out, part) != 1)
			abort();
		out += part;
		len -= (size_t)part;
	}
}

struct nvc_env nvc_env_system(void)
{
	return (struct nvc_env){.now = system_now, .random = system_random};
}

static bool seeded_key(uint64_t seed, const char *label, uint8_t key[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t seed_bytes[8];
	unsigned int len = 0;
	bool ok;

	nvc_put_le(seed_bytes, seed, sizeof(seed_bytes));
	ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
	     EVP_DigestUpdate(md, seed_bytes, sizeof(seed_bytes)) == 1 &&
	     EVP_DigestUpdate(md, label, strlen(label)) == 1 &&
	     EVP_DigestFinal_ex(md, key, &len) == 1 && len == 32;
	EVP_MD_CTX_free(md);
	return ok;
}

struct nvc_seeded *nvc_seeded_new(uint64_t seed, const char *label)
{
	static const uint8_t counter[16];
	struct nvc_seeded *seeded = calloc(1, sizeof(*seeded));
	uint8_t key[32];

	if (!seeded)
		return NULL;
	seeded->ctr = EVP_CIPHER_CTX_new();
	if (!seeded->ctr || !seeded_key(seed, label, key) ||
		EVP_EncryptInit_ex(seeded->ctr, EVP_aes_256_ctr(), NULL, key, counter) != 1) {
		nvc_seeded_free(seeded);
		return NULL;
	}
	return seeded;
}

void nvc_seeded_free(struct nvc_seeded *seeded)
{
	if (!seeded)
		return;
	EVP_CIPHER_CTX_free(seeded->ctr);
	free(seeded);
}

void nvc_seeded_random(void *seeded, uint8_t *out, size_t len)
{
	EVP_CIPHER_CTX *ctr = ((struct nvc_seeded *)seeded)->ctr;

	memset(out, 0, len);
	while (len) {
		int part = len > 4096 ? 4096 : (int)len;
		int done = 0;

		if (EVP_EncryptUpdate(ctr, out, &done, out, part) != 1 || done != part)
			abort();
		out += part;
		len -= (size_t)part;
	}
}
