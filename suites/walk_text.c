/* SPDX-License-Identifier: BSD-3-Clause */
/* A step as the C of a case that does the same. */
#include "suites/walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wire/command.h"

static const char *const slots[NUM_WALK_SLOTS] = {"admin", "tls", "io"};

struct text {
	char *out;
	size_t size, len;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text->out + text->len, text->size - text->len, format, args);
	va_end(args);
	if (len > 0)
		text->len = text->len + (size_t)len < text->size ? text->len + (size_t)len
								 : text->size - 1;
}

static const char *mode_name(enum nvc_auth_mode mode)
{
	static const char *const names[] = {[NVC_AUTH_UNIDIRECTIONAL] = "NVC_AUTH_UNIDIRECTIONAL",
		[NVC_AUTH_BIDIRECTIONAL] = "NVC_AUTH_BIDIRECTIONAL",
		[NVC_AUTH_CONCAT_UNI] = "NVC_AUTH_CONCAT_UNI"};

	return names[mode];
}

static const char *r1_name(enum nvc_r1_kind kind)
{
	static const char *const names[] = {[NVC_R1_RIGHT] = "NVC_R1_RIGHT",
		[NVC_R1_FLIPPED] = "NVC_R1_FLIPPED",
		[NVC_R1_ZERO] = "NVC_R1_ZERO",
		[NVC_R1_BYTES] = "NVC_R1_BYTES",
		[NVC_R1_RANDOM_KEY] = "NVC_R1_RANDOM_KEY",
		[NVC_R1_CTRL_KEY] = "NVC_R1_CTRL_KEY",
		[NVC_R1_UNTRANSFORMED] = "NVC_R1_UNTRANSFORMED",
		[NVC_R1_OTHER_SC_C] = "NVC_R1_OTHER_SC_C",
		[NVC_R1_NOT_AUGMENTED] = "NVC_R1_NOT_AUGMENTED",
		[NVC_R1_AS_CONTROLLER] = "NVC_R1_AS_CONTROLLER",
		[NVC_R1_OTHER_T_ID] = "NVC_R1_OTHER_T_ID",
		[NVC_R1_OTHER_S1] = "NVC_R1_OTHER_S1"};

	return names[kind];
}

static void add_bends(struct text *text, const struct nvc_bend *bend)
{
	static const char *const kinds[] = {[NVC_BEND_SET] = "NVC_BEND_SET",
		[NVC_BEND_BYTES] = "NVC_BEND_BYTES",
		[NVC_BEND_XOR] = "NVC_BEND_XOR",
		[NVC_BEND_TRUNCATE] = "NVC_BEND_TRUNCATE",
		[NVC_BEND_APPEND] = "NVC_BEND_APPEND"};

	add(text, "NVC_BENDS({.field = \"%s\", .kind = %s, .value = %lluu})", bend->field,
		kinds[bend->kind], (unsigned long long)bend->value);
}

static void add_list(struct text *text, const uint8_t *ids, size_t num)
{
	for (size_t i = 0; i < num; i++)
		add(text, "%s%u", i ? ", " : "{", ids[i]);
	add(text, "}");
}

static void add_negotiate(struct text *text, const char *slot, const struct walk_step *step)
{
	add(text, "%s_auth = transaction(t, %s, (enum nvc_sc_c)%u, %s);\n", slot, slot, step->value,
		mode_name(step->mode));
	add(text, "%s_auth->offer = (struct nvc_auth_offer){%u, %u, ", slot, step->offer.num_hashes,
		step->offer.num_dhgroups);
	add_list(text, step->offer.hash_ids, step->offer.num_hashes);
	add(text, ", ");
	add_list(text, step->offer.dh_ids, step->offer.num_dhgroups);
	add(text, "};\n");
	if (walk_bends(step)) {
		add(text, "%s_auth->%s_bends = ", slot,
			step->of_descriptor ? "descriptor" : "negotiate");
		add_bends(text, &step->bend);
		add(text, ";\n");
	}
	add(text, "send_negotiate(t, %s_auth);", slot);
}

static void add_reply(struct text *text, const char *slot, const struct walk_step *step)
{
	if (step->r1 != NVC_R1_RIGHT)
		add(text, "%s_auth->r1 = %s;\n", slot, r1_name(step->r1));
	if (step->r1 == NVC_R1_OTHER_SC_C)
		add(text, "%s_auth->r1_sc_c = %s_auth->sc_c ^ 1u;\n", slot, slot);
	if (walk_bends(step)) {
		add(text, "%s_auth->reply_bends = ", slot);
		add_bends(text, &step->bend);
		add(text, ";\n");
	}
	add(text, "send_reply(t, %s_auth);", slot);
}

static void add_options(struct text *text, enum walk_slot slot)
{
	static const char *const options[NUM_WALK_SLOTS] = {
		"0", ".tls = &host->psk", ".qid = 1, .admin = admin"};

	add(text, "&(const struct nvc_queue_options){%s}", options[slot]);
}

static void add_open(struct text *text, enum walk_slot slot, const char *verb)
{
	add(text, "%s = %s(t, host, ", slots[slot], verb);
	add_options(text, slot);
	add(text, ");");
}

static void add_connect(struct text *text, const struct walk_step *step)
{
	static const char *const rest[NUM_WALK_SLOTS] = {"", "", ".qid = 1, .admin = admin, "};

	add(text, "(void)nvc_queue_connect(%s, &(const struct nvc_queue_options){%s.sqe_bends = ",
		slots[step->slot], rest[step->slot]);
	if (walk_bends(step))
		add_bends(text, &step->bend);
	else
		add(text, "NULL");
	add(text, "}, NULL, NULL);");
}

static void add_exchange(struct text *text, const struct walk_step *step)
{
	const char *slot = slots[step->slot];

	switch (step->kind) {
	case WALK_NEGOTIATE:
		add_negotiate(text, slot, step);
		break;
	case WALK_RECEIVE:
		add(text, "%s_auth->al = %u;\n", slot, step->value);
		add(text, "receive_answer(t, REQ_C_135, %s_auth, \"an answer\", &received);", slot);
		break;
	case WALK_REPLY:
		add_reply(text, slot, step);
		break;
	case WALK_REPLY_BYTES:
		add(text, "send_message(t, %s_auth, walk_message(0x%xu, %u, %s_auth->t_id, room));",
			slot, step->seed, step->len, slot);
		break;
	case WALK_SUCCESS2:
		add(text, "send_success2(t, %s_auth);", slot);
		break;
	default:
		add(text, "send_failure2(t, %s_auth, %u);", slot, step->value);
	}
}

static void add_command(struct text *text, const struct walk_step *step)
{
	const char *slot = slots[step->slot];

	switch (step->kind) {
	case WALK_PROPERTY_GET:
		add(text, "(void)nvc_do_property_get(%s, NVC_PROP_CSTS, &done, NULL);", slot);
		break;
	case WALK_PROPERTY_SET:
		add(text, "(void)nvc_do_property_set(%s, NVC_PROP_CC, 0x%xu, &done, NULL);", slot,
			step->value);
		break;
	case WALK_IDENTIFY:
		add(text, "(void)nvc_do_identify(%s, NVC_CNS_CONTROLLER, 0, &done, NULL);", slot);
		break;
	case WALK_KEEP_ALIVE:
		add(text, "(void)nvc_do_keep_alive(%s, &done, NULL);", slot);
		break;
	default:
		add(text, "(void)nvc_do_read(%s, 1, 0, host->block_len, &done, NULL);", slot);
	}
}

char *walk_text(const struct walk_step *step, char *out, size_t size)
{
	struct text text = {out, size, 0};
	const char *slot = slots[step->slot];

	out[0] = '\0';
	switch (step->kind) {
	case WALK_OPEN:
		add_open(&text, step->slot, "connect_as");
		break;
	case WALK_OPEN_BARE:
		add_open(&text, step->slot, "open_queue");
		break;
	case WALK_OPEN_UNDUE:
		add(&text, "(void)nvc_auth_tls_psk(%s_auth, NVC_KDF_RFC8446, &undue, NULL);\n",
			slot);
		add(&text, "expect_no_tls(t, REQ_C_193, host, &undue);");
		break;
	case WALK_IC:
		add(&text, "(void)nvc_queue_ic(%s, NULL, NULL);", slot);
		break;
	case WALK_CONNECT:
		add_connect(&text, step);
		break;
	case WALK_PDU:
		add(&text, "send_bytes(t, %s, walk_pdu(0x%xu, %u, %u, room));", slot, step->seed,
			step->len, step->value);
		break;
	case WALK_CLOSE:
		add(&text, "nvc_queue_close(%s, %s);", slot,
			step->value == NVC_END_RST ? "NVC_END_RST" : "NVC_END_FIN");
		break;
	case WALK_WAIT:
		add(&text, "pass_time(t, %u, NULL);", step->value);
		break;
	case WALK_NEGOTIATE:
	case WALK_RECEIVE:
	case WALK_REPLY:
	case WALK_REPLY_BYTES:
	case WALK_SUCCESS2:
	case WALK_FAILURE2:
		add_exchange(&text, step);
		break;
	default:
		add_command(&text, step);
	}
	return out;
}

/* ---- a whole case ---- */

static bool speaks_of(enum walk_kind kind)
{
	return kind >= WALK_NEGOTIATE && kind <= WALK_FAILURE2;
}

static bool is_command(enum walk_kind kind)
{
	return kind >= WALK_PROPERTY_GET && kind <= WALK_READ;
}

/* Declares what the steps use and nothing else: unused variables do not compile. */
static void print_declarations(const struct walk_step *steps, size_t num,
	bool uses_auth[NUM_WALK_SLOTS], walk_line line, void *self)
{
	bool slot_used[NUM_WALK_SLOTS] = {false}, received = false, done = false, room = false,
	     undue = false;
	char text[96];

	for (size_t i = 0; i < num; i++) {
		slot_used[steps[i].slot] = slot_used[steps[i].slot] || steps[i].kind != WALK_WAIT;
		uses_auth[steps[i].slot] = uses_auth[steps[i].slot] || speaks_of(steps[i].kind);
		received = received || steps[i].kind == WALK_RECEIVE;
		done = done || is_command(steps[i].kind);
		room = room || steps[i].kind == WALK_PDU || steps[i].kind == WALK_REPLY_BYTES;
		undue = undue || steps[i].kind == WALK_OPEN_UNDUE;
	}
	for (size_t i = 0; i < NUM_WALK_SLOTS; i++) {
		snprintf(text, sizeof(text), "	struct nvc_queue *%s = NULL;", slots[i]);
		if (slot_used[i])
			line(self, text);
		snprintf(text, sizeof(text), "	struct nvc_auth *%s_auth = NULL;", slots[i]);
		if (uses_auth[i])
			line(self, text);
	}
	if (received)
		line(self, "	struct nvc_auth_received received = {0};");
	if (done)
		line(self, "	struct nvc_completion done = {0};");
	if (undue)
		line(self, "	struct nvc_tls_psk undue = {0};");
	if (room)
		line(self, "	uint8_t room[WALK_MAX_BYTES];");
}

/* The walk had left its connections when the right host came. */
static void print_service(
	const struct walk_step *steps, size_t num, const char *req, walk_line line, void *self)
{
	char text[96];

	for (size_t slot = NUM_WALK_SLOTS; slot-- > 0;)
		for (size_t i = 0; i < num; i++)
			if (steps[i].slot == slot && steps[i].kind != WALK_WAIT) {
				snprintf(text, sizeof(text), "	nvc_queue_free(%s);", slots[slot]);
				line(self, text);
				break;
			}
	snprintf(text, sizeof(text), "	expect_new_association(t, REQ_%s, host);", req);
	line(self, text);
}

static bool is_opening(enum walk_kind kind)
{
	return kind == WALK_OPEN || kind == WALK_OPEN_BARE;
}

/* The steps that follow use the queue as it is, so a case whose connection did not come up ends here. */
static void print_after_open(const char *slot, bool uses_auth, walk_line line, void *self)
{
	char text[160];

	snprintf(text, sizeof(text),
		"	%s_auth = transaction(t, %s, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);",
		slot, slot);
	line(self, "	if (!test_running(t))");
	line(self, "		return;");
	if (uses_auth)
		line(self, text);
}

static void print_step(const struct walk_step *step, walk_line line, void *self)
{
	char text[WALK_MAX_TEXT], out[WALK_MAX_TEXT + 1], *rest = NULL;

	walk_text(step, text, sizeof(text));
	for (char *one = strtok_r(text, "\n", &rest); one; one = strtok_r(NULL, "\n", &rest)) {
		snprintf(out, sizeof(out), "	%s", one);
		line(self, out);
	}
}

static void print_steps(const struct walk_step *steps, size_t num,
	const bool uses_auth[NUM_WALK_SLOTS], walk_line line, void *self)
{
	bool opened[NUM_WALK_SLOTS] = {false};
	char text[64];

	for (size_t i = 0; i < num; i++) {
		const enum walk_slot slot = steps[i].slot;

		snprintf(text, sizeof(text), "	nvc_queue_free(%s);", slots[slot]);
		if (is_opening(steps[i].kind) && opened[slot])
			line(self, text);
		print_step(&steps[i], line, self);
		if (!is_opening(steps[i].kind))
			continue;
		opened[slot] = true;
		print_after_open(slots[slot], uses_auth[slot], line, self);
	}
}

void walk_print(const struct walk_step *steps, size_t num, const char *identity, const char *req,
	enum walk_proof proof, walk_line line, void *self)
{
	static const char *const proofs[] = {
		[WALK_BY_SUCCESS1] = "	expect_true(t, REQ_%s, received.message != "
				     "NVC_MSG_SUCCESS1, \"no Success1\", "
				     "\"message %%04Xh\", received.message);",
		[WALK_BY_COMMAND] = "	expect_true(t, REQ_%s, !done.answered || "
				    "done.status != NVC_SC_SUCCESS, "
				    "\"the command is refused\", "
				    "\"status %%03Xh\", done.status);",
	};
	bool uses_auth[NUM_WALK_SLOTS] = {false};
	char text[256];

	snprintf(text, sizeof(text),
		"CASE(found, .id = \"robustness.found\", .title = \"Found by a walk\", .checks = "
		"{REQ_%s}, .needs = NEED_AUTH, .teardown = TEARDOWN_ANY)",
		req);
	line(self, text);
	line(self, "{");
	snprintf(text, sizeof(text), "	struct nvc_host *host = host_as(t, %s);", identity);
	line(self, text);
	print_declarations(steps, num, uses_auth, line, self);
	line(self, "");
	print_steps(steps, num, uses_auth, line, self);
	if (proof == WALK_BY_SERVICE) {
		print_service(steps, num, req, line, self);
	} else if (proof != WALK_BY_TLS) {
		snprintf(text, sizeof(text), proofs[proof], req);
		line(self, text);
	}
	line(self, "}");
}
