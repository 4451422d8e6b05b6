/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finite-field Diffie-Hellman over the groups of RFC 7919 (enum nvc_dhgroup of wire/auth.h). All
 * values are big-endian and left-padded to the length of the prime, as on the wire (Base 2.2,
 * 8.3.4.5). Private exponents come from the caller, so that the same seed gives the same bytes.
 */
#ifndef NVC_CRYPTO_DH_H
#define NVC_CRYPTO_DH_H

#include "wire/auth.h"

enum {
	/* Bytes of private exponent to draw: 320 bits. Base 2.2 8.3.4.5 asks for 256 bits at
	 * least, RFC 7919 A for 225 (ffdhe2048) and 275 (ffdhe3072). The 325 to 400 bits it names
	 * for the larger groups would make the exponent as strong as the group; 320 bits are worth
	 * 160 bits of strength, which is more than the 128 of the specification's 256, and every
	 * bit more makes every exchange slower. */
	NVC_DH_PRIVATE_LEN = 40,
};

enum nvc_dh_check {
	NVC_DH_CHECK_OK = 0,
	NVC_DH_CHECK_WRONG_LENGTH, /* not the length of p; also for a group without public values */
	NVC_DH_CHECK_ZERO,
	NVC_DH_CHECK_ONE,
	NVC_DH_CHECK_P_MINUS_ONE,
	NVC_DH_CHECK_NOT_BELOW_P,
	NVC_NUM_DH_CHECKS
};

/* A private exponent and its public value. */
struct nvc_dh_key;

/* nvc_dh_prime returns p of a group, big-endian; empty for NULL and for an id that is not defined,
 * or when OpenSSL has no such group. Static storage. */
struct nvc_slice nvc_dh_prime(uint8_t dhgid);

/* nvc_dh_check_public tells whether `value` is a public value of the group that the specification
 * permits: its exact length and 1 < value < p - 1 (Base 2.2 8.3.4.5). Not constant time: public
 * values are public. */
enum nvc_dh_check nvc_dh_check_public(uint8_t dhgid, struct nvc_slice value);

/* nvc_dh_check_name returns the reason for messages, e.g. "p - 1". Static storage. */
const char *nvc_dh_check_name(enum nvc_dh_check check);

/* nvc_dh_has_order_q tells whether value^q mod p = 1, q = (p - 1) / 2, i.e. that the value lies in
 * the subgroup which g = 2 generates (RFC 7919 5.1; the specification does not ask for it). False
 * for a value that is not 1 to p - 1. */
bool nvc_dh_has_order_q(uint8_t dhgid, struct nvc_slice value);

/*
 * nvc_dh_key_new makes a key from a private exponent of 1 to |p| bytes (big-endian, 1 <= x < p - 1)
 * and computes its public value. NVC_E_INVALID for a group without DH or an exponent out of range,
 * NVC_E_CRYPTO, NVC_E_NO_MEMORY. `*key` is NULL on failure; freed by nvc_dh_key_free.
 * `private_exponent` stays the caller's to wipe.
 */
enum nvc_result nvc_dh_key_new(
	uint8_t dhgid, struct nvc_slice private_exponent, struct nvc_dh_key **key);

/* nvc_dh_key_free wipes and frees `key`; NULL is allowed. */
void nvc_dh_key_free(struct nvc_dh_key *key);

/* nvc_dh_key_group returns the group id of `key`. */
uint8_t nvc_dh_key_group(const struct nvc_dh_key *key);

/* nvc_dh_key_public returns the public value, |p| bytes, valid as long as `key` lives. */
struct nvc_slice nvc_dh_key_public(const struct nvc_dh_key *key);

/*
 * nvc_dh_derive writes the shared secret peer^x mod p, left-padded to |p| bytes, to `shared` (at
 * least |p| bytes, as nvc_dhgroup_len says; the caller wipes it). NVC_E_INVALID when
 * nvc_dh_check_public refuses `peer`, NVC_E_NO_SPACE, NVC_E_CRYPTO.
 */
enum nvc_result nvc_dh_derive(
	const struct nvc_dh_key *key, struct nvc_slice peer, struct nvc_writer *shared);

/*
 * nvc_dh_derive_unchecked does the same for a value that nobody should send: 0, 1, p - 1, values
 * not below p (reduced first), any length from 0 (taken as the value 0) to 1024 bytes. Only for
 * testers and defects. For p - 1 the result is 1 or p - 1 as the exponent is even or odd.
 */
enum nvc_result nvc_dh_derive_unchecked(
	const struct nvc_dh_key *key, struct nvc_slice peer, struct nvc_writer *shared);

/*
 * nvc_dh_leading_zero searches, from the exponent `from` (big-endian) upwards, for one under which base^x mod p begins with a
 * zero byte, and writes it to `out` (NVC_DH_PRIVATE_LEN bytes). `base` is a peer's public value, whose shared secret is then
 * short, or empty for the generator: then the public value is. One multiplication per try, 256 tries on average; NVC_E_INVALID
 * for a group or base that cannot be used, NVC_E_CRYPTO also when 65536 tries found nothing.
 */
enum nvc_result nvc_dh_leading_zero(uint8_t dhgid, struct nvc_slice base, struct nvc_slice from,
	uint8_t out[NVC_DH_PRIVATE_LEN]);

#endif
