/* SPDX-License-Identifier: BSD-3-Clause */
/* The secrets with which replay verifies, as its configuration has them. */
#ifndef NVC_ENGINE_IDENTITIES_H
#define NVC_ENGINE_IDENTITIES_H

#include <jansson.h>

#include "capture/replay.h"
#include "harness/engine/profile.h"

enum { MAX_IDENTITIES = PROFILE_MAX_HOSTS + PROFILE_MAX_PSKS };

struct identities {
	struct nvc_replay_identity list[MAX_IDENTITIES];
	size_t num;
	struct nvc_dhchap_key host_keys[MAX_IDENTITIES], ctrl_keys[MAX_IDENTITIES];
	struct nvc_tls_key psks[MAX_IDENTITIES];
	struct profile *reference; /* of the embedded target, where its secrets were asked for */
};

/* identities_of returns in `list` (of MAX_IDENTITIES) what `profile` knows, to which it points, and how many there are. */
size_t identities_of(const struct profile *profile, struct nvc_replay_identity *list);

/* identities_read reads an array of {hostnqn, subnqn, dhchap_secret, dhchap_ctrl_secret, interchange}, none of which must be there;
 * the names stay those of `json`. Or {"reference": SEED}: what the embedded reference target has under that seed. The error never shows a secret. Ended by identities_wipe in any case. */
enum nvc_result identities_read(
	const json_t *json, struct identities *identities, struct nvc_error *err);

/* identities_wipe overwrites the secrets. */
void identities_wipe(struct identities *identities);

#endif
