/* SPDX-License-Identifier: BSD-3-Clause */
/* What a transaction knows beyond its public members; for the files of lib/host only. */
#ifndef NVC_HOST_AUTH_STATE_H
#define NVC_HOST_AUTH_STATE_H

#include "host/auth.h"

struct nvc_auth_state {
	uint8_t *received; /* the last message, in a zeroed buffer as long as AL */
	size_t received_cap;
	uint8_t *challenge_bytes; /* the last Challenge; `challenge` points into it */
	struct nvc_challenge challenge;
	struct nvc_dh_key *dh_key;
	struct nvc_secret ks; /* of the last Reply; empty with the NULL group */
	/* S2, C2 as they went out, bends included: what the controller hashes */
	uint32_t sent_s2;
	bool sent_cvalid;
	struct nvc_secret sent_c2;
};

/* nvc_auth_verify_r2 judges the R2 of a Success1 against the last Reply. */
enum nvc_r2 nvc_auth_verify_r2(const struct nvc_auth *auth, const struct nvc_success1 *success1);

/* nvc_auth_judge fills rcodeex, complaint and r2 of a decoded message (Base 2.2, 8.3.4.5.3 and 8.3.4.5.5). */
void nvc_auth_judge(struct nvc_auth *auth, struct nvc_auth_received *received);

/* nvc_auth_r1_needs_key tells whether the R1 that `auth` is to send is made with the host's key. */
bool nvc_auth_r1_needs_key(const struct nvc_auth *auth);

#endif
