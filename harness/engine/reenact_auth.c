/* SPDX-License-Identifier: BSD-3-Clause */
/* The authentications of a script, with fresh challenges, T_IDs and keys. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/engine/reenact_state.h"

enum { OFFSET_T_ID = 4, MAX_MESSAGE = NVC_PDU_MAX_IN_CAPSULE, REPLY_HEAD_LEN = 16 };

static const struct nvc_script_transaction *of_script(const struct reenact *re, int transaction)
{
	return &re->script->transactions[transaction];
}

/* ---- sending ---- */

static enum nvc_auth_mode mode_of(enum nvc_script_mode mode)
{
	switch (mode) {
	case NVC_MODE_TWO_WAY:
		return NVC_AUTH_BIDIRECTIONAL;
	case NVC_MODE_CONCAT:
		return NVC_AUTH_CONCAT_UNI;
	default:
		return NVC_AUTH_UNIDIRECTIONAL;
	}
}

/* Begins the transaction of an AUTH_Negotiate. */
static enum nvc_result begin(
	struct reenact *re, const struct nvc_script_step *step, struct nvc_error *why)
{
	const struct nvc_script_message *message = &step->message;
	const struct nvc_script_transaction *script = of_script(re, message->transaction);
	struct live_transaction *live = &re->transactions[message->transaction];
	struct nvc_negotiate negotiate;
	struct nvc_dhchap_descriptor descriptor;

	if (nvc_auth_init(&live->auth, re->conns[step->conn].queue, script->sc_c,
		    mode_of(script->mode)) != NVC_OK)
		return nvc_fail(why, NVC_E_STATE, "no memory for a transaction");
	live->ready = true;
	if (re->conns[step->conn].subnqn)
		live->auth.subnqn = re->conns[step->conn].subnqn;
	if (message->t_id == NVC_T_ID_OF && re->transactions[message->t_id_of].ready)
		live->auth.t_id = re->transactions[message->t_id_of].auth.t_id;
	/* So that what comes is held against what was offered. */
	if (nvc_decode(&nvc_negotiate_layout, step->bytes, &negotiate, NULL, NULL) == NVC_OK &&
		nvc_decode(&nvc_dhchap_descriptor_layout, negotiate.descriptors, &descriptor, NULL,
			NULL) == NVC_OK) {
		live->auth.offer = (struct nvc_auth_offer){
			.num_hashes = descriptor.halen, .num_dhgroups = descriptor.dhlen};
		memcpy(live->auth.offer.hash_ids, descriptor.hash_ids, NVC_MAX_LIST);
		memcpy(live->auth.offer.dh_ids, descriptor.dh_ids, NVC_MAX_LIST);
	}
	return NVC_OK;
}

static uint16_t t_id_of(const struct reenact *re, const struct nvc_script_message *message)
{
	const uint16_t own = re->transactions[message->transaction].auth.t_id;

	if (message->t_id == NVC_T_ID_OF && re->transactions[message->t_id_of].ready)
		return re->transactions[message->t_id_of].auth.t_id;
	return message->t_id == NVC_T_ID_OTHER ? (uint16_t)(own + message->t_id_delta) : own;
}

/* What the script says of DHVAL, as bytes; empty: an ordinary one. */
static struct nvc_slice special_dhval(const struct reenact *re,
	const struct nvc_script_message *message, const struct live_transaction *live,
	uint8_t room[NVC_MAX_DH_LEN])
{
	const size_t len = live->peer_len;
	const struct nvc_slice prime = nvc_dh_prime(live->auth.dhgid);

	memset(room, 0, NVC_MAX_DH_LEN);
	switch (message->dhval) {
	case NVC_VALUE_ZERO:
		break;
	case NVC_VALUE_ONE:
		if (len)
			room[len - 1] = 1;
		break;
	case NVC_VALUE_P_MINUS_ONE:
	case NVC_VALUE_P:
		if (!prime.len)
			return prime;
		memcpy(room, prime.data, prime.len);
		room[prime.len - 1] ^= message->dhval == NVC_VALUE_P_MINUS_ONE; /* p is odd */
		break;
	case NVC_VALUE_C1:
		memcpy(room, live->peer, len);
		break;
	case NVC_VALUE_OF:
		return re->transactions[message->value_of].dhval;
	default:
		return nvc_slice_of(NULL, 0);
	}
	return nvc_slice_of(room, len);
}

static void choose_values(
	struct reenact *re, const struct nvc_script_message *message, struct live_transaction *live)
{
	static const uint8_t zeros[NVC_MAX_HASH_LEN];
	const struct live_transaction *other = &re->transactions[message->value_of];
	struct nvc_auth *auth = &live->auth;

	auth->r1 = NVC_R1_RIGHT;
	if (message->r1 == NVC_VALUE_WRONG)
		auth->r1 = NVC_R1_FLIPPED;
	else if (message->r1 == NVC_VALUE_ZERO)
		auth->r1 = NVC_R1_ZERO;
	else if (message->r1 == NVC_VALUE_OF && other->r1.len == live->c1_len) {
		auth->r1 = NVC_R1_BYTES;
		auth->r1_bytes = other->r1;
	}
	auth->c2 = nvc_slice_of(NULL, 0);
	if (message->c2 == NVC_VALUE_ZERO)
		auth->c2 = nvc_slice_of(zeros, live->c1_len);
	else if (message->c2 == NVC_VALUE_C1)
		auth->c2 = nvc_slice_of(live->c1, live->c1_len);
	else if (message->c2 == NVC_VALUE_OF && other->c2.len == live->c1_len)
		auth->c2 = other->c2;
	auth->s2 = message->s2 == NVC_VALUE_OF ? other->s2 : 0;
}

/* Remembers what went out, for later messages that repeat it, and the PSK that may come of it. */
static void remember(struct live_transaction *live, struct nvc_slice sent)
{
	const size_t hl = live->c1_len;

	free(live->sent);
	live->sent = malloc(sent.len ? sent.len : 1);
	if (!live->sent)
		return;
	memcpy(live->sent, sent.data, sent.len);
	sent.data = live->sent;
	live->r1 = nvc_slice_sub(sent, REPLY_HEAD_LEN, hl);
	live->c2 = nvc_slice_sub(sent, REPLY_HEAD_LEN + hl, hl);
	live->dhval = nvc_slice_sub(sent, REPLY_HEAD_LEN + 2 * hl, live->peer_len);
	live->s2 = sent.len >= REPLY_HEAD_LEN ? (uint32_t)nvc_get_le(sent.data + 12, 4) : 0;
	nvc_secret_wipe(&live->psk.psk);
	live->psk.identity[0] = '\0';
	if (live->auth.sc_c != NVC_SC_C_NOSC &&
		nvc_auth_tls_psk(&live->auth, NVC_KDF_RFC8446, &live->psk, NULL) != NVC_OK)
		live->psk.identity[0] = '\0';
}

static enum nvc_result make_reply(struct reenact *re, const struct nvc_script_step *step,
	struct nvc_writer *out, struct nvc_error *why)
{
	const struct nvc_script_message *message = &step->message;
	const struct nvc_challenge *then = &of_script(re, message->transaction)->challenge;
	struct live_transaction *live = &re->transactions[message->transaction];
	struct nvc_bend list[NVC_SCRIPT_MAX_BENDS + 2];
	struct nvc_bends bends = {list, 0};
	uint8_t room[NVC_MAX_DH_LEN];
	const struct nvc_slice dhval = special_dhval(re, message, live, room);
	/* How much longer the Reply is than it was, where the new target chose another hash or group. */
	const size_t grown = 2 * live->c1_len + live->peer_len - 2u * then->hl - then->dhvlen;
	enum nvc_result result;

	if (!live->auth.has_challenge)
		return nvc_fail(why, NVC_E_STATE, "there is no Challenge to reply to");
	live->auth.mode = mode_of(message->mode);
	live->auth.queue = re->conns[step->conn].queue;
	choose_values(re, message, live);
	if (message->t_id != NVC_T_ID_OWN)
		list[bends.num++] = (struct nvc_bend){
			.field = "t_id", .kind = NVC_BEND_SET, .value = t_id_of(re, message)};
	if (dhval.len && dhval.len == live->peer_len)
		list[bends.num++] =
			(struct nvc_bend){.field = "dhval", .kind = NVC_BEND_BYTES, .bytes = dhval};
	for (size_t i = 0; i < message->num_bends; i++) {
		list[bends.num] = message->bends[i];
		if (list[bends.num].kind == NVC_BEND_TRUNCATE)
			list[bends.num].value += grown;
		bends.num++;
	}
	live->auth.reply_bends = &bends;
	result = nvc_auth_encode_reply(&live->auth, out, why);
	live->auth.reply_bends = NULL;
	if (result == NVC_OK)
		remember(live, nvc_writer_slice(out));
	return result;
}

enum nvc_result reenact_message(struct reenact *re, const struct nvc_script_step *step,
	uint8_t **out, size_t *len, struct nvc_error *why)
{
	const struct nvc_script_message *message = &step->message;
	struct live_transaction *live =
		message->transaction >= 0 ? &re->transactions[message->transaction] : NULL;
	uint8_t *room = malloc(step->bytes.len + MAX_MESSAGE);
	struct nvc_writer writer = nvc_writer_over(room, step->bytes.len + MAX_MESSAGE);
	enum nvc_result result = room ? NVC_OK : NVC_E_NO_MEMORY;

	if (result == NVC_OK && step->is_message && message->id == NVC_MSG_NEGOTIATE && live)
		result = begin(re, step, why);
	else if (result == NVC_OK && live && !live->ready)
		result = nvc_fail(why, NVC_E_STATE, "its authentication was never begun");
	if (result == NVC_OK && message->id == NVC_MSG_SUCCESS2 && live &&
		of_script(re, message->transaction)->has_success1 && !live->success1)
		result = nvc_fail(why, NVC_E_STATE, "there is no Success1 to answer");
	if (result == NVC_OK && live && message->answers)
		result = make_reply(re, step, &writer, why);
	else if (result == NVC_OK) {
		nvc_write_bytes(&writer, step->bytes);
		if (live && step->is_message)
			nvc_put_le(room + OFFSET_T_ID, t_id_of(re, message), 2);
	}
	*out = room;
	*len = writer.len;
	if (result != NVC_OK) {
		free(room);
		*out = NULL;
	}
	return result;
}

void reenact_send_answered(
	struct reenact *re, const struct nvc_script_step *command, uint16_t status)
{
	const struct nvc_script_message *message = &command->message;
	struct live_transaction *live;

	if (message->transaction < 0 || message->id != NVC_MSG_SUCCESS2 || status)
		return;
	live = &re->transactions[message->transaction];
	live->complete = live->success1;
}

/* ---- receiving ---- */

static void take_received(struct live_transaction *live, const struct nvc_auth_received *received)
{
	if (received->kind != NVC_RECEIVED_MESSAGE)
		return;
	live->last = received->message;
	if (received->message == NVC_MSG_CHALLENGE) {
		const struct nvc_challenge *challenge = &received->challenge;

		live->c1_len = nvc_slice_sub(challenge->cval, 0, sizeof(live->c1)).len;
		live->peer_len = nvc_slice_sub(challenge->dhval, 0, sizeof(live->peer)).len;
		memcpy(live->c1, challenge->cval.data, live->c1_len);
		if (live->peer_len)
			memcpy(live->peer, challenge->dhval.data, live->peer_len);
	}
	if (received->message == NVC_MSG_SUCCESS1) {
		live->success1 = true;
		live->complete = live->auth.mode != NVC_AUTH_BIDIRECTIONAL;
	}
}

void reenact_received(struct reenact *re, const struct nvc_script_step *command,
	const struct nvc_auth_received *received)
{
	take_received(&re->transactions[command->transaction], received);
}

/* ---- beyond the script ---- */

static bool improvise_receive(
	struct reenact *re, const struct nvc_script_step *answer, struct live_transaction *live)
{
	struct nvc_auth_received received = {0};
	struct nvc_error why = {0};
	const uint8_t sqe[NVC_SQE_LEN] = {[0] = NVC_OPC_FABRICS, [4] = NVC_FCTYPE_AUTH_RECEIVE};
	const struct nvc_cqe cqe = {0};
	char text[REENACT_TEXT];

	if (nvc_auth_receive(&live->auth, &received, &why) != NVC_OK) {
		reenact_line(re, "new", answer, false, why.text);
		return false;
	}
	take_received(live, &received);
	if (received.kind == NVC_RECEIVED_MESSAGE)
		nvc_outline_answer(
			&re->outline, sqe, &cqe, received.raw, live->auth.t_id, text, sizeof(text));
	else
		nvc_auth_received_text(&received, text, sizeof(text));
	reenact_line(re, "new", answer, false, text);
	return received.kind == NVC_RECEIVED_MESSAGE && !received.rcodeex;
}

void reenact_go_on(struct reenact *re, const struct nvc_script_step *answer)
{
	const struct nvc_script_step *command = &re->script->steps[answer->command];
	const struct nvc_script_transaction *then = of_script(re, command->transaction);
	struct live_transaction *live = &re->transactions[command->transaction];
	struct nvc_error why = {0};
	uint8_t reply[MAX_MESSAGE];
	struct nvc_writer writer = nvc_writer_over(reply, sizeof(reply));

	if (then->bent)
		return; /* what was refused was meant to be */
	if (live->last == NVC_MSG_CHALLENGE && !live->success1) {
		if (!then->has_reply)
			live->auth.mode = then->sc_c == NVC_SC_C_NOSC ? NVC_AUTH_UNIDIRECTIONAL
								      : NVC_AUTH_CONCAT_UNI;
		live->auth.r1 = NVC_R1_RIGHT;
		if (nvc_auth_encode_reply(&live->auth, &writer, &why) == NVC_OK) {
			remember(live, nvc_writer_slice(&writer));
			(void)nvc_auth_send_raw(&live->auth, nvc_writer_slice(&writer), &why);
		}
		reenact_line(re, "new", answer, true,
			why.result ? why.text
				   : "DH-HMAC-CHAP_Reply (beyond the capture, as a host goes on)");
		if (why.result || !improvise_receive(re, answer, live))
			return;
	}
	if (live->last == NVC_MSG_SUCCESS1 && live->auth.mode == NVC_AUTH_BIDIRECTIONAL &&
		nvc_auth_send_success2(&live->auth, &why) == NVC_OK) {
		live->complete = live->auth.status == 0;
		reenact_line(re, "new", answer, true, "DH-HMAC-CHAP_Success2");
	}
}

/* ---- PSKs ---- */

static bool names_the_same(const struct nvc_script_conn *conn, const struct nvc_psk_params *params)
{
	struct nvc_psk_identity identity;

	return nvc_tls_psk_identity_parse(nvc_slice_str(conn->identity), &identity, NULL) ==
		       NVC_OK &&
	       nvc_slice_equal(identity.hostnqn, params->hostnqn) &&
	       nvc_slice_equal(identity.subnqn, params->subnqn) && conn->no_tls;
}

/* The configured PSK of the host that the identity names. An identity that does not fit that PSK is offered as it stands. */
static bool configured_psk(const struct reenact *re, const struct nvc_script_conn *conn,
	const struct nvc_host *host, struct nvc_tls_psk *psk, struct nvc_error *why)
{
	struct nvc_psk_params params = {.version = conn->psk_version,
		.type = NVC_PSK_RETAINED,
		.hash_id = conn->psk_hash,
		.hostnqn = nvc_slice_str(host->hostnqn),
		.subnqn = nvc_slice_str(host->subnqn)};
	struct nvc_secret retained = {.len = 0};
	enum nvc_result result = NVC_E_STATE;

	psk->hash_id = conn->psk_hash;
	for (size_t i = 0; i < re->profile->num_psks && result == NVC_E_STATE; i++) {
		const struct profile_psk *row = &re->profile->psks[i];

		if (strcmp(row->hostnqn, host->hostnqn) != 0 ||
			(row->key.hash_id != NVC_HASH_NONE && row->key.hash_id != conn->psk_hash))
			continue;
		result = nvc_psk_retained(&row->key, params.hostnqn, NVC_KDF_RFC8446, &retained);
		params.psk = nvc_secret_slice(&retained);
		if (result == NVC_OK)
			result =
				nvc_tls_psk_identity(&params, psk->identity, sizeof(psk->identity));
		if (result == NVC_OK)
			result = nvc_tls_psk_derive(&params, NVC_KDF_RFC8446, &psk->psk);
	}
	nvc_secret_wipe(&retained);
	if (result != NVC_OK)
		nvc_fail(why, result, "no configured PSK is given for %s (--tls-key)",
			host->hostnqn);
	else if (names_the_same(conn, &params) && strcmp(conn->identity, psk->identity) != 0)
		snprintf(psk->identity, sizeof(psk->identity), "%s", conn->identity);
	return result == NVC_OK;
}

/* A PSK that nobody has, under an identity as well-formed as the one in the capture. */
static bool foreign_psk(const struct reenact *re, const struct nvc_script_conn *conn,
	const struct nvc_host *host, struct nvc_tls_psk *psk)
{
	struct nvc_psk_identity identity;
	struct nvc_psk_params params = {.version = 1, .type = NVC_PSK_GENERATED};

	if (nvc_tls_psk_identity_parse(nvc_slice_str(conn->identity), &identity, NULL) != NVC_OK)
		return false;
	psk->hash_id = params.hash_id = identity.hash_id;
	psk->psk.len = nvc_hash_len(identity.hash_id);
	nvc_env_random(&re->world.env, psk->psk.data, psk->psk.len);
	params.psk = nvc_secret_slice(&psk->psk);
	params.hostnqn = nvc_slice_str(host->hostnqn);
	params.subnqn = nvc_slice_str(host->subnqn);
	return nvc_tls_psk_identity(&params, psk->identity, sizeof(psk->identity)) == NVC_OK;
}

/* The PSK that the identity of the capture names, as the new target knows it. */
static bool named_psk(struct reenact *re, const struct nvc_script_conn *conn,
	const struct nvc_host *host, struct nvc_tls_psk *psk, struct nvc_error *why)
{
	memset(psk, 0, sizeof(*psk));
	switch (conn->psk) {
	case NVC_PSK_OF:
		*psk = re->transactions[conn->psk_of].psk;
		if (!psk->identity[0])
			nvc_fail(why, NVC_E_STATE,
				"the authentication that made its PSK did not come so far");
		return psk->identity[0] != '\0';
	case NVC_PSK_CONFIGURED:
		return configured_psk(re, conn, host, psk, why);
	case NVC_PSK_FOREIGN:
		if (!foreign_psk(re, conn, host, psk))
			nvc_fail(why, NVC_E_STATE, "its PSK identity cannot be made anew");
		return psk->identity[0] != '\0';
	default:
		return true;
	}
}

bool reenact_psk(struct reenact *re, const struct nvc_script_conn *conn, struct nvc_tls_psk *psk,
	struct nvc_error *why)
{
	const struct nvc_host *host = conn->psk_host >= 0
					      ? &re->actors[conn->psk_host].host
					      : &re->conns[conn - re->script->conns].actor->host;
	const bool found = named_psk(re, conn, host, psk, why);

	if (conn->psk_wrong && psk->psk.len)
		psk->psk.data[0] ^= 1;
	return found;
}

enum req_id reenact_psk_requirement(
	const struct reenact *re, const struct nvc_script_conn *conn, bool works)
{
	const struct live_transaction *made;
	bool two_way, replaced = false;

	if (conn->psk != NVC_PSK_OF)
		return REQ_NONE;
	made = &re->transactions[conn->psk_of];
	two_way = made->auth.mode == NVC_AUTH_BIDIRECTIONAL;
	for (size_t i = (size_t)conn->psk_of + 1; i < re->script->num_transactions; i++)
		replaced =
			replaced ||
			(re->transactions[i].complete &&
				of_script(re, (int)i)->sc_c == NVC_SC_C_REPLACETLSPSK &&
				re->script->conns[of_script(re, (int)i)->conn].host == conn->host);
	if (!works)
		return !made->complete ? REQ_C_193 : replaced ? REQ_C_206 : REQ_NONE;
	if (!made->complete || replaced)
		return REQ_NONE;
	if (of_script(re, conn->psk_of)->sc_c == NVC_SC_C_REPLACETLSPSK)
		return two_way ? REQ_C_207 : REQ_C_204;
	return two_way ? REQ_C_191 : REQ_C_190;
}
