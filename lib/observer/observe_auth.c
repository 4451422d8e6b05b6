/* SPDX-License-Identifier: BSD-3-Clause */
/* The transaction as it can be followed from outside (docs/protocol.md chapters 3 and 4). */
#include <string.h>

#include "observer/observer_state.h"

enum { AUTH_HEAD_LEN = 6, FAILURE_LEN = 8, SUCCESS1_HEAD_LEN = 16 };

static void note_t_id(struct nvc_obs_transaction *transaction, uint16_t t_id)
{
	if (transaction->num_t_ids < NVC_OBS_MAX_T_IDS)
		transaction->t_ids[transaction->num_t_ids++] = t_id;
	else
		transaction->t_id_unknown = true;
}

/* Which of several messages the controller holds for the transaction's is its business: any of
 * them will do. */
static bool t_id_fits(const struct nvc_obs_transaction *transaction, uint16_t t_id)
{
	for (unsigned int i = 0; i < transaction->num_t_ids; i++) {
		if (transaction->t_ids[i] == t_id)
			return true;
	}
	return transaction->t_id_unknown || transaction->num_t_ids == 0;
}

static void take_offer(struct nvc_obs_transaction *transaction, struct nvc_slice descriptors)
{
	struct nvc_dhchap_descriptor descriptor;

	memset(transaction->hash_offered, 0, sizeof(transaction->hash_offered));
	memset(transaction->dh_offered, 0, sizeof(transaction->dh_offered));
	for (size_t at = 0; at + NVC_DESCRIPTOR_LEN <= descriptors.len; at += NVC_DESCRIPTOR_LEN) {
		if (nvc_decode(&nvc_dhchap_descriptor_layout,
			    nvc_slice_sub(descriptors, at, NVC_DESCRIPTOR_LEN), &descriptor, NULL,
			    NULL) != NVC_OK ||
			descriptor.authid != NVC_AUTH_DHCHAP)
			continue;
		for (int i = 0; i < descriptor.halen && i < NVC_MAX_LIST; i++)
			transaction->hash_offered[descriptor.hash_ids[i]] = true;
		for (int i = 0; i < descriptor.dhlen && i < NVC_MAX_LIST; i++)
			transaction->dh_offered[descriptor.dh_ids[i]] = true;
	}
}

static void take_negotiate(
	struct nvc_obs_transaction *transaction, struct nvc_slice message, uint64_t now)
{
	bool twice = transaction->state == NVC_OBS_NEGOTIATED && !transaction->expired;
	struct nvc_negotiate negotiate;

	if (transaction->state == NVC_OBS_IDLE || transaction->state == NVC_OBS_UNKNOWN ||
		transaction->expired) {
		/* An unreadable message may have been what the controller refers to; a new
		 * transaction ends that. */
		const struct nvc_obs_transaction before = *transaction;

		memset(transaction, 0, sizeof(*transaction));
		if (before.expired ||
			(before.state == NVC_OBS_IDLE && (before.strayed || before.success2_due))) {
			memcpy(transaction->t_ids, before.t_ids, sizeof(before.t_ids));
			transaction->num_t_ids = before.num_t_ids;
			transaction->t_id_unknown = before.t_id_unknown;
		}
	}
	transaction->state = NVC_OBS_NEGOTIATED;
	transaction->begun = now;
	transaction->negotiated_twice |= twice;
	transaction->challenge_known = transaction->reply_known = false;
	transaction->offer_known =
		nvc_decode(&nvc_negotiate_layout, message, &negotiate, NULL, NULL) == NVC_OK;
	if (!transaction->offer_known)
		return;
	transaction->t_id = negotiate.t_id;
	transaction->sc_c = negotiate.sc_c;
	take_offer(transaction, negotiate.descriptors);
}

static void take_reply(struct nvc_obs_transaction *transaction, struct nvc_slice message)
{
	struct nvc_reply reply;

	if (transaction->state == NVC_OBS_NEGOTIATED)
		transaction->replied_early = true;
	if (transaction->state == NVC_OBS_REPLIED)
		transaction->replied_twice = true;
	if (transaction->state != NVC_OBS_CHALLENGED)
		return;
	transaction->state = NVC_OBS_REPLIED;
	transaction->reply_known =
		nvc_decode(&nvc_reply_layout, message, &reply, NULL, NULL) == NVC_OK;
	if (transaction->reply_known) {
		transaction->cvalid = reply.cvalid;
		transaction->s2 = reply.seqnum;
	}
}

/* A transaction whose time is over may have been dropped; whether it was cannot be seen. Whether it was or not, nothing but what
 * is due in it and AUTH_Failure1 may come, and the next AUTH_Negotiate may begin another: so its messages are judged as before, which
 * a capture needs whose clock jumped. */
static void expire(struct nvc_obs_conn *conn)
{
	struct nvc_obs_transaction *transaction = &conn->transaction;

	if (transaction->state != NVC_OBS_IDLE &&
		conn->observer->now - transaction->begun >= conn->observer->patience)
		transaction->expired = true;
}

static void tell_message(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command,
	enum nvc_direction direction, uint16_t id, bool due)
{
	const struct nvc_observer_sink *sink = &conn->observer->sink;
	const struct nvc_observed_message message = {.conn = conn->id,
		.packet = command->packet,
		.direction = direction,
		.id = id,
		.bytes = nvc_slice_of(command->message, command->message_len),
		.due = due,
		.late = conn->transaction.expired};

	if (sink->message)
		sink->message(sink->self, &message);
}

/* Whether a message of the host is what the transaction awaits. */
static bool is_due_of_host(const struct nvc_obs_transaction *transaction, uint16_t id)
{
	switch (id) {
	case NVC_MSG_NEGOTIATE:
		return transaction->state == NVC_OBS_IDLE ||
		       transaction->state == NVC_OBS_UNKNOWN || transaction->expired;
	case NVC_MSG_REPLY:
		return transaction->state == NVC_OBS_CHALLENGED && transaction->challenge_known;
	case NVC_MSG_SUCCESS2:
		return transaction->success2_due;
	case NVC_MSG_FAILURE2:
		return transaction->state == NVC_OBS_CHALLENGED || transaction->success2_due;
	default:
		return false;
	}
}

void nvc_obs_auth_sent(struct nvc_obs_conn *conn, struct nvc_obs_command *command)
{
	struct nvc_obs_transaction *transaction = &conn->transaction;
	struct nvc_slice message = nvc_slice_of(command->message, command->message_len);
	uint16_t id, t_id;

	if (command->applied)
		return;
	command->applied = true;
	expire(conn);
	if (!nvc_auth_peek(message, &id, &t_id))
		transaction->t_id_unknown = true;
	if (command->message_bad || message.len != command->auth.length) {
		transaction->t_id_unknown = true;
		transaction->state = NVC_OBS_UNKNOWN;
		return;
	}
	if (message.len < AUTH_HEAD_LEN)
		return;
	nvc_obs_host_message(conn, message);
	tell_message(conn, command, NVC_H2C, id, is_due_of_host(transaction, id));
	if (id == NVC_MSG_SUCCESS2 && transaction->success2_due)
		transaction->success2_due = false;
	else if (id != NVC_MSG_NEGOTIATE && transaction->state == NVC_OBS_IDLE)
		transaction->strayed = true;
	if (id == NVC_MSG_NEGOTIATE)
		take_negotiate(transaction, message, conn->observer->now);
	else if (id == NVC_MSG_REPLY)
		take_reply(transaction, message);
	note_t_id(transaction, t_id);
	if (id == NVC_MSG_FAILURE2) {
		transaction->state = NVC_OBS_IDLE;
		transaction->expired = false;
	}
}

/* The row that forbids anything but AUTH_Failure1 here; REQ_NONE where `id` is what is due. */
static enum req_id out_of_order(const struct nvc_obs_transaction *transaction, uint16_t id)
{
	switch (transaction->state) {
	case NVC_OBS_IDLE:
		return REQ_C_083;
	case NVC_OBS_NEGOTIATED:
		if (transaction->replied_early)
			return REQ_C_160;
		if (transaction->negotiated_twice)
			return REQ_C_088;
		return id == NVC_MSG_CHALLENGE ? REQ_NONE : REQ_C_120;
	case NVC_OBS_CHALLENGED:
		return REQ_C_129;
	case NVC_OBS_REPLIED:
		if (transaction->replied_twice)
			return REQ_C_161;
		return id == NVC_MSG_SUCCESS1 ? REQ_NONE : REQ_C_131;
	case NVC_OBS_UNKNOWN:
		return REQ_NONE;
	}
	return REQ_NONE;
}

static void judge_t_id(struct nvc_obs_conn *conn, enum req_id req, uint16_t t_id)
{
	if (!t_id_fits(&conn->transaction, t_id))
		nvc_obs_violated(conn, req, "the T_ID of the transaction", "T_ID %04xh", t_id);
}

/* The admin queue is over TLS under a generated PSK, or has had it replaced before, and is asked to replace it, with hashes and groups that
 * a PSK can be made of: there is no mismatch to complain of. The best known bug of a target is to forget here that the queue is TLS. */
static void judge_mismatch(struct nvc_obs_conn *conn)
{
	const struct nvc_obs_transaction *transaction = &conn->transaction;
	bool group = false;

	if (transaction->state != NVC_OBS_NEGOTIATED || !transaction->offer_known ||
		transaction->sc_c != NVC_SC_C_REPLACETLSPSK)
		return;
	for (int id = NVC_DH_2048; id < NVC_NUM_DHGROUPS; id++)
		group = group || transaction->dh_offered[id];
	if (!group || !(transaction->hash_offered[NVC_HASH_SHA256] ||
			      transaction->hash_offered[NVC_HASH_SHA384]))
		return;
	if (conn->replaced)
		nvc_obs_violated(conn, REQ_C_205,
			"REPLACETLSPSK again, as it succeeded on this queue before",
			"AUTH_Failure1 with RCODEEX 03h, concatenation mismatch");
	else if (conn->generated && conn->tls && conn->connected && conn->qid == 0)
		nvc_obs_violated(conn, REQ_C_204,
			"REPLACETLSPSK on an admin queue over TLS under a generated PSK",
			"AUTH_Failure1 with RCODEEX 03h, concatenation mismatch");
}

static size_t judge_failure1(struct nvc_obs_conn *conn, struct nvc_slice message, size_t room)
{
	struct nvc_failure failure;

	if (nvc_decode(&nvc_failure1_layout, message, &failure, NULL, NULL) != NVC_OK) {
		if (room >= FAILURE_LEN)
			nvc_obs_violated(conn, REQ_C_171, "8 bytes of AUTH_Failure1", "%zu bytes",
				message.len);
		return 0;
	}
	if (conn->transaction.state != NVC_OBS_IDLE && conn->transaction.state != NVC_OBS_UNKNOWN &&
		!conn->transaction.expired)
		judge_t_id(conn, REQ_C_171, failure.t_id);
	if (!nvc_reserved_is_zero(&nvc_failure1_layout, message, NULL))
		nvc_obs_violated(conn, REQ_C_171, "reserved bytes zero", "bytes 2 and 3: %04xh",
			(unsigned int)nvc_get_le(message.data + 2, 2));
	if (failure.rcode != NVC_RCODE_FAILURE)
		nvc_obs_violated(conn, REQ_C_171, "RCODE 01h", "RCODE %02xh", failure.rcode);
	if (failure.rcodeex < NVC_RCODEEX_FAILED || failure.rcodeex > NVC_RCODEEX_MESSAGE)
		nvc_obs_violated(
			conn, REQ_C_171, "RCODEEX 01h to 07h", "RCODEEX %02xh", failure.rcodeex);
	if (failure.rcodeex == NVC_RCODEEX_CONCAT_MISMATCH)
		judge_mismatch(conn);
	return FAILURE_LEN;
}

/* RVALID follows from CVALID and S2; a CVALID without meaning is not judged (docs/protocol.md
 * 3.4). */
static void judge_rvalid(struct nvc_obs_conn *conn, const struct nvc_success1 *success)
{
	const struct nvc_obs_transaction *transaction = &conn->transaction;
	bool two_way = transaction->cvalid == 1 && transaction->s2 != 0;

	if (!success->rvalid && !nvc_slice_is_zero(success->rval))
		nvc_obs_violated(conn, REQ_C_131, "R2 zero with RVALID 0", "R2 is not zero");
	if (!transaction->reply_known || transaction->cvalid > 1)
		return;
	if (two_way && success->rvalid != 1)
		nvc_obs_violated(conn, REQ_C_132, "RVALID 1, as the host sent CVALID 1 and an S2",
			"RVALID %u", success->rvalid);
	else if (!two_way && success->rvalid != 0)
		nvc_obs_violated(conn,
			transaction->cvalid == 0	     ? REQ_C_130
			: transaction->sc_c == NVC_SC_C_NOSC ? REQ_C_152
							     : REQ_C_190,
			"RVALID 0, as the host did not ask the controller to authenticate",
			"RVALID %u", success->rvalid);
}

static size_t judge_success1(struct nvc_obs_conn *conn, struct nvc_slice message, size_t room)
{
	const struct nvc_obs_transaction *transaction = &conn->transaction;
	size_t hl = nvc_hash_len(transaction->hash_id);
	struct nvc_success1 success;
	size_t len;

	if (transaction->challenge_known && message.len >= SUCCESS1_HEAD_LEN &&
		message.data[6] != hl) {
		nvc_obs_violated(conn, REQ_C_131, "the HL of the chosen hash",
			"HL %u for hash %02xh", message.data[6], transaction->hash_id);
		return 0;
	}
	if (nvc_decode(&nvc_success1_layout, message, &success, &len, NULL) != NVC_OK) {
		nvc_obs_violated(conn, message.len < room ? REQ_C_131 : REQ_C_080,
			"Success1 of 16 + HL bytes", "%zu bytes", message.len);
		return 0;
	}
	judge_t_id(conn, REQ_C_131, success.t_id);
	if (!nvc_reserved_is_zero(&nvc_success1_layout, message, NULL))
		nvc_obs_violated(conn, REQ_C_131, "reserved bytes zero",
			"a reserved byte of Success1 is set");
	judge_rvalid(conn, &success);
	return len;
}

/* What may lie behind a message is memory of the controller. */
static void judge_tail(struct nvc_obs_conn *conn, struct nvc_slice message, size_t len)
{
	struct nvc_slice tail = nvc_slice_sub(message, len, message.len);

	if (len > 0 && !nvc_slice_is_zero(tail))
		nvc_obs_violated(conn, REQ_C_086, "zeros behind the message",
			"%zu bytes behind it, not all zero", tail.len);
}

/* What is due in each state, for messages. */
static const char *due_in(enum nvc_obs_state state)
{
	switch (state) {
	case NVC_OBS_NEGOTIATED:
		return "Challenge or AUTH_Failure1";
	case NVC_OBS_REPLIED:
		return "Success1 or AUTH_Failure1";
	default:
		return "AUTH_Failure1";
	}
}

/* A message out of order is judged for that alone: what it should hold follows from the order. */
static size_t judge_message(
	struct nvc_obs_conn *conn, uint16_t id, struct nvc_slice message, size_t room)
{
	enum req_id order = out_of_order(&conn->transaction, id);

	if (id == NVC_MSG_FAILURE1)
		return judge_failure1(conn, message, room);
	if (order != REQ_NONE) {
		nvc_obs_violated(conn, order, due_in(conn->transaction.state),
			"message %04xh, %zu bytes", id, message.len);
		conn->transaction.challenge_known = false;
		return 0;
	}
	if (id == NVC_MSG_CHALLENGE)
		return nvc_obs_challenge(conn, message, room);
	if (id == NVC_MSG_SUCCESS1)
		return judge_success1(conn, message, room);
	return 0;
}

void nvc_obs_still_open(struct nvc_obs_conn *conn, uint64_t time)
{
	const uint64_t bound = conn->observer->end_bound;

	if (conn->failed && time - conn->failed_at >= bound)
		nvc_obs_violated(conn, REQ_C_172,
			"the end of the connection within 30 s of AUTH_Failure1",
			"open %llu s after it",
			(unsigned long long)((time - conn->failed_at) / UINT64_C(1000000000)));
}

/* One outside a transaction, or behind its time, need refuse nothing, and leaves the queue as it was. */
static void take_failure1(struct nvc_obs_conn *conn)
{
	const struct nvc_obs_transaction *transaction = &conn->transaction;

	if (conn->failed || transaction->expired || transaction->state == NVC_OBS_UNKNOWN ||
		(transaction->state == NVC_OBS_IDLE && !transaction->strayed))
		return;
	conn->failed = true;
	conn->denied = conn->authenticated;
	conn->failed_at = conn->observer->now;
}

void nvc_obs_auth_received(struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	struct nvc_obs_transaction *transaction = &conn->transaction;
	struct nvc_slice message = nvc_slice_of(command->message, command->message_len);
	uint16_t id, t_id;
	bool due;

	expire(conn);
	if (command->message_bad) {
		transaction->state = NVC_OBS_UNKNOWN;
		return;
	}
	if (command->auth.length < AUTH_HEAD_LEN)
		return; /* the tester left no room for a message */
	if (!nvc_auth_peek(message, &id, &t_id))
		id = 0xffff; /* nothing that is ever due */
	due = id == NVC_MSG_FAILURE1 ? transaction->state != NVC_OBS_IDLE
				     : transaction->state != NVC_OBS_UNKNOWN &&
					       out_of_order(transaction, id) == REQ_NONE;
	judge_tail(conn, message, judge_message(conn, id, message, command->auth.length));
	tell_message(conn, command, NVC_C2H, id, due);
	if (id == NVC_MSG_CHALLENGE) {
		transaction->state = NVC_OBS_CHALLENGED;
	} else if (id == NVC_MSG_SUCCESS1 || id == NVC_MSG_FAILURE1) {
		if (id == NVC_MSG_FAILURE1)
			take_failure1(conn);
		transaction->state = NVC_OBS_IDLE;
		transaction->expired = transaction->strayed = false;
		transaction->success2_due = id == NVC_MSG_SUCCESS1 && transaction->reply_known &&
					    transaction->cvalid == 1 && transaction->s2 != 0;
		conn->authenticated |= id == NVC_MSG_SUCCESS1;
		conn->replaced |= id == NVC_MSG_SUCCESS1 && conn->tls &&
				  transaction->sc_c == NVC_SC_C_REPLACETLSPSK;
		conn->concatenated |= id == NVC_MSG_SUCCESS1 && !conn->tls &&
				      transaction->sc_c == NVC_SC_C_NEWTLSPSK;
	}
}
