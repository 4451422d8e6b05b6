/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/profile.h"

#include <stdio.h>
#include <string.h>

#include "harness/engine/probe.h"
#include "stream/env.h"

static enum nvc_result copy_text(const json_t *object, const char *member, bool required, char *out,
	size_t size, struct nvc_error *err)
{
	const json_t *value = json_object_get(object, member);
	const char *text = json_string_value(value);

	out[0] = '\0';
	if (!value || json_is_null(value)) {
		if (!required)
			return NVC_OK;
		return nvc_fail(err, NVC_E_INVALID, "profile: '%s' is missing", member);
	}
	if (!text)
		return nvc_fail(err, NVC_E_INVALID, "profile: '%s' is not a text", member);
	if (strlen(text) >= size)
		return nvc_fail(err, NVC_E_INVALID, "profile: '%s' is longer than %zu characters",
			member, size - 1);
	strcpy(out, text);
	return NVC_OK;
}

static enum nvc_result copy_nqn(const json_t *object, const char *member,
	char out[NVC_NQN_MAX_LEN + 1], struct nvc_error *err)
{
	enum nvc_result result = copy_text(object, member, true, out, NVC_NQN_MAX_LEN + 1, err);

	if (result == NVC_OK && !out[0])
		return nvc_fail(err, NVC_E_INVALID, "profile: '%s' is empty", member);
	return result;
}

/* A port is written as a number, as people and JSON writers do it, or as a text. */
static enum nvc_result copy_port(
	const json_t *ports, const char *kind, char out[8], struct nvc_error *err)
{
	const json_t *value = json_object_get(ports, kind);
	long long port = json_integer_value(value);

	out[0] = '\0';
	if (!value || json_is_null(value))
		return NVC_OK;
	if (json_is_string(value)) {
		char end = 0;
		if (sscanf(json_string_value(value), "%lld%c", &port, &end) != 1)
			port = -1;
	}
	if (port < 0 || port > 65535)
		return nvc_fail(err, NVC_E_INVALID,
			"profile: port '%s' is not a number from 0 (any free one) to 65535", kind);
	snprintf(out, 8, "%lld", port);
	return NVC_OK;
}

static enum nvc_result copy_id(const json_t *object, const char *member, int low, int high,
	int *out, struct nvc_error *err)
{
	const json_t *value = json_object_get(object, member);
	long long id = json_integer_value(value);

	*out = PROFILE_ANY;
	if (!value || json_is_null(value))
		return NVC_OK;
	if (!json_is_integer(value) || id < low || id > high)
		return nvc_fail(err, NVC_E_INVALID,
			"profile: '%s' of a host is not an id from %d to %d", member, low, high);
	*out = (int)id;
	return NVC_OK;
}

static enum nvc_result copy_secret(const json_t *object, const char *member, bool *has,
	struct nvc_dhchap_key *key, struct nvc_error *err)
{
	const json_t *value = json_object_get(object, member);
	struct nvc_error why = {0};

	*has = false;
	if (!value || json_is_null(value))
		return NVC_OK;
	if (!json_is_string(value))
		return nvc_fail(err, NVC_E_INVALID, "profile: '%s' is not a text", member);
	if (nvc_dhchap_key_parse(nvc_slice_str(json_string_value(value)), key, &why))
		return nvc_fail(err, NVC_E_INVALID, "%s: %s", member, why.text);
	*has = true;
	return NVC_OK;
}

/* Accepts the UUID form people use and the 32 digits alone. */
static enum nvc_result copy_hostid(
	const json_t *object, uint8_t out[NVC_HOSTID_LEN], struct nvc_error *err)
{
	const char *text = json_string_value(json_object_get(object, "hostid"));
	size_t num = 0;

	memset(out, 0, NVC_HOSTID_LEN);
	for (const char *at = text ? text : ""; *at; at++) {
		const char *digits = "0123456789abcdef";
		const char *digit = strchr(digits, *at >= 'A' && *at <= 'F' ? *at + 32 : *at);
		if (*at == '-')
			continue;
		if (!digit || num >= (size_t)2 * NVC_HOSTID_LEN)
			return nvc_fail(err, NVC_E_INVALID, "hostid: not a UUID at character %td",
				at - text + 1);
		out[num / 2] = (uint8_t)(out[num / 2] << 4 | (digit - digits));
		num++;
	}
	if (num != (size_t)2 * NVC_HOSTID_LEN)
		return nvc_fail(err, NVC_E_INVALID, "hostid: %zu hex digits, a UUID has 32", num);
	return NVC_OK;
}

/* The names of a profile's "policy". */
static const char *const policies[NUM_POLICIES] = {[POLICY_ORDINARY] = "ordinary",
	[POLICY_CONCAT_REQUIRED] = "concat-required",
	[POLICY_NO_CONCAT] = "no-concat",
	[POLICY_AUTH_OPTIONAL] = "auth-optional"};

static enum nvc_result copy_policy(
	const json_t *object, enum identity_policy *out, struct nvc_error *err)
{
	const json_t *value = json_object_get(object, "policy");

	*out = POLICY_ORDINARY;
	if (!value || json_is_null(value))
		return NVC_OK;
	for (int policy = POLICY_ORDINARY; policy < NUM_POLICIES; policy++)
		if (json_is_string(value) &&
			strcmp(json_string_value(value), policies[policy]) == 0) {
			*out = (enum identity_policy)policy;
			return NVC_OK;
		}
	return nvc_fail(err, NVC_E_INVALID,
		"profile: 'policy' of a host is none of ordinary, concat-required, no-concat, "
		"auth-optional");
}

const char *profile_policy_name(enum identity_policy policy)
{
	return (unsigned int)policy < NUM_POLICIES ? policies[policy] : "?";
}

static enum nvc_result read_host(
	const json_t *json, struct profile_host *host, struct nvc_error *err)
{
	enum nvc_result result = copy_nqn(json, "hostnqn", host->hostnqn, err);

	if (result == NVC_OK)
		result = copy_hostid(json, host->hostid, err);
	if (result == NVC_OK)
		result = copy_id(
			json, "hash", NVC_HASH_SHA256, NVC_HASH_SHA512, &host->hash_id, err);
	if (result == NVC_OK)
		result = copy_id(json, "dhgroup", NVC_DH_NULL, NVC_DH_8192, &host->dhgid, err);
	if (result == NVC_OK)
		result = copy_policy(json, &host->policy, err);
	if (result == NVC_OK)
		result = copy_secret(json, "dhchap_secret", &host->has_secret, &host->secret, err);
	if (result == NVC_OK)
		result = copy_secret(json, "dhchap_ctrl_secret", &host->has_ctrl_secret,
			&host->ctrl_secret, err);
	return result;
}

static enum nvc_result read_psk(const json_t *json, struct profile_psk *psk, struct nvc_error *err)
{
	const char *text = json_string_value(json_object_get(json, "interchange"));
	struct nvc_error why = {0};
	enum nvc_result result = copy_nqn(json, "hostnqn", psk->hostnqn, err);

	if (result != NVC_OK)
		return result;
	if (!text)
		return nvc_fail(err, NVC_E_INVALID, "profile: a PSK has no 'interchange' text");
	if (nvc_tls_key_parse(nvc_slice_str(text), &psk->key, &why))
		return nvc_fail(err, NVC_E_INVALID, "tls-key: %s", why.text);
	return NVC_OK;
}

/* What the target is known not to support, by the names of the needs. */
static enum nvc_result read_unsupported(
	const json_t *names, struct profile *profile, struct nvc_error *err)
{
	const json_t *value;
	size_t i;

	if (names && !json_is_null(names) && !json_is_array(names))
		return nvc_fail(err, NVC_E_INVALID, "profile: 'unsupported' is not a list");
	json_array_foreach(names, i, value)
	{
		const char *name = json_string_value(value);
		unsigned int need = 0;

		while (need < NUM_NEEDS && (!name || strcmp(name, need_name(need)) != 0))
			need++;
		if (need == NUM_NEEDS)
			return nvc_fail(err, NVC_E_INVALID,
				"profile: 'unsupported' has '%.40s', which is no need of a case; "
				"probe writes what there is",
				name ? name : "?");
		profile->unsupported |= 1u << need;
	}
	return NVC_OK;
}

enum nvc_result profile_from_json(
	const json_t *json, struct profile *profile, struct nvc_error *err)
{
	const json_t *ports = json_object_get(json, "ports"), *value;
	enum nvc_result result;
	size_t i;

	memset(profile, 0, sizeof(*profile));
	result = copy_nqn(json, "subnqn", profile->subnqn, err);
	if (result == NVC_OK)
		result = copy_text(json, "addr", true, profile->addr, sizeof(profile->addr), err);
	if (result == NVC_OK)
		result = copy_port(ports, "concat", profile->port_concat, err);
	if (result == NVC_OK)
		result = copy_port(ports, "tls", profile->port_tls, err);
	if (result == NVC_OK)
		result = copy_port(ports, "plain", profile->port_plain, err);
	json_array_foreach(json_object_get(json, "hosts"), i, value)
	{
		if (result == NVC_OK && i >= PROFILE_MAX_HOSTS)
			result = nvc_fail(err, NVC_E_INVALID, "profile: more than %d hosts",
				PROFILE_MAX_HOSTS);
		if (result == NVC_OK)
			result = read_host(value, &profile->hosts[profile->num_hosts++], err);
	}
	json_array_foreach(json_object_get(json, "psks"), i, value)
	{
		if (result == NVC_OK && i >= PROFILE_MAX_PSKS)
			result = nvc_fail(
				err, NVC_E_INVALID, "profile: more than %d PSKs", PROFILE_MAX_PSKS);
		if (result == NVC_OK)
			result = read_psk(value, &profile->psks[profile->num_psks++], err);
	}
	if (result == NVC_OK)
		result = read_unsupported(json_object_get(json, "unsupported"), profile, err);
	if (result == NVC_OK && !profile->num_hosts)
		result =
			nvc_fail(err, NVC_E_INVALID, "profile: no host to act as; give a host NQN");
	return result;
}

static void add_reference_host(struct profile *profile, struct nvc_seeded *random, const char *name,
	int hash_id, int dhgid, int secret_hash, size_t secret_len, bool bidi)
{
	struct profile_host *host = &profile->hosts[profile->num_hosts++];

	snprintf(host->hostnqn, sizeof(host->hostnqn), "nqn.2014-08.org.nvmexpress:nvme-conform:%s",
		name);
	nvc_seeded_random(random, host->hostid, sizeof(host->hostid));
	host->hash_id = hash_id;
	host->dhgid = dhgid;
	host->has_secret = secret_len > 0;
	host->secret.hash_id = (uint8_t)secret_hash;
	host->secret.secret.len = secret_len;
	nvc_seeded_random(random, host->secret.secret.data, secret_len);
	host->has_ctrl_secret = bidi;
	host->ctrl_secret.hash_id = (uint8_t)secret_hash;
	host->ctrl_secret.secret.len = bidi ? secret_len : 0;
	nvc_seeded_random(random, host->ctrl_secret.secret.data, host->ctrl_secret.secret.len);
}

/* A configured PSK of the host added last, as `nvme gen-tls-key` makes it: 32 bytes for SHA-256, 48 for SHA-384. One for each
 * host, because two could not be told apart by their version 0 identities. */
static void add_reference_psk(struct profile *profile, struct nvc_seeded *random, uint8_t hash_id)
{
	struct profile_psk *psk = &profile->psks[profile->num_psks++];

	strcpy(psk->hostnqn, profile->hosts[profile->num_hosts - 1].hostnqn);
	psk->key.hash_id = hash_id;
	psk->key.psk.len = nvc_hash_len(hash_id);
	nvc_seeded_random(random, psk->key.psk.data, psk->key.psk.len);
}

enum nvc_result profile_reference(struct profile *profile, uint64_t seed)
{
	struct nvc_seeded *random = nvc_seeded_new(seed, "reference profile");
	char name[64];

	memset(profile, 0, sizeof(*profile));
	if (!random)
		return NVC_E_NO_MEMORY;
	strcpy(profile->subnqn, "nqn.2014-08.org.nvmexpress:nvme-conform:subsystem");
	strcpy(profile->addr, "reference");
	strcpy(profile->port_concat, "4420");
	strcpy(profile->port_tls, "4421");
	strcpy(profile->port_plain, "4422");
	for (int hash = NVC_HASH_SHA256; hash <= NVC_HASH_SHA512; hash++)
		for (int group = NVC_DH_NULL; group < NVC_NUM_DHGROUPS; group++)
			for (int bidi = 0; bidi < 2; bidi++) {
				snprintf(name, sizeof(name), "h%d-g%d-%s", hash, group,
					bidi ? "bidi" : "uni");
				add_reference_host(profile, random, name, hash, group,
					NVC_HASH_SHA256, 32, bidi);
			}
	for (int form = 0; form <= 3; form++)
		for (size_t len = 32; len <= 64; len += 16) {
			snprintf(name, sizeof(name), "secret-%d-%zu", form, len);
			add_reference_host(
				profile, random, name, PROFILE_ANY, PROFILE_ANY, form, len, true);
		}
	add_reference_host(
		profile, random, "any", PROFILE_ANY, PROFILE_ANY, NVC_HASH_SHA256, 32, true);
	add_reference_host(
		profile, random, "any-uni", PROFILE_ANY, PROFILE_ANY, NVC_HASH_SHA256, 32, false);
	add_reference_host(profile, random, "open", PROFILE_ANY, PROFILE_ANY, 0, 0, false);
	add_reference_host(profile, random, "psk-sha256", PROFILE_ANY, PROFILE_ANY, 0, 0, false);
	add_reference_psk(profile, random, NVC_HASH_SHA256);
	add_reference_host(profile, random, "psk-sha384", PROFILE_ANY, PROFILE_ANY, 0, 0, false);
	add_reference_psk(profile, random, NVC_HASH_SHA384);
	add_reference_host(
		profile, random, "psk-auth", PROFILE_ANY, PROFILE_ANY, NVC_HASH_SHA256, 32, false);
	add_reference_psk(profile, random, NVC_HASH_SHA256);
	for (int policy = POLICY_CONCAT_REQUIRED; policy < NUM_POLICIES; policy++) {
		add_reference_host(profile, random, policies[policy], PROFILE_ANY, PROFILE_ANY,
			NVC_HASH_SHA256, 32, false);
		profile->hosts[profile->num_hosts - 1].policy = (enum identity_policy)policy;
	}
	nvc_seeded_free(random);
	return NVC_OK;
}

void profile_wipe(struct profile *profile)
{
	for (size_t i = 0; i < profile->num_hosts; i++) {
		nvc_secret_wipe(&profile->hosts[i].secret.secret);
		nvc_secret_wipe(&profile->hosts[i].ctrl_secret.secret);
	}
	for (size_t i = 0; i < profile->num_psks; i++)
		nvc_secret_wipe(&profile->psks[i].key.psk);
}

enum nvc_result profile_tls_psk(const struct profile *profile, const struct profile_psk *configured,
	uint8_t version, uint8_t hash_id, struct nvc_tls_psk *out)
{
	struct nvc_secret retained = {.len = 0};
	struct nvc_psk_params params = {.version = version,
		.type = NVC_PSK_RETAINED,
		.hash_id = hash_id,
		.hostnqn = nvc_slice_str(configured->hostnqn),
		.subnqn = nvc_slice_str(profile->subnqn)};
	enum nvc_result result;

	memset(out, 0, sizeof(*out));
	out->hash_id = hash_id;
	result = nvc_psk_retained(&configured->key, params.hostnqn, NVC_KDF_RFC8446, &retained);
	params.psk = nvc_secret_slice(&retained);
	if (result == NVC_OK)
		result = nvc_tls_psk_identity(&params, out->identity, sizeof(out->identity));
	if (result == NVC_OK)
		result = nvc_tls_psk_derive(&params, NVC_KDF_RFC8446, &out->psk);
	nvc_secret_wipe(&retained);
	return result;
}
