/* SPDX-License-Identifier: BSD-3-Clause */
/* Stories of failure, time and re-authentication, of concatenation and TLS; for test_target_with_host.c. */
#ifndef TARGET_STORIES_CHANNEL_H
#define TARGET_STORIES_CHANNEL_H

#include "target_stories_auth.h"

/* ---- failure, time, re-authentication ---- */

static const char *failure_ends_the_association(struct town *town)
{
	struct nvc_queue *admin = authenticated(town), *io = NULL;
	struct nvc_auth *auth;
	struct nvc_auth_outcome outcome;
	struct nvc_completion done;
	uint16_t event;

	MUST(admin && nvc_host_io(&town->host, admin, 1, NULL, &io, NULL) == NVC_OK);
	DONE(nvc_submit_async_event(admin, &event, NULL));
	auth = town_auth(town, admin, 0, NVC_AUTH_UNIDIRECTIONAL);
	auth->r1 = NVC_R1_FLIPPED;
	nvc_auth_run(auth, &outcome);
	MUST(outcome.kind == NVC_OUTCOME_FAILURE1 && outcome.rcodeex == 1);
	(void)nvc_queue_wait(admin, event, NVC_SEC(1), &done, NULL);
	MUST(done.answered && done.status == NVC_SC_OPERATION_DENIED);
	MUST(ends(admin) && ends(io));
	MUST(nvc_target_counters(town->target).controllers == 0);
	return NULL;
}

static const char *reauthentication(struct town *town)
{
	const struct nvc_auth_offer null = NVC_OFFER(NVC_HASH_SHA256, NVC_DH_NULL);
	struct nvc_queue *admin = authenticated(town);
	struct nvc_auth *auth;
	struct nvc_auth_received got;
	struct nvc_completion done;
	size_t before;

	MUST(admin);
	MUST(authenticate(admin, 0, NVC_AUTH_BIDIRECTIONAL, &null) == 0);
	before = nvc_target_counters(town->target).memory;
	for (int i = 0; i < 20; i++)
		MUST(authenticate(admin, 0, NVC_AUTH_UNIDIRECTIONAL, &null) == 0);
	MUST(nvc_target_counters(town->target).memory == before);
	/* Stalled: commands are served meanwhile, the transaction is dropped at KATO, nothing else is. */
	auth = town_auth(town, admin, 0, NVC_AUTH_UNIDIRECTIONAL);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	MUST(identify_status(admin) == 0);
	DONE(nvc_auth_receive(auth, &got, NULL));
	MUST(identify_status(admin) == 0);
	for (int i = 0; i < 4; i++) {
		town->world.wait_until(
			town->world.self, nvc_env_now(&town->world.env) + NVC_SEC(40));
		DONE(nvc_do_keep_alive(admin, &done, NULL));
		MUST(done.status == 0);
	}
	DONE(nvc_auth_send_reply(auth, NULL));
	MUST(auth->status == NVC_SC_COMMAND_SEQUENCE);
	MUST(identify_status(admin) == 0);
	return NULL;
}

static const char *large_kato(struct town *town)
{
	struct nvc_queue *queue;

	town->host.kato = UINT32_MAX;
	queue = fresh_queue(town);
	town->world.wait_until(town->world.self, nvc_env_now(&town->world.env) + NVC_SEC(1));
	MUST(authenticate(queue, 0, NVC_AUTH_UNIDIRECTIONAL, NULL) == 0);
	return NULL;
}

static const char *silence_ends(struct town *town)
{
	struct nvc_queue *queue;
	uint64_t start = nvc_env_now(&town->world.env);
	enum nvc_end end;

	town->host.kato = 5000;
	queue = fresh_queue(town);
	DONE(nvc_queue_await_end(queue, NVC_SEC(60), &end, NULL));
	MUST(end != NVC_END_OPEN);
	MUST(nvc_env_now(&town->world.env) - start < NVC_SEC(11));
	return NULL;
}

/* Each transaction has its own SC_C: what an abandoned NEWTLSPSK asked for is gone. */
static const char *sc_c_is_not_sticky(struct town *town)
{
	const struct nvc_auth_offer null = NVC_OFFER(NVC_HASH_SHA256, NVC_DH_NULL);
	struct nvc_queue *queue = fresh_queue(town);

	MUST(authenticate(queue, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI, NULL) == 0);
	MUST(authenticate(queue, 0, NVC_AUTH_UNIDIRECTIONAL, &null) == 0);
	return NULL;
}

/* ---- concatenation and TLS ---- */

static const char *replace_again_and_again(struct town *town)
{
	for (int mode = NVC_AUTH_BIDIRECTIONAL; mode <= NVC_AUTH_CONCAT_UNI; mode++) {
		struct nvc_queue *admin = over_tls(town, (enum nvc_auth_mode)mode), *other;
		struct nvc_tls_psk old;

		MUST(admin && nvc_do_enable(admin, NULL) == NVC_OK);
		for (int i = 0; i < 3; i++) {
			old = town->host.psk;
			MUST(authenticate(admin, NVC_SC_C_REPLACETLSPSK, (enum nvc_auth_mode)mode,
				     NULL) == 0);
			MUST(identify_status(admin) == 0);
			DONE(nvc_host_admin_over_tls(&town->host, NULL, &other, NULL));
			MUST(nvc_host_admin_over_tls(&town->host, &old, &other, NULL) != NVC_OK);
		}
		nvc_host_close_all(&town->host);
	}
	return NULL;
}

static const char *channel_is_known(struct town *town)
{
	struct nvc_queue *admin = over_tls(town, NVC_AUTH_CONCAT_UNI), *io = NULL;
	struct nvc_auth *auth;

	MUST(admin && nvc_do_enable(admin, NULL) == NVC_OK);
	MUST(!nvc_queue_info(admin)->atr && !nvc_queue_info(admin)->ascr);
	auth = town_auth(town, admin, 0, NVC_AUTH_UNIDIRECTIONAL);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	MUST(identify_status(admin) == 0);
	DONE(nvc_auth_receive(auth, NULL, NULL));
	DONE(nvc_auth_send_reply(auth, NULL));
	DONE(nvc_auth_receive(auth, NULL, NULL));
	MUST(nvc_host_io(&town->host, admin, 1, NULL, &io, NULL) == NVC_E_REFUSED);
	MUST(nvc_cqe_status(nvc_queue_info(io)->connect.status_field) == NVC_SC_CONNECT_PARAMETERS);
	DONE(nvc_host_io(&town->host, admin, 2, &town->host.psk, &io, NULL));
	MUST(authenticate(admin, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI, NULL) == 3);
	MUST(ends(admin));
	return NULL;
}

static const char *identities_are_exact(struct town *town)
{
	struct nvc_queue *admin = over_tls(town, NVC_AUTH_CONCAT_UNI), *other;
	const struct nvc_queue_options foreign = {.tls = &town->host.psk, .hostnqn = OTHER_NQN};
	struct nvc_tls_psk cut = town->host.psk;

	MUST(admin);
	cut.identity[strlen(cut.identity) - 1] = '\0';
	MUST(nvc_host_admin_over_tls(&town->host, &cut, &other, NULL) != NVC_OK);
	MUST(nvc_queue_establish(&town->host, &foreign, &other, NULL) == NVC_E_REFUSED);
	MUST(nvc_cqe_status(nvc_queue_info(other)->connect.status_field) == NVC_SC_CONNECT_HOST);
	return NULL;
}

/* No TLS before the success has been read, none with SHA-512. */
static const char *psk_in_its_time(struct town *town)
{
	const struct nvc_auth_offer sha512 = NVC_OFFER(NVC_HASH_SHA512, NVC_DH_2048);
	struct nvc_queue *queue = fresh_queue(town), *other;
	struct nvc_auth *auth;
	struct nvc_tls_psk psk;

	auth = town_auth(town, queue, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	DONE(nvc_auth_receive(auth, NULL, NULL));
	DONE(nvc_auth_send_reply(auth, NULL));
	DONE(nvc_auth_tls_psk(auth, NVC_KDF_RFC8446, &psk, NULL));
	MUST(nvc_host_admin_over_tls(&town->host, &psk, &other, NULL) != NVC_OK);
	DONE(nvc_auth_receive(auth, NULL, NULL));
	DONE(nvc_host_admin_over_tls(&town->host, &psk, &other, NULL));
	queue = fresh_queue(town);
	MUST(authenticate(queue, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI, &sha512) == 4);
	return NULL;
}

static const char *policies(struct town *town)
{
	struct nvc_queue *queue;

	town->host.hostnqn = OTHER_NQN;
	town->host.host_key = town_key(0x33);
	queue = fresh_queue(town);
	MUST(queue && nvc_queue_info(queue)->ascr && !nvc_queue_info(queue)->atr);
	MUST(authenticate(queue, 0, NVC_AUTH_UNIDIRECTIONAL, NULL) == 3);
	town->host.hostnqn = OPEN_NQN;
	town->host.host_key = town_key(0x44);
	queue = fresh_queue(town);
	MUST(queue && !nvc_queue_info(queue)->ascr && !nvc_queue_info(queue)->atr);
	MUST(property_status(queue) == 0);
	MUST(authenticate(queue, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI, NULL) == 3);
	return NULL;
}

static const char *discovery_log(struct town *town)
{
	struct nvc_completion done;
	struct nvc_queue *queue;

	town->host.hostnqn = OPEN_NQN;
	town->host.subnqn = NVC_DISCOVERY_NQN;
	queue = fresh_queue(town);
	DONE(nvc_do_enable(queue, NULL));
	DONE(nvc_do_get_log_page(queue, NVC_LOG_DISCOVERY, 0, 5120, &done, NULL));
	MUST(done.status == 0 && done.data.len == 5120 && done.data.data[8] == 4);
	/* Four records: two subsystems on two ports; TREQ and SECTYPE of the clear and of the TLS port. */
	MUST((done.data.data[1024 + 3] & 3) == 2 && done.data.data[1024 + 768] == 0);
	MUST((done.data.data[3072 + 3] & 3) == 1 && done.data.data[3072 + 768] == 2);
	DONE(nvc_do_get_log_page(queue, NVC_LOG_DISCOVERY, 1u << 20, 4, &done, NULL));
	MUST(done.status != 0);
	return NULL;
}

#endif
