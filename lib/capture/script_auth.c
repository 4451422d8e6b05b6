/* SPDX-License-Identifier: BSD-3-Clause */
/* What the host's authentication messages were: which transaction they belong to, what of them was bent, and which PSK came of it. */
#include <string.h>

#include "capture/script_state.h"
#include "crypto/dh.h"
#include "crypto/tls_psk.h"

enum {
	OFFSET_SC_C = 6,
	OFFSET_S2 = 12,
	REPLY_HEAD_LEN = 16,
	NEGOTIATE_HEAD_LEN = 8,
};

static int add_transaction(struct nvc_script_reader *reader, unsigned int conn, uint16_t t_id)
{
	struct nvc_script *script = reader->script;
	const int index = nvc_script_new_transaction(reader);
	struct nvc_script_transaction *added;

	if (index < 0)
		return -1;
	added = &script->transactions[index];
	*added = (struct nvc_script_transaction){.conn = conn, .t_id = t_id, .t_id_of = -1};
	for (int i = index - 1; i >= 0 && added->t_id_of < 0; i--)
		if (script->transactions[i].t_id == t_id)
			added->t_id_of = i;
	return index;
}

/* The last transaction with this T_ID, on `conn` or (-1) on any connection. */
static int find_t_id(const struct nvc_script *script, int conn, uint16_t t_id)
{
	for (int i = (int)script->num_transactions - 1; i >= 0; i--)
		if (script->transactions[i].t_id == t_id &&
			(conn < 0 || script->transactions[i].conn == (unsigned int)conn))
			return i;
	return -1;
}

static void relate_t_id(const struct nvc_script *script, unsigned int conn, int current,
	uint16_t t_id, struct nvc_script_message *message)
{
	const int own = find_t_id(script, (int)conn, t_id), other = find_t_id(script, -1, t_id);

	message->transaction = own >= 0 ? own : current;
	if (own >= 0 || current < 0)
		return;
	message->t_id = other >= 0 ? NVC_T_ID_OF : NVC_T_ID_OTHER;
	message->t_id_of = other;
	message->t_id_delta = (uint16_t)(t_id - script->transactions[current].t_id);
}

static void bend(struct nvc_script_message *message, struct nvc_bend bend)
{
	if (message->num_bends < NVC_SCRIPT_MAX_BENDS)
		message->bends[message->num_bends++] = bend;
}

/* ---- AUTH_Negotiate ---- */

static bool negotiate_is_ordinary(struct nvc_slice bytes)
{
	struct nvc_negotiate negotiate;
	struct nvc_dhchap_descriptor descriptor;

	return nvc_decode(&nvc_negotiate_layout, bytes, &negotiate, NULL, NULL) == NVC_OK &&
	       nvc_reserved_is_zero(&nvc_negotiate_layout, bytes, NULL) && negotiate.napd == 1 &&
	       bytes.len == NEGOTIATE_HEAD_LEN + NVC_DESCRIPTOR_LEN &&
	       nvc_decode(&nvc_dhchap_descriptor_layout, negotiate.descriptors, &descriptor, NULL,
		       NULL) == NVC_OK &&
	       nvc_reserved_is_zero(&nvc_dhchap_descriptor_layout, negotiate.descriptors, NULL) &&
	       descriptor.authid == NVC_AUTH_DHCHAP && descriptor.halen > 0 &&
	       descriptor.halen <= NVC_MAX_LIST && descriptor.dhlen > 0 &&
	       descriptor.dhlen <= NVC_MAX_LIST;
}

static void take_negotiate(
	struct nvc_script_reader *reader, struct nvc_script_step *step, uint16_t t_id)
{
	struct nvc_script *script = reader->script;
	const int index = add_transaction(reader, step->conn, t_id);
	struct nvc_script_transaction *transaction;

	if (index < 0)
		return;
	transaction = &script->transactions[index];
	reader->conns[step->conn].transaction = index;
	reader->conns[step->conn].reply = -1;
	step->message.transaction = index;
	if (transaction->t_id_of >= 0) {
		step->message.t_id = NVC_T_ID_OF;
		step->message.t_id_of = transaction->t_id_of;
	}
	if (step->bytes.len > OFFSET_SC_C)
		transaction->sc_c = step->bytes.data[OFFSET_SC_C];
	transaction->bent = !negotiate_is_ordinary(step->bytes);
}

/* ---- Reply ---- */

/* What a host would have written into a field of the head that is not fresh each time. */
static bool expected_in_reply(const struct nvc_field *field,
	const struct nvc_script_message *message, const struct nvc_challenge *challenge,
	uint64_t *value)
{
	*value = field->kind == NVC_CONST ? field->value : 0;
	if (strcmp(field->name, "hl") == 0)
		*value = challenge->hl;
	else if (strcmp(field->name, "cvalid") == 0)
		*value = message->mode != NVC_MODE_ONE_WAY;
	else if (strcmp(field->name, "dhvlen") == 0)
		*value = challenge->dhvlen;
	return field->kind != NVC_VAR && strcmp(field->name, "t_id") != 0 &&
	       strcmp(field->name, "seqnum") != 0;
}

static void bend_head(struct nvc_script_message *message, const struct nvc_challenge *challenge,
	struct nvc_slice bytes)
{
	for (size_t i = 0; i < nvc_reply_layout.num_fields; i++) {
		const struct nvc_field *field = &nvc_reply_layout.fields[i];
		uint64_t expected, seen;

		if (!expected_in_reply(field, message, challenge, &expected))
			continue;
		seen = nvc_get_le(bytes.data + field->offset, field->size);
		if (seen != expected)
			bend(message,
				(struct nvc_bend){
					.field = field->name, .kind = NVC_BEND_SET, .value = seen});
	}
}

/* What a value of the Reply was that is as good as random; `of_part` picks it from an earlier transaction. */
static enum nvc_script_value value_of(const struct nvc_script *script, int transaction,
	struct nvc_slice seen, size_t of_part, int *of)
{
	for (int i = transaction - 1; seen.len && i >= 0; i--) {
		struct nvc_slice earlier;

		memcpy(&earlier, (const uint8_t *)&script->transactions[i] + of_part,
			sizeof(earlier));
		if (script->transactions[i].has_reply && nvc_slice_equal(earlier, seen)) {
			*of = i;
			return NVC_VALUE_OF;
		}
	}
	return NVC_VALUE_ORDINARY;
}

static enum nvc_script_value dh_value(const struct nvc_challenge *challenge, struct nvc_slice seen,
	enum nvc_script_value otherwise)
{
	if (!seen.len)
		return NVC_VALUE_ORDINARY;
	if (nvc_slice_equal(seen, challenge->dhval))
		return NVC_VALUE_C1;
	switch (nvc_dh_check_public(challenge->dhgid, seen)) {
	case NVC_DH_CHECK_ZERO:
		return NVC_VALUE_ZERO;
	case NVC_DH_CHECK_ONE:
		return NVC_VALUE_ONE;
	case NVC_DH_CHECK_P_MINUS_ONE:
		return NVC_VALUE_P_MINUS_ONE;
	case NVC_DH_CHECK_NOT_BELOW_P:
		return NVC_VALUE_P;
	default:
		return otherwise;
	}
}

static void take_values(const struct nvc_script *script, struct nvc_script_message *message,
	struct nvc_script_transaction *transaction, struct nvc_slice bytes)
{
	const struct nvc_challenge *challenge = &transaction->challenge;
	const size_t hl = challenge->hl;
	const int index = message->transaction;

	transaction->r1 = nvc_slice_sub(bytes, REPLY_HEAD_LEN, hl);
	transaction->c2 = nvc_slice_sub(bytes, REPLY_HEAD_LEN + hl, hl);
	transaction->dhval = nvc_slice_sub(bytes, REPLY_HEAD_LEN + 2 * hl, challenge->dhvlen);
	transaction->s2 = (uint32_t)nvc_get_le(bytes.data + OFFSET_S2, 4);
	message->r1 = value_of(script, index, transaction->r1,
		offsetof(struct nvc_script_transaction, r1), &message->value_of);
	if (transaction->r1.len && nvc_slice_is_zero(transaction->r1))
		message->r1 = NVC_VALUE_ZERO;
	message->c2 = value_of(script, index, transaction->c2,
		offsetof(struct nvc_script_transaction, c2), &message->value_of);
	if (nvc_slice_equal(transaction->c2, challenge->cval))
		message->c2 = NVC_VALUE_C1;
	if (message->mode == NVC_MODE_ONE_WAY && !nvc_slice_is_zero(transaction->c2))
		bend(message,
			(struct nvc_bend){
				.field = "cval", .kind = NVC_BEND_BYTES, .bytes = transaction->c2});
	else if (nvc_slice_is_zero(transaction->c2))
		message->c2 =
			message->mode == NVC_MODE_ONE_WAY ? NVC_VALUE_ORDINARY : NVC_VALUE_ZERO;
	message->dhval = dh_value(challenge, transaction->dhval,
		value_of(script, index, transaction->dhval,
			offsetof(struct nvc_script_transaction, dhval), &message->value_of));
	if (message->mode == NVC_MODE_ONE_WAY && transaction->s2)
		bend(message,
			(struct nvc_bend){
				.field = "seqnum", .kind = NVC_BEND_SET, .value = transaction->s2});
	for (int i = index - 1; message->mode == NVC_MODE_TWO_WAY && i >= 0; i--)
		if (script->transactions[i].has_reply &&
			script->transactions[i].s2 == transaction->s2) {
			message->s2 = NVC_VALUE_OF;
			message->value_of = i;
		}
}

static bool is_bent(const struct nvc_script_message *message)
{
	return message->num_bends || message->r1 || message->c2 || message->s2 || message->dhval ||
	       message->t_id;
}

static void take_reply(struct nvc_script_reader *reader, struct nvc_script_step *step, int index)
{
	struct nvc_script *script = reader->script;
	struct nvc_script_message *message = &step->message;
	struct nvc_script_transaction *transaction = &script->transactions[message->transaction];
	const struct nvc_challenge *challenge = &transaction->challenge;
	const size_t ordinary = REPLY_HEAD_LEN + 2u * challenge->hl + challenge->dhvlen;
	const struct nvc_slice bytes = step->bytes;

	if (!transaction->has_challenge || bytes.len < REPLY_HEAD_LEN) {
		transaction->bent = true;
		return;
	}
	message->answers = true;
	if (bytes.data[8] == 0)
		message->mode = NVC_MODE_ONE_WAY;
	else
		message->mode =
			nvc_get_le(bytes.data + OFFSET_S2, 4) ? NVC_MODE_TWO_WAY : NVC_MODE_CONCAT;
	transaction->mode = message->mode;
	bend_head(message, challenge, bytes);
	take_values(script, message, transaction, bytes);
	if (bytes.len < ordinary)
		bend(message, (struct nvc_bend){.kind = NVC_BEND_TRUNCATE, .value = bytes.len});
	if (bytes.len > ordinary)
		bend(message, (struct nvc_bend){.kind = NVC_BEND_APPEND,
				      .bytes = nvc_slice_sub(bytes, ordinary, SIZE_MAX)});
	transaction->bent = transaction->bent || is_bent(message);
	transaction->has_reply = true;
	transaction->reply_frame = step->frame;
	reader->conns[step->conn].reply = index;
	if (script->conns[step->conn].host >= 0 && message->mode == NVC_MODE_TWO_WAY)
		script->hosts[script->conns[step->conn].host].two_way = true;
}

void nvc_script_auth_send(struct nvc_script_reader *reader, int index)
{
	struct nvc_script_step *step = &reader->script->steps[index];
	struct nvc_script_message *message = &step->message;
	uint16_t t_id;

	if (!nvc_auth_peek(step->bytes, &message->id, &t_id))
		return;
	step->is_message = true;
	if (message->id == NVC_MSG_NEGOTIATE) {
		take_negotiate(reader, step, t_id);
		return;
	}
	relate_t_id(
		reader->script, step->conn, reader->conns[step->conn].transaction, t_id, message);
	if (message->transaction < 0)
		return;
	if (message->t_id != NVC_T_ID_OWN)
		reader->script->transactions[message->transaction].bent = true;
	if (message->id == NVC_MSG_REPLY)
		take_reply(reader, step, index);
}

/* ---- the controller's messages ---- */

static void take_challenge(struct nvc_script_reader *reader,
	struct nvc_script_transaction *transaction, struct nvc_slice bytes)
{
	const int host = reader->script->conns[transaction->conn].host;
	struct nvc_script_host *named = host >= 0 ? &reader->script->hosts[host] : NULL;

	if (nvc_decode(&nvc_challenge_layout, bytes, &transaction->challenge, NULL, NULL) != NVC_OK)
		return;
	transaction->has_challenge = true;
	if (!named)
		return;
	named->authenticates = true;
	named->concat = named->concat || transaction->sc_c != NVC_SC_C_NOSC;
	named->hashes |= 1u << (transaction->challenge.hash_id & 31);
	named->dhgroups |= 1u << (transaction->challenge.dhgid & 31);
}

/* Whether nothing else of a Reply than its R1 can be why it was refused. */
static bool may_be_right(const struct nvc_script_message *message)
{
	for (size_t i = 0; i < message->num_bends; i++)
		if (!message->bends[i].field ||
			(strcmp(message->bends[i].field, "cval") != 0 &&
				strcmp(message->bends[i].field, "seqnum") != 0))
			return false;
	return !message->t_id && !message->r1 && !message->dhval;
}

/* Nobody but a holder of the secret can tell whether R1 was right; the controller is one, and says so. Where the secret is given it
 * has the last word (nvc_script_proven). */
static void refuse_reply(
	struct nvc_script_reader *reader, struct nvc_script_transaction *transaction)
{
	const int reply = reader->conns[transaction->conn].reply;

	if (reply < 0 || !may_be_right(&reader->script->steps[reply].message))
		return;
	reader->script->steps[reply].message.r1 = NVC_VALUE_WRONG;
	transaction->refused = true;
}

void nvc_script_proven(
	struct nvc_script_reader *reader, const struct nvc_script_step *reply, bool right)
{
	struct nvc_script_message *message =
		&reader->script->steps[reply - reader->script->steps].message;
	struct nvc_script_transaction *transaction;

	if (!reply->is_message || message->id != NVC_MSG_REPLY || message->transaction < 0)
		return;
	transaction = &reader->script->transactions[message->transaction];
	if (right && transaction->refused && message->r1 == NVC_VALUE_WRONG) {
		message->r1 = NVC_VALUE_ORDINARY;
		transaction->refused = false;
	} else if (!right && !message->r1) {
		message->r1 = NVC_VALUE_WRONG;
		transaction->bent = true;
	}
}

void nvc_script_denied(struct nvc_script_reader *reader, unsigned int conn)
{
	const int of = reader->conns[conn].transaction;

	if (of >= 0 && !reader->script->transactions[of].has_success1 &&
		!reader->script->transactions[of].has_failure1)
		refuse_reply(reader, &reader->script->transactions[of]);
}

static void take_failure1(struct nvc_script_reader *reader,
	struct nvc_script_transaction *transaction, struct nvc_slice bytes)
{
	struct nvc_failure failure;

	transaction->has_failure1 = true;
	if (nvc_decode(&nvc_failure1_layout, bytes, &failure, NULL, NULL) == NVC_OK &&
		failure.rcodeex == NVC_RCODEEX_FAILED)
		refuse_reply(reader, transaction);
}

void nvc_script_auth_answer(struct nvc_script_reader *reader, int index)
{
	struct nvc_script *script = reader->script;
	const struct nvc_script_step *answer = &script->steps[index];
	const int of = script->steps[answer->command].transaction;
	struct nvc_script_transaction *transaction;
	uint16_t message, t_id;

	if (of < 0 || !nvc_auth_peek(answer->bytes, &message, &t_id))
		return;
	transaction = &script->transactions[of];
	switch (message) {
	case NVC_MSG_CHALLENGE:
		take_challenge(reader, transaction, answer->bytes);
		break;
	case NVC_MSG_SUCCESS1:
		transaction->has_success1 = true;
		transaction->complete = transaction->mode != NVC_MODE_TWO_WAY;
		transaction->complete_frame = answer->frame;
		break;
	case NVC_MSG_FAILURE1:
		take_failure1(reader, transaction, answer->bytes);
		break;
	default:
		break;
	}
}

void nvc_script_auth_status(struct nvc_script_reader *reader, int index)
{
	struct nvc_script *script = reader->script;
	const struct nvc_script_step *answer = &script->steps[index];
	const struct nvc_script_message *message = &script->steps[answer->command].message;
	struct nvc_script_transaction *transaction;

	if (message->id != NVC_MSG_SUCCESS2 || message->transaction < 0)
		return;
	transaction = &script->transactions[message->transaction];
	if (!transaction->has_success1 || nvc_cqe_status(answer->cqe.status_field) != 0)
		return;
	transaction->complete = true;
	transaction->complete_frame = answer->frame;
}

/* ---- PSKs ---- */

/* Whether a PSK of `transaction` can be the one of an identity first seen at `frame`. */
static bool can_be(const struct nvc_script *script,
	const struct nvc_script_transaction *transaction, const struct nvc_psk_identity *identity,
	uint64_t frame)
{
	const int host = script->conns[transaction->conn].host;

	return transaction->sc_c != NVC_SC_C_NOSC && transaction->has_reply &&
	       !transaction->psk_mapped && transaction->reply_frame < frame && host >= 0 &&
	       transaction->challenge.hash_id == identity->hash_id &&
	       nvc_slice_equal(identity->hostnqn, nvc_slice_str(script->hosts[host].hostnqn));
}

/*
 * The PSKs themselves are not in a capture. A new identity that is accepted is of the newest authentication that succeeded; one that is
 * refused, of one that failed after it, or of the one before.
 */
static int guess_generation(const struct nvc_script *script,
	const struct nvc_psk_identity *identity, uint64_t frame, bool refused)
{
	int newest = -1, before = -1, failed = -1;

	for (int i = (int)script->num_transactions - 1; i >= 0; i--) {
		const struct nvc_script_transaction *transaction = &script->transactions[i];
		const bool done = transaction->complete && transaction->complete_frame < frame;

		if (!can_be(script, transaction, identity, frame))
			continue;
		if (!done && newest < 0 && failed < 0)
			failed = i;
		else if (done && newest < 0)
			newest = i;
		else if (done && before < 0)
			before = i;
	}
	if (!refused)
		return newest >= 0 ? newest : failed;
	return failed >= 0 ? failed : before >= 0 ? before : newest;
}

static void map_psk(struct nvc_script *script, struct nvc_script_conn *conn, uint64_t frame)
{
	struct nvc_psk_identity identity;

	if (!conn->tls || nvc_tls_psk_identity_parse(
				  nvc_slice_str(conn->identity), &identity, NULL) != NVC_OK)
		return;
	if (conn->host < 0)
		conn->host = conn->psk_host;
	if (identity.type == NVC_PSK_RETAINED) {
		conn->psk = NVC_PSK_CONFIGURED;
		conn->psk_version = identity.version;
		conn->psk_hash = identity.hash_id;
		if (conn->psk_host >= 0)
			script->hosts[conn->psk_host].configured = true;
		return;
	}
	conn->psk = NVC_PSK_FOREIGN;
	for (const struct nvc_script_conn *other = script->conns; other < conn; other++)
		if (other->psk == NVC_PSK_OF && strcmp(other->identity, conn->identity) == 0) {
			conn->psk = NVC_PSK_OF;
			conn->psk_of = other->psk_of;
			return;
		}
	conn->psk_of = guess_generation(script, &identity, frame, conn->no_tls);
	if (conn->psk_of < 0)
		return;
	conn->psk = NVC_PSK_OF;
	script->transactions[conn->psk_of].psk_mapped = true;
}

void nvc_script_map_psks(struct nvc_script *script)
{
	for (size_t i = 0; i < script->num_steps; i++) {
		const struct nvc_script_step *step = &script->steps[script->order[i]];

		if (step->kind == NVC_SCRIPT_OPEN)
			map_psk(script, &script->conns[step->conn], step->frame);
	}
}
