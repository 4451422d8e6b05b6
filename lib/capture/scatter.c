/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/scatter.h"

#include <openssl/rand.h>

struct nvc_scatter nvc_scatter_new(void)
{
	struct nvc_scatter scatter = {{0}};

	/* Without randomness a table is no more than slow for whoever aims at it. */
	(void)RAND_bytes((unsigned char *)scatter.key, sizeof(scatter.key));
	return scatter;
}

static uint64_t turn(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static void mix(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = turn(v[1], 13) ^ v[0];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] = turn(v[0], 32) + v[3];
	v[2] += v[1];
	v[3] = turn(v[3], 21) ^ v[0];
	v[1] = turn(v[1], 17) ^ v[2];
	v[2] = turn(v[2], 32);
}

uint64_t nvc_scatter(const struct nvc_scatter *scatter, struct nvc_slice in)
{
	enum { WORD = 8, FINAL_ROUNDS = 3 };
	uint64_t v[4] = {scatter->key[0] ^ UINT64_C(0x736f6d6570736575),
		scatter->key[1] ^ UINT64_C(0x646f72616e646f6d),
		scatter->key[0] ^ UINT64_C(0x6c7967656e657261),
		scatter->key[1] ^ UINT64_C(0x7465646279746573)};
	const size_t tail = in.len % WORD;
	uint64_t word;

	for (size_t at = 0; at + WORD <= in.len; at += WORD) {
		word = nvc_get_le(in.data + at, WORD);
		v[3] ^= word;
		mix(v);
		v[0] ^= word;
	}
	word = (uint64_t)in.len << 56;
	if (tail)
		word |= nvc_get_le(in.data + in.len - tail, tail);
	v[3] ^= word;
	mix(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int i = 0; i < FINAL_ROUNDS; i++)
		mix(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
