/* SPDX-License-Identifier: BSD-3-Clause */
/* Outstanding commands, their data and their responses. */
#include <stdlib.h>
#include <string.h>

#include "observer/observer_state.h"

enum {
	OPC_DIRECTION = 3, /* bits 1:0 of OPC and FCTYPE */
	OPC_TO_CONTROLLER = 1,
	OPC_TO_HOST = 2,
	SQHD_NO_FLOW_CONTROL = 0xffff,
	MIN_RESERVED_CNTLID = 0xfff0,
};

bool nvc_obs_is_fabrics(const struct nvc_obs_command *command, enum nvc_fctype fctype)
{
	return command->opc == NVC_OPC_FABRICS && command->fctype == fctype;
}

static bool is_auth(const struct nvc_obs_command *command)
{
	return nvc_obs_is_fabrics(command, NVC_FCTYPE_AUTH_SEND) ||
	       nvc_obs_is_fabrics(command, NVC_FCTYPE_AUTH_RECEIVE);
}

struct nvc_obs_command *nvc_obs_find(struct nvc_obs_conn *conn, uint16_t cid)
{
	for (size_t i = 0; !conn->host_bent && i < conn->num_commands; i++) {
		if (conn->commands[i].cid == cid)
			return &conn->commands[i];
	}
	return NULL;
}

void nvc_obs_drop_command(struct nvc_obs_command *command)
{
	free(command->message);
	free(command->connect.names);
}

static void forget_command(struct nvc_obs_conn *conn, struct nvc_obs_command *command)
{
	size_t behind = conn->num_commands - (size_t)(command - conn->commands) - 1;

	nvc_obs_drop_command(command);
	memmove(command, command + 1, behind * sizeof(*command));
	conn->num_commands--;
}

/* Returns a zeroed place at the end of the table, NULL when it is full. */
static struct nvc_obs_command *new_command(struct nvc_obs_conn *conn)
{
	struct nvc_obs_command *command;

	if (conn->num_commands == NVC_OBSERVER_MAX_COMMANDS)
		return NULL;
	if (conn->num_commands == conn->cap_commands) {
		size_t cap = conn->cap_commands ? 2 * conn->cap_commands : 4;
		struct nvc_obs_command *grown =
			realloc(conn->commands, cap * sizeof(*conn->commands));

		if (!grown)
			return NULL;
		conn->commands = grown;
		conn->cap_commands = cap;
	}
	command = &conn->commands[conn->num_commands++];
	memset(command, 0, sizeof(*command));
	return command;
}

/* Keeps bytes of a message that continue what is there already. */
static void keep(struct nvc_obs_command *command, uint64_t offset, struct nvc_slice data)
{
	uint8_t *grown;

	if (offset != command->message_len) {
		/* What lies beyond the limit is not needed: no message is that long. */
		command->message_bad |= command->message_len < NVC_OBS_MAX_MESSAGE;
		return;
	}
	data = nvc_slice_sub(data, 0, NVC_OBS_MAX_MESSAGE - command->message_len);
	if (data.len == 0)
		return;
	grown = realloc(command->message, command->message_len + data.len);
	if (!grown) {
		command->message_bad = true;
		return;
	}
	memcpy(grown + command->message_len, data.data, data.len);
	command->message = grown;
	command->message_len += data.len;
}

/* FNV-1a: the observer only has to tell one pair of names from another. */
static uint64_t hash_names(const struct nvc_connect_data *data)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < 2 * NVC_NQN_FIELD_LEN; i++) {
		hash ^= i < NVC_NQN_FIELD_LEN ? data->subnqn[i]
					      : data->hostnqn[i - NVC_NQN_FIELD_LEN];
		hash *= 0x100000001b3u;
	}
	return hash;
}

/* Keeps both names behind one another; a name that is none is empty. */
static char *keep_names(const struct nvc_connect_data *data)
{
	char hostnqn[NVC_NQN_MAX_LEN + 1], subnqn[NVC_NQN_MAX_LEN + 1];
	size_t host_size, sub_size;
	char *names;

	if (!nvc_nqn_get(data->hostnqn, hostnqn))
		hostnqn[0] = '\0';
	if (!nvc_nqn_get(data->subnqn, subnqn))
		subnqn[0] = '\0';
	host_size = strlen(hostnqn) + 1;
	sub_size = strlen(subnqn) + 1;
	names = malloc(host_size + sub_size);
	if (names) {
		memcpy(names, hostnqn, host_size);
		memcpy(names + host_size, subnqn, sub_size);
	}
	return names;
}

static void take_connect(
	struct nvc_obs_command *command, const struct nvc_pdu *pdu, bool names_wanted)
{
	char nqn[NVC_NQN_MAX_LEN + 1];
	struct nvc_connect_data data;
	struct nvc_cmd_connect cmd;

	if (nvc_decode(&nvc_cmd_connect_layout, NVC_SLICE(pdu->sqe), &cmd, NULL, NULL) != NVC_OK)
		return;
	command->connect.recfmt = cmd.recfmt;
	command->connect.qid = cmd.qid;
	command->connect.sqsize = cmd.sqsize;
	command->connect.cattr = cmd.cattr;
	command->connect.kato = cmd.kato;
	if (nvc_decode(&nvc_connect_data_layout, pdu->data, &data, NULL, NULL) != NVC_OK)
		return;
	command->connect.subnqn_bad = !nvc_nqn_get(data.subnqn, nqn);
	command->connect.hostnqn_bad = !nvc_nqn_get(data.hostnqn, nqn);
	command->connect.pair = hash_names(&data);
	if (names_wanted)
		command->connect.names = keep_names(&data);
}

static void take_auth(struct nvc_obs_command *command, const struct nvc_pdu *pdu)
{
	struct nvc_cmd_auth cmd;

	if (nvc_decode(&nvc_cmd_auth_send_layout, NVC_SLICE(pdu->sqe), &cmd, NULL, NULL) != NVC_OK)
		return;
	command->auth.spsp0 = cmd.spsp0;
	command->auth.spsp1 = cmd.spsp1;
	command->auth.secp = cmd.secp;
	command->auth.length = cmd.length;
	command->message_bad = pdu->ddgst_wrong;
	if (command->fctype == NVC_FCTYPE_AUTH_SEND)
		keep(command, 0, nvc_slice_sub(pdu->data, 0, cmd.length));
}

void nvc_obs_command_sent(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu)
{
	struct nvc_obs_command *command;
	struct nvc_cmd_fabrics cmd;

	if (nvc_decode(&nvc_cmd_fabrics_layout, NVC_SLICE(pdu->sqe), &cmd, NULL, NULL) != NVC_OK)
		return;
	if (nvc_obs_find(conn, cmd.head.cid)) {
		nvc_obs_host_is_bent(conn, "CID of an outstanding command used again");
		return;
	}
	command = new_command(conn);
	if (!command) {
		nvc_obs_host_is_bent(conn, "more outstanding commands than are followed");
		return;
	}
	command->cid = cmd.head.cid;
	command->opc = cmd.head.opc;
	command->fctype = cmd.fctype;
	command->sgl_id = cmd.head.sgl_id;
	command->sgl_len = cmd.head.sgl_len;
	command->after_term = conn->h2c_term;
	command->after_failure = conn->failed;
	command->sent = conn->observer->now;
	command->packet = conn->observer->packets;
	if (nvc_obs_is_fabrics(command, NVC_FCTYPE_CONNECT))
		take_connect(command, pdu, conn->observer->sink.connected != NULL);
	else if (is_auth(command))
		take_auth(command, pdu);
}

void nvc_obs_h2c_data(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu)
{
	struct nvc_obs_command *command = nvc_obs_find(conn, pdu->xfer.cccid);

	if (!command)
		return;
	command->given += pdu->data.len;
	if (command->given >= command->asked)
		command->r2ts = 0; /* also where LAST_PDU is missing */
	else if (pdu->ch.flags & NVC_FLAG_LAST && command->r2ts > 0)
		command->r2ts--;
	if (!nvc_obs_is_fabrics(command, NVC_FCTYPE_AUTH_SEND))
		return;
	command->packet = conn->observer->packets;
	command->message_bad |= pdu->ddgst_wrong;
	keep(command, pdu->xfer.offset, pdu->data);
}

void nvc_obs_keep_data(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu)
{
	struct nvc_obs_command *command = nvc_obs_find(conn, pdu->xfer.cccid);

	if (!command || !nvc_obs_is_fabrics(command, NVC_FCTYPE_AUTH_RECEIVE))
		return;
	command->packet = conn->observer->packets;
	command->message_bad |= pdu->ddgst_wrong || pdu->xfer.length != pdu->data.len;
	keep(command, pdu->xfer.offset, pdu->data);
}

static uint8_t code_of(const struct nvc_obs_command *command)
{
	return command->opc == NVC_OPC_FABRICS ? command->fctype : command->opc;
}

/* The bytes of data of a command; the larger number where a tester let its length field and the SGL differ. */
static uint64_t length_of(const struct nvc_obs_command *command)
{
	return is_auth(command) && command->auth.length > command->sgl_len ? command->auth.length
									   : command->sgl_len;
}

/* The bytes the host made room for. */
static uint64_t room_of(const struct nvc_obs_command *command)
{
	if ((code_of(command) & OPC_DIRECTION) != OPC_TO_HOST)
		return 0;
	return length_of(command);
}

/* Takes what the end of an Authentication Send or Receive means. */
static void end_auth(struct nvc_obs_conn *conn, struct nvc_obs_command *command)
{
	if (command->fctype == NVC_FCTYPE_AUTH_SEND) {
		nvc_obs_auth_sent(conn, command);
		return;
	}
	/* Sends whose responses are still on their way came before the answer that is here
	 * already. */
	for (struct nvc_obs_command *sent = conn->commands; sent < command; sent++) {
		if (nvc_obs_is_fabrics(sent, NVC_FCTYPE_AUTH_SEND))
			nvc_obs_auth_sent(conn, sent);
	}
	nvc_obs_auth_received(conn, command);
}

/* The time-out of a transaction is KATO, which only the admin queue of an association states;
 * the shortest will do for all. */
static void note_kato(struct nvc_observer *observer, uint32_t kato_ms)
{
	uint64_t kato = (uint64_t)kato_ms * 1000000;

	if (kato && kato < observer->patience)
		observer->patience = kato;
}

static void tell_connected(
	const struct nvc_obs_conn *conn, const struct nvc_obs_command *command, uint16_t cntlid)
{
	const struct nvc_observer_sink *sink = &conn->observer->sink;
	const char *names = command->connect.names ? command->connect.names : "\0";
	const struct nvc_observed_connect connect = {.conn = conn->id,
		.qid = command->connect.qid,
		.cntlid = cntlid,
		.hostnqn = names,
		.subnqn = names + strlen(names) + 1};

	if (sink->connected)
		sink->connected(sink->self, &connect);
}

/* The specifications do not forbid it in so many words. */
static void judge_channel(struct nvc_obs_conn *conn)
{
	const struct nvc_obs_conn *admin =
		conn->qid != 0 && !conn->tls ? nvc_obs_tls_admin(conn) : NULL;

	if (admin)
		nvc_obs_violated(conn, REQ_C_203, "a refusal, as the admin queue is over TLS",
			"I/O queue %u of CNTLID %u in clear, its admin queue is connection %u",
			conn->qid, conn->cntlid, admin->id);
}

static void connected(
	struct nvc_obs_conn *conn, const struct nvc_obs_command *command, const struct nvc_cqe *cqe)
{
	uint32_t dw0 = (uint32_t)cqe->result;
	uint32_t allowed = 0xffffu | NVC_CONNECT_ATR | NVC_CONNECT_ASCR;

	if ((dw0 & 0xffff) >= MIN_RESERVED_CNTLID)
		nvc_obs_violated(
			conn, REQ_C_054, "CNTLID below FFF0h", "CNTLID %04xh", dw0 & 0xffff);
	else if (dw0 & ~allowed)
		nvc_obs_violated(conn, REQ_C_054, "bits 16 and 31:19 zero", "DW0 %08xh", dw0);
	if (dw0 & NVC_CONNECT_ATR && dw0 & NVC_CONNECT_ASCR)
		nvc_obs_violated(conn, REQ_C_056, "ATR 0 with ASCR 1", "ATR 1, ASCR 1");
	conn->connected = true;
	conn->begun = false;
	conn->qid = command->connect.qid;
	conn->queue_size = command->connect.sqsize + 1u;
	conn->flow_off =
		command->connect.cattr & NVC_CATTR_DISSQFC && cqe->sqhd == SQHD_NO_FLOW_CONTROL;
	conn->authreq = dw0 & (NVC_CONNECT_ATR | NVC_CONNECT_ASCR);
	conn->pair = command->connect.pair;
	conn->cntlid = (uint16_t)dw0;
	judge_channel(conn);
	note_kato(conn->observer, command->connect.kato);
	tell_connected(conn, command, (uint16_t)dw0);
}

/* Judges and forgets a command that has ended; `cqe` is NULL when SUCCESS stood in for the
 * response. */
static void end_command(
	struct nvc_obs_conn *conn, struct nvc_obs_command *command, const struct nvc_cqe *cqe)
{
	uint16_t status = cqe ? nvc_cqe_status(cqe->status_field) : NVC_SC_SUCCESS;

	if (command->after_term)
		nvc_obs_violated(conn, REQ_C_028, "nothing processed after H2CTermReq",
			"an answer to CID %u, which was sent after it", command->cid);
	if (command->received > 0 && !command->last && status == NVC_SC_SUCCESS)
		nvc_obs_violated(conn, REQ_C_037, "LAST_PDU in the last C2HData",
			"%llu bytes for CID %u without LAST_PDU",
			(unsigned long long)command->received, command->cid);
	if (command->after_failure)
		nvc_obs_still_open(conn, command->sent);
	nvc_obs_status(conn, command, status);
	if (status == NVC_SC_SUCCESS && cqe && nvc_obs_is_fabrics(command, NVC_FCTYPE_CONNECT))
		connected(conn, command, cqe);
	if (status == NVC_SC_SUCCESS && is_auth(command))
		end_auth(conn, command);
	forget_command(conn, command);
}

static void unknown_cid(struct nvc_obs_conn *conn, enum req_id req, uint16_t cid)
{
	/* A controller may refuse a command by its SQE, before the data that PLEN promises has come. */
	if (!conn->host_bent && conn->streams[NVC_H2C].len == 0)
		nvc_obs_violated(conn, req, "the CID of an outstanding command",
			"CID %u, which is not outstanding", cid);
	/* Which command this answers cannot be told, so those outstanding cannot be followed. */
	nvc_obs_host_is_bent(conn, "answer to no command");
}

void nvc_obs_c2h_data(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu)
{
	struct nvc_obs_command *command = nvc_obs_find(conn, pdu->xfer.cccid);
	bool last = pdu->ch.flags & NVC_FLAG_LAST, success = pdu->ch.flags & NVC_FLAG_SUCCESS;
	uint64_t room;

	if (pdu->xfer.length != pdu->data.len)
		nvc_obs_violated(conn, REQ_N_003, "DATAL as many bytes as PLEN leaves",
			"DATAL %u, %zu bytes", pdu->xfer.length, pdu->data.len);
	if (success && (!last || (!conn->flow_off && !conn->host_bent)))
		nvc_obs_violated(conn, REQ_C_038,
			"SUCCESS only with LAST_PDU and without SQ flow control",
			"SUCCESS, LAST_PDU %d, SQ flow control %s", last,
			conn->flow_off ? "off" : "on");
	if (!command) {
		unknown_cid(conn, REQ_C_068, pdu->xfer.cccid);
		return;
	}
	if (command->last)
		nvc_obs_violated(conn, REQ_C_037, "no C2HData after LAST_PDU",
			"more data for CID %u", command->cid);
	else if (pdu->xfer.offset != command->received)
		nvc_obs_violated(conn, REQ_C_037, "contiguous from DATAO 0",
			"DATAO %u after %llu bytes", pdu->xfer.offset,
			(unsigned long long)command->received);
	command->received += pdu->data.len;
	command->last |= last;
	room = room_of(command);
	if (command->sgl_id == NVC_SGL_TRANSPORT && command->received > room)
		nvc_obs_violated(conn, REQ_C_080, "no more than the host made room for",
			"%llu bytes for CID %u, room for %llu",
			(unsigned long long)command->received, command->cid,
			(unsigned long long)room);
	if (success && last)
		end_command(conn, command, NULL);
}

/* Only SGLs that say where the data is; others are refused, which is not judged here. */
static bool judge_asked(struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	const char *why = NULL;

	if (!(code_of(command) & OPC_TO_CONTROLLER))
		why = "which has no data for the controller";
	else if (command->sgl_id == NVC_SGL_IN_CAPSULE)
		why = "whose data is in the capsule";
	if (why)
		nvc_obs_violated(conn, REQ_N_027, "R2T for data that the host sends by R2T",
			"R2T for CID %u, %s", command->cid, why);
	return !why && command->sgl_id == NVC_SGL_TRANSPORT;
}

void nvc_obs_r2t(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu)
{
	struct nvc_obs_command *command = nvc_obs_find(conn, pdu->xfer.cccid);
	uint64_t begin = pdu->xfer.offset, end = begin + pdu->xfer.length;
	enum req_id req;

	if (!command) {
		unknown_cid(conn, REQ_N_027, pdu->xfer.cccid);
		return;
	}
	if (!judge_asked(conn, command))
		return;
	req = nvc_obs_is_fabrics(command, NVC_FCTYPE_AUTH_SEND) ? REQ_C_029 : REQ_N_027;
	if (end > length_of(command))
		nvc_obs_violated(conn, req, "an R2T within the data of the command",
			"R2TO %u, R2TL %u, length %llu", pdu->xfer.offset, pdu->xfer.length,
			(unsigned long long)length_of(command));
	else if (begin != command->asked)
		nvc_obs_violated(conn, req, "R2TO contiguous from 0", "R2TO %u after %llu bytes",
			pdu->xfer.offset, (unsigned long long)command->asked);
	command->asked = end;
	command->r2ts++;
	if (command->r2ts > (uint64_t)conn->ic_req.max + 1)
		nvc_obs_violated(conn, REQ_N_027, "at most MAXR2T + 1 outstanding R2Ts",
			"%llu for CID %u with MAXR2T %u", (unsigned long long)command->r2ts,
			command->cid, conn->ic_req.max);
}

/* SQHD of the Connect response tells whether flow control is disabled, so it is judged by what
 * was asked. */
static void judge_sqhd(
	struct nvc_obs_conn *conn, const struct nvc_obs_command *command, const struct nvc_cqe *cqe)
{
	bool connect = nvc_obs_is_fabrics(command, NVC_FCTYPE_CONNECT);
	uint32_t size = connect ? command->connect.sqsize + 1u : conn->queue_size;

	if (connect) {
		if (nvc_cqe_status(cqe->status_field) != NVC_SC_SUCCESS || conn->connected)
			return;
		if (command->connect.cattr & NVC_CATTR_DISSQFC && cqe->sqhd == SQHD_NO_FLOW_CONTROL)
			return;
	} else if (!conn->connected || conn->flow_off) {
		return;
	}
	if (size > 1 &&
		cqe->sqhd >=
			size) /* SQSIZE 0 is no queue; that it was taken has a row of its own */
		nvc_obs_violated(conn, REQ_C_068, "SQHD below the queue size",
			"SQHD %u in a queue of %u entries", cqe->sqhd, size);
}

void nvc_obs_response(struct nvc_obs_conn *conn, const struct nvc_pdu *pdu)
{
	struct nvc_obs_command *command;
	struct nvc_cqe cqe;

	if (nvc_decode(&nvc_cqe_layout, NVC_SLICE(pdu->cqe), &cqe, NULL, NULL) != NVC_OK)
		return;
	if (cqe.status_field & 1)
		nvc_obs_violated(conn, REQ_C_068, "bit 0 of the status field zero",
			"status field %04xh", cqe.status_field);
	command = nvc_obs_find(conn, cqe.cid);
	if (!command) {
		unknown_cid(conn, REQ_C_068, cqe.cid);
		return;
	}
	judge_sqhd(conn, command, &cqe);
	end_command(conn, command, &cqe);
}
