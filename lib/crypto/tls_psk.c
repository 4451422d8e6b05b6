/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto/tls_psk.h"

#include <stdio.h>
#include <string.h>

#include "crypto/base64.h"
#include "crypto/hash.h"
#include "crypto/interchange.h"
#include "wire/auth.h"

static const struct nvc_interchange form = {
	.prefix = "NVMeTLSkey-1:",
	.what = "TLS PSK",
	.max_hash_id = NVC_HASH_SHA384,
	.max_secret_len = 48,
	.lengths = "32 or 48",
};

enum nvc_result nvc_tls_key_parse(
	struct nvc_slice text, struct nvc_tls_key *key, struct nvc_error *err)
{
	return nvc_interchange_parse(&form, text, &key->hash_id, &key->psk, err);
}

enum nvc_result nvc_tls_key_format(const struct nvc_tls_key *key, char *text, size_t size)
{
	return nvc_interchange_format(&form, key->hash_id, &key->psk, text, size);
}

/* A NUL or a space inside would make two different pairs of NQNs one identity. */
static bool nqn_ok(struct nvc_slice nqn)
{
	return nqn.len >= 1 && nqn.len <= NVC_MAX_NQN && !memchr(nqn.data, '\0', nqn.len) &&
	       !memchr(nqn.data, ' ', nqn.len);
}

/* The hashes for which TLS 1.3 has a cipher suite of NVMe/TCP. */
static bool suite_hash(uint8_t hash_id)
{
	return hash_id == NVC_HASH_SHA256 || hash_id == NVC_HASH_SHA384;
}

static enum nvc_result extract_and_expand(uint8_t hash_id, struct nvc_slice ikm, const char *label,
	struct nvc_slice context, size_t len, enum nvc_kdf_variant variant, struct nvc_secret *out)
{
	struct nvc_secret prk = {.len = 0};
	enum nvc_result result = nvc_hkdf_extract(hash_id, ikm, &prk);

	if (result == NVC_OK)
		result = nvc_hkdf_expand_label(
			hash_id, nvc_secret_slice(&prk), label, context, len, variant, out);
	nvc_secret_wipe(&prk);
	return result;
}

enum nvc_result nvc_psk_retained(const struct nvc_tls_key *key, struct nvc_slice hostnqn,
	enum nvc_kdf_variant variant, struct nvc_secret *retained)
{
	struct nvc_slice configured = nvc_secret_slice(&key->psk);

	if (!nqn_ok(hostnqn))
		return NVC_E_INVALID;
	if (key->hash_id == NVC_HASH_NONE)
		return nvc_secret_set(retained, configured);
	if (!suite_hash(key->hash_id))
		return NVC_E_INVALID;
	return extract_and_expand(
		key->hash_id, configured, "HostNQN", hostnqn, configured.len, variant, retained);
}

enum nvc_result nvc_psk_generated(uint8_t hash_id, struct nvc_slice ks, struct nvc_slice c1,
	struct nvc_slice c2, struct nvc_secret *generated)
{
	const struct nvc_slice parts[] = {c1, c2};

	return nvc_hmac(hash_id, ks, parts, 2, generated);
}

enum nvc_result nvc_psk_digest(uint8_t hash_id, struct nvc_slice psk, struct nvc_slice hostnqn,
	struct nvc_slice subnqn, char digest[NVC_PSK_DIGEST_SIZE])
{
	const struct nvc_slice space = nvc_slice_str(" ");
	const struct nvc_slice parts[] = {
		hostnqn,
		space,
		subnqn,
		space,
		nvc_slice_str("NVMe-over-Fabrics"),
	};
	struct nvc_secret mac = {.len = 0};
	enum nvc_result result;

	if (!suite_hash(hash_id) || !nqn_ok(hostnqn) || !nqn_ok(subnqn))
		return NVC_E_INVALID;
	result = nvc_hmac(hash_id, psk, parts, sizeof(parts) / sizeof(parts[0]), &mac);
	if (result == NVC_OK)
		result = nvc_base64_encode(nvc_secret_slice(&mac), digest, NVC_PSK_DIGEST_SIZE);
	nvc_secret_wipe(&mac);
	return result;
}

static bool params_ok(const struct nvc_psk_params *params)
{
	return params->version <= 1 && suite_hash(params->hash_id) &&
	       (params->type == NVC_PSK_RETAINED || params->type == NVC_PSK_GENERATED) &&
	       nqn_ok(params->hostnqn) && nqn_ok(params->subnqn);
}

enum nvc_result nvc_tls_psk_identity(
	const struct nvc_psk_params *params, char *identity, size_t size)
{
	char digest[NVC_PSK_DIGEST_SIZE] = "";
	enum nvc_result result = NVC_OK;
	int len;

	if (!params_ok(params))
		return NVC_E_INVALID;
	if (params->version == 1)
		result = nvc_psk_digest(
			params->hash_id, params->psk, params->hostnqn, params->subnqn, digest);
	if (result != NVC_OK)
		return result;
	len = snprintf(identity, size, "NVMe%u%c%02u %.*s %.*s%s%s", params->version, params->type,
		params->hash_id, (int)params->hostnqn.len, (const char *)params->hostnqn.data,
		(int)params->subnqn.len, (const char *)params->subnqn.data, *digest ? " " : "",
		digest);
	return len >= 0 && (size_t)len < size ? NVC_OK : NVC_E_NO_SPACE;
}

enum nvc_result nvc_tls_psk_derive(const struct nvc_psk_params *params,
	enum nvc_kdf_variant variant, struct nvc_secret *tls_psk)
{
	char context[NVC_PSK_IDENTITY_SIZE];
	char digest[NVC_PSK_DIGEST_SIZE];
	enum nvc_result result;

	if (!params_ok(params))
		return NVC_E_INVALID;
	if (params->version == 0) {
		result = nvc_tls_psk_identity(params, context, sizeof(context));
	} else {
		result = nvc_psk_digest(
			params->hash_id, params->psk, params->hostnqn, params->subnqn, digest);
		snprintf(context, sizeof(context), "%02u %s", params->hash_id,
			result == NVC_OK ? digest : "");
	}
	if (result != NVC_OK)
		return result;
	return extract_and_expand(params->hash_id, params->psk, "nvme-tls-psk",
		nvc_slice_str(context), nvc_hash_len(params->hash_id), variant, tls_psk);
}

enum nvc_result nvc_tls_psk_binder(uint8_t hash_id, struct nvc_slice tls_psk,
	struct nvc_slice transcript, struct nvc_secret *binder)
{
	const struct nvc_slice nothing = {0};
	struct nvc_secret key = {.len = 0}, empty = {.len = 0};
	enum nvc_result result = nvc_hash(hash_id, nothing, &empty);

	if (result == NVC_OK)
		result = nvc_hkdf_extract(hash_id, tls_psk, &key);
	if (result == NVC_OK)
		result = nvc_hkdf_expand_label(hash_id, nvc_secret_slice(&key), "ext binder",
			nvc_secret_slice(&empty), empty.len, NVC_KDF_RFC8446, &key);
	if (result == NVC_OK)
		result = nvc_hkdf_expand_label(hash_id, nvc_secret_slice(&key), "finished", nothing,
			empty.len, NVC_KDF_RFC8446, &key);
	if (result == NVC_OK)
		result = nvc_hmac(hash_id, nvc_secret_slice(&key), &transcript, 1, binder);
	nvc_secret_wipe(&key);
	return result;
}

/* Takes the characters up to the next space or the end; the space itself is taken, too. */
static struct nvc_slice next_word(struct nvc_slice *rest)
{
	const uint8_t *end = rest->len ? memchr(rest->data, ' ', rest->len) : NULL;
	size_t len = end ? (size_t)(end - rest->data) : rest->len;
	struct nvc_slice word = nvc_slice_sub(*rest, 0, len);

	*rest = nvc_slice_sub(*rest, len + 1, rest->len);
	return word;
}

static enum nvc_result parse_head(
	struct nvc_slice head, struct nvc_psk_identity *out, struct nvc_error *err)
{
	if (head.len != 8 || memcmp(head.data, "NVMe", 4) != 0)
		return nvc_fail(err, NVC_E_MALFORMED,
			"PSK identity: must begin with \"NVMe\", version, type and hash, e.g. "
			"\"NVMe1R01 \"");
	if (head.data[4] != '0' && head.data[4] != '1')
		return nvc_fail(err, NVC_E_MALFORMED,
			"PSK identity: character 5, the version, is neither '0' nor '1'");
	if (head.data[5] != NVC_PSK_RETAINED && head.data[5] != NVC_PSK_GENERATED)
		return nvc_fail(err, NVC_E_MALFORMED,
			"PSK identity: character 6, the type, is neither 'R' nor 'G'");
	if (head.data[6] != '0' || (head.data[7] != '1' && head.data[7] != '2'))
		return nvc_fail(err, NVC_E_MALFORMED,
			"PSK identity: characters 7 and 8, the hash, are neither \"01\" nor "
			"\"02\"");
	out->version = head.data[4] - '0';
	out->type = head.data[5] == 'R' ? NVC_PSK_RETAINED : NVC_PSK_GENERATED;
	out->hash_id = head.data[7] - '0';
	return NVC_OK;
}

static enum nvc_result check_digest(const struct nvc_psk_identity *id, struct nvc_error *err)
{
	struct nvc_error why = {.result = NVC_OK};
	size_t len = 0;

	if (nvc_base64_check(id->digest, 1, &len, &why) != NVC_OK)
		return nvc_fail(err, NVC_E_MALFORMED, "PSK identity: in the digest %s", why.text);
	if (len != nvc_hash_len(id->hash_id))
		return nvc_fail(err, NVC_E_MALFORMED,
			"PSK identity: the digest has %zu bytes, hash 0%u has %zu", len,
			id->hash_id, nvc_hash_len(id->hash_id));
	return NVC_OK;
}

enum nvc_result nvc_tls_psk_identity_parse(
	struct nvc_slice identity, struct nvc_psk_identity *out, struct nvc_error *err)
{
	struct nvc_slice rest = identity;
	size_t num_spaces = 0;
	enum nvc_result result;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < identity.len; i++) {
		num_spaces += identity.data[i] == ' ';
		if (identity.data[i] == '\0')
			return nvc_fail(err, NVC_E_MALFORMED,
				"PSK identity: byte %zu of %zu is a NUL, which the handshake does "
				"not carry",
				i + 1, identity.len);
	}
	result = parse_head(next_word(&rest), out, err);
	if (result != NVC_OK)
		return result;
	if (num_spaces != (out->version == 0 ? 2 : 3))
		return nvc_fail(err, NVC_E_MALFORMED,
			"PSK identity: version %u has %d spaces, this one %zu", out->version,
			out->version == 0 ? 2 : 3, num_spaces);
	out->hostnqn = next_word(&rest);
	out->subnqn = next_word(&rest);
	out->digest = next_word(&rest);
	if (!nqn_ok(out->hostnqn) || !nqn_ok(out->subnqn))
		return nvc_fail(err, NVC_E_MALFORMED,
			"PSK identity: NQNs of %zu and %zu bytes, 1 to %d are permitted",
			out->hostnqn.len, out->subnqn.len, NVC_MAX_NQN);
	return out->version == 1 ? check_digest(out, err) : NVC_OK;
}
