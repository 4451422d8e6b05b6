/* SPDX-License-Identifier: BSD-3-Clause */
/* A profile says where a target is and as whom one may speak to it (docs/profile.md). */
#ifndef NVC_ENGINE_PROFILE_H
#define NVC_ENGINE_PROFILE_H

#include <jansson.h>

#include "crypto/dhchap_key.h"
#include "crypto/tls_psk.h"
#include "suites/case.h"
#include "wire/auth.h"
#include "wire/command.h"

enum { PROFILE_MAX_HOSTS = 128, PROFILE_MAX_PSKS = 32, PROFILE_ANY = -1 };

struct profile_host {
	char hostnqn[NVC_NQN_MAX_LEN + 1];
	uint8_t hostid[NVC_HOSTID_LEN];
	int hash_id,
		dhgid; /* what the target is set to for this host; PROFILE_ANY: not fixed or not known */
	bool has_secret, has_ctrl_secret;
	enum identity_policy policy;
	struct nvc_dhchap_key secret, ctrl_secret;
};

/* A configured PSK between one host and the subsystem. */
struct profile_psk {
	char hostnqn[NVC_NQN_MAX_LEN + 1];
	struct nvc_tls_key key;
};

struct profile {
	char subnqn[NVC_NQN_MAX_LEN + 1];
	char addr[256];
	char port_concat[8], port_tls[8], port_plain[8]; /* empty: the target has none */
	struct profile_host hosts[PROFILE_MAX_HOSTS];
	size_t num_hosts;
	struct profile_psk psks[PROFILE_MAX_PSKS];
	size_t num_psks;
	unsigned int unsupported; /* enum need bits that the target is known not to meet */
};

/* profile_from_json reads a profile; the error names the member at fault and never shows a secret. */
enum nvc_result profile_from_json(
	const json_t *json, struct profile *profile, struct nvc_error *err);

/* profile_tls_psk derives identity and PSK of TLS from a configured PSK of the profile. */
enum nvc_result profile_tls_psk(const struct profile *profile, const struct profile_psk *configured,
	uint8_t version, uint8_t hash_id, struct nvc_tls_psk *out);

/*
 * profile_reference fills the profile of the embedded reference target: one identity for each hash x group x direction, one for
 * each form of a secret, one that leaves everything open, one without secrets. All secrets follow from `seed`.
 */
enum nvc_result profile_reference(struct profile *profile, uint64_t seed);

/* profile_policy_name returns what a profile calls the policy. */
const char *profile_policy_name(enum identity_policy policy);

/* profile_wipe overwrites the secrets. */
void profile_wipe(struct profile *profile);

#endif
