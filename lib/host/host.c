/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/host.h"

enum { DEFAULT_KATO_MS = 120000, DEFAULT_TIMEOUT_S = 10, DEFAULT_BLOCK_LEN = 512 };

void nvc_host_init(struct nvc_host *host, const struct nvc_world *world)
{
	*host = (struct nvc_host){
		.world = world,
		.offer = {.num_hashes = 3,
			.num_dhgroups = NVC_NUM_DHGROUPS,
			.hash_ids = {NVC_HASH_SHA256, NVC_HASH_SHA384, NVC_HASH_SHA512},
			.dh_ids = {NVC_DH_NULL, NVC_DH_2048, NVC_DH_3072, NVC_DH_4096, NVC_DH_6144,
				NVC_DH_8192}},
		.psdt = NVC_PSDT_SGL_01B,
		.kato = DEFAULT_KATO_MS,
		.timeout = NVC_SEC(DEFAULT_TIMEOUT_S),
		.block_len = DEFAULT_BLOCK_LEN,
	};
	nvc_env_random(&world->env, &host->next_t_id, sizeof(host->next_t_id));
	nvc_env_random(&world->env, &host->next_s2, sizeof(host->next_s2));
	if (host->next_s2 == 0)
		host->next_s2 = 1;
	nvc_env_random(&world->env, host->hostid, sizeof(host->hostid));
	host->hostid[0] |= 1; /* all zero is no HOSTID (Base 2.2, 6.3) */
}

void nvc_host_close_all(struct nvc_host *host)
{
	while (host->queues != NULL)
		nvc_queue_free(host->queues);
}

void nvc_host_fini(struct nvc_host *host)
{
	nvc_host_close_all(host);
	nvc_secret_wipe(&host->host_key.secret);
	nvc_secret_wipe(&host->ctrl_key.secret);
	nvc_secret_wipe(&host->psk.psk);
	nvc_secret_wipe(&host->previous_psk.psk);
	host->has_host_key = host->has_ctrl_key = false;
	host->has_psk = host->has_previous_psk = false;
}

uint16_t nvc_host_new_t_id(struct nvc_host *host)
{
	return host->next_t_id++;
}

uint32_t nvc_host_new_s2(struct nvc_host *host)
{
	const uint32_t s2 = host->next_s2;

	host->next_s2 = s2 == UINT32_MAX ? 1 : s2 + 1;
	return s2;
}

void nvc_host_keep_psk(struct nvc_host *host, const struct nvc_tls_psk *psk)
{
	nvc_secret_wipe(&host->previous_psk.psk);
	host->previous_psk = host->psk;
	host->has_previous_psk = host->has_psk;
	host->psk = *psk;
	host->has_psk = true;
}

enum nvc_result nvc_host_new_tls_psk(struct nvc_host *host, enum nvc_auth_mode mode,
	const struct nvc_auth_offer *offer, struct nvc_auth_outcome *outcome, struct nvc_error *err)
{
	struct nvc_queue *queue;
	char text[256];
	enum nvc_result result;

	*outcome = (struct nvc_auth_outcome){0};
	result = nvc_queue_establish(host, NULL, &queue, err);
	if (result != NVC_OK)
		goto out;
	nvc_auth_authenticate(queue, NVC_SC_C_NEWTLSPSK, mode, offer, outcome);
	if (outcome->kind != NVC_OUTCOME_SUCCESS || !outcome->has_psk)
		result = nvc_fail(err, NVC_E_REFUSED, "NEWTLSPSK gave no PSK: %s",
			nvc_auth_outcome_text(outcome, text, sizeof(text)));
out:
	nvc_queue_free(queue);
	return result;
}

enum nvc_result nvc_host_admin_over_tls(struct nvc_host *host, const struct nvc_tls_psk *psk,
	struct nvc_queue **queue, struct nvc_error *err)
{
	const struct nvc_queue_options options = {.tls = psk != NULL ? psk : &host->psk};

	*queue = NULL;
	if (psk == NULL && !host->has_psk)
		return nvc_fail(err, NVC_E_STATE, "there is no generated PSK for TLS");
	return nvc_queue_establish(host, &options, queue, err);
}

enum nvc_result nvc_host_concat(struct nvc_host *host, enum nvc_auth_mode mode,
	const struct nvc_auth_offer *offer, struct nvc_queue **queue,
	struct nvc_auth_outcome *outcome, struct nvc_error *err)
{
	enum nvc_result result = nvc_host_new_tls_psk(host, mode, offer, outcome, err);

	*queue = NULL;
	return result == NVC_OK ? nvc_host_admin_over_tls(host, NULL, queue, err) : result;
}

/* Authenticates when the response to Connect asked for it. */
static enum nvc_result authenticate_if_asked(struct nvc_queue *queue, enum nvc_auth_mode mode,
	struct nvc_auth_outcome *outcome, struct nvc_error *err)
{
	struct nvc_auth_outcome own = {0};
	char text[256];

	if (outcome == NULL)
		outcome = &own;
	*outcome = (struct nvc_auth_outcome){0};
	if (!nvc_queue_info(queue)->atr)
		return NVC_OK;
	if (nvc_auth_authenticate(queue, NVC_SC_C_NOSC, mode, NULL, outcome) == NVC_OUTCOME_SUCCESS)
		return NVC_OK;
	return nvc_fail(err, NVC_E_REFUSED, "%s: authentication did not succeed: %s",
		nvc_queue_info(queue)->label, nvc_auth_outcome_text(outcome, text, sizeof(text)));
}

enum nvc_result nvc_host_admin(struct nvc_host *host, const struct nvc_tls_psk *psk,
	enum nvc_auth_mode mode, struct nvc_queue **queue, struct nvc_auth_outcome *outcome,
	struct nvc_error *err)
{
	const struct nvc_queue_options options = {.tls = psk};
	enum nvc_result result;

	if (outcome != NULL)
		*outcome = (struct nvc_auth_outcome){0};
	result = nvc_queue_establish(host, &options, queue, err);
	return result == NVC_OK ? authenticate_if_asked(*queue, mode, outcome, err) : result;
}

enum nvc_result nvc_host_io(struct nvc_host *host, const struct nvc_queue *admin, uint16_t qid,
	const struct nvc_tls_psk *psk, struct nvc_queue **queue, struct nvc_error *err)
{
	const struct nvc_queue_options options = {.tls = psk, .qid = qid, .admin = admin};
	enum nvc_result result = nvc_queue_establish(host, &options, queue, err);

	if (result != NVC_OK)
		return result;
	return authenticate_if_asked(*queue, NVC_AUTH_UNIDIRECTIONAL, NULL, err);
}
