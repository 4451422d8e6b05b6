/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "host/auth_state.h"
#include "host/host.h"

static struct nvc_host *host_of(const struct nvc_auth *auth)
{
	return nvc_queue_info(auth->queue)->host;
}

static void drop_null_group(struct nvc_auth_offer *offer)
{
	uint8_t kept = 0;

	for (uint8_t i = 0; i < offer->num_dhgroups; i++)
		if (offer->dh_ids[i] != NVC_DH_NULL)
			offer->dh_ids[kept++] = offer->dh_ids[i];
	offer->num_dhgroups = kept;
}

enum nvc_result nvc_auth_init(
	struct nvc_auth *auth, struct nvc_queue *queue, uint8_t sc_c, enum nvc_auth_mode mode)
{
	struct nvc_host *host = nvc_queue_info(queue)->host;

	*auth = (struct nvc_auth){
		.queue = queue,
		.sc_c = sc_c,
		.mode = mode,
		.offer = host->offer,
		.host_key = host->has_host_key ? &host->host_key : NULL,
		.ctrl_key = host->has_ctrl_key ? &host->ctrl_key : NULL,
		.hostnqn = host->hostnqn,
		.subnqn = host->subnqn,
		.al = NVC_AUTH_RECEIVE_LEN,
	};
	if (sc_c != NVC_SC_C_NOSC) {
		drop_null_group(&auth->offer);
		if (mode == NVC_AUTH_UNIDIRECTIONAL)
			auth->mode = NVC_AUTH_CONCAT_UNI;
	}
	auth->state = calloc(1, sizeof(*auth->state));
	if (auth->state == NULL)
		return NVC_E_NO_MEMORY;
	nvc_auth_renew(auth);
	return NVC_OK;
}

void nvc_auth_fini(struct nvc_auth *auth)
{
	struct nvc_auth_state *state = auth->state;

	if (state == NULL)
		return;
	nvc_dh_key_free(state->dh_key);
	nvc_secret_wipe(&state->ks);
	nvc_secret_wipe(&state->sent_c2);
	free(state->received);
	free(state->challenge_bytes);
	free(state);
	auth->state = NULL;
}

void nvc_auth_renew(struct nvc_auth *auth)
{
	struct nvc_auth_state *state = auth->state;

	auth->t_id = nvc_host_new_t_id(host_of(auth));
	auth->s2 = 0;
	if (auth->mode == NVC_AUTH_BIDIRECTIONAL)
		auth->s2 = nvc_host_new_s2(host_of(auth));
	auth->status = 0;
	auth->hash_id = auth->dhgid = 0;
	auth->has_challenge = auth->has_reply = false;
	auth->r2 = NVC_R2_NOT_ASKED;
	nvc_secret_wipe(&state->ks);
	nvc_secret_wipe(&state->sent_c2);
	state->sent_s2 = 0;
	state->sent_cvalid = false;
}

/* ---- sending ---- */

enum nvc_result nvc_auth_submit_raw(
	struct nvc_auth *auth, struct nvc_slice message, uint16_t *tag, struct nvc_error *err)
{
	const struct nvc_cmd_auth fields =
		nvc_cmd_auth_of(NVC_FCTYPE_AUTH_SEND, (uint32_t)message.len);
	const struct nvc_command command = {.layout = &nvc_cmd_auth_send_layout,
		.fields = &fields,
		.out = message,
		.transport_sgl = auth->transport_sgl,
		.bends = auth->send_bends};

	return nvc_queue_submit(auth->queue, &command, tag, err);
}

/* Writes our descriptor at `out` unless the caller wants none, then those of the caller. */
static enum nvc_result encode_descriptors(
	const struct nvc_auth *auth, struct nvc_writer *out, struct nvc_error *err)
{
	struct nvc_dhchap_descriptor descriptor = {.authid = NVC_AUTH_DHCHAP,
		.halen = auth->offer.num_hashes,
		.dhlen = auth->offer.num_dhgroups};
	enum nvc_result result = NVC_OK;

	memcpy(descriptor.hash_ids, auth->offer.hash_ids, sizeof(descriptor.hash_ids));
	memcpy(descriptor.dh_ids, auth->offer.dh_ids, sizeof(descriptor.dh_ids));
	/* Unused ids are 0 whatever the list was cut from. */
	for (size_t i = descriptor.halen; i < NVC_MAX_LIST; i++)
		descriptor.hash_ids[i] = 0;
	for (size_t i = descriptor.dhlen; i < NVC_MAX_LIST; i++)
		descriptor.dh_ids[i] = 0;
	if (!auth->no_descriptor)
		result = nvc_encode(
			&nvc_dhchap_descriptor_layout, &descriptor, auth->descriptor_bends, out);
	nvc_write_bytes(out, auth->extra_descriptors);
	if (result == NVC_OK && out->failed)
		result = NVC_E_NO_SPACE;
	if (result != NVC_OK)
		nvc_fail(
			err, result, "the descriptor of AUTH_Negotiate cannot be encoded as asked");
	return result;
}

enum nvc_result nvc_auth_encode_negotiate(
	struct nvc_auth *auth, struct nvc_writer *out, struct nvc_error *err)
{
	uint8_t room[256 * NVC_DESCRIPTOR_LEN]; /* more than NAPD can count */
	struct nvc_writer writer = nvc_writer_over(room, sizeof(room));
	struct nvc_negotiate negotiate = {.t_id = auth->t_id, .sc_c = auth->sc_c};
	enum nvc_result result = encode_descriptors(auth, &writer, err);

	if (result != NVC_OK)
		return result;
	negotiate.descriptors = nvc_writer_slice(&writer);
	negotiate.napd = auth->napd != 0
				 ? auth->napd
				 : (uint8_t)(negotiate.descriptors.len / NVC_DESCRIPTOR_LEN);
	result = nvc_encode(&nvc_negotiate_layout, &negotiate, auth->negotiate_bends, out);
	if (result != NVC_OK)
		nvc_fail(err, result, "AUTH_Negotiate cannot be encoded as asked");
	return result;
}

enum nvc_result nvc_auth_submit_negotiate(
	struct nvc_auth *auth, uint16_t *tag, struct nvc_error *err)
{
	uint8_t message[8 + 256 * NVC_DESCRIPTOR_LEN + 1024];
	struct nvc_writer writer = nvc_writer_over(message, sizeof(message));
	enum nvc_result result = nvc_auth_encode_negotiate(auth, &writer, err);

	if (result != NVC_OK)
		return result;
	return nvc_auth_submit_raw(auth, nvc_writer_slice(&writer), tag, err);
}

enum nvc_result nvc_auth_submit_reply(struct nvc_auth *auth, uint16_t *tag, struct nvc_error *err)
{
	uint8_t message[NVC_PDU_MAX_IN_CAPSULE];
	struct nvc_writer writer = nvc_writer_over(message, sizeof(message));
	enum nvc_result result = nvc_auth_encode_reply(auth, &writer, err);

	if (result != NVC_OK)
		return result;
	return nvc_auth_submit_raw(auth, nvc_writer_slice(&writer), tag, err);
}

/* Encodes a short message with its bends and sends it. */
static enum nvc_result submit_message(struct nvc_auth *auth, const struct nvc_layout *layout,
	const void *fields, const struct nvc_bends *bends, uint16_t *tag, struct nvc_error *err)
{
	uint8_t message[1024];
	struct nvc_writer writer = nvc_writer_over(message, sizeof(message));
	enum nvc_result result = nvc_encode(layout, fields, bends, &writer);

	if (result != NVC_OK)
		return nvc_fail(err, result, "%s cannot be encoded as asked", layout->name);
	return nvc_auth_submit_raw(auth, nvc_writer_slice(&writer), tag, err);
}

enum nvc_result nvc_auth_submit_success2(
	struct nvc_auth *auth, uint16_t *tag, struct nvc_error *err)
{
	const struct nvc_success2 success2 = {.t_id = auth->t_id};

	return submit_message(
		auth, &nvc_success2_layout, &success2, auth->success2_bends, tag, err);
}

enum nvc_result nvc_auth_submit_failure2(
	struct nvc_auth *auth, uint8_t rcodeex, uint16_t *tag, struct nvc_error *err)
{
	const struct nvc_failure failure = {
		.t_id = auth->t_id, .rcode = NVC_RCODE_FAILURE, .rcodeex = rcodeex};

	return submit_message(auth, &nvc_failure2_layout, &failure, auth->failure2_bends, tag, err);
}

static enum nvc_result finish_send(
	struct nvc_auth *auth, enum nvc_result submitted, uint16_t tag, struct nvc_error *err)
{
	struct nvc_completion done;
	enum nvc_result result = submitted;

	auth->status = 0;
	if (result == NVC_OK)
		result = nvc_queue_wait(auth->queue, tag, auth->timeout, &done, err);
	if (result == NVC_OK)
		auth->status = done.status;
	return result;
}

enum nvc_result nvc_auth_send_negotiate(struct nvc_auth *auth, struct nvc_error *err)
{
	uint16_t tag = 0;
	const enum nvc_result submitted = nvc_auth_submit_negotiate(auth, &tag, err);

	return finish_send(auth, submitted, tag, err);
}

enum nvc_result nvc_auth_send_reply(struct nvc_auth *auth, struct nvc_error *err)
{
	uint16_t tag = 0;
	const enum nvc_result submitted = nvc_auth_submit_reply(auth, &tag, err);

	return finish_send(auth, submitted, tag, err);
}

enum nvc_result nvc_auth_send_success2(struct nvc_auth *auth, struct nvc_error *err)
{
	uint16_t tag = 0;
	const enum nvc_result submitted = nvc_auth_submit_success2(auth, &tag, err);

	return finish_send(auth, submitted, tag, err);
}

enum nvc_result nvc_auth_send_failure2(
	struct nvc_auth *auth, uint8_t rcodeex, struct nvc_error *err)
{
	uint16_t tag = 0;
	const enum nvc_result submitted = nvc_auth_submit_failure2(auth, rcodeex, &tag, err);

	return finish_send(auth, submitted, tag, err);
}

enum nvc_result nvc_auth_send_raw(
	struct nvc_auth *auth, struct nvc_slice message, struct nvc_error *err)
{
	uint16_t tag = 0;
	const enum nvc_result submitted = nvc_auth_submit_raw(auth, message, &tag, err);

	return finish_send(auth, submitted, tag, err);
}
