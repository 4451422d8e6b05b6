/* SPDX-License-Identifier: BSD-3-Clause */
/* The capture, read as a script, and what the secrets of the new target tell about it. */
#include <stdlib.h>
#include <string.h>

#include "harness/engine/identities.h"
#include "harness/engine/reenact_state.h"
#include "harness/engine/replay.h"

static enum nvc_result read_capture(const char *path, const struct nvc_replay_options *options,
	struct nvc_script *script, struct nvc_error *err)
{
	struct nvc_error why = {0};
	FILE *in = NULL;
	enum nvc_result result = replay_open_capture(path, &in, err);

	if (result == NVC_OK)
		result = nvc_script_read(in, options, script, &why);
	return result == NVC_OK || err->result != NVC_OK
		       ? result
		       : nvc_fail(err, result == NVC_E_MALFORMED ? NVC_E_INVALID : result, "%s: %s",
				 path, why.text);
}

/* Whether the secrets are those of the capture: with others nothing can be said of its names. */
static bool secrets_fit(const struct nvc_replay_result *result)
{
	return result->responses[NVC_PROOF_RIGHT] || !result->responses[NVC_PROOF_WRONG];
}

/* The secrets of the new target tell what the host's responses were, if they are those of the capture too. What could be read is
 * said without them: their doubts are not about that. */
static enum nvc_result read_with_secrets(const char *path, struct nvc_replay_options *options,
	const struct profile *profile, struct nvc_script *script, struct nvc_error *err)
{
	static struct nvc_replay_identity list[MAX_IDENTITIES];
	struct nvc_script proven = {0};
	enum nvc_result result = read_capture(path, options, script, err);

	options->identities = list;
	options->num_identities = identities_of(profile, list);
	if (result == NVC_OK)
		result = read_capture(path, options, &proven, err);
	if (result == NVC_OK && secrets_fit(&proven.result)) {
		proven.result = script->result;
		for (size_t i = 0; i < proven.num_conns && i < script->num_conns; i++)
			proven.conns[i].unreadable = script->conns[i].unreadable;
		nvc_script_free(script);
		*script = proven;
	} else {
		nvc_script_free(&proven);
	}
	return result;
}

enum nvc_result reenact_read(const json_t *config, const struct profile *profile,
	struct nvc_script *script, struct nvc_error *err)
{
	const char *path = json_string_value(json_object_get(config, "file"));
	const char *keylog_path = json_string_value(json_object_get(config, "keylog"));
	struct nvc_replay_options options = {.judge = NVC_JUDGE_BOTH};
	char *keylog = NULL;
	size_t len = 0;
	enum nvc_result result = NVC_OK;

	if (!path)
		return nvc_fail(err, NVC_E_INVALID, "no file is named");
	if (keylog_path)
		result = replay_read_keylog(keylog_path, &keylog, &len, err);
	options.keylog = nvc_slice_of(keylog, len);
	if (result == NVC_OK)
		result = read_with_secrets(path, &options, profile, script, err);
	if (keylog)
		explicit_bzero(keylog, len);
	free(keylog);
	return result;
}
