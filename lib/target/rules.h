/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of the reference target, and what becomes of them when a defect is set. */
#ifndef NVC_TARGET_RULES_H
#define NVC_TARGET_RULES_H

#include "catalogue/catalogue.h"

#include <stdbool.h>
#include <stdint.h>

enum rule {
	RULE_NONE = 0,
#define RULE(symbol, name, kind, requirement, text) RULE_##symbol,
#include "target/rules.def"
#undef RULE
	NUM_RULES
};

/* How a rule is broken. BROKEN is what the generated defect of its kind does; those behind TWICE are variants of one rule. */
enum how {
	HOW_KEPT = 0,
	HOW_BROKEN,
	HOW_TWICE,	   /* REPEATABLE: what the second generated defect of the kind does */
	HOW_ZERO,	   /* FIELD: 0 */
	HOW_ONE,	   /* FIELD: 1 */
	HOW_BOOL,	   /* FIELD: whether it is 0 */
	HOW_SEQUENCE,	   /* GATE_STATUS: Command Sequence Error */
	HOW_NO_LENGTHS,	   /* KDF_LABEL */
	HOW_NO_OUTLEN,	   /* KDF_LABEL */
	HOW_OFF_BY_ONE,	   /* KDF_LABEL */
	HOW_OFF_BY_HEADER, /* AUTH_AL */
	HOW_EMPTY,	   /* AUTH_AL */
	HOW_WEAK,	   /* REPLY_DHV_*: all of them */
	HOW_IGNORED,	   /* FAIL2_CLOSE: no step of the row is done */
	HOW_NULL_GROUP,	   /* CHAL_DHVLEN: 256 with NULL */
	HOW_OVERFLOWED,	   /* TIMER_KATO */
	HOW_EARLY,	   /* TIMER_KATO: half of it */
	HOW_CONFUSED,	   /* FOREIGN_MESSAGE */
	HOW_RESTART,	   /* NEGOTIATE_TWICE */
	HOW_ANY,	   /* PSK_EXACT */
	HOW_ONCE,	   /* PSK_KNOWN */
	HOW_LOCKOUT,	   /* LOSS_FORGET */
	HOW_REPLACED,	   /* SUCC1_PUBLISH */
};

/* Which rules are broken; the zero value keeps all. */
struct rules {
	uint8_t how[NUM_RULES];
	bool *asked; /* NUM_RULES flags: which the target has gone by so far; NULL: nobody wants to know */
};

/* nvc_rule_how returns how `rule` is broken, HOW_KEPT when it holds. Together with nvc_rule_kept and nvc_rule_field it is the only way to
 * go by a rule, so that `asked` is complete. */
enum how nvc_rule_how(const struct rules *rules, enum rule rule);

/* nvc_rule_kept tells whether `rule` holds. RULE_NONE always does. */
bool nvc_rule_kept(const struct rules *rules, enum rule rule);

/* nvc_rule_field returns what goes out for `value` under a FIELD rule. */
uint64_t nvc_rule_field(const struct rules *rules, enum rule rule, uint64_t value);

/* nvc_rule_text returns what holds while `rule` is kept. Static storage. */
const char *nvc_rule_text(enum rule rule);

#endif
