/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands: capsules in, their data, completions out. What a command does is elsewhere. */
#include "target/teardown.h"

#include <stdlib.h>
#include <string.h>

/* What a command moves: nothing, data of the host, or data for the host; `len` is the command's own length. */
enum transfer { NO_DATA, FROM_HOST, TO_HOST };

struct expected {
	enum transfer transfer;
	uint32_t len;
};

void nvc_command_complete(struct conn *conn, uint16_t cid, uint16_t status, uint64_t result)
{
	const struct nvc_target *target = conn->target;
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_RESP};
	struct nvc_writer writer = nvc_writer_over(pdu.cqe, sizeof(pdu.cqe));
	struct nvc_cqe cqe = {.result = result};

	cqe.cid = (uint16_t)FIELD(target, CQE_CID, cid);
	cqe.sqhd = conn->no_flow_control ? 0 : conn->sqhd;
	if (!KEPT(target, CQE_SQHD))
		cqe.sqhd = (uint16_t)(conn->sqsize + 1);
	cqe.status_field = nvc_status_field(status, status != NVC_SC_SUCCESS);
	if (!KEPT(target, CQE_PHASE))
		cqe.status_field |= 1;
	if (nvc_encode(&nvc_cqe_layout, &cqe, NULL, &writer) == NVC_OK)
		nvc_conn_send(conn, &pdu);
}

void nvc_command_return(struct conn *conn, const struct nvc_sqe_head *head, struct nvc_slice data)
{
	const struct nvc_target *target = conn->target;
	uint32_t max = target->limits.max_c2h_data;

	for (size_t pos = 0; pos < data.len;) {
		struct nvc_slice piece = nvc_slice_sub(data, pos, max);
		struct nvc_pdu pdu = {.ch.type = NVC_PDU_C2H_DATA, .data = piece};

		if (pos + piece.len == data.len && KEPT(target, C2H_LAST))
			pdu.ch.flags = NVC_FLAG_LAST;
		if (!KEPT(target, C2H_SUCCESS))
			pdu.ch.flags |= NVC_FLAG_SUCCESS;
		pdu.xfer.cccid = head->cid;
		pdu.xfer.offset = (uint32_t)pos;
		if (!KEPT(target, C2H_OFFSET))
			pdu.xfer.offset += 4;
		pdu.xfer.length = (uint32_t)piece.len;
		nvc_conn_send(conn, &pdu);
		pos += piece.len;
	}
	if (!data.len || KEPT(target, C2H_SUCCESS))
		nvc_command_complete(conn, head->cid, NVC_SC_SUCCESS, 0);
}

void nvc_command_abort_all(struct conn *conn, uint16_t status)
{
	for (const struct command *c = conn->commands; c; c = c->next)
		nvc_command_complete(conn, c->cid, status, 0);
	nvc_conn_drop_commands(conn);
}

/* ---- what a command is ---- */

static struct expected expected_of_fabrics(struct nvc_slice sqe, uint8_t fctype)
{
	struct nvc_cmd_auth auth;

	switch (fctype) {
	case NVC_FCTYPE_CONNECT:
		return (struct expected){FROM_HOST, NVC_CONNECT_DATA_LEN};
	case NVC_FCTYPE_AUTH_SEND:
		if (nvc_decode(&nvc_cmd_auth_send_layout, sqe, &auth, NULL, NULL) != NVC_OK)
			break;
		return (struct expected){auth.length ? FROM_HOST : NO_DATA, auth.length};
	case NVC_FCTYPE_AUTH_RECEIVE:
		if (nvc_decode(&nvc_cmd_auth_receive_layout, sqe, &auth, NULL, NULL) != NVC_OK)
			break;
		return (struct expected){auth.length ? TO_HOST : NO_DATA, auth.length};
	default:
		break;
	}
	return (struct expected){NO_DATA, 0};
}

static struct expected expected_of(const struct conn *conn, struct nvc_slice sqe)
{
	struct nvc_cmd_fabrics fabrics;
	struct nvc_cmd_nvme cmd;
	uint32_t block_size = conn->controller ? conn->controller->subsystem->block_size : 512;

	if (nvc_decode(&nvc_cmd_fabrics_layout, sqe, &fabrics, NULL, NULL) != NVC_OK ||
		nvc_decode(&nvc_cmd_nvme_layout, sqe, &cmd, NULL, NULL) != NVC_OK)
		return (struct expected){NO_DATA, 0};
	if (fabrics.head.opc == NVC_OPC_FABRICS)
		return expected_of_fabrics(sqe, fabrics.fctype);
	if (conn->qid != 0) {
		uint32_t len = ((cmd.cdw12 & 0xffff) + 1) * block_size;

		if (cmd.head.opc == NVC_IO_WRITE)
			return (struct expected){FROM_HOST, len};
		if (cmd.head.opc == NVC_IO_READ)
			return (struct expected){TO_HOST, len};
		return (struct expected){NO_DATA, 0};
	}
	if (cmd.head.opc == NVC_ADMIN_IDENTIFY)
		return (struct expected){TO_HOST, NVC_IDENTIFY_LEN};
	if (cmd.head.opc == NVC_ADMIN_GET_LOG_PAGE) {
		uint64_t dwords = ((uint64_t)(cmd.cdw11 & 0xffff) << 16 | cmd.cdw10 >> 16) + 1;

		return (struct expected){
			TO_HOST, dwords > MAX_TRANSFER / 4 ? UINT32_MAX : (uint32_t)dwords * 4};
	}
	return (struct expected){NO_DATA, 0};
}

/* ---- execution ---- */

static struct outcome execute_fabrics(const struct request *req)
{
	const struct conn *conn = req->conn;
	struct nvc_cmd_fabrics cmd;

	if (nvc_decode(&nvc_cmd_fabrics_layout, req->sqe, &cmd, NULL, NULL) != NVC_OK)
		return (struct outcome){.status = NVC_SC_INTERNAL};
	switch (cmd.fctype) {
	case NVC_FCTYPE_CONNECT:
		return nvc_exec_connect(req);
	case NVC_FCTYPE_PROPERTY_GET:
	case NVC_FCTYPE_PROPERTY_SET:
		return nvc_exec_property(req, cmd.fctype == NVC_FCTYPE_PROPERTY_SET);
	case NVC_FCTYPE_AUTH_SEND:
		return nvc_exec_auth_send(req);
	case NVC_FCTYPE_AUTH_RECEIVE:
		return nvc_exec_auth_receive(req);
	case NVC_FCTYPE_DISCONNECT:
		return nvc_exec_disconnect(req);
	default:
		return (struct outcome){.status = KEPT(conn->target, FCTYPE) ? NVC_SC_INVALID_FIELD
									     : NVC_SC_SUCCESS};
	}
}

static void execute(const struct request *req)
{
	struct conn *conn = req->conn;
	struct outcome outcome;

	if (req->head.opc == NVC_OPC_FABRICS)
		outcome = execute_fabrics(req);
	else
		outcome = conn->qid == 0 ? nvc_exec_admin(req) : nvc_exec_io(req);
	if (!outcome.done)
		nvc_command_complete(conn, req->head.cid, outcome.status, outcome.result);
}

/* ---- data ---- */

static bool is_beyond(struct expected expected)
{
	return expected.len > MAX_TRANSFER && expected.transfer == FROM_HOST;
}

static uint16_t check_sgl(const struct conn *conn, const struct nvc_sqe_head *head,
	struct expected expected, struct nvc_slice in_capsule)
{
	const struct nvc_target *target = conn->target;
	bool in = head->sgl_id == NVC_SGL_IN_CAPSULE && expected.transfer == FROM_HOST;

	if (expected.transfer == NO_DATA)
		return 0;
	if (!in && head->sgl_id != NVC_SGL_TRANSPORT)
		return KEPT(target, SGL_TYPE) ? NVC_SC_SGL_TYPE : 0;
	if (is_beyond(expected))
		return NVC_SC_DATA_SGL_LENGTH;
	if (head->sgl_len != expected.len && KEPT(target, SGL_LENGTH))
		return NVC_SC_DATA_SGL_LENGTH;
	if (in && head->sgl_len > NVC_PDU_MAX_IN_CAPSULE / 2 && !KEPT(target, IN_CAPSULE))
		return NVC_SC_DATA_SGL_LENGTH;
	if (in &&
		(head->sgl_addr > in_capsule.len ||
			head->sgl_len > in_capsule.len - head->sgl_addr) &&
		KEPT(target, SGL_OFFSET))
		return NVC_SC_SGL_OFFSET;
	return 0;
}

/* Checks that come before any data moves; 0 to go on. */
static uint16_t check_early(const struct conn *conn, const struct request *req)
{
	const struct nvc_target *target = conn->target;
	struct nvc_cmd_fabrics cmd;

	if (nvc_decode(&nvc_cmd_fabrics_layout, req->sqe, &cmd, NULL, NULL) != NVC_OK)
		return NVC_SC_INTERNAL;
	if (!conn->connected && cmd.head.opc == NVC_OPC_FABRICS && cmd.fctype == NVC_FCTYPE_CONNECT)
		return 0;
	if (!conn->connected)
		return NVC_SC_COMMAND_SEQUENCE;
	if (cmd.head.opc == NVC_OPC_FABRICS && cmd.fctype == NVC_FCTYPE_CONNECT)
		return KEPT(target, CONNECT_ONCE) ? NVC_SC_COMMAND_SEQUENCE : 0;
	if ((cmd.head.flags & 0xc0) == NVC_PSDT_SGL_10B && !KEPT(target, PSDT_10B))
		return NVC_SC_INVALID_FIELD;
	if ((cmd.head.flags & 0xc0) == NVC_PSDT_SGL_01B && !KEPT(target, PSDT_01B))
		return NVC_SC_INVALID_FIELD;
	return nvc_policy_gate(conn, req->sqe);
}

static void send_r2t(struct conn *conn, uint16_t cid, uint16_t ttag, uint32_t len)
{
	struct nvc_pdu r2t = {.ch.type = NVC_PDU_R2T};

	r2t.xfer.cccid = cid;
	r2t.xfer.ttag = ttag;
	r2t.xfer.offset = KEPT(conn->target, R2T_OFFSET) ? 0 : 4;
	r2t.xfer.length = len;
	nvc_conn_send(conn, &r2t);
}

/* Keeps a command until its data has come, and asks for them. */
static uint16_t ask_for_data(struct conn *conn, const struct request *req, uint32_t len)
{
	struct command *command;

	if (conn->num_commands >= MAX_QUEUE_ENTRIES)
		return NVC_SC_INTERNAL;
	command = calloc(1, sizeof(*command));
	if (!command)
		return NVC_SC_INTERNAL;
	command->data = malloc(len);
	if (!command->data) {
		free(command);
		return NVC_SC_INTERNAL;
	}
	memcpy(command->sqe, req->sqe.data, sizeof(command->sqe));
	command->cid = req->head.cid;
	command->len = len;
	conn->next_ttag = (uint16_t)(conn->next_ttag + 1 ? conn->next_ttag + 1 : 1);
	command->ttag = conn->next_ttag;
	command->next = conn->commands;
	conn->commands = command;
	conn->num_commands++;
	send_r2t(conn, command->cid, command->ttag, len);
	return 0;
}

static void count_command(struct conn *conn)
{
	if (conn->sqsize)
		conn->sqhd = (uint16_t)((conn->sqhd + 1) % (conn->sqsize + 1));
	if (conn->qid == 0 && conn->connected && conn->controller)
		/* Only Keep Alive has to restart the timer; every admin command is as good a sign of life. */
		conn->controller->last_command = nvc_env_now(&conn->target->env);
}

void nvc_command_capsule(struct conn *conn, const struct nvc_pdu *pdu)
{
	struct request req = {.conn = conn, .sqe = nvc_slice_of(pdu->sqe, NVC_SQE_LEN)};
	struct nvc_cmd_fabrics cmd;
	struct expected expected;
	uint16_t status;

	if (nvc_decode(&nvc_cmd_fabrics_layout, req.sqe, &cmd, NULL, NULL) != NVC_OK)
		return;
	req.head = cmd.head;
	count_command(conn);
	expected = expected_of(conn, req.sqe);
	status = check_early(conn, &req);
	if (!status && pdu->ddgst_wrong && KEPT(conn->target, DDGST))
		status = NVC_SC_TRANSIENT_TRANSPORT;
	if (!status && is_beyond(expected) && !KEPT(conn->target, SGL_BOUND))
		return;
	if (!status)
		status = check_sgl(conn, &req.head, expected, pdu->data);
	if (!status && expected.transfer == FROM_HOST) {
		if (req.head.sgl_id == NVC_SGL_TRANSPORT) {
			status = ask_for_data(conn, &req, expected.len);
			if (!status)
				return;
		} else {
			size_t offset = req.head.sgl_addr > pdu->data.len
						? pdu->data.len
						: (size_t)req.head.sgl_addr;

			req.data = nvc_slice_sub(pdu->data, offset, req.head.sgl_len);
			if (conn->connected && !KEPT(conn->target, R2T_WANTED))
				send_r2t(conn, req.head.cid, 0, expected.len);
		}
	}
	if (status && !conn->connected && !KEPT(conn->target, CONNECT_FIRST))
		/* The defect claims success and does nothing: there is no controller to do it. */
		nvc_command_complete(conn, req.head.cid, NVC_SC_SUCCESS, 0);
	else if (status)
		nvc_command_complete(conn, req.head.cid, status, 0);
	else
		execute(&req);
}

/* ---- H2CData ---- */

static struct command *find_command(const struct conn *conn, uint16_t cid)
{
	for (struct command *c = conn->commands; c; c = c->next)
		if (c->cid == cid && !c->async_event)
			return c;
	return NULL;
}

/* The FES of an H2CData that does not fit its R2T; NVC_FES_NONE when it does or a defect looks away. */
static enum nvc_fes check_data(const struct conn *conn, const struct command *command,
	const struct nvc_pdu *pdu, uint32_t *fei)
{
	const struct nvc_target *target = conn->target;
	const struct nvc_data *xfer = &pdu->xfer;

	*fei = 0;
	if (pdu->data.len > target->limits.maxh2cdata && KEPT(target, H2C_LIMIT))
		return NVC_FES_LIMIT_EXCEEDED;
	if (!command) {
		*fei = 8;
		return KEPT(target, H2C_CCCID) ? NVC_FES_INVALID_FIELD : NVC_FES_NONE;
	}
	if (xfer->ttag != command->ttag) {
		*fei = 10;
		return KEPT(target, H2C_TTAG) ? NVC_FES_INVALID_FIELD : NVC_FES_NONE;
	}
	if (xfer->length != pdu->data.len) {
		*fei = 16;
		return xfer->length > command->len - command->num_received ? NVC_FES_OUT_OF_RANGE
									   : NVC_FES_INVALID_FIELD;
	}
	if (xfer->offset >= command->len || xfer->length > command->len - xfer->offset) {
		*fei = xfer->offset >= command->len ? 12 : 16;
		return KEPT(target, H2C_RANGE) ? NVC_FES_OUT_OF_RANGE : NVC_FES_NONE;
	}
	if (xfer->offset != command->num_received)
		return KEPT(target, H2C_ORDER) ? NVC_FES_SEQUENCE : NVC_FES_NONE;
	return NVC_FES_NONE;
}

static void unlink_command(struct conn *conn, const struct command *command)
{
	struct command **link = &conn->commands;

	while (*link != command)
		link = &(*link)->next;
	*link = command->next;
	conn->num_commands--;
}

void nvc_command_data(struct conn *conn, const struct nvc_pdu *pdu, struct nvc_slice header)
{
	struct command *command = find_command(conn, pdu->xfer.cccid);
	uint32_t fei = 0;
	enum nvc_fes fes = check_data(conn, command, pdu, &fei);
	struct request req = {.conn = conn};
	struct nvc_cmd_fabrics cmd;
	size_t room;

	if (fes != NVC_FES_NONE) {
		nvc_conn_fatal(conn, fes, fei, header);
		return;
	}
	if (!command)
		return;
	room = command->len - command->num_received;
	if (room > pdu->data.len)
		room = pdu->data.len;
	if (room)
		memcpy(command->data + command->num_received, pdu->data.data, room);
	command->num_received += room;
	if (pdu->ddgst_wrong && KEPT(conn->target, DDGST))
		command->data_wrong = true;
	if (command->num_received < command->len)
		return;
	unlink_command(conn, command);
	req.sqe = nvc_slice_of(command->sqe, sizeof(command->sqe));
	req.data = nvc_slice_of(command->data, command->len);
	if (command->data_wrong || nvc_decode(&nvc_cmd_fabrics_layout, req.sqe, &cmd, NULL, NULL)) {
		nvc_command_complete(conn, command->cid, NVC_SC_TRANSIENT_TRANSPORT, 0);
	} else {
		req.head = cmd.head;
		execute(&req);
	}
	free(command->data);
	free(command);
}
