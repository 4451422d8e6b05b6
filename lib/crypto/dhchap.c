/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto/dhchap.h"

#include <openssl/crypto.h>
#include <stdio.h>

#include "crypto/hash.h"
#include "wire/auth.h"

enum nvc_result nvc_dhchap_session_key(
	uint8_t hash_id, struct nvc_slice shared, struct nvc_secret *ks)
{
	return nvc_hash(hash_id, shared, ks);
}

enum nvc_result nvc_dhchap_augment(uint8_t hash_id, const struct nvc_secret *ks,
	struct nvc_slice challenge, struct nvc_secret *ca)
{
	if (!ks)
		return nvc_secret_set(ca, challenge);
	return nvc_hmac(hash_id, nvc_secret_slice(ks), &challenge, 1, ca);
}

/* R1 and R2 differ in the role and in which NQN comes first. */
static enum nvc_result respond(const struct nvc_dhchap_inputs *in, const char *role,
	struct nvc_slice first, struct nvc_slice second, struct nvc_secret *response)
{
	uint8_t numbers[4 + 2 + 1];
	struct nvc_writer writer = nvc_writer_over(numbers, sizeof(numbers));

	nvc_write_le(&writer, in->seqnum, 4);
	nvc_write_le(&writer, in->t_id, 2);
	nvc_write_le(&writer, in->sc_c, 1);

	const struct nvc_slice parts[] = {
		in->challenge,
		nvc_writer_slice(&writer),
		nvc_slice_str(role),
		first,
		nvc_slice_of("", 1),
		second,
	};
	return nvc_hmac(in->hash_id, in->key, parts, sizeof(parts) / sizeof(parts[0]), response);
}

enum nvc_result nvc_dhchap_r1(const struct nvc_dhchap_inputs *in, struct nvc_secret *r1)
{
	return respond(in, "HostHost", in->hostnqn, in->subnqn, r1);
}

enum nvc_result nvc_dhchap_r2(const struct nvc_dhchap_inputs *in, struct nvc_secret *r2)
{
	return respond(in, "Controller", in->subnqn, in->hostnqn, r2);
}

enum nvc_result nvc_dhchap_exponent_line(struct nvc_slice public_value, struct nvc_slice exponent,
	char line[NVC_DHCHAP_EXPONENT_LINE_SIZE])
{
	char id[2 * NVC_DHCHAP_EXPONENT_ID_LEN + 1], digits[2 * NVC_MAX_SECRET + 1];
	struct nvc_secret digest = {.len = 0};
	enum nvc_result result = nvc_hash(NVC_HASH_SHA256, public_value, &digest);

	line[0] = '\0';
	if (exponent.len > NVC_MAX_SECRET)
		return NVC_E_NO_SPACE;
	if (result != NVC_OK)
		return result;
	nvc_hex(nvc_secret_slice(&digest), id, sizeof(id));
	nvc_hex(exponent, digits, sizeof(digits));
	snprintf(line, NVC_DHCHAP_EXPONENT_LINE_SIZE, "%s %s %s", NVC_DHCHAP_EXPONENT_LABEL, id,
		digits);
	OPENSSL_cleanse(digits, sizeof(digits));
	return NVC_OK;
}
