/* SPDX-License-Identifier: BSD-3-Clause */
/* The TLS PSK chain and its broken relatives, against every vector of its sections. */
#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypto/hash.h"
#include "crypto/tls_psk.h"
#include "tests/unit/crypto_vectors.h"
#include "wire/auth.h"

START_TEST(keys_parse)
{
	static const struct {
		const char *vector, *names;
	} diagnoses[] = {
		{"bad_crc", "CRC-32 of the 32-byte secret does not match"},
		{"h03", "03h is not defined, 00h to 02h are"},
		{"len_64", "holds 68 bytes; it must be a secret of 32 or 48 bytes"},
		{"len_16", "holds 20 bytes"},
		{"no_colon", "(after character 64) is missing"},
		{"bad_version", "character 12 differs"},
	};
	json_t *root = load_vectors();
	json_t *section = section_of(root, "tls_interchange_parse", 11), *entry;
	size_t i, num_invalid = 0;

	json_array_foreach(section, i, entry)
	{
		const char *text = text_of(entry, "key");
		struct nvc_error err = {.result = NVC_OK};
		char formatted[NVC_TLS_KEY_TEXT_SIZE];
		struct nvc_tls_key key;
		enum nvc_result result = nvc_tls_key_parse(nvc_slice_str(text), &key, &err);

		if (json_is_true(json_object_get(entry, "spec_valid"))) {
			ck_assert_msg(result == NVC_OK, "%s: %s", text_of(entry, "name"), err.text);
			ck_assert_int_eq(
				nvc_tls_key_format(&key, formatted, sizeof(formatted)), NVC_OK);
			ck_assert_str_eq(formatted, text);
			continue;
		}
		ck_assert_msg(result == NVC_E_INVALID, "%s was taken", text_of(entry, "name"));
		ck_assert_uint_eq(key.psk.len, 0);
		ck_assert_uint_lt(num_invalid, sizeof(diagnoses) / sizeof(diagnoses[0]));
		ck_assert_str_eq(text_of(entry, "name"), diagnoses[num_invalid].vector);
		ck_assert_msg(strstr(err.text, diagnoses[num_invalid].names) != NULL,
			"%s: \"%s\" does not say \"%s\"", text_of(entry, "name"), err.text,
			diagnoses[num_invalid].names);
		expect_no_secret(err.text, text, strlen("NVMeTLSkey-1:hh:"));
		num_invalid++;
	}
	ck_assert_uint_eq(num_invalid, sizeof(diagnoses) / sizeof(diagnoses[0]));
	json_decref(root);
}
END_TEST

/* Writes the identity, compares it, takes it apart again. */
static void expect_identity(const json_t *entry, const char *field, struct nvc_psk_params params)
{
	char identity[NVC_PSK_IDENTITY_SIZE];
	struct nvc_error err = {.result = NVC_OK};
	struct nvc_psk_identity id;

	ck_assert_int_eq(nvc_tls_psk_identity(&params, identity, sizeof(identity)), NVC_OK);
	ck_assert_str_eq(identity, text_of(entry, field));
	ck_assert_int_eq(nvc_tls_psk_identity(&params, identity, strlen(text_of(entry, field))),
		NVC_E_NO_SPACE);
	ck_assert_msg(nvc_tls_psk_identity_parse(nvc_slice_str(text_of(entry, field)), &id, &err) ==
			      NVC_OK,
		"%s", err.text);
	ck_assert_uint_eq(id.version, params.version);
	ck_assert_int_eq((int)id.type, (int)params.type);
	ck_assert_uint_eq(id.hash_id, params.hash_id);
	ck_assert(nvc_slice_equal(id.hostnqn, params.hostnqn));
	ck_assert(nvc_slice_equal(id.subnqn, params.subnqn));
	ck_assert(nvc_slice_equal(id.digest, params.version
						     ? nvc_slice_str(text_of(entry, "psk_digest"))
						     : nvc_slice_of(NULL, 0)));
}

/* Digest, both identities and both TLS PSKs of an entry. */
static void expect_chain(const json_t *entry, struct nvc_psk_params params)
{
	char digest[NVC_PSK_DIGEST_SIZE];
	struct nvc_secret tls_psk;

	ck_assert_int_eq(
		nvc_psk_digest(params.hash_id, params.psk, params.hostnqn, params.subnqn, digest),
		NVC_OK);
	ck_assert_str_eq(digest, text_of(entry, "psk_digest"));
	params.version = 0;
	expect_identity(entry, "identity_v0", params);
	ck_assert_int_eq(nvc_tls_psk_derive(&params, NVC_KDF_RFC8446, &tls_psk), NVC_OK);
	expect_hex_secret(entry, "tls_psk_v0", &tls_psk);
	params.version = 1;
	expect_identity(entry, "identity_v1", params);
	ck_assert_int_eq(nvc_tls_psk_derive(&params, NVC_KDF_RFC8446, &tls_psk), NVC_OK);
	expect_hex_secret(entry, "tls_psk_v1", &tls_psk);
}

/* An entry of generated_psk, or the `concat` of a transaction. Returns whether an identity is
 * defined for it. */
static bool expect_generated(const json_t *entry)
{
	struct hexed ks = hex_of(entry, "ks"), c1 = hex_of(entry, "c1"), c2 = hex_of(entry, "c2");
	struct nvc_psk_params params = {
		.version = 1,
		.type = NVC_PSK_GENERATED,
		.hash_id = (uint8_t)number_of(entry, "hash_id"),
		.hostnqn = nvc_slice_str(text_of(entry, "hostnqn")),
		.subnqn = nvc_slice_str(text_of(entry, "subnqn")),
	};
	struct nvc_secret psk, prk;
	char text[NVC_PSK_IDENTITY_SIZE];

	ck_assert_int_eq(
		nvc_psk_generated(params.hash_id, HEXED(ks), HEXED(c1), HEXED(c2), &psk), NVC_OK);
	expect_hex_secret(entry, "generated_psk", &psk);
	params.psk = nvc_secret_slice(&psk);
	if (params.hash_id != NVC_HASH_SHA512) {
		ck_assert_int_eq(nvc_hkdf_extract(params.hash_id, params.psk, &prk), NVC_OK);
		expect_hex_secret(entry, "prk", &prk);
		expect_chain(entry, params);
		return true;
	}
	ck_assert_ptr_null(json_object_get(entry, "identity_v1"));
	ck_assert_int_eq(
		nvc_psk_digest(NVC_HASH_SHA512, params.psk, params.hostnqn, params.subnqn, text),
		NVC_E_INVALID);
	ck_assert_int_eq(nvc_tls_psk_identity(&params, text, sizeof(text)), NVC_E_INVALID);
	ck_assert_int_eq(nvc_tls_psk_derive(&params, NVC_KDF_RFC8446, &prk), NVC_E_INVALID);
	return false;
}

START_TEST(generated)
{
	json_t *root = load_vectors();
	json_t *section = section_of(root, "generated_psk", 3), *entry;
	size_t i, num_identities = 0, num_concat = 0;

	json_array_foreach(section, i, entry) num_identities += expect_generated(entry);
	ck_assert_uint_eq(num_identities, 2);

	section = section_of(root, "dhchap", 17);
	json_array_foreach(section, i, entry)
	{
		json_t *concat = json_object_get(entry, "concat");

		ck_assert_int_eq(concat != NULL, number_of(entry, "sc_c") != NVC_SC_C_NOSC);
		if (!concat)
			continue;
		num_concat++;
		ck_assert_str_eq(text_of(concat, "ks"), text_of(entry, "ks"));
		ck_assert_str_eq(text_of(concat, "c1"), text_of(entry, "c1"));
		ck_assert_str_eq(text_of(concat, "c2"), text_of(entry, "c2"));
		ck_assert_str_eq(text_of(concat, "generated_psk"), text_of(entry, "generated_psk"));
		num_identities += expect_generated(concat);
	}
	ck_assert_uint_eq(num_concat, 4);
	ck_assert_uint_eq(num_identities, 2 + 3);
	json_decref(root);
}
END_TEST

START_TEST(retained)
{
	json_t *root = load_vectors();
	json_t *section = section_of(root, "retained_psk", 8), *entry;
	size_t i;

	json_array_foreach(section, i, entry)
	{
		struct nvc_psk_params params = {
			.type = NVC_PSK_RETAINED,
			.hash_id = (uint8_t)number_of(entry, "cipher_hash"),
			.hostnqn = nvc_slice_str(text_of(entry, "hostnqn")),
			.subnqn = nvc_slice_str(text_of(entry, "subnqn")),
		};
		struct nvc_tls_key key;
		struct nvc_secret psk;

		ck_assert_int_eq(
			nvc_tls_key_parse(nvc_slice_str(text_of(entry, "interchange")), &key, NULL),
			NVC_OK);
		expect_hex_secret(entry, "configured_psk", &key.psk);
		ck_assert_uint_eq(key.hash_id, number_of(entry, "retained_hash"));
		ck_assert_int_eq(
			nvc_psk_retained(&key, params.hostnqn, NVC_KDF_RFC8446, &psk), NVC_OK);
		expect_hex_secret(entry, "retained_psk", &psk);
		params.psk = nvc_secret_slice(&psk);
		expect_chain(entry, params);
		ck_assert_uint_eq(
			strlen(text_of(entry, "identity_v0")), number_of(entry, "identity_v0_len"));
		ck_assert_uint_eq(
			strlen(text_of(entry, "identity_v1")), number_of(entry, "identity_v1_len"));
	}
	json_decref(root);
}
END_TEST

/* One run of an EVP KDF, apart from lib/crypto, with at most one of `label` and `info`. */
static void evp_kdf(const char *name, const char *mode, uint8_t hash_id, struct nvc_slice key,
	const char *label, struct nvc_slice data_or_info, size_t len, struct nvc_secret *out)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	char prefix[] = "tls13 ", digest[8], mode_text[24], label_text[24];
	uint8_t key_bytes[NVC_MAX_SECRET], data[600], salt[NVC_MAX_SECRET] = {0};
	OSSL_PARAM params[8], *p = params;

	snprintf(digest, sizeof(digest), "%s", hash_id == NVC_HASH_SHA256 ? "SHA256" : "SHA384");
	snprintf(mode_text, sizeof(mode_text), "%s", mode);
	snprintf(label_text, sizeof(label_text), "%s", label ? label : "");
	memcpy(key_bytes, key.data, key.len);
	if (data_or_info.len)
		memcpy(data, data_or_info.data, data_or_info.len);
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode_text, 0);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key_bytes, key.len);
	if (label) {
		*p++ = OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_PREFIX, prefix, strlen(prefix));
		*p++ = OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_LABEL, label_text, strlen(label_text));
		*p++ = OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_DATA, data, data_or_info.len);
	} else if (data_or_info.len) {
		*p++ = OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SALT, salt, nvc_hash_len(hash_id));
		*p++ = OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_INFO, data, data_or_info.len);
	}
	*p = OSSL_PARAM_construct_end();
	ck_assert_int_eq(EVP_KDF_derive(ctx, out->data, len, params), 1);
	out->len = len;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

/* The TLS PSKs of the vectors, one step further: what a TLS 1.3 stack makes of them (RFC 8446
 * 4.2.11.2). */
START_TEST(binders)
{
	json_t *root = load_vectors();
	json_t *section = section_of(root, "tls13_external_psk", 2), *entry;
	size_t i;

	json_array_foreach(section, i, entry)
	{
		uint8_t hash_id = strcmp(text_of(entry, "hash"), "sha256") == 0 ? NVC_HASH_SHA256
										: NVC_HASH_SHA384;
		size_t len = nvc_hash_len(hash_id);
		struct hexed psk = hex_of(entry, "psk"),
			     transcript = hex_of(entry, "transcript_hash");
		struct nvc_slice parts[] = {HEXED(transcript)};
		struct nvc_secret early, empty_hash, binder_key, finished, out;

		evp_kdf("TLS13-KDF", "EXTRACT_ONLY", hash_id, HEXED(psk), NULL,
			nvc_slice_of(NULL, 0), len, &early);
		expect_hex_secret(entry, "early_secret", &early);
		ck_assert_int_eq(nvc_hkdf_extract(hash_id, HEXED(psk), &out), NVC_OK);
		expect_hex_secret(entry, "early_secret", &out);

		ck_assert_int_eq(nvc_hash(hash_id, nvc_slice_of(NULL, 0), &empty_hash), NVC_OK);
		evp_kdf("TLS13-KDF", "EXPAND_ONLY", hash_id, nvc_secret_slice(&early), "ext binder",
			nvc_secret_slice(&empty_hash), len, &binder_key);
		expect_hex_secret(entry, "binder_key_ext", &binder_key);
		ck_assert_int_eq(
			nvc_hkdf_expand_label(hash_id, nvc_secret_slice(&early), "ext binder",
				nvc_secret_slice(&empty_hash), len, NVC_KDF_RFC8446, &out),
			NVC_OK);
		expect_hex_secret(entry, "binder_key_ext", &out);

		evp_kdf("TLS13-KDF", "EXPAND_ONLY", hash_id, nvc_secret_slice(&binder_key),
			"finished", nvc_slice_of(NULL, 0), len, &finished);
		expect_hex_secret(entry, "finished_key", &finished);
		ck_assert_int_eq(
			nvc_hkdf_expand_label(hash_id, nvc_secret_slice(&binder_key), "finished",
				nvc_slice_of(NULL, 0), len, NVC_KDF_RFC8446, &out),
			NVC_OK);
		expect_hex_secret(entry, "finished_key", &out);
		ck_assert_int_eq(
			nvc_hash(hash_id, nvc_slice_str(text_of(entry, "transcript_text")), &out),
			NVC_OK);
		expect_hex_secret(entry, "transcript_hash", &out);
		ck_assert_int_eq(
			nvc_hmac(hash_id, nvc_secret_slice(&finished), parts, 1, &out), NVC_OK);
		expect_hex_secret(entry, "binder", &out);
		ck_assert_int_eq(
			nvc_tls_psk_binder(hash_id, HEXED(psk), HEXED(transcript), &out), NVC_OK);
		expect_hex_secret(entry, "binder", &out);
	}
	json_decref(root);
}
END_TEST

/* HkdfLabel of length 32 for each variant, spelled out for label "nvme-tls-psk" (18 bytes with
 * "tls13 "). */
static struct nvc_slice spelled_out(
	enum nvc_kdf_variant variant, const char *context, char out[600])
{
	static const char *const heads[NVC_NUM_KDF_VARIANTS] = {
		[NVC_KDF_RFC8446] = "\0\x20\x12"
				    "tls13 nvme-tls-psk",
		[NVC_KDF_NO_LENGTH_OCTETS] = "\0\x20"
					     "tls13 nvme-tls-psk",
		[NVC_KDF_NO_OUTLEN] = "\x12"
				      "tls13 nvme-tls-psk",
		[NVC_KDF_LABEL_OFF_BY_ONE] = "\0\x20\x12"
					     "tls13 nvme-tls-ps",
	};
	static const size_t lens[NVC_NUM_KDF_VARIANTS] = {21, 20, 19, 20};
	size_t len = lens[variant];

	memcpy(out, heads[variant], len);
	if (variant != NVC_KDF_NO_LENGTH_OCTETS)
		out[len++] = (char)strlen(context);
	memcpy(out + len, context, strlen(context));
	return nvc_slice_of(out, len + strlen(context));
}

START_TEST(variants)
{
	static const char digest[] = "OldoKuTfKddMuyCznAZojkWD7P4D9/AtzDzLimtOxqI=";
	json_t *root = load_vectors();
	json_t *entry = json_array_get(section_of(root, "generated_psk", 3), 0);
	struct hexed psk = hex_of(entry, "generated_psk");
	struct nvc_psk_params params = {
		.version = 1,
		.type = NVC_PSK_GENERATED,
		.hash_id = NVC_HASH_SHA256,
		.psk = HEXED(psk),
		.hostnqn = nvc_slice_str("hostnqn"),
		.subnqn = nvc_slice_str("subsysnqn"),
	};
	struct nvc_secret seen[2 * NVC_NUM_KDF_VARIANTS];
	char info[600], context[80];
	int num_seen = 0;

	for (uint8_t version = 0; version <= 1; version++) {
		params.version = version;
		if (version == 0)
			snprintf(context, sizeof(context), "NVMe0G01 hostnqn subsysnqn");
		else
			snprintf(context, sizeof(context), "01 %s", digest);
		for (int variant = 0; variant < NVC_NUM_KDF_VARIANTS; variant++, num_seen++) {
			struct nvc_secret want;
			struct nvc_secret *got = &seen[num_seen];

			evp_kdf("HKDF", "EXTRACT_AND_EXPAND", NVC_HASH_SHA256, HEXED(psk), NULL,
				spelled_out((enum nvc_kdf_variant)variant, context, info), 32,
				&want);
			ck_assert_int_eq(
				nvc_tls_psk_derive(&params, (enum nvc_kdf_variant)variant, got),
				NVC_OK);
			ck_assert_msg(
				nvc_slice_equal(nvc_secret_slice(got), nvc_secret_slice(&want)),
				"%s, version %u",
				nvc_kdf_variant_name((enum nvc_kdf_variant)variant), version);
			for (int i = 0; i < num_seen; i++)
				ck_assert(!nvc_slice_equal(
					nvc_secret_slice(got), nvc_secret_slice(&seen[i])));
		}
	}
	json_decref(root);
}
END_TEST

/* Also lengths that are not the hash's: the retained PSK is as long as the configured one. */
START_TEST(variants_retained)
{
	static const struct {
		enum nvc_kdf_variant variant;
		uint8_t hash_id;
		size_t psk_len;
		const char *info;
		size_t len;
	} cases[] = {
		{NVC_KDF_RFC8446, 2, 48,
			"\0\x30\x0d"
			"tls13 HostNQN"
			"\x03"
			"nqn",
			20},
		{NVC_KDF_RFC8446, 2, 32,
			"\0\x20\x0d"
			"tls13 HostNQN"
			"\x03"
			"nqn",
			20},
		{NVC_KDF_RFC8446, 1, 48,
			"\0\x30\x0d"
			"tls13 HostNQN"
			"\x03"
			"nqn",
			20},
		{NVC_KDF_NO_LENGTH_OCTETS, 2, 48,
			"\0\x30"
			"tls13 HostNQN"
			"nqn",
			18},
		{NVC_KDF_NO_OUTLEN, 2, 48,
			"\x0d"
			"tls13 HostNQN"
			"\x03"
			"nqn",
			18},
		{NVC_KDF_LABEL_OFF_BY_ONE, 2, 48,
			"\0\x30\x0d"
			"tls13 HostNQ"
			"\x03"
			"nqn",
			19},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nvc_tls_key key = {.hash_id = cases[i].hash_id,
			.psk = {.data = {1, 2, 3}, .len = cases[i].psk_len}};
		struct nvc_secret want, got;

		evp_kdf("HKDF", "EXTRACT_AND_EXPAND", key.hash_id, nvc_secret_slice(&key.psk), NULL,
			nvc_slice_of(cases[i].info, cases[i].len), key.psk.len, &want);
		ck_assert_int_eq(
			nvc_psk_retained(&key, nvc_slice_str("nqn"), cases[i].variant, &got),
			NVC_OK);
		ck_assert(nvc_slice_equal(nvc_secret_slice(&got), nvc_secret_slice(&want)));
	}
}
END_TEST

START_TEST(params_refused)
{
	static const uint8_t psk[48] = {9};
	const struct nvc_psk_params good = {
		.version = 0,
		.type = NVC_PSK_RETAINED,
		.hash_id = NVC_HASH_SHA256,
		.psk = NVC_SLICE(psk),
		.hostnqn = nvc_slice_str("h"),
		.subnqn = nvc_slice_str("s"),
	};
	struct nvc_psk_params bad[5] = {good, good, good, good, good};
	struct nvc_tls_key key = {.hash_id = NVC_HASH_SHA512, .psk = {.len = 48}};
	char identity[NVC_PSK_IDENTITY_SIZE];
	struct nvc_secret out;

	bad[0].version = 2;
	bad[1].type = (enum nvc_psk_type)'X';
	bad[2].hash_id = NVC_HASH_SHA512;
	bad[3].hash_id = NVC_HASH_NONE;
	bad[4].hostnqn.len = 0;
	ck_assert_int_eq(nvc_tls_psk_identity(&good, identity, sizeof(identity)), NVC_OK);
	ck_assert_str_eq(identity, "NVMe0R01 h s");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(
			nvc_tls_psk_identity(&bad[i], identity, sizeof(identity)), NVC_E_INVALID);
		ck_assert_int_eq(nvc_tls_psk_derive(&bad[i], NVC_KDF_RFC8446, &out), NVC_E_INVALID);
	}
	ck_assert_int_eq(
		nvc_psk_retained(&key, nvc_slice_str("nqn"), NVC_KDF_RFC8446, &out), NVC_E_INVALID);
	key.hash_id = NVC_HASH_NONE;
	ck_assert_int_eq(
		nvc_psk_retained(&key, nvc_slice_str("nqn"), NVC_KDF_RFC8446, &out), NVC_OK);
	ck_assert_int_eq(
		nvc_psk_retained(&key, nvc_slice_of("", 0), NVC_KDF_RFC8446, &out), NVC_E_INVALID);
}
END_TEST

/* Version 0 takes the whole identity for context: 255 bytes are the most that HkdfLabel can
 * hold. */
START_TEST(context_limit)
{
	static const uint8_t psk[32] = {7};
	char hostnqn[NVC_MAX_NQN + 1], subnqn[NVC_MAX_NQN + 1], identity[NVC_PSK_IDENTITY_SIZE],
		info[600];
	struct nvc_psk_params params = {
		.version = 0,
		.type = NVC_PSK_RETAINED,
		.hash_id = NVC_HASH_SHA256,
		.psk = NVC_SLICE(psk),
	};
	struct nvc_secret got, want;

	memset(hostnqn, 'h', sizeof(hostnqn));
	memset(subnqn, 's', sizeof(subnqn));
	params.hostnqn = nvc_slice_of(hostnqn, 223);
	params.subnqn = nvc_slice_of(subnqn, 255 - 8 - 1 - 223 - 1);
	ck_assert_int_eq(nvc_tls_psk_identity(&params, identity, sizeof(identity)), NVC_OK);
	ck_assert_uint_eq(strlen(identity), 255);
	ck_assert_int_eq(nvc_tls_psk_derive(&params, NVC_KDF_RFC8446, &got), NVC_OK);
	evp_kdf("HKDF", "EXTRACT_AND_EXPAND", NVC_HASH_SHA256, NVC_SLICE(psk), NULL,
		spelled_out(NVC_KDF_RFC8446, identity, info), 32, &want);
	ck_assert(nvc_slice_equal(nvc_secret_slice(&got), nvc_secret_slice(&want)));

	params.subnqn.len++;
	ck_assert_int_eq(nvc_tls_psk_identity(&params, identity, sizeof(identity)), NVC_OK);
	ck_assert_int_eq(nvc_tls_psk_derive(&params, NVC_KDF_RFC8446, &got), NVC_E_INVALID);

	/* Version 1 has no such limit: the longest identity of all. */
	params.version = 1;
	params.hash_id = NVC_HASH_SHA384;
	params.subnqn = nvc_slice_of(subnqn, 223);
	ck_assert_int_eq(nvc_tls_psk_identity(&params, identity, sizeof(identity)), NVC_OK);
	ck_assert_uint_eq(strlen(identity), sizeof(identity) - 1);
	ck_assert_int_eq(nvc_tls_psk_derive(&params, NVC_KDF_RFC8446, &got), NVC_OK);
	params.subnqn.len++;
	ck_assert_int_eq(nvc_tls_psk_identity(&params, identity, sizeof(identity)), NVC_E_INVALID);
	params.subnqn = nvc_slice_str("nqn.with blank");
	ck_assert_int_eq(nvc_tls_psk_identity(&params, identity, sizeof(identity)), NVC_E_INVALID);
	params.subnqn = nvc_slice_of("nqn\0", 4);
	ck_assert_int_eq(nvc_tls_psk_derive(&params, NVC_KDF_RFC8446, &got), NVC_E_INVALID);
}
END_TEST

START_TEST(identities_refused)
{
#define DIGEST "OldoKuTfKddMuyCznAZojkWD7P4D9/AtzDzLimtOxqI="
	static const struct {
		struct nvc_slice identity;
		const char *names;
	} refused[] = {
		{{NULL, 0}, "must begin"},
		{{(const uint8_t *)"NVMe", 4}, "must begin"},
		{{(const uint8_t *)"nvme0R01 h s", 12}, "must begin"},
		{{(const uint8_t *)"NVMe0R011 h s", 13}, "must begin"},
		{{(const uint8_t *)"NVMe2R01 h s", 12}, "version"},
		{{(const uint8_t *)"NVMe0r01 h s", 12}, "type"},
		{{(const uint8_t *)"NVMe0R03 h s", 12}, "hash"},
		{{(const uint8_t *)"NVMe0R00 h s", 12}, "hash"},
		{{(const uint8_t *)"NVMe0R1  h s", 12}, "must begin"},
		{{(const uint8_t *)"NVMe0R01 h", 10}, "spaces"},
		{{(const uint8_t *)"NVMe0R01 h s ", 13}, "spaces"},
		{{(const uint8_t *)"NVMe1R01 h s", 12}, "spaces"},
		{{(const uint8_t *)"NVMe0R01  s", 11}, "NQNs of 0 and 1 bytes"},
		{{(const uint8_t *)"NVMe0R01 h ", 11}, "NQNs of 1 and 0 bytes"},
		{{(const uint8_t *)"NVMe0R01 h s\0", 13}, "byte 13 of 13 is a NUL"},
		{{(const uint8_t *)"NVMe1R01 h s ", 13}, "digest has 0 bytes"},
		{{(const uint8_t *)"NVMe1R02 h s " DIGEST, 57},
			"digest has 32 bytes, hash 02 has 48"},
		{{(const uint8_t *)"NVMe1R01 h s " DIGEST "=", 58}, "in the digest"},
		{{(const uint8_t *)"NVMe1R01 h s *" DIGEST, 58}, "character 1 is not base64"},
	};
	struct nvc_psk_identity id;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct nvc_error err = {.result = NVC_OK};

		ck_assert_int_eq(nvc_tls_psk_identity_parse(refused[i].identity, &id, &err),
			NVC_E_MALFORMED);
		ck_assert_msg(strstr(err.text, refused[i].names) != NULL,
			"\"%s\" does not say \"%s\"", err.text, refused[i].names);
	}
	ck_assert_int_eq(
		nvc_tls_psk_identity_parse(nvc_slice_str("NVMe1G01 h s " DIGEST), &id, NULL),
		NVC_OK);
#undef DIGEST
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crypto psk");
	TCase *tcase = tcase_create("psk");
	SRunner *runner;
	int num_failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, keys_parse);
	tcase_add_test(tcase, generated);
	tcase_add_test(tcase, retained);
	tcase_add_test(tcase, binders);
	tcase_add_test(tcase, variants);
	tcase_add_test(tcase, variants_retained);
	tcase_add_test(tcase, params_refused);
	tcase_add_test(tcase, context_limit);
	tcase_add_test(tcase, identities_refused);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	num_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return num_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
