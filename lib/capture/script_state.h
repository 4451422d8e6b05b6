/* SPDX-License-Identifier: BSD-3-Clause */
/* How a script comes about; for the files of lib/capture only. */
#ifndef NVC_CAPTURE_SCRIPT_STATE_H
#define NVC_CAPTURE_SCRIPT_STATE_H

#include "capture/script.h"

/* A command of the capture that has not been answered. */
struct nvc_script_pending {
	int step;
	uint16_t cid;
	uint8_t *in; /* what came for it */
	size_t in_len;
	bool r2t;	       /* H2CData is due */
	uint16_t ttag;	       /* ... under this tag */
	uint32_t r2t_at, left; /* ... next byte, bytes left */
};

/* A connection while it is read. */
struct nvc_script_reading {
	struct nvc_pdu_mode mode;
	bool host_spoke, host_ended, ctrl_ended;
	struct nvc_script_pending *pending;
	size_t num_pending;
	int transaction;      /* the last one begun; -1: none */
	int reply;	      /* step of the last Reply of it; -1: none */
	uint32_t maxh2cdata;  /* of ICResp; 0: none came */
	enum req_id violated; /* by a PDU that is not a step of its own; of the next answer */
};

struct nvc_script_reader {
	struct nvc_script *script;
	struct nvc_script_reading *conns; /* as script->conns */
	struct nvc_outline outline;
	enum nvc_result result;
	const char *why;
};

/* nvc_script_keep makes `in` the bytes of `step`, as a copy; none when there is no room, which ends the reading. */
void nvc_script_keep(
	struct nvc_script_reader *reader, struct nvc_script_step *step, struct nvc_slice in);

/* nvc_script_stop ends the reading with an error. */
void nvc_script_stop(struct nvc_script_reader *reader, enum nvc_result result, const char *why);

/* nvc_script_add_step adds a step at the time of `event`; NULL when the reading is over. It moves the steps. */
struct nvc_script_step *nvc_script_add_step(struct nvc_script_reader *reader,
	enum nvc_script_kind kind, unsigned int conn, const struct nvc_replay_event *event);
/* nvc_script_last_step returns the index of the step added last. */
int nvc_script_last_step(const struct nvc_script_reader *reader);
/* nvc_script_set_text gives `step` a copy of `text`. */
void nvc_script_set_text(
	struct nvc_script_reader *reader, struct nvc_script_step *step, const char *text);

/* nvc_script_take_host_pdu and _ctrl_pdu take a PDU of either side. */
void nvc_script_take_host_pdu(
	struct nvc_script_reader *reader, unsigned int conn, const struct nvc_replay_event *event);
void nvc_script_take_ctrl_pdu(
	struct nvc_script_reader *reader, unsigned int conn, const struct nvc_replay_event *event);
/* nvc_script_take_answer ends a command; `cqe` NULL: its data came, but no response capsule. */
void nvc_script_take_answer(struct nvc_script_reader *reader, unsigned int conn,
	struct nvc_script_pending *pending, const struct nvc_cqe *cqe,
	const struct nvc_replay_event *event);
/* nvc_script_forget_pending frees a command that is over; those behind it move up. */
void nvc_script_forget_pending(
	struct nvc_script_reading *reading, struct nvc_script_pending *pending);

/* nvc_script_auth_send says what the message of an Authentication Send was; `step` is the last step. */
void nvc_script_auth_send(struct nvc_script_reader *reader, int step);
/* nvc_script_auth_answer takes the message that an Authentication Receive brought. */
void nvc_script_auth_answer(struct nvc_script_reader *reader, int step);
/* nvc_script_auth_status takes the status of an Authentication Send. */
void nvc_script_auth_status(struct nvc_script_reader *reader, int step);
/* nvc_script_denied takes Operation Denied, which also tells of a refused Reply whose AUTH_Failure1 nobody fetched. */
void nvc_script_denied(struct nvc_script_reader *reader, unsigned int conn);
/* nvc_script_proven takes what a secret proves of the R1 of a Reply. */
void nvc_script_proven(
	struct nvc_script_reader *reader, const struct nvc_script_step *reply, bool right);
/* nvc_script_map_psks says under which PSK each TLS connection was, once all is read. */
void nvc_script_map_psks(struct nvc_script *script);

/* nvc_script_new_transaction adds a transaction that the caller fills, and returns its index; -1 without room. */
int nvc_script_new_transaction(struct nvc_script_reader *reader);

/* nvc_script_host_named returns the index of the host with this NQN, which is added when it is new; -1 without room. */
int nvc_script_host_named(struct nvc_script_reader *reader, const char *hostnqn);

#endif
