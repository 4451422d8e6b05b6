/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/identities.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static enum nvc_result read_key(const json_t *json, const char *member, struct nvc_dhchap_key *key,
	const struct nvc_dhchap_key **out, struct nvc_error *err)
{
	const char *text = text_of(json, member);
	struct nvc_error why = {0};

	*out = NULL;
	if (!text)
		return NVC_OK;
	if (nvc_dhchap_key_parse(nvc_slice_str(text), key, &why) != NVC_OK)
		return nvc_fail(err, NVC_E_INVALID, "%s: %s", member, why.text);
	*out = key;
	return NVC_OK;
}

static enum nvc_result read_psk(const json_t *json, struct nvc_tls_key *key,
	const struct nvc_tls_key **out, struct nvc_error *err)
{
	const char *text = text_of(json, "interchange");
	struct nvc_error why = {0};

	*out = NULL;
	if (!text)
		return NVC_OK;
	if (nvc_tls_key_parse(nvc_slice_str(text), key, &why) != NVC_OK)
		return nvc_fail(err, NVC_E_INVALID, "tls-key: %s", why.text);
	*out = key;
	return NVC_OK;
}

size_t identities_of(const struct profile *profile, struct nvc_replay_identity *list)
{
	size_t num = 0;

	for (size_t i = 0; i < profile->num_hosts; i++) {
		const struct profile_host *host = &profile->hosts[i];

		list[num++] = (struct nvc_replay_identity){.hostnqn = host->hostnqn,
			.subnqn = profile->subnqn,
			.host_key = host->has_secret ? &host->secret : NULL,
			.ctrl_key = host->has_ctrl_secret ? &host->ctrl_secret : NULL};
	}
	for (size_t i = 0; i < profile->num_psks; i++)
		list[num++] = (struct nvc_replay_identity){.hostnqn = profile->psks[i].hostnqn,
			.subnqn = profile->subnqn,
			.psk = &profile->psks[i].key};
	return num;
}

static enum nvc_result read_reference(
	const json_t *seed, struct identities *identities, struct nvc_error *err)
{
	identities->reference = malloc(sizeof(*identities->reference));
	if (!identities->reference || profile_reference(identities->reference,
					      (uint64_t)json_integer_value(seed)) != NVC_OK)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for the secrets");
	identities->num = identities_of(identities->reference, identities->list);
	return NVC_OK;
}

enum nvc_result identities_read(
	const json_t *json, struct identities *identities, struct nvc_error *err)
{
	enum nvc_result result = NVC_OK;
	const json_t *value;
	size_t i;

	memset(identities, 0, sizeof(*identities));
	if (json_is_object(json))
		return read_reference(json_object_get(json, "reference"), identities, err);
	json_array_foreach(json, i, value)
	{
		struct nvc_replay_identity *identity;

		if (i == MAX_IDENTITIES)
			return nvc_fail(
				err, NVC_E_INVALID, "more than %d identities", MAX_IDENTITIES);
		identity = &identities->list[identities->num++];
		identity->hostnqn = text_of(value, "hostnqn");
		identity->subnqn = text_of(value, "subnqn");
		result = read_key(value, "dhchap_secret", &identities->host_keys[i],
			&identity->host_key, err);
		if (result == NVC_OK)
			result = read_key(value, "dhchap_ctrl_secret", &identities->ctrl_keys[i],
				&identity->ctrl_key, err);
		if (result == NVC_OK)
			result = read_psk(value, &identities->psks[i], &identity->psk, err);
		if (result != NVC_OK)
			return result;
	}
	return NVC_OK;
}

void identities_wipe(struct identities *identities)
{
	if (identities->reference)
		profile_wipe(identities->reference);
	free(identities->reference);
	identities->reference = NULL;
	for (size_t i = 0; i < identities->num; i++) {
		nvc_secret_wipe(&identities->host_keys[i].secret);
		nvc_secret_wipe(&identities->ctrl_keys[i].secret);
		nvc_secret_wipe(&identities->psks[i].psk);
	}
}
