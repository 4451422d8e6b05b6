/* SPDX-License-Identifier: BSD-3-Clause */
/* Connect and Disconnect (Base 2.2, 6.3 and 6.4). */
#include "target/teardown.h"

#include <string.h>

/* Everything a Connect says, decoded, and what its checks have found. */
struct connect {
	struct conn *conn;
	struct nvc_cmd_connect cmd;
	struct nvc_connect_data data;
	char hostnqn[NVC_NQN_MAX_LEN + 1], subnqn[NVC_NQN_MAX_LEN + 1];
	bool hostnqn_ok, subnqn_ok;
	const struct subsystem *subsystem;
	const struct host *host;
	struct controller *controller; /* of an I/O queue */
};

enum { IN_DATA = 1 << 16 }; /* IATTR: the offset is one of the data */

static bool recfmt_ok(const struct connect *c)
{
	return c->cmd.recfmt == 0;
}

static bool sqsize_ok(const struct connect *c)
{
	uint32_t max = c->cmd.qid == 0 ? MAX_ADMIN_ENTRIES : MAX_QUEUE_ENTRIES;

	return c->cmd.sqsize != 0 && c->cmd.sqsize < max;
}

static bool qid_ok(const struct connect *c)
{
	return c->cmd.qid <= c->conn->target->limits.max_queues;
}

static bool hostid_ok(const struct connect *c)
{
	return !nvc_slice_is_zero(NVC_SLICE(c->data.hostid));
}

static bool subnqn_form_ok(const struct connect *c)
{
	return c->subnqn_ok;
}

static bool hostnqn_form_ok(const struct connect *c)
{
	return c->hostnqn_ok;
}

static bool subsystem_ok(const struct connect *c)
{
	return c->subsystem != NULL;
}

static bool nqns_differ(const struct connect *c)
{
	return strcmp(c->hostnqn, c->subnqn) != 0;
}

static bool host_ok(const struct connect *c)
{
	return c->host != NULL || (c->subsystem && c->subsystem->allow_any_host);
}

static bool tls_subnqn_ok(const struct connect *c)
{
	return !c->conn->secured || strcmp(c->conn->tls_subnqn, c->subnqn) == 0;
}

static bool tls_hostnqn_ok(const struct connect *c)
{
	return !c->conn->secured || strcmp(c->conn->tls_hostnqn, c->hostnqn) == 0;
}

static bool cntlid_ok(const struct connect *c)
{
	return c->cmd.qid != 0 || c->data.cntlid == NVC_CNTLID_DYNAMIC;
}

static bool io_controller_ok(const struct connect *c)
{
	return c->cmd.qid == 0 || c->controller != NULL;
}

static bool io_host_ok(const struct connect *c)
{
	return c->cmd.qid == 0 ||
	       (c->controller && strcmp(c->controller->hostnqn, c->hostnqn) == 0);
}

static bool io_hostid_ok(const struct connect *c)
{
	return c->cmd.qid == 0 || (c->controller && memcmp(c->controller->hostid, c->data.hostid,
							    NVC_HOSTID_LEN) == 0);
}

static bool io_subsystem_ok(const struct connect *c)
{
	return c->cmd.qid == 0 || (c->controller && c->controller->subsystem == c->subsystem);
}

static bool io_enabled(const struct connect *c)
{
	return c->cmd.qid == 0 ||
	       (c->controller && (c->controller->cc & 1) && (c->controller->csts & NVC_CSTS_RDY));
}

static bool io_tls_ok(const struct connect *c)
{
	return c->cmd.qid == 0 || !c->controller || !c->controller->tls || c->conn->secured;
}

static bool qid_free(const struct connect *c)
{
	if (c->cmd.qid == 0 || !c->controller)
		return true;
	for (const struct conn *o = c->conn->target->conns; o; o = o->next)
		if (o->controller == c->controller && o->qid == c->cmd.qid)
			return false;
	return true;
}

/* In this order; the first that fails gives the status, with IPO and IATTR in DW0 for 182h. */
static const struct {
	enum rule rule;
	bool (*ok)(const struct connect *c);
	uint16_t status;
	uint32_t where;
} checks[] = {
	{RULE_CONNECT_RECFMT, recfmt_ok, NVC_SC_CONNECT_FORMAT, 0},
	{RULE_CONNECT_SQSIZE, sqsize_ok, NVC_SC_CONNECT_PARAMETERS, 44},
	{RULE_NONE, qid_ok, NVC_SC_CONNECT_PARAMETERS, 42},
	{RULE_NONE, hostid_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 0},
	{RULE_CONNECT_SUBNQN_FORM, subnqn_form_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 256},
	{RULE_CONNECT_HOSTNQN_FORM, hostnqn_form_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 512},
	{RULE_CONNECT_NQNS_DIFFER, nqns_differ, NVC_SC_CONNECT_HOST, 0},
	{RULE_CONNECT_SUBNQN, subsystem_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 256},
	{RULE_CONNECT_TLS_NQNS, tls_hostnqn_ok, NVC_SC_CONNECT_HOST, 0},
	{RULE_CONNECT_TLS_NQNS, tls_subnqn_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 256},
	{RULE_CONNECT_HOST, host_ok, NVC_SC_CONNECT_HOST, 0},
	{RULE_CONNECT_CNTLID, cntlid_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 16},
	{RULE_CONNECT_IO_MATCH, io_controller_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 16},
	{RULE_CONNECT_IO_MATCH, io_host_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 512},
	{RULE_CONNECT_IO_MATCH, io_hostid_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 0},
	{RULE_CONNECT_IO_MATCH, io_subsystem_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 256},
	{RULE_CONNECT_IO_ENABLED, io_enabled, NVC_SC_CONNECT_PARAMETERS, 42},
	{RULE_CONNECT_IO_TLS, io_tls_ok, NVC_SC_CONNECT_PARAMETERS, IN_DATA | 16},
	{RULE_CONNECT_ONCE, qid_free, NVC_SC_COMMAND_SEQUENCE, 0},
};

static bool read_connect(const struct request *req, struct connect *c)
{
	const struct nvc_target *target = req->conn->target;

	c->conn = req->conn;
	if (nvc_decode(&nvc_cmd_connect_layout, req->sqe, &c->cmd, NULL, NULL) != NVC_OK ||
		nvc_decode(&nvc_connect_data_layout, req->data, &c->data, NULL, NULL) != NVC_OK)
		return false;
	c->hostnqn_ok = nvc_nqn_get(c->data.hostnqn, c->hostnqn);
	c->subnqn_ok = nvc_nqn_get(c->data.subnqn, c->subnqn);
	if (!c->hostnqn_ok) /* only a defect goes on from here */
		memset(c->hostnqn, 0, sizeof(c->hostnqn));
	if (!c->subnqn_ok)
		memset(c->subnqn, 0, sizeof(c->subnqn));
	c->subsystem = nvc_target_subsystem_row(target, c->subnqn);
	c->host = nvc_target_host_row(target, c->hostnqn, c->subnqn);
	if (c->cmd.qid != 0)
		c->controller = nvc_controller_find(target, c->data.cntlid);
	if (c->cmd.qid != 0 && !c->controller && !KEPT(target, CONNECT_IO_MATCH))
		c->controller = target->controllers; /* the defect: any will do */
	/* What an unknown name gives when nobody looks: the first subsystem, as if any host were allowed. */
	if (!c->subsystem && target->num_subsystems &&
		!(KEPT(target, CONNECT_SUBNQN) && KEPT(target, CONNECT_SUBNQN_FORM)))
		c->subsystem = &target->subsystems[0];
	return true;
}

static uint32_t limit_kato(const struct nvc_target *target, uint32_t kato)
{
	return target->limits.kato_max && kato > target->limits.kato_max ? target->limits.kato_max
									 : kato;
}

static uint16_t join(struct connect *c)
{
	struct conn *conn = c->conn;
	struct controller *controller = c->controller;

	if (c->cmd.qid == 0) {
		controller = nvc_controller_new(conn->target);
		if (!controller)
			return NVC_SC_CONNECT_BUSY;
		controller->subsystem = c->subsystem;
		controller->host = c->host;
		controller->admin = conn;
		controller->tls = conn->secured;
		memcpy(controller->hostnqn, c->hostnqn, sizeof(controller->hostnqn));
		memcpy(controller->hostid, c->data.hostid, sizeof(controller->hostid));
		memcpy(controller->psk_identity, conn->identity, sizeof(controller->psk_identity));
		controller->kato = limit_kato(conn->target, c->cmd.kato);
		controller->last_command = nvc_env_now(&conn->target->env);
	}
	controller->num_queues++;
	conn->controller = controller;
	conn->connected = true;
	conn->qid = c->cmd.qid;
	conn->sqsize = c->cmd.sqsize;
	conn->sqhd = (uint16_t)(1 % (c->cmd.sqsize + 1)); /* Connect itself has been taken */
	conn->no_flow_control = c->cmd.cattr & NVC_CATTR_DISSQFC;
	conn->authreq = nvc_policy_authreq(conn);
	return NVC_SC_SUCCESS;
}

static void complete_connect(struct conn *conn, uint16_t cid)
{
	uint64_t result = conn->controller->cntlid;

	result |= conn->authreq;
	if (!KEPT(conn->target, CONNECT_RESULT))
		result |= 1u << 16;
	if (conn->no_flow_control) {
		struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_RESP};
		struct nvc_writer writer = nvc_writer_over(pdu.cqe, sizeof(pdu.cqe));
		struct nvc_cqe cqe = {.result = result, .sqhd = 0xffff, .cid = cid};

		if (nvc_encode(&nvc_cqe_layout, &cqe, NULL, &writer) == NVC_OK)
			nvc_conn_send(conn, &pdu);
		return;
	}
	nvc_command_complete(conn, cid, NVC_SC_SUCCESS, result);
}

struct outcome nvc_exec_connect(const struct request *req)
{
	struct conn *conn = req->conn;
	struct nvc_target *target = conn->target;
	struct connect c = {0};
	uint16_t status;

	if (conn->connected) { /* only a defect comes here: the same answer again */
		complete_connect(conn, req->head.cid);
		return (struct outcome){.done = true};
	}
	if (!read_connect(req, &c))
		return (struct outcome){.status = NVC_SC_CONNECT_PARAMETERS};
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (checks[i].ok(&c) || !nvc_rule_kept(&target->rules, checks[i].rule))
			continue;
		nvc_target_say(target, "Connect refused with %03xh: not true that %s",
			(unsigned int)checks[i].status, nvc_rule_text(checks[i].rule));
		return (struct outcome){.status = checks[i].status, .result = checks[i].where};
	}
	if (c.cmd.qid != 0 && !c.controller)
		return (struct outcome){.status = NVC_SC_CONNECT_PARAMETERS};
	status = join(&c);
	if (status != NVC_SC_SUCCESS)
		return (struct outcome){.status = status};
	nvc_target_say(target, "Connect: controller %u, queue %u%s%s%s",
		(unsigned int)conn->controller->cntlid, (unsigned int)conn->qid,
		conn->secured ? ", TLS" : "",
		conn->authreq & NVC_CONNECT_ATR ? ", authentication required" : "",
		conn->authreq & NVC_CONNECT_ASCR ? ", concatenation required" : "");
	if (conn->authreq)
		nvc_auth_start_timer(conn);
	complete_connect(conn, req->head.cid);
	return (struct outcome){.done = true};
}

struct outcome nvc_exec_disconnect(const struct request *req)
{
	struct conn *conn = req->conn;
	const struct nvc_target *target = conn->target;
	struct nvc_cmd_disconnect cmd;

	if (nvc_decode(&nvc_cmd_disconnect_layout, req->sqe, &cmd, NULL, NULL) != NVC_OK)
		return (struct outcome){.status = NVC_SC_INTERNAL};
	if (conn->qid == 0)
		return (struct outcome){.status = KEPT(target, DISCONNECT_ADMIN)
							  ? NVC_SC_INVALID_QUEUE_TYPE
							  : NVC_SC_SUCCESS};
	if (cmd.recfmt != 0)
		return (struct outcome){.status = NVC_SC_CONNECT_FORMAT};
	if (!KEPT(target, DISCONNECT_IO))
		return (struct outcome){.status = NVC_SC_INVALID_OPCODE};
	nvc_command_complete(conn, req->head.cid, NVC_SC_SUCCESS, 0);
	nvc_teardown(conn, TD_DISCONNECT);
	return (struct outcome){.done = true};
}
