/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/auth_state.h"
#include "host/host.h"

enum { SUCCESS1_HEAD_LEN = 16 }; /* what a target sends that leaves out an R2 which is not valid */

enum nvc_result nvc_auth_submit_receive(struct nvc_auth *auth, uint16_t *tag, struct nvc_error *err)
{
	const struct nvc_cmd_auth fields = nvc_cmd_auth_of(NVC_FCTYPE_AUTH_RECEIVE, auth->al);
	const struct nvc_command command = {.layout = &nvc_cmd_auth_receive_layout,
		.fields = &fields,
		.in_len = auth->al,
		.bends = auth->receive_bends};

	return nvc_queue_submit(auth->queue, &command, tag, err);
}

__attribute__((format(printf, 3, 4))) static void object(
	struct nvc_auth_received *received, uint8_t rcodeex, const char *format, ...)
{
	va_list args;

	if (received->rcodeex != 0)
		return;
	received->rcodeex = rcodeex;
	va_start(args, format);
	vsnprintf(received->complaint, sizeof(received->complaint), format, args);
	va_end(args);
}

static bool is_listed(const uint8_t *ids, uint8_t num, uint8_t id)
{
	return memchr(ids, id, num < NVC_MAX_LIST ? num : NVC_MAX_LIST) != NULL;
}

static void judge_challenge(const struct nvc_auth *auth, struct nvc_auth_received *received)
{
	const struct nvc_challenge *challenge = &received->challenge;
	const uint8_t group = challenge->dhgid;
	enum nvc_dh_check check;

	if (nvc_hash_len(challenge->hash_id) == 0 ||
		!is_listed(auth->offer.hash_ids, auth->offer.num_hashes, challenge->hash_id))
		object(received, NVC_RCODEEX_HASH, "Challenge: HashID %02xh was not offered",
			challenge->hash_id);
	if (!nvc_dhgroup_known(group) ||
		!is_listed(auth->offer.dh_ids, auth->offer.num_dhgroups, group))
		object(received, NVC_RCODEEX_DHGROUP, "Challenge: DHgID %02xh was not offered",
			group);
	if (challenge->hl != nvc_hash_len(challenge->hash_id))
		object(received, NVC_RCODEEX_PAYLOAD, "Challenge: HL %u with HashID %02xh",
			challenge->hl, challenge->hash_id);
	if (challenge->seqnum == 0)
		object(received, NVC_RCODEEX_PAYLOAD, "Challenge: SEQNUM 0");
	if (group == NVC_DH_NULL && auth->sc_c != NVC_SC_C_NOSC)
		object(received, NVC_RCODEEX_PAYLOAD, "Challenge: NULL group with SC_C %02xh",
			auth->sc_c);
	if (challenge->dhvlen != nvc_dhgroup_len(group))
		object(received, NVC_RCODEEX_PAYLOAD, "Challenge: DHVLEN %u with DHgID %02xh",
			challenge->dhvlen, group);
	if (group == NVC_DH_NULL)
		return;
	check = nvc_dh_check_public(group, challenge->dhval);
	if (check != NVC_DH_CHECK_OK)
		object(received, NVC_RCODEEX_PAYLOAD, "Challenge: DH value is %s",
			nvc_dh_check_name(check));
}

static void judge_success1(struct nvc_auth *auth, struct nvc_auth_received *received)
{
	const struct nvc_success1 *success1 = &received->success1;

	if (auth->has_challenge && success1->hl != auth->state->challenge.hl)
		object(received, NVC_RCODEEX_PAYLOAD, "Success1: HL %u, the Challenge had %u",
			success1->hl, auth->state->challenge.hl);
	received->r2 = nvc_auth_verify_r2(auth, success1);
	auth->r2 = received->r2;
	if (received->r2 == NVC_R2_WRONG)
		object(received, NVC_RCODEEX_FAILED,
			"Success1: RVALID=1 but R2 does not verify (Base 2.2, 8.3.4.5.5)");
	if (received->r2 == NVC_R2_MISSING)
		object(received, NVC_RCODEEX_FAILED, "Success1: RVALID=0 though S2 was sent");
	if (received->r2 == NVC_R2_UNVERIFIABLE)
		object(received, NVC_RCODEEX_FAILED,
			"Success1: R2 came but we have nothing to verify it with");
}

void nvc_auth_judge(struct nvc_auth *auth, struct nvc_auth_received *received)
{
	received->t_id_foreign = received->t_id != auth->t_id;
	if (received->t_id_foreign && received->message != NVC_MSG_FAILURE1)
		object(received, NVC_RCODEEX_MESSAGE, "T_ID %04xh, ours is %04xh", received->t_id,
			auth->t_id);
	if (received->message == NVC_MSG_CHALLENGE)
		judge_challenge(auth, received);
	if (received->message == NVC_MSG_SUCCESS1)
		judge_success1(auth, received);
}

/* Copies the message behind the public struct and into a zeroed buffer of AL bytes. */
static bool keep_bytes(struct nvc_auth *auth, struct nvc_slice data, size_t *size)
{
	struct nvc_auth_state *state = auth->state;

	*size = auth->al > data.len ? auth->al : data.len;
	if (*size < SUCCESS1_HEAD_LEN + NVC_MAX_HASH_LEN)
		*size = SUCCESS1_HEAD_LEN + NVC_MAX_HASH_LEN;
	if (state->received_cap < *size) {
		uint8_t *larger = realloc(state->received, *size);

		if (larger == NULL)
			return false;
		state->received = larger;
		state->received_cap = *size;
	}
	memset(state->received, 0, *size);
	if (data.len > 0)
		memcpy(state->received, data.data, data.len);
	return true;
}

/* Success1 without its R2 area when there is no R2: SPDK sends 16 bytes. */
static bool is_short_success1(const struct nvc_auth_received *received)
{
	return received->message == NVC_MSG_SUCCESS1 && received->success1.rvalid == 0 &&
	       received->raw.len == SUCCESS1_HEAD_LEN;
}

/* Decodes received->raw; `size` bytes are readable behind it, zeros beyond what came. */
static void decode(struct nvc_auth *auth, struct nvc_auth_received *received, size_t size)
{
	const struct nvc_layout *layout;
	struct nvc_error why = {0};

	received->kind = NVC_RECEIVED_MALFORMED;
	if (!nvc_auth_peek(received->raw, &received->message, &received->t_id)) {
		object(received, NVC_RCODEEX_PAYLOAD, "%zu bytes came instead of a message",
			received->raw.len);
		return;
	}
	layout = nvc_auth_layout(received->message);
	if (layout == NULL) {
		object(received, NVC_RCODEEX_MESSAGE,
			"AUTH_TYPE %02xh, AUTH_ID %02xh is no message", received->message >> 8,
			received->message & 0xff);
		return;
	}
	if (received->message != NVC_MSG_CHALLENGE && received->message != NVC_MSG_SUCCESS1 &&
		received->message != NVC_MSG_FAILURE1) {
		received->message_len = layout->fixed_len;
		object(received, NVC_RCODEEX_MESSAGE, "%s, which only a host sends", layout->name);
		return;
	}
	/* The union's members begin at the same place. */
	if (nvc_decode(layout, nvc_slice_of(received->raw.data, size), &received->challenge,
		    &received->message_len, &why) != NVC_OK) {
		object(received, NVC_RCODEEX_PAYLOAD, "%s", why.text);
		return;
	}
	if (received->message_len > received->raw.len && !is_short_success1(received)) {
		object(received, NVC_RCODEEX_PAYLOAD, "%s of %zu bytes by its lengths, %zu came",
			layout->name, received->message_len, received->raw.len);
		return;
	}
	received->kind = NVC_RECEIVED_MESSAGE;
	if (received->message_len < received->raw.len)
		received->trailing = !nvc_slice_is_zero(
			nvc_slice_sub(received->raw, received->message_len, SIZE_MAX));
	nvc_auth_judge(auth, received);
}

enum nvc_result nvc_auth_take_challenge(
	struct nvc_auth *auth, struct nvc_slice raw, struct nvc_error *err)
{
	struct nvc_auth_state *state = auth->state;
	uint8_t *bytes = malloc(raw.len > 0 ? raw.len : 1);
	struct nvc_challenge challenge;

	if (bytes == NULL)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a Challenge");
	if (raw.len > 0)
		memcpy(bytes, raw.data, raw.len);
	if (nvc_decode(&nvc_challenge_layout, nvc_slice_of(bytes, raw.len), &challenge, NULL,
		    err) != NVC_OK) {
		free(bytes);
		return NVC_E_MALFORMED;
	}
	free(state->challenge_bytes);
	state->challenge_bytes = bytes;
	state->challenge = challenge;
	auth->hash_id = challenge.hash_id;
	auth->dhgid = challenge.dhgid;
	auth->has_challenge = true;
	return NVC_OK;
}

enum nvc_result nvc_auth_finish_receive(struct nvc_auth *auth, uint16_t tag,
	struct nvc_auth_received *received, struct nvc_error *err)
{
	struct nvc_completion done;
	struct nvc_auth_received own;
	size_t size;
	enum nvc_result result = nvc_queue_wait(auth->queue, tag, auth->timeout, &done, err);

	if (received == NULL)
		received = &own;
	*received = (struct nvc_auth_received){.status = done.status};
	auth->status = done.status;
	/* Without its capsule a message counts all the same, when all of it came (Linux loses capsules). */
	if (result != NVC_OK && done.data.len == 0)
		return result;
	if (done.answered && done.status != NVC_SC_SUCCESS) {
		received->kind = NVC_RECEIVED_STATUS;
		return NVC_OK;
	}
	if (!keep_bytes(auth, done.data, &size))
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a message");
	received->raw = nvc_slice_of(auth->state->received, done.data.len);
	received->capsule_lost = !done.answered;
	if (done.data_digest_wrong) {
		received->kind = NVC_RECEIVED_MALFORMED;
		object(received, NVC_RCODEEX_PAYLOAD, "the data digest of the message is wrong");
		return NVC_OK;
	}
	decode(auth, received, size);
	if (received->capsule_lost && received->kind != NVC_RECEIVED_MESSAGE) {
		received->kind = NVC_RECEIVED_NOTHING;
		return result;
	}
	if (received->kind == NVC_RECEIVED_MESSAGE && received->message == NVC_MSG_CHALLENGE)
		return nvc_auth_take_challenge(
			auth, nvc_slice_sub(received->raw, 0, received->message_len), err);
	return NVC_OK;
}

enum nvc_result nvc_auth_receive(
	struct nvc_auth *auth, struct nvc_auth_received *received, struct nvc_error *err)
{
	uint16_t tag;
	enum nvc_result result;

	if (received != NULL)
		*received = (struct nvc_auth_received){0};
	auth->status = 0;
	result = nvc_auth_submit_receive(auth, &tag, err);
	return result == NVC_OK ? nvc_auth_finish_receive(auth, tag, received, err) : result;
}

char *nvc_auth_received_text(const struct nvc_auth_received *received, char *out, size_t size)
{
	char line[256];

	switch (received->kind) {
	case NVC_RECEIVED_STATUS:
		snprintf(out, size, "status %03xh (%s)", received->status,
			nvc_status_name(received->status));
		break;
	case NVC_RECEIVED_MESSAGE:
	case NVC_RECEIVED_MALFORMED:
		snprintf(out, size, "%s%s%s%s",
			nvc_auth_describe(received->raw, line, sizeof(line)),
			received->capsule_lost ? ", its response capsule lost" : "",
			received->rcodeex != 0 ? ": " : "", received->complaint);
		break;
	case NVC_RECEIVED_NOTHING:
	default:
		snprintf(out, size, "nothing");
		break;
	}
	return out;
}
