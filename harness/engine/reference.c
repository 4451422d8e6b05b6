/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/reference.h"

#include <stdlib.h>
#include <string.h>

enum { NUM_BLOCKS = 64 }; /* filling a large namespace would cost more than a case does */

struct reference {
	struct nvc_sim *sim;
	struct nvc_target *target;
};

static uint16_t port_number(const char *text)
{
	return (uint16_t)strtoul(text, NULL, 10);
}

static size_t fill_ports(const struct profile *profile, struct nvc_target_port ports[3])
{
	size_t num = 0;

	if (profile->port_concat[0])
		ports[num++] = (struct nvc_target_port){
			.port = port_number(profile->port_concat), .tls = NVC_TLS_PERMITTED};
	if (profile->port_tls[0])
		ports[num++] = (struct nvc_target_port){
			.port = port_number(profile->port_tls), .tls = NVC_TLS_REQUIRED};
	if (profile->port_plain[0])
		ports[num++] = (struct nvc_target_port){
			.port = port_number(profile->port_plain), .tls = NVC_TLS_NONE};
	return num;
}

static void fill_host(
	const struct profile_host *from, bool concat_required, struct nvc_target_host *to)
{
	*to = (struct nvc_target_host){
		.hostnqn = from->hostnqn,
		.hashes = from->hash_id == PROFILE_ANY ? 0 : 1u << from->hash_id,
		.dhgroups = from->dhgid == PROFILE_ANY ? 0 : 1u << from->dhgid,
		.auth = NVC_POLICY_REQUIRED,
		.concat = concat_required ? NVC_POLICY_REQUIRED : NVC_POLICY_PERMITTED,
	};
	if (from->policy == POLICY_AUTH_OPTIONAL)
		to->auth = NVC_POLICY_PERMITTED;
	if (from->policy == POLICY_CONCAT_REQUIRED)
		to->concat = NVC_POLICY_REQUIRED;
	if (from->policy == POLICY_NO_CONCAT)
		to->concat = NVC_POLICY_DISABLED;
	if (!from->has_secret)
		to->auth = to->concat = NVC_POLICY_DISABLED;
	if (from->has_secret)
		to->host_key = from->secret;
	if (from->has_ctrl_secret)
		to->controller_key = from->ctrl_secret;
}

struct nvc_target *reference_target(const struct profile *profile,
	const struct reference_options *options, const struct nvc_env *env, struct nvc_error *err)
{
	const struct nvc_target_subsystem subsystems[] = {
		{.nqn = profile->subnqn, .num_blocks = NUM_BLOCKS},
		{.nqn = NVC_DISCOVERY_NQN, .discovery = true}};
	struct nvc_target_host *hosts = calloc(profile->num_hosts + 1, sizeof(*hosts));
	struct nvc_target_psk *psks = calloc(profile->num_psks + 1, sizeof(*psks));
	struct nvc_target_port ports[3];
	struct nvc_target *target = NULL;

	if (!hosts || !psks) {
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory for the target");
		goto out;
	}
	for (size_t i = 0, used = 0; i < profile->num_hosts; i++) {
		size_t first = used;

		fill_host(&profile->hosts[i], options->concat_required, &hosts[i]);
		for (size_t j = 0; j < profile->num_psks && used < profile->num_psks; j++)
			if (strcmp(profile->psks[j].hostnqn, hosts[i].hostnqn) == 0)
				psks[used++].key = profile->psks[j].key;
		hosts[i].psks = &psks[first];
		hosts[i].num_psks = used - first;
	}
	target = nvc_target_new(
		&(const struct nvc_target_config){
			.subsystems = subsystems,
			.num_subsystems = 2,
			.hosts = hosts,
			.num_hosts = profile->num_hosts,
			.ports = ports,
			.num_ports = fill_ports(profile, ports),
			.log = options->log,
			.log_self = options->log_self,
			.keylog = options->keylog,
			.keylog_self = options->keylog_self,
		},
		env, err);
	for (size_t i = 0; target && i < options->num_defects; i++)
		if (nvc_target_set_defect(target, options->defects[i], err) != NVC_OK) {
			nvc_target_free(target);
			target = NULL;
		}
out:
	free(hosts);
	free(psks);
	return target;
}

struct reference *reference_new(const struct profile *profile,
	const struct reference_options *options, uint64_t seed, struct nvc_error *err)
{
	struct reference *reference = calloc(1, sizeof(*reference));
	struct nvc_target_port ports[3];
	struct nvc_env env;
	size_t num_ports = fill_ports(profile, ports);
	bool listening = true;

	if (!reference || !(reference->sim = nvc_sim_new(seed))) {
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a simulated world");
		free(reference);
		return NULL;
	}
	env = nvc_sim_env(reference->sim, "target");
	reference->target = reference_target(profile, options, &env, err);
	for (size_t i = 0; reference->target && listening && i < num_ports; i++) {
		listening = nvc_sim_listen(reference->sim, ports[i].port,
				    nvc_target_service(reference->target)) == NVC_OK;
		if (!listening)
			nvc_fail(
				err, NVC_E_INVALID, "port %u cannot be listened on", ports[i].port);
	}
	if (!reference->target || !listening) {
		reference_free(reference);
		return NULL;
	}
	return reference;
}

void reference_free(struct reference *reference)
{
	if (!reference)
		return;
	nvc_sim_free(reference->sim);
	nvc_target_free(reference->target);
	free(reference);
}

struct nvc_world reference_world(struct reference *reference)
{
	return nvc_sim_world(reference->sim);
}

size_t reference_memory(const struct reference *reference)
{
	return nvc_target_counters(reference->target).memory;
}

bool reference_reached(const struct reference *reference, size_t index)
{
	return nvc_target_defect_reached(reference->target, index);
}
