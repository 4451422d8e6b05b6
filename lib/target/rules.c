/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/internal.h"

#include <stdio.h>
#include <string.h>

struct rule_row {
	const char *name, *generated, *text;
	enum req_id requirement;
};

/* The name of a generated defect begins with what it does to a rule of that kind. */
#define GENERATED_CHECK(name)	   "off:" name
#define GENERATED_FIELD(name)	   "alter:" name
#define GENERATED_STEP(name)	   "skip:" name
#define GENERATED_REPEATABLE(name) "skip:" name
#define GENERATED_TRANSITION(name) "off:" name

static const struct rule_row rule_table[NUM_RULES] = {
#define RULE(symbol, rule_name, kind, req, what)                                                   \
	[RULE_##symbol] = {.name = (rule_name),                                                    \
		.generated = GENERATED_##kind(rule_name),                                          \
		.text = (what),                                                                    \
		.requirement = REQ_##req},
#include "target/rules.def"
#undef RULE
};

/* The rows of kind REPEATABLE, with the name of their second defect. */
#define TWICE_CHECK(symbol, name)
#define TWICE_FIELD(symbol, name)
#define TWICE_STEP(symbol, name)
#define TWICE_REPEATABLE(symbol, name) {"twice:" name, RULE_##symbol},
#define TWICE_TRANSITION(symbol, name)

static const struct {
	const char *name;
	enum rule rule;
} twice_table[] = {
#define RULE(symbol, rule_name, kind, req, what) TWICE_##kind(symbol, rule_name)
#include "target/rules.def"
#undef RULE
};

enum { NUM_TWICE = sizeof(twice_table) / sizeof(twice_table[0]) };

struct defect_row {
	const char *name;
	enum rule rule;
	enum how how;
	const char *origin, *text;
};

static const struct defect_row defect_table[] = {
#define DEFECT(defect_name, broken_rule, broken_how, from, what)                                   \
	{.name = (defect_name),                                                                    \
		.rule = RULE_##broken_rule,                                                        \
		.how = HOW_##broken_how,                                                           \
		.origin = (from),                                                                  \
		.text = (what)},
#include "target/defects.def"
#undef DEFECT
};

/* All defects in a row: the named ones, one for each rule but RULE_NONE, one for each row of twice_table. */
enum {
	NUM_NAMED = sizeof(defect_table) / sizeof(defect_table[0]),
	FIRST_TWICE = NUM_NAMED + NUM_RULES - 1,
};

/* Some bugs break more than one row; the further rows of the same defect. */
static const struct {
	const char *name;
	enum rule rule;
	enum how how;
} further_rows[] = {
	{"free-sq-on-success", RULE_SUCC2_KEEP_TLS, HOW_BROKEN},
	{"keep-state-on-success", RULE_SUCC2_FORGET, HOW_BROKEN},
	{"dh-weak-values", RULE_REPLY_DHV_ZERO, HOW_WEAK},
	{"dh-weak-values", RULE_REPLY_DHV_P1, HOW_WEAK},
	{"dh-weak-values", RULE_REPLY_DHV_P, HOW_WEAK},
	{"neg-no-bounds", RULE_NEG_LIST_MAX, HOW_BROKEN},
	{"newtlspsk-on-tls", RULE_NEG_REPLACE_CLEAR, HOW_BROKEN},
	{"concat-on-io-queue", RULE_NEG_SC_C_IO_TLS, HOW_BROKEN},
	{"old-psk-survives-replace", RULE_SUCC2_RETIRE, HOW_BROKEN},
	{"failure1-no-teardown", RULE_FAIL1_ASSOCIATION, HOW_BROKEN},
	{"failure1-no-teardown", RULE_FAIL1_SHUT, HOW_BROKEN},
	{"failure1-no-teardown", RULE_FAIL1_ABORT, HOW_BROKEN},
	{"failure2-ignored", RULE_FAIL2_ASSOCIATION, HOW_BROKEN},
	{"subsystem-as-host", RULE_CONNECT_HOST, HOW_BROKEN},
	{"reply-replay", RULE_CHAL_S1_NEXT, HOW_BROKEN},
	{"reply-replay", RULE_CHAL_DHVAL_FRESH, HOW_BROKEN},
	{"tid-not-checked", RULE_SUCC2_T_ID, HOW_BROKEN},
	{"reauth-blocks-commands", RULE_REAUTH_TLS_SERVES, HOW_BROKEN},
};

enum how nvc_rule_how(const struct rules *rules, enum rule rule)
{
	if (rules->asked)
		rules->asked[rule] = true;
	return (enum how)rules->how[rule];
}

bool nvc_rule_kept(const struct rules *rules, enum rule rule)
{
	return nvc_rule_how(rules, rule) == HOW_KEPT;
}

uint64_t nvc_rule_field(const struct rules *rules, enum rule rule, uint64_t value)
{
	switch (nvc_rule_how(rules, rule)) {
	case HOW_KEPT:
		return value;
	case HOW_ZERO:
		return 0;
	case HOW_ONE:
		return 1;
	case HOW_BOOL:
		return value != 0;
	default:
		return value ^ 1;
	}
}

const char *nvc_rule_text(enum rule rule)
{
	return rule < NUM_RULES && rule_table[rule].text ? rule_table[rule].text : "";
}

size_t nvc_target_num_defects(void)
{
	return FIRST_TWICE + NUM_TWICE;
}

/* The rule of a defect that is not named. */
static enum rule generated_of(size_t index)
{
	return index < FIRST_TWICE ? (enum rule)(index - NUM_NAMED + 1)
				   : twice_table[index - FIRST_TWICE].rule;
}

bool nvc_target_defect_at(size_t index, struct nvc_target_defect *out)
{
	const struct nvc_requirement *req;
	const struct rule_row *row;

	if (index >= nvc_target_num_defects())
		return false;
	if (index < NUM_NAMED) {
		row = &rule_table[defect_table[index].rule];
		out->name = defect_table[index].name;
		out->text = defect_table[index].text;
		out->origin = defect_table[index].origin;
	} else {
		row = &rule_table[generated_of(index)];
		out->name = index < FIRST_TWICE ? row->generated
						: twice_table[index - FIRST_TWICE].name;
		out->text = row->text;
		out->origin = "generated";
	}
	req = nvc_requirement(row->requirement);
	out->requirement = req ? req->id : "";
	out->rule = row->name;
	return true;
}

bool nvc_target_defect_reached(const struct nvc_target *target, size_t index)
{
	const bool *asked = target->asked;

	if (index >= nvc_target_num_defects())
		return false;
	if (index >= NUM_NAMED)
		return asked[generated_of(index)];
	for (size_t i = 0; i < sizeof(further_rows) / sizeof(further_rows[0]); i++)
		if (strcmp(further_rows[i].name, defect_table[index].name) == 0 &&
			asked[further_rows[i].rule])
			return true;
	return asked[defect_table[index].rule];
}

static void break_rows(struct rules *rules, const struct defect_row *defect)
{
	rules->how[defect->rule] = (uint8_t)defect->how;
	for (size_t i = 0; i < sizeof(further_rows) / sizeof(further_rows[0]); i++)
		if (strcmp(further_rows[i].name, defect->name) == 0)
			rules->how[further_rows[i].rule] = (uint8_t)further_rows[i].how;
}

/* The length of the common beginning is near enough to help with a typing error. */
static const char *nearest_defect(const char *name)
{
	struct nvc_target_defect defect;
	const char *best = "";
	size_t best_len = 0;

	for (size_t i = 0; nvc_target_defect_at(i, &defect); i++) {
		size_t len = 0;

		while (name[len] && name[len] == defect.name[len])
			len++;
		if (len > best_len || !*best) {
			best_len = len;
			best = defect.name;
		}
	}
	return best;
}

enum nvc_result nvc_target_set_defect(
	struct nvc_target *target, const char *name, struct nvc_error *err)
{
	for (size_t i = 0; i < NUM_NAMED; i++) {
		if (strcmp(defect_table[i].name, name) == 0) {
			break_rows(&target->rules, &defect_table[i]);
			return NVC_OK;
		}
	}
	for (size_t i = 1; i < NUM_RULES; i++) {
		if (strcmp(rule_table[i].generated, name) == 0) {
			target->rules.how[i] = HOW_BROKEN;
			return NVC_OK;
		}
	}
	for (size_t i = 0; i < NUM_TWICE; i++) {
		if (strcmp(twice_table[i].name, name) == 0) {
			target->rules.how[twice_table[i].rule] = HOW_TWICE;
			return NVC_OK;
		}
	}
	return nvc_fail(err, NVC_E_INVALID, "no defect is called \"%.80s\"; did you mean \"%s\"?",
		name, nearest_defect(name));
}
