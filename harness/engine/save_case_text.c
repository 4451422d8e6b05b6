/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/save_case_text.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum { NAME_SIZE = 80, DEFAULT_SQSIZE = 31, DEFAULT_KATO = 120000 };

static const char *const hash_macros[] = {
	"NVC_HASH_NONE", "NVC_HASH_SHA256", "NVC_HASH_SHA384", "NVC_HASH_SHA512"};
static const char *const group_macros[] = {
	"NVC_DH_NULL", "NVC_DH_2048", "NVC_DH_3072", "NVC_DH_4096", "NVC_DH_6144", "NVC_DH_8192"};

/* "REQ_C_205" of "C-205" */
static const char *req_macro(enum req_id req, char out[16])
{
	snprintf(out, 16, "REQ_%s", nvc_requirement(req)->id);
	out[5] = '_';
	return out;
}

void judged(struct saving *saving, enum req_id req, const char *verb, const char *rest, ...)
{
	char name[16];
	bool known = false;
	va_list args;

	for (size_t i = 0; i < saving->num_checks; i++)
		known = known || saving->checks[i] == req;
	if (!known && saving->num_checks < CASE_MAX_CHECKS)
		saving->checks[saving->num_checks++] = req;
	fprintf(saving->out, "\t%s(t, %s, ", verb, req_macro(req, name));
	va_start(args, rest);
	vfprintf(saving->out, rest, args);
	va_end(args);
	fprintf(saving->out, ");\n");
}

/* Nothing of a capture may end the comment it stands in. */
static void write_text(FILE *out, const char *text)
{
	for (; *text; text++)
		if (*text == '*' || *text == '\\' || !isprint((unsigned char)*text))
			fputc('.', out);
		else
			fputc(*text, out);
}

void left_out(struct saving *saving, const struct nvc_script_step *step)
{
	saving->num_left_out++;
	fprintf(saving->out,
		"\t/* packet %llu is not said here: ", (unsigned long long)step->frame);
	write_text(saving->out, step->text);
	fprintf(saving->out, " */\n");
}

/* ---- what is ordinary ---- */

bool sqe_is_ordinary(const struct saving *saving, const struct nvc_script_step *command)
{
	const bool send = command->sqe[4] == NVC_FCTYPE_AUTH_SEND;
	const struct nvc_layout *layout =
		send ? &nvc_cmd_auth_send_layout : &nvc_cmd_auth_receive_layout;
	const uint32_t length = send ? (uint32_t)command->bytes.len : NVC_AUTH_RECEIVE_LEN;
	struct nvc_cmd_auth fields = nvc_cmd_auth_of(command->sqe[4], length);
	uint8_t sqe[NVC_SQE_LEN] = {0};
	struct nvc_writer writer = nvc_writer_over(sqe, sizeof(sqe));

	(void)saving;
	fields.head.flags = NVC_PSDT_SGL_01B;
	fields.head.cid = (uint16_t)nvc_get_le(command->sqe + 2, 2);
	fields.head.sgl_len = length;
	fields.head.sgl_id = command->in_capsule ? NVC_SGL_IN_CAPSULE : NVC_SGL_TRANSPORT;
	return nvc_encode(layout, &fields, NULL, &writer) == NVC_OK &&
	       memcmp(sqe, command->sqe, sizeof(sqe)) == 0;
}

static bool read_offer(
	const struct nvc_script_step *negotiate, struct nvc_dhchap_descriptor *descriptor)
{
	struct nvc_negotiate message;

	return negotiate->bytes.len == 8 + NVC_DESCRIPTOR_LEN &&
	       nvc_decode(&nvc_negotiate_layout, negotiate->bytes, &message, NULL, NULL) ==
		       NVC_OK &&
	       message.napd == 1 &&
	       nvc_reserved_is_zero(&nvc_negotiate_layout, negotiate->bytes, NULL) &&
	       nvc_decode(&nvc_dhchap_descriptor_layout, message.descriptors, descriptor, NULL,
		       NULL) == NVC_OK &&
	       nvc_reserved_is_zero(&nvc_dhchap_descriptor_layout, message.descriptors, NULL) &&
	       descriptor->authid == NVC_AUTH_DHCHAP && descriptor->halen <= NVC_MAX_LIST &&
	       descriptor->dhlen <= NVC_MAX_LIST;
}

bool offer_is_ordinary(const struct nvc_script_step *negotiate)
{
	struct nvc_dhchap_descriptor descriptor;

	return read_offer(negotiate, &descriptor);
}

/* ---- authentication ---- */

void write_sc_c(FILE *out, uint8_t sc_c)
{
	static const struct nvc_name names[] = {{NVC_SC_C_NOSC, "NVC_SC_C_NOSC"},
		{NVC_SC_C_NEWTLSPSK, "NVC_SC_C_NEWTLSPSK"},
		{NVC_SC_C_REPLACETLSPSK, "NVC_SC_C_REPLACETLSPSK"}, {0, NULL}};
	const char *name = nvc_name_of(names, sc_c);

	if (name)
		fprintf(out, "%s", name);
	else
		fprintf(out, "(enum nvc_sc_c)0x%02x", sc_c);
}

static void write_ids(FILE *out, const uint8_t *ids, uint8_t num)
{
	fprintf(out, "{");
	for (uint8_t i = 0; i < num; i++)
		fprintf(out, "%s%u", i ? ", " : "", ids[i]);
	fprintf(out, "}");
}

/* Whether the lists are those that transaction() gives by itself. */
static bool is_default(const struct saving *saving, int transaction,
	const struct nvc_dhchap_descriptor *descriptor)
{
	static const uint8_t hashes[] = {NVC_HASH_SHA256, NVC_HASH_SHA384, NVC_HASH_SHA512},
			     groups[] = {NVC_DH_NULL, NVC_DH_2048, NVC_DH_3072, NVC_DH_4096,
				     NVC_DH_6144, NVC_DH_8192};
	const bool concat = saving->re->script->transactions[transaction].sc_c != NVC_SC_C_NOSC;
	const size_t num_hashes = sizeof(hashes) - concat, num_groups = sizeof(groups) - concat;

	return descriptor->halen == num_hashes && descriptor->dhlen == num_groups &&
	       memcmp(descriptor->hash_ids, hashes, num_hashes) == 0 &&
	       memcmp(descriptor->dh_ids, groups + concat, num_groups) == 0;
}

void write_offer(struct saving *saving, const struct nvc_script_step *negotiate)
{
	const int transaction = negotiate->message.transaction;
	struct nvc_dhchap_descriptor descriptor;

	if (!read_offer(negotiate, &descriptor) || is_default(saving, transaction, &descriptor))
		return;
	if (descriptor.halen == 1 && descriptor.dhlen == 1 && descriptor.hash_ids[0] < 4 &&
		descriptor.dh_ids[0] < NVC_NUM_DHGROUPS) {
		fprintf(saving->out, "\toffer(a%d, %s, %s);\n", transaction,
			hash_macros[descriptor.hash_ids[0]], group_macros[descriptor.dh_ids[0]]);
		return;
	}
	fprintf(saving->out, "\ta%d->offer = (struct nvc_auth_offer){%u, %u, ", transaction,
		descriptor.halen, descriptor.dhlen);
	write_ids(saving->out, descriptor.hash_ids, descriptor.halen);
	fprintf(saving->out, ", ");
	write_ids(saving->out, descriptor.dh_ids, descriptor.dhlen);
	fprintf(saving->out, "};\n");
}

static void write_bytes(FILE *out, struct nvc_slice bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		fprintf(out, "%s0x%02x", i ? ", " : "", bytes.data[i]);
}

static void write_bend(FILE *out, const struct nvc_bend *bend)
{
	fprintf(out, "{");
	if (bend->field)
		fprintf(out, ".field = \"%s\", ", bend->field);
	switch (bend->kind) {
	case NVC_BEND_SET:
		fprintf(out, ".kind = NVC_BEND_SET, .value = 0x%llx",
			(unsigned long long)bend->value);
		break;
	case NVC_BEND_TRUNCATE:
		fprintf(out, ".kind = NVC_BEND_TRUNCATE, .value = %llu",
			(unsigned long long)bend->value);
		break;
	default:
		fprintf(out, ".kind = %s, .bytes = NVC_SLICE(((const uint8_t[]){",
			bend->kind == NVC_BEND_APPEND ? "NVC_BEND_APPEND" : "NVC_BEND_BYTES");
		write_bytes(out, bend->bytes);
		fprintf(out, "}))");
		break;
	}
	fprintf(out, "}");
}

void write_reply(struct saving *saving, const struct nvc_script_step *step)
{
	const struct nvc_script_message *message = &step->message;
	const int transaction = message->transaction;
	FILE *out = saving->out;

	if (step->kind != NVC_SCRIPT_COMMAND || !message->answers)
		return;
	if (message->r1 == NVC_VALUE_WRONG)
		fprintf(out, "\ta%d->r1 = NVC_R1_FLIPPED;\n", transaction);
	if (message->r1 == NVC_VALUE_ZERO)
		fprintf(out, "\ta%d->r1 = NVC_R1_ZERO;\n", transaction);
	if (message->c2 == NVC_VALUE_ZERO)
		fprintf(out, "\ta%d->c2 = nvc_slice_of((const uint8_t[%zu]){0}, %zu);\n",
			transaction, (size_t)step->bytes.data[6], (size_t)step->bytes.data[6]);
	if (message->r1 > NVC_VALUE_ZERO || message->c2 > NVC_VALUE_ZERO || message->dhval ||
		message->s2)
		left_out(saving, step);
	if (!message->num_bends)
		return;
	fprintf(out, "\ta%d->reply_bends = NVC_BENDS(", transaction);
	for (size_t i = 0; i < message->num_bends; i++) {
		fprintf(out, "%s", i ? ", " : "");
		write_bend(out, &message->bends[i]);
	}
	fprintf(out, ");\n");
}

void write_literal(struct saving *saving, const struct nvc_script_step *step)
{
	const int transaction = step->message.transaction;
	const unsigned long long frame = (unsigned long long)step->frame;
	FILE *out = saving->out;

	fprintf(out, "\tuint8_t message%llu[] = {", frame);
	write_bytes(out, step->bytes);
	fprintf(out, "};\n\n\tnvc_put_le(message%llu + 4, ", frame);
	if (step->message.t_id == NVC_T_ID_OF && saving->declared[step->message.t_id_of])
		fprintf(out, "a%d->t_id", step->message.t_id_of);
	else if (step->message.t_id == NVC_T_ID_OTHER)
		fprintf(out, "(uint16_t)(a%d->t_id + %u)", transaction, step->message.t_id_delta);
	else
		fprintf(out, "a%d->t_id", transaction);
	fprintf(out, ", 2);\n\tsend_message(t, a%d, NVC_SLICE(message%llu));\n", transaction,
		frame);
}

void write_s1_check(struct saving *saving, int transaction)
{
	fprintf(saving->out, "\tstruct nvc_auth_received challenge%d = {0};\n\n", transaction);
	judged(saving, REQ_C_122, "receive_answer", "a%d, \"Challenge\", &challenge%d", transaction,
		transaction);
	judged(saving, REQ_C_122, "expect_true",
		"challenge%d.challenge.seqnum != 0, \"S1 other than 0\", \"S1 %%u\", "
		"challenge%d.challenge.seqnum",
		transaction, transaction);
}

/* ---- connections and commands ---- */

/* Writes the members of struct nvc_queue_options that are not ordinary; returns how many. */
static unsigned int write_options(struct saving *saving, FILE *out,
	const struct nvc_script_step *ic, const struct nvc_script_step *connect, const char *psk)
{
	const struct nvc_script_conn *conn = &saving->re->script->conns[connect->conn];
	const unsigned int sqsize = (unsigned int)nvc_get_le(connect->sqe + 44, 2);
	unsigned int num = 0;

	if (psk)
		fprintf(out, "%s.tls = %s", num++ ? ", " : "", psk);
	if (conn->qid)
		fprintf(out, "%s.qid = %u", num++ ? ", " : "", conn->qid);
	if (conn->admin >= 0 && saving->open[conn->admin]) {
		fprintf(out, "%s.admin = q%d", num++ ? ", " : "", conn->admin);
		saving->used[conn->admin] = true;
	}
	if (sqsize != DEFAULT_SQSIZE && sqsize)
		fprintf(out, "%s.sqsize = %u", num++ ? ", " : "", sqsize);
	if (connect->sqe[46])
		fprintf(out, "%s.cattr = %u", num++ ? ", " : "", connect->sqe[46]);
	if (strcmp(conn->subnqn, NVC_DISCOVERY_NQN) == 0)
		fprintf(out, "%s.subnqn = NVC_DISCOVERY_NQN", num++ ? ", " : "");
	else if (strcmp(conn->subnqn, saving->re->script->subnqn) != 0)
		fprintf(out,
			"%s.subnqn = \"nqn.2014-08.org.nvmexpress:uuid:"
			"00000000-0000-4000-8000-000000000000\"",
			num++ ? ", " : "");
	if (ic->ic.pfv || ic->ic.pda || ic->ic.dgst || ic->ic.max)
		fprintf(out, "%s.ic = &(const struct nvc_ic){%u, %u, %u, %u}", num++ ? ", " : "",
			ic->ic.pfv, ic->ic.pda, ic->ic.dgst, ic->ic.max);
	return num;
}

void write_connect(struct saving *saving, const struct nvc_script_step *ic,
	const struct nvc_script_step *connect, const char *psk, uint16_t status)
{
	const struct nvc_script_conn *conn = &saving->re->script->conns[connect->conn];
	const unsigned int kato = (unsigned int)nvc_get_le(connect->sqe + 48, 4), q = connect->conn;
	const int host = conn->host >= 0 ? conn->host : 0;
	char *options = NULL;
	size_t len = 0;
	FILE *text = open_memstream(&options, &len);
	unsigned int num;

	if (!text)
		return;
	num = write_options(saving, text, ic, connect, psk);
	fclose(text);
	fprintf(saving->out, "\n");
	if (!conn->qid && kato != DEFAULT_KATO)
		fprintf(saving->out, "\thost%d->kato = %u;\n", host, kato);
	if (status != NVC_SC_SUCCESS) {
		saving->pdu_steps = true;
		fprintf(saving->out,
			"\tconst struct nvc_queue_options options%u = {%s};\n"
			"\tstruct nvc_completion done%u;\n"
			"\tstruct nvc_queue *q%u = initialised_queue(t, host%d, &options%u);\n\n",
			q, num ? options : "0", q, q, host, q);
		judged(saving, REQ_C_068, "connect_answer", "q%u, &options%u, &done%u", q, q, q);
		judged(saving, REQ_C_068, "expect_answer_status", "&done%u, \"%s\", CODES(0x%03x)",
			q, nvc_status_name(status), status);
	} else if (!num) {
		fprintf(saving->out, "\tstruct nvc_queue *q%u = connect_admin(t, host%d);\n", q,
			host);
	} else if (num == 1 && psk) {
		fprintf(saving->out,
			"\tstruct nvc_queue *q%u = connect_admin_tls(t, host%d, %s);\n", q, host,
			psk);
	} else {
		fprintf(saving->out,
			"\tstruct nvc_queue *q%u = connect_as(t, host%d, "
			"&(const struct nvc_queue_options){%s});\n",
			q, host, options);
	}
	fprintf(saving->out, "\n");
	free(options);
}

static bool is_property(const struct nvc_script_step *command, uint8_t fctype, uint32_t ofst)
{
	return command->sqe[0] == NVC_OPC_FABRICS && command->sqe[4] == fctype &&
	       nvc_get_le(command->sqe + 44, 4) == ofst;
}

static const char *known_command(const struct nvc_script_step *command, bool io_queue)
{
	const uint32_t cdw10 = (uint32_t)nvc_get_le(command->sqe + 40, 4);

	if (is_property(command, NVC_FCTYPE_PROPERTY_GET, NVC_PROP_CSTS))
		return "CMD_PROPERTY_GET";
	if (io_queue)
		return command->sqe[0] == NVC_IO_READ ? "CMD_READ" : NULL;
	if (command->sqe[0] == NVC_ADMIN_IDENTIFY && cdw10 == NVC_CNS_CONTROLLER)
		return "CMD_IDENTIFY";
	return command->sqe[0] == NVC_ADMIN_KEEP_ALIVE ? "CMD_KEEP_ALIVE" : NULL;
}

/* Whether a Property Set writes 4 bytes and is nothing but that. */
static bool sets_property(const struct nvc_script_step *command)
{
	return command->sqe[0] == NVC_OPC_FABRICS && command->sqe[4] == NVC_FCTYPE_PROPERTY_SET &&
	       command->sqe[40] == 0 && nvc_get_le(command->sqe + 52, 4) == 0;
}

void write_command(struct saving *saving, const struct nvc_script_step *command, uint16_t status,
	enum req_id req)
{
	const unsigned int q = command->conn;
	const char *known = known_command(command, saving->re->script->conns[q].qid != 0);

	saving->used[q] = true;
	/* A write that shuts down has EN set too. */
	if (is_property(command, NVC_FCTYPE_PROPERTY_SET, NVC_PROP_CC) && status == 0 &&
		nvc_get_le(command->sqe + 48, 8) == NVC_CC_ENABLE) {
		fprintf(saving->out, "\tenable(t, q%u);\n", q);
		return;
	}
	/* enable reads CAP itself */
	if (is_property(command, NVC_FCTYPE_PROPERTY_GET, NVC_PROP_CAP) && status == 0)
		return;
	if (sets_property(command))
		judged(saving, req, "expect_property_set", "q%u, 0x%02x, 0x%08x, CODES(0x%03x)", q,
			(unsigned int)nvc_get_le(command->sqe + 44, 4),
			(unsigned int)nvc_get_le(command->sqe + 48, 4), status);
	else if (!known)
		left_out(saving, command);
	else
		judged(saving, req, "expect_status", "q%u, %s, CODES(0x%03x)", q, known, status);
}

void leave_the_rest(struct saving *saving)
{
	for (size_t i = 0; i < saving->re->script->num_conns; i++)
		if (saving->open[i] && !saving->used[i])
			fprintf(saving->out, "\tleave(t, q%zu);\n", i);
	/* The engine refuses a case that judges nothing: then the observer alone has something to say. */
	if (!saving->num_checks && saving->num)
		fprintf(saving->out,
			"\ttest_judged(t, REQ_NONE, \"the conversation came to its end\");\n");
}

/* ---- the file ---- */

/* The name of the file without directory and suffix, as part of an id or of an identifier. */
static void name_of(const char *path, char joint, char out[NAME_SIZE])
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	const size_t len = strcspn(name, ".");

	for (size_t i = 0; i < len && i < NAME_SIZE - 1; i++)
		out[i] = isalnum((unsigned char)name[i]) ? (char)tolower((unsigned char)name[i])
							 : joint;
	out[len < NAME_SIZE - 1 ? len : NAME_SIZE - 1] = '\0';
}

static void write_identity(FILE *out, const struct nvc_script_host *host)
{
	int hash = -1, group = -1;

	for (int i = 1; i < 4; i++)
		if (host->hashes == 1u << i)
			hash = i;
	for (int i = 0; i < NVC_NUM_DHGROUPS; i++)
		if (host->dhgroups == 1u << i)
			group = i;
	if (!host->authenticates)
		fprintf(out, "want_open()");
	else
		fprintf(out, "%s(%s, %s)", host->two_way ? "want_both_ways" : "want_pair",
			hash < 0 ? "-1" : hash_macros[hash],
			group < 0 ? "-1" : group_macros[group]);
}

static void write_needs(struct saving *saving, FILE *out)
{
	const struct nvc_script *script = saving->re->script;
	bool auth = false, concat = false, two_way = false, io = false, configured = false;
	bool any = false;

	for (size_t i = 0; i < script->num_hosts; i++) {
		auth = auth || script->hosts[i].authenticates;
		concat = concat || script->hosts[i].concat;
		two_way = two_way || script->hosts[i].two_way;
		configured = configured || script->hosts[i].configured;
	}
	for (size_t i = 0; i < script->num_conns; i++)
		io = io || script->conns[i].qid;
	struct {
		bool needed;
		const char *name;
	} rows[] = {{auth, "NEED_AUTH"}, {concat, "NEED_CONCAT"}, {two_way, "NEED_BIDI"},
		{io, "NEED_IO"}, {configured, "NEED_TLS_PSK"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].needed) {
			fprintf(out, "%s%s", any ? " | " : "", rows[i].name);
			any = true;
		}
	if (!any)
		fprintf(out, "0");
}

static void write_hosts(struct saving *saving, FILE *out)
{
	const struct nvc_script *script = saving->re->script;

	for (size_t i = 0; i < (script->num_hosts ? script->num_hosts : 1); i++) {
		fprintf(out, "\tstruct nvc_host *host%zu = %s(t);\n", i,
			i ? "test_second_host" : "test_host");
		if (i < script->num_hosts && script->hosts[i].configured)
			continue; /* test_configured_psk chooses who acts */
		fprintf(out, "\n\ttest_identity(t, host%zu, ", i);
		if (i < script->num_hosts)
			write_identity(out, &script->hosts[i]);
		else
			fprintf(out, "want_open()");
		fprintf(out, ");\n");
	}
}

void write_case(struct saving *saving, FILE *out, const char *path, const char *capture)
{
	char id[NAME_SIZE], name[NAME_SIZE], macro[16];
	const enum req_id *checks = saving->num_checks ? saving->checks : &saving->primary;
	const size_t num = saving->num_checks ? saving->num_checks : 1;
	const char *base = strrchr(capture, '/') ? strrchr(capture, '/') + 1 : capture;

	name_of(path, '-', id);
	name_of(path, '_', name);
	fprintf(out, "/* SPDX-License-Identifier: BSD-3-Clause */\n/* What the host of ");
	write_text(out, base);
	fprintf(out, " did, as a case (nvme-conform replay --save-case). */\n");
	if (saving->num_left_out)
		fprintf(out, "/* %u of its steps are only comments here. */\n",
			saving->num_left_out);
	fprintf(out, "#include \"suites/%s.h\"\n\n", saving->pdu_steps ? "pdu_steps" : "steps");
	fprintf(out,
		"CASE(captured_%s, .id = \"captured.%s\",\n\t.title = \"The target answers as "
		"%s\",\n",
		name, id,
		saving->judge_all ? "in the capture" : "the one in the capture should have");
	fprintf(out, "\t.checks = {");
	for (size_t i = 0; i < num; i++)
		fprintf(out, "%s%s", i ? ", " : "", req_macro(checks[i], macro));
	fprintf(out, "}, .needs = ");
	write_needs(saving, out);
	/* Where a conversation ends its connections it says so step by step. */
	fprintf(out, ",\n\t.teardown = TEARDOWN_ANY)\n{\n");
	write_hosts(saving, out);
	fwrite(saving->body, 1, saving->body_len, out);
	fprintf(out, "}\n");
}
