/* SPDX-License-Identifier: BSD-3-Clause */
/* The C that save_case.c writes, line by line. */
#ifndef NVC_ENGINE_SAVE_CASE_TEXT_H
#define NVC_ENGINE_SAVE_CASE_TEXT_H

#include <stdio.h>

#include "harness/engine/reenact_state.h"
#include "suites/case.h"

/* A case while it is written. Arrays are indexed as those of the script. */
struct saving {
	const struct reenact *re;
	FILE *out; /* the body */
	char *body;
	size_t body_len;
	size_t *order; /* the steps that count */
	size_t num;
	enum req_id primary;
	bool judge_all; /* the capture is clean: all of it is what is expected */
	enum req_id checks[CASE_MAX_CHECKS];
	size_t num_checks;
	bool *declared;		/* transactions */
	bool *open, *used;	/* connections with a variable; and those of which it is used */
	bool *unsaid;		/* connections that could not be opened in our verbs */
	int *newest, *previous; /* transactions whose PSKs a host holds */
	bool waits, pdu_steps;
	unsigned int num_left_out;
};

/* sqe_is_ordinary tells whether the SQE of an Authentication Send or Receive is as a host makes it. */
bool sqe_is_ordinary(const struct saving *saving, const struct nvc_script_step *command);
/* offer_is_ordinary tells whether an AUTH_Negotiate is one that a list of hashes and one of groups describe. */
bool offer_is_ordinary(const struct nvc_script_step *negotiate);

/* judged writes the call of an expect verb: `verb`(t, REQ_..., rest). */
void judged(struct saving *saving, enum req_id req, const char *verb, const char *rest, ...)
	__attribute__((format(printf, 4, 5)));
/* left_out writes a comment about a step that no verb can say. */
void left_out(struct saving *saving, const struct nvc_script_step *step);

void write_sc_c(FILE *out, uint8_t sc_c);
void write_offer(struct saving *saving, const struct nvc_script_step *negotiate);
/* write_reply sets up the transaction for a Reply that is not ordinary; other steps are passed over. */
void write_reply(struct saving *saving, const struct nvc_script_step *step);
/* write_literal sends a message as it stands, under the T_ID of its transaction. */
void write_literal(struct saving *saving, const struct nvc_script_step *step);
/* write_s1_check takes a Challenge and judges its S1. */
void write_s1_check(struct saving *saving, int transaction);
void write_connect(struct saving *saving, const struct nvc_script_step *ic,
	const struct nvc_script_step *connect, const char *psk, uint16_t status);
void write_command(struct saving *saving, const struct nvc_script_step *command, uint16_t status,
	enum req_id req);
/* leave_the_rest closes the queues that are open and were not used. */
void leave_the_rest(struct saving *saving);

/* write_case writes the file: what the body needs before it, and the body. */
void write_case(struct saving *saving, FILE *out, const char *path, const char *capture);

#endif
