/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections, commands and time, as the cases say them. Authentications are in exchange.c. */
#include "suites/steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "suites/steps_internal.h"

static const struct identity_want anyone = {
	.hash_id = -1, .dhgid = -1, .secret_hash = -1, .secret_len = -1};

struct identity_want want_pair(int hash_id, int dhgid)
{
	struct identity_want want = anyone;

	want.hash_id = hash_id;
	want.dhgid = dhgid;
	return want;
}

struct identity_want want_both_ways(int hash_id, int dhgid)
{
	struct identity_want want = want_pair(hash_id, dhgid);

	want.bidi = true;
	return want;
}

struct identity_want want_secret(int form, int len)
{
	struct identity_want want = anyone;

	want.secret_hash = form;
	want.secret_len = len;
	want.bidi = true;
	return want;
}

struct identity_want want_open(void)
{
	struct identity_want want = anyone;

	want.open = true;
	return want;
}

struct identity_want want_policy(enum identity_policy policy)
{
	struct identity_want want = anyone;

	want.policy = policy;
	return want;
}

bool tester_fault(enum nvc_result result)
{
	switch (result) {
	case NVC_E_INVALID:
	case NVC_E_NO_SPACE:
	case NVC_E_NO_MEMORY:
	case NVC_E_CRYPTO:
	case NVC_E_STATE:
	case NVC_E_SYSTEM:
		return true;
	default:
		return false;
	}
}

void not_reached(struct test *t, const char *what, enum nvc_result result, const char *text)
{
	if (tester_fault(result))
		test_error(t, "%s: %s", what, text);
	else
		test_inconclusive(t, "%s: %s", what, text);
}

/* A silent target and a dead one look alike on one connection, so a second one decides. */
void unanswered(struct test *t, enum req_id req, struct nvc_host *host, const char *expected,
	enum nvc_result result, const char *text)
{
	if (tester_fault(result))
		test_error(t, "%s", text);
	else if (result != NVC_E_TIMEOUT)
		test_violated(t, req, expected, "%s", text);
	else if (target_alive(host))
		test_violated(t, req, expected, "%s, while a fresh connection was served", text);
	else
		test_inconclusive(t, "%s, and a fresh connection was not served either", text);
}

bool target_alive(struct nvc_host *host)
{
	/* Of a target with nothing but a TLS port one can only ask that somebody listens. */
	const bool clear = host->addresses[NVC_PORT_MAIN].port != NULL;
	const struct nvc_queue_options plain = {
		.label = "liveness", .port = clear ? NVC_PORT_MAIN : NVC_PORT_TLS_ONLY};
	const struct nvc_queue_options tls = {.label = "liveness", .tls = &host->psk};
	struct nvc_queue *queue = NULL;
	bool alive = nvc_queue_open(host, &plain, &queue, NULL) == NVC_OK &&
		     (!clear || nvc_queue_ic(queue, &plain, NULL) == NVC_OK);

	nvc_queue_free(queue);
	if (!alive && host->has_psk) {
		alive = nvc_queue_open(host, &tls, &queue, NULL) == NVC_OK;
		nvc_queue_free(queue);
	}
	return alive;
}

/* A PSK that is refused is refused again; nvmet ends a handshake now and then. */
bool handshake_lost(
	struct nvc_host *host, const struct nvc_queue_options *options, enum nvc_result result)
{
	const struct nvc_queue_options again = {.port = options->port,
		.tls = options->tls,
		.tls_options = options->tls_options,
		.label = "once more"};
	struct nvc_queue *queue = NULL;

	if ((!options->tls && !options->tls_options) || host->open_end == NVC_END_OPEN ||
		(result != NVC_E_CLOSED && result != NVC_E_RESET))
		return false;
	result = nvc_queue_open(host, &again, &queue, NULL);
	nvc_queue_free(queue);
	return result == NVC_OK;
}

struct nvc_queue *connect_as(
	struct test *t, struct nvc_host *host, const struct nvc_queue_options *options)
{
	struct nvc_error err = {0};
	struct nvc_queue *queue = NULL;
	enum nvc_result result;

	if (!test_running(t))
		return NULL;
	result = nvc_queue_establish(host, options, &queue, &err);
	if (result == NVC_OK)
		test_watch(t, queue);
	else if (options && handshake_lost(host, options, result))
		test_completion_lost(t, "Connect: %s, and the next one completed", err.text);
	else
		not_reached(t, "Connect", result, err.text);
	return queue;
}

struct nvc_queue *connect_admin(struct test *t, struct nvc_host *host)
{
	return connect_as(t, host, &(const struct nvc_queue_options){0});
}

struct nvc_queue *connect_admin_tls(
	struct test *t, struct nvc_host *host, const struct nvc_tls_psk *psk)
{
	return connect_as(t, host, &(const struct nvc_queue_options){.tls = psk});
}

struct nvc_queue *connect_io(
	struct test *t, struct nvc_queue *admin, uint16_t qid, const struct nvc_tls_psk *psk)
{
	if (!test_running(t))
		return NULL;
	return connect_as(t, nvc_queue_info(admin)->host,
		&(const struct nvc_queue_options){.qid = qid, .admin = admin, .tls = psk});
}

void enable(struct test *t, struct nvc_queue *admin)
{
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_step(t, "enable the controller");
	result = nvc_do_enable(admin, &err);
	if (result != NVC_OK)
		not_reached(t, "enabling the controller", result, err.text);
}

struct nvc_queue *admin_ready(struct test *t, struct nvc_host *host)
{
	struct nvc_queue *admin = connect_admin(t, host);

	if (test_running(t) && nvc_queue_info(admin)->atr)
		authenticate(t, transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	enable(t, admin);
	return admin;
}

void leave(struct test *t, struct nvc_queue *queue)
{
	enum nvc_end end;

	if (!test_running(t))
		return;
	nvc_queue_close(queue, NVC_END_FIN);
	(void)nvc_queue_await_end(queue, NVC_SEC(2), &end, NULL);
}

/* ---- commands ---- */

static const struct command_row {
	const char *name;
	const struct nvc_layout *layout;
	struct nvc_cmd_nvme nvme;
	struct nvc_cmd_property property;
	struct nvc_cmd_disconnect disconnect;
	size_t in_len;
} commands[NUM_COMMANDS] = {
	[CMD_IDENTIFY] = {"Identify", &nvc_cmd_nvme_layout,
		.nvme = {.head.opc = NVC_ADMIN_IDENTIFY, .cdw10 = NVC_CNS_CONTROLLER},
		.in_len = NVC_IDENTIFY_LEN},
	[CMD_KEEP_ALIVE] = {"Keep Alive", &nvc_cmd_nvme_layout,
		.nvme = {.head.opc = NVC_ADMIN_KEEP_ALIVE}},
	/* SMART / Health: every NVM subsystem has it; 512 bytes */
	[CMD_GET_LOG_PAGE] = {"Get Log Page", &nvc_cmd_nvme_layout,
		.nvme = {.head.opc = NVC_ADMIN_GET_LOG_PAGE,
			.nsid = UINT32_MAX,
			.cdw10 = 127u << 16 | 2},
		.in_len = 512},
	[CMD_SET_FEATURES] = {"Set Features", &nvc_cmd_nvme_layout,
		.nvme = {.head.opc = NVC_ADMIN_SET_FEATURES, .cdw10 = NVC_FEATURE_NUM_QUEUES}},
	[CMD_ASYNC_EVENT] = {"Asynchronous Event Request", &nvc_cmd_nvme_layout,
		.nvme = {.head.opc = NVC_ADMIN_ASYNC_EVENT}},
	[CMD_PROPERTY_GET] = {"Property Get", &nvc_cmd_property_get_layout,
		.property = {.head.opc = NVC_OPC_FABRICS,
			.fctype = NVC_FCTYPE_PROPERTY_GET,
			.ofst = NVC_PROP_CSTS}},
	[CMD_PROPERTY_SET] = {"Property Set", &nvc_cmd_property_set_layout,
		.property = {.head.opc = NVC_OPC_FABRICS,
			.fctype = NVC_FCTYPE_PROPERTY_SET,
			.ofst = NVC_PROP_CC,
			.value = NVC_CC_ENABLE}},
	[CMD_READ] = {"Read", &nvc_cmd_nvme_layout, .nvme = {.head.opc = NVC_IO_READ, .nsid = 1}},
	[CMD_FLUSH] = {"Flush", &nvc_cmd_nvme_layout,
		.nvme = {.head.opc = NVC_IO_FLUSH, .nsid = 1}},
	[CMD_DISCONNECT] = {"Disconnect", &nvc_cmd_disconnect_layout,
		.disconnect = {.head.opc = NVC_OPC_FABRICS, .fctype = NVC_FCTYPE_DISCONNECT}},
};

static const void *fields_of(const struct command_row *row)
{
	if (row->layout == &nvc_cmd_nvme_layout)
		return &row->nvme;
	if (row->layout == &nvc_cmd_disconnect_layout)
		return &row->disconnect;
	return &row->property;
}

bool code_accepted(struct codes codes, uint16_t code)
{
	for (size_t i = 0; i < codes.num; i++)
		if (codes.list[i] == code)
			return true;
	return false;
}

/* "status 191h Authentication Required or 00Ch Command Sequence Error" */
static const char *statuses_text(struct codes codes, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "status");

	for (size_t i = 0; i < codes.num && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s %03Xh %s", i ? " or" : "",
			codes.list[i], nvc_status_name(codes.list[i]));
	return out;
}

static void judge_status(
	struct test *t, enum req_id req, const char *what, uint16_t status, struct codes statuses)
{
	char expected[256];

	if (code_accepted(statuses, status))
		test_judged(t, req, "%s: status %03Xh %s", what, status, nvc_status_name(status));
	else
		test_violated(t, req, statuses_text(statuses, expected, sizeof(expected)),
			"%s: status %03Xh %s", what, status, nvc_status_name(status));
}

static void expect_command(struct test *t, enum req_id req, struct nvc_queue *queue,
	const char *name, const struct nvc_command *submit, struct codes statuses)
{
	struct nvc_completion done = {0};
	struct nvc_error err = {0};
	char expected[256];
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_watch(t, queue);
	test_step(t, "%s", name);
	result = nvc_queue_do(queue, submit, &done, &err);
	if (result == NVC_OK)
		judge_status(t, req, name, done.status, statuses);
	else
		unanswered(t, req, nvc_queue_info(queue)->host,
			statuses_text(statuses, expected, sizeof(expected)), result, err.text);
}

void expect_status(struct test *t, enum req_id req, struct nvc_queue *queue, enum command command,
	struct codes statuses)
{
	const struct command_row *row = &commands[command];
	const struct nvc_command submit = {.layout = row->layout,
		.fields = fields_of(row),
		.in_len = command == CMD_READ ? test_block_len(t) : row->in_len};

	expect_command(t, req, queue, row->name, &submit, statuses);
}

void expect_property_set(struct test *t, enum req_id req, struct nvc_queue *queue, uint32_t ofst,
	uint32_t value, struct codes statuses)
{
	const struct nvc_cmd_property fields = {.head.opc = NVC_OPC_FABRICS,
		.fctype = NVC_FCTYPE_PROPERTY_SET,
		.ofst = ofst,
		.value = value};
	const struct nvc_command submit = {
		.layout = &nvc_cmd_property_set_layout, .fields = &fields};

	expect_command(t, req, queue, "Property Set", &submit, statuses);
}

void expect_denied(struct test *t, enum req_id req, struct nvc_queue *queue, const char *what,
	enum nvc_result result, uint16_t status, const struct nvc_error *err)
{
	static const char expected[] = "an error status, or the end of the connection";
	const struct nvc_queue_info *info;

	if (!test_running(t))
		return;
	test_watch(t, queue);
	info = nvc_queue_info(queue);
	if (result == NVC_OK)
		expect_true(t, req, status != NVC_SC_SUCCESS, expected, "%s: status %03Xh %s", what,
			status, nvc_status_name(status));
	else if (info->end != NVC_END_OPEN || info->term_received)
		test_judged(t, req, "%s: %s", what, err->text);
	else
		unanswered(t, req, info->host, expected, result, err->text);
}

void expect_auth_status(
	struct test *t, enum req_id req, const struct nvc_auth *auth, struct codes statuses)
{
	if (test_running(t))
		judge_status(t, req, "Authentication Send or Receive", auth->status, statuses);
}

void expect_served(struct test *t, enum req_id req, struct nvc_queue *queue)
{
	static const char expected[] = "the queue stays connected and serves commands";
	struct nvc_completion done = {0};
	struct nvc_error err = {0};
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_watch(t, queue);
	result = nvc_queue_usable(queue, 0, &done, &err);
	if (result != NVC_OK)
		unanswered(t, req, nvc_queue_info(queue)->host, expected, result, err.text);
	else if (done.status != NVC_SC_SUCCESS)
		test_violated(t, req, expected, "status %03Xh %s", done.status,
			nvc_status_name(done.status));
	else
		test_judged(t, req, "a command is served");
}

struct nvc_queue *expect_io(struct test *t, enum req_id req, struct nvc_queue *admin, uint16_t qid,
	const struct nvc_tls_psk *psk)
{
	static const char expected[] = "the I/O queue is connected";
	const struct nvc_queue_options options = {.qid = qid, .admin = admin, .tls = psk};
	struct nvc_queue *io = NULL;
	struct nvc_error err = {0};
	struct nvc_host *host;
	enum nvc_result result;

	if (!test_running(t))
		return NULL;
	host = nvc_queue_info(admin)->host;
	test_step(t, "connect I/O queue %u", qid);
	result = nvc_queue_establish(host, &options, &io, &err);
	if (result != NVC_OK && handshake_lost(host, &options, result))
		test_answer_lost(t, req, expected, "%s, and the next one completed", err.text);
	else if (result != NVC_OK)
		unanswered(t, req, host, expected, result, err.text);
	expect_served(t, req, io);
	return io;
}

void expect_open(struct test *t, enum req_id req, struct nvc_queue *queue)
{
	enum nvc_end end = NVC_END_OPEN;

	if (test_running(t) && nvc_queue_info(queue)->end == NVC_END_OPEN)
		nvc_queue_await_end(queue, NVC_MS(20), &end, NULL);
	if (test_running(t))
		expect_true(t, req, nvc_queue_info(queue)->end == NVC_END_OPEN,
			"the connection is still open", "%s",
			nvc_end_name(nvc_queue_info(queue)->end));
}

void expect_closed(struct test *t, enum req_id req, struct nvc_queue *queue)
{
	struct nvc_error err = {0};
	enum nvc_end end = NVC_END_OPEN;

	if (!test_running(t))
		return;
	test_watch(t, queue);
	if (nvc_queue_await_end(queue, test_end_bound(t), &end, &err) == NVC_OK)
		test_judged(t, req, "the target ended the connection (%s)", nvc_end_name(end));
	else
		test_violated(t, req, "the target ends the connection", "%s", err.text);
}

void expect_new_association(struct test *t, enum req_id req, struct nvc_host *host)
{
	struct nvc_error err = {0};
	struct nvc_queue *queue = NULL;
	enum nvc_result result;

	if (!test_running(t))
		return;
	test_step(t, "a new association");
	result = nvc_host_admin(host, NULL, NVC_AUTH_UNIDIRECTIONAL, &queue, NULL, &err);
	if (result == NVC_OK)
		test_judged(t, req, "a new association is served");
	else if (tester_fault(result))
		test_error(t, "%s", err.text);
	else
		test_violated(t, req, "a new association is served", "%s", err.text);
	nvc_queue_free(queue);
}

void expect_true(
	struct test *t, enum req_id req, bool holds, const char *expected, const char *seen, ...)
{
	char text[256];
	va_list args;

	if (!test_running(t))
		return;
	va_start(args, seen);
	vsnprintf(text, sizeof(text), seen, args);
	va_end(args);
	if (holds)
		test_judged(t, req, "%s", text);
	else
		test_violated(t, req, expected, "%s", text);
}

/* REQ_NONE: nothing is judged. */
static void let_time_pass(struct test *t, uint64_t ms, struct nvc_queue *keep, enum req_id req)
{
	const struct nvc_world *world = test_host(t)->world;
	uint64_t until = nvc_env_now(&world->env) + NVC_MS(ms);

	test_step(t, "%llu ms go by", (unsigned long long)ms);
	while (test_running(t) && nvc_env_now(&world->env) < until) {
		uint64_t next = nvc_env_now(&world->env) + NVC_SEC(1);
		struct nvc_error err = {0};

		world->wait_until(world->self, keep && next < until ? next : until);
		if (!keep || nvc_do_keep_alive(keep, NULL, &err) == NVC_OK)
			continue;
		if (req == REQ_NONE)
			not_reached(t, "Keep Alive while time goes by", err.result, err.text);
		else
			unanswered(t, req, nvc_queue_info(keep)->host,
				"Keep Alive is answered all the time", err.result, err.text);
	}
}

void pass_time(struct test *t, uint64_t ms, struct nvc_queue *keep)
{
	let_time_pass(t, ms, keep, REQ_NONE);
}

void expect_kept(struct test *t, enum req_id req, uint64_t ms, struct nvc_queue *keep)
{
	let_time_pass(t, ms, keep, req);
	if (test_running(t))
		test_judged(t, req, "Keep Alive was answered for %llu ms", (unsigned long long)ms);
}

const struct case_param PARAMS_HASH_GROUP[] = {
#define GROUPS(name, hash)                                                                         \
	{name "/null", {hash, NVC_DH_NULL}}, {name "/ffdhe2048", {hash, NVC_DH_2048}},             \
		{name "/ffdhe3072", {hash, NVC_DH_3072}},                                          \
		{name "/ffdhe4096", {hash, NVC_DH_4096}},                                          \
		{name "/ffdhe6144", {hash, NVC_DH_6144}},                                          \
	{                                                                                          \
		name "/ffdhe8192",                                                                 \
		{                                                                                  \
			hash, NVC_DH_8192                                                          \
		}                                                                                  \
	}
	GROUPS("sha256", NVC_HASH_SHA256),
	GROUPS("sha384", NVC_HASH_SHA384),
	GROUPS("sha512", NVC_HASH_SHA512),
	{NULL, {0}},
};

const struct case_param PARAMS_CONCAT_HASH_GROUP[] = {
#define DH_GROUPS(name, hash)                                                                      \
	{name "/ffdhe2048", {hash, NVC_DH_2048}}, {name "/ffdhe3072", {hash, NVC_DH_3072}},        \
		{name "/ffdhe4096", {hash, NVC_DH_4096}},                                          \
		{name "/ffdhe6144", {hash, NVC_DH_6144}},                                          \
	{                                                                                          \
		name "/ffdhe8192",                                                                 \
		{                                                                                  \
			hash, NVC_DH_8192                                                          \
		}                                                                                  \
	}
	DH_GROUPS("sha256", NVC_HASH_SHA256),
	DH_GROUPS("sha384", NVC_HASH_SHA384),
	{NULL, {0}},
};

const struct case_param PARAMS_CONCAT_HASH[] = {
	{"sha256", {NVC_HASH_SHA256, NVC_DH_2048}},
	{"sha384", {NVC_HASH_SHA384, NVC_DH_3072}},
	{NULL, {0}},
};
