/* SPDX-License-Identifier: BSD-3-Clause */
/* A simulated world with the reference target in it and a host emulator that talks to it. */
#ifndef TARGET_TOWN_H
#define TARGET_TOWN_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "host/host.h"
#include "stream/sim.h"
#include "target/target.h"

#define HOST_NQN  "nqn.2014-08.org.example:host"
#define OPEN_NQN  "nqn.2014-08.org.example:open"
#define PSK_NQN	  "nqn.2014-08.org.example:psk"
#define OTHER_NQN "nqn.2014-08.org.example:other"
#define SUB_NQN	  "nqn.2014-08.org.example:subsystem"

struct town {
	struct nvc_sim *sim;
	struct nvc_world world;
	struct nvc_env env;
	struct nvc_target *target;
	struct nvc_host host;
	struct nvc_auth auths[8]; /* of stories that may end early */
	size_t num_auths;
};

static inline struct nvc_dhchap_key town_key(uint8_t fill)
{
	struct nvc_dhchap_key key = {.hash_id = NVC_HASH_SHA256, .secret.len = 32};

	memset(key.secret.data, fill, key.secret.len);
	return key;
}

static inline struct nvc_tls_key town_psk(void)
{
	struct nvc_tls_key key = {.hash_id = NVC_HASH_SHA256, .psk.len = 32};

	memset(key.psk.data, 0x66, key.psk.len);
	return key;
}

/* HOST_NQN must authenticate and may concatenate; OTHER_NQN likewise; OPEN_NQN need not do anything. */
static inline void town_init(struct town *town, const char *defect)
{
	const struct nvc_target_subsystem subsystems[] = {{.nqn = SUB_NQN, .num_blocks = 64},
		{.nqn = NVC_DISCOVERY_NQN, .discovery = true, .allow_any_host = true}};
	const struct nvc_target_psk psk = {.key = town_psk()};
	const struct nvc_target_port ports[] = {
		{.port = 4420, .tls = NVC_TLS_PERMITTED}, {.port = 4421, .tls = NVC_TLS_REQUIRED}};
	const struct nvc_target_host hosts[] = {{.hostnqn = HOST_NQN,
							.host_key = town_key(0x11),
							.controller_key = town_key(0x22),
							.auth = NVC_POLICY_REQUIRED,
							.concat = NVC_POLICY_PERMITTED},
		{.hostnqn = OTHER_NQN,
			.host_key = town_key(0x33),
			.auth = NVC_POLICY_REQUIRED,
			.concat = NVC_POLICY_REQUIRED},
		{.hostnqn = OPEN_NQN,
			.host_key = town_key(0x44),
			.auth = NVC_POLICY_PERMITTED,
			.concat = NVC_POLICY_DISABLED},
		{.hostnqn = PSK_NQN,
			.host_key = town_key(0x55),
			.auth = NVC_POLICY_PERMITTED,
			.concat = NVC_POLICY_PERMITTED,
			.psks = &psk,
			.num_psks = 1}};
	const struct nvc_target_config config = {.subsystems = subsystems,
		.num_subsystems = 2,
		.hosts = hosts,
		.num_hosts = 4,
		.ports = ports,
		.num_ports = 2};
	struct nvc_error err = {0};

	memset(town, 0, sizeof(*town));
	town->sim = nvc_sim_new(7);
	town->env = nvc_sim_env(town->sim, "target");
	town->target = nvc_target_new(&config, &town->env, &err);
	ck_assert_msg(town->target != NULL, "%s", err.text);
	if (defect)
		ck_assert_msg(nvc_target_set_defect(town->target, defect, &err) == NVC_OK, "%s",
			err.text);
	ck_assert_int_eq(nvc_sim_listen(town->sim, 4420, nvc_target_service(town->target)), NVC_OK);
	ck_assert_int_eq(nvc_sim_listen(town->sim, 4421, nvc_target_service(town->target)), NVC_OK);
	town->world = nvc_sim_world(town->sim);
	nvc_host_init(&town->host, &town->world);
	town->host.addresses[NVC_PORT_MAIN] = (struct nvc_address){"sim", "4420"};
	town->host.addresses[NVC_PORT_TLS_ONLY] = (struct nvc_address){"sim", "4421"};
	town->host.hostnqn = HOST_NQN;
	town->host.subnqn = SUB_NQN;
	town->host.host_key = town_key(0x11);
	town->host.ctrl_key = town_key(0x22);
	town->host.has_host_key = town->host.has_ctrl_key = true;
	town->host.offer = NVC_OFFER(NVC_HASH_SHA256, NVC_DH_2048);
}

/* A transaction on `queue` that town_fini ends. */
static inline struct nvc_auth *town_auth(
	struct town *town, struct nvc_queue *queue, uint8_t sc_c, enum nvc_auth_mode mode)
{
	struct nvc_auth *auth = &town->auths[town->num_auths++];

	ck_assert_uint_le(town->num_auths, sizeof(town->auths) / sizeof(town->auths[0]));
	ck_assert_int_eq(nvc_auth_init(auth, queue, sc_c, mode), NVC_OK);
	return auth;
}

static inline void town_fini(struct town *town)
{
	while (town->num_auths)
		nvc_auth_fini(&town->auths[--town->num_auths]);
	nvc_host_fini(&town->host);
	nvc_sim_free(town->sim);
	nvc_target_free(town->target);
}

#endif
