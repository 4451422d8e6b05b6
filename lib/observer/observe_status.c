/* SPDX-License-Identifier: BSD-3-Clause */
/* Statuses: what a command may not end with (docs/protocol.md 2.4 to 2.8). */
#include "observer/observer_state.h"

typedef bool command_test(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command);

static bool is_connect(const struct nvc_obs_command *command)
{
	return nvc_obs_is_fabrics(command, NVC_FCTYPE_CONNECT);
}

static bool is_auth_send(const struct nvc_obs_command *command)
{
	return nvc_obs_is_fabrics(command, NVC_FCTYPE_AUTH_SEND);
}

static bool is_auth(const struct nvc_obs_command *command)
{
	return is_auth_send(command) || nvc_obs_is_fabrics(command, NVC_FCTYPE_AUTH_RECEIVE);
}

static bool before_connect(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	return !conn->connected && command->opc == NVC_OPC_FABRICS && !is_connect(command);
}

static bool bad_recfmt(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	(void)conn;
	return is_connect(command) && command->connect.recfmt != 0;
}

static bool bad_sqsize(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	(void)conn;
	return is_connect(command) && command->connect.sqsize == 0;
}

static bool bad_subnqn(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	(void)conn;
	return is_connect(command) && command->connect.subnqn_bad;
}

static bool bad_hostnqn(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	(void)conn;
	return is_connect(command) && command->connect.hostnqn_bad;
}

static bool admin_disconnect(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	return conn->connected && conn->qid == 0 &&
	       nvc_obs_is_fabrics(command, NVC_FCTYPE_DISCONNECT);
}

static bool io_property(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	return conn->connected && conn->qid != 0 &&
	       nvc_obs_is_fabrics(command, NVC_FCTYPE_PROPERTY_GET);
}

static bool bad_secp(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	(void)conn;
	return is_auth(command) && command->auth.secp != NVC_SECP;
}

static bool bad_spsp(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	(void)conn;
	return is_auth(command) &&
	       (command->auth.spsp0 != NVC_SPSP0 || command->auth.spsp1 != NVC_SPSP1);
}

static bool no_length(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	(void)conn;
	return is_auth_send(command) && command->auth.length == 0;
}

static bool bad_length(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	return is_auth(command) && command->auth.length != command->sgl_len &&
	       !no_length(conn, command);
}

/* The controller has what it takes to know the host, and has not said yet what it made of it. When it opens the queue within
 * that is left open (N-026). */
static bool has_proof(const struct nvc_obs_transaction *transaction)
{
	return transaction->state == NVC_OBS_REPLIED &&
	       !(transaction->reply_known && transaction->cvalid && transaction->s2);
}

/* Commands before authentication where it is required; which row they violate depends on what
 * they are. */
static bool gated(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	return conn->connected && conn->authreq && !conn->authenticated &&
	       !has_proof(&conn->transaction) && !is_auth(command) && !is_connect(command);
}

static bool gated_admin(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	return gated(conn, command) && conn->qid == 0 && command->opc != NVC_OPC_FABRICS;
}

static bool gated_io(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	return gated(conn, command) && conn->qid != 0 && command->opc != NVC_OPC_FABRICS;
}

static bool gated_set(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	return gated(conn, command) && nvc_obs_is_fabrics(command, NVC_FCTYPE_PROPERTY_SET);
}

static bool gated_get(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	return gated(conn, command) && nvc_obs_is_fabrics(command, NVC_FCTYPE_PROPERTY_GET) &&
	       conn->qid == 0;
}

/* The queue has lost its authentication again; what was begun before may still be refused by AUTH_Failure1. */
static bool denied(const struct nvc_obs_conn *conn, const struct nvc_obs_command *command)
{
	return conn->denied && command->after_failure && !is_auth(command);
}

/* Commands that must not succeed. */
static const struct must_fail {
	enum req_id req;
	command_test *applies;
	const char *expected;
} must_fail[] = {
	{REQ_C_041, before_connect, "an error before Connect"},
	{REQ_C_042, bad_recfmt, "status 180h"},
	{REQ_C_043, bad_sqsize, "status 182h"},
	{REQ_C_045, bad_subnqn, "status 182h"},
	{REQ_C_046, bad_hostnqn, "status 182h"},
	{REQ_C_064, admin_disconnect, "status 185h"},
	{REQ_C_067, io_property, "status 002h"},
	{REQ_C_071, gated_admin, "status 191h"},
	{REQ_C_072, gated_set, "status 191h"},
	{REQ_C_073, gated_get, "status 191h"},
	{REQ_C_074, gated_io, "status 191h"},
	{REQ_C_076, bad_secp, "an error status"},
	{REQ_C_077, bad_spsp, "an error status"},
	{REQ_C_078, no_length, "an error status"},
	{REQ_C_079, bad_length, "status 00Fh or 002h"},
	{REQ_C_174, denied, "status 015h, or the end of the connection"},
};

void nvc_obs_status(
	struct nvc_obs_conn *conn, const struct nvc_obs_command *command, uint16_t status)
{
	if (status == NVC_SC_AUTH_REQUIRED && conn->connected && !conn->authreq)
		nvc_obs_violated(conn, REQ_C_075, "no status 191h where AUTHREQ is 0",
			"status 191h for opcode %02xh, FCTYPE %02xh", command->opc,
			command->fctype);
	if (status == NVC_SC_INVALID_FIELD && is_connect(command))
		nvc_obs_violated(conn, REQ_C_047, "a status of the Connect class", "status 002h");
	for (size_t i = 0; status == NVC_SC_SUCCESS && i < sizeof(must_fail) / sizeof(*must_fail);
		i++) {
		if (must_fail[i].applies(conn, command))
			nvc_obs_violated(conn, must_fail[i].req, must_fail[i].expected,
				"success of opcode %02xh, FCTYPE %02xh", command->opc,
				command->fctype);
	}
}
